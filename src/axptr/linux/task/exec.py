"""execve within the process: read the arguments, load the program aside, then replace what was.

Source: execve(2), fs/exec.c.
"""

from __future__ import annotations

import errno
import os
import stat

from ...errors import LinuxError
from ...kernel.abi import c_int
from ...mm.space import AddrSpace
from ..abi.signals import SI_KERNEL, SIGSEGV, Info
from ..calls.stat import lookup
from ..ends import ProgramError
from ..fs import notify
from ..fs.permissions import MAY_EXEC, MAY_READ, judge, require, trusted
from ..fs.walk import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from ..load.image import LoadFailed, load
from ..load.loader import Program, find_program, open_executable
from ..load.stack import map_stack, push_tables, strings_limit
from ..mem.mm import Mm
from ..registry import call
from ..uaccess import ConstBytes, read_path
from .limits import RLIMIT_STACK, get_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.node import Node
    from ..load.loader import Resolve
    from .task import LinuxTask

AT_EXECVE_CHECK = 0x10000

_MAX_STRING = 32 * 4096


def read_strings(task: LinuxTask, address: int, name: str) -> list[bytes]:
    """A NULL-terminated array of strings. A NULL array is an empty one. EFAULT, E2BIG."""
    if isinstance(known := getattr(address, "strings", None), list):
        return known
    if not address:
        return []
    most = strings_limit(get_limit(task, RLIMIT_STACK)[0])
    from ...pointers.strings import read_string_array  # the program of a run has its arguments already

    return read_string_array(task, address, max_len=_MAX_STRING - 1, max_total=most, name=name)


def execve(task: LinuxTask, path: bytes, argv_at: int, envp_at: int, dirfd: int = AT_FDCWD, flags: int = 0) -> None:
    """Become another program. On an error everything is as before; LinuxError with execve's errno."""
    node = lookup(task, dirfd, path, flags)
    if stat.S_ISREG(node.mode):
        judge(task, node, "run")
        require(task, node, MAY_EXEC)
    open_executable(node, os.fsdecode(path)).close()  # a missing program is told before a bad argv
    refuse_written(task, node)
    argv, environ = read_strings(task, argv_at, "argv"), read_strings(task, envp_at, "envp")
    if flags & AT_EXECVE_CHECK:
        return
    name, lost = path, False
    if dirfd != AT_FDCWD and path[:1] != b"/":  # what /dev/fd names (do_open_execat, alloc_bprm)
        name = b"/dev/fd/%d/%s" % (dirfd, path) if path else b"/dev/fd/%d" % dirfd
        lost = task.files.cloexec(dirfd)
    opened, finder = [node], program_finder(task)

    def find(path: bytes) -> Node:
        opened.append(found := finder(path))
        return found

    try:
        program = find_program(name, argv or [b""], find, node, lost=lost)
    except ProgramError:
        notify.executed(task, opened, None)
        raise
    notify.executed(task, opened, program.file.node)
    try:
        if program.file.node is not node:
            judge(task, program.file.node, "run")  # of a script
        start_program(task, program, environ, path or program.file.path)
    finally:
        program.close()


def program_finder(task: LinuxTask) -> Resolve:
    """Programs and interpreters are found as the program itself would find them: in its tree, from where it is."""

    def find(path: bytes) -> Node:
        node = task.fs.resolve(task, AT_FDCWD, path)
        if stat.S_ISREG(node.mode) and not (trusted(task, node) or node.permits(task, task.creds, MAY_EXEC)):
            raise ProgramError(errno.EACCES, f"{os.fsdecode(path)}: permission denied (not executable)")
        refuse_written(task, node)
        return node

    return find


def refuse_written(task: LinuxTask, node: Node) -> None:
    """ETXTBSY for what a process could write to by a descriptor, or this one by a mapping (deny_write_access).

    Whether a program of the host has it open for writing is not known.
    """
    if not stat.S_ISREG(node.mode):
        return
    identity = node.identity
    if any(table.writes(identity) for table in {other.files for other in task.machine.tasks.values()}):
        raise LinuxError(errno.ETXTBSY)
    cache = node.mapped(task) if node.mappings_count else None
    if cache is not None:
        for _, _, _, backend, *_ in task.space._all_areas():
            if backend.store is cache and backend.shared and not backend.sealed:
                raise LinuxError(errno.ETXTBSY)


def start_program(task: LinuxTask, program: Program, environ: list[bytes], name: bytes) -> None:
    """Load, and only when nothing can fail any more, put the new program in the place of the old.

    An error leaves all as it was. What Linux finds when the old program is gone is no error: the task is then the new
    program, about to be killed by SIGSEGV.
    """
    old = task.mm.space
    stack_limit = get_limit(task, RLIMIT_STACK)[0]
    mm = Mm(AddrSpace(old.base, old.size, old.phys), task.machine.host, stack_limit)
    mm.space.fault_around = old.fault_around
    mm.space.is_kin = old.is_kin
    mm.exe = program.file.node.hold()
    creds = task.creds.after_exec()
    mm.owner = task.creds.space
    readable = trusted(task, mm.exe) or mm.exe.permits(task, task.creds, MAY_READ)
    if not readable and mm.owner is not None:
        from .userspace import ruling

        mm.owner = ruling(mm.owner, *mm.exe.rights(task)[1:])
    pc = sp = 0
    failed: LinuxError | None = None
    try:
        strings = map_stack(
            mm,
            program.argv,
            environ,
            program.execfn,
            executable=program.elf.executable_stack,
            stack_limit=stack_limit,
        )
        try:
            image = load(mm, program)
            image.vdso = task.machine.vdso.map(mm)
            pc, sp = image.start, push_tables(mm, strings, image, task.machine.cpu, creds)
        except LinuxError as error:
            if not isinstance(error, LoadFailed) and error.errno == errno.ENOMEM:  # no frames: nothing of the file's
                raise
            failed = error
    except BaseException:
        mm.space.clear()
        raise
    old_tid = task.tid
    task.become(mm, name, readable=readable)
    task.diverted = None
    task.files.close_on_exec()
    engine = task.engine
    engine.attach(mm.space)
    engine.reset()
    regs = engine.regs
    regs.pc, regs.sp = pc, sp
    if task.trace is not None and failed is None:
        from .trace import executed

        executed(task, old_tid)
    if failed is not None:
        task.signals.force(task, Info(SIGSEGV, SI_KERNEL, fault=failed))
        engine.stop()


@call("execveat")
def sys_execveat(
    task: LinuxTask, dirfd: c_int, path: ConstBytes, argv: ConstBytes, envp: ConstBytes, flags: c_int
) -> int | None:
    name = read_path(task, path)
    if not name and not flags & AT_EMPTY_PATH:
        raise LinuxError(errno.ENOENT)
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_EXECVE_CHECK):
        raise LinuxError(errno.EINVAL)
    execve(task, name, argv.address, envp.address, dirfd, flags)
    return 0 if flags & AT_EXECVE_CHECK else None
