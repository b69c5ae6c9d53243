"""execve's first half: find the program, follow `#!`, open it and its interpreter, as Linux does.

What fails here is an errno. The second half, the memory of the new program, is in `image` and `stack`. Source:
execve(2), fs/exec.c, fs/binfmt_script.c.
"""

from __future__ import annotations

import errno
import os
import stat

from ...errors import LinuxError
from ..ends import ProgramError
from ..fs.permissions import MAY_EXEC, require_access
from ..fs.walk import AT_FDCWD
from .elf import BadElf, Elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..fs.node import Node
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask

    Resolve = Callable[[bytes], "Node"]
    """From a path to the node in the guest's tree; LinuxError as path resolution gives it."""

_SCRIPT_LINE = 256
_MAX_SCRIPTS = 5


class Executable:
    """A file opened to be run, for reading; `node`: what it is in the guest's tree."""

    def __init__(self, node: Node, file: OpenFile) -> None:
        self.node = node
        self.file = file

    @property
    def path(self) -> bytes:
        """The name that it has now, which maps show."""
        return self.node.where()

    def close(self) -> None:
        self.file.close()


class Program:
    """A file found to be runnable: its ELF headers, the interpreter's, and argv as scripts change it.

    file: what is mapped. execfn: what AT_EXECFN says. Close with `close()`.
    """

    def __init__(self, file: Executable, execfn: bytes, argv: list[bytes], elf: Elf) -> None:
        self.file = file
        self.execfn = execfn
        self.argv = argv
        self.elf = elf
        self.interp_file: Executable | None = None
        self.interp: Elf | None = None

    def close(self) -> None:
        self.file.close()
        if self.interp_file is not None:
            self.interp_file.close()


def find_program(
    path: bytes, argv: list[bytes], resolve: Resolve, node: Node | None = None, *, lost: bool = False
) -> Program:
    """Open what execve would run for `path`, a path that needs no search; scripts are given that name.

    node: the file itself, if it was looked up already. lost: the program could not open `path` after exec (it is that
    of a descriptor that exec closes), so that a script is ENOENT.
    Raises `ProgramError`: ENOENT, EACCES (a directory, not executable), ENOEXEC and so on, with one clear line.
    """
    name, shown = path, _show(path)
    for _ in range(_MAX_SCRIPTS + 1):
        file = open_executable(node if node is not None else _find(resolve, name, shown), shown)
        try:
            head = file.file.peek(_SCRIPT_LINE, 0)
            if head[:2] != b"#!":
                return _elf_program(file, path, argv, resolve, shown)
            interpreter, extra = _script_line(head, shown)
        except BaseException:
            file.close()
            raise
        file.close()
        if lost:
            raise ProgramError(errno.ENOENT, f"{shown}: a script whose descriptor is closed before it is read")
        argv = [interpreter, *extra, name, *argv[1:]]
        node = None if interpreter else _find(resolve, b".", shown)  # getname_kernel takes an empty name
        name, shown = interpreter, f"{_show(name)}: its interpreter {_show(interpreter)}"
    raise ProgramError(errno.ELOOP, f"{_show(path)}: scripts that interpret each other without end")


def _show(path: bytes) -> str:
    text = os.fsdecode(path)
    return text if text.isprintable() and text else repr(text)


def _find(resolve: Resolve, name: bytes, shown: str) -> Node:
    try:
        return resolve(name)
    except LinuxError as error:
        what = "no such program" if error.errno == errno.ENOENT else os.strerror(error.errno)
        if error.errno == errno.ENOENT and ": its interpreter " in shown:
            raise ProgramError(error.errno, f"{shown} does not exist") from None
        raise ProgramError(error.errno, f"{shown}: {what}") from None


