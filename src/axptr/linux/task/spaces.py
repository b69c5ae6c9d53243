"""Name spaces of a task's own: what unshare and clone make of their flags (create_new_namespaces)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from ..fs.mounts import MountTable
    from ..ipc.space import IpcSpace
    from ..net.network import Network
    from .task import LinuxTask
    from .userspace import UserSpace
    from .uts import Uts

    Space: TypeAlias = "Uts | MountTable | UserSpace | IpcSpace | Network | None"

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNET = 0x2_0000, 0x400_0000, 0x800_0000, 0x4000_0000
"""As in `clone`, which leads here."""


def leave_spaces(task: LinuxTask, flags: int) -> None:
    """Give a task, whose FsContext is its own, name spaces that its name space of users owns: copies of the machine's
    names and of mounts, of objects of System V and of the network empty ones."""
    users, machine = task.creds.space, task.machine
    if flags & CLONE_NEWUTS:
        task.own_uts = task.uts.copy(machine.next_space(), users)
    if flags & CLONE_NEWNS:
        fs = task.fs
        old, table = fs.mounts, fs.mounts.copy(machine.next_space(), users)
        for name in ("root", "cwd"):
            node = getattr(fs, name)
            setattr(fs, name, table.node_of(old, node))
        fs.mounts = table
    if flags & CLONE_NEWIPC:
        from ..ipc.space import IpcSpace

        task.own_ipc = IpcSpace(machine, machine.next_space(), users)
    if flags & CLONE_NEWNET:
        task.own_network = machine.network.apart(machine.next_space(), users)
