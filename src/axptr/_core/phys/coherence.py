"""What CPUs must hear of frames: an engine may have cached translations to them, and code made of their bytes.

An engine that shares the memory has an `EngineLink`; under the lock it is told what to drop, by ranges of addresses as far as
there is room for them, and drops it before the guest's next instruction. Until it has, a frame that nobody holds any more
waits in quarantine: it must not get another owner while the engine may still write to it. Whoever gives a frame up has told
the engines of its space before, so that a frame waits only for those that have something stale at that moment.

Invariant: the quarantine is in the order of `since`; a frame in it waits for the engines that run and are stale since then or
longer.

Not here: who holds a frame (`phys`, which derives from this class and frees what has waited), what an engine does with what it
is told (`cpu`).

Locking: all under `lock`. Failure: a note that finds no room has the engine drop everything; a frame that cannot be noted as
watched is not watched.
"""

import cython
from cython.cimports.axptr._core.phys.coherence import (
    FRAME_CODE,
    FRAME_WAITING,
    FRAME_WATCHED,
    LINK_RANGES,
    EngineLink,
    StaleRange,
    Waiting,
)
from cython.cimports.axptr._core.phys.hostmem import HostMemory
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_thread, axptr_unlock
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.libc.string import memmove

_NEVER = cython.declare(uint64_t, cython.cast(uint64_t, -1))


