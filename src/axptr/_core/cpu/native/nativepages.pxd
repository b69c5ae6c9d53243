from libc.stdint cimport int64_t, uint64_t
from axptr._core.cpu.native.nativestate cimport NativeState
from axptr._core.cpu.native.stubcache cimport StubCache
from axptr._core.mm.space cimport SpaceCore
from axptr._core.phys.phys cimport PhysMemory

cdef uint64_t many_waiting

cdef class NativePages(NativeState):
    cdef readonly PhysMemory phys
    cdef SpaceCore mmu             # the space the CPU sees, or None
    cdef int64_t deadline          # of the run under way, nanoseconds of clock_now(); 0 is none
    cdef int around, ahead, window
    cdef uint64_t next_page        # where the next write is expected
    cdef StubCache cache           # the stubs, that of `mmu` among them
    cdef readonly uint64_t fills

    cdef int need_stub(self) except -1
    cdef int leave_stub(self) except -1
    cdef int drop_stub(self) except -1
    cdef void settle(self) noexcept nogil
    cdef int fill(self, uint64_t vaddr, int access) noexcept nogil
    cdef int try_fill(self, uint64_t page, int access) noexcept nogil
    cdef void fill_around(self, uint64_t page) noexcept nogil
    cdef void fill_ahead(self, uint64_t page) noexcept nogil
