# cython: nonecheck=True
"""Calls that hand one task's turn to another, where they are done at once: a piece of a pipe or a stream that is there, a
word that somebody waits at. Whatever is not plain (a page that is not there, an end that is watched, a packet, a signal, somebody who
looks on) is left to the handler that does all of it, before anything has changed.

Each of these (`Quick`) is made of that handler's wrapper, and takes its place: `call(task, a0, .., a5)`. What answers a
task's calls (`answering`) has them do it without a call of Python's.

Not here: what pipes and words are (`axptr.linux.files`), where their fields lie (`fields`), how a call waits (`waiting`),
calls that ask what is ready (`pollcalls`).

Source: read(2), write(2), recv(2), send(2), futex(2), pipe(7).
"""

import cython
from cython.cimports.axptr._core.cpu.running import CALL_DONE, CALL_OPEN, CALL_WAITS
from cython.cimports.axptr._core.kernel.atonce import is_user, transfer
from cython.cimports.axptr._core.kernel.fields import (
    calm,
    class_of,
    end_class,
    fields,
    get,
    hold,
    put,
    socket_class,
    word_class,
)
from cython.cimports.axptr._core.kernel.pieces import file_of, put_in, take_out, tally_of
from cython.cimports.axptr._core.kernel.streams import End
from cython.cimports.axptr._core.kernel.turns import Turns
from cython.cimports.axptr._core.kernel.waiting import Blocked, Resumed, Waiting, WaitQueue, resumed
from cython.cimports.axptr._core.words.codes import MAX_RW_COUNT, READ
from cython.cimports.axptr._core.words.conversion import PyLong_AsUnsignedLongLongMask
from cython.cimports.cpython.long import PyLong_AsLong
from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.errno import EAGAIN
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t

_low = cython.declare(uint64_t, 0xFFFF_FFFF)
_wronly = cython.declare(cython.int, 1)
_accmode = cython.declare(cython.int, 3)
_nonblock = cython.declare(cython.int, 0o4000)
_direct = cython.declare(cython.int, 0o40000)
_path = cython.declare(cython.int, 0o10000000)
_dontwait = cython.declare(uint64_t, 0x40)
_nosignal = cython.declare(uint64_t, 0x4000)
_pollin = cython.declare(object, 1)
_one = cython.declare(object, 1)
_private = cython.declare(uint64_t, 128)
_any = cython.declare(object, 0xFFFF_FFFF)
_zero = cython.declare(object, 0)


# -- waiting


def wait(task, waitable, queue, mask, again, interrupted):
    """`LinuxTask.block` for an event of one thing, for ever, of a task for which there is nothing else to do."""
    record: Blocked = Blocked.__new__(Blocked)
    loop: Turns = task.loop
    group: object = cython.cast(object, get(task, fields.group))
    record.on = ((waitable, mask),)
    record.again = again
    record.restart = _zero
    record.interrupted = interrupted
    record.queues = (queue,)
    task.blocked = record
    loop._blocked.add(task)
    loop._dequeue(task)
    queue.add(task, mask)
    task.voluntary += 1
    put(group, fields.voluntary, PyLong_AsLong(cython.cast(object, get(group, fields.voluntary))) + 1)
    return record


def may_wait(task):
    return task.blocked is None and task.going_on is None and isinstance(task.loop, Turns) and calm(task)


# -- calls


def socket_of(task, fd):
    """The open socket of a descriptor; None for anything else, and for one that only names it (O_PATH)."""
    found: cython.pointer(PyObject) = file_of(task, fd)
    if found == cython.NULL or class_of(cython.cast(object, found)) != socket_class:
        return None
    file: object = cython.cast(object, found)
    return None if PyLong_AsLong(cython.cast(object, get(file, fields.flags))) & _path else file


@cython.cclass
class Quick(Resumed):
    """A call as far as it is done at once; `plain` does the rest.

    again, interrupted, where a call may wait: how one that waits goes on, and what an interruption makes of it."""

    def __init__(self, plain):
        self.plain = plain

    def at_once(self, task, a, result):
        """CALL_DONE, with a result; CALL_WAITS: it waits now; CALL_OPEN: nothing has been done. a: its number, then its
        arguments. Of a task of the class that `fields` knows."""
        return CALL_OPEN

    def __call__(self, task: Waiting, a0, a1, a2, a3, a4, a5):
        a: uint64_t[7]
        result: int64_t = 0
        loop: Turns
        if calm(task) and isinstance(task.loop, Turns):
            a[1], a[2] = PyLong_AsUnsignedLongLongMask(a0), PyLong_AsUnsignedLongLongMask(a1)
            a[3], a[4] = PyLong_AsUnsignedLongLongMask(a2), PyLong_AsUnsignedLongLongMask(a3)
            a[5], a[6] = PyLong_AsUnsignedLongLongMask(a4), PyLong_AsUnsignedLongLongMask(a5)
            call: object = task.engine._call_in_hand()
            if call is not None:
                a[0] = call[0]
                code: cython.int = self.at_once(task, a, cython.address(result))
                if code == CALL_DONE:
                    return result
                if code == CALL_WAITS:
                    loop = task.loop
                    if loop.current is task:
                        loop._come_out()
                    return None
        return self.plain(task, a0, a1, a2, a3, a4, a5)


