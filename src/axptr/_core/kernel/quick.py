"""Calls that hand one task's turn to another, where they are done at once: a piece of a pipe that is there, a word that
somebody waits at. Whatever is not plain (a page that is not there, an end that is watched, a packet) is left to the handler
that does all of it, before anything has changed.

Each of these is made of that handler's wrapper, and takes its place: `call(task, a0, .., a5)`.

Not here: what pipes and words are (`axptr.linux.files`), how a call waits (`waiting`).

Source: read(2), write(2), futex(2), pipe(7).
"""

import cython
from cython.cimports.axptr._core.kernel.atonce import is_user, transfer
from cython.cimports.axptr._core.kernel.waiting import Waiting, WaitQueue
from cython.cimports.axptr._core.words.codes import MAX_RW_COUNT, PAGE_SIZE, READ, WRITE
from cython.cimports.axptr._core.words.conversion import PyLong_AsUnsignedLongLongMask
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cython.cimports.libc.errno import EAGAIN
from cython.cimports.libc.stdint import uint32_t, uint64_t

_low = cython.declare(uint64_t, 0xFFFF_FFFF)
_wronly = cython.declare(cython.int, 1)
_accmode = cython.declare(cython.int, 3)
_nonblock = cython.declare(cython.int, 0o4000)
_direct = cython.declare(cython.int, 0o40000)
_path = cython.declare(cython.int, 0o10000000)
_pollin = cython.declare(object, 1)
_readable = cython.declare(object, 0x41)  # POLLIN, POLLRDNORM
_private = cython.declare(uint64_t, 128)
_any = cython.declare(object, 0xFFFF_FFFF)


@cython.cfunc
def _taken(task: Waiting, file: object, address: uint64_t, count: uint64_t) -> cython.Py_ssize_t:
    """Of what stands first in a pipe as much as is wanted, into the user's memory; -1 where that is not all there is to
    it."""
    pipe: object = file.pipe
    slots: object = pipe.slots
    many: cython.Py_ssize_t = len(slots)
    if not many or count == 0 or pipe.notices or task.machine.watches is not None or not is_user(address, count):
        return -1
    slot: object = slots[0]
    data: object = slot.data
    if type(data) is not bytes or slot.packet:
        return -1
    size: cython.Py_ssize_t = PyBytes_GET_SIZE(data)
    if cython.cast(uint64_t, size) > count:
        size = count
    elif many > 1 and cython.cast(uint64_t, size) < count:
        return -1
    if not transfer(task._space, address, PyBytes_AS_STRING(data), size, WRITE):
        return -1
    pipe.drop(size)
    file._node.used(task, written=False)
    task.group.io.read(size)
    return size


@cython.cfunc
def _put(task: Waiting, file: object, address: uint64_t, count: uint64_t, made: object) -> cython.Py_ssize_t:
    """Up to a page of the user's memory into a pipe; -1 where it is not as simple as that."""
    pipe: object = file.pipe
    slots: object = pipe.slots
    many: cython.Py_ssize_t = len(slots)
    size: cython.Py_ssize_t = count
    last: object = None
    queue: WaitQueue
    if count == 0 or size > PAGE_SIZE or not pipe.readers or task.machine.watches is not None:
        return -1
    if not is_user(address, count):
        return -1
    if many and size < PAGE_SIZE:
        last = slots[many - 1]
        if not last.open or last.start + len(last.data) + size > PAGE_SIZE:
            last = None
        elif type(last.data) is not bytes:
            return -1
    if last is None and many >= pipe.most:
        return -1
    raw: bytes = PyBytes_FromStringAndSize(cython.cast(cython.p_char, cython.NULL), size)
    if not transfer(task._space, address, PyBytes_AS_STRING(raw), size, READ):
        return -1
    if last is not None:
        last.data = last.data + raw
    else:
        slots.append(made(raw, open=True))
    queue = pipe.to_read
    queue.wake(_readable)
    queue = pipe.to_both
    queue.wake(_readable)
    file._node.used(task, written=True)
    task.group.io.wrote(size)
    return size


def reading(plain, pipe_file, again, interrupted):
    """read(2). pipe_file: the class of a pipe's ends; again, interrupted: of a read that waits."""

    def call(task, a0, a1, a2, a3, a4, a5):
        file: object = task.files._files.get(PyLong_AsUnsignedLongLongMask(a0) & _low)
        if type(file) is pipe_file:
            flags: cython.int = file.flags
            if flags & _accmode != _wronly and flags & _accmode != _accmode and not flags & _path:
                address: uint64_t = PyLong_AsUnsignedLongLongMask(a1)
                count: uint64_t = PyLong_AsUnsignedLongLongMask(a2)
                done: cython.Py_ssize_t = _taken(task, file, address, count)
                if done >= 0:
                    return done
                pipe: object = file.pipe
                if not flags & _nonblock and count and not pipe.slots and pipe.writers and is_user(address, count):
                    rest: tuple = ((address, min(count, cython.cast(uint64_t, MAX_RW_COUNT))),)
                    return task.block(
                        ((file, _pollin),), None, again=(again, (file, rest, None)), interrupted=interrupted
                    )
        return plain(task, a0, a1, a2, a3, a4, a5)

    return call


def taken(task: Waiting, file, rest: tuple):
    """For a read of a pipe's end that waited: how much it got, None where that is to be looked at in all its parts."""
    address, count = rest[0]
    done: cython.Py_ssize_t = _taken(task, file, address, count) if len(rest) == 1 else -1
    return done if done >= 0 else None


def writing(plain, pipe_file, made):
    """write(2). pipe_file: the class of a pipe's ends; made: that of what stands in a pipe."""

    def call(task, a0, a1, a2, a3, a4, a5):
        file: object = task.files._files.get(PyLong_AsUnsignedLongLongMask(a0) & _low)
        if type(file) is pipe_file:
            flags: cython.int = file.flags
            if flags & _accmode and flags & _accmode != _accmode and not flags & (_path | _direct):
                done: cython.Py_ssize_t = _put(
                    task, file, PyLong_AsUnsignedLongLongMask(a1), PyLong_AsUnsignedLongLongMask(a2), made
                )
                if done >= 0:
                    return done
        return plain(task, a0, a1, a2, a3, a4, a5)

    return call


def at_word(plain, awake, bits):
    """futex(2): waiting for ever at a word of one's own memory, and waking who does. awake: how a wait goes on; bits: what a
    plain wake is an event of."""

    def call(task, a0, a1, a2, a3, a4, a5):
        address: uint64_t = PyLong_AsUnsignedLongLongMask(a0)
        op: uint64_t = PyLong_AsUnsignedLongLongMask(a1) & _low
        value: uint64_t = PyLong_AsUnsignedLongLongMask(a2) & _low
        now: uint32_t = 0
        queue: WaitQueue
        if op | 1 == _private | 1 and not address & 3 and is_user(address, 4):
            table: object = task.machine.futexes
            key: tuple = (task.mm, address)
            if op & 1:
                word: object = table.get(key)
                if word is None:
                    return 0
                if not word.inheriting:
                    queue = word.queue
                    return queue.wake(bits, value if 0 < value < 0x8000_0000 else 1)
            elif not a3 and transfer(task._space, address, cython.cast(cython.p_char, cython.address(now)), 4, READ):
                if now != value:
                    return -EAGAIN
                return task.block(((table.word(key), _any),), None, again=(awake, ()))
        return plain(task, a0, a1, a2, a3, a4, a5)

    return call
