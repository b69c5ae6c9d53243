"""What the calls that mount in steps work with: a file system that is being described (fsopen, fspick), and a mount
that is nowhere yet (fsmount, open_tree). Source: fs/fsopen.c, fs/fs_context.c, fs/namespace.c of Linux 6.18.

Not here: the calls (`calls.newmounts`), how a file system is made and a mount gets somewhere (`fs.mounting`). There are
no messages to be read from a description: what was wrong with it is the error of the call.
"""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError
from ..fs.openfile import PathFile
from .anon import AnonFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.mounting import Detached
    from ..fs.mounts import Mount
    from ..task.task import LinuxTask
    from ..uaccess import UserIter

DESCRIBED, MADE, FAILED, PICKED = range(4)
"""How far it is: FS_CONTEXT_CREATE_PARAMS, _AWAITING_MOUNT, _FAILED, _RECONF_PARAMS."""


class FsFile(AnonFile):
    """A description. fs_kind, source, data, readonly: what was said of the file system; phase: how far it is; made: it,
    once it is there; picked: a mount of one that is to be changed.

    fork and exec leave it with the open file, a snapshot has all of it. Who closes it gives up what is mounted nowhere.
    """

    what = b"fscontext"

    def __init__(self, kind: bytes, picked: Mount | None = None) -> None:
        super().__init__(os.O_RDWR)
        self.fs_kind = kind
        self.source = b""
        self.data: list[bytes] = []
        self.readonly: bool | None = None
        self.picked = picked
        self.phase = DESCRIBED if picked is None else PICKED
        self.made: Mount | None = None

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        """Messages, of which there are none."""
        raise LinuxError(errno.ENODATA)

    def close(self) -> None:
        super().close()
        made, self.made = self.made, None
        if made is not None:
            made.close()


class MountFile(PathFile):
    """A place: the root of a mount that is nowhere, until it is moved to somewhere (detached is None then).

    fork and exec leave it with the open file, a snapshot has it and the mount. Who closes it gives that up.
    """

    def __init__(self, detached: Detached) -> None:
        super().__init__(detached.mount.root, os.O_PATH)
        self.detached: Detached | None = detached

    def close(self) -> None:
        super().close()
        detached, self.detached = self.detached, None
        if detached is not None and detached.fresh:
            detached.mount.close()
