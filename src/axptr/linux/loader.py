"""execve's first half: find the program, follow `#!`, open it and its interpreter, as Linux does.

What fails here is an errno. The second half, the memory of the new program, is in `image` and `stack`. Source:
execve(2), fs/exec.c, fs/binfmt_script.c.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import LinuxError
from .elf import BadElf, Elf
from .program import ProgramError

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
            program.interp = Elf(program.interp_fd, interpreter=True)
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
