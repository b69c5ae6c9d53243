"""How much may be written to the trees of a machine that are in memory: a disk that has an end.

Counted are pages that files hold, whoever has them open, and what names and inodes cost. Writes are judged before they
are made; pages that come in through mappings are counted at the next look. What memory there is limits all of it in any
case.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...weak import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Machine
    from .inode import Inode

PAGE = 4096


class Disk:
    """The machine's thread alone uses it. A snapshot has the limit; what is held is counted anew.

    limit: bytes.
    """

    def __init__(self, machine: Machine, limit: int) -> None:
        self._machine = machine
        self.limit = limit
        self._files = WeakSet()
        self._sure = 0  # bytes that can be written before it must be counted again

    def used(self) -> int:
        """Bytes that are held now."""
        pages = sum(inode.data.resident for inode in self._files if inode.data is not None)
        return int(pages) * PAGE + self._machine.tree_bytes

    def require(self, inode: Inode, offset: int, count: int) -> None:
        """ENOSPC unless there is room for so many bytes of a file."""
        self._files.add(inode)
        most = ((offset + count - 1) // PAGE - offset // PAGE + 1) * PAGE if count else 0
        if most > self._sure:
            self._sure = self.limit - self.used()
            if most > self._sure:
                self._sure = 0
                raise LinuxError(errno.ENOSPC)
        self._sure -= most

    def require_books(self, size: int) -> None:
        """ENOSPC unless there is room for a name or an inode."""
        if size > self._sure:
            self._sure = self.limit - self.used()
            if size > self._sure:
                self._sure = 0
                raise LinuxError(errno.ENOSPC)
        self._sure -= max(size, 0)
