"""/proc/PID/map_files: a link for each range of memory that shows a file. Source: proc_pid_map_files(5),
fs/proc/base.c.

The link leads by its name: to a file that has none any more it leads nowhere. Whoever follows one needs a right, as the
file may be one that the process itself could not open (proc_map_files_get_link).
"""

from __future__ import annotations

import errno
import os
import re
import stat

from ...errors import LinuxError
from ..fs.node import DirNode, LinkNode, Node
from ..task.creds import CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN
from ..task.looking import seen_by
from .maps import file_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...mm.area import MemoryArea
    from ..fs.node import Stat
    from ..task.task import LinuxTask
    from .nodes import Who

_RANGE = re.compile(rb"(0|[1-9a-fA-F][0-9a-fA-F]*)-(0|[1-9a-fA-F][0-9a-fA-F]*)")


class MapLink(LinkNode):
    """An entry: its mode tells how the file was opened, as far as that is known."""

    def __init__(self, path: bytes, area: MemoryArea, who: Who) -> None:
        super().__init__(path)
        self._who = who
        self._area = area
        store = area.backend.store
        self.mode = stat.S_IFLNK | (0o600 if store is not None and store.descriptors[1] >= 0 else 0o400)

    def stat(self, task: LinuxTask) -> Stat:
        return self.own_stat(task, size=64)

    def target(self, task: LinuxTask) -> bytes:
        seen_by(task, self._who(task))
        return task.fs.shown(os.fsencode(file_name(self._area)))

    def follow(self, task: LinuxTask) -> bytes | Node:
        if not task.creds.has(CAP_SYS_ADMIN) and not task.creds.has(CAP_CHECKPOINT_RESTORE):
            raise LinuxError(errno.EPERM)
        return self.target(task)


class MapFilesDir(DirNode):
    """The directory."""

    mode = stat.S_IFDIR | 0o500

    def __init__(self, path: bytes, who: Who) -> None:
        super().__init__(path)
        self._who = who

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        about = seen_by(task, self._who(task))
        found = _RANGE.fullmatch(name)
        if found is None:
            return None
        start, end = int(found[1], 16), int(found[2], 16)
        area = about.space.find_area(start) if start < 1 << 47 else None
        if area is None or (area.start, area.end) != (start, end) or not _shows_file(area):
            return None
        entry = MapLink(self.path + b"/" + name, area, self._who)
        entry.whose = self.whose
        return entry

    def names(self, task: LinuxTask) -> list[bytes]:
        about = seen_by(task, self._who(task))
        return [b"%x-%x" % (area.start, area.end) for area in about.space.areas() if _shows_file(area)]


def _shows_file(area: MemoryArea) -> bool:
    return file_name(area)[:1] == "/"
