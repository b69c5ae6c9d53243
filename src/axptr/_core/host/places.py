"""Places of the host held by descriptors: what is beneath one, and what the host tells of it, in one step.

A look opens the place that a relative path names (openat2 with what the caller forbids), asks what it is, and refuses a
/proc of the host's wherever that is mounted: all of it without Python's objects between the calls.

Not here: which places may be looked at (`axptr.linux.fs.walk`), and hosts without openat2 (`axptr.linux.fs.host.fd`).

Failure: minus an errno where it says so, since names that are not there and attributes that a file has not are nothing
unusual; else `LinuxError`. `ValueError` for a NUL in a name.
"""

import cython
from cython.cimports.axptr._core.host.places import (
    axptr_access,
    axptr_descriptors,
    axptr_dev,
    axptr_getxattr,
    axptr_look,
    axptr_name,
    axptr_pack_stat,
    axptr_reopen,
    axptr_tell,
)
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cython.cimports.libc.errno import E2BIG, ENOENT, ERANGE
from cython.cimports.libc.stdint import int64_t, uint64_t
from cython.cimports.libc.string import memchr, memcmp
from cython.cimports.posix.unistd import close

from axptr.errors import LinuxError

STAT_SIZE = 144
STATX_SIZE = 256
_stat_size = cython.declare(cython.Py_ssize_t, 144)
_statx_size = cython.declare(cython.Py_ssize_t, 256)
_most = cython.declare(cython.Py_ssize_t, 65536)
"""XATTR_SIZE_MAX."""
_billion = cython.declare(int64_t, 1_000_000_000)
_slash = cython.declare(cython.uchar, 0x2F)
_dot = cython.declare(cython.uchar, 0x2E)
PLACE = 0o12400000
"""How places are opened: O_PATH, O_NOFOLLOW, O_CLOEXEC, the link itself where the last component is one."""
RESOLVE = 0x02 | 0x04 | 0x08
"""RESOLVE_NO_MAGICLINKS, NO_SYMLINKS, BENEATH."""
_missing = cython.declare(cython.bint, False)


def openat2_missing():
    """Whether the host is known to have no openat2: `axptr.linux.fs.host.fd` finds out."""
    return _missing


def set_openat2_missing(missing: cython.bint):
    """See `openat2_missing`."""
    global _missing
    _missing = missing


@cython.final
@cython.freelist(8)
@cython.cclass
class Status:
    """What the host told of a file once, by the names of `os.stat_result`; times in nanoseconds. It never changes."""

    @property
    def st_mode(self):
        return self.told.mode

    @property
    def st_ino(self):
        return self.told.ino

    @property
    def st_dev(self):
        return axptr_dev(self.told.dev_major, self.told.dev_minor)

    @property
    def st_nlink(self):
        return self.told.nlink

    @property
    def st_uid(self):
        return self.told.uid

    @property
    def st_gid(self):
        return self.told.gid

    @property
    def st_rdev(self):
        return axptr_dev(self.told.rdev_major, self.told.rdev_minor)

    @property
    def st_size(self):
        return cython.cast(int64_t, self.told.size)

    @property
    def st_blksize(self):
        return self.told.blksize

    @property
    def st_blocks(self):
        return cython.cast(int64_t, self.told.blocks)

    @property
    def st_atime_ns(self):
        return self.told.atime.sec * cython.cast(object, _billion) + self.told.atime.nsec

    @property
    def st_mtime_ns(self):
        return self.told.mtime.sec * cython.cast(object, _billion) + self.told.mtime.nsec

    @property
    def st_ctime_ns(self):
        return self.told.ctime.sec * cython.cast(object, _billion) + self.told.ctime.nsec

    @property
    def identity(self):
        """Device and inode number."""
        return axptr_dev(self.told.dev_major, self.told.dev_minor), self.told.ino

    def stat(self):
        """struct stat of x86-64."""
        found: bytes = PyBytes_FromStringAndSize(cython.NULL, _stat_size)
        axptr_pack_stat(cython.address(self.told), PyBytes_AS_STRING(found))
        return found

    def statx(self):
        """struct statx with what is asked for by STATX_BASIC_STATS."""
        return PyBytes_FromStringAndSize(cython.cast(cython.p_char, cython.address(self.told)), _statx_size)

    def __reduce__(self):
        raise TypeError("what the host told is true in this process alone")


