"""Mounting in steps: fsopen, fsconfig, fsmount, fspick, open_tree, move_mount, mount_setattr. What they do to the tree
is `fs.mounting`'s. Source: the man page of each, fs/fsopen.c, fs/namespace.c of Linux 6.18.

What is mounted within a tree that is nowhere yet is there once that one is somewhere. Ids of a mount's own (idmapped
mounts) there are none, and mounts of one name space alone see each other go (no groups: propagation is taken as said).
"""

from __future__ import annotations

import errno
import os
from struct import unpack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_size_t, c_uint
from ..files.mountfiles import DESCRIBED, FAILED, MADE, PICKED, FsFile, MountFile
from ..fs import mounting
from ..fs.walk import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from ..registry import call
from ..task.userspace import NONE, told_owners
from ..uaccess import ConstBytes, get_bytes, read_path
from .mounts import require_admin
from .stat import lookup, read_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.mounts import Mount
    from ..task.task import LinuxTask

_CLONE, _RECURSIVE, _NO_AUTOMOUNT = 1, 0x8000, 0x800
_KEYS = {0: (1, 0), 1: (1, 1), 2: (1, 1), 3: (1, 1), 4: (1, 1), 5: (1, 0), 6: (0, 0), 7: (0, 0), 8: (0, 0)}
"""fsconfig: which commands have a key, and a value."""
_FLAG, _STRING, _BINARY, _PATH, _PATH_EMPTY, _FD, _CREATE, _RECONFIGURE, _CREATE_EXCL = range(9)
_WITHOUT_AUX = (_FLAG, _STRING, _CREATE, _RECONFIGURE, _CREATE_EXCL)
_MOST_KEY, _MOST_BINARY = 256, 1 << 20
_SB_FLAGS = frozenset(b"ro rw sync async dirsync lazytime nolazytime mand nomand".split())
_OPTIONS = {
    b"proc": frozenset(b"gid hidepid subset".split()),
    b"devpts": frozenset(b"gid max mode newinstance ptmxmode uid".split()),
    b"sysfs": frozenset[bytes](),
}  # fmt: skip
"""Of kinds whose options are not looked at: those that they have."""
_ATTR_TIMES, _ATTR_NODIRATIME, _ATTR_IDMAP, _ATTR_NOSYMFOLLOW = 0x70, 0x80, 0x10_0000, 0x20_0000
_ATTR_PLAIN = 0xF
"""MOUNT_ATTR_RDONLY, NOSUID, NODEV and NOEXEC, which are as MS_*."""
_ATTR_MOUNT = _ATTR_PLAIN | _ATTR_TIMES | _ATTR_NODIRATIME | _ATTR_NOSYMFOLLOW
_TIMES = {0: mounting.MS_RELATIME, 0x10: mounting.MS_NOATIME, 0x20: mounting.MS_STRICTATIME}
_PROPAGATION = 0x1E_0000
_CLOEXEC = 1
"""FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC, FSPICK_CLOEXEC."""
_PICK_NOFOLLOW, _PICK_EMPTY, _PICK_ANY = 2, 8, 0xF
_F_FOLLOW, _F_EMPTY, _T_FOLLOW, _T_EMPTY, _SET_GROUP, _BENEATH, _MOVE_ANY = 1, 4, 0x10, 0x40, 0x100, 0x200, 0x377
"""MOVE_MOUNT_*."""
_SIZE = 32


# -- a file system in steps


def _string(task: LinuxTask, text: ConstBytes, most: int) -> bytes:
    """strndup_user: EINVAL for one that is too long."""
    try:
        return bytes(text.read_cstr(task, most - 1))
    except LinuxError as error:
        raise LinuxError(errno.EINVAL) if error.errno == errno.ENAMETOOLONG else error from None


@call("fsopen")
def sys_fsopen(task: LinuxTask, name: ConstBytes, flags: c_uint) -> int:
    require_admin(task)
    if flags & ~_CLOEXEC:
        raise LinuxError(errno.EINVAL)
    kind = _string(task, name, 4096)
    if not mounting.known(kind):
        raise LinuxError(errno.ENODEV)
    return task.files.add(FsFile(kind), cloexec=bool(flags & _CLOEXEC))


