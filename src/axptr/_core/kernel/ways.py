"""The way of a call that names a file, where the host can go it in one step: what it begins at, and the path from there.

A path that leads down from a place of the host's, or up again in its mount, with no mount point of ours in its way, for a
task whose rights are the host's to judge; or from a directory of a tree over another (`overlaid`), for one that may search
everything, or all directories on the way. Where a name is that of a mount point, too, the directory is looked at in which
it stands. Of a link that is in the way the host is asked what it says, and the path that comes of it is gone in the same
manner. Whatever is not so plain is the walk's (`axptr.linux.fs.walk`).

Not here: the steps of the host's (`axptr._core.host.places`), the calls (`filecalls`).
"""

import cython
from cython.cimports.axptr._core.host.places import (
    Place,
    Way,
    axptr_dev,
    axptr_first_link,
    axptr_tell,
    axptr_tell_at,
    axptr_told,
    leads_down,
    openat2_missing,
)
from cython.cimports.axptr._core.kernel.overlaid import PLACE, RESOLVE, adopted, descended, holder
from cython.cimports.libc.errno import ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from cython.cimports.libc.string import memcpy, strlen

_path_max = cython.declare(cython.Py_ssize_t, 4095)
_cwd = cython.declare(cython.int, -100)
"""AT_FDCWD."""
_kind = cython.declare(cython.uint, 0o170000)
_directory = cython.declare(cython.uint, 0o040000)
_link = cython.declare(cython.uint, 0o120000)
_all_execute = cython.declare(cython.uint, 0o111)
_may_execute = cython.declare(object, 1)
_no_xdev = cython.declare(cython.ulong, 0x01)
"""RESOLVE_NO_XDEV."""
_most_links = cython.declare(cython.int, 8)
"""Gone through here: a path with more is the walk's, which counts all."""
_most_looks = cython.declare(cython.int, 4)
"""At directories on the way of one path: with more names that mount points have it is the walk's."""
_no_names = cython.declare(set, set())


def begins(task, dirfd, text, size, way):
    """Who holds what a path begins at, and `way` filled; None for what is not so simple. size: none if it is no path.

    The step is from a place of the host's, or a directory of its that the task has open, in a mount of the tree, and
    for a task that may search everything, or that is to the host's files what this process is (`fs.permissions`); in a
    tree over another also for one that may search what is on the way.
    """
    if size <= 0 or openat2_missing():
        return None
    start: object
    way.links = 0
    if text[0] == 0x2F:
        start = task.fs.root
    elif dirfd == _cwd:
        start = task.fs.cwd
    else:
        start = cython.cast(dict, task.files._files, typecheck=True).get(dirfd)
        if start is None or start.kind != _directory:
            return None
        if start.host_fd is None:
            return _from(task, start.node(), text, size, way)
        if not start.owned:
            return None
        way.at = start.host_fd
        way.device = start.identity[0]
        return _led(task, start, text, size, way)
    return _from(task, start, text, size, way)


@cython.cfunc
def _from(
    task: object, start: object, text: cython.p_char, size: cython.Py_ssize_t, way: cython.pointer(Way)
) -> object:
    """`begins` at a node."""
    if not isinstance(start, Place):
        return _over(task, start, text, size, way)
    place: Place = start
    way.at = place.fd
    way.device = place.device
    return _led(task, start, text, size, way)


@cython.cfunc
def _over(
    task: object, start: object, text: cython.p_char, size: cython.Py_ssize_t, way: cython.pointer(Way)
) -> object:
    """`begins` at a directory of a tree over another."""
    begin: cython.Py_ssize_t
    climbs: cython.int = 0
    if start is None or not start.layered:
        return None
    begin = _leads(task, start, text, size, way, True, cython.address(climbs))
    if begin < 0:
        return None
    tree: object = descended(start, text, size, begin, True, way)
    if tree is not start.inode.fs or way.refused == -ELOOP:
        return None
    if not task.creds.walks and not _may_search(task, start, text, size, begin, way):
        return None
    if climbs:
        way.resolve |= _no_xdev
    return start


