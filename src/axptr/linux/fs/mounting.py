"""What mount(2) makes of a tree: new mounts, the same directory in a second place, moved and removed ones.

All of it is within the machine's own tree: nothing is mounted on the host, and what may be written of the host's files
is what was allowed before, wherever they are shown. How mounts would go on to other name spaces (propagation) is taken
as said, and nothing goes on. Source: mount(2), umount(2), pivot_root(2), fs/namespace.c of Linux 6.18.
"""

from __future__ import annotations

import copy
import errno
import os
import re
import stat

from ...errors import LinuxError
from ..task.creds import CAP_SYS_ADMIN
from ..task.userspace import gid_of, uid_of
from .mounts import TIMES, Mount, MountTable, moved
from .walk import AT_FDCWD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .node import Node

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_NOATIME, MS_NODIRATIME = 1, 2, 4, 8, 32, 1024, 2048
MS_BIND, MS_MOVE, MS_REC, MS_RELATIME, MS_STRICTATIME = 4096, 8192, 16_384, 1 << 21, 1 << 24
_TOLD = {MS_NOSUID: b"nosuid", MS_NODEV: b"nodev", MS_NOEXEC: b"noexec", MS_NODIRATIME: b"nodiratime"}
_SIZE = re.compile(rb"\d+[kKmMgGtTpPeE]?")
_PERCENT = re.compile(rb"\d+(%|[kKmMgGtTpPeE]?)")
_NUMBER = re.compile(rb"\d+")
_PAGE = 4096


def own(task: LinuxTask, node: Node) -> Node:
    """A node that a path led to, in a mount of the task's own table. EINVAL for what is in none (check_mnt): what was
    held when its mount went, or is in another name space."""
    mount, table = node.mount, task.fs.mounts
    if mount in table.mounts:
        return node
    here = None if mount is None else table.same(mount)
    if here is None:
        raise LinuxError(errno.EINVAL)
    return here.root if here.is_root(node) else moved(node, here)


def options_of(flags: int) -> bytes:
    """What mountinfo tells of flags, but ro and rw."""
    told = [name for flag, name in _TOLD.items() if flags & flag]
    told.append(b"noatime" if flags & MS_NOATIME else b"relatime")
    return b",".join(told if not flags & MS_STRICTATIME or flags & MS_NOATIME else told[:-1])


def root_of(node: Node) -> Mount | None:
    """The mount whose root a node is."""
    mount = node.mount
    return mount if mount is not None and mount.is_root(node) else None


def require_root(node: Node) -> Mount:
    """EINVAL for what is no root of a mount."""
    mount = root_of(node)
    if mount is None:
        raise LinuxError(errno.EINVAL)
    return mount


def _point(task: LinuxTask, path: bytes, node: Node, dirfd: int = AT_FDCWD) -> tuple[Node, bytes]:
    """The directory of a mount point and its name there; of a mount's root, where that is mounted. EBUSY for /."""
    mount = root_of(node)
    if mount is not None:
        if mount.above is None:
            raise LinuxError(errno.EBUSY)
        return mount.above, mount.name
    fs = task.fs
    if node.is_dir:
        return fs.parent(task, node), node.where().rpartition(b"/")[2]
    for _ in range(40):
        entry = fs.entry(task, dirfd, path)
        there = fs.child(task, entry)
        if there is None or not there.is_link:
            break
        goal = there.target(task)
        head = b"" if goal[:1] == b"/" else path.rpartition(b"/")[0] + b"/" if b"/" in path else b""
        path = head + goal
    return entry.directory, entry.name


def put(task: LinuxTask, path: bytes, node: Node, mount: Mount, dirfd: int = AT_FDCWD) -> None:
    """Mount at a path that leads to a node. ENOTDIR: a directory goes on a directory, anything else on no directory."""
    if node.is_dir != mount.root.is_dir:
        raise LinuxError(errno.ENOTDIR)
    if node.removed:
        raise LinuxError(errno.ENOENT)
    _require_here(task, node.mount)
    directory, name = _point(task, path, node, dirfd)
    task.fs.mounts.attach(own(task, directory).hold(), name, mount)


