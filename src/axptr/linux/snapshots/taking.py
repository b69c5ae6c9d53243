"""Taking a snapshot: the walk over a machine, and what it gathers besides plain data."""

from __future__ import annotations

import stat
from os import O_ACCMODE

from ..._core.words.graph import Capture, Graph
from ...errors import SnapshotError
from .hostfiles import HeldFile
from .memory import MemoryImage
from .rules import RULES, loop_state, machine_state, rule_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..fs.host.file import HostFile
    from ..fs.host.tree import HostNode
    from ..machine import Machine
    from ..task.task import LinuxTask

ROOTS = 7
"""Roots of a graph that are the machine's; those behind tell names of areas."""
DROPS = ("connections", "files")
"""What of the host may be left out: sockets; pipes, devices and the like that are open and no standard streams."""
_FILES = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFBLK)


class Taking:
    """One walk. memory: the spaces and stores that it met. held: descriptors of the host. objects: what is the
    process's own, and lives on in it. tasks, files, nodes (of the host), watches: all of the machine, for whoever makes
    a copy. drop: what is left out where it cannot go along, of `DROPS`."""

    def __init__(self, machine: Machine, extra: dict[str, Any], drop: frozenset[str] = frozenset()) -> None:
        """extra: what the face of the machine wants to have kept."""
        self.drop = drop
        self.memory = MemoryImage(machine.phys)
        self.held: list[HeldFile] = []
        self.objects: list[Any] = []
        self.tasks: list[LinuxTask] = []
        self.files: list[HostFile] = []
        self.watches: list[Any] = []
        self.nodes: list[HostNode] = []
        self._lent: dict[int, int] = {}
        self._machine = machine
        self._extra = extra

    def walk(self) -> Graph:
        """All of the machine as plain data."""
        machine = self._machine
        capture = Capture(RULES, rule_for, self)
        vdso = machine.__dict__.get("vdso")  # whose clock is kept right, also while no program shows it
        self.memory.look_at({task.mm.space for task in machine.tasks.values()}, () if vdso is None else (vdso.store,))
        try:
            graph = capture.finish(  # the lists first: the walk fills what it met first last
                self.tasks,
                self.files,
                self.watches,
                self.nodes,
                machine_state(machine),
                loop_state(machine.loop),
                self._extra,
            )
        finally:
            self.memory.settle()
        return Graph(graph.nodes, (*graph.roots, *self.memory.names))

    # -- for the rules

    def hold(self, fd: int) -> int:
        """Keep what a descriptor of the host is; its number."""
        self.held.append(HeldFile(fd))
        return len(self.held) - 1

    def lend(self, node: HostNode) -> int:
        """Keep the place of a node, which all copies of it use together from here on: the number of what holds it."""
        self.nodes.append(node)
        if node._lent is None:
            node._lent = HeldFile.adopted(node.fd)
            node.borrow(node.fd, node.mode, node.identity)
        number = self._lent.get(id(node._lent))
        if number is None:
            number = self._lent[id(node._lent)] = len(self.held)
            self.held.append(node._lent)
        return number

    def hold_object(self, it: Any) -> int:
        self.objects.append(it)
        return len(self.objects) - 1

    def hold_file(self, file: HostFile) -> tuple[Any, ...]:
        """What the descriptor of an open file is to be in a copy."""
        if file.stream is not None:
            return "stream", file.stream, file.host_fd
        if file.kind not in _FILES:
            if "files" in self.drop:
                return "dead", file.flags & O_ACCMODE
            name = file.name().decode(errors="replace")
            raise SnapshotError(f"{name} is open, which is the host's: close it first, or have it dropped")
        return "fd", self.hold(file.host_fd)
