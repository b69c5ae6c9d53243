"""The few headers of an ELF file that execve looks at, read without trust.

Only the file header, the program headers and the interpreter's name: what the kernel itself reads (elf(5),
fs/binfmt_elf.c of Linux 6.18). What stands here is judged before the old program is given up: a refusal is an errno,
with a line that says why. Whether the segments fit is seen when they are mapped (`image`), too late for an errno.

Of e_ident only the magic number counts, as on Linux: class, byte order and version are what the machine implies.
Sections, symbols and debug information are of no interest to a loader.
"""

from __future__ import annotations

import errno
from struct import unpack_from

from ...addr import PAGE_SIZE
from ...errors import LinuxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Source(Protocol):
        """What headers are read from: an open file, as its kernel reads it."""

        def peek(self, size: int, offset: int) -> bytes:
            """As many of `size` bytes at `offset` as there are. `LinuxError`."""


PT_LOAD, PT_INTERP, PT_GNU_STACK = 1, 3, 0x6474E551
PF_X, PF_W, PF_R = 1, 2, 4
ET_EXEC, ET_DYN = 2, 3
EM_X86_64 = 62

_EHDR_SIZE, _PHDR_SIZE = 64, 56
_PHDRS_MAX = 0x10000 // _PHDR_SIZE  # the kernel reads at most 64 KiB of them

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
    """A PT_LOAD, as it stands in the file: any 64-bit numbers.

    File bytes [offset, offset + filesz) at `vaddr`, then zeroes up to memsz. flags: PF_R, PF_W, PF_X.
    """

    __slots__ = ("align", "filesz", "flags", "memsz", "offset", "vaddr")

    def __init__(self, vaddr: int, offset: int, filesz: int, memsz: int, flags: int, align: int) -> None:
        self.vaddr = vaddr
        self.offset = offset
        self.filesz = filesz
        self.memsz = memsz
        self.flags = flags
        self.align = align


class Elf:
    """What the headers say.

    dynamic: position independent (ET_DYN). runnable: a program or shared object, not an object file or a core dump.
    entry: before relocation. segments: in file order, unchecked. interpreter: its path, None if the program has none.
    phoff, phnum: the program headers. executable_stack: PT_GNU_STACK asks for one.
    """

    def __init__(self, file: Source, *, interpreter: bool = False) -> None:
        """Reads and checks the headers of the open file, of a program or of the `interpreter` that one names.

        Raises `BadElf`, or `LinuxError(EIO)` and the like.
        """
        header = file.peek(_EHDR_SIZE, 0)
        code = errno.ELIBBAD if interpreter else errno.ENOEXEC
        if interpreter and len(header) < _EHDR_SIZE:
            raise BadElf("truncated ELF file: the file header is cut off", errno.EIO)
        short = len(header) < _EHDR_SIZE
        header = header.ljust(_EHDR_SIZE, b"\0")  # as the kernel's buffer is where the file ends
        self._check_header(header, code)
        e_type, _, _, entry, phoff, _, _, _, phentsize, phnum = unpack_from("<HHIQQQIHHH", header, 16)
        self.runnable = e_type in (ET_EXEC, ET_DYN)
        if not self.runnable and not interpreter:
            raise BadElf(f"ELF file of type {e_type}, neither a program nor a shared object")
        if phentsize != _PHDR_SIZE or not 1 <= phnum <= _PHDRS_MAX:
            what = "truncated ELF file: the file header is cut off" if short else "ELF file with broken program headers"
            raise BadElf(what, code)
        table = _read(file, phnum * _PHDR_SIZE, phoff)
        if len(table) < phnum * _PHDR_SIZE:
            raise BadElf("truncated ELF file: the program headers are missing", code)
        self.dynamic = e_type == ET_DYN
        self.entry: int = entry
        self.phoff: int = phoff
        self.phnum: int = phnum
        self.interpreter: bytes | None = None
        self.executable_stack = False
        self.segments: list[Segment] = []
        for i in range(phnum):
            kind, flags, offset, vaddr, _, filesz, memsz, align = unpack_from("<IIQQQQQQ", table, i * _PHDR_SIZE)
            if kind == PT_INTERP and self.interpreter is None and not interpreter:
                self.interpreter = _interpreter_name(file, offset, filesz)
            elif kind == PT_GNU_STACK:
                self.executable_stack = bool(flags & PF_X)
            elif kind == PT_LOAD:
                self.segments.append(Segment(vaddr, offset, filesz, memsz, flags, align))

    @staticmethod
    def _check_header(header: bytes, code: int) -> None:
        if header[:4] != b"\x7fELF":
            raise BadElf("not an executable file: no ELF header", code)
        (machine,) = unpack_from("<H", header, 18)
        if machine != EM_X86_64:
            if header[5] == 2:  # big-endian: only to name it
                (machine,) = unpack_from(">H", header, 18)
            name = _MACHINES.get(machine, f"number {machine}") if machine != EM_X86_64 else "number 15872"
            raise BadElf(f"ELF file for another machine: {name}, not x86-64", code)

    @property
    def alignment(self) -> int:
        """What the segments ask for: the largest p_align that is a power of two, at least a page."""
        powers = [s.align for s in self.segments if s.align and s.align & (s.align - 1) == 0]
        return max([PAGE_SIZE, *powers])


def _interpreter_name(file: Source, offset: int, size: int) -> bytes:
    if not 2 <= size <= PAGE_SIZE:
        raise BadElf("ELF file with a broken interpreter name")
    if offset >> 63:
        raise BadElf("ELF file with a broken interpreter name", errno.EINVAL)
    name = _read(file, size, offset)
    if len(name) < size:
        raise BadElf("truncated ELF file: the interpreter's name is missing", errno.EIO)
    if name[-1:] != b"\0":
        raise BadElf("ELF file with a broken interpreter name")
    return name[: name.index(b"\0")] or b"."  # the kernel opens an empty name where it stands: a directory


def _read(file: Source, size: int, offset: int) -> bytes:
    """As much of `size` bytes at `offset` as the file has."""
    if offset >> 63:
        return b""
    try:
        return file.peek(size, offset)
    except LinuxError:
        return b""
