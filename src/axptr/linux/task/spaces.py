"""Name spaces of a task's own: what unshare and clone make of their flags (create_new_namespaces)."""

from __future__ import annotations

from .clone import CLONE_NEWNS, CLONE_NEWUTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .task import LinuxTask


def leave_spaces(task: LinuxTask, flags: int) -> None:
    """Give a task, whose FsContext is its own, copies of the name spaces that flags say."""
    if flags & CLONE_NEWUTS:
        task.own_uts = task.uts.copy(task.machine.next_space())
    if flags & CLONE_NEWNS:
        fs = task.fs
        old, table = fs.mounts, fs.mounts.copy(task.machine.next_space())
        for name in ("root", "cwd"):
            node = getattr(fs, name)
            setattr(fs, name, table.node_of(old, node))
        fs.mounts = table