def _require_here(task: LinuxTask, mount: Mount | None) -> Mount:
    """EINVAL for what is not mounted in the task's name space (check_mnt)."""
    if mount is None or mount not in task.fs.mounts.mounts:
        raise LinuxError(errno.EINVAL)
    return mount


def _require_free(task: LinuxTask) -> None:
    """EPERM where rules say what may be done with a file by where it is: it is to be nowhere else."""
    if task.machine.rules is not None:
        raise LinuxError(errno.EPERM)


# -- kinds of trees


def _shown_elsewhere(node: Node, mount: Mount) -> Mount:
    """A second mount of what a node is the top of."""
    from .latermount import LaterMount

    if isinstance(mount, LaterMount):
        made = Mount(
            moved(node, None),
            *mount.device(),
            readonly=mount.readonly,
        )
    else:
        made = copy.copy(mount)
        made.root = moved(node, made)
        made.covered = set()
        if hasattr(made, "whole"):
            made.whole = False
    made.above, made.name, made.beneath = None, b"", None
    made.noexec, made.nodev, made.users = mount.noexec, mount.nodev, mount.users
    made.locked = made.along = False
    made.readonly_locked, made.kept = mount.readonly_locked, mount.kept
    here, place = node.where(), mount.place().rstrip(b"/")
    below = here[len(place) :] if here.startswith(place + b"/") else b""
    made.part = mount.part.rstrip(b"/") + below or b"/"
    return made


def bind(task: LinuxTask, node: Node, path: bytes, goal: Node, *, whole: bool) -> None:
    """Show at a path what a node is; whole: with what is mounted in it. What is locked comes along whatever is said,
    where Linux says EINVAL: what it hides stays hidden."""
    put_tree(task, path, goal, twin_of(task, node, whole=whole))


class Detached:
    """What is mounted nowhere yet: a mount, and where in it others are to be, which come with it. fresh: whether its
    file system is nowhere else, and goes with it."""

    def __init__(self, mount: Mount, parts: list[tuple[Node, bytes, Mount]], *, fresh: bool = False) -> None:
        self.mount = mount
        self.parts = parts
        self.fresh = fresh


def twin_of(task: LinuxTask, node: Node, *, whole: bool) -> Detached:
    """What shows elsewhere what a node is, as `bind` does."""
    mount, table = _require_here(task, node.mount), task.fs.mounts
    _require_free(task)
    inside = [one for one in table.inside(mount) if (whole or one.locked) and _lies_in(task, one, node)]
    made = _shown_elsewhere(node, mount)
    twins, parts = {id(mount): made}, []
    for one in inside:
        above = one.above
        assert above is not None
        twin = twins.get(id(above.mount))
        if twin is None:
            continue
        twins[id(one)] = other = _shown_elsewhere(one.root, one)
        other.locked, other.along = one.locked, not whole
        parts.append((moved(above, twin), one.name, other))
    return Detached(made, parts)


def put_tree(task: LinuxTask, path: bytes, goal: Node, what: Detached, dirfd: int = AT_FDCWD) -> None:
    """`put` for a mount with others in it: all of them, or none."""
    table, done = task.fs.mounts, [what.mount]
    put(task, path, goal, what.mount, dirfd)
    for above, name, mount in what.parts:
        try:
            table.attach(above, name, mount)
        except LinuxError:
            for half in reversed(done):
                table.remove(half)
            raise
        done.append(mount)


_LONGEST = 2048
"""Directories above one another whose path can still be said."""


def _lies_in(task: LinuxTask, mount: Mount, node: Node) -> bool:
    """Whether a mount stands somewhere below a directory: the directories above its place are looked at, and not their
    names, which others may change meanwhile. Of one that stands in another mount: what that one does decides.

    Where the way up is lost it may be so. ENAMETOOLONG.
    """
    at = mount.above
    if root_of(node) is not None or at is None or at.mount is not node.mount:
        return True
    for _ in range(_LONGEST):
        if at.identity == node.identity:
            return True
        if root_of(at) is not None:
            return False
        try:
            at = at.parent(task)
        except LinuxError:
            return True
    raise LinuxError(errno.ENAMETOOLONG)