@call("fspick")
def sys_fspick(task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_uint) -> int:
    require_admin(task)
    if flags & ~_PICK_ANY:
        raise LinuxError(errno.EINVAL)
    how = (AT_SYMLINK_NOFOLLOW if flags & _PICK_NOFOLLOW else 0) | (AT_EMPTY_PATH if flags & _PICK_EMPTY else 0)
    mount = mounting.require_root(lookup(task, dirfd, read_path(task, path), how))
    return task.files.add(FsFile(mount.device()[1], mount), cloexec=bool(flags & _CLOEXEC))


@call("fsconfig")
def sys_fsconfig(task: LinuxTask, fd: c_int, command: c_uint, key: ConstBytes, value: ConstBytes, aux: c_int) -> int:
    if fd < 0:
        raise LinuxError(errno.EINVAL)
    given = _KEYS.get(command)
    if given is None:
        raise LinuxError(errno.EOPNOTSUPP)
    if given != (not key.is_null, not value.is_null) or (aux and command in _WITHOUT_AUX):
        raise LinuxError(errno.EINVAL)
    if command == _BINARY and not 0 < aux <= _MOST_BINARY:
        raise LinuxError(errno.EINVAL)
    if command in (_PATH, _PATH_EMPTY) and aux != AT_FDCWD and aux < 0:
        raise LinuxError(errno.EINVAL)
    if command == _FD and aux < 0:
        raise LinuxError(errno.EINVAL)
    file = task.files.get_io(fd)
    if not isinstance(file, FsFile):
        raise LinuxError(errno.EINVAL)
    if command == _CREATE:
        _create(task, file)
    elif command == _CREATE_EXCL:
        raise LinuxError(errno.EBUSY if file.phase != DESCRIBED else errno.EOPNOTSUPP)
    elif command == _RECONFIGURE:
        _reconfigure(task, file)
    else:
        name = _string(task, key, _MOST_KEY)
        text = _string(task, value, _MOST_KEY) if command == _STRING else None
        if command in (_PATH, _PATH_EMPTY):
            read_path(task, value)
        elif command == _FD:
            task.files.get(aux)
        elif command == _BINARY:
            get_bytes(task, value.address, aux)
        _say(task, file, command, name, text)
    return 0


def _say(task: LinuxTask, file: FsFile, command: int, name: bytes, text: bytes | None) -> None:
    """One parameter (vfs_parse_fs_param). EINVAL for what the kind has not; EBUSY where it is too late."""
    if file.phase not in (DESCRIBED, PICKED):
        raise LinuxError(errno.EBUSY)
    if command not in (_FLAG, _STRING) or not name:
        raise LinuxError(errno.EINVAL)
    if name in _SB_FLAGS:
        if name in (b"ro", b"rw"):
            file.readonly = name == b"ro"
    elif name == b"source":
        if text is None or file.source:
            raise LinuxError(errno.EINVAL)
        file.source = text
    elif file.fs_kind in (b"tmpfs", b"ramfs"):
        word = name if text is None else name + b"=" + text
        mounting.words_of(word)
        if name in (b"uid", b"gid"):
            owner = int((text or b"")[:12])
            told_owners(task.creds.space, *((owner, NONE) if name == b"uid" else (NONE, owner)))
        file.data.append(word)
    elif name not in _OPTIONS.get(file.fs_kind, frozenset()):
        raise LinuxError(errno.EINVAL)


def _create(task: LinuxTask, file: FsFile) -> None:
    if file.phase != DESCRIBED:
        raise LinuxError(errno.EBUSY)
    mounting.require_capable(task, file.fs_kind)
    file.phase = FAILED
    flags = mounting.MS_RDONLY if file.readonly else 0
    file.made = mounting.make(task, file.source or b"none", file.fs_kind, flags, b",".join(file.data))
    file.phase = MADE


def _reconfigure(task: LinuxTask, file: FsFile) -> None:
    if file.phase != PICKED:
        raise LinuxError(errno.EBUSY)
    mount = file.picked
    assert mount is not None
    flags = mounting.flags_of(mount)
    if file.readonly is not None:
        flags = flags & ~mounting.MS_RDONLY | (mounting.MS_RDONLY if file.readonly else 0)
    mounting.remount(task, mount, mounting.MS_REMOUNT | flags, b",".join(file.data))


