"""A tree in memory that is made when somebody comes to it: a run that never looks at /dev/shm pays nothing for it."""

from __future__ import annotations

from .mounts import Mount
from .node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..._core.phys.phys import PhysMemory
    from ..machine import Machine
    from .tmp import TmpFs


class LaterTmpMount(Mount):
    """An empty tree in memory. device: its st_dev."""

    def __init__(self, phys: PhysMemory, machine: Machine, device: int) -> None:
        self._made = phys, machine, device
        self._fs: TmpFs | None = None
        super().__init__(Node(b""), b"tmpfs", b"tmpfs", b"nosuid,nodev")

    @property
    def root(self) -> Node:
        if self._fs is None:
            from .tmp import TmpFs

            self._fs = TmpFs(*self._made)
            self._fs.root.mount = self
        return self._fs.root

    @root.setter
    def root(self, node: Node) -> None:
        """There is none yet."""

    def close(self) -> None:
        if self._fs is not None:
            self._fs.close()
