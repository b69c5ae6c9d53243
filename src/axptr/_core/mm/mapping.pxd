from libc.stdint cimport uint32_t, uint64_t
cimport cython
from axptr._core.mm.areas cimport AreaRec
from axptr._core.mm.frames cimport Backend
from axptr._core.mm.space cimport SpaceCore

cdef class MappedSpace(SpaceCore):
    # Lock held, and the GIL. `gone` begins a chain for `retire`, of what was there before.
    cdef int enter_area(self, uint64_t first, uint64_t last, uint32_t flags, Backend backend, uint64_t offset, object name,
                        uint64_t grow_limit, AreaRec** gone) except -1
    cdef AreaRec* take_out(self, uint64_t first, uint64_t last) except? NULL
    cdef int allow(self, uint64_t first, uint64_t last, uint32_t flags) except -1
