"""Calls that name files, where the host answers in one step: of a path whose way is plain (`ways`), below a tree over
another, too.

Each of these is made of the wrapper of its handler, which alone says what the call does: whatever is not so plain is left
to it, before anything has changed. What a policy's function has looked at the handler is called with, and not this.

Not here: the calls of the host (`axptr._core.host.places`), which of them is made when (`axptr.linux.calls`), what is read and
written (`hostio`).

Source: stat(2), statx(2), access(2), readlink(2), getxattr(2), listxattr(2), open(2).
"""

import cython
from cython.cimports.axptr._core.host.places import (
    Place,
    Way,
    axptr_access_below,
    axptr_dev,
    axptr_look,
    axptr_pack_stat,
    axptr_readlink_below,
    axptr_tell,
    axptr_told,
    axptr_xattr_below,
    named,
    reopened,
)
from cython.cimports.axptr._core.kernel.atonce import string, transfer
from cython.cimports.axptr._core.kernel.overlaid import PLACE, RESOLVE, found_below, holder, readable
from cython.cimports.axptr._core.kernel.waiting import Waiting
from cython.cimports.axptr._core.kernel.ways import (
    Way,
    begins,
    is_missing,
    past_link,
    told_below,
    told_of,
)
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.words.codes import WRITE
from cython.cimports.axptr._core.words.conversion import Bound
from cython.cimports.libc.errno import EACCES, EINVAL, ELOOP, ENODATA, EOPNOTSUPP
from cython.cimports.libc.stdint import int32_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcmp
from cython.cimports.posix.unistd import close

STAT, LSTAT, NEWFSTATAT, STATX, FSTAT = range(5)
"""Forms of `StatusCall`."""
GETXATTR, LGETXATTR, LISTXATTR, LLISTXATTR = range(4)
"""Of `XattrCall`."""
PLAIN, AT = range(2)
"""Of those that take a path, or a directory's descriptor and a path."""

_stat = cython.declare(cython.int, 0)
_lstat = cython.declare(cython.int, 1)
_newfstatat = cython.declare(cython.int, 2)
_statx = cython.declare(cython.int, 3)
_fstat = cython.declare(cython.int, 4)
_lgetxattr = cython.declare(cython.int, 1)
_listxattr = cython.declare(cython.int, 2)
_stat_size = cython.declare(cython.int, 144)
_statx_size = cython.declare(cython.int, 256)
_path_max = cython.declare(cython.Py_ssize_t, 4095)
_name_max = cython.declare(cython.Py_ssize_t, 255)
_cwd = cython.declare(cython.int, -100)
"""AT_FDCWD."""
_kind = cython.declare(cython.uint, 0o170000)
_directory = cython.declare(cython.uint, 0o040000)
_regular = cython.declare(cython.uint, 0o100000)
_link = cython.declare(cython.uint, 0o120000)
_o_directory = cython.declare(cython.int, 0o200000)
_o_cloexec = cython.declare(cython.int, 0o2000000)
_o_noctty = cython.declare(cython.int, 0o400)
_o_noatime = cython.declare(cython.int, 0o1000000)
_o_nofollow = cython.declare(cython.int, 0o400000)
_nofollow = cython.declare(uint32_t, 0x100)
_empty_path = cython.declare(uint32_t, 0x1000)
_at_flags = cython.declare(uint32_t, 0x6900)
"""AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_STATX_SYNC_TYPE."""
_sync_type = cython.declare(uint32_t, 0x6000)
_statx_flags = cython.declare(uint32_t, 0x900)
_basic_stats = cython.declare(uint32_t, 0x7FF)
_mount_root = cython.declare(uint64_t, 0x2000)
"""STATX_ATTR_MOUNT_ROOT: the host's mounts are not the machine's."""
_change_times = cython.declare(uint32_t, 0xC0)
_may_write = cython.declare(uint64_t, 2)
_may = cython.declare(uint64_t, 7)
_may_read = cython.declare(object, 4)


