"""The tree of a run that is given more than the host's files: a root of its own, mounts, an overlay.

Order: the root (a directory of the host, a tree in memory, a tree of Python's), an overlay over it, our own /proc and
/dev, a /dev/shm in memory, then the mounts, as they were given. What --allow-write allows lies under an overlay as a
mount of the host's directory over itself. A mount point need not be there: its name is the mount's, and what is missing
above it is an empty tree in memory.

Failure: `LinuxError` or `OSError` for what cannot be mounted, with the place in its message.
"""

from __future__ import annotations

import errno
import os

from ..._core.host.places import name_of
from ...errors import LinuxError
from .given import TreeMount
from .host.mount import HostMount
from .mounts import MountTable
from .setup import add_own
from .system import SystemTree
from .tmp import TmpFs, TmpMount
from .walk import AT_FDCWD, MAX_LINKS, FsContext
from .writable import WritableDirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from ..._core.phys.phys import PhysMemory
    from ..machine import Machine
    from .mounts import Mount
    from .node import DirNode
    from .overlay import Overlay
    from .walk import Entry

_FIRST_DEVICE = 0x40
"""Minor numbers of file systems of our own, as Linux gives anonymous ones."""


class HostDir:
    """A directory (or file) of the host, to be mounted: `mounts={"/src": HostDir("src", readonly=True)}`."""

    def __init__(self, path: str | bytes | os.PathLike[str], *, readonly: bool = False) -> None:
        self.path = os.fsencode(path)
        self.readonly = readonly

    def __repr__(self) -> str:
        return f"HostDir({os.fsdecode(self.path)!r}, readonly={self.readonly})"


class Tmpfs:
    """An empty tree in memory, to be mounted: `mounts={"/scratch": Tmpfs()}`. mode: of its topmost directory."""

    def __init__(self, mode: int = 0o1777) -> None:
        self.mode = mode

    def __repr__(self) -> str:
        return f"Tmpfs({self.mode:#o})"


class Shaper:
    """Puts the tree of one run together."""

    def __init__(self, machine: Machine, phys: PhysMemory, allow_write: Iterable[bytes]) -> None:
        self.machine = machine
        self.phys = phys
        self.allow_write = list(allow_write)
        self._devices = 0

    def device(self) -> int:
        """The next st_dev of a file system of our own."""
        self._devices += 1
        return os.makedev(0, _FIRST_DEVICE + self._devices)

    def memory(self, mode: int = 0o1777) -> TmpFs:
        return TmpFs(self.phys, self.machine, self.device(), mode=mode)

    def mount(self, what: Any, writable: WritableDirs | None = None) -> Mount:
        """What was given, as a mount. writable: what of a host's directory may be changed; by default all of it."""
        if isinstance(what, Tmpfs):
            return TmpMount(self.memory(what.mode))
        if isinstance(what, (str, bytes, os.PathLike)):
            what = HostDir(what)
        if isinstance(what, HostDir):
            if writable is None:
                writable = WritableDirs([] if what.readonly else [what.path])
            return HostMount(what.path, writable, readonly=what.readonly)
        if isinstance(what, SystemTree):
            return what.mounted(self)
        for verb in ("list", "stat", "read"):
            if not callable(getattr(what, verb, None)):
                raise TypeError(f"cannot mount a {type(what).__name__}: it has no method {verb}")
        return TreeMount(what, self.device())

    def build(
        self,
        root: Any,
        mounts: Mapping[bytes, Any],
        overlay: Overlay | None,
        proc: Callable[[], DirNode],
        system: Callable[[], DirNode] | None = None,
    ) -> MountTable:
        """The whole tree."""
        writable = WritableDirs(self.allow_write if overlay is None else [])
        first = self.mount(b"/" if root is None else root, writable)
        table = MountTable(first if overlay is None else overlay.over(first, self))
        top = table.mounts[0].root
        if not top.is_dir:
            raise LinuxError(errno.ENOTDIR, "the root is not a directory")
        add_own(table, proc, system)
        table.add(table.mounts[-1].root, b"shm", TmpMount(self.memory()))
        fs = FsContext(table, 0)
        if overlay is not None:
            for path in self.allow_write:
                self._pass_through(fs, first, path)
        for point, what in mounts.items():
            self.put(fs, point, self.mount(what))
        return table

    def _pass_through(self, fs: FsContext, first: Mount, path: bytes) -> None:
        """Show a directory of the host's over the overlay, where the root below has it: changes are the host's."""
        try:
            mount = HostMount(path, WritableDirs([path]))
        except FileNotFoundError:
            return
        if not isinstance(first, HostMount):
            return
        shown = first.shown(name_of(mount.root.fd))
        if shown.startswith(b"/") and shown != b"/":
            self.put(fs, shown, mount)

    def put(self, fs: FsContext, point: bytes, mount: Mount) -> None:
        """Mount at an absolute path, links followed."""
        if not point.startswith(b"/") or point.strip(b"/") == b"":
            raise LinuxError(errno.EINVAL, f"{os.fsdecode(point)!r} is no place to mount something at")
        entry = self._entry(fs, point)
        for _ in range(MAX_LINKS):
            if not entry.normal:
                raise LinuxError(errno.EINVAL, f"{os.fsdecode(point)!r} is no place to mount something at")
            there = fs.child(None, entry)  # type: ignore[arg-type]
            if there is None or not there.is_link:
                break
            goal = there.target(None)  # type: ignore[arg-type]
            entry = fs.entry_from(None, entry.directory, goal)  # type: ignore[arg-type]
        if there is not None and there.is_dir != mount.root.is_dir:
            raise LinuxError(errno.ENOTDIR, f"{os.fsdecode(point)}: a directory can be mounted on a directory only")
        fs.mounts.add(entry.directory.hold(), entry.name, mount)

    def _entry(self, fs: FsContext, point: bytes) -> Entry:
        """Where the mount point is; what is missing above it is made, as an empty tree."""
        names = [name for name in point.split(b"/") if name not in (b"", b".")]
        for count in range(1, len(names)):
            head = b"/" + b"/".join(names[:count])
            try:
                fs.resolve(None, AT_FDCWD, head)  # type: ignore[arg-type]
            except LinuxError as error:
                if error.errno != errno.ENOENT:
                    raise LinuxError(error.errno, f"{os.fsdecode(head)}: {os.strerror(error.errno)}") from None
                entry = fs.entry(None, AT_FDCWD, head)  # type: ignore[arg-type]
                if isinstance(entry.directory.mount, TmpMount) and not entry.directory.mount.fs.layered:
                    entry.directory.make_dir(entry.name, 0o755, 0)
                else:
                    fs.mounts.add(entry.directory.hold(), entry.name, TmpMount(self.memory(0o755)))
        return fs.entry(None, AT_FDCWD, b"/" + b"/".join(names))  # type: ignore[arg-type]
