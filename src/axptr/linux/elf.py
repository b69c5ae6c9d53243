"""The few headers of an ELF file that execve looks at, read without trust.

Only the file header, the program headers and the interpreter's name: what the kernel itself reads (elf(5),
fs/binfmt_elf.c). Every offset and count is checked against the file; what Linux would refuse is `ENOEXEC`, with a
line that says why. Sections, symbols and debug information are of no interest to a loader.
"""

from __future__ import annotations

import errno
import os
from struct import unpack_from

from ..errors import LinuxError

PT_LOAD, PT_INTERP, PT_GNU_STACK = 1, 3, 0x6474E551
PF_X, PF_W, PF_R = 1, 2, 4
ET_EXEC, ET_DYN = 2, 3
EM_X86_64 = 62

_EHDR_SIZE, _PHDR_SIZE = 64, 56
_PHDRS_MAX = 0x10000 // _PHDR_SIZE  # the kernel reads at most 64 KiB of them
_USER_END = 0x7FFF_FFFF_F000

_MACHINES = {
    2: "SPARC", 3: "i386 (32-bit x86)", 8: "MIPS", 20: "PowerPC", 21: "PowerPC64", 22: "s390x", 40: "ARM",
    62: "x86-64", 183: "AArch64", 243: "RISC-V", 258: "LoongArch",
}  # fmt: skip


class BadElf(LinuxError):
    """Not a program that can run here; `reason` is a phrase such as "truncated ELF file"."""

    def __init__(self, reason: str, code: int = errno.ENOEXEC) -> None:
        super().__init__(code, reason)
        self.reason = reason


class Segment:
    """A PT_LOAD: file bytes [offset, offset + filesz) at `vaddr`, then zeroes up to memsz. flags: PF_R, PF_W, PF_X."""

    __slots__ = ("filesz", "flags", "memsz", "offset", "vaddr")

    def __init__(self, vaddr: int, offset: int, filesz: int, memsz: int, flags: int) -> None:
        self.vaddr = vaddr
        self.offset = offset
        self.filesz = filesz
        self.memsz = memsz
        self.flags = flags


class Elf:
    """What the headers say.

    dynamic: position independent (ET_DYN). entry: before relocation. segments: in file order, ascending addresses.
    interpreter: its path, None if the program has none. phdr_vaddr: where the program headers will stand in memory,
    before relocation; 0 if no segment holds them. executable_stack: PT_GNU_STACK asks for one.
    align: the largest p_align of the segments, a power of two and at least a page.
    """

    def __init__(self, fd: int) -> None:
        """Reads and checks the headers of the open file. Raises `BadElf`, or `LinuxError(EIO)` and the like."""
        try:
            size = os.fstat(fd).st_size
            header = os.pread(fd, _EHDR_SIZE, 0)
        except OSError as error:
            raise LinuxError(error.errno or errno.EIO, error.strerror) from None
        self._check_header(header)
        e_type, _, _, entry, phoff, _, _, _, phentsize, phnum = unpack_from("<HHIQQQIHHH", header, 16)
        if e_type not in (ET_EXEC, ET_DYN):
            raise BadElf(f"ELF file of type {e_type}, neither a program nor a shared object")
        if phentsize != _PHDR_SIZE or not 1 <= phnum <= _PHDRS_MAX:
            raise BadElf("ELF file with broken program headers")
        table = os.pread(fd, phnum * _PHDR_SIZE, phoff) if phoff <= size else b""
        if len(table) < phnum * _PHDR_SIZE:
            raise BadElf("truncated ELF file: the program headers are missing")
        self.dynamic = e_type == ET_DYN
        self.entry: int = entry
        self.phnum: int = phnum
        self.interpreter: bytes | None = None
        self.executable_stack = False
        self.segments: list[Segment] = []
        self.align = 4096
        for i in range(phnum):
            self._segment(fd, size, *unpack_from("<IIQQQQQQ", table, i * _PHDR_SIZE))
        self._check_segments()
        self.phdr_vaddr = 0
        for s in self.segments:
            if s.offset <= phoff < s.offset + s.filesz:
                self.phdr_vaddr = phoff - s.offset + s.vaddr
                break

    @staticmethod
    def _check_header(header: bytes) -> None:
        if header[:4] != b"\x7fELF":
            raise BadElf("not an executable file: no ELF header")
        if len(header) < _EHDR_SIZE:
            raise BadElf("truncated ELF file: the file header is cut off")
        order = "<" if header[5] != 2 else ">"
        (machine,) = unpack_from(order + "H", header, 18)
        if machine != EM_X86_64 or header[5] != 1:
            raise BadElf(f"ELF file for another machine: {_MACHINES.get(machine, f'number {machine}')}, not x86-64")
        if header[4] != 2:
            raise BadElf("ELF file for the x32 ABI, not x86-64")

    def _segment(
        self, fd: int, size: int, kind: int, flags: int, offset: int, vaddr: int, paddr: int, filesz: int,
        memsz: int, align: int,
    ) -> None:  # fmt: skip
        if kind == PT_INTERP and self.interpreter is None:
            if not 2 <= filesz <= 4096:
                raise BadElf("ELF file with a broken interpreter name")
            name = os.pread(fd, filesz, offset) if offset < 1 << 62 else b""
            if len(name) < filesz:
                raise BadElf("truncated ELF file: the interpreter's name is missing", errno.EIO)
            if name[-1:] != b"\0":
                raise BadElf("ELF file with a broken interpreter name")
            self.interpreter = name[: name.index(b"\0")]
        elif kind == PT_GNU_STACK:
            self.executable_stack = bool(flags & PF_X)
        elif kind == PT_LOAD and memsz:
            if filesz > memsz or memsz > _USER_END or vaddr > _USER_END - memsz:
                raise BadElf("ELF file with a segment that does not fit the address space", errno.EINVAL)
            if (offset ^ vaddr) & 4095:
                raise BadElf("ELF file with a segment whose offset and address disagree", errno.EINVAL)
            if filesz and offset + filesz > size:
                # Linux maps such a file and lets it die of SIGBUS later; a clear word now helps more.
                raise BadElf("truncated ELF file: a segment is cut off")
            self.segments.append(Segment(vaddr, offset, filesz, memsz, flags))
            if align > self.align and align & (align - 1) == 0 and align <= 1 << 30:
                self.align = align

    def _check_segments(self) -> None:
        if not self.segments:
            raise BadElf("ELF file without anything to load")
        end = 0
        for s in self.segments:
            if s.vaddr < end:
                raise BadElf("ELF file with segments that overlap or are out of order", errno.EINVAL)
            end = s.vaddr + s.memsz

    @property
    def start(self) -> int:
        """First page that the segments take, before relocation."""
        return self.segments[0].vaddr & ~4095

    @property
    def end(self) -> int:
        """One past the last byte of the last segment, before relocation."""
        last = self.segments[-1]
        return last.vaddr + last.memsz
