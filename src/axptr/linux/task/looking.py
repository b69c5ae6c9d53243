"""Who may look into another process: Linux' one rule, asked by ptrace, process_vm_readv, pidfd_getfd and /proc.

Source: __ptrace_may_access of kernel/ptrace.c, cap_ptrace_access_check of security/commoncap.c, commit_creds of
kernel/cred.c of Linux 6.18. Left out: Yama, which many hosts lack.

A process that changed who it is, or whose program its user may not read, is not dumpable: nobody looks into it without
CAP_SYS_PTRACE (`Mm.dumpable`).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from .creds import CAP_SYS_PTRACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .task import LinuxTask


def may_look(task: LinuxTask, other: LinuxTask, *, by_files: bool) -> bool:
    """Whether a task may look into another. by_files: asked by the ids and the rights that files are judged by
    (PTRACE_MODE_FSCREDS); else by the real ids and all that it may have (PTRACE_MODE_REALCREDS)."""
    if other.group is task.group:
        return True
    mine, its = task.creds, other.creds
    uid, gid, rights = (mine.fs_uid, mine.fs_gid, mine.effective) if by_files else (mine.uid, mine.gid, mine.permitted)
    if mine.has_over(its.space, CAP_SYS_PTRACE):
        return True
    if its.uids != (uid, uid, uid) or its.gids != (gid, gid, gid) or not other.mm.dumpable:
        return False
    return mine.space is its.space and not its.permitted & ~rights


def require_look(task: LinuxTask, other: LinuxTask, *, by_files: bool = False, code: int = errno.EPERM) -> None:
    """`code` unless `may_look`."""
    if not may_look(task, other, by_files=by_files):
        raise LinuxError(code)


def seen_by(task: LinuxTask, other: LinuxTask) -> LinuxTask:
    """`other`, if `task` may see in /proc what is its own. EACCES."""
    require_look(task, other, by_files=True, code=errno.EACCES)
    return other
