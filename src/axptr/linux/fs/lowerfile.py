"""An open file of the tree below an overlay, of which nothing was changed when it was opened. Once something is, it
reads what is above."""

from __future__ import annotations

import os
import stat

from .openfile import OpenFile
from .tmpfile import TmpFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

    from ..._core.mm.frames import Backend
    from ..._core.phys.phys import PhysMemory
    from ..task.task import LinuxTask
    from ..uaccess import UserIter
    from .node import AnyStat, Node
    from .tmp import TmpNode


class LowerFile(OpenFile):
    """Open for reading only. below: the file there; above: what it is read from once it was taken up."""

    seekable = True
    kind = stat.S_IFREG

    def __init__(self, node: TmpNode, below: OpenFile, flags: int) -> None:
        super().__init__(flags)
        self._node = node
        self._below = below
        self._above: TmpFile | None = None

    @property
    def overlaid(self) -> Node | None:  # type: ignore[override]
        return self._node

    @property
    def _file(self) -> OpenFile:
        if self._above is None and self._node.inode.below is None:
            self._above = TmpFile(self._node, self.flags)
            self._above.pos = self._below.seek(0, os.SEEK_CUR)
        return self._below if self._above is None else self._above

    @property
    def beneath(self) -> OpenFile:  # type: ignore[override]
        return self._file

    def node(self) -> TmpNode:
        return self._node

    def stat(self, task: LinuxTask) -> AnyStat:
        return self._node.stat(task)

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        return self._file.read(task, to, pos)

    def seek(self, offset: int, whence: int) -> int:
        return self._file.seek(offset, whence)

    def peek(self, size: int, offset: int) -> bytes:
        return self._file.peek(size, offset)

    def read_bytes(self, view: memoryview, pos: int | None) -> int:
        file = self._file
        if file.host_fd is None:
            return file.read_bytes(view, pos)
        start = file.seek(0, os.SEEK_CUR) if pos is None else pos
        data = file.peek(len(view), start)
        view[: len(data)] = data
        if pos is None:
            file.seek(start + len(data), os.SEEK_SET)
        return len(data)

    def fsync(self) -> None:
        """Nothing was written."""

    def leases(self) -> bool:
        return True

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        return self._file.ioctl(task, command, argument)

    def end(self, mode: int, pos: int | None = None, count: int = 0) -> AbstractContextManager[int]:
        return self._file.end(mode, pos, count)

    def mapping(self, phys: PhysMemory, offset: int, *, shared: bool) -> Backend | None:
        backend: Any = self._file.mapping(phys, offset, shared=shared)
        if backend is not None:
            backend.named = self._node.where
        return backend  # type: ignore[no-any-return]

    def require_range(self, end: int) -> None:
        self._file.require_range(end)

    def no_exec(self) -> bool:
        return self._file.no_exec()

    def close(self) -> None:
        self._below.close()
