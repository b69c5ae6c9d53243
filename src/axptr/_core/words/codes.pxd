# Bits of an access; the first three bits of MappingFlags.
cdef enum:
    READ = 1
    WRITE = 2
    EXECUTE = 4

# What became of a fault. PYTHON: a user's function must supply the page, call again with the GIL through
# `fault_python`. RETRY: an engine must apply what it was asked to (flush, drop code), then ask again.
cdef enum:
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
