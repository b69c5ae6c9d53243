"""A new program's stack: strings, auxiliary vector, envp, argv, argc. Source: getauxval(3), fs/exec.c, fs/binfmt_elf.c.

    STACK_TOP - 8    zero
                     execfn, environment strings, argument strings
                     platform "x86_64", 16 random bytes
                     auxv pairs ending in AT_NULL
                     envp, NULL; argv, NULL
    rsp, 16-aligned  argc

Strings come first, as on Linux: `map_stack` judges and places them before anything else is mapped, `push_tables` puts
the rest below when it is known where the program is. The area holds the strings and 128 KiB more, if the stack
limit allows as much; it grows downwards on a fault, up to that limit, for the tables of many strings too.
"""

from __future__ import annotations

import errno
from struct import pack

from ...addr import PAGE_SIZE as PAGE
from ...errors import LinuxError, UserFault
from ...flags import MappingFlags
from ..abi.layouts import RSEQ_ALIGN, RSEQ_FEATURE_SIZE
from ..mem.mm import STACK_TOP
from ..uaccess import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..arch.x86_64.cpu import Cpu
    from ..mem.mm import Mm
    from ..task.creds import Credentials
    from .image import Image

STACK_LIMIT = 8 << 20
_EXPANSION = 128 << 10
_MAX_STRING = 32 * PAGE
_MOST_STRINGS, _LEAST_STRINGS = STACK_LIMIT // 4 * 3, 128 << 10

AT_NULL, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY = 0, 3, 4, 5, 6, 7, 8, 9
AT_UID, AT_EUID, AT_GID, AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK, AT_SECURE = 11, 12, 13, 14, 15, 16, 17, 23
AT_SYSINFO_EHDR = 33
AT_RANDOM, AT_HWCAP2, AT_RSEQ_FEATURE_SIZE, AT_RSEQ_ALIGN, AT_EXECFN, AT_MINSIGSTKSZ = 25, 26, 27, 28, 31, 51


def strings_limit(stack_limit: int) -> int:
    """Bytes that the strings of a new program and the pointers to them may take (bprm_stack_limits)."""
    return max(min(_MOST_STRINGS, stack_limit // 4), _LEAST_STRINGS)


class Strings:
    """The strings of a new program: how many there are, and where: argc, envc, lowest (the first byte), execfn."""

    __slots__ = ("argc", "envc", "execfn", "lowest")

    def __init__(self, argc: int, envc: int, lowest: int, execfn: int) -> None:
        self.argc = argc
        self.envc = envc
        self.lowest = lowest
        self.execfn = execfn


def map_stack(
    mm: Mm,
    argv: list[bytes],
    environ: list[bytes],
    execfn: bytes,
    *,
    executable: bool = False,
    stack_limit: int = STACK_LIMIT,
) -> Strings:
    """Map the stack and put the strings there. `LinuxError`: E2BIG if one or all of them are too long, ENOMEM."""
    strings = [s + b"\0" for s in (*argv, *environ)]
    room = strings_limit(stack_limit) - 8 * (max(len(argv), 1) + len(environ))
    blob = b"".join(strings)
    if len(blob) + len(execfn) + 1 > room or any(len(s) > _MAX_STRING for s in (*strings, execfn + b"\0")):
        raise LinuxError(errno.E2BIG)

    execfn_at = STACK_TOP - 8 - len(execfn) - 1
    lowest = execfn_at - len(blob)
    flags = MappingFlags.READ | MappingFlags.WRITE | MappingFlags.USER
    if executable:
        flags |= MappingFlags.EXECUTE
    least, most = STACK_TOP - (lowest & -PAGE), min(stack_limit, STACK_TOP) & -PAGE
    if least > most:  # each page of strings is a stack's that grows (get_arg_page)
        raise LinuxError(errno.E2BIG)
    start = STACK_TOP - min(least + _EXPANSION, most)  # setup_arg_pages
    reach = max(min(stack_limit, STACK_TOP), STACK_TOP - start)
    mm.space.map_alloc(start, STACK_TOP - start, flags, name="[stack]", grows_down=reach)
    mm.space.write(lowest, blob + execfn + bytes(9))
    return Strings(len(argv), len(environ), lowest, execfn_at)


def _find_strings(mm: Mm, start: int, count: int) -> tuple[list[int], int]:
    """Where `count` strings begin from `start` on, and the end of the last: in memory as it is now.

    EINVAL if there are not as many: a segment was mapped over them.
    """
    try:
        data = mm.space.read(start, STACK_TOP - start)
    except UserFault as fault:
        data = mm.space.read(start, fault.completed)
    found, at = [], 0
    for _ in range(count):
        end = data.find(b"\0", at, at + _MAX_STRING) + 1
        if not end:
            raise LinuxError(errno.EINVAL, "ELF file with a segment over the arguments")
        found.append(start + at)
        at = end
    return found, start + at


def push_tables(mm: Mm, strings: Strings, image: Image, cpu: Cpu, creds: Credentials) -> int:
    """Put the rest of the stack below the strings (create_elf_tables), and note the auxiliary vector; rsp.

    `LinuxError`: EFAULT or EINVAL if the program's segments lie there now, ENOMEM.
    """
    (uid, euid, _), (gid, egid, _) = creds.shown_ids()
    host, platform = mm.host, b"x86_64\0"
    platform_at = (strings.lowest & -16) - len(platform)
    random_at = platform_at - 16
    pairs = [
        *([(AT_SYSINFO_EHDR, image.vdso)] if image.vdso else []),
        (AT_MINSIGSTKSZ, cpu.frame), (AT_HWCAP, cpu.hwcap), (AT_PAGESZ, PAGE), (AT_CLKTCK, 100), (AT_PHDR, image.phdr),
        (AT_PHENT, 56), (AT_PHNUM, image.phnum), (AT_BASE, image.interp_base), (AT_FLAGS, 0), (AT_ENTRY, image.entry),
        (AT_UID, uid), (AT_EUID, euid), (AT_GID, gid), (AT_EGID, egid),
        (AT_SECURE, int(creds.set_id)), (AT_RANDOM, random_at), (AT_HWCAP2, cpu.hwcap2), (AT_EXECFN, strings.execfn),
        (AT_RSEQ_FEATURE_SIZE, RSEQ_FEATURE_SIZE), (AT_RSEQ_ALIGN, RSEQ_ALIGN),
        (AT_PLATFORM, platform_at), (AT_NULL, 0),
    ]  # fmt: skip
    mm.auxv = b"".join(pack("<QQ", *pair) for pair in pairs)
    argv, arg_end = _find_strings(mm, strings.lowest, strings.argc)
    environ, env_end = _find_strings(mm, arg_end, strings.envc)
    mm.space.bounds.update(arg_start=strings.lowest, arg_end=arg_end, env_start=arg_end, env_end=env_end)
    words = [strings.argc, *argv, 0, *environ, 0]
    rsp = (random_at - len(mm.auxv) - 8 * len(words)) & -16
    table = pack(f"<{len(words)}Q", *words) + mm.auxv
    whole = table.ljust(random_at - rsp, b"\0") + host.random(16) + platform
    try:
        # As the program would: the stack grows if they need more (find_extend_vma).
        Bytes(rsp).write_slice(mm.space, whole)
    except UserFault as fault:
        raise LinuxError(errno.EFAULT, str(fault)) from None
    mm.space.bounds["start_stack"] = rsp
    return rsp
