# Numbers that the core and Python share. Each is written here and nowhere else: `codes.py` hands them to Python as plain
# ints. What only C needs stands with its owner (frame flags in `phys`, kinds of values in `codec`).
from libc.stdint cimport uint64_t

# Bits of MappingFlags: the accesses, and what besides a page table says of a page.
cpdef enum:
    READ = 1
    WRITE = 2
    EXECUTE = 4
    USER = 8
    DEVICE = 16
    UNCACHED = 32
    ACCESS = 7             # READ | WRITE | EXECUTE: what an access may ask for
    MEMORY_TYPE = 48       # DEVICE | UNCACHED

# Pages are 4 KiB, as frames are.
cpdef enum:
    PAGE_SHIFT = 12
    PAGE_SIZE = 4096
    IN_PAGE = 4095         # the bits of an address that lie inside its page

# What became of a fault. PYTHON: a user's function must supply the page, call again with the GIL through
# `fault_python`. RETRY: an engine must apply what it was asked to (flush, drop code), then ask again.
cpdef enum:
    FAULT_OK = 0
    FAULT_UNMAPPED = 1
    FAULT_PROTECTION = 2
    FAULT_RANGE = 3
    FAULT_BACKING = 4
    FAULT_NOT_MEMORY = 5
    FAULT_NOMEM = 6
    FAULT_PYTHON = 7
    FAULT_RETRY = 8
    FAULT_MISALIGNED = 9
    FAULT_FORKED = 10      # the memory belongs to the parent process
    FAULT_TOOLONG = 11     # no terminator within the caller's limit
    FAULT_WATCHED = 12     # it would be allowed, and a debugger wants to be told of it first

# What kind of thing supplies the pages of an area: Backend.kind and AreaRec.kind.
cpdef enum:
    KIND_ALLOC = 0         # zeroed frames, private
    KIND_LINEAR = 1        # given physical addresses
    KIND_STORE = 2         # a FrameStore
    KIND_PAGER = 3         # a user's function supplies the bytes of a page
    KIND_MMIO = 4          # a user's functions are called for each access; no frames

# What else is true of an area.
cpdef enum:
    TRAIT_OMIT = 1         # a clone does not have it
    TRAIT_WIPE = 2         # a clone has it without its pages
    TRAIT_SEALED = 4       # it may never become writable
    TRAIT_LOCKED = 8       # its owner asked that its pages stay (mlock); a clone does not ask
    TRAIT_ON_FAULT = 16    # and that only once they are there (mlock2)
    TRAIT_UNASKED = 32     # its owner did not ask for READ, which the CPU cannot take from what it executes
    TRAITS = 63
    TRAITS_OF_CLONES = 3   # OMIT | WIPE: the rule for clones, one of three

# Marks of a listed page (`pages`), in the low bits of its address.
cpdef enum:
    MARK_DIRTY = 1         # it was written
    MARK_ZERO = 2          # all its bytes are zero

# Bounds.
cpdef enum:
    MAX_RW_COUNT = 0x7FFFF000      # bytes that one transfer may have (`INT_MAX & PAGE_MASK`, read(2))
    IOV_MAX = 1024                 # segments that one array may have (UIO_MAXIOV)
    GUARD_GAP = 0x100000           # what Linux keeps free under a growing stack (mm/mmap.c, stack_guard_gap)
    GROWN_AT_ONCE = 0x1000000      # that a large result grows by: what a guest's count says is never allocated up front

# The first byte of an address's page.
cdef inline uint64_t page_start(uint64_t vaddr) noexcept nogil:
    return vaddr & ~(<uint64_t>IN_PAGE)
