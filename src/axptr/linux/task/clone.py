"""Making a process or a thread of one that there is: what a flag shares, what is copied, what begins anew. Source:
clone(2), kernel/fork.c (copy_process, clone3_args_valid) of Linux 6.18.

What becomes of each field stands in the table of the class that has it. Not here: the calls and how their arguments
are read (`calls.clone`), memory's twin (`Mm.copy`), name spaces (`spaces`).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...named import NamedTuple
from ..abi.clone import (
    CLONE_CHILD_CLEARTID,
    CLONE_CHILD_SETTID,
    CLONE_CLEAR_SIGHAND,
    CLONE_DETACHED,
    CLONE_FILES,
    CLONE_FS,
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_PARENT,
    CLONE_PARENT_SETTID,
    CLONE_PIDFD,
    CLONE_SETTLS,
    CLONE_SIGHAND,
    CLONE_SYSVSEM,
    CLONE_THREAD,
    CLONE_VFORK,
    CLONE_VM,
    HAD,
    NEW,
)
from ..abi.signals import SIGCHLD
from ..uaccess import USER_END, put_user
from .creds import CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN
from .group import Happening
from .limits import RLIMIT_NPROC, get_limit
from .pids import PID_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .creds import Credentials
    from .task import LinuxTask


class CloneArgs(NamedTuple):
    """struct kernel_clone_args. stack: where the new one's begins, 0 for where the caller's is. numbers: those
    that are chosen for it, of its name space and those above."""

    flags: int
    exit_signal: int = SIGCHLD
    stack: int = 0
    tls: int = 0
    parent_tid: int = 0
    child_tid: int = 0
    pidfd: int = 0
    numbers: tuple[int, ...] = ()


def require_sense(task: LinuxTask, args: CloneArgs) -> None:
    """EINVAL for flags that do not go together, EPERM for name spaces, in the order of copy_process."""
    flags = args.flags
    if flags & CLONE_FS and flags & (CLONE_NEWNS | CLONE_NEWUSER):
        raise LinuxError(errno.EINVAL)
    if flags & CLONE_THREAD and not flags & CLONE_SIGHAND:
        raise LinuxError(errno.EINVAL)
    if flags & CLONE_SIGHAND and not flags & CLONE_VM:
        raise LinuxError(errno.EINVAL)
    if flags & CLONE_THREAD and flags & (CLONE_NEWUSER | CLONE_NEWPID):
        raise LinuxError(errno.EINVAL)
    if flags & CLONE_PIDFD and flags & CLONE_DETACHED:
        raise LinuxError(errno.EINVAL)
    if flags & CLONE_NEWIPC and flags & CLONE_SYSVSEM:
        raise LinuxError(errno.EINVAL)
    if flags & CLONE_NEWTIME and flags & CLONE_VM:
        raise LinuxError(errno.EINVAL)
    if flags & NEW & ~HAD:
        raise LinuxError(errno.EPERM)
    if flags & NEW and not flags & CLONE_NEWUSER and not task.creds.has_here(CAP_SYS_ADMIN):
        raise LinuxError(errno.EPERM)
    if flags & CLONE_SETTLS and args.tls >= USER_END:  # copy_thread
        raise LinuxError(errno.EPERM)


def clone(task: LinuxTask, args: CloneArgs) -> int | None:
    """The number of the new process or thread, which goes on from where the task is with 0 as its result.

    With CLONE_VFORK the caller waits until the new one has a memory of its own, or has ended. EAGAIN beyond a limit,
    ENOMEM; nothing has changed then.
    """
    require_sense(task, args)
    creds = task.creds
    if args.flags & CLONE_NEWUSER:
        from .userspace import new_space

        creds = new_space(task)
    _require_room(task, args)
    _ = task.machine.nothing  # what the new one has after its end: a lack of memory is this call's, and not that end's
    tid = _number(task, args)
    place = _pidfd(task, args)
    try:
        child = _copy(task, args, tid, creds)
    except BaseException:
        if place >= 0:
            task.files.close(place)
        raise
    if place >= 0:
        from ..files.pidfd import PidFile

        file = task.files.get(place)
        assert isinstance(file, PidFile)
        file.refer(child)
    if args.flags & CLONE_PARENT_SETTID:
        _tell(task, args.parent_tid, tid)
    if args.flags & CLONE_CHILD_SETTID:
        child.set_child_tid = args.child_tid
    if args.flags & CLONE_CHILD_CLEARTID:
        child.clear_child_tid = args.child_tid
    done = None
    if args.flags & CLONE_VFORK:
        done = child.vfork = Happening()
    if task.trace is not None:
        from .trace import begin_child, event_stop

        event = begin_child(task, child, args)
    else:
        event = 0
    task.fork(child)
    _registers(child, args)
    if event:
        event_stop(task, event, tid, tid)
        if done is not None and task.blocked is not None:
            task.blocked.again = (_wait, (tid, done))
        return None
    return tid if done is None else _wait(task, tid, done)


def _number(task: LinuxTask, args: CloneArgs) -> int:
    """The number of the new one, which a program may choose that has the right to (alloc_pid). There is one name
    space: EINVAL for a number that nobody can have, and for more than one; EPERM, EEXIST, EAGAIN."""
    pids = task.machine.pids
    if not args.numbers:
        return pids.allocate()
    (chosen,) = args.numbers if len(args.numbers) == 1 else (0,)
    if not 0 < chosen < PID_MAX:
        raise LinuxError(errno.EINVAL)
    if not (task.creds.has(CAP_CHECKPOINT_RESTORE) or task.creds.has(CAP_SYS_ADMIN)):
        raise LinuxError(errno.EPERM)
    return pids.claim(chosen)


def _wait(task: LinuxTask, tid: int, done: Happening) -> int | None:
    """Until the new one has a memory of its own, or has ended."""
    if done.over:
        return _go_on(task, tid)
    task.block(on=[(done, 1)], again=(_go_on, (tid,)))
    if task.blocked is not None:
        task.blocked.deaf = True
    return None


def _go_on(task: LinuxTask, tid: int) -> int | None:
    if task.trace is not None:
        from .trace import VFORK_DONE, event_stop

        if task.trace.wants(VFORK_DONE):
            event_stop(task, VFORK_DONE, tid, tid)
            return None
    return tid


def _tell(task: LinuxTask, address: int, tid: int) -> None:
    try:
        put_user(task, address, tid.to_bytes(4, "little"))
    except LinuxError:
        pass  # as Linux: the new one is there


def _require_room(task: LinuxTask, args: CloneArgs) -> None:
    """EAGAIN beyond RLIMIT_NPROC, which does not concern the first user (copy_process)."""
    uid = task.creds.uid
    if not uid:
        return
    limit = get_limit(task, RLIMIT_NPROC)[0]
    tasks = task.machine.tasks
    if len(tasks) > limit and sum(other.creds.uid == uid for other in tasks.values()) > limit:
        raise LinuxError(errno.EAGAIN)


def _pidfd(task: LinuxTask, args: CloneArgs) -> int:
    """A descriptor for the new one, told to the program already; -1 if none was asked for."""
    if not args.flags & CLONE_PIDFD:
        return -1
    from ..files.pidfd import PidFile

    fd = task.files.add(PidFile(task.machine, thread=bool(args.flags & CLONE_THREAD)), cloexec=True)
    try:
        put_user(task, args.pidfd, fd.to_bytes(4, "little"))
    except LinuxError:
        task.files.close(fd)
        raise
    return fd


def _copy(task: LinuxTask, args: CloneArgs, tid: int, creds: Credentials) -> LinuxTask:
    """The new task, in the tables of the machine, without registers. creds: who it is. ENOMEM."""
    flags = args.flags
    fs, spaces = task.fs if flags & CLONE_FS else task.fs.copy(), None
    if flags & NEW:
        from .spaces import make_spaces

        spaces = make_spaces(task, fs, flags, creds.space)
    mm = task.mm.share() if flags & CLONE_VM else task.mm.copy()
    files = task.files.share() if flags & CLONE_FILES else task.files.copy()
    actions = task.actions if flags & CLONE_SIGHAND else task.actions.copy()
    if flags & CLONE_CLEAR_SIGHAND:
        actions = actions.after_exec()
    group = task.group
    if not flags & CLONE_THREAD:
        above, born_of = group, task
        if flags & CLONE_PARENT and group.parent is not None:
            above, born_of = group.parent, group.born_of  # type: ignore[assignment]
        made = group.fork(tid, above)
        made.born_of = born_of
        made.exit_signal = group.exit_signal if flags & CLONE_PARENT else args.exit_signal
        task.machine.pids.enter(made)
        group = made
    child = type(task)(task.machine, group, mm, files, fs, actions, creds, tid)
    child.comm, child.nice = task.comm, task.nice
    child.cpu.engine = task.cpu.engine
    child.kept = task.kept.copy()
    if task.seccomp is not None:
        from .seccomp import keep

        child.seccomp = keep(task.seccomp)
    child.kept.pdeath_signal = 0
    if task.own_uts is not None or task.own_ipc is not None or task.own_network is not None:
        from .spaces import keep_spaces

        keep_spaces(child, task)
    if spaces is not None:
        from .spaces import enter_spaces

        enter_spaces(child, spaces)
    child.sched = task.sched.fork()
    if task.sched.reset_on_fork and child.nice < 0:
        child.nice = 0
    child.rseq = None if flags & CLONE_VM else task.rseq
    child.signals.blocked = task.signals.blocked
    if not flags & CLONE_VM or flags & CLONE_VFORK:
        child.signals.altstack = task.signals.altstack
    return child


def _registers(child: LinuxTask, args: CloneArgs) -> None:
    arch = child.engine.arch
    changes = {}
    if args.stack:
        changes[arch.sp] = args.stack
    if args.flags & CLONE_SETTLS:
        changes[arch.tls] = args.tls
    if changes:
        child.context = child.context.replace(**changes)
