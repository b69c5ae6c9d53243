"""What CPUs must hear of frames: an engine may have cached translations to them, and code made of their bytes.

An engine that shares the memory has an `EngineLink`; under the lock it is told what to drop, and drops it before the guest's
next instruction. Until it has, a frame that nobody holds any more waits in quarantine: it must not get another owner
while the engine may still write to it.

Not here: who holds a frame (`phys`, which derives from this class and frees what has waited), what an engine does with what it
is told (`cpu`).

Locking: all under `lock`. Failure: a note that finds no room has the engine drop everything; a frame that cannot be noted as
watched is not watched.
"""

import cython
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE, FRAME_WAITING, FRAME_WATCHED, EngineLink
from cython.cimports.axptr._core.phys.hostmem import HostMemory
from cython.cimports.axptr._core.words.lock import axptr_thread
from cython.cimports.libc.stdint import uint8_t, uint32_t
from cython.cimports.libc.stdlib import free, realloc


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
        grown: cython.p_void
        if self.flags[pfn] & FRAME_WAITING:
            return True  # held anew and given up again meanwhile
        if self.nengines == 0 or not self.engine_running():
            return False
        self.flags[pfn] |= FRAME_WAITING
        if self.nquarantine == self.quarantine_capacity:
            grown = realloc(self.quarantine, (self.quarantine_capacity * 2 + 256) * 4)
            if grown == cython.NULL:
                # Without a note of it the frame must stay out of use: a leak until the end, never a mix-up.
                return True
            self.quarantine = cython.cast(cython.pointer(uint32_t), grown)
            self.quarantine_capacity = self.quarantine_capacity * 2 + 256
        self.quarantine[self.nquarantine] = cython.cast(uint32_t, pfn)
        self.nquarantine += 1
        return True

    def engine_running(self):
        i: uint32_t
        for i in range(self.nengines):
            if self.engines[i].running:
                return True
        return False

    def others_stale(self, link):
        """Whether another engine may be using translations that it was asked to drop."""
        i: uint32_t
        for i in range(self.nengines):
            if self.engines[i] != link and self.engines[i].running and self.engines[i].need_flush:
                return True
        return False

    def request_flush(self, link):
        link.need_flush = 1
        if link.running and link.owner != axptr_thread():
            link.stop(link.handle)

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
            self.request_flush(link)

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
        """The engine has dropped what it was asked to drop. Lock held."""
        i: uint32_t
        link.need_flush = 0
        link.ndrop = 0
        link.drop_all = 0
        for i in range(self.nengines):
            if self.engines[i].running and self.engines[i].need_flush:
                return
        while self.nquarantine:
            self.nquarantine -= 1
            i = self.quarantine[self.nquarantine]
            self.flags[i] &= ~cython.cast(uint8_t, FRAME_WAITING)
            if self.refs[i] == 0 and self.pins[i] == 0:
                self.free_frame(i)

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
