cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    MOST_LEVELS = 5
    MOST_LIMITS = 4
    RESERVED = 0xFF        # what no row of a format's table has

cdef struct CLevel:
    uint32_t shift
    uint32_t mask          # entries of a table, less one
    uint64_t leaf_mask, leaf_value, leaf_bits, reserved

cdef struct CLimit:
    uint64_t mask, value, sets, clears

# A PagingFormat, ready for the walker.
cdef struct CFormat:
    uint32_t nlevels
    uint32_t nlimits
    CLevel levels[5]
    uint64_t paddr_mask
    uint32_t paddr_shift
    uint32_t write_grants_read
    uint64_t valid
    uint64_t table_mask, table_value, table_bits, table_reserved
    uint64_t accessed, dirty, write_bits, clean_bits, kept, noread
    # A permission mask is two runs of bits at most: brought together, they are an index.
    uint32_t low_shift, high_shift
    uint64_t low_mask, high_mask
    uint32_t memory_shift
    uint64_t memory_mask
    uint8_t permissions[32]    # READ, WRITE, EXECUTE, USER; or RESERVED
    uint8_t memory[8]          # DEVICE, UNCACHED; or RESERVED
    uint64_t attributes[64]    # the bits for those MappingFlags, `dirty` never among them
    CLimit limits[4]
    uint64_t low_last          # last address that can be translated, of the lower half where there are two
    uint64_t high_first        # first one of the upper half; where there is none, `low_first`
    uint64_t low_first

cdef class FormatCode:
    cdef CFormat c
    cdef readonly object format

cdef FormatCode format_code(object fmt)

cdef inline uint64_t entry_paddr(const CFormat* fmt, uint64_t entry) noexcept nogil:
    return (entry & fmt.paddr_mask) << fmt.paddr_shift

cdef inline uint64_t entry_at(const CFormat* fmt, uint64_t paddr) noexcept nogil:
    return (paddr >> fmt.paddr_shift) & fmt.paddr_mask

cdef inline bint entry_valid(const CFormat* fmt, uint64_t entry) noexcept nogil:
    return (entry & fmt.valid) != 0

# Whether an entry, not of the last level, leads to another table.
cdef inline bint entry_table(const CFormat* fmt, uint64_t entry) noexcept nogil:
    return (entry & fmt.table_mask) == fmt.table_value and (entry & fmt.table_reserved) == 0

# READ, WRITE, EXECUTE and USER as a present page grants them; RESERVED for bits that stand for nothing.
cdef inline uint32_t entry_permissions(const CFormat* fmt, uint64_t entry) noexcept nogil:
    return fmt.permissions[((entry >> fmt.low_shift) & fmt.low_mask) | ((entry >> fmt.high_shift) & fmt.high_mask)]

# DEVICE and UNCACHED of a present page; RESERVED as above.
cdef inline uint32_t entry_memory(const CFormat* fmt, uint64_t entry) noexcept nogil:
    return fmt.memory[(entry >> fmt.memory_shift) & fmt.memory_mask]

# Whether an entry that leads to no table is a page at its level. Not so: not present, or reserved bits.
cdef inline bint entry_page(const CFormat* fmt, uint32_t level, uint64_t entry) noexcept nogil:
    return (
        fmt.levels[level].leaf_mask != 0
        and (entry & fmt.levels[level].leaf_mask) == fmt.levels[level].leaf_value
        and (entry & fmt.levels[level].reserved) == 0
        and entry_permissions(fmt, entry) != RESERVED
        and entry_memory(fmt, entry) != RESERVED
    )

# The entry with its dirty mark taken away: the next write is noticed again.
cdef inline uint64_t entry_clean(const CFormat* fmt, uint64_t entry) noexcept nogil:
    return (entry & ~fmt.dirty) | fmt.clean_bits

# What a table entry takes away from the pages below it: bits that count as set, and as clear.
cdef inline void narrow(const CFormat* fmt, uint64_t entry, uint64_t* sets, uint64_t* clears) noexcept nogil:
    cdef uint32_t i
    for i in range(fmt.nlimits):
        if (entry & fmt.limits[i].mask) == fmt.limits[i].value:
            sets[0] |= fmt.limits[i].sets
            clears[0] |= fmt.limits[i].clears

cdef inline bint translatable(const CFormat* fmt, uint64_t vaddr) noexcept nogil:
    return fmt.low_first <= vaddr <= fmt.low_last or vaddr >= fmt.high_first > fmt.low_last