def words_of(data: bytes) -> dict[bytes, bytes]:
    """Options of a tmpfs. EINVAL for one that it has not, or that is none."""
    found: dict[bytes, bytes] = {}
    for word in filter(None, data.split(b",")):
        name, _, value = word.partition(b"=")
        form = {
            b"size": _PERCENT,
            b"nr_blocks": _SIZE,
            b"nr_inodes": _SIZE,
            b"mode": _NUMBER,
            b"uid": _NUMBER,
            b"gid": _NUMBER,
        }
        known = name in (b"huge", b"mpol", b"noswap", b"inode32", b"inode64", b"source")
        if not known and (name not in form or not form[name].fullmatch(value)):
            raise LinuxError(errno.EINVAL)
        found[name] = value
    return found


def _tmpfs(task: LinuxTask, source: bytes, kind: bytes, data: bytes) -> Mount:
    from .tmp import TmpFs, TmpMount
    from .tmproom import Room, limits_of

    words, machine = words_of(data), task.machine
    try:
        mode = int(words.get(b"mode", b"1777"), 8)
    except ValueError:
        raise LinuxError(errno.EINVAL) from None
    creds = task.creds
    uid = uid_of(creds.space, int(words[b"uid"][:12])) if b"uid" in words else creds.fs_uid
    gid = gid_of(creds.space, int(words[b"gid"][:12])) if b"gid" in words else creds.fs_gid
    if max(mode, uid, gid) >= 0xFFFF_FFFF:  # none, and what has no room
        raise LinuxError(errno.EINVAL)
    limits = (None, None) if kind == b"ramfs" else limits_of(words, _memory(task))
    device = os.makedev(0, 100 + machine.next_inode() % 0xF_FF00)
    fs = TmpFs(task.space.phys, machine, device, mode=mode & 0o7777)
    fs.limit(Room(*limits))
    inode = fs.root.inode
    inode.uid, inode.gid = uid, gid
    mount = TmpMount(fs, source, kind)
    mode_told = b"" if mode & 0o7777 == 0o1777 else b",mode=%03o" % (mode & 0o7777)
    mount.owner_told = mode_told + (b",uid=%d" % uid if uid else b"") + (b",gid=%d" % gid if gid else b"")
    return mount


def _memory(task: LinuxTask) -> int:
    """Pages of the machine's memory."""
    return (task.machine.memory_limit or task.space.phys.size) // _PAGE


_OF_MACHINE = frozenset(
    (b"proc", b"sysfs", b"devtmpfs", b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"vfat", b"iso9660", b"squashfs")
)
"""Kinds that who has rights in a name space of users alone cannot mount: they show what is the machine's."""
_OWN = {b"proc": b"proc", b"sysfs": b"sysfs", b"devtmpfs": b"devtmpfs", b"devpts": b"devtmpfs"}
"""Trees of the machine's that there is one of, whoever mounts it, and in what mount they are."""


def mount_new(task: LinuxTask, source: bytes, path: bytes, goal: Node, kind: bytes, flags: int, data: bytes) -> None:
    """Mount a file system of a kind."""
    made = make(task, source, kind, flags, data)
    try:
        put(task, path, goal, made)
    except LinuxError:
        made.close()
        raise


def require_capable(task: LinuxTask, kind: bytes) -> None:
    """EPERM for who has no rights over what a kind shows (mount_capable)."""
    owner = task.network.users if kind == b"sysfs" else None
    if kind in _OF_MACHINE and not task.creds.has_over(owner, CAP_SYS_ADMIN):
        raise LinuxError(errno.EPERM)


