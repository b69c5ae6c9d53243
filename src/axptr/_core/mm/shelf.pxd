from libc.stdint cimport uint64_t
from axptr._core.mm.store cimport FrameStoreBody, StoreKey
from axptr._core.phys.phys cimport PhysMemory

cdef enum:
    SHELF_PLACES = 64      # files at most

cdef struct Kept:
    StoreKey key
    FrameStoreBody body    # without descriptors
    uint64_t turn          # when it was laid there; 0: the place is empty

cdef struct Shelf:
    Kept places[SHELF_PLACES]
    uint64_t turns
    uint64_t most          # frames of all of them

cdef bint shelf_put(PhysMemory phys, StoreKey* key, FrameStoreBody* body) noexcept nogil
cdef bint shelf_take(PhysMemory phys, StoreKey* key, FrameStoreBody* body) noexcept nogil
