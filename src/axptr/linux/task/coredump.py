"""The core of a process that a signal ends: an ELF file that debuggers read. Source: core(5), fs/binfmt_elf.c
(elf_core_dump), linux/elfcore.h of Linux 6.18.

Written to a file of the host that the user names, by holes where nothing is. What of a mapping is in it is as
coredump_filter has it by default: what is the process's own, and the headers of programs and libraries. Numbers of
notes and the order of registers are x86-64's.
"""

from __future__ import annotations

import os
from contextlib import suppress
from struct import pack, unpack_from

from ...errors import GuestLost, LinuxError
from ...flags import EXECUTE, READ, WRITE
from ..abi.signals import Info
from ..proc.maps import PageKind, kind_of_page
from ..uaccess import get_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...mm.area import MemoryArea
    from .task import LinuxTask

_PAGE = 4096
_HEADER, _PROGRAM_HEADER = 64, 56
_NT_PRSTATUS, _NT_FPREGSET, _NT_PRPSINFO, _NT_AUXV = 1, 2, 3, 6
_NT_X86_XSTATE, _NT_SIGINFO, _NT_FILE = 0x202, 0x53494749, 0x46494C45
_FXSAVE = 512
_MAGIC1 = b"SXPF"
_MOST_HEADERS = 0xFFFF
_USEC = 1000


def write_core(task: LinuxTask, info: Info, path: str) -> None:
    """Write the core of the task's process, of which this thread took the signal. `OSError` if the file cannot be."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write(task, info, file)
    finally:
        os.close(file)


def _write(task: LinuxTask, info: Info, file: int) -> None:
    areas = task.space.areas()[: _MOST_HEADERS - 2]
    notes = _notes(task, info, areas)
    at = _HEADER + _PROGRAM_HEADER * (len(areas) + 1)
    headers = [pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), 0, 4)]  # PT_NOTE
    os.pwrite(file, notes, at)
    at = -(-(at + len(notes)) // _PAGE) * _PAGE
    for area in areas:
        size = _dump_area(task, area, file, at)
        flags = (4 if area.flags & READ else 0) | (2 if area.flags & WRITE else 0) | (1 if area.flags & EXECUTE else 0)
        headers.append(pack("<IIQQQQQQ", 1, flags, at, area.start, 0, size, area.size, _PAGE))
        at += size
    os.ftruncate(file, at)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf = pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, _HEADER, 0, 0, _HEADER, _PROGRAM_HEADER, len(headers), 0, 0, 0)
    os.pwrite(file, ident + elf + b"".join(headers), 0)


# -- memory


def _dump_area(task: LinuxTask, area: MemoryArea, file: int, at: int) -> int:
    """The bytes that the core has of an area; the pages that are there are written."""
    if not area.flags & (READ | WRITE):
        return 0
    of_file = area.backend.store is not None
    if of_file and (area.backend.shared or not _changed(task, area)):
        if area.offset or not area.flags & READ:
            return 0
        page = _page(task, area.start, fetch=True)
        if page is None or page[:4] != b"\x7fELF":
            return 0
        os.pwrite(file, page, at)
        return _PAGE
    pages = range(area.start, area.end, _PAGE) if of_file else task.space.resident_pages(area.start, area.size)
    for vaddr in pages:
        page = _page(task, vaddr, fetch=of_file)
        if page is not None:
            os.pwrite(file, page, at + vaddr - area.start)
    return area.size


def _changed(task: LinuxTask, area: MemoryArea) -> bool:
    """Whether a private mapping of a file has pages of its own (that it has an anon_vma)."""
    pages = task.space.resident_pages(area.start, area.size)
    return any(kind_of_page(task, vaddr) is PageKind.OWN for vaddr in pages)


def _page(task: LinuxTask, vaddr: int, *, fetch: bool) -> bytes | None:
    found = task.space.query(vaddr)
    if found is not None:
        paddr, _, size = found
        return task.space.phys.read(int(paddr) + vaddr % size if size > _PAGE else int(paddr), _PAGE)
    if not fetch:
        return None
    try:
        return get_bytes(task, vaddr, _PAGE)
    except LinuxError:
        return None  # beyond the end of the file


# -- notes


def _note(kind: int, data: bytes, owner: bytes = b"CORE\0") -> bytes:
    head = pack("<III", len(owner), len(data), kind) + owner.ljust(-(-len(owner) // 4) * 4, b"\0")
    return head + data.ljust(-(-len(data) // 4) * 4, b"\0")


def _notes(task: LinuxTask, info: Info, areas: list[MemoryArea]) -> bytes:
    """The thread that took the signal first, then the others."""
    others = [thread for thread in task.group.threads.values() if thread is not task and not thread.dead]
    made = b""
    for thread in (task, *others):
        loop = thread.loop
        try:
            context = loop.registers(thread) if loop is not None else None
        except GuestLost:
            context = None
        if context is None:
            continue
        made += _note(_NT_PRSTATUS, _status(thread, info, context))
        if thread is task:
            made += _note(_NT_PRPSINFO, _about(task))
            made += _note(_NT_SIGINFO, info.pack())
            made += _note(_NT_AUXV, task.mm.auxv)
            made += _note(_NT_FILE, _files(areas))
        made += _note(_NT_FPREGSET, _xstate(context.extended)[:_FXSAVE])
        if len(context.extended) > _FXSAVE:
            made += _note(_NT_X86_XSTATE, _xstate(context.extended), b"LINUX\0")
    return made


def _xstate(extended: bytes) -> bytes:
    """The XSAVE area, with what the CPU saves (xcr0) where a signal's frame would have its notes."""
    if extended[464:468] != _MAGIC1:
        return extended
    features, size = unpack_from("<QI", extended, 472)
    return (extended[:464] + pack("<Q", features) + bytes(40) + extended[_FXSAVE:])[:size]


