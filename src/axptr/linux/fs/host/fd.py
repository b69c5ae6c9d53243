"""Places of the host held as descriptors (O_PATH): opening names relative to them, never following a link.

A descriptor stays with the directory or file itself, whatever is renamed or put in its place; a path does not. So what
was judged is what is used. openat2(2) takes many components at once; where it is missing (before Linux 5.6, or
forbidden by a filter) they are opened one by one with O_NOFOLLOW. What the host refuses is a LinuxError.
"""

from __future__ import annotations

import errno
import os
import stat

from ...._core.host import hostcalls
from ...._core.host.places import PLACE, RESOLVE, look, name_of, openat2_missing, set_openat2_missing
from ....errors import LinuxError
from .calls import host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from ...._core.host.places import Place

    P = TypeVar("P", bound=Place)

_PROC_MAGIC = 0x9FA0


class Owned:
    """Who owns a descriptor of the host's: closed once, with its owner at the latest. fd: -1 for none."""

    fd = -1

    def close(self) -> None:
        """Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:
        self.close()


class Openat2:
    """The host's openat2, and whether it is there. `missing` is set at the first refusal (and by tests)."""

    @property
    def missing(self) -> bool:
        return openat2_missing()

    @missing.setter
    def missing(self, missing: bool) -> None:
        set_openat2_missing(missing)

    def place(self, dirfd: int, path: bytes) -> int:
        """Open `path` beneath `dirfd` as a place: a descriptor, or minus the errno. `missing` may be set by it."""
        fd = hostcalls.openat2(dirfd, path, PLACE, 0, RESOLVE)
        self.judge(fd)
        return fd

    def judge(self, result: int) -> None:
        """A result that says the call is not there is never taken back: threads share what the host is."""
        if result in (-errno.ENOSYS, -errno.EPERM):
            self.missing = True


_openat2 = Openat2()


def openat2() -> Openat2:
    """The one of this process."""
    return _openat2


def open_beneath(dirfd: int, path: bytes) -> int:
    """The place that `path`, which is relative and holds no `..`, names beneath `dirfd`: a new descriptor.

    No link is followed: ELOOP if one is in the way, or at the end before a slash; at the end it is itself the place.
    """
    if b"\0" in path:
        raise LinuxError(errno.ENOENT)
    call = _openat2
    if not call.missing:
        fd = call.place(dirfd, path)
        if fd >= 0:
            return fd
        if not call.missing:
            raise LinuxError(-fd)
    return host(_open_one_by_one, dirfd, path)


def look_beneath(kind: type[P], start: P, path: bytes) -> P:
    """`open_beneath` from a place, as a place of a class; EACCES as `require_no_proc` has it."""
    call = _openat2
    if not call.missing:
        found = look(kind, start, path, PLACE, RESOLVE)
        if not isinstance(found, int):
            return found
        call.judge(found)
        if not call.missing:
            raise LinuxError(-found)
    return entered(kind, start, open_beneath(start.fd, path))


def entered(kind: type[P], start: P, fd: int) -> P:
    """The place of a descriptor that was opened from another, which it belongs to."""
    found = kind.__new__(kind)
    found.hold_fd(fd)
    found.mount = start.mount
    found.home = start.home and found.identity == start.identity  # `.`
    require_no_proc(fd, found.identity[0], start.identity[0])
    return found


def require_no_proc(fd: int, device: int, before: int) -> None:
    """EACCES for a /proc of the host's, wherever it is mounted: through it a program could reach this process.

    device: which the descriptor is on. before: where one came from, which is none.
    """
    if device != before and int.from_bytes(hostcalls.fstatfs(fd)[:8], "little") == _PROC_MAGIC:
        raise LinuxError(errno.EACCES)


def _open_one_by_one(dirfd: int, path: bytes) -> int:
    names = path.split(b"/")
    if path.startswith(b"/") or b".." in names:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    at = dirfd
    try:
        for name in names:
            below = os.open(name or b".", PLACE, dir_fd=at)
            if at != dirfd:
                os.close(at)
            at = below
    except NotADirectoryError:
        if at != dirfd and stat.S_ISLNK(os.fstat(at).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise
    else:
        found, at = at, dirfd
        return found
    finally:
        if at != dirfd:
            os.close(at)


def open_parent(dirfd: int) -> int:
    """The directory above `dirfd` as a place; of the root itself."""
    return host(os.open, b"..", PLACE | os.O_DIRECTORY, dir_fd=dirfd)


def open_named(dirfd: int) -> int:
    """The first directory above `dirfd` whose name is not longer than the host tells names."""
    above = Owned()
    above.fd = open_parent(dirfd)
    while True:
        try:
            name_of(above.fd)
        except LinuxError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
        else:
            found, above.fd = above.fd, -1
            return found
        higher = Owned()
        higher.fd = open_parent(above.fd)
        above = higher


def by_descriptor(fd: int) -> bytes:
    """A path that leads the host's calls to exactly what `fd` is, for those that take no O_PATH descriptor."""
    return b"/proc/self/fd/%d" % fd