@cython.cfunc
@cython.exceptval(-1)
def _mapped(task: Waiting, told: cython.pointer(axptr_told)) -> cython.bint:
    """Whether a mapping may have written to the file."""
    if told.mode & _kind != _regular:
        return False
    space: SpaceCore = task._space
    identity: tuple = (axptr_dev(told.dev_major, told.dev_minor), told.ino)
    return identity in space.phys.caches.data


@cython.cclass
class FileCall(Bound):
    """A call with a handler that does all of it."""

    def __init__(self, plain: Bound, form: cython.int):
        self.plain = plain
        self.form = form


# -- what a file is


@cython.final
@cython.cclass
class StatusCall(FileCall):
    """stat and its kin, in the structures of x86-64. The time that a mapping may know better is the handler's to tell.

    opened: the class of an open file of the host's.
    """

    def __init__(self, plain: Bound, form: cython.int, opened):
        FileCall.__init__(self, plain, form)
        self.opened = opened

    def serve(self, task, registers):
        way: Way
        told: axptr_told
        path: cython.char[4096]
        refused: cython.int
        size: cython.Py_ssize_t
        dirfd: cython.int = _cwd
        where: uint64_t = registers[0]
        to: uint64_t = registers[1]
        flags: uint32_t = 0
        form: cython.int = self.form
        caller: Waiting = task
        found: object
        if task.creds.space is not None:  # where owners have other names
            return self.plain.serve(task, registers)
        if form == _fstat:
            found = self.described(caller, registers[0], to)
            return self.plain.serve(task, registers) if found is None else found
        if form == _lstat:
            flags = _nofollow
        elif form != _stat:
            dirfd = cython.cast(int32_t, registers[0])
            where = registers[1]
            if form == _newfstatat:
                to = registers[2]
                flags = cython.cast(uint32_t, registers[3])
                if flags & ~_at_flags & ~_empty_path:
                    return self.plain.serve(task, registers)
            else:
                to = registers[4]
                flags = cython.cast(uint32_t, registers[2])
                mask: uint32_t = cython.cast(uint32_t, registers[3])
                if flags & ~_statx_flags or not mask & _change_times or mask & ~_basic_stats:
                    return self.plain.serve(task, registers)
        if flags & _empty_path and where == 0:
            size = 0
        else:
            size = string(caller._space, where, path, _path_max)
        if flags & _empty_path:
            found = self.described(caller, dirfd, to) if size == 0 and dirfd >= 0 and form != _statx else None
            return self.plain.serve(task, registers) if found is None else found
        start: object = begins(caller, dirfd, path, size, cython.address(way))
        while start is not None:
            refused = told_of(start, cython.address(way), cython.address(told))
            if refused == 0 and told.mode & _kind == _link and (not flags & _nofollow or way.slash):
                refused = -ELOOP
            if refused != -ELOOP:
                break
            start = past_link(caller, start, cython.address(way), path)
        if start is None or refused > 0:
            return self.plain.serve(task, registers)
        if refused < 0:
            return refused if is_missing(refused) else self.plain.serve(task, registers)
        if form == _statx:
            if told.attributes & _mount_root or start.mount is None:
                return self.plain.serve(task, registers)
            told.more[0] = start.mount.number
        if not way.layered and _mapped(caller, cython.address(told)):
            return self.plain.serve(task, registers)
        return 0 if _put(caller, form == _statx, cython.address(told), to) else self.plain.serve(task, registers)

    def described(self, task: Waiting, number, to):
        """The same of an open file of the host's, regular or a directory; None where that is the handler's."""
        told: axptr_told
        refused: cython.int
        file: object = cython.cast(dict, task.files._files, typecheck=True).get(number & 0xFFFF_FFFF)
        if type(file) is not self.opened:
            return None if file is None else _described_below(task, file.overlaid, to)
        if task.machine.host.repeats:
            return None
        kind: cython.uint = file.kind
        fd: cython.int = file.host_fd
        if kind != _regular and kind != _directory:
            return None
        with cython.nogil:
            refused = axptr_tell(fd, cython.address(told))
        if refused < 0 or _mapped(task, cython.address(told)) or not _put(task, False, cython.address(told), to):
            return None
        return _done


