"""execve within the process: read the arguments, load the program aside, then replace what was.

Source: execve(2), fs/exec.c.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..mm.space import AddrSpace
from ..strings import read_string_array
from .image import LoadFailed, load
from .limits import RLIMIT_STACK, get_limit
from .loader import Program, find_program, open_executable
from .mm import Mm
from .paths import AT_FDCWD
from .registry import syscall
from .signals import SI_KERNEL, SIG_IGN, SIGSEGV, Info
from .stack import map_stack, push_tables, strings_limit
from .uaccess import ConstBytes, read_path

if TYPE_CHECKING:
    from ..kernel.abi import c_int
    from .task import LinuxTask
else:
    from ctypes import c_int

_MAX_STRING = 32 * 4096


def read_strings(task: LinuxTask, address: int, name: str) -> list[bytes]:
    """A NULL-terminated array of strings. A NULL array is an empty one. EFAULT, E2BIG."""
    if not address:
        return []
    most = strings_limit(get_limit(task, RLIMIT_STACK)[0])
    return read_string_array(task, address, max_len=_MAX_STRING - 1, max_total=most, name=name)


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
    """Load, and only when nothing can fail any more, put the new program in the place of the old.

    An error leaves all as it was. What Linux finds when the old program is gone is no error: the task is then the new
    program, about to be killed by SIGSEGV.
    """
    old = task.space
    mm = Mm(AddrSpace(old.base, old.size, old.phys))
    mm.exe = program.path
    rip = rsp = 0
    failed: LinuxError | None = None
    try:
        strings = map_stack(
            mm,
            program.argv,
            environ,
            program.execfn,
            executable=program.elf.executable_stack,
            stack_limit=get_limit(task, RLIMIT_STACK)[0],
        )
        try:
            image = load(mm, program)
            rip, rsp = image.start, push_tables(mm, strings, image)
        except LinuxError as error:
            if not isinstance(error, LoadFailed) and error.errno == errno.ENOMEM:  # no frames: nothing of the file's
                raise
            failed = error
    except BaseException:
        mm.space.clear()
        raise
    task.files.close_on_exec()
    signals = task.signals
    signals.actions = {s: a for s, a in signals.actions.items() if a.handler == SIG_IGN}
    signals.altstack = (0, 2, 0)
    task.become(mm, name)
    engine = task.engine
    engine.attach(mm.space)
    engine.reset()
    regs = engine.regs
    regs.rip, regs.rsp = rip, rsp
    if failed is not None:
        signals.force(task, Info(SIGSEGV, SI_KERNEL, fault=failed))
        engine.stop()
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