def tell(fd: cython.int):
    """What the host tells of a descriptor, of a place's too."""
    refused: cython.int
    found: Status = Status.__new__(Status)
    with cython.nogil:
        refused = axptr_tell(fd, cython.address(found.told))
    if refused < 0:
        raise LinuxError(-refused)
    return found


@cython.cclass
class Place:
    """A file of the host's, held by a descriptor (`fd`), which is closed with it unless it was lent.

    mode, identity: type and permission bits as last seen; device and inode number. seen: what was told when it was
    looked up, until somebody is told of it. mount: by which it was found. home: see `axptr.linux.fs.host.tree`.
    """

    def __cinit__(self):
        self.fd = -1

    def __dealloc__(self):
        if self.fd >= 0 and not self.lent:
            close(self.fd)

    def hold_fd(self, fd: cython.int):
        """Be what a descriptor is, which belongs to this place from now on, whatever comes of it."""
        self.fd = fd
        _fill(self, fd, tell(fd))

    def borrow(self, fd: cython.int, mode: cython.uint, identity: tuple):
        """Be what somebody else's descriptor is, of which that much is known."""
        self.lent = True
        self.fd = fd
        self.mode = mode
        self.device, self.number = identity

    @property
    def identity(self):
        return self.device, self.number

    @identity.setter
    def identity(self, identity: tuple):
        self.device, self.number = identity

    @property
    def ino(self):
        return self.number

    @property
    def is_dir(self):
        return (self.mode & 0o170000) == 0o040000

    @property
    def is_link(self):
        return (self.mode & 0o170000) == 0o120000

    def status(self):
        """What was seen when it was looked up, at the first call; afterwards what is so now."""
        found: Status = self.seen
        if found is None:
            return tell(self.fd)
        self.seen = None
        return found

    def status_again(self):
        """The same, and the next one may still be told of what was seen."""
        return tell(self.fd) if self.seen is None else self.seen

    def __reduce__(self):
        raise TypeError("a descriptor is of one process alone")


@cython.cfunc
@cython.exceptval(check=False)
def _fill(place: Place, fd: cython.int, status: Status) -> cython.void:
    place.fd = fd
    place.mode = status.told.mode
    place.device = axptr_dev(status.told.dev_major, status.told.dev_minor)
    place.number = status.told.ino
    place.seen = status


def look(kind: type, start: Place, path: bytes, flags: cython.ulong, resolve: cython.ulong):
    """The place beneath another that a path names, of a class that derives from `Place`, or minus the errno.

    flags, resolve: of openat2. EACCES for a proc file system on another device.
    """
    fd: cython.int
    at: cython.int = start.fd
    device: uint64_t = start.device
    status: Status = Status.__new__(Status)
    found: Place = kind.__new__(kind)
    text: cython.p_char = PyBytes_AS_STRING(path)
    if memchr(text, 0, PyBytes_GET_SIZE(path)) != cython.NULL:
        return -ENOENT
    with cython.nogil:
        fd = axptr_look(at, text, flags, resolve, device, cython.address(status.told))
    return fd if fd < 0 else _come(found, start, fd, status)


@cython.cfunc
def _come(found: Place, start: Place, fd: cython.int, status: Status) -> Place:
    """The place of a descriptor that was opened beneath another."""
    _fill(found, fd, status)
    found.mount = start.mount
    found.home = start.home and found.number == start.number and found.device == start.device  # `.`
    return found


def seen(kind, start, fd, told):
    status: Status = Status.__new__(Status)
    status.told = told[0]
    return _come(kind.__new__(kind), start, fd, status)


