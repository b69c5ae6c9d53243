cimport cython
from libc.stdint cimport uint32_t, uint64_t
from axptr._core.paging.format cimport CFormat
from axptr._core.phys.phys cimport PhysMemory

# Where a walk over the leaves of a range stands: the last-level table in hand and the 2 MiB it covers.
cdef struct Cursor:
    uint64_t* table        # NULL before the first step
    uint64_t table_base    # first address the table covers

cdef inline uint64_t* slots(PhysMemory phys, uint64_t table) noexcept nogil:
    return <uint64_t*>(phys.base + table)

cdef uint64_t* leaf_slot(PhysMemory phys, const CFormat* fmt, uint64_t root, uint64_t vaddr) noexcept nogil
cdef uint64_t* make_slot(PhysMemory phys, const CFormat* fmt, uint64_t root, uint64_t vaddr) noexcept nogil
cdef uint64_t* next_leaf(PhysMemory phys, const CFormat* fmt, uint64_t root, Cursor* cursor, uint64_t* vaddr, uint64_t last) noexcept nogil
cdef void prune(PhysMemory phys, const CFormat* fmt, uint64_t root, uint64_t first, uint64_t last) noexcept nogil
cdef void free_tables(PhysMemory phys, const CFormat* fmt, uint64_t table, uint32_t level) noexcept nogil
