"""Files in memory that never have a name: those of memfd_create, and System V shared memory. Source: mm/shmem.c."""

from __future__ import annotations

import stat

from .inode import Inode
from .tmp import INODE_COST, TmpFs, TmpNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.creds import Credentials


class MemoryFiles(TmpFs):
    """Where files in memory are that never have a name: of memfd_create, of System V."""

    def file(self, name: bytes, mode: int, creds: Credentials) -> TmpNode:
        """A new one of somebody's; `name` is for maps and /proc alone."""
        self.charge(INODE_COST + len(name))
        inode = Inode(self, stat.S_IFREG | mode, creds.fs_uid, creds.fs_gid)
        inode.nlink = 0
        node = NamelessNode(inode, None, name)
        node.gone = True
        return node


class NamelessNode(TmpNode):
    """A file of `MemoryFiles`: what it is called leads nowhere."""

    mappings_count = False  # they are of the file that it was made with

    def where(self) -> bytes:
        return b"/" + self.name + b" (deleted)"
