"""execve's work: find the program, follow `#!`, map the segments and the interpreter's, as Linux does.

A new address space is filled aside; the task takes it over only when all is well. There is no address randomization:
a run with the same input takes the same path. Source: execve(2), fs/binfmt_elf.c, fs/binfmt_script.c.

    0x555555554000  a position-independent program; its brk heap follows the bss
    ...
    0x7ffff7fff000  mmap_base: interpreter and mappings, downwards
    0x7ffffffff000  top of the stack, downwards
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from ..addr import VirtAddrRange
from ..errors import LinuxError, UserFault
from ..flags import MappingFlags
from ..mm.space import AddrSpace
from .elf import PF_R, PF_W, PF_X, BadElf, Elf
from .program import ProgramError
from .uaccess import USER_END

if TYPE_CHECKING:
    from .._core.phys import PhysMemory

PIE_BASE = 0x5555_5555_4000
MMAP_BASE = 0x7FFF_F7FF_F000
STACK_TOP = USER_END
PAGE = 4096

R, W, X, U = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE, MappingFlags.USER

_SCRIPT_LINE = 256
_MAX_SCRIPTS = 5


class Program:
    """A file found to be runnable: its ELF headers, the interpreter's, and argv as scripts change it.

    path: canonical, of the file that is mapped. execfn: what AT_EXECFN says. Close with `close()`.
    """

    def __init__(self, path: bytes, execfn: bytes, argv: list[bytes], fd: int, elf: Elf) -> None:
        self.path = path
        self.execfn = execfn
        self.argv = argv
        self.fd = fd
        self.elf = elf
        self.interp_fd = -1
        self.interp: Elf | None = None

    def close(self) -> None:
        for fd in (self.fd, self.interp_fd):
            if fd >= 0:
                os.close(fd)


class Image:
    """What was loaded where. All addresses final.

    base: of a position-independent program, else 0. entry: the program's own. start: where to begin (the interpreter's
    entry if there is one). interp_base: 0 without one. brk: page aligned, after the bss. phdr, phnum: for the
    auxiliary vector. code_start, code_end: of the executable segment.
    """

    base = entry = start = interp_base = brk = phdr = phnum = code_start = code_end = 0
    executable_stack = False


def find_program(path: bytes, argv: list[bytes], cwd: bytes, where: bytes | None = None) -> Program:
    """Open what execve would run for `path`, a path that needs no search.

    where: the file itself, if it was looked up already; by default `path`, seen from `cwd`. Scripts are given `path`.
    Raises `ProgramError`: ENOENT, EACCES (a directory, not executable), ENOEXEC and so on, with one clear line.
    """
    if not path:
        raise ProgramError(errno.ENOENT, f"{_show(path)}: no such file or directory")
    name = path
    for _ in range(_MAX_SCRIPTS):
        place = where if where is not None else os.path.join(cwd, name)
        fd = open_executable(place, shown=name)
        try:
            head = os.pread(fd, _SCRIPT_LINE, 0)
            if head[:2] != b"#!":
                return _elf_program(place, path, argv, fd, name)
            interpreter, extra = _script_line(head, name)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        argv = [interpreter, *extra, name, *argv[1:]]
        try:
            os.stat(os.path.join(cwd, interpreter))
        except FileNotFoundError:
            raise ProgramError(
                errno.ENOENT, f"{_show(name)}: its interpreter {_show(interpreter)} does not exist"
            ) from None
        except OSError:
            pass  # opening it says more
        name, where = interpreter, None
    raise ProgramError(errno.ELOOP, f"{_show(path)}: scripts that interpret each other without end")


def _show(path: bytes) -> str:
    text = os.fsdecode(path)
    return text if text.isprintable() and text else repr(text)


def open_executable(path: bytes, *, shown: bytes) -> int:
    what = _show(shown)
    if b"\0" in path or not path:
        raise ProgramError(errno.ENOENT, f"{what}: no such program")
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ProgramError(errno.EACCES, f"{what}: is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise ProgramError(errno.EACCES, f"{what}: is not a regular file")
        if not os.access(path, os.X_OK, effective_ids=True):
            raise ProgramError(errno.EACCES, f"{what}: permission denied (not executable)")
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except ProgramError:
        raise
    except FileNotFoundError:
        raise ProgramError(errno.ENOENT, f"{what}: no such program") from None
    except OSError as error:
        code = error.errno or errno.EIO
        raise ProgramError(code, f"{what}: {os.strerror(code)}") from None


def _script_line(head: bytes, name: bytes) -> tuple[bytes, list[bytes]]:
    """Interpreter and its optional argument: the rest of the line as one word (fs/binfmt_script.c)."""
    line, newline, _ = head[2:].partition(b"\n")
    line = line.split(b"\0")[0].strip(b" \t")
    if not newline and len(head) == _SCRIPT_LINE and not any(c in line for c in b" \t"):
        raise ProgramError(errno.ENOEXEC, f"{_show(name)}: its #! line is too long")
    if not line:
        raise ProgramError(errno.ENOEXEC, f"{_show(name)}: its #! line names no interpreter")
    cut = min((i for i in (line.find(b" "), line.find(b"\t")) if i >= 0), default=len(line))
    interpreter, extra = line[:cut], line[cut:].strip(b" \t")
    return interpreter, [extra] if extra else []


def _elf_program(path: bytes, execfn: bytes, argv: list[bytes], fd: int, shown: bytes) -> Program:
    try:
        elf = Elf(fd)
    except LinuxError as error:
        text = error.reason if isinstance(error, BadElf) else os.strerror(error.errno)
        raise ProgramError(error.errno, f"{_show(shown)}: {text}") from None
    program = Program(os.path.realpath(path), execfn, argv, fd, elf)
    if elf.interpreter is not None:
        name = elf.interpreter
        try:
            program.interp_fd = open_executable(name, shown=name)
            program.interp = Elf(program.interp_fd)
            if program.interp.interpreter is not None and not program.interp.dynamic:
                raise BadElf("is no dynamic linker")
        except LinuxError as error:
            if program.interp_fd >= 0:
                os.close(program.interp_fd)
            if isinstance(error, ProgramError):
                text = error.message.partition(": ")[2]
                if error.errno == errno.ENOENT:
                    text = "does not exist"
            else:
                text = error.reason if isinstance(error, BadElf) else os.strerror(error.errno)
            raise ProgramError(error.errno, f"{_show(shown)}: its interpreter {_show(name)}: {text}") from None
    return program


def load(phys: PhysMemory, program: Program) -> tuple[AddrSpace, Image]:
    """Map a program and its interpreter into a new space; no stack yet.

    Raises `ProgramError` (ENOMEM where segments do not fit or memory runs out); nothing is left then.
    """
    elf, image = program.elf, Image()
    space = AddrSpace(0, 1 << 47, phys)
    try:
        if elf.dynamic:
            if program.interp is None:  # a static PIE, or a dynamic linker run by hand: among the mappings
                image.base = _free_place(space, elf)
            else:
                image.base = (PIE_BASE & -elf.align) - elf.start
        _map_segments(space, program.fd, program.path, elf, image.base)
        image.entry = image.start = elf.entry + image.base
        if program.interp is not None:
            interp = program.interp
            image.interp_base = _free_place(space, interp) if interp.dynamic else 0
            _map_segments(space, program.interp_fd, os.path.realpath(elf.interpreter or b""), interp, image.interp_base)
            image.start = interp.entry + image.interp_base
        image.phdr = elf.phdr_vaddr + image.base if elf.phdr_vaddr else 0
        image.phnum = elf.phnum
        # As Linux without randomization: a static PIE's heap is not put behind it, it would run into the mappings.
        end = elf.end + image.base
        if elf.dynamic and program.interp is None:
            end = PIE_BASE
        image.brk = -(-end // PAGE) * PAGE
        image.executable_stack = elf.executable_stack
        for s in elf.segments:
            if s.flags & PF_X:
                image.code_start, image.code_end = s.vaddr + image.base, s.vaddr + s.memsz + image.base
                break
    except LinuxError as error:
        space.clear()
        if isinstance(error, ProgramError):
            raise
        what = "does not fit into memory" if error.errno == errno.ENOMEM else os.strerror(error.errno)
        raise ProgramError(error.errno, f"{_show(program.path)}: {what}") from None
    return space, image


def _free_place(space: AddrSpace, elf: Elf) -> int:
    """Base for a position-independent file: the highest place below MMAP_BASE that holds all its segments."""
    size = -(-(elf.end - elf.start) // PAGE) * PAGE
    start = space.find_free_area(0, size, VirtAddrRange(PAGE, MMAP_BASE), elf.align, topdown=True)
    if start is None:
        raise LinuxError(errno.ENOMEM)
    return start - elf.start


def _map_segments(space: AddrSpace, fd: int, path: bytes, elf: Elf, base: int) -> None:
    name = os.fsdecode(path)
    for s in elf.segments:
        flags = U
        for bit, flag in ((PF_R, R), (PF_W, W), (PF_X, X)):
            if s.flags & bit:
                flags |= flag
        start = (s.vaddr & ~(PAGE - 1)) + base
        if start < PAGE:
            raise LinuxError(errno.EPERM)
        file_end = s.vaddr + s.filesz + base
        page_end = -(-file_end // PAGE) * PAGE
        end = -(-(s.vaddr + s.memsz + base) // PAGE) * PAGE
        if s.filesz:
            offset = s.offset - (s.vaddr & (PAGE - 1))
            space.map_file(start, page_end - start, flags, fd, offset, replace=True, name=name)
            if s.memsz > s.filesz and page_end > file_end and s.flags & PF_W:
                try:
                    space.write(file_end, bytes(page_end - file_end))
                except UserFault:
                    raise LinuxError(errno.ENOMEM) from None
        else:
            page_end = start
        if end > page_end:
            space.map_alloc(page_end, end - page_end, flags, replace=True)
