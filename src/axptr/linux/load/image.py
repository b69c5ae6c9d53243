"""Mapping a program: its segments and its interpreter's, as Linux does, whatever the headers say.

Segments may overlap, come out of order, lie anywhere and end past the file: each is mapped over what is there, and a
page that the file does not have is SIGBUS when it is touched. Numbers wrap at 64 bits as they do in the kernel. What
cannot be mapped is `LoadFailed`: the old program is gone by then, and the process dies. There is no randomization: a
run with the same input takes the same path. Source: fs/binfmt_elf.c of Linux 6.18.

    0x555555554000  a position-independent program; its heap follows the bss
    ...
    0x7ffff7fff000  mmap_base: interpreter and mappings, downwards
    0x7ffffffff000  top of the stack, downwards
"""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError, UserFault
from ..abi.mman import (
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    PROT_EXEC,
    PROT_FLAGS,
    PROT_READ,
    PROT_WRITE,
)
from ..mem.vma import PAGE, place
from ..uaccess import USER_END
from .elf import (
    PF_R,
    PF_W,
    PF_X,
    Elf,
    Segment,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..mem.mm import Mm
    from .loader import Executable, Program

PIE_BASE = USER_END // 3 * 2
"""ELF_ET_DYN_BASE."""

_MASK = (1 << 64) - 1


class LoadFailed(LinuxError):
    """What could not be mapped, past the point of no return: the process is killed by SIGSEGV."""


class Image:
    """What was loaded where. All addresses final.

    vdso: where the image lies that tells the time, 0 without. entry: the program's own. start: where to begin (the
    interpreter's entry if there is one). interp_base: 0 without one. phdr, phnum: for the auxiliary vector.
    """

    vdso = entry = start = interp_base = phdr = phnum = 0


def _page(address: int) -> int:
    return address & -PAGE & _MASK


def _page_up(address: int) -> int:
    return (address + PAGE - 1) & -PAGE & _MASK


def load(mm: Mm, program: Program) -> Image:
    """Map a program and its interpreter into a space that has its stack, and note where code, data and heap are.

    Raises `LoadFailed`, or `LinuxError(ENOMEM)` when there are no frames; the space is to be given up then.
    """
    elf, image = program.elf, Image()
    bias = _map_program(mm, program.file, elf, program.interp is not None)
    image.entry = image.start = (elf.entry + bias) & _MASK
    if program.interp is not None and program.interp_file is not None:
        image.interp_base = _map_interpreter(mm, program.interp_file, program.interp, bias)
        image.start = (image.interp_base + program.interp.entry) & _MASK
    if image.start >= USER_END:
        raise LoadFailed(errno.EINVAL, f"ELF file whose entry point {image.start:#x} is not in user space")
    image.phdr, image.phnum = bias, elf.phnum
    for s in elf.segments:
        if s.offset <= elf.phoff < (s.offset + s.filesz) & _MASK:
            image.phdr = (bias + elf.phoff - s.offset + s.vaddr) & _MASK
    _note_ranges(mm, elf, bias, program.interp is not None)
    return image


def _note_ranges(mm: Mm, elf: Elf, bias: int, interpreted: bool) -> None:
    code = [s for s in elf.segments if s.flags & PF_X]
    brk = max([0, *(s.vaddr + s.memsz for s in elf.segments)]) + bias
    if elf.dynamic and not interpreted:  # it lies among the mappings, where a heap has no room
        brk = PIE_BASE
    mm.start_heap(_page_up(brk))
    mm.space.bounds.update(
        start_code=(min([_MASK, *(s.vaddr for s in code)]) + bias) & _MASK,
        end_code=(max([0, *(s.vaddr + s.filesz for s in code)]) + bias) & _MASK,
        start_data=(max([0, *(s.vaddr for s in elf.segments)]) + bias) & _MASK,
        end_data=(max([0, *(s.vaddr + s.filesz for s in elf.segments)]) + bias) & _MASK,
    )


def _total_size(elf: Elf) -> int:
    """total_mapping_size: from the first page to the last byte of all segments; 0 without any."""
    if not elf.segments:
        return 0
    low = min(_page(s.vaddr) for s in elf.segments)
    return (max((s.vaddr + s.memsz) & _MASK for s in elf.segments) - low) & _MASK


def _map_program(mm: Mm, file: Executable, elf: Elf, interpreted: bool) -> int:
    """Map the segments; the difference between where they are and what the file says."""
    bias, total, how = 0, 0, MAP_FIXED_NOREPLACE
    for i, s in enumerate(elf.segments):
        if i:
            how = MAP_FIXED
        elif elf.dynamic:
            total, how = _total_size(elf), 0
            if not total:
                raise LoadFailed(errno.EINVAL, "ELF file whose segments have no size")
            align = elf.alignment
            base = 0
            if interpreted:
                base, how = PIE_BASE & -align, MAP_FIXED_NOREPLACE
            elif align > PAGE:
                # Its place is found first, then lowered to what the alignment asks for.
                base = _map_segment(mm, file, 0, s, how, total)
                if base >= USER_END:
                    raise LoadFailed(errno.EINVAL, "ELF file with a segment that does not fit the address space")
                _unmap(mm, base, total)
                base, how = base & -align, MAP_FIXED_NOREPLACE
            bias = _page(base - s.vaddr)
        wanted = (bias + s.vaddr) & _MASK
        at = _map_segment(mm, file, wanted, s, how, total)
        if at >= USER_END:
            raise LoadFailed(errno.EINVAL, "ELF file with a segment that does not fit the address space")
        if not i and elf.dynamic:
            bias = (bias + at - _page(wanted)) & _MASK
        total = 0
        _require_fit(s, s.vaddr)
    return bias


def _map_interpreter(mm: Mm, file: Executable, elf: Elf, program_bias: int) -> int:
    """load_elf_interp: like a program, but put where there is room."""
    if not elf.runnable:
        raise LoadFailed(errno.ENOEXEC, "an interpreter that is neither a program nor a shared object")
    total, base = _total_size(elf), 0
    if not total:
        raise LoadFailed(errno.EINVAL, "an interpreter without anything to load")
    for i, s in enumerate(elf.segments):
        how = MAP_FIXED if i or not elf.dynamic else 0
        if not i and elf.dynamic and program_bias:
            base = -s.vaddr & _MASK
        at = _map_segment(mm, file, (base + s.vaddr) & _MASK, s, how, total)
        if at >= USER_END:
            raise LoadFailed(errno.EINVAL, "an interpreter that does not fit the address space")
        if not i and elf.dynamic:
            base = (at - _page(s.vaddr)) & _MASK
        total = 0
        _require_fit(s, (base + s.vaddr) & _MASK)
    return base


def _require_fit(s: Segment, start: int) -> None:
    if start >= USER_END or s.filesz > s.memsz or s.memsz > USER_END or start > USER_END - s.memsz:
        raise LoadFailed(errno.EINVAL, "ELF file with a segment that does not fit the address space")


def _map_segment(mm: Mm, file: Executable, address: int, s: Segment, how: int, total: int) -> int:
    """elf_load: the pages of the file, zeroes behind them to the end of the last, then zeroed pages.

    Where it went. The zeroed pages are readable and writable whatever the segment asks for, as on Linux.
    """
    within = s.vaddr & (PAGE - 1)
    prot = (s.flags & PF_R and PROT_READ) | (s.flags & PF_W and PROT_WRITE) | (s.flags & PF_X and PROT_EXEC)
    if s.filesz:
        at = _map_pages(mm, file, address, s, prot, how, total)
        if at >= USER_END or s.memsz <= s.filesz:
            return at
        zeroes = (at + within + s.filesz) & _MASK
        _zero_page_end(mm, zeroes, bool(prot & PROT_WRITE))
    else:
        at = zeroes = _page(address)
        if not s.memsz:
            return at
    start, end = _page_up(zeroes), _page_up(at + within + s.memsz)
    _map_zeroes(mm, start, (end - start) & _MASK, prot & PROT_EXEC)
    return at


def _map_pages(mm: Mm, file: Executable, address: int, s: Segment, prot: int, how: int, total: int) -> int:
    """elf_map. total: what all segments take; the first to be mapped makes sure of a place for them."""
    within = s.vaddr & (PAGE - 1)
    size, start = _page_up(s.filesz + within), _page(address)
    offset = (s.offset - within) & _MASK
    if not size:
        return start
    length = _page_up(total) if total else size
    if offset & (PAGE - 1):
        raise LoadFailed(errno.EINVAL, "ELF file with a segment whose offset and address disagree")
    if not length or offset + length > _MASK:
        raise LoadFailed(errno.EINVAL, "ELF file with a segment beyond any file")
    at = _find_place(mm, start, length, how)
    try:
        file.file.require_range(offset + length)
    except LinuxError as error:
        raise LoadFailed(error.errno, "ELF file with a segment beyond any file") from None
    backend = file.file.mapping(mm.space.phys, offset, shared=False)
    if backend is None:
        raise LoadFailed(errno.ENODEV, "an ELF file that cannot be mapped")
    kept = min(length, size)
    mm.space.map(at, kept, PROT_FLAGS[prot], backend, replace=True, name=os.fsdecode(file.path))
    if prot == PROT_EXEC:
        mm.space.set_read_unasked(at, kept, True)
    if length > size:
        _unmap(mm, at + size, length - size)
    return at


def _find_place(mm: Mm, start: int, length: int, how: int) -> int:
    try:
        return place(mm, start, length, how)
    except LinuxError as error:
        raise LoadFailed(error.errno, "ELF file with a segment that does not fit the address space") from None


def _unmap(mm: Mm, start: int, size: int) -> None:
    size = _page_up(size)
    if size and start <= USER_END and size <= USER_END - start:
        mm.space.unmap(start, size)


def _zero_page_end(mm: Mm, start: int, must: bool) -> None:
    """padzero: the rest of the file's last page. Where nothing may be written the bytes of the file stay there."""
    size = -start % PAGE
    if not size or not must:
        return
    try:
        mm.space.write(start, bytes(size))
    except UserFault:
        raise LoadFailed(errno.EFAULT, "truncated ELF file: a segment is cut off") from None


def _map_zeroes(mm: Mm, start: int, size: int, executable: int) -> None:
    """vm_brk_flags: over whatever is there."""
    if not size:
        return
    if size > mm.host.memory_size:  # __vm_enough_memory, OVERCOMMIT_GUESS; the machine has no swap
        raise LoadFailed(errno.ENOMEM, "ELF file whose zeroed memory is larger than the machine's")
    _find_place(mm, start, size, MAP_FIXED)
    mm.space.map_alloc(start, size, PROT_FLAGS[PROT_READ | PROT_WRITE | executable], replace=True)