@cython.cfunc
def _described_below(task: Waiting, node: object, to: uint64_t) -> object:
    """`described` of a file that a tree over another has below."""
    told: axptr_told
    if node is None or told_below(node, cython.address(told)) or not _put(task, False, cython.address(told), to):
        return None
    return _done


_done = cython.declare(object, 0)


@cython.cfunc
@cython.exceptval(-1)
def _put(task: Waiting, long: cython.bint, told: cython.pointer(axptr_told), to: uint64_t) -> cython.bint:
    """struct statx (long) or struct stat to user memory, if that is there."""
    packed: cython.char[144]
    if long:
        return transfer(task._space, to, cython.cast(cython.p_char, told), _statx_size, WRITE)
    axptr_pack_stat(told, packed)
    return transfer(task._space, to, packed, _stat_size, WRITE)


# -- what it has


@cython.final
@cython.cclass
class XattrCall(FileCall):
    """getxattr, listxattr and their kin that do not follow a link. Of some attributes it matters who asks: the handler's."""

    def serve(self, task, registers):
        way: Way
        path: cython.char[4096]
        name: cython.char[256]
        found: cython.char[1024]
        size: cython.Py_ssize_t
        caller: Waiting = task
        lists: cython.bint = self.form >= _listxattr
        follow: cython.bint = self.form != _lgetxattr and self.form <= _listxattr
        to: uint64_t = registers[1] if lists else registers[2]
        room: uint64_t = registers[2] if lists else registers[3]
        if lists and not task.creds.walks:
            return self.plain.serve(task, registers)
        if not lists:
            size = string(caller._space, registers[1], name, _name_max)
            if size <= 0 or not memcmp(name, b"user", 4) or (size >= 7 and not memcmp(name, b"trusted", 7)):
                return self.plain.serve(task, registers)
        size = string(caller._space, registers[0], path, _path_max)
        start: object = begins(caller, _cwd, path, size, cython.address(way))
        while start is not None and not way.slash:
            if way.refused:
                return way.refused
            if way.held or (way.layered and start.inode.fs.kept):
                return self.plain.serve(task, registers)
            with cython.nogil:
                size = axptr_xattr_below(
                    way.at,
                    way.path,
                    follow,
                    PLACE,
                    way.resolve,
                    way.device,
                    cython.NULL if lists else name,
                    found,
                    1024,
                )
            if size != -ELOOP:
                break
            start = past_link(caller, start, cython.address(way), path)
        if start is None or way.slash:
            return self.plain.serve(task, registers)
        if size >= 0:
            if room == 0:
                return size
            if cython.cast(uint64_t, size) <= room and transfer(caller._space, to, found, size, WRITE):
                return size
            return self.plain.serve(task, registers)
        if is_missing(size) or size == -EOPNOTSUPP or (size == -ENODATA and not lists):
            return size
        return self.plain.serve(task, registers)


# -- where it leads, and to whom


@cython.final
@cython.cclass
class ReadlinkCall(FileCall):
    """readlink, readlinkat."""

    def serve(self, task, registers):
        way: Way
        path: cython.char[4096]
        goal: cython.char[4096]
        size: cython.Py_ssize_t
        caller: Waiting = task
        dirfd: cython.int = _cwd if self.form == 0 else cython.cast(int32_t, registers[0])
        at: cython.int = self.form
        room: int32_t = cython.cast(int32_t, registers[at + 2])
        if room <= 0:
            return self.plain.serve(task, registers)
        size = string(caller._space, registers[at], path, _path_max)
        start: object = begins(caller, dirfd, path, size, cython.address(way))
        while start is not None and not way.slash:
            if way.refused:
                return way.refused
            if way.held:
                return (
                    _no_link
                    if not way.climbs and _is_no_link(start, cython.address(way))
                    else self.plain.serve(task, registers)
                )
            with cython.nogil:
                size = axptr_readlink_below(way.at, way.path, PLACE, way.resolve, way.device, goal, _path_max)
            if size != -ELOOP:
                break
            start = past_link(caller, start, cython.address(way), path)
        if start is None or way.slash:
            return self.plain.serve(task, registers)
        if size < 0:
            return size if is_missing(size) or size == -EINVAL else self.plain.serve(task, registers)
        if size > room:
            size = room
        return (
            size if transfer(caller._space, registers[at + 1], goal, size, WRITE) else self.plain.serve(task, registers)
        )


