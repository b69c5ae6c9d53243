"""The way of a path in a tree over another (`axptr.linux.fs.layers`): by the names above, past those that are hidden, down to
what is below, which the host is then asked of in one step.

A name is above if the directory has an entry for it; else what the directory shows of below has it, unless it is hidden
(a whiteout) or the directory shows nothing of below (it is opaque). From there on all of the path is below, as long as
nothing on it was taken up. Nothing is remembered: entries, whiteouts and what somebody holds are read where they are.

Not here: what is done with a way (`filecalls`), nodes, what is taken up (`axptr.linux.fs.layers`), paths that go up through
the tree above, which are the walk's.
"""

import cython
from cython.cimports.axptr._core.host.places import Place, Way, axptr_dev, seen
from cython.cimports.axptr._core.kernel.overlaid import RESOLVE
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cython.cimports.libc.errno import ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from cython.cimports.libc.stdint import uint64_t
from cython.cimports.libc.string import memcpy

_kind = cython.declare(cython.uint, 0o170000)
_directory = cython.declare(cython.uint, 0o040000)
_link = cython.declare(cython.uint, 0o120000)
_name_max = cython.declare(cython.Py_ssize_t, 255)
_path_max = cython.declare(cython.Py_ssize_t, 4095)
_slash = cython.declare(cython.char, 0x2F)
_dot = cython.declare(cython.char, 0x2E)
_page = cython.declare(uint64_t, 4096)
_basic_and_mount = cython.declare(cython.uint, 0x17FF)
"""STATX_BASIC_STATS, STATX_MNT_ID."""
_attributes = cython.declare(uint64_t, 0x20_3000)
"""STATX_ATTR_AUTOMOUNT, _MOUNT_ROOT, _DAX: those that every file system can tell."""