def open_executable(node: Node, shown: str) -> Executable:
    """Open a file to be run (do_open_execat). `ProgramError`: EACCES, ELOOP for a link that was not to be followed."""
    if node.is_link:
        raise ProgramError(errno.ELOOP, f"{shown}: is a symbolic link")
    if node.is_dir:
        raise ProgramError(errno.EACCES, f"{shown}: is a directory")
    if not stat.S_ISREG(node.mode):
        raise ProgramError(errno.EACCES, f"{shown}: is not a regular file")
    if node.mount is not None and node.mount.noexec:
        raise ProgramError(errno.EACCES, f"{shown}: permission denied (what is mounted there cannot be run)")
    try:
        file = node.open_program()
    except LinuxError as error:
        text = "permission denied (not executable)" if error.errno == errno.EACCES else os.strerror(error.errno)
        raise ProgramError(error.errno, f"{shown}: {text}") from None
    return Executable(node, file)


def _skip(line: bytes, at: int, last: int, stop: bytes, wanted: bool) -> int | None:
    """The first position of [at, last] whose byte is (wanted) or is not among `stop`."""
    return next((i for i in range(at, last + 1) if (line[i] in stop) == wanted), None)


def _script_line(head: bytes, shown: str) -> tuple[bytes, list[bytes]]:
    """Interpreter and its optional argument: the rest of the line as one word.

    load_script of fs/binfmt_script.c step by step, on its buffer of 256 bytes that end in zeros: a line that goes on
    beyond them is cut, and one that a NUL ends may have an empty argument.
    """
    line, last = head.ljust(_SCRIPT_LINE, b"\0"), _SCRIPT_LINE - 1
    end = line.split(b"\0")[0].find(b"\n")
    if end < 0:
        start = _skip(line, 2, last, b" \t", False)
        if start is not None and _skip(line, start, last, b" \t\0", True) is None:
            raise ProgramError(errno.ENOEXEC, f"{shown}: its #! line is too long")
        end = last
    while line[end - 1] in b" \t":
        end -= 1
    start = _skip(line, 2, end, b" \t", False)
    if start is None or start == end:
        raise ProgramError(errno.ENOEXEC, f"{shown}: its #! line names no interpreter")
    separator = _skip(line, start, end, b" \t\0", True)
    argument = None
    if separator is not None and line[separator]:
        argument = _skip(line, separator, end, b" \t", False)
    interpreter = line[start : end if separator is None else separator]
    return interpreter, [] if argument is None else [line[argument:end].split(b"\0")[0]]


def _elf_program(file: Executable, execfn: bytes, argv: list[bytes], resolve: Resolve, shown: str) -> Program:
    try:
        program = Program(file, execfn, argv, Elf(file.file))
    except LinuxError as error:
        raise _bad_elf(error, shown) from None
    name = program.elf.interpreter
    if name is not None:
        what = f"{shown}: its interpreter {_show(name)}"
        program.interp_file = open_executable(_find(resolve, name, what), what)
        try:
            program.interp = Elf(program.interp_file.file, interpreter=True)
        except LinuxError as error:
            program.interp_file.close()
            raise _bad_elf(error, what) from None
    return program


def _bad_elf(error: LinuxError, shown: str) -> ProgramError:
    text = error.reason if isinstance(error, BadElf) else os.strerror(error.errno)
    return ProgramError(error.errno, f"{shown}: {text}")


def search_path(task: LinuxTask, program: bytes, environ: list[bytes]) -> bytes:
    """The path of a program: as it is with a slash in it, else the first in PATH that can be run (execvp)."""
    if b"/" in program or not program:
        return program
    directories = b"/bin:/usr/bin"
    for entry in environ:
        if entry.startswith(b"PATH="):
            directories = entry[5:]
    there = None
    for directory in directories.split(b":"):
        candidate = os.path.join(directory or b".", program)
        try:
            node = task.fs.resolve(task, AT_FDCWD, candidate)
            if not stat.S_ISREG(node.mode):
                continue
            there = there or candidate
            require_access(task, node, MAY_EXEC)
            return candidate
        except LinuxError:
            continue
    if there is not None:
        return there
    raise ProgramError(2, f"{os.fsdecode(program)}: no such program")