@cython.cfunc
@cython.exceptval(-1)
def _is_no_link(start: object, way: cython.pointer(Way)) -> cython.bint:
    """Whether what somebody holds below is none."""
    node: object = holder(start.inode.fs, way)
    return node is not None and not node.is_link


_no_link = cython.declare(object, -EINVAL)


@cython.final
@cython.cclass
class AccessCall(FileCall):
    """access, faccessat: of a task that is to the host's files what this process is, by its real ids too. Whether a file may
    be changed at all is the handler's to say."""

    def serve(self, task, registers):
        way: Way
        path: cython.char[4096]
        told: axptr_told
        size: cython.Py_ssize_t
        refused: cython.int
        caller: Waiting = task
        dirfd: cython.int = _cwd if self.form == 0 else cython.cast(int32_t, registers[0])
        at: cython.int = self.form
        mode: uint64_t = registers[at + 1] & 0xFFFF_FFFF
        if mode & ~_may or mode & _may_write:
            return self.plain.serve(task, registers)
        creds: object = task.creds
        if creds.by_real_ids() is not creds:
            return self.plain.serve(task, registers)
        foreign: cython.bint = creds.files != task.machine.owner.files
        size = string(caller._space, registers[at], path, _path_max)
        start: object = begins(caller, dirfd, path, size, cython.address(way))
        while start is not None and (way.layered or not (way.slash or foreign)):
            if way.layered:
                refused = told_of(start, cython.address(way), cython.address(told))
                if refused == 0:
                    refused = readable(cython.address(told), mode, creds.walks)
            else:
                with cython.nogil:
                    refused = axptr_access_below(way.at, way.path, mode, PLACE, way.resolve, way.device)
            if refused != -ELOOP:
                break
            start = past_link(caller, start, cython.address(way), path)
        if start is None or (not way.layered and (way.slash or foreign)) or refused > 0:
            return self.plain.serve(task, registers)
        if refused == 0 or is_missing(refused) or (refused == -EACCES and mode):
            return refused
        return self.plain.serve(task, registers)


# -- opening


@cython.cfunc
@cython.exceptval(-2)
def _home(fd: cython.int, told: cython.pointer(axptr_told), allowed: list) -> cython.int:
    """Whether a file is beneath a directory that may be changed, as `WritableDirs.beneath` has it; -1 where that is to be
    asked."""
    name: cython.char[4097]
    base: cython.char[4097]
    found: axptr_told
    rest: cython.p_char
    size: cython.Py_ssize_t
    above: cython.Py_ssize_t
    other: cython.int
    place: Place
    if not allowed:
        return 0
    size = named(fd, name, 4097)
    if size <= 0 or size > 4096:
        return -1
    name[size] = 0
    for place in allowed:
        above = named(place.fd, base, 4097)
        if above <= 0 or above > 4096:
            return -1
        if base[above - 1] == 0x2F:
            above -= 1
        if size < above or memcmp(name, base, above) or (size > above and name[above] != 0x2F):
            continue
        if size == above:
            if _same(place, told):
                return 1
            continue
        rest = name + above + 1
        with cython.nogil:
            other = axptr_look(place.fd, rest, PLACE, RESOLVE, place.device, cython.address(found))
        if other < 0:
            return -1
        close(other)
        if found.ino == told.ino and found.dev_major == told.dev_major and found.dev_minor == told.dev_minor:
            return 1
    return 0 if named(fd, base, 4097) == size and not memcmp(name, base, size) else -1


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _same(place: Place, told: cython.pointer(axptr_told)) -> cython.bint:
    return place.number == told.ino and place.device == axptr_dev(told.dev_major, told.dev_minor)