def make(task: LinuxTask, source: bytes, kind: bytes, flags: int, data: bytes) -> Mount:
    """A file system of a kind, mounted nowhere. ENODEV for one that there is not, or that has no device here."""
    from .tmp import TmpFs

    require_capable(task, kind)
    if kind in (b"tmpfs", b"ramfs"):
        made = _tmpfs(task, source, kind, data)
    elif kind in _OWN:
        _require_free(task)
        found = next((one for one in task.fs.mounts.mounts if one.device()[1] == _OWN[kind]), None)
        top = found.root if found is not None else None
        if top is not None and kind == b"devpts":  # all terminals, as without instances (fs/devpts/inode.c)
            top = top.lookup(task, b"pts")
        if top is None:
            raise LinuxError(errno.EPERM)
        made = Mount(moved(top, None), source, kind)
        made.root.mount = made
    elif kind in (b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"vfat", b"iso9660", b"squashfs"):
        node = task.fs.resolve(task, AT_FDCWD, source)
        raise LinuxError(errno.ENOTBLK if node.mode & 0o170000 != 0o060000 else errno.EPERM)
    else:
        raise LinuxError(errno.ENODEV)
    if flags & MS_RDONLY and isinstance(fs := getattr(made, "fs", None), TmpFs):
        fs.readonly = True
    made.users = task.creds.space
    set_flags(made, flags)
    return made


def set_flags(mount: Mount, flags: int) -> None:
    """What a mount forbids, and is said to have, from now on."""
    mount.readonly = bool(flags & MS_RDONLY) or getattr(getattr(mount, "fs", None), "readonly", False)
    mount.by_tree = mount.readonly and not flags & MS_RDONLY
    mount.noexec, mount.nodev = bool(flags & MS_NOEXEC), bool(flags & MS_NODEV)
    mount.set_options(options_of(flags))


def known(kind: bytes) -> bool:
    """Whether there is such a kind of file system."""
    return kind in (b"tmpfs", b"ramfs") or kind in _OWN or kind in _OF_MACHINE


def flags_of(mount: Mount) -> int:
    """Those by which a mount would be made as it is."""
    told = mount.device()[2].split(b",")
    flags = MS_NOATIME if b"noatime" in told else MS_RELATIME if b"relatime" in told else MS_STRICTATIME
    flags |= sum(flag for flag, name in _TOLD.items() if name in told)
    return flags | (MS_RDONLY if mount.readonly and not mount.by_tree else 0)


def _kept_times(mount: Mount, flags: int) -> int:
    """Flags of a remount: who says nothing of times of access has them as they are (do_remount)."""
    times = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME
    return flags if flags & times else flags | flags_of(mount) & times


def remount(task: LinuxTask, mount: Mount, flags: int, data: bytes) -> None:
    """EPERM for what is to stay as it is; EBUSY for what is written to; EINVAL for a tmpfs that is to hold less than it
    does."""
    if mount.readonly_locked and not flags & MS_RDONLY:
        raise LinuxError(errno.EPERM)
    if not flags & MS_BIND and not task.creds.has_over(mount.users, CAP_SYS_ADMIN):
        raise LinuxError(errno.EPERM)
    flags = _kept_times(mount, flags)
    if mount.kept is not None:
        wanted = frozenset(options_of(flags).split(b","))
        if not mount.kept <= wanted or (wanted ^ mount.kept) & TIMES:
            raise LinuxError(errno.EPERM)
    readonly, fs = bool(flags & MS_RDONLY), getattr(mount, "fs", None)
    if readonly and not mount.readonly and _is_written(task, mount, None if flags & MS_BIND else fs):
        raise LinuxError(errno.EBUSY)
    room = None if flags & MS_BIND else getattr(fs, "room", None)
    if room is not None:
        from .tmproom import limits_of

        room.change(*limits_of(words_of(data), _memory(task)))
    if fs is not None and not flags & MS_BIND:
        fs.readonly = readonly
    set_flags(mount, flags)