@cython.cfunc
@cython.exceptval(-1)
def _may_search(
    task: object,
    start: object,
    text: cython.p_char,
    size: cython.Py_ssize_t,
    begin: cython.Py_ssize_t,
    way: cython.pointer(Way),
) -> cython.bint:
    """Whether a task may search all directories on a way below a tree over another, as far as they are there: those above by
    their nodes, those below where everybody may. False where that is the walk's to say, as of those that are made up."""
    told: axptr_told
    refused: cython.int
    dots: cython.bint
    end: cython.Py_ssize_t
    first: cython.Py_ssize_t
    at: cython.Py_ssize_t = begin
    node: object = start
    found: object = start
    raw: cython.p_char = way.raw
    if way.refused:
        return False
    while found is not None:
        node = found
        if not node.permits(task, task.creds, _may_execute):
            return False
        while at < size and text[at] == 0x2F:
            at += 1
        end = at
        while end < size and text[end] != 0x2F:
            end += 1
        name: bytes = text[at:end]
        if name != b".":
            found = cython.cast(dict, node.inode.entries, typecheck=True).get(name)
        if found is not None:
            at = end
    end = len(node.inode.below)
    if end:
        end += 1
    if way.floor != cython.cast(cython.size_t, end):
        return False
    while True:
        while raw[end] == 0x2F:
            end += 1
        first = end
        while raw[end] != 0 and raw[end] != 0x2F:
            end += 1
        at = end
        while raw[at] == 0x2F:
            at += 1
        if raw[at] == 0:
            return True
        dots = raw[first] == 0x2E and (end - first == 1 or (end - first == 2 and raw[first + 1] == 0x2E))
        raw[end] = 0
        with cython.nogil:
            refused = axptr_tell_at(way.at, raw, dots, PLACE, way.resolve, way.device, cython.address(told))
        raw[end] = 0x2F
        if refused or told.mode & _kind != _directory:
            return True
        if told.mode & _all_execute != _all_execute:
            return False


@cython.cfunc
def _led(task: object, start: object, text: cython.p_char, size: cython.Py_ssize_t, way: cython.pointer(Way)) -> object:
    """`begins` at what `way` says already."""
    begin: cython.Py_ssize_t
    climbs: cython.int = 0
    creds: object = task.creds
    if not creds.walks and creds.files != task.machine.owner.files:
        return None
    begin = _leads(task, start, text, size, way, False, cython.address(climbs))
    if begin < 0:
        return None
    _fill(text, size, begin, climbs, way)
    return start


@cython.cfunc
@cython.exceptval(check=False)
def _fill(
    text: cython.p_char,
    size: cython.Py_ssize_t,
    begin: cython.Py_ssize_t,
    climbs: cython.int,
    way: cython.pointer(Way),
) -> cython.void:
    way.path = text + begin
    way.shift = begin
    way.refused = 0
    way.layered = way.held = way.climbs = False
    way.floor = 0
    way.slash = text[size - 1] == 0x2F
    way.resolve = RESOLVE
    if climbs:
        way.resolve |= _no_xdev  # down into a /proc of the host's, and up again, would tell of what is there


# -- mount points


@cython.cfunc
@cython.exceptval(-2)
def _leads(
    task: object,
    start: object,
    text: cython.p_char,
    size: cython.Py_ssize_t,
    way: cython.pointer(Way),
    layered: cython.bint,
    climbs: cython.p_int,
) -> cython.Py_ssize_t:
    """Where a path begins that leads down with no mount point on it, or -1: `leads_down`, which knows names alone."""
    begin: cython.Py_ssize_t
    mount: object = start.mount
    if mount is None:
        return -1
    begin = leads_down(cython.cast(cython.p_uchar, text), size, mount.covered, climbs)
    if begin >= 0:
        return begin
    climbs[0] = 0
    begin = leads_down(cython.cast(cython.p_uchar, text), size, _no_names, climbs)
    return begin if begin >= 0 and _is_clear(task, start, text, size, begin, way, layered, climbs[0]) else -1


@cython.cfunc
@cython.exceptval(-1)
def _is_clear(
    task: object,
    start: object,
    text: cython.p_char,
    size: cython.Py_ssize_t,
    begin: cython.Py_ssize_t,
    way: cython.pointer(Way),
    layered: cython.bint,
    climbs: cython.int,
) -> cython.bint:
    """Whether nothing is mounted at a name of a path, by the directories in which those names are that mount points have.
    `Mounts.at` asks the same."""
    found: object
    saved: cython.char
    looks: cython.int = 0
    end: cython.Py_ssize_t
    stop: cython.Py_ssize_t
    at: cython.Py_ssize_t = begin
    mount: object = start.mount
    points: dict = task.fs.mounts._at
    while at < size:
        end = at
        while end < size and text[end] != 0x2F:
            end += 1
        name: bytes = text[at:end]
        if name in cython.cast(set, mount.covered):
            looks += 1
            if looks > _most_looks:
                return False
            stop = at
            while stop > begin and text[stop - 1] == 0x2F:
                stop -= 1
            if stop == begin:
                found = start.identity
            else:
                saved = text[stop]
                text[stop] = 0
                found = _directory_at(start, text, stop, begin, way, layered, climbs)
                text[stop] = saved
            if found is None:
                return False
            if found is False:
                return True
            if (mount.number, found, name) in points:
                return False
        at = end + 1
    return True


