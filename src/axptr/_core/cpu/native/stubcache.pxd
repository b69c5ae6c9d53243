from libc.stdint cimport int64_t, uint64_t
from axptr._core.cpu.native.stub cimport Stub
from axptr._core.mm.space cimport SpaceCore
from axptr._core.phys.phys cimport PhysMemory

cdef bint in_the_way(SpaceCore space, uint64_t base) noexcept nogil

cdef class StubCache:
    cdef PhysMemory phys
    cdef dict kept                 # by its id; the one that was used last is the last
    cdef list dying                # the space is no more, and has not let go of them yet
    cdef list spares               # whose space has gone, or goes just now, with nothing in them: for the next
    cdef int limit, most_spares
    cdef bint traps_counter        # rdtsc is a fault of theirs
    cdef bint unseen               # some have run, of which that was not noted
    cdef int64_t spent             # CPU time of all of them so far, as far as noted, nanoseconds
    cdef readonly uint64_t made

    cdef Stub find(self, SpaceCore space)
    cdef Stub of_space(self, SpaceCore space)
    cdef int used(self, Stub stub) except -1
    cdef int oust(self, Stub stub) except -1
    cdef bint goes_on(self, Stub stub)
    cdef int bring_out(self, Stub stub) except -1
    cdef int keep(self, Stub stub, SpaceCore space) except -1
    cdef bint fit(self, Stub stub) noexcept
    cdef int end(self, Stub stub) except -1
    cdef int remember(self, Stub stub) except -1
    cdef int bury(self, Stub stub) except -1
    cdef int clean_up(self) except -1
    cdef int end_oldest(self) except -1
    cdef bint may_serve(self, Stub stub) except *
    cdef int lay_aside(self, Stub stub) except -1
    cdef Stub take_spare(self, SpaceCore space)
    cdef int drop(self, Stub stub) except -1
    cdef int settle(self, Stub busy) except -1
    cdef int64_t account(self, Stub stub) except -1
    cdef int64_t catch_up(self, Stub but) except -1