def _flags(attributes: int) -> int:
    """MOUNT_ATTR_* as the flags of mount(2). EINVAL for times that there are not."""
    times = _TIMES.get(attributes & _ATTR_TIMES)
    if times is None:
        raise LinuxError(errno.EINVAL)
    return _plain(attributes) | times


@call("fsmount")
def sys_fsmount(task: LinuxTask, fd: c_int, flags: c_uint, attributes: c_uint) -> int:
    require_admin(task)
    if flags & ~_CLOEXEC or attributes & ~_ATTR_MOUNT:
        raise LinuxError(errno.EINVAL)
    made_of = _flags(attributes)
    file = task.files.get_io(fd)
    if not isinstance(file, FsFile) or file.phase in (DESCRIBED, FAILED):
        raise LinuxError(errno.EINVAL)
    mount = file.made
    if mount is None:
        raise LinuxError(errno.EBUSY)
    mounting.set_flags(mount, made_of)
    number = task.files.add(MountFile(mounting.Detached(mount, [], fresh=True)), cloexec=bool(flags & _CLOEXEC))
    file.made, file.picked, file.phase = None, mount, PICKED
    file.readonly, file.data = None, []
    return number


# -- a tree in steps


def _open_tree(task: LinuxTask, dirfd: int, path: ConstBytes, flags: int) -> MountFile | None:
    """What it gives; None for what is as openat with O_PATH."""
    known = _CLONE | _RECURSIVE | AT_SYMLINK_NOFOLLOW | _NO_AUTOMOUNT | AT_EMPTY_PATH | os.O_CLOEXEC
    if flags & ~known or flags & (_CLONE | _RECURSIVE) == _RECURSIVE:
        raise LinuxError(errno.EINVAL)
    if not flags & _CLONE:
        return None
    require_admin(task)
    node = lookup(task, dirfd, read_path(task, path), flags)
    file = task.files.get(dirfd) if dirfd != AT_FDCWD else None
    if isinstance(file, MountFile) and file.detached is not None:
        raise LinuxError(errno.EINVAL)
    return MountFile(mounting.twin_of(task, mounting.own(task, node), whole=bool(flags & _RECURSIVE)))


@call("open_tree")
def sys_open_tree(task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_uint) -> int:
    """Only the one that makes a copy of the mount needs the right; the other is as openat with O_PATH."""
    made = _open_tree(task, dirfd, path, flags)
    if made is None:
        node = lookup(task, dirfd, read_path(task, path), flags)
        return task.files.add(node.open_place(task, os.O_PATH), cloexec=bool(flags & os.O_CLOEXEC))
    return task.files.add(made, cloexec=bool(flags & os.O_CLOEXEC))


@call("open_tree_attr")
def sys_open_tree_attr(
    task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_uint, attr: ConstBytes, size: c_size_t
) -> int:
    """Both in one: what is changed is the copy."""
    if attr.is_null and size:
        raise LinuxError(errno.EINVAL)
    if attr.is_null:
        return sys_open_tree(task, dirfd, path, flags)
    made = _open_tree(task, dirfd, path, flags)
    change = _change(task, attr, size)
    if made is None:
        raise LinuxError(errno.EINVAL)
    if change is not None:
        _apply(task, [made.detached.mount], change)  # type: ignore[union-attr]
    return task.files.add(made, cloexec=bool(flags & os.O_CLOEXEC))