# As of `PhysMemory`: not for the collector, and no objects here.
@cython.no_gc
@cython.cclass
class Coherence(HostMemory):
    def __dealloc__(self):
        free(self.quarantine)
        free(self.watched)
        free(self.engines)

    def free_frame(self, pfn):
        """Nobody holds the frame, and no engine has it cached. (`PhysMemory` has the books to enter that in.)"""

    def quarantine_frame(self, pfn):
        """Whether a frame that nobody holds must wait for an engine that may have it cached; then it does."""
        i: uint64_t
        if self.flags[pfn] & FRAME_WAITING:
            # Held anew and given up again meanwhile: it waits from now on. Those behind it wait with it.
            for i in range(self.quarantine_from, self.quarantine_from + self.nquarantine):
                if self.quarantine[i].pfn == pfn:
                    self.quarantine[i].since = self.epoch
            return True
        if self.nengines == 0 or self.oldest_stale() == _NEVER:
            return False
        self.flags[pfn] |= FRAME_WAITING
        if self.quarantine_from + self.nquarantine < self.quarantine_capacity or self.room_to_wait():
            self.quarantine[self.quarantine_from + self.nquarantine] = Waiting(pfn, self.epoch)
            self.nquarantine += 1
        return True  # without a note of it the frame must stay out of use: a leak until the end, never a mix-up

    def room_to_wait(self):
        """Make room in the quarantine: where frames have left it, or more."""
        grown: cython.p_void
        if self.nquarantine < self.quarantine_from:
            memmove(self.quarantine, self.quarantine + self.quarantine_from, self.nquarantine * cython.sizeof(Waiting))
            self.quarantine_from = 0
            return True
        grown = realloc(self.quarantine, (self.quarantine_capacity * 2 + 256) * cython.sizeof(Waiting))
        if grown == cython.NULL:
            return False
        self.quarantine = cython.cast(cython.pointer(Waiting), grown)
        self.quarantine_capacity = self.quarantine_capacity * 2 + 256
        return True

    def oldest_stale(self):
        """Since when an engine that runs has had something stale; the end of time if none has."""
        i: uint32_t
        oldest: uint64_t = _NEVER
        for i in range(self.nengines):
            if self.engines[i].running and self.engines[i].need_flush and self.engines[i].stale_since < oldest:
                oldest = self.engines[i].stale_since
        return oldest

    def others_stale(self, link):
        """Whether another engine may be using translations that it was asked to drop."""
        other: cython.pointer(EngineLink)
        i: uint32_t
        for i in range(self.nengines):
            other = self.engines[i]
            if other != link and other.running and not other.at_rest and other.need_flush:
                return True
        return False

    def fence(self):
        """Have those guests come out that this thread let run and that may still use what was taken from them: for whoever
        cannot wait for that until the call in hand returns. With the GIL, lock held."""
        link: cython.pointer(EngineLink)
        i: uint32_t
        for i in range(self.nengines):
            link = self.engines[i]
            if link.fence == cython.NULL or link.owner != axptr_thread():
                continue
            if link.running and not link.at_rest and link.need_flush:
                link.fence(link.runner)
        return 0

    def _fence(self):
        """The same, for Python."""
        axptr_lock_gil(self.lock)
        try:
            self.fence()
        finally:
            axptr_unlock(self.lock)

    def mark_stale(self, link):
        """There is something for the engine to drop."""
        if not link.need_flush:
            link.need_flush = 1
            self.epoch += 1
            link.stale_since = self.epoch

    def ask(self, link):
        """The same, and have a guest that runs come out for it."""
        self.mark_stale(link)
        if link.running and link.owner != axptr_thread():
            link.stop(link.handle)

    def request_flush(self, link):
        """All translations that the engine may have cached are stale."""
        link.all = 1
        link.nranges = 0
        self.ask(link)

    def request_range(self, link, first, last):
        """Those of the addresses [first, last] are."""
        there: cython.pointer(StaleRange)
        if not link.all:
            there = link.ranges + (link.nranges - 1) if link.nranges else cython.NULL
            # Ranges often come in order, or again and again the same.
            if there != cython.NULL and (first <= there.last or first == there.last + 1) and there.first <= last:
                if first < there.first:
                    there.first = first
                if last > there.last:
                    there.last = last
            elif link.nranges < LINK_RANGES:
                link.ranges[link.nranges] = StaleRange(first, last)
                link.nranges += 1
            else:
                link.all = 1
                link.nranges = 0
        self.ask(link)

    def code_changed(self, pfn):
        """The bytes of a frame that has had code translated have changed, or the frame changes hands."""
        i: uint32_t
        link: cython.pointer(EngineLink)
        grown: cython.p_void
        self.flags[pfn] &= ~cython.cast(uint8_t, FRAME_CODE)
        for i in range(self.nengines):
            link = self.engines[i]
            if link.ndrop == link.drop_capacity:
                grown = realloc(link.drop, (link.drop_capacity * 2 + 64) * 4)
                if grown == cython.NULL:
                    link.drop_all = 1
                    link.ndrop = 0
                else:
                    link.drop = cython.cast(cython.pointer(uint32_t), grown)
                    link.drop_capacity = link.drop_capacity * 2 + 64
            if link.ndrop < link.drop_capacity:
                link.drop[link.ndrop] = cython.cast(uint32_t, pfn)
                link.ndrop += 1
            self.ask(link)

    def watch(self, pfn):
        """This frame has had code translated and a live view shows it: see `drop_watched`."""
        grown: cython.p_void
        if self.flags[pfn] & FRAME_WATCHED:
            return
        if self.nwatched == self.watched_capacity:
            grown = realloc(self.watched, (self.watched_capacity * 2 + 16) * 4)
            if grown == cython.NULL:
                return
            self.watched = cython.cast(cython.pointer(uint32_t), grown)
            self.watched_capacity = self.watched_capacity * 2 + 16
        self.flags[pfn] |= FRAME_WATCHED
        self.watched[self.nwatched] = cython.cast(uint32_t, pfn)
        self.nwatched += 1

    def drop_watched(self, link):
        """Frames with translated code that a writable view shows may change unseen: drop their code again."""
        i: uint32_t = 0
        pfn: uint32_t
        while i < self.nwatched:
            pfn = self.watched[i]
            if self.pins[pfn] == 0:
                self.flags[pfn] &= ~cython.cast(uint8_t, FRAME_WATCHED)
                self.nwatched -= 1
                self.watched[i] = self.watched[self.nwatched]
            else:
                i += 1
            if self.flags[pfn] & FRAME_CODE:
                self.code_changed(pfn)

    def flushed(self, link):
        """The engine has dropped what it was asked to drop, and no instruction can use it any more. Lock held."""
        link.need_flush = 0
        link.all = 0
        link.nranges = 0
        link.ndrop = 0
        link.drop_all = 0
        if self.nquarantine:
            self.settle_quarantine()

    def settle_quarantine(self):
        """Free the frames that no engine can have cached any more."""
        pfn: uint64_t
        oldest: uint64_t = self.oldest_stale()
        while self.nquarantine and self.quarantine[self.quarantine_from].since < oldest:
            pfn = self.quarantine[self.quarantine_from].pfn
            self.quarantine_from += 1
            self.nquarantine -= 1
            self.flags[pfn] &= ~cython.cast(uint8_t, FRAME_WAITING)
            if self.refs[pfn] == 0 and self.pins[pfn] == 0:
                self.free_frame(pfn)
        if self.nquarantine == 0:
            self.quarantine_from = 0

    def add_engine(self, link):
        grown: cython.p_void = realloc(self.engines, (self.nengines + 1) * cython.sizeof(cython.p_void))
        if grown == cython.NULL:
            raise MemoryError
        self.engines = cython.cast(cython.pointer(cython.pointer(EngineLink)), grown)
        self.engines[self.nengines] = link
        self.nengines += 1
        return 0

    def remove_engine(self, link):
        i: uint32_t
        for i in range(self.nengines):
            if self.engines[i] == link:
                self.nengines -= 1
                self.engines[i] = self.engines[self.nengines]
                break
        link.running = 0
        self.flushed(link)
