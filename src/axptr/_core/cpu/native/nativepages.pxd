from libc.stdint cimport uint32_t, uint64_t
from axptr._core.cpu.native.nativestate cimport NativeState
from axptr._core.cpu.native.parked cimport Parked
from axptr._core.cpu.native.stub cimport Stub
from axptr._core.cpu.native.stubcache cimport StubCache
from axptr._core.mm.points cimport Leave
from axptr._core.mm.space cimport SpaceCore

cdef uint64_t many_waiting

# A guest writes page after page: where it is expected next, above or below (1: nowhere), and how many pages it got last.
cdef struct Walk:
    uint64_t up, down
    int window

cdef class NativePages(NativeState):
    cdef int around, ahead
    cdef Walk walks[4]             # of those that go on, the latest
    cdef uint32_t next_walk        # which of them is given up for the next
    cdef Leave leave               # of what a debugger wants, in the run under way
    cdef StubCache cache           # the stubs, that of `mmu` among them
    cdef int was_kicked            # the clock has asked the guest that went aside in the run under way, which nobody has seen
    cdef bint many                 # a run of several guests is under way: see `crew`

    cdef int need_stub(self) except -1
    cdef int enter_stub(self, Stub stub) except -1
    cdef int leave_stub(self) except -1
    cdef int drop_stub(self) except -1
    cdef Parked put_aside(self)
    cdef int put_on(self, Parked parked, SpaceCore space) except -1
    cdef void settle(self) noexcept nogil
    cdef void begin_single(self, int single) noexcept
    cdef void review(self) noexcept
    cdef bint must_tell(self, uint64_t page, int access) noexcept nogil
    cdef int fill(self, uint64_t vaddr, int access) noexcept nogil
    cdef bint is_to_be_written(self, uint64_t page) noexcept nogil
    cdef void warm(self) noexcept nogil
    cdef int try_fill(self, uint64_t page, int access) noexcept nogil
    cdef void bring_ahead(self, uint64_t page, uint64_t *first, uint64_t *last) noexcept nogil
    cdef void find_run(self, uint64_t page, uint64_t *first, uint64_t *last) noexcept nogil