@cython.cfunc
def _wait_to_read(
    task: Waiting,
    file: object,
    queue: WaitQueue,
    again: tuple,
    interrupted: object,
    a: cython.pointer(cython.const[uint64_t]),
) -> cython.int:
    record: Blocked = wait(task, file, queue, _pollin, again, interrupted)
    record.call = (a[0], a[1])
    record.held = (file,)
    hold(file)
    return CALL_WAITS


@cython.cfunc
def _rest(a: cython.pointer(cython.const[uint64_t])) -> tuple:
    """The user's memory of which nothing has been filled yet."""
    return ((a[2], min(a[3], cython.cast(uint64_t, MAX_RW_COUNT))),)


@cython.cfunc
def _finds_nothing(
    file: object, flags: cython.long, a: cython.pointer(cython.const[uint64_t]), result: cython.pointer(int64_t)
) -> cython.int:
    """Of a stream that gave nothing: CALL_DONE if that is what the call tells, CALL_WAITS if it is to wait for something."""
    end: End = cython.cast(End, get(file, fields.endpoint))
    if not a[3] or not is_user(a[2], a[3]) or not end.is_empty():
        return CALL_OPEN
    if flags & _nonblock:
        result[0] = -EAGAIN
        return CALL_DONE
    return CALL_WAITS if end.options.receive_timeout is None else CALL_OPEN


@cython.cclass
class Reading(Quick):
    """read(2) of pipes and streams."""

    def __init__(self, plain, again, interrupted):
        self.plain, self.again, self.interrupted = plain, again, interrupted
        resumed[again] = self

    def at_once(self, task, a, result):
        found: cython.pointer(PyObject) = file_of(task, a[1])
        done: cython.Py_ssize_t
        if found == cython.NULL:
            return CALL_OPEN
        file: object = cython.cast(object, found)
        flags: cython.long = PyLong_AsLong(cython.cast(object, get(file, fields.flags)))
        if class_of(file) == socket_class and not flags & _path:
            done = self.received(task, file, a[2], a[3])
            code: cython.int = CALL_DONE if done >= 0 else _finds_nothing(file, flags, a, result)
            if done >= 0:
                result[0] = done
            if code != CALL_WAITS:
                return code
            if not may_wait(task):
                return CALL_OPEN
            end: End = cython.cast(End, get(file, fields.endpoint))
            return _wait_to_read(task, file, end.queue, (self.again, (file, _rest(a), None)), self.interrupted, a)
        if class_of(file) != end_class:
            return CALL_OPEN
        if flags & _accmode == _wronly or flags & _accmode == _accmode or flags & _path:
            return CALL_OPEN
        done = take_out(task, file, a[2], a[3])
        if done >= 0:
            result[0] = done
            return CALL_DONE
        pipe: object = cython.cast(object, get(file, fields.pipe))
        if flags & _nonblock or not a[3] or not is_user(a[2], a[3]) or cython.cast(object, get(pipe, fields.slots)):
            return CALL_OPEN
        if flags & _accmode or PyLong_AsLong(cython.cast(object, get(pipe, fields.writers))) == 0 or not may_wait(task):
            return CALL_OPEN
        queue: WaitQueue = cython.cast(WaitQueue, get(pipe, fields.to_read))
        return _wait_to_read(task, file, queue, (self.again, (file, _rest(a), None)), self.interrupted, a)

    def received(self, task, file, address, count):
        """What has come to a stream; -1 where that is not all there is to it."""
        done: cython.Py_ssize_t = cython.cast(End, get(file, fields.endpoint)).take(task, address, count)
        if done >= 0:
            tally_of(task).read(done)
        return done

    def go_on(self, task, record):
        _, data = record.again  # unpacked, not indexed: a file may say that it is shorter than that
        file, rest, _ = data
        if len(rest) != 1 or cython.cast(object, get(task, fields.machine)).watches is not None:
            return -1
        ((address, count),) = rest
        if class_of(file) == socket_class:
            return self.received(task, file, address, count)
        return take_out(task, file, address, count) if class_of(file) == end_class else -1