def leads_down(text, size, covered: set, climbs):
    begin: cython.Py_ssize_t = 0
    while begin < size and text[begin] == _slash:
        begin += 1
    if begin == size or (begin == size - 1 and text[begin] == _dot):
        return -1
    at: cython.Py_ssize_t = begin
    while at < size:
        end: cython.Py_ssize_t = at
        while end < size and text[end] != _slash:
            end += 1
        if end - at == 2 and text[at] == _dot and text[at + 1] == _dot:
            if climbs == cython.NULL or end == size:
                return -1
            climbs[0] += 1
        for one in covered:
            name: bytes = cython.cast(bytes, one)
            if PyBytes_GET_SIZE(name) == end - at and not memcmp(PyBytes_AS_STRING(name), text + at, end - at):
                return -1
        at = end + 1
    return begin


def straight(path: bytes, covered: set):
    """A path as one that leads down from where it begins, if it does so: no `..` in it, no name of `covered`.

    None for what does not, and for what leads nowhere (`/`, `.`).
    """
    text: cython.p_char = PyBytes_AS_STRING(path)
    size: cython.Py_ssize_t = PyBytes_GET_SIZE(path)
    begin: cython.Py_ssize_t = leads_down(cython.cast(cython.p_uchar, text), size, covered, cython.NULL)
    if begin < 0:
        return None
    return path if begin == 0 else PyBytes_FromStringAndSize(text + begin, size - begin)


def getxattr(fd: cython.int, name: bytes):
    """An extended attribute of what a descriptor is, of a place's too; minus the errno if it has none."""
    size: cython.Py_ssize_t
    few: cython.char[256]
    text: cython.p_char = PyBytes_AS_STRING(name)
    held: cython.int = axptr_descriptors()
    if memchr(text, 0, PyBytes_GET_SIZE(name)) != cython.NULL:
        raise ValueError("a NUL in a name")
    with cython.nogil:
        size = axptr_getxattr(held, fd, text, few, 256)
    if size >= 0:
        return PyBytes_FromStringAndSize(few, size)
    if size != -ERANGE:
        return size
    found: bytes = PyBytes_FromStringAndSize(cython.NULL, _most)
    into: cython.p_char = PyBytes_AS_STRING(found)
    with cython.nogil:
        size = axptr_getxattr(held, fd, text, into, _most)
    if size == -ERANGE:
        return -E2BIG
    return found[:size] if size >= 0 else size


def reopened(fd, flags, quiet, directory):
    opened: cython.int
    held: cython.int = axptr_descriptors()
    with cython.nogil:
        opened = axptr_reopen(held, fd, flags, quiet, directory)
    return opened


def reopen(fd: cython.int, flags: cython.int, quiet: cython.bint, directory: cython.bint = False):
    """Open exactly what a descriptor is, a place's too, whatever has its name now.

    quiet: so that the file keeps its time of access, where we may ask for that (as its owner). directory: it is known
    to be one.
    """
    opened: cython.int = reopened(fd, flags, quiet, directory)
    if opened < 0:
        raise LinuxError(-opened)
    return opened


def named(fd, into, size):
    done: cython.Py_ssize_t
    held: cython.int = axptr_descriptors()
    with cython.nogil:
        done = axptr_name(held, fd, into, size)
    return done


def name_of(fd: cython.int):
    """The name that the host has for a descriptor now; ends with " (deleted)" if it was removed."""
    text: cython.char[4097]
    size: cython.Py_ssize_t = named(fd, text, 4097)
    if size < 0:
        raise LinuxError(-size)
    return PyBytes_FromStringAndSize(text, size)


def access(fd: cython.int, mode: cython.int):
    """The errno that who we are gets for reading, writing or executing what a descriptor is; 0 for none."""
    refused: cython.int
    with cython.nogil:
        refused = axptr_access(fd, mode)
    return refused
