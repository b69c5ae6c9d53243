"""Who may look into another process: Linux' one rule, asked by ptrace, process_vm_readv, pidfd_getfd and /proc.

Source: __ptrace_may_access of kernel/ptrace.c, cap_ptrace_access_check of security/commoncap.c, commit_creds of
kernel/cred.c of Linux 6.18. Left out: Yama, which many hosts lack.

A process that changed who it is, or whose program its user may not read, is not dumpable: nobody looks into it without
CAP_SYS_PTRACE (`Mm.dumpable`) over the name space of users that the memory is of, which those made later are beneath.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from .creds import CAP_SYS_PTRACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..mem.mm import Mm
    from .creds import Credentials
    from .task import LinuxTask


def may_look(task: LinuxTask, other: LinuxTask, *, by_files: bool) -> bool:
    """Whether a task may look into another. by_files: asked by the ids and the rights that files are judged by
    (PTRACE_MODE_FSCREDS); else by the real ids and all that it may have (PTRACE_MODE_REALCREDS)."""
    if other.group is task.group:
        return True
    mine, its = task.creds, other.creds
    uid, gid, rights = (mine.fs_uid, mine.fs_gid, mine.effective) if by_files else (mine.uid, mine.gid, mine.permitted)
    over = mine.has_over(its.space, CAP_SYS_PTRACE)
    if not over and (its.uids != (uid, uid, uid) or its.gids != (gid, gid, gid)):
        return False
    if not bares(other.mm, mine):
        return False
    return over or (mine.space is its.space and not its.permitted & ~rights)


def bares(mm: Mm, creds: Credentials) -> bool:
    """Whether a memory is one that others may see, or somebody may see each there is (ptracer_capable)."""
    return mm.dumpable or creds.has_over(mm.owner, CAP_SYS_PTRACE)


def require_look(task: LinuxTask, other: LinuxTask, *, by_files: bool = False, code: int = errno.EPERM) -> None:
    """`code` unless `may_look`."""
    if not may_look(task, other, by_files=by_files):
        raise LinuxError(code)


def seen_by(task: LinuxTask, other: LinuxTask) -> LinuxTask:
    """`other`, if `task` may see in /proc what is its own. EACCES."""
    require_look(task, other, by_files=True, code=errno.EACCES)
    return other
