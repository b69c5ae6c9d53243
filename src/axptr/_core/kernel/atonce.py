"""User memory where it is there at once: what the CPU itself could read or write now, without a fault.

Compiled calls begin and end with it; where it is not so they leave the call to its handler, before anything has changed.

Not here: what is brought in, and which fault it is (`axptr._core.mm`).
"""

import cython
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.words.codes import IN_PAGE, PAGE_SIZE, READ
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import uint8_t, uint64_t
from cython.cimports.libc.string import memchr, memcpy, strlen

_user_end = cython.declare(uint64_t, 0x7FFF_FFFF_F000)


def is_user(address, size):
    return size <= _user_end and address <= _user_end - size


def transfer(space: SpaceCore, address, buffer, size, access):
    done: uint64_t
    space.phys.alive()
    axptr_lock_gil(space.phys.lock)
    done = space.copy_at_once(address, cython.cast(cython.pointer(uint8_t), buffer), size, access)
    axptr_unlock(space.phys.lock)
    return done == size


def there(space: SpaceCore, address, size, access):
    found: cython.bint = True
    at: uint64_t = address
    space.phys.alive()
    axptr_lock_gil(space.phys.lock)
    while found and at < address + size:
        found = space.at_once(at, access) != cython.NULL
        at = (at | IN_PAGE) + 1
    axptr_unlock(space.phys.lock)
    return found


def string(space: SpaceCore, address, into, most):
    here: cython.pointer(uint8_t)
    end: cython.p_void
    step: cython.Py_ssize_t
    done: cython.Py_ssize_t = 0
    found: cython.Py_ssize_t = -1
    space.phys.alive()
    axptr_lock_gil(space.phys.lock)
    while done <= most:
        here = space.at_once(address + done, READ)
        if here == cython.NULL:
            break
        step = PAGE_SIZE - ((address + done) & IN_PAGE)
        if step > most + 1 - done:
            step = most + 1 - done
        end = memchr(here, 0, step)
        if end != cython.NULL:
            step = cython.cast(cython.pointer(uint8_t), end) - here
            memcpy(into + done, here, step)
            found = done + step
            break
        memcpy(into + done, here, step)
        done += step
    axptr_unlock(space.phys.lock)
    if found < 0:
        return found
    into[found] = 0
    return strlen(into)  # another CPU may have ended it earlier since it was looked at