@cython.cclass
class Writing(Quick):
    """write(2) of pipes and streams."""

    def at_once(self, task, a, result):
        found: cython.pointer(PyObject) = file_of(task, a[1])
        done: cython.Py_ssize_t = -1
        if found == cython.NULL:
            return CALL_OPEN
        file: object = cython.cast(object, found)
        flags: cython.long = PyLong_AsLong(cython.cast(object, get(file, fields.flags)))
        if flags & _path:
            return CALL_OPEN
        if class_of(file) == socket_class:
            done = cython.cast(End, get(file, fields.endpoint)).put(task, a[2], a[3])
            if done >= 0:
                tally_of(task).wrote(done)
        elif class_of(file) == end_class and flags & _accmode == _wronly and not flags & _direct:
            done = put_in(task, file, a[2], a[3])
        if done < 0:
            return CALL_OPEN
        result[0] = done
        return CALL_DONE


@cython.cclass
class Receiving(Quick):
    """recvfrom(2) of streams, without an address. end: how one ends, without an address."""

    def __init__(self, plain, again, interrupted, end):
        self.plain, self.again, self.interrupted, self.end = plain, again, interrupted, end
        self.plainly = (0, 1, None, 0)
        resumed[again] = self

    def at_once(self, task, a, result):
        file: object = socket_of(task, a[1])
        if file is None or a[4] & ~_dontwait or a[5]:
            return CALL_OPEN
        flags: cython.long = PyLong_AsLong(cython.cast(object, get(file, fields.flags)))
        end: End = cython.cast(End, get(file, fields.endpoint))
        done: cython.Py_ssize_t = end.take(task, a[2], a[3])
        if done >= 0:
            result[0] = done
            return CALL_DONE
        code: cython.int = _finds_nothing(file, _nonblock if a[4] else flags, a, result)
        if code != CALL_WAITS:
            return code
        if not may_wait(task):
            return CALL_OPEN
        data: tuple = (file, _rest(a), 0, 1, None, 0, self.end)
        return _wait_to_read(task, file, end.queue, (self.again, data), self.interrupted, a)

    def go_on(self, task, record):
        _, again = record.again
        data: tuple = again
        if len(data) != 7 or data[2:6] != self.plainly or data[6] != self.end:
            return -1
        file, rest = data[0], data[1]
        if class_of(file) != socket_class or len(rest) != 1:
            return -1
        ((address, count),) = rest
        return cython.cast(End, get(file, fields.endpoint)).take(task, address, count)


@cython.cclass
class Sending(Quick):
    """sendto(2) of streams, without an address."""

    def at_once(self, task, a, result):
        file: object = socket_of(task, a[1])
        if file is None or a[4] & ~(_dontwait | _nosignal) or a[5]:
            return CALL_OPEN
        done: cython.Py_ssize_t = cython.cast(End, get(file, fields.endpoint)).put(task, a[2], a[3])
        if done < 0:
            return CALL_OPEN
        result[0] = done
        return CALL_DONE


@cython.cclass
class AtWord(Quick):
    """futex(2): waiting for ever at a word of one's own memory, and waking who does. awake: how a wait goes on; bits: what
    a plain wake is an event of."""

    def __init__(self, plain, awake, bits):
        self.plain, self.again, self.bits = plain, (awake, ()), bits
        resumed[awake] = self

    def at_once(self, task, a, result):
        address: uint64_t = a[1]
        op: uint64_t = a[2] & _low
        value: uint64_t = a[3] & _low
        now: uint32_t = 0
        queue: WaitQueue
        if op | 1 != _private | 1 or address & 3 or not is_user(address, 4):
            return CALL_OPEN
        table: object = cython.cast(object, get(task, fields.machine)).futexes
        key: tuple = (cython.cast(object, get(task, fields.mm)), address)
        word: object
        if op & 1:
            word = table.get(key)
            if word is None:
                result[0] = 0
                return CALL_DONE
            if cython.cast(object, get(word, fields.inheriting)):
                return CALL_OPEN
            queue = cython.cast(WaitQueue, get(word, fields.queue))
            result[0] = queue.wake(self.bits, value if 0 < value < 0x8000_0000 else 1)
            return CALL_DONE
        if a[4] or not transfer(task._space, address, cython.cast(cython.p_char, cython.address(now)), 4, READ):
            return CALL_OPEN
        if now != value:
            result[0] = -EAGAIN
            return CALL_DONE
        if not may_wait(task):
            return CALL_OPEN
        word = table.word(key)
        if class_of(word) != word_class:
            return CALL_OPEN
        queue = cython.cast(WaitQueue, get(word, fields.queue))
        record: Blocked = wait(task, word, queue, _any, self.again, None)
        record.call = (a[0], address)
        return CALL_WAITS

    def go_on(self, task, record):
        return 0
