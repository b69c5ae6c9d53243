cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from axptr._core.paging.format cimport CFormat
from axptr._core.phys.phys cimport PhysMemory
from axptr._core.words.codes cimport PAGE_SHIFT

# A walk over the entries in use of a range, upwards. Meanwhile entries may change and tables come, but none may go.
cdef struct Leaves:
    uint64_t* slot         # the entry in hand ...
    uint64_t at            # ... and the address of its page
    uint64_t* table        # the last-level table in hand, or NULL; `base` is the first address that it covers
    uint64_t base
    uint64_t index         # its entry to look at next, and how many it has in the range
    uint64_t count
    uint64_t next          # where to look for the next table
    uint64_t last          # the last address of the range
    bint over              # no table comes after that in hand
    uint8_t* memory        # the frames, the format and the root of the table
    const CFormat* fmt
    uint64_t root

cdef inline uint64_t* slots(PhysMemory phys, uint64_t table) noexcept nogil:
    return <uint64_t*>(phys.base + table)

cdef uint64_t* leaf_slot(PhysMemory phys, const CFormat* fmt, uint64_t root, uint64_t vaddr) noexcept nogil
cdef uint64_t* make_slot(PhysMemory phys, const CFormat* fmt, uint64_t root, uint64_t vaddr) noexcept nogil
cdef bint open_table(Leaves* walk) noexcept nogil
cdef void prune(PhysMemory phys, const CFormat* fmt, uint64_t root, uint64_t first, uint64_t last) noexcept nogil
cdef void free_tables(PhysMemory phys, const CFormat* fmt, uint64_t table, uint32_t level) noexcept nogil

# The walk over [first, last], before its first entry.
cdef inline Leaves leaves_in(PhysMemory phys, const CFormat* fmt, uint64_t root, uint64_t first, uint64_t last) noexcept nogil:
    cdef Leaves walk
    walk.table = NULL
    walk.next = first
    walk.last = last
    walk.over = False
    walk.memory = phys.base
    walk.fmt = fmt
    walk.root = root
    return walk

# On to the next entry in use; False at the end.
cdef inline bint next_leaf(Leaves* walk) noexcept nogil:
    while walk.table != NULL or open_table(walk):
        while walk.index < walk.count:
            walk.slot = walk.table + walk.index
            walk.index += 1
            if walk.slot[0]:
                walk.at = walk.base + ((walk.index - 1) << PAGE_SHIFT)
                return True
        walk.table = NULL
    return False

# Go on at `to`, an address ahead.
cdef inline void skip_leaves(Leaves* walk, uint64_t to) noexcept nogil:
    if walk.table != NULL and (to - walk.base) >> PAGE_SHIFT < walk.count:
        walk.index = (to - walk.base) >> PAGE_SHIFT
    else:
        walk.table = NULL
        walk.next = to
        walk.over = False
