# cython: nonecheck=True
"""What is done at once of pipes, and of calls that waited at them or at a word: as far as that is plain.

Not here: calls (`quick`), what pipes and words are (`axptr.linux.files`), where their fields lie (`fields`).

Source: pipe(7).
"""

import cython
from cython.cimports.axptr._core.kernel.accounts import IoTally
from cython.cimports.axptr._core.kernel.atonce import is_user, transfer
from cython.cimports.axptr._core.kernel.fields import (
    class_of,
    fields,
    get,
    get_of,
    node_class,
    put,
    slot_class,
)
from cython.cimports.axptr._core.kernel.pieces import CLOCK_REALTIME, PyType_GenericAlloc, clock_gettime, timespec
from cython.cimports.axptr._core.kernel.waiting import Waiting, WaitQueue
from cython.cimports.axptr._core.words.codes import PAGE_SIZE, READ, WRITE
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cython.cimports.cpython.dict import PyDict_GetItem
from cython.cimports.cpython.long import PyLong_AsLong
from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.stdint import int64_t, uint64_t

_low = cython.declare(uint64_t, 0xFFFF_FFFF)
_readable = cython.declare(object, 0x41)  # POLLIN, POLLRDNORM
_yes = cython.declare(object, True)
_billion = cython.declare(int64_t, 1_000_000_000)
_zero = cython.declare(object, 0)


# -- pipes


def file_of(task, fd):
    """The open file of a descriptor, borrowed; NULL for none, and where somebody hears of what is done to files."""
    table: cython.pointer(PyObject) = get_of(get(task, fields.files), fields.table)
    file: cython.pointer(PyObject) = PyDict_GetItem(cython.cast(dict, table), fd & _low)
    if file != cython.NULL and cython.cast(object, get(task, fields.machine)).watches is not None:
        return cython.NULL
    return file


@cython.cfunc
def _used(task: Waiting, file: object, written: cython.bint) -> cython.int:
    """When a pipe was used last, as its node tells."""
    now: timespec
    node: object = cython.cast(object, get(file, fields.node))
    if class_of(node) == node_class and task.host_time:
        clock_gettime(CLOCK_REALTIME, cython.address(now))
        put(node, fields.modified if written else fields.accessed, now.tv_sec * _billion + now.tv_nsec)
    else:
        node.used(task, written=written)
    return 0


def tally_of(task):
    return cython.cast(IoTally, get_of(get(task, fields.group), fields.io))


def take_out(task, file, address, count):
    """Of what stands first in a pipe as much as is wanted, into the user's memory; -1 where that is not all there is to
    it."""
    pipe: object = cython.cast(object, get(file, fields.pipe))
    slots: object = cython.cast(object, get(pipe, fields.slots))
    many: cython.Py_ssize_t = len(slots)
    if not many or count == 0 or not is_user(address, count):
        return -1
    if cython.cast(tuple, get(pipe, fields.notices)):
        return -1
    slot: object = slots[0]
    data: object = cython.cast(object, get(slot, fields.data))
    if type(data) is not bytes or get(slot, fields.packet) == cython.cast(cython.pointer(PyObject), _yes):
        return -1
    size: cython.Py_ssize_t = PyBytes_GET_SIZE(data)
    if cython.cast(uint64_t, size) > count:
        size = count
    elif many > 1 and cython.cast(uint64_t, size) < count:
        return -1
    if not transfer(task._space, address, PyBytes_AS_STRING(data), size, WRITE):
        return -1
    if size == PyBytes_GET_SIZE(data) and many < PyLong_AsLong(cython.cast(object, get(pipe, fields.most))):
        slots.popleft()  # nobody waits for room
    else:
        pipe.drop(size)
    _used(task, file, False)
    tally: IoTally = tally_of(task)
    tally.syscr += 1
    tally.rchar += size
    return size


def put_in(task, file, address, count):
    """Up to a page of the user's memory into a pipe; -1 where it is not as simple as that."""
    pipe: object = cython.cast(object, get(file, fields.pipe))
    slots: object = cython.cast(object, get(pipe, fields.slots))
    many: cython.Py_ssize_t = len(slots)
    size: cython.Py_ssize_t = count
    last: object = None
    data: object
    queue: WaitQueue
    if count == 0 or count > PAGE_SIZE or not is_user(address, count):
        return -1
    if PyLong_AsLong(cython.cast(object, get(pipe, fields.readers))) == 0:
        return -1
    if many and size < PAGE_SIZE:
        last = slots[many - 1]
        data = cython.cast(object, get(last, fields.data))
        start: cython.Py_ssize_t = PyLong_AsLong(cython.cast(object, get(last, fields.start)))
        if (
            get(last, fields.open) != cython.cast(cython.pointer(PyObject), _yes)
            or start + len(data) + size > PAGE_SIZE
        ):
            last = None
        elif type(data) is not bytes:
            return -1
    if last is None and many >= PyLong_AsLong(cython.cast(object, get(pipe, fields.most))):
        return -1
    raw: bytes = PyBytes_FromStringAndSize(cython.cast(cython.p_char, cython.NULL), size)
    if not transfer(task._space, address, PyBytes_AS_STRING(raw), size, READ):
        return -1
    if last is not None:
        put(last, fields.data, cython.cast(bytes, data) + raw)
    else:
        slot: object = PyType_GenericAlloc(slot_class, 0)
        put(slot, fields.data, raw)
        put(slot, fields.start, _zero)
        put(slot, fields.open, True)
        put(slot, fields.packet, False)
        slots.append(slot)
    queue = cython.cast(WaitQueue, get(pipe, fields.to_read))
    queue.wake(_readable)
    queue = cython.cast(WaitQueue, get(pipe, fields.to_both))
    queue.wake(_readable)
    _used(task, file, True)
    tally: IoTally = tally_of(task)
    tally.syscw += 1
    tally.wchar += size
    return size


def taken(task: Waiting, file, rest: tuple):
    """For a read of a pipe's end that waited: how much it got, None where that is to be looked at in all its parts."""
    address, count = rest[0]
    if len(rest) != 1 or task.machine.watches is not None:
        return None
    done: cython.Py_ssize_t = take_out(task, file, address, count)
    return done if done >= 0 else None
