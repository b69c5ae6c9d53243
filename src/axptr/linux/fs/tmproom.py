"""How much one mounted tmpfs may hold: its size=, nr_blocks= and nr_inodes=. Source: tmpfs(5), mm/shmem.c
(shmem_parse_one, shmem_reconfigure, shmem_inode_acct_blocks, shmem_reserve_inode) of Linux 6.18.

Counted are pages that its files hold and names of them, whoever has a file open whose name is gone. Writes are judged
before they are made; pages that come in through mappings are counted at the next look. What all trees of a machine in
memory may hold is `disk`'s.
"""

from __future__ import annotations

import errno
import re

from ...errors import LinuxError
from ...weak import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .inode import Inode

PAGE = 4096
_SIZE = re.compile(rb"(\d+)([kKmMgGtTpPeE%]?)")
_UNITS = b"kmgtpe"


def number_of(text: bytes) -> int:
    """memparse. EINVAL."""
    found = _SIZE.fullmatch(text)
    if found is None or found[2] == b"%":
        raise LinuxError(errno.EINVAL)
    return int(found[1]) << 10 * (_UNITS.index(found[2].lower()) + 1 if found[2] else 0)


def limits_of(words: Mapping[bytes, bytes], memory: int) -> tuple[int | None, int | None]:
    """Pages and inodes by the options of a mount, 0 for no end, None where nothing is said. memory: what percents are
    of, in pages."""
    pages = inodes = None
    for name, text in words.items():
        if name == b"size" and text[-1:] == b"%":
            pages = int(text[:-1]) * memory // 100
        elif name == b"size":
            pages = -(-number_of(text) // PAGE)
        elif name == b"nr_blocks":
            pages = number_of(text)
        elif name == b"nr_inodes":
            inodes = number_of(text)
    if max(pages or 0, inodes or 0) >> 52:
        raise LinuxError(errno.EINVAL)
    return pages, inodes


class Room:
    """pages, inodes: the most there may be, 0 for no end, None for no more than the machine has.

    The machine's thread alone uses it; exec and fork do nothing to it. A snapshot has the limits and which files there
    are; what they hold is counted anew.
    """

    def __init__(self, pages: int | None, inodes: int | None) -> None:
        self.pages = pages
        self.inodes = inodes
        self._files = WeakSet()
        self._sure_pages = self._sure_inodes = 0  # that are free whatever was done since they were counted

    def enter(self, inode: Inode) -> None:
        """A file is new in the tree."""
        self._files.add(inode)

    def pages_used(self) -> int:
        return sum(inode.data.resident for inode in self._files if inode.data is not None)

    def inodes_used(self) -> int:
        """Files, and every name of one more than the first."""
        return sum(max(inode.nlink, 1) if inode.kind != 0o040000 else 1 for inode in self._files)

    def require_inode(self) -> None:
        """ENOSPC unless there may be one more file, or name of one."""
        if self.inodes:
            if not self._sure_inodes:
                self._sure_inodes = max(self.inodes - self.inodes_used(), 0)
                if not self._sure_inodes:
                    raise LinuxError(errno.ENOSPC)
            self._sure_inodes -= 1

    def _lacking(self, inode: Inode, first: int, last: int) -> tuple[int, set[int]]:
        """How many pages are missing for a file to have all of these, less than 1 where there is room; those it has."""
        if last - first < self._sure_pages:
            self._sure_pages -= last - first + 1
            return 0, set()
        there = set(inode.data.pages()) if inode.data is not None else set()
        free = self.pages - self.pages_used()  # type: ignore[operator]
        lacking = last - first + 1 - sum(first <= page <= last for page in there) - free
        self._sure_pages = max(-lacking, 0)
        return lacking, there

    def require_pages(self, inode: Inode, offset: int, size: int) -> None:
        """ENOSPC unless there is room for a range of a file."""
        if self.pages and size and self._lacking(inode, offset // PAGE, (offset + size - 1) // PAGE)[0] > 0:
            raise LinuxError(errno.ENOSPC)

    def fits(self, inode: Inode, offset: int, count: int) -> int:
        """How many bytes of so many, at most a call's, there is room for, in order. ENOSPC for none."""
        if not self.pages or not count:
            return count
        first, last = offset // PAGE, (offset + count - 1) // PAGE
        lacking, there = self._lacking(inode, first, last)
        if lacking <= 0:
            return count
        missing = [page for page in range(first, last + 1) if page not in there]
        end = missing[-lacking]
        if end == first:
            raise LinuxError(errno.ENOSPC)
        return end * PAGE - offset

    def change(self, pages: int | None, inodes: int | None) -> None:
        """Other limits from now on (remount). EINVAL for less than there is, or where there was no end before."""
        if pages and (self.pages == 0 or self.pages_used() > pages):
            raise LinuxError(errno.EINVAL)
        if inodes and (self.inodes == 0 or self.inodes_used() > inodes):
            raise LinuxError(errno.EINVAL)
        self.pages = self.pages if pages is None else pages
        self.inodes = self.inodes if inodes is None else inodes
        self._sure_pages = self._sure_inodes = 0

    def told(self) -> bytes:
        """What mountinfo says of it (shmem_show_options)."""
        size = b"" if self.pages is None else b",size=%dk" % (self.pages << 2)
        return size + (b"" if self.inodes is None else b",nr_inodes=%d" % self.inodes)
