"""A new program's stack: strings, auxiliary vector, envp, argv, argc. Source: getauxval(3), fs/binfmt_elf.c.

    STACK_TOP - 8    zero
                     execfn, environment strings, argument strings
                     platform "x86_64", 16 random bytes
    16-aligned       auxv pairs ending in AT_NULL
                     envp, NULL; argv, NULL
    rsp              argc

The area holds what is written and a page more; it grows downwards on a fault, up to the stack limit.
"""

from __future__ import annotations

import errno
import os
from struct import pack
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..flags import MappingFlags
from .loader import PAGE, STACK_TOP

if TYPE_CHECKING:
    from ..mm.space import AddrSpace
    from .loader import Image

STACK_LIMIT = 8 << 20
_MAX_STRING = 32 * PAGE
_MAX_STRINGS = STACK_LIMIT // 4

AT_NULL, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY = 0, 3, 4, 5, 6, 7, 8, 9
AT_UID, AT_EUID, AT_GID, AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK, AT_SECURE = 11, 12, 13, 14, 15, 16, 17, 23
AT_RANDOM, AT_HWCAP2, AT_EXECFN, AT_MINSIGSTKSZ = 25, 26, 31, 51

HWCAP = 0x078BFBFD
"""CPUID leaf 1, EDX, as Unicorn's default CPU gives it; nothing that programs rely on."""


def build_stack(
    space: AddrSpace, image: Image, argv: list[bytes], environ: list[bytes], execfn: bytes
) -> tuple[int, bytes]:
    """Map the stack into `space` and fill it; `(rsp, auxv bytes)`.

    Raises `LinuxError`: E2BIG if a string or all of them are too long, ENOMEM.
    """
    strings = [s + b"\0" for s in (*argv, *environ)]
    total = sum(map(len, strings)) + len(execfn) + 1 + 8 * len(strings)
    if total > _MAX_STRINGS or any(len(s) > _MAX_STRING for s in strings):
        raise LinuxError(errno.E2BIG)

    at = STACK_TOP - 8 - len(execfn) - 1
    top = execfn + b"\0" + bytes(8)
    execfn_at = at
    blob = b"".join(strings)
    at -= len(blob)
    pointers, where = [], at
    for s in strings:
        pointers.append(where)
        where += len(s)
    top = blob + top

    platform = b"x86_64\0"
    below = at
    at = (at & ~15) - 16 - 16
    random_at, platform_at = at, at + 16
    top = os.urandom(16) + platform + bytes(below - platform_at - len(platform)) + top

    pairs = [
        (AT_HWCAP, HWCAP), (AT_PAGESZ, PAGE), (AT_CLKTCK, 100), (AT_PHDR, image.phdr), (AT_PHENT, 56),
        (AT_PHNUM, image.phnum), (AT_BASE, image.interp_base), (AT_FLAGS, 0), (AT_ENTRY, image.entry),
        (AT_UID, os.getuid()), (AT_EUID, os.geteuid()), (AT_GID, os.getgid()), (AT_EGID, os.getegid()),
        (AT_SECURE, 0), (AT_RANDOM, random_at), (AT_HWCAP2, 0), (AT_EXECFN, execfn_at),
        (AT_PLATFORM, platform_at), (AT_MINSIGSTKSZ, 2048), (AT_NULL, 0),
    ]  # fmt: skip
    auxv = b"".join(pack("<QQ", *pair) for pair in pairs)
    nargs = len(argv)
    words = [nargs, *pointers[:nargs], 0, *pointers[nargs:], 0]
    table = pack(f"<{len(words)}Q", *words) + auxv
    rsp = (at - len(table)) & ~15
    top = table + bytes(at - rsp - len(table)) + top

    flags = MappingFlags.READ | MappingFlags.WRITE | MappingFlags.USER
    if image.executable_stack:
        flags |= MappingFlags.EXECUTE
    start = (rsp & ~(PAGE - 1)) - 32 * PAGE
    space.map_alloc(start, STACK_TOP - start, flags, name="[stack]", grows_down=max(STACK_LIMIT, STACK_TOP - start))
    space.write(rsp, top)
    return rsp, auxv
