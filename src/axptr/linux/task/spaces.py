"""Name spaces of a task's own: what unshare and clone make of their flags (create_new_namespaces)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .task import LinuxTask


def leave_spaces(task: LinuxTask, *, names: bool, mounts: bool) -> None:
    """Give a task, whose FsContext is its own, copies of its name spaces: of the machine's names, of mounts. They
    are owned by its name space of users."""
    users = task.creds.space
    if names:
        task.own_uts = task.uts.copy(task.machine.next_space(), users)
    if mounts:
        fs = task.fs
        old, table = fs.mounts, fs.mounts.copy(task.machine.next_space(), users)
        for name in ("root", "cwd"):
            node = getattr(fs, name)
            setattr(fs, name, table.node_of(old, node))
        fs.mounts = table
