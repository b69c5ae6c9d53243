cimport cython
from libc.stdint cimport uint32_t, uint64_t
from axptr._core.mm.frames cimport FrameStore
from axptr._core.phys.phys cimport PhysMemory

# Frames side by side, shown as a read-only buffer. Holds a reference to each.
cdef class FrameSpan:
    cdef PhysMemory phys
    cdef uint64_t pfn
    cdef uint64_t npages

# Frames that are filled first and given to spaces and stores afterwards. Holds a reference to each.
cdef class FramePool:
    cdef PhysMemory phys
    cdef uint32_t* pfns        # 0 where a store has taken the frame; NULL where all lie side by side from `first` on
    cdef uint64_t first
    cdef uint64_t count
    cdef bint shows            # they show a file's pages, and are the memory's
    cdef readonly list shown   # which: physical address, number of the first, how many
    cdef uint64_t zero         # a frame of zeros that any number of pages may show; 0 until it is needed

    cdef int show(self, object files, uint64_t count) except -1
    cdef uint64_t frame(self, uint64_t index) noexcept
    cdef int copy_into(self, FrameStore store, uint64_t page, uint64_t pfn) except -1