@call("move_mount")
def sys_move_mount(
    task: LinuxTask, from_fd: c_int, from_path: ConstBytes, to_fd: c_int, to_path: ConstBytes, flags: c_uint
) -> int:
    require_admin(task)
    if flags & ~_MOVE_ANY or flags & (_SET_GROUP | _BENEATH) == _SET_GROUP | _BENEATH:
        raise LinuxError(errno.EINVAL)
    how = (0 if flags & _F_FOLLOW else AT_SYMLINK_NOFOLLOW) | (AT_EMPTY_PATH if flags & _F_EMPTY else 0)
    where = (0 if flags & _T_FOLLOW else AT_SYMLINK_NOFOLLOW) | (AT_EMPTY_PATH if flags & _T_EMPTY else 0)
    path, goal_path = read_name(task, from_path, how), read_name(task, to_path, where)
    goal = lookup(task, to_fd, goal_path, where)
    file = task.files.get(from_fd) if not path and flags & _F_EMPTY and from_fd != AT_FDCWD else None
    node = lookup(task, from_fd, path, how)
    if flags & _SET_GROUP:  # who is to hear of what is mounted: nobody
        mounting.require_root(node)
        return 0
    if flags & _BENEATH:
        raise LinuxError(errno.EINVAL)
    if not isinstance(file, MountFile) or file.detached is None:
        mounting.move(task, mounting.own(task, node), goal_path, mounting.own(task, goal), to_fd)
        return 0
    if file.detached.mount.root.is_dir != goal.is_dir:
        raise LinuxError(errno.EINVAL)
    mounting.put_tree(task, goal_path, mounting.own(task, goal), file.detached, to_fd)
    file.detached = None
    return 0


# -- what mounts forbid


def _change(task: LinuxTask, attr: ConstBytes, size: int) -> tuple[int, int] | None:
    """Attributes to be set and taken away; None where nothing is to be (wants_mount_setattr)."""
    if size > 4096:
        raise LinuxError(errno.E2BIG)
    if size < _SIZE:
        raise LinuxError(errno.EINVAL)
    require_admin(task)
    data = get_bytes(task, attr.address, size)
    if any(data[_SIZE:]):
        raise LinuxError(errno.E2BIG)
    wanted, gone, propagation, users = unpack("<QQQQ", data[:_SIZE])
    if not (wanted or gone or propagation):
        return None
    if propagation & ~_PROPAGATION or propagation & (propagation - 1):
        raise LinuxError(errno.EINVAL)
    if (wanted | gone) & ~(_ATTR_MOUNT | _ATTR_IDMAP):
        raise LinuxError(errno.EINVAL)
    if gone & _ATTR_TIMES:
        if gone & _ATTR_TIMES != _ATTR_TIMES or wanted & _ATTR_TIMES not in _TIMES:
            raise LinuxError(errno.EINVAL)
    elif wanted & _ATTR_TIMES:
        raise LinuxError(errno.EINVAL)
    if (wanted | gone) & _ATTR_IDMAP:
        if wanted & _ATTR_IDMAP and users <= 0x7FFF_FFFF:
            task.files.get(users)
        raise LinuxError(errno.EINVAL)
    return wanted, gone


def _apply(task: LinuxTask, mounts: list[Mount], change: tuple[int, int]) -> None:
    wanted, gone = change
    for mount in mounts:
        flags = mounting.flags_of(mount)
        times = flags & (mounting.MS_NOATIME | mounting.MS_RELATIME | mounting.MS_STRICTATIME)
        if gone & _ATTR_TIMES:
            times = _TIMES[wanted & _ATTR_TIMES]
        plain = flags & (_ATTR_PLAIN | mounting.MS_NODIRATIME) & ~_plain(gone) | _plain(wanted)
        mounting.remount(task, mount, mounting.MS_REMOUNT | mounting.MS_BIND | plain | times, b"")


def _plain(attributes: int) -> int:
    """Those besides times of access."""
    return attributes & _ATTR_PLAIN | (mounting.MS_NODIRATIME if attributes & _ATTR_NODIRATIME else 0)


@call("mount_setattr")
def sys_mount_setattr(
    task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_uint, attr: ConstBytes, size: c_size_t
) -> int:
    if flags & ~(AT_EMPTY_PATH | _RECURSIVE | AT_SYMLINK_NOFOLLOW | _NO_AUTOMOUNT):
        raise LinuxError(errno.EINVAL)
    change = _change(task, attr, size)
    if change is None:
        return 0
    how = flags & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)
    name = read_name(task, path, how)
    node = lookup(task, dirfd, name, how)
    file = task.files.get(dirfd) if not name and dirfd != AT_FDCWD else None
    if isinstance(file, MountFile) and file.detached is not None:
        parts = [mount for _, _, mount in file.detached.parts] if flags & _RECURSIVE else []
        _apply(task, [file.detached.mount, *parts], change)
        return 0
    mount = mounting.require_root(mounting.own(task, node))
    _apply(task, [mount, *(task.fs.mounts.inside(mount) if flags & _RECURSIVE else [])], change)
    return 0
