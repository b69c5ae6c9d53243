# cython: nonecheck=True
"""What an epoll watches, and those of it that may be ready: Linux' struct eventpoll and epitem.

Each entry watches the queue of its file. An event puts the entry into the list of those that may be ready; whoever
waits then asks only those, so that a wait costs what is ready and not what is watched. An entry that is told of by
level stays in the list until it is found not ready; one by edge leaves it until the next event.

Not here: the open file, which epolls may watch which (`axptr.linux.files.epoll`), the calls.

Source: epoll(7), fs/eventpoll.c of Linux 6.18.
"""

import cython
from cython.cimports.axptr._core.kernel.eventpoll import (
    EPOLLERR,
    EPOLLEXCLUSIVE,
    EPOLLHUP,
    EPOLLIN,
    EPOLLONESHOT,
    EPOLLRDNORM,
    EPOLLWAKEUP,
)
from cython.cimports.axptr._core.kernel.fields import class_of, epoll_class, fields, get, socket_class
from cython.cimports.axptr._core.kernel.streams import End
from cython.cimports.axptr._core.kernel.waiting import WaitQueue, Watch
from cython.cimports.libc.stdint import uint32_t, uint64_t

_edge = cython.declare(uint32_t, 1 << 31)
_private = cython.declare(uint32_t, EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | 1 << 31)
_unasked = cython.declare(uint32_t, EPOLLERR | EPOLLHUP)
_in = cython.declare(object, EPOLLIN)
_in_norm = cython.declare(object, EPOLLIN | EPOLLRDNORM)
_one = cython.declare(object, 1)


def events_of(file, mask):
    if class_of(file) == socket_class:
        return cython.cast(End, get(file, fields.endpoint)).poll() & (mask | _unasked)
    return file.ready(mask)


def queue_of(file):
    """Who waits for an open file: a `WaitQueue`."""
    if class_of(file) == socket_class:
        return cython.cast(End, get(file, fields.endpoint)).queue
    return file.queue


@cython.cclass
class Entry(Watch):
    """One watched descriptor. events: as it was asked for; data: what the program is told with it."""

    def __init__(self, epoll: EventPoll, loop, fd, file, events: uint32_t, data: uint64_t):
        self.epoll = epoll
        self.loop = loop
        self.fd = fd
        self.file = file
        self.events = events | _unasked
        self.data = data
        self.exclusive = events & EPOLLEXCLUSIVE != 0
        if loop is not None:
            epoll.outside += 1

    def mask_now(self):
        """What it tells of; nothing once it has told (EPOLLONESHOT)."""
        return self.events & ~_private

    @property
    def mask(self):
        return self.mask_now()

    def ready_now(self):
        mask: uint32_t = self.mask_now()
        return events_of(self.file, mask) if mask else 0

    def ready(self):
        return self.ready_now()

    def wake(self, events):
        there: uint64_t = events
        return there & self.mask_now() != 0 and self.epoll.listen(self)

    def start(self):
        """Watch the file, and look at it once."""
        queue_of(self.file).add(self, self.mask_now())
        self.look()

    def forget(self):
        """The file is closed for good."""
        self.epoll.drop(self)

    def look(self):
        """List it if it is ready by now."""
        if self.ready_now() and self not in self.epoll.listed:
            self.epoll.listen(self)

    def stop(self):
        queue_of(self.file).remove(self)
        if self.loop is not None:
            self.epoll.outside -= 1

    def goes_outside(self, loop):
        if self.loop is None:
            self.epoll.outside += 1
        self.loop = loop


@cython.cclass
class EventPoll:
    """The set, which those wait for who are in epoll_wait: an event wakes one of them.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | owner: the open file | set once | the same | the same |
    | entries: by descriptor and open file | the machine's thread | the open file's, so shared | all of them |
    | listed: entries that may be ready, in order | the machine's thread | so shared | all of them |
    | outside: of how many entries the host tells | the machine's thread | so shared | the number |
    | queue, polled | the machine's thread | - | nothing: who waits says so |
    """

    def __cinit__(self):
        self.entries = {}
        self.listed = {}
        self.queue = WaitQueue()
        self.polled = WaitQueue()

    def __init__(self, owner):
        self.owner = owner

    def add(self, loop, fd, file, events, data):
        """Watch a file that is not watched yet."""
        entry: Entry = Entry(self, loop, fd, file, events, data)
        self.entries[fd, file] = entry
        cython.cast(list, get(file, fields.watchers)).append(entry)
        entry.start()

    def remove(self, entry):
        """Watch a file no more."""
        cython.cast(list, get(entry.file, fields.watchers)).remove(entry)
        self.drop(entry)

    def drop(self, entry):
        """Watch a file no more, of which it need not hear that."""
        entry.stop()
        self.listed.pop(entry, None)
        del self.entries[entry.fd, entry.file]
        if class_of(entry.file) == epoll_class:
            entry.file.left(self.owner)

    def ready(self, mask):
        """Whether an entry is ready; those that are found not to be leave the list, whatever was asked."""
        entry: Entry
        wanted: uint64_t = mask
        self.look_outside()
        for entry in list(self.listed):
            if entry.ready_now():
                return wanted & (EPOLLIN | EPOLLRDNORM)
            self.listed.pop(entry, None)
        return 0

    def look_outside(self):
        """Hear what the host has to tell by now of its files."""
        entry: Entry
        if self.outside:
            for entry in self.entries.values():
                if entry.loop is not None:
                    entry.loop.poller.poll(0.0)
                    return

    def listen(self, entry):
        """An entry may be ready. Whether somebody waits to be told."""
        if entry not in self.listed:
            self.listed[entry] = None
        woken: cython.Py_ssize_t = self.queue.wake(_in, _one)
        self.polled.wake(_in_norm)
        return woken != 0

    def change(self, entry, events, data):
        """Watch for other events."""
        entry.events, entry.data = events | _unasked, data
        queue: object = queue_of(entry.file)
        queue.change(entry, entry.mask_now())
        entry.look()

    def collect(self, most):
        """The first entries that are ready, with their events; they have left the list, and `told` settles which of
        them come back."""
        entry: Entry
        events: uint32_t
        found: list = []
        self.look_outside()
        for entry in list(self.listed):
            if len(found) == most:
                break
            self.listed.pop(entry, None)
            events = entry.ready_now()
            if events:
                found.append((entry, events))
        return found

    def told(self, entry):
        """The program has been told of it."""
        if entry.events & EPOLLONESHOT:
            entry.events &= _private
        elif not entry.events & _edge:
            self.listed[entry] = None

    def keep(self, entries):
        """The program could not be told of these: they are the first next time."""
        rest = list(self.listed)
        self.listed = dict.fromkeys([*entries, *rest])

    def done(self):
        """A look is over: if there is more, somebody else who waits may have it."""
        if self.listed:
            self.queue.wake(_in, _one)
