# cython: nonecheck=True
"""Calls that ask what is ready, as far as they are done at once (`quick` says what that means): what an epoll is to watch
of sockets, what is ready of it, a poll of a few descriptors that has something to tell.

Not here: what an epoll is (`eventpoll`), the calls in full (`axptr.linux.calls.epoll`, `axptr.linux.calls.poll`).

Source: epoll_ctl(2), epoll_wait(2), poll(2); structures are those of x86-64.
"""

import cython
from cython.cimports.axptr._core.cpu.metronome import clock_now
from cython.cimports.axptr._core.cpu.running import CALL_DONE, CALL_OPEN, CALL_WAITS
from cython.cimports.axptr._core.kernel.atonce import is_user, there, transfer
from cython.cimports.axptr._core.kernel.eventpoll import (
    EPOLLERR,
    EPOLLEXCLUSIVE,
    EPOLLHUP,
    EPOLLWAKEUP,
    Entry,
    EventPoll,
    events_of,
    queue_of,
)
from cython.cimports.axptr._core.kernel.fields import (
    class_of,
    epoll_class,
    fields,
    get,
    get_of,
    hold,
    socket_class,
)
from cython.cimports.axptr._core.kernel.pieces import file_of
from cython.cimports.axptr._core.kernel.quick import may_wait, socket_of, wait
from cython.cimports.axptr._core.kernel.turns import Turns
from cython.cimports.axptr._core.kernel.waiting import Blocked, Waiting, WaitQueue, resumed
from cython.cimports.axptr._core.words.codes import READ, WRITE
from cython.cimports.cpython.dict import PyDict_GetItem
from cython.cimports.cpython.long import PyLong_AsLong
from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy

_low = cython.declare(uint64_t, 0xFFFF_FFFF)
_path = cython.declare(cython.long, 0o10000000)
_add = cython.declare(uint64_t, 1)
_del = cython.declare(uint64_t, 2)
_mod = cython.declare(uint64_t, 3)
_event = cython.declare(cython.Py_ssize_t, 12)  # bytes of a struct epoll_event
_in = cython.declare(object, 1)
_most = cython.declare(cython.Py_ssize_t, 0x7FFF_FFFF // 12)  # events that a call may ask for
_few = 16  # descriptors


@cython.cfunc
def _epoll_of(task: Waiting, fd: uint64_t) -> EventPoll:
    """The set behind a descriptor; None for another file."""
    file: cython.pointer(PyObject) = file_of(task, fd)
    if file == cython.NULL or class_of(cython.cast(object, file)) != epoll_class:
        return None
    return cython.cast(EventPoll, get_of(file, fields.set))


@cython.cclass
class EpollControl(Quick):
    """epoll_ctl(2) of sockets."""

    def at_once(self, task, a, result):
        raw: uint8_t[12]
        events: uint32_t
        data: uint64_t
        op: uint64_t = a[2] & _low
        epoll: EventPoll = _epoll_of(task, a[1])
        if epoll is None or op < _add or op > _mod or (op != _del and not is_user(a[4], _event)):
            return CALL_OPEN
        file: object = socket_of(task, a[3])
        if file is None:
            return CALL_OPEN
        fd: object = a[3] & _low
        found: cython.pointer(PyObject) = PyDict_GetItem(epoll.entries, (fd, file))
        result[0] = 0
        if (found == cython.NULL) != (op == _add):
            return CALL_OPEN
        if op == _del:
            entry: Entry = cython.cast(Entry, found)  # held until it is nobody's any more
            epoll.remove(entry)
            return CALL_DONE
        if not transfer(task._space, a[4], cython.cast(cython.p_char, raw), _event, READ):
            return CALL_OPEN
        memcpy(cython.address(events), raw, 4)
        memcpy(cython.address(data), raw + 4, 8)
        if events & EPOLLEXCLUSIVE:
            return CALL_OPEN
        events &= ~cython.cast(uint32_t, EPOLLWAKEUP)
        if op == _mod:
            if cython.cast(Entry, found).exclusive:
                return CALL_OPEN
            epoll.change(cython.cast(Entry, found), events, data)
        elif type(queue_of(file)) is WaitQueue:
            epoll.add(None, fd, file, events, data)
        else:  # the host tells of it
            return CALL_OPEN
        return CALL_DONE


@cython.cclass
class EpollWaiting(Quick):
    """epoll_wait(2), and epoll_pwait(2) without a mask. masks: whether there is one, in its fifth argument."""

    def __init__(self, plain, again, interrupted, masks):
        self.plain, self.again, self.interrupted, self.masks = plain, again, interrupted, masks
        resumed[again] = self

    def at_once(self, task, a, result):
        most: int32_t = cython.cast(int32_t, a[3])
        timeout: int32_t = cython.cast(int32_t, a[4])
        until: object = None
        loop: Turns
        epoll: EventPoll = _epoll_of(task, a[1])
        if epoll is None or most <= 0 or most > _most or (a[5] and self.masks):
            return CALL_OPEN
        if not is_user(a[2], cython.cast(uint64_t, most) * _event):
            return CALL_OPEN
        told: cython.Py_ssize_t = self.tell(task, epoll, a[2], most)
        if told > 0 or (told == 0 and timeout == 0):
            result[0] = told
            return CALL_DONE
        if told < 0 or not task.host_time or not may_wait(task):
            return CALL_OPEN
        loop = task.loop
        file: object = cython.cast(object, file_of(task, a[1]))
        if timeout > 0:
            until = clock_now() * 1e-9 + timeout / 1000.0
        again: tuple = (self.again, (file, a[2], most, until, None))  # no mask, and of this architecture: see `go_on`
        record: Blocked = wait(task, epoll, epoll.queue, _in, again, self.interrupted)
        if until is not None:
            record.until = until
            record.timer = loop.timers.set(until, task.time_over)
        record.call = (a[0], a[1])
        record.held = (file,)
        hold(file)
        return CALL_WAITS

    def tell(self, task, epoll, events, most):
        """How many are ready, and the program has been told of; -1 where that is not plain."""
        raw: uint8_t[12]
        ready: uint32_t
        done: cython.Py_ssize_t = 0
        entry: Entry
        wanted: cython.Py_ssize_t = min(most, len(epoll.listed))
        if epoll.outside:
            return -1
        if wanted == 0:
            return 0
        if not there(task._space, events, wanted * _event, WRITE):
            return -1
        found: list = epoll.collect(most)
        for entry, events_now in found:
            ready = events_now
            memcpy(raw, cython.address(ready), 4)
            memcpy(raw + 4, cython.address(entry.data), 8)
            if not transfer(task._space, events + done * _event, cython.cast(cython.p_char, raw), _event, WRITE):
                epoll.keep([one for one, _ in found[done:]])
                break
            epoll.told(entry)
            done += 1
        epoll.done()
        return done if done or not found else -1

    def go_on(self, task, record):
        _, data = record.again
        file, events, most, _, masked = data
        if masked is not None or class_of(file) != epoll_class:
            return -1
        told: cython.Py_ssize_t = self.tell(task, cython.cast(EventPoll, get(file, fields.set)), events, most)
        return told if told > 0 else -1


@cython.cclass
class Polling(Quick):
    """poll(2) of a few descriptors, one of which is ready, or nobody waits. limit: of how many a task may ask."""

    def __init__(self, plain, limit):
        self.plain, self.limit = plain, limit

    def at_once(self, task, a, result):
        raw: uint8_t[128]
        fd: int32_t
        asked: uint16_t
        ready: uint16_t
        size: uint64_t = (a[2] & _low) * 8
        at: uint64_t
        count: int64_t = 0
        file: cython.pointer(PyObject)
        if size == 0 or size > 8 * _few or size > 8 * cython.cast(uint64_t, self.limit(task)):
            return CALL_OPEN
        if not is_user(a[1], size) or not there(task._space, a[1], size, WRITE):
            return CALL_OPEN
        if not transfer(task._space, a[1], cython.cast(cython.p_char, raw), size, READ):
            return CALL_OPEN
        for at in range(0, size, 8):
            memcpy(cython.address(fd), raw + at, 4)
            memcpy(cython.address(asked), raw + at + 4, 2)
            ready = 0
            if fd >= 0:
                file = file_of(task, fd)
                if file == cython.NULL or cython.cast(object, file).poll_fd is not None:
                    return CALL_OPEN
                if PyLong_AsLong(cython.cast(object, get_of(file, fields.flags))) & _path:
                    return CALL_OPEN
                if class_of(cython.cast(object, file)) == socket_class:
                    ready = cython.cast(uint16_t, events_of(cython.cast(object, file), asked | EPOLLERR | EPOLLHUP))
                else:
                    ready = cython.cast(object, file).ready_to(task, asked | EPOLLERR | EPOLLHUP | 32)
            memcpy(raw + at + 6, cython.address(ready), 2)
            count += ready != 0
        if not count and a[3] & _low:
            return CALL_OPEN
        for at in range(6, size, 8):  # nothing but the answers: what was asked may be another's by now
            if not transfer(task._space, a[1] + at, cython.cast(cython.p_char, raw + at), 2, WRITE):
                return CALL_OPEN
        result[0] = count
        return CALL_DONE