@cython.cfunc
@cython.inline
def _name(text: cython.p_char, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> bytes:
    return PyBytes_FromStringAndSize(text + at, end - at)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _dots(text: cython.p_char, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    """1 for `.`, 2 for `..`, 0 for a name."""
    if end - at == 1 and text[at] == _dot:
        return 1
    return 2 if end - at == 2 and text[at] == _dot and text[at + 1] == _dot else 0


def descended(start, text, size, begin, judged, way):
    at: cython.Py_ssize_t = begin
    end: cython.Py_ssize_t
    dots: cython.int
    mode: cython.uint
    inode: object = start.inode
    tree: object = inode.fs
    node: object = start
    name: bytes
    way.layered = True
    way.held = False
    way.refused = 0
    while True:
        while at < size and text[at] == _slash:
            at += 1
        if at == size:
            return node
        end = at
        while end < size and text[end] != _slash:
            end += 1
        mode = inode.mode
        if mode & _kind != _directory:
            way.refused = -ELOOP if mode & _kind == _link else -ENOTDIR
            return tree
        dots = _dots(text, at, end)
        if dots == 2:
            return None
        if dots == 0:
            name = _name(text, at, end)
            found: object = cython.cast(dict, inode.entries, typecheck=True).get(name)
            if found is None:
                return _below(tree, inode, text, at, size, judged, way)
            node = found
            inode = node.inode
        at = end


@cython.cfunc
def _below(
    tree: object,
    inode: object,
    text: cython.p_char,
    at: cython.Py_ssize_t,
    size: cython.Py_ssize_t,
    judged: cython.bint,
    way: cython.pointer(Way),
) -> object:
    """`descended` from the directory above that has no entry for the name that begins at `at`."""
    base: cython.Py_ssize_t
    begun: cython.Py_ssize_t
    ground: tuple = None
    if inode.below is None:
        way.refused = -ENAMETOOLONG if _long(text, at, size) and inode.nlink else -ENOENT
        return tree
    prefix: bytes = inode.below
    base = PyBytes_GET_SIZE(prefix)
    if base + 1 + size - at > _path_max:
        return None
    if judged:
        ground = tree.lower.ground
        if ground is None:
            return None
    memcpy(way.below, PyBytes_AS_STRING(prefix), base)
    begun = base + 1 if base else 0
    way.floor = begun
    if not _spelled(tree, inode, ground, text, at, size, base, way):
        return None
    if way.refused:
        return tree
    whole: bytes = _name(way.below, 0, way.below_size)
    if cython.cast(dict, tree.dirs, typecheck=True).get(whole) is not None:
        return None
    if not judged:
        return tree
    way.held = _held(tree, whole) is not None
    memcpy(way.raw, PyBytes_AS_STRING(prefix), base)
    if base:
        way.raw[base] = _slash
    memcpy(way.raw + begun, text + at, size - at)
    way.raw[begun + size - at] = 0
    place: Place = ground[0]
    way.path = way.raw
    way.shift = at - begun
    way.at = place.fd
    way.device = place.device
    way.resolve = RESOLVE
    return tree


@cython.cfunc
@cython.exceptval(-1)
def _spelled(  # long: each name is looked at once, for all that it may be
    tree: object,
    inode: object,
    ground: object,
    text: cython.p_char,
    first: cython.Py_ssize_t,
    size: cython.Py_ssize_t,
    base: cython.Py_ssize_t,
    way: cython.pointer(Way),
) -> cython.bint:
    """The rest of a path, from `first` on, put behind the `base` bytes of `way.below` without `.` and `..`; False for what
    is the walk's: what goes up past where it began or through what was taken up.

    ground: see `Node.ground`. Of what is made up there the host is not asked, nor of names of it that are not shown.
    """
    at: cython.Py_ssize_t = first
    end: cython.Py_ssize_t
    dots: cython.int = 0
    above: cython.Py_ssize_t
    done: cython.Py_ssize_t = base
    shown: cython.Py_ssize_t = 0  # bytes of the name with which the host's part begins; 0: not yet, -1: it is all
    found: cython.int
    climbs: cython.bint = False
    hidden: set = inode.hidden
    name: bytes
    if (
        ground is None
        or ground[1] is None
        or (base and _name(way.below, 0, base) not in cython.cast(dict, ground[1], typecheck=True))
    ):
        shown = -1
    while at < size:
        if text[at] == _slash:
            at += 1
            continue
        end = at
        while end < size and text[end] != _slash:
            end += 1
        dots = _dots(text, at, end)
        if dots == 2:
            if done == base or shown == 0:
                return False
            while done > base and way.below[done - 1] != _slash:
                done -= 1
            if done > base:
                done -= 1
            if shown > done:
                shown = 0
            climbs = True
        elif dots == 0:
            if end - at > _name_max:
                way.refused = -ENAMETOOLONG if inode.nlink else -ENOENT
                return at == first and shown != 0
            name = _name(text, at, end)
            if done == base:
                if name in hidden:
                    way.refused = -ENOENT
                    return not climbs
                if climbs and name in cython.cast(dict, inode.entries, typecheck=True):
                    return False
            elif cython.cast(dict, tree.dirs, typecheck=True).get(_name(way.below, 0, done)) is not None:
                return False
            above = done
            if done:
                way.below[done] = _slash
                done += 1
            memcpy(way.below + done, text + at, end - at)
            done += end - at
            if shown == 0:
                found = _shown(ground, _name(way.below, 0, done), _name(way.below, 0, above), name)
                if found < 0:
                    way.refused = -ENOENT
                    return not climbs
                if found == 2:
                    return False
                if found:
                    shown = done
                    way.floor = (base + 1 if base else 0) + at - first
        at = end
    way.below_size = done
    way.climbs = climbs
    way.slash = dots == 1 or text[size - 1] == _slash
    return dots != 2 and shown != 0


@cython.cfunc
@cython.exceptval(-2)
def _shown(ground: tuple, whole: bytes, above: bytes, name: bytes) -> cython.int:
    """What stands at a path in a directory that is made up: 1 what the host has, 0 a directory that is made up, too, 2
    something else of that kind, -1 nothing."""
    known: object = cython.cast(dict, ground[1], typecheck=True).get(whole)
    if known is not None:
        return 0 if known else 2
    names: object = cython.cast(dict, ground[2], typecheck=True).get(above)
    return 1 if names is not None and name in names else -1


@cython.cfunc
@cython.exceptval(check=False)
def _long(text: cython.p_char, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.bint:
    """Whether the name that begins there is longer than names can be."""
    end: cython.Py_ssize_t = at
    while end < size and text[end] != _slash:
        end += 1
    return end - at > _name_max


@cython.cfunc
def _held(tree: object, path: bytes) -> object:
    """The node of what was not changed and somebody holds: see `LayeredFs.pure`."""
    reference: object = cython.cast(dict, tree.pure.data, typecheck=True).get(path)
    return None if reference is None else reference()


def holder(tree, way):
    return _held(tree, _name(way.below, 0, way.below_size))


def found_below(tree, way, fd, told):
    ground: tuple = tree.lower.ground
    return tree.node_of(_name(way.below, 0, way.below_size), seen(type(ground[0]), ground[0], fd, told))


def readable(told, wanted, everything):
    kind: cython.uint = told.mode & _kind
    if kind == _link:
        return -ELOOP
    bits: cython.uint = cython.cast(cython.uint, wanted) * 0o111
    if told.mode & bits == bits or (everything and (kind == _directory or wanted == 4)):
        return 0
    return 1


def adopted(tree, told):
    device: uint64_t = tree.device
    identity: tuple = (axptr_dev(told.dev_major, told.dev_minor), told.ino)
    if told.nlink > 1 and told.mode & _kind != _directory and identity in cython.cast(dict, tree.kept, typecheck=True):
        return False
    told.ino = tree.number(identity[0], told.ino)
    told.dev_major = cython.cast(cython.uint, (device >> 8) & 0xFFF) | cython.cast(
        cython.uint, (device >> 32) & 0xFFFF_F000
    )
    told.dev_minor = cython.cast(cython.uint, device & 0xFF) | cython.cast(cython.uint, (device >> 12) & 0xFFFF_FF00)
    told.blksize = 4096
    told.blocks = (told.size + _page - 1) // _page * 8
    told.mask = _basic_and_mount
    told.attributes = 0
    told.attributes_mask = _attributes
    told.btime.sec = told.btime.nsec = 0
    for i in range(14):
        told.more[i] = 0
    return True


def below(start, path: bytes):
    """Down from a node of the tree above by a path with no `..` in it: the node above that it leads to, or as bytes the path
    below of what is there if anything is; minus an errno. None: it leads past what was taken up, name by name.
    """
    way: Way
    found: object = descended(start, PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path), 0, False, cython.address(way))
    if found is None or found is not start.inode.fs:
        return found
    return way.refused if way.refused else _name(way.below, 0, way.below_size)