def _status(task: LinuxTask, info: Info, context: Any) -> bytes:
    """struct elf_prstatus."""
    group, cpu = task.group, task.group.timers.cpu
    pending = task.signals.pending.mask
    head = pack("<iiihxxQQ", info.signal, info.code, 0, info.signal, pending, task.signals.blocked)
    head += pack("<iiii", task.tid, group.ppid, group.pgid, group.sid)
    for nanos in (cpu.user, cpu.system, group.waited.user, group.waited.system):
        head += pack("<qq", *divmod(nanos // _USEC, 10**6))
    registers = [context.read(name) for name in context.arch.registers[:27]]
    return head + pack("<27Q", *registers) + pack("<ixxxx", 1)


def _about(task: LinuxTask) -> bytes:
    """struct elf_prpsinfo."""
    group, mm = task.group, task.mm
    start, end = mm.args
    try:
        line = get_bytes(task, start, min(end - start, 79)).rstrip(b"\0").replace(b"\0", b" ") if end > start else b""
    except LinuxError:
        line = b""
    ids = pack("<IIiiii", task.creds.uid, task.creds.gid, group.tgid, group.ppid, group.pgid, group.sid)
    return (
        pack("<bcbbxxxxQ", 0, b"R", 0, task.nice, 0x400000) + ids + task.comm.ljust(16, b"\0") + line.ljust(80, b"\0")
    )


def _files(areas: list[MemoryArea]) -> bytes:
    """Which file is mapped where: counts, then triples, then names."""
    rows, names = b"", b""
    count = 0
    for area in areas:
        store = area.backend.store
        if store is None:
            continue
        reader, _ = store.descriptors
        name = os.fsencode(store.label)
        if reader >= 0:
            with suppress(OSError):
                name = os.readlink(b"/proc/self/fd/%d" % reader)
        rows += pack("<QQQ", area.start, area.end, area.offset // _PAGE)
        names += name + b"\0"
        count += 1
    return pack("<QQ", count, _PAGE) + rows + names