def move(task: LinuxTask, node: Node, path: bytes, goal: Node, dirfd: int = AT_FDCWD) -> None:
    """EINVAL for what is no mount, or the root; ELOOP into itself."""
    mount, table = require_root(node), task.fs.mounts
    if mount.above is None or mount not in table.mounts or mount.locked:
        raise LinuxError(errno.EINVAL)
    _require_free(task)
    _require_here(task, goal.mount)
    if node.is_dir != goal.is_dir:
        raise LinuxError(errno.EINVAL)
    if goal.mount is mount or goal.mount in table.inside(mount):
        raise LinuxError(errno.ELOOP)
    directory, name = _point(task, path, goal, dirfd)
    directory = own(task, directory)
    table.require_room(directory, mount)
    table.detach(mount)
    table.attach(directory.hold(), name, mount)


# -- going


def _is_used(task: LinuxTask, mount: Mount) -> bool:
    """Whether somebody is in it, or has something of it open."""
    for other in task.machine.tasks.values():
        if other.fs.cwd.mount is mount or other.fs.root.mount is mount:
            return True
        if getattr(other.mm.exe, "mount", None) is mount and not other.dead:
            return True
    return any((node := file.node()) is not None and node.mount is mount for file in task.machine.open_files())


def _is_written(task: LinuxTask, mount: Mount, fs: object) -> bool:
    """Whether somebody has a file open for writing in a mount, or wherever its file system is mounted
    (mnt_hold_writers, sb_prepare_remount_readonly)."""
    for file in task.machine.open_files():
        node = file.node() if file.writable else None
        if node is None or node.mount is None or stat.S_IFMT(node.mode) != stat.S_IFREG:
            continue
        if node.mount is mount or (fs is not None and getattr(node.mount, "fs", None) is fs):
            return True
    return False


def unmount(task: LinuxTask, mount: Mount, *, lazily: bool, expire: bool) -> None:
    """EINVAL for the root of the tree; EBUSY for what is used, unless lazily; EAGAIN the first time that it is to go
    only if nobody used it."""
    table = task.fs.mounts
    old: Mount | None = table.stacked
    if old is not None and mount in (table.mounts[0], old):  # pivot_root(".", ".") has put the old root over the new
        table.stacked = None
        table.drop(old)
        table.mounts.remove(old)
        return
    if mount.above is None or mount not in table.mounts or mount.locked:
        raise LinuxError(errno.EINVAL)
    inside = table.inside(mount)
    if not lazily:
        if not all(one.along for one in inside) or any(_is_used(task, one) for one in (mount, *inside)):
            raise LinuxError(errno.EBUSY)
        if expire and not mount.expiring:
            mount.expiring = True
            raise LinuxError(errno.EAGAIN)
    table.drop(mount)
    table.remove(mount, later=lazily and _is_used(task, mount))


def pivot(task: LinuxTask, new: Node, old: Node, old_path: bytes) -> None:
    """Make a mount the root, and have the one that was be in it (path_pivot_root)."""
    table, fs = task.fs.mounts, task.fs
    _require_free(task)
    mount, root = root_of(new), table.mounts[0]
    if fs.root is not root.root and not root.is_root(fs.root):
        raise LinuxError(errno.EINVAL)
    if new.mount is root or old.mount is root:
        raise LinuxError(errno.EBUSY)
    if mount is None or mount not in table.mounts or mount.locked or not _is_in(old, mount, table):
        raise LinuxError(errno.EINVAL)
    stacked = mount.is_root(old)
    place = (old.hold(), b"") if stacked else _point(task, old_path, old)
    if not stacked:
        place = own(task, place[0]).hold(), place[1]
    table.require_room(place[0], root)
    table.detach(mount)
    table.mounts.remove(mount)
    table.mounts.insert(0, mount)
    if stacked:
        table.stacked = root
    else:
        table.attach(place[0], place[1], root)
    for other in task.machine.tasks.values():
        if other.fs.mounts is not table:
            continue
        if root.is_root(other.fs.root):
            other.fs.root = mount.root
        if root.is_root(other.fs.cwd) and other.fs.cwd.mount is root:
            other.fs.cwd = mount.root


def _is_in(node: Node, mount: Mount, table: MountTable) -> bool:
    return node.mount is mount or node.mount in table.inside(mount)
