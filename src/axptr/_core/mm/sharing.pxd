from libc.stdint cimport uint64_t
from axptr._core.mm.store cimport FrameStoreBody
from axptr._core.phys.phys cimport PhysMemory

cdef int store_own(FrameStoreBody* body, PhysMemory phys, uint64_t slot) noexcept nogil
