cimport cython
from libc.stdint cimport uint32_t, uint64_t
from axptr._core.phys cimport PhysMemory

# What kind of thing supplies the pages of an area: Backend.kind and AreaRec.kind.
cdef enum:
    KIND_ALLOC = 0         # zeroed frames, private
    KIND_LINEAR = 1        # given physical addresses
    KIND_STORE = 2         # a FrameStore

# A page number -> frame map that code without the GIL can search.
cdef struct FrameStoreBody:
    uint64_t* keys         # page number + 1; 0 is a free slot
    uint32_t* pfns
    uint64_t capacity      # a power of two
    uint64_t count
    int fd                 # the file that supplies missing pages; -1: they are zero

cdef uint64_t store_get(FrameStoreBody* body, uint64_t page) noexcept nogil
cdef int store_put(FrameStoreBody* body, uint64_t page, uint64_t pfn) noexcept nogil
cdef int store_fill(FrameStoreBody* body, PhysMemory phys, uint64_t page, uint64_t* pfn) noexcept nogil

cdef class FrameStore:
    cdef FrameStoreBody body
    cdef readonly PhysMemory phys
    cdef readonly object label
    cdef object __weakref__

cdef class Backend:
    cdef readonly int kind
    cdef readonly bint shared
    cdef readonly uint64_t offset    # bytes into the backing (or a physical address) at the area's start
    cdef readonly FrameStore store
