cimport cython
from libc.stdint cimport uint64_t
from axptr._core.mm.store cimport FrameStoreBody, StoreKey
from axptr._core.phys.phys cimport PhysMemory

cdef class FrameStore:
    cdef FrameStoreBody body
    cdef readonly PhysMemory phys
    cdef StoreKey key
    cdef readonly object label
    cdef public object device      # st_dev and st_ino of the file; 0 for memory
    cdef public object inode
    cdef object __weakref__
    cdef int put_copy(self, uint64_t page, uint64_t source) noexcept nogil

cdef class Backend:
    cdef readonly int kind
    cdef readonly bint shared
    cdef readonly bint sealed        # may never become writable
    cdef readonly uint64_t offset    # bytes into the backing (or a physical address) at the area's start
    cdef readonly FrameStore store
