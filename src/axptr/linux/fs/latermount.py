"""A tree that is made when somebody comes to it: a run that never looks at /proc or /dev/shm pays nothing for them."""

from __future__ import annotations

from .mounts import Mount, moved
from .node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._core.phys.phys import PhysMemory
    from ..machine import Machine


class LaterMount(Mount):
    """make: gives the root. The rest as of `Mount`."""

    def __init__(
        self, make: Callable[[], Node], source: bytes, kind: bytes, options: bytes, *, readonly: bool = False
    ) -> None:
        self._make = make
        self._made: Node | None = None
        super().__init__(Node(b""), source, kind, options, readonly=readonly)

    @property
    def root(self) -> Node:
        if self._made is None:
            self._made = self._make()
            self._made.mount = self
        return self._made

    @root.setter
    def root(self, node: Node) -> None:
        """There is none yet."""

    def twin(self) -> Mount:
        """Of its tree, which is made now; this one has it until the run is over."""
        other = Mount(moved(self.root, None), *self.device(), readonly=self.readonly)
        for name in (
            "number", "name", "part", "noexec", "nodev", "covered", "locked", "along", "readonly_locked", "kept",
            "users",
        ):  # fmt: skip
            setattr(other, name, getattr(self, name))
        return other


class LaterTmpMount(LaterMount):
    """An empty tree in memory. device: its st_dev."""

    def __init__(self, phys: PhysMemory, machine: Machine, device: int) -> None:
        self._place = phys, machine, device
        super().__init__(self._tmp, b"tmpfs", b"tmpfs", b"nosuid,nodev")
        self.nodev = True

    def _tmp(self) -> Node:
        from .tmp import TmpFs

        self._fs = TmpFs(*self._place)
        return self._fs.root

    def close(self) -> None:
        if self._made is not None:
            self._fs.close()
