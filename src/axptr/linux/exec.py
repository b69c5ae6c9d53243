"""execve within the process: read the arguments, load the program aside, then replace what was. Source: execve(2),
fs/exec.c."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..strings import read_string_array
from .loader import Program, find_program, load, open_executable
from .paths import AT_FDCWD
from .registry import syscall
from .signals import SIG_IGN
from .stack import STACK_LIMIT, build_stack
from .uaccess import ConstBytes, read_path

if TYPE_CHECKING:
    from ..kernel.abi import c_int
    from .task import LinuxTask
else:
    from ctypes import c_int

_MAX_STRING = 32 * 4096
_MAX_BYTES = STACK_LIMIT // 4


def read_strings(task: LinuxTask, address: int, name: str) -> list[bytes]:
    """A NULL-terminated array of strings. A NULL array is an empty one. EFAULT, E2BIG."""
    if not address:
        return []
    return read_string_array(task, address, max_len=_MAX_STRING - 1, max_total=_MAX_BYTES, name=name)


def execve(task: LinuxTask, path: bytes, argv_at: int, envp_at: int, dirfd: int = AT_FDCWD) -> None:
    """Become another program. On an error everything is as before; LinuxError with execve's errno."""
    place = task.fs.resolve(task, dirfd, path)
    if place.node is not None:
        raise LinuxError(errno.EACCES)
    if not place.exists:
        raise LinuxError(errno.ENOENT)
    os.close(open_executable(place.path, shown=place.path))  # a missing program is told before a bad argv
    argv, environ = read_strings(task, argv_at, "argv"), read_strings(task, envp_at, "envp")
    program = find_program(path, argv or [b""], task.fs.cwd, place.path)
    try:
        start_program(task, program, environ, path)
    finally:
        program.close()


def start_program(task: LinuxTask, program: Program, environ: list[bytes], name: bytes) -> None:
    """Load, and only when nothing can fail any more, put the new program in the place of the old."""
    old = task.space
    space, image = load(old.phys, program)
    try:
        rsp, auxv = build_stack(space, image, program.argv, environ, program.execfn)
    except BaseException:
        space.clear()
        raise
    task.set_space(space)
    task.files.close_on_exec()
    signals = task.signals
    signals.actions = {s: a for s, a in signals.actions.items() if a.handler == SIG_IGN}
    signals.altstack = (0, 2, 0)
    task.become(image, program.argv, environ, program.path, name, rsp, auxv)
    engine = task.engine
    engine.attach(space)
    engine.reset()
    regs = engine.regs
    regs.rip, regs.rsp = image.start, rsp
    old.clear()


@syscall(322, "execveat")
def sys_execveat(
    task: LinuxTask, dirfd: c_int, path: ConstBytes, argv: ConstBytes, envp: ConstBytes, flags: c_int
) -> int | None:
    name = read_path(task, path)
    if flags & ~0x1100:
        raise LinuxError(errno.EINVAL)
    if not name and flags & 0x1000:
        name, dirfd = b"/proc/self/fd/%d" % dirfd, AT_FDCWD
        name = task.fs.resolve(task, AT_FDCWD, name, follow=False).path
        raise LinuxError(errno.ENOSYS)
    execve(task, name, argv.address, envp.address, dirfd)
    return None
