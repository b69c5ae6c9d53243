"""Name spaces of a task's own: what unshare and clone make of their flags (create_new_namespaces), and how a task parts
from them (switch_task_namespaces). One goes with the last task and open file that has it (`held`)."""

from __future__ import annotations

from ..abi.clone import CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUTS
from .held import DYNAMIC_FIRST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from ..fs.mounts import MountTable
    from ..fs.node import Node
    from ..fs.walk import FsContext
    from ..ipc.space import IpcSpace
    from ..net.network import Network
    from .held import Held
    from .task import LinuxTask
    from .userspace import UserSpace
    from .uts import Uts

    Space: TypeAlias = "Uts | MountTable | UserSpace | IpcSpace | Network | None"


class Made:
    """Name spaces that are nobody's yet; None for those that are not new. root, cwd: what the directories of who is to
    have them are in `mounts`."""

    uts: Uts | None = None
    mounts: MountTable | None = None
    ipc: IpcSpace | None = None
    network: Network | None = None
    root: Node
    cwd: Node


def make_spaces(task: LinuxTask, fs: FsContext, flags: int, users: UserSpace | None) -> Made:
    """Copies of a task's names and of an FsContext's mounts, of objects of System V and of the network empty ones, that
    a name space of users owns. An error of the host's leaves nothing."""
    made, machine = Made(), task.machine
    if flags & CLONE_NEWUTS:
        made.uts = task.uts.copy(machine.next_space(), users)
    if flags & CLONE_NEWNS:
        made.mounts = fs.mounts.copy(machine.next_space(), users)
        made.root, made.cwd = (made.mounts.node_of(fs.mounts, node) for node in (fs.root, fs.cwd))
    if flags & CLONE_NEWIPC:
        from ..ipc.space import IpcSpace

        made.ipc = IpcSpace(machine, machine.next_space(), users)
    if flags & CLONE_NEWNET:
        made.network = machine.network.apart(machine.next_space(), users)
    return made


def enter_spaces(task: LinuxTask, made: Made) -> None:
    """Have these in the place of those that a task has. Its FsContext is its own."""
    if made.uts is not None:
        task.own_uts = made.uts
    if made.mounts is not None:
        enter_mounts(task, made.mounts, made.root, made.cwd)
    if made.ipc is not None:
        enter_ipc(task, made.ipc)
    if made.network is not None:
        enter_network(task, made.network)


def enter_mounts(task: LinuxTask, mounts: MountTable, root: Node, cwd: Node) -> None:
    old, fs = task.fs.mounts, task.fs
    fs.mounts, fs.root, fs.cwd = mounts, root, cwd
    _take_up(mounts, old)


def enter_ipc(task: LinuxTask, ipc: IpcSpace | None) -> None:
    """None for the machine's."""
    old, task.own_ipc = task.own_ipc, ipc
    _take_up(ipc, old)


def enter_network(task: LinuxTask, network: Network | None) -> None:
    old, task.own_network = task.own_network, network
    _take_up(network, old)


def _take_up(new: Held | None, old: Held | None) -> None:
    """In this order: one that stays is never without a holder."""
    if new is not None:
        new.enter()
    if old is not None:
        old.leave()


def keep_spaces(child: LinuxTask, task: LinuxTask) -> None:
    """A new task has those of another, but for its mounts, which it has with its FsContext."""
    child.own_uts = task.own_uts
    enter_ipc(child, task.own_ipc)
    enter_network(child, task.own_network)


def part_from_spaces(task: LinuxTask) -> None:
    """A task has ended (exit_task_namespaces): it has those of the machine."""
    mounts = task.fs.mounts
    if mounts.number >= DYNAMIC_FIRST:
        from ..fs.walk import FsContext

        task.fs = FsContext(mounts.first, task.fs.umask)
    mounts.leave()
    if task.own_ipc is not None:
        enter_ipc(task, None)
    if task.own_network is not None:
        enter_network(task, None)
