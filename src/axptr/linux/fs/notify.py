"""What a call did to files, told to who watches them (`files.inotify`). Source: include/linux/fsnotify.h of Linux 6.18.

Handlers say it after the fact; while nobody watches anything that costs a look at the machine.
"""

from __future__ import annotations

import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..mem.mm import Mm
    from ..task.task import LinuxTask
    from .node import Node
    from .openfile import OpenFile

ACCESS, MODIFY, ATTRIB, CLOSE_WRITE, CLOSE_NOWRITE, OPEN = (1 << bit for bit in range(6))
_MOVED_FROM, _MOVED_TO, CREATE, DELETE, _DELETE_SELF, _MOVE_SELF = (1 << bit for bit in range(6, 12))
_ISDIR = 1 << 30


def named(task: LinuxTask, mask: int, directory: Node, name: bytes, is_dir: bool = False) -> None:
    """A name came to a directory, or went."""
    watches = task.machine.watches
    if watches is not None:
        watches.tell(directory.identity, mask | (_ISDIR if is_dir else 0), name)


def happened(task: LinuxTask, mask: int, node: Node | None, *, opened: bool = False) -> None:
    """Something happened to a file: who watches its directory hears of it by its name, then who watches the file.

    opened: through an open file, of which some hear only while it has a name (IN_EXCL_UNLINK).
    """
    watches = task.machine.watches
    if watches is None or node is None:
        return
    if stat.S_ISDIR(node.mode):
        mask |= _ISDIR
    through = node if opened else None
    place = node.name_in()
    if place is not None:
        watches.tell(place[0], mask, place[1], through=through)
    watches.tell(node.identity, mask, through=through)


def transferred(task: LinuxTask, mask: int, file: OpenFile, count: int) -> None:
    """Bytes went to an open file, or came from it."""
    if count and task.machine.watches is not None:
        happened(task, mask, file.node(), opened=True)


def executed(task: LinuxTask, nodes: list[Node], program: Node | None) -> None:
    """What exec opened and read, and closed again: all but the program, which stays open while it runs."""
    if task.machine.watches is None:
        return
    for node in nodes:
        happened(task, OPEN, node, opened=True)
        happened(task, ACCESS, node, opened=True)
    for node in nodes:
        if node is not program:
            happened(task, CLOSE_NOWRITE, node, opened=True)


def left(task: LinuxTask, mm: Mm) -> None:
    """A task gives up a program's memory: the last one closes the program's file, which forks have in common."""
    if task.machine.watches is None or mm.users > 1:
        return
    if not any(other.mm is not mm and other.mm.exe is mm.exe for other in task.machine.tasks.values()):
        happened(task, CLOSE_NOWRITE, mm.exe, opened=True)


def linked(task: LinuxTask, node: Node, directory: Node, name: bytes) -> None:
    """A file has one more name."""
    watches = task.machine.watches
    if watches is not None:
        watches.tell(node.identity, ATTRIB)
        watches.tell(directory.identity, CREATE, name)


def victim(task: LinuxTask, directory: Node, name: bytes) -> Node | None:
    """What has the name that is about to go, if somebody may want to hear of it."""
    if task.machine.watches is None:
        return None
    found = directory.lookup(task, name)
    return found.hold() if found is not None else None


def removed(task: LinuxTask, node: Node | None, directory: Node | None = None, name: bytes = b"") -> None:
    """A file lost a name: in `directory`, or to another file that took it."""
    watches = task.machine.watches
    if watches is None or node is None:
        return
    identity, is_dir = node.identity, stat.S_ISDIR(node.mode)
    if not is_dir:
        watches.tell(identity, ATTRIB)
    if (is_dir or node.removed) and not _is_open(task, identity):
        watches.gone(identity)  # d_delete lets it go before its directory hears of it (d_delete_notify)
    if directory is not None:
        watches.tell(directory.identity, DELETE | (_ISDIR if is_dir else 0), name)


def renamed(
    task: LinuxTask, node: Node | None, source: tuple[Node, bytes], goal: tuple[Node, bytes], lost: Node | None
) -> None:
    """A file has another name; `lost` is what had it before."""
    watches = task.machine.watches
    if watches is None or node is None:
        return
    is_dir = _ISDIR if stat.S_ISDIR(node.mode) else 0
    cookie = watches.cookie()
    watches.tell(source[0].identity, _MOVED_FROM | is_dir, source[1], cookie)
    watches.tell(goal[0].identity, _MOVED_TO | is_dir, goal[1], cookie)
    identity = lost.identity if lost is not None and lost.identity != node.identity else None
    if identity is not None and lost is not None:
        watches.tell(identity, ATTRIB | (_ISDIR if lost.is_dir else 0))
    watches.tell(node.identity, _MOVE_SELF)
    if identity is not None and lost is not None and (lost.is_dir or lost.removed) and not _is_open(task, identity):
        watches.gone(identity)


def _is_open(task: LinuxTask, identity: tuple[int, int]) -> bool:
    """Whether a task has the file open: then it is not gone yet."""
    return any(file.identity == identity for file in task.machine.open_files())


class Closings:
    """What hears that open files are closed, once anything is watched."""

    def __init__(self, task: LinuxTask) -> None:
        self._machine = task.machine

    def closed(self, file: OpenFile) -> None:
        watches = self._machine.watches
        node = file.node()
        if watches is None or node is None:
            return
        task = next(iter(self._machine.tasks.values()), None)
        if task is None:
            return
        if not file.flags & 0o10000000:  # O_PATH: nobody hears of it, but the file may have had no other place any more
            happened(task, CLOSE_WRITE if file.writable else CLOSE_NOWRITE, node, opened=True)
        if watches.watched(node.identity) and node.removed and not _is_open(task, node.identity):
            watches.gone(node.identity)