@cython.cfunc
def _directory_at(
    start: object,
    text: cython.p_char,
    size: cython.Py_ssize_t,
    begin: cython.Py_ssize_t,
    way: cython.pointer(Way),
    layered: cython.bint,
    climbs: cython.int,
) -> object:
    """The identity of what a path leads to; False where nothing leads on from there but what a link says, which is gone
    through first; None where that is the walk's to say."""
    above: Way
    told: axptr_told
    refused: cython.int
    device: object
    if layered:
        node: object = descended(start, text, size, begin, True, cython.address(above))
        if node is None or above.refused == -ELOOP:
            return None
        if node is not start.inode.fs:
            return node.identity
        if climbs:
            above.resolve |= _no_xdev
    else:
        if size - begin >= 2 and text[size - 1] == 0x2E and text[size - 2] == 0x2E:
            return None  # up at the end, which is more than a look at a name
        above.at, above.device = way.at, way.device
        _fill(text, size, begin, climbs, cython.address(above))
    refused = told_of(start, cython.address(above), cython.address(told))
    if refused:
        return False if refused == -ELOOP or is_missing(refused) else None
    device = start.inode.fs.device if layered else axptr_dev(told.dev_major, told.dev_minor)
    return device, told.ino


def past_link(task, start, way, text):
    """`begins` behind the first link that is in the way: the path that comes of it is in `text`, where the other was.

    Who may follow a link at the end is only asked where it is the task's own (`fs.permissions.require_follow`).
    """
    goal: cython.char[4096]
    whole: cython.char[4096]
    told: axptr_told
    begin: cython.size_t
    end: cython.size_t
    size: cython.Py_ssize_t
    before: cython.size_t
    rest: cython.size_t
    if way.refused or way.held:
        return None
    way.links += 1
    if way.links > _most_links:
        return None
    with cython.nogil:
        size = axptr_first_link(
            way.at,
            way.path,
            PLACE,
            way.resolve,
            way.device,
            cython.address(begin),
            cython.address(end),
            cython.address(told),
            goal,
            4096,
        )
    if size <= 0 or begin < way.floor:
        return None
    before = 0 if goal[0] == 0x2F else begin + way.shift
    rest = strlen(way.path + end)
    if before + size + rest > cython.cast(cython.size_t, _path_max):
        return None
    begin = 0
    while begin < rest and way.path[end + begin] == 0x2F:
        begin += 1
    if begin == rest and told.uid != task.creds.fs_uid:
        return None
    memcpy(whole, text, before)
    memcpy(whole + before, goal, size)
    memcpy(whole + before + size, way.path + end, rest)
    size += before + rest
    memcpy(text, whole, size)
    text[size] = 0
    if goal[0] == 0x2F:
        return _from(task, task.fs.root, text, size, way)
    if way.layered:
        return _over(task, start, text, size, way)
    return _led(task, start, text, size, way)


def is_missing(refused):
    """Whether that is the errno of a name that is not there, which the walk would give, too."""
    return refused == -ENOENT or refused == -ENOTDIR or refused == -ENAMETOOLONG


def told_of(start, way, told):
    refused: cython.int = way.refused
    if refused:
        return refused
    if not way.held or way.climbs:
        with cython.nogil:
            refused = axptr_tell_at(way.at, way.path, way.slash, PLACE, way.resolve, way.device, told)
        if refused:
            return refused
    if way.held:
        node: object = holder(start.inode.fs, way)
        if node is None or told_below(node, told):
            return 1
        kind: cython.uint = told.mode & _kind
        return -ENOTDIR if way.slash and kind != _directory and kind != _link else 0
    return 1 if way.layered and not adopted(start.inode.fs, told) else 0


def told_below(node, told):
    refused: cython.int
    fd: cython.int
    if node.inode.copied or not isinstance(node.low, Place):
        return 1
    fd = cython.cast(Place, node.low).fd
    with cython.nogil:
        refused = axptr_tell(fd, told)
    return 1 if refused or not adopted(node.inode.fs, told) else 0