@cython.final
@cython.cclass
class OpenCall(FileCall):
    """open, openat of regular files and directories of the host's, to be read, where nobody else is to be asked. The file
    keeps its time of access, where we may ask for that.

    made: makes the open file of a descriptor, flags, a mount, mode and identity, and whether it is `home`. plain_flags:
    those that ask for nothing but what is there; kept_flags: those of them that the host is told.
    """

    def __init__(self, plain: Bound, form: cython.int, made, plain_flags: cython.int, kept_flags: cython.int):
        FileCall.__init__(self, plain, form)
        self.made = made
        self.plain_flags = plain_flags
        self.kept_flags = kept_flags

    def serve(self, task, registers):
        way: Way
        path: cython.char[4096]
        told: axptr_told
        fd: cython.int
        opened: cython.int
        size: cython.Py_ssize_t
        caller: Waiting = task
        dirfd: cython.int = _cwd if self.form == 0 else cython.cast(int32_t, registers[0])
        flags: cython.int = cython.cast(int32_t, registers[self.form + 1])
        if flags & ~self.plain_flags:
            return self.plain.serve(task, registers)
        machine: object = task.machine
        if machine.rules is not None or machine.watches is not None:
            return self.plain.serve(task, registers)
        foreign: cython.bint = task.creds.files != machine.owner.files
        size = string(caller._space, registers[self.form], path, _path_max)
        start: object = begins(caller, dirfd, path, size, cython.address(way))
        while start is not None and (way.layered or not foreign):
            if way.refused:
                return way.refused
            if way.held and not (way.climbs or way.slash):
                return self.shown(caller, start, holder(start.inode.fs, cython.address(way)), flags, registers)
            with cython.nogil:
                fd = axptr_look(way.at, way.path, PLACE, way.resolve, way.device, cython.address(told))
            if fd >= 0 and told.mode & _kind == _link and not flags & _o_nofollow:
                close(fd)
                fd = -ELOOP
            if fd != -ELOOP:
                break
            start = past_link(caller, start, cython.address(way), path)
        if start is None or (foreign and not way.layered):
            return self.plain.serve(task, registers)
        if fd < 0:
            return fd if is_missing(fd) else self.plain.serve(task, registers)
        if way.layered:
            found: object = found_below(start.inode.fs, cython.address(way), fd, cython.address(told))
            return self.shown(caller, start, found, flags, registers)
        mount: object = start.mount
        kind: cython.uint = told.mode & _kind
        directory: cython.bint = kind == _directory
        home: cython.int = 0
        plain: cython.bint
        opened = -1
        try:
            identity: tuple = (axptr_dev(told.dev_major, told.dev_minor), told.ino)
            if not mount.readonly:
                home = _home(fd, cython.address(told), mount.writable.dirs)
            if directory:
                plain = (mount.number, identity) not in task.fs.mounts.within
            else:
                plain = kind == _regular and not way.slash and not flags & _o_directory
            if plain and home >= 0:
                opened = reopened(fd, flags & self.kept_flags | _o_cloexec | _o_noctty, not home, directory)
        finally:
            close(fd)
        if opened < 0:
            return self.plain.serve(task, registers)
        file: object = self.made(opened, flags, mount, told.mode, identity, home=home != 0)
        return task.files.add(file, cloexec=bool(flags & _o_cloexec))

    def shown(self, task, start, node, flags, registers):
        """What a tree over another shows of what is below: opened, if it is a directory or a regular file."""
        kind: cython.uint
        if node is None:
            return self.plain.serve(task, registers)
        kind = node.mode & _kind
        if kind != _directory and (kind != _regular or flags & _o_directory):
            return self.plain.serve(task, registers)
        creds: object = task.creds
        if not creds.walks and (flags & _o_noatime or not node.permits(task, creds, _may_read)):
            return self.plain.serve(task, registers)
        file: object = start.seen_here(node).open(task, flags)
        return task.files.add(file, cloexec=bool(flags & _o_cloexec))
