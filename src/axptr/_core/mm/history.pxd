from libc.stdint cimport uint64_t
from cpython.object cimport PyObject, visitproc
cimport cython
from axptr._core.mm.areas cimport AreaRec
from axptr._core.mm.backing cimport BackedSpace
from axptr._core.mm.space cimport SpaceCore

cdef class History(BackedSpace):
    # Lock held.
    cdef int copy_areas(self, SpaceCore twin, bint whole) except -1
    cdef int copy_pages(self, SpaceCore twin, bint whole) noexcept nogil
    cdef int copy_in_place(self, SpaceCore frozen, AreaRec* rec, uint64_t at, uint64_t pfn, uint64_t wanted) noexcept nogil
    cdef void revert(self, SpaceCore frozen, uint64_t at) noexcept nogil
    cdef int reserve_tables(self, SpaceCore frozen) noexcept nogil
    cdef void prune_all(self) noexcept nogil
    cdef void note_views(self) noexcept nogil

cdef int areas_traverse(PyObject* self, visitproc visit, void* arg) except -1
cdef int areas_clear(object self) except -1
