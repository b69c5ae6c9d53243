cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from axptr._core.phys cimport PhysMemory

cdef struct CLevel:
    uint32_t shift
    uint32_t mask          # entries of a table, less one
    uint32_t leaf
    uint64_t leaf_bits

# A PagingFormat, ready for the walker. `attributes[flags]` are the bits for those MappingFlags.
cdef struct CFormat:
    uint32_t nlevels
    CLevel levels[5]
    uint32_t va_bits
    uint32_t sign_extended
    uint64_t paddr_mask
    uint32_t paddr_shift
    uint64_t valid_mask, valid_value
    uint64_t table_mask, table_value, table_bits
    uint64_t accessed, dirty, kept, noread
    uint64_t write_bits    # what makes a leaf writable
    uint32_t write_grants_read
    uint64_t attributes[64]
    uint64_t flag_mask[6]
    uint64_t flag_value[6]

# Where a walk over the leaves of a range stands: the last-level table in hand and the 2 MiB it covers.
cdef struct Cursor:
    uint64_t* table        # NULL before the first step
    uint64_t table_base    # first address the table covers

cdef inline uint64_t entry_paddr(const CFormat* fmt, uint64_t entry) noexcept nogil:
    return (entry & fmt.paddr_mask) << fmt.paddr_shift

cdef inline uint64_t entry_at(const CFormat* fmt, uint64_t paddr) noexcept nogil:
    return (paddr >> fmt.paddr_shift) & fmt.paddr_mask

cdef inline bint entry_valid(const CFormat* fmt, uint64_t entry) noexcept nogil:
    return (entry & fmt.valid_mask) == fmt.valid_value

cdef uint64_t* leaf_slot(PhysMemory phys, const CFormat* fmt, uint64_t root, uint64_t vaddr) noexcept nogil
cdef uint64_t* make_slot(PhysMemory phys, const CFormat* fmt, uint64_t root, uint64_t vaddr) noexcept nogil
cdef uint64_t* next_leaf(PhysMemory phys, const CFormat* fmt, uint64_t root, Cursor* cursor, uint64_t* vaddr, uint64_t last) noexcept nogil
cdef void prune(PhysMemory phys, const CFormat* fmt, uint64_t root, uint64_t first, uint64_t last) noexcept nogil
cdef void free_tables(PhysMemory phys, const CFormat* fmt, uint64_t table, uint32_t level) noexcept nogil

cdef class PageTable:
    cdef readonly PhysMemory phys
    cdef readonly object source
    cdef readonly object format
    cdef CFormat fmt
    cdef uint64_t root_paddr
    cdef bint owned
    cdef uint64_t load(self, uint64_t paddr) except? 0xDEAD
    cdef uint64_t* find(self, uint64_t vaddr, uint32_t* level) noexcept nogil
    cdef uint64_t* mapped(self, object vaddr, uint32_t* level) except NULL
