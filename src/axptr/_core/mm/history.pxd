from libc.stdint cimport uint64_t
from cpython.object cimport PyObject, visitproc
cimport cython
from axptr._core.mm.areas cimport AreaRec
from axptr._core.mm.backing cimport BackedSpace
from axptr._core.mm.journal cimport Span
from axptr._core.mm.space cimport SpaceCore

# What a restore has made ready before it changes anything: copies of the records of then, `nentered` of them in the index,
# and room for those whose place they take.
cdef struct Restoration:
    AreaRec** copies
    AreaRec** gone
    uint64_t ncopies, nentered, ngone

cdef class History(BackedSpace):
    # Lock held.
    cdef int copy_areas(self, SpaceCore twin, bint whole) except -1
    cdef int copy_pages(self, SpaceCore twin, bint whole) noexcept nogil
    cdef uint64_t copy_pinned(self, uint64_t* slot, uint64_t rights, bint whole) noexcept nogil
    cdef void settle_journal(self) noexcept
    cdef int plan_areas(self, SpaceCore frozen, Restoration* plan) except -1
    cdef int copy_records(self, SpaceCore frozen, Span span, Restoration* plan) except -1
    cdef void shut_windows(self) noexcept nogil
    cdef void exchange_areas(self, Restoration* plan) noexcept nogil
    cdef void revert_pages(self, SpaceCore frozen) noexcept nogil
    cdef void join_all(self) noexcept
    cdef int copy_in_place(self, SpaceCore frozen, AreaRec* rec, uint64_t at, uint64_t pfn, uint64_t wanted) noexcept nogil
    cdef void revert(self, SpaceCore frozen, uint64_t at) noexcept nogil
    cdef bint revert_in_place(self, SpaceCore frozen, uint64_t at, bint* same) noexcept nogil
    cdef int reserve_tables(self, SpaceCore frozen) noexcept nogil
    cdef void prune_all(self) noexcept nogil
    cdef void note_views(self) noexcept nogil

cdef int areas_traverse(PyObject* self, visitproc visit, void* arg) except -1
cdef int areas_clear(object self) except -1
