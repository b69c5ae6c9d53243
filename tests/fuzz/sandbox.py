"""A process of its own for whatever must not change the host: what it runs sees the host's files read-only.

The process has its own mounts (everything read-only but a temporary file system), process numbers, network and host
name, as far as the host lets it: without root it runs unconfined, and what holds then is axptr's own policy alone.

Not here: what is run, and whether it was right.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x0002_0000, 0x0400_0000, 0x0800_0000
_CLONE_NEWPID, _CLONE_NEWNET = 0x2000_0000, 0x4000_0000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x4000, 1 << 18
_MOUNT_SETATTR, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, 0x8000, 1
_AT_FDCWD = -100
ROOM = 256 << 20
"""Bytes of the temporary file system."""


def confined(work: Callable[[Path], int], room: int = ROOM) -> int:
    """`work(directory)` in such a process; its status: 0 to 255, or 128 + n if signal n killed it."""
    directory = Path(tempfile.mkdtemp(prefix="axptr-fuzz-"))
    try:
        return _status(_fork(lambda: _apart(work, directory, room)))
    finally:
        _remove(directory)


def _status(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _fork(work: Callable[[], int]) -> int:
    """A child that does the work and ends with its status."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _apart(work: Callable[[Path], int], directory: Path, room: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    spaces = _CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWIPC | _CLONE_NEWPID | _CLONE_NEWNET
    if libc.unshare(spaces) != 0:
        return work(directory)
    # The first process of the new numbers looks after the second, which is one like any other.
    return _status(_fork(lambda: _status(_fork(lambda: _confined(libc, work, directory, room)))))


def _confined(libc: ctypes.CDLL, work: Callable[[Path], int], directory: Path, room: int) -> int:
    def mount(source: bytes, target: bytes, kind: bytes | None, flags: int, data: bytes | None = None) -> None:
        if libc.mount(source, target, kind, ctypes.c_ulong(flags), data) != 0:
            raise OSError(ctypes.get_errno(), f"mount {target.decode()}")

    mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE)  # from here on no mount is seen outside
    mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    if libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, attributes, size) != 0:
        raise OSError(ctypes.get_errno(), "mount_setattr")
    mount(b"tmpfs", os.fsencode(directory), b"tmpfs", _MS_NOSUID | _MS_NODEV, b"size=%d" % room)
    os.chdir(directory)
    try:
        with open("/etc/axptr-fuzz", "x"):
            raise RuntimeError("the host can still be written to")
    except OSError:
        pass
    return work(directory)


def _remove(directory: Path) -> None:
    """What is left of an unconfined run. Directories may have lost their permissions."""
    for root, names, files in os.walk(directory, topdown=True):
        os.chmod(root, 0o700)
        for name in (*names, *files):
            path = os.path.join(root, name)
            if not os.path.islink(path) and os.path.isdir(path):
                os.chmod(path, 0o700)
    for root, names, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(os.path.join(root, name))
        for name in names:
            path = os.path.join(root, name)
            (os.unlink if os.path.islink(path) else os.rmdir)(path)
    os.rmdir(directory)
