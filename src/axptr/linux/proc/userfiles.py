"""The files of /proc/PID by which a name space of users gets its ids: uid_map, gid_map, projid_map, setgroups.

What they say is `task.userspace`'s. Each is of the name space that the process is in when it is opened. Source:
user_namespaces(7), proc_id_map_open and proc_setgroups_open of fs/proc/base.c of Linux 6.18.
"""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError
from ..mem.vma import PAGE
from ..task.creds import CAP_SYS_ADMIN
from ..task.userspace import show_map, write_map, write_setgroups
from .nodes import TextFile, TextNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.node import Node
    from ..fs.openfile import OpenFile
    from ..task.creds import Credentials
    from ..task.task import LinuxTask
    from ..task.userspace import UserSpace
    from ..uaccess import UserIter
    from .nodes import Who

_KINDS = {b"uid_map": "uids", b"gid_map": "gids", b"projid_map": "projects", b"setgroups": ""}


class IdNode(TextNode):
    """One of them. kind: which map, nothing of setgroups."""

    def __init__(self, path: bytes, who: Who, kind: str) -> None:
        super().__init__(path, lambda t: b"", 0o644)
        self._who, self.kind = who, kind

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        space = self._who(task).creds.space
        if not self.kind and flags & os.O_ACCMODE != os.O_RDONLY and not task.creds.has_over(space, CAP_SYS_ADMIN):
            raise LinuxError(errno.EACCES)
        return IdFile(self, flags, space, task.creds)


class IdFile(TextFile):
    """An open one, of a name space. It is written at its beginning alone, by the rights of who opened it (f_cred):
    others may be made to write what they do not mean."""

    def __init__(self, node: IdNode, flags: int, space: UserSpace | None, opener: Credentials) -> None:
        super().__init__(node, flags)
        self._kind, self._space, self._opener = node.kind, space, opener

    def render(self, task: LinuxTask) -> bytes:
        if self._kind:
            return show_map(self._space, self._kind, self._opener.space)
        return b"allow\n" if self._space is None or self._space.setgroups else b"deny\n"

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        count = data.count
        if (self._pos if pos is None else pos) or count >= PAGE:
            raise LinuxError(errno.EINVAL)
        text = self.take(data, PAGE)
        if self._kind:
            write_map(task, self._opener, self._space, self._kind, text)
        else:
            write_setgroups(self._space, text)
        if pos is None:
            self._pos += count
        return count


def id_files(path: bytes, who: Who) -> dict[bytes, Node]:
    return {name: IdNode(path + b"/" + name, who, kind) for name, kind in _KINDS.items()}
