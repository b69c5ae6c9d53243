"""Numbers of mmap(2) and mprotect(2), and the flags of areas for them. Source: mman-common.h, mman.h of x86."""

from __future__ import annotations

from ...flags import MappingFlags

PROT_READ, PROT_WRITE, PROT_EXEC, PROT_SEM = 1, 2, 4, 8
PROT_GROWSDOWN, PROT_GROWSUP = 0x0100_0000, 0x0200_0000

MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_TYPE = 1, 2, 3, 15
MAP_FIXED, MAP_ANONYMOUS, MAP_32BIT, MAP_GROWSDOWN = 0x10, 0x20, 0x40, 0x100
MAP_LOCKED, MAP_POPULATE, MAP_NONBLOCK = 0x2000, 0x8000, 0x10000
MAP_HUGETLB, MAP_FIXED_NOREPLACE = 0x40000, 0x100000
# What MAP_SHARED_VALIDATE lets pass: with another flag it is EOPNOTSUPP.
LEGACY_MAP_MASK = 0x0003 | 0x0070 | 0x0100 | 0x0800 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000 | 0x400_0000
LEGACY_MAP_MASK |= 0x40000 | 21 << 26 | 30 << 26
_U = MappingFlags.USER
PROT_FLAGS = [_U | MappingFlags(prot) for prot in range(8)]  # PROT_* and MappingFlags share their low three bits
PROT_FLAGS[PROT_EXEC] |= MappingFlags.READ  # a CPU without protection keys cannot keep a program from reading its code
