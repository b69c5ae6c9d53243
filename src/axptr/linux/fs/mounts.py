"""What is mounted where: a tree of nodes at a name in a directory of another tree. Source: mount(2),
proc_pid_mounts(5), fs/namespace.c.

A mount point is a directory (of a mount, by its identity) and a name in it, so that one can be where the tree below has
nothing. The walk asks at every name that some mount point of that mount has; `..` of a mount's root is the directory
that holds the mount point. Every node names its mount, by which the walk knows the tree that it is in: names are moved
and linked within one mount only (EXDEV), a mount point is neither removed nor moved (EBUSY).

A table is a name space of mounts. The machine's is made before the run; `calls.mounts` changes it, and gives processes
that ask for one a table of their own (`copy`). A fork shares it; a snapshot carries it as it is.
"""

from __future__ import annotations

import errno
import itertools

from ...errors import LinuxError
from ..task.held import Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from ..task.userspace import UserSpace
    from .node import Node
    from .openfile import OpenFile
    from .tmp import TmpFs

Key = tuple[int, tuple[int, int], bytes]


_F_FLAGS = 80
"""Where f_flags stands in struct statfs (x86-64, little-endian)."""
_ST_RELATIME = 0x1000
_ST = {b"nosuid": 2, b"nodev": 4, b"noexec": 8, b"noatime": 0x400, b"nodiratime": 0x800, b"relatime": _ST_RELATIME}


class Mount:
    """One mounted tree. Of it changes where it stands, `covered` and its flags.

    root: its topmost node, which names this mount. above, name: the directory with the mount point, and its name there;
    None and "" of the first. number: of the mount, as mountinfo shows it. covered: names of mount points in this tree,
    and perhaps of others; twins of a mount in other tables have the same set. beneath: what is mounted at the same
    place below it. part: what of its file system it shows, a path. source, kind, options: what `device` tells.
    readonly: nothing in it may be changed; by_tree: it is so by its file system alone. noexec: nothing in it can be
    run; nodev: no device opened. expiring: MNT_EXPIRE was said once.
    locked, readonly_locked: who started the run has put it over what is not to be seen, or wants it unchanged
    (MNT_LOCKED, MNT_LOCK_READONLY): no program takes it away, whoever it is. kept: options that are locked
    alike. users: the name space of users in which its file system was made. along: a locked one that came with a
    directory that was bound without what is mounted in it.
    """

    beneath: Mount | None = None
    part = b"/"
    by_tree = False
    noexec = nodev = False
    expiring = False
    locked = along = False
    readonly_locked = False
    kept: frozenset[bytes] | None = None
    users: UserSpace | None = None

    above: Node | None = None
    name = b""
    number = 1

    def __init__(
        self,
        root: Node,
        source: bytes = b"none",
        kind: bytes = b"none",
        options: bytes = b"",
        *,
        readonly: bool = False,
    ) -> None:
        self.root = root
        self._device = source, kind, options
        self.readonly = self.readonly_locked = readonly
        self.covered: set[bytes] = set()
        root.mount = self

    def is_root(self, node: Node) -> bool:
        """Whether a node of this mount is its root."""
        return node is self.root or node.identity == self.root.identity

    def place(self) -> bytes:
        """The path of the mount point, as it is now."""
        if self.above is None:
            return b"/"
        mount = self.above.mount
        whole = mount is not None and mount is not self and mount.is_root(self.above)
        above = mount.place() if whole else self.above.where()  # type: ignore[union-attr]
        return above.rstrip(b"/") + b"/" + self.name

    def device(self) -> tuple[bytes, bytes, bytes]:
        """What is mounted: the source, the kind of file system, and the options besides ro and rw."""
        return self._device

    def details(self) -> bytes:
        """What is told of the file system itself besides ro and rw, each option with a comma before it."""
        return b""

    def twin(self) -> Mount:
        """The same in another table."""
        from copy import copy  # which a start would pay for

        other = copy(self)
        other.root = moved(self.root, other)
        return other

    def set_options(self, options: bytes) -> None:
        """What is told of it besides ro and rw from now on."""
        self._device = (*self.device()[:2], options)

    def flagged(self, raw: bytes) -> bytes:
        """struct statfs of its file system with the mount's own flags in it (flags_by_mnt)."""
        flags = raw[_F_FLAGS] | raw[_F_FLAGS + 1] << 8 | self.readonly
        if told := self._device[2]:
            names = told.split(b",")
            flags |= sum(flag for name, flag in _ST.items() if name in names)
            if b"relatime" not in names:
                flags &= ~_ST_RELATIME
        return b"%b%c%c%b" % (raw[:_F_FLAGS], flags & 0xFF, flags >> 8, raw[_F_FLAGS + 2 :])

    def close(self) -> None:
        """The run is over: give back what is held for it."""

    def dissolve(self) -> None:
        """The machine is closed: it and what is in it name each other no more."""
        vars(self).clear()

    def access(self) -> bytes:
        """`ro` or `rw`, as the tables of mounts say it."""
        return b"ro" if self.readonly else b"rw"


def moved(node: Node, mount: Mount | None) -> Node:
    """A file as it is seen in another mount, to be held."""
    other = node.hold()
    if other is node:
        other = node.doubled()
    other.mount = mount
    return other


def _depth(mount: Mount) -> int:
    """How many mounts one is in."""
    found = 0
    while mount.above is not None and mount.above.mount is not None:
        found += 1
        mount = mount.above.mount
    return found


FIRST_SPACE = 0xEFFF_FFF8
TIMES = frozenset((b"noatime", b"nodiratime", b"relatime"))
_LOCKING = TIMES | {b"nosuid", b"nodev", b"noexec"}
"""Options of a mount that a name space of fewer rights cannot take away."""
MOST = 1000
"""Mounts of a table: each process may ask for a copy of it."""
DEEPEST = 200
"""Mounts within one another: a place is told by walking up through all of them."""


class MountTable(Held):
    """All mounts of a name space, in the order in which they were made; the first is the root's.

    number: the name space's. users: the name space of users that owns it, None for the first. stacked: the old root,
    where pivot_root left it over the new one.
    every: the mounts of this table and its copies that hold something until they or the run are over. going: those of
    them that stand nowhere, but are in use.
    """

    def __init__(self, first: Mount) -> None:
        self.mounts = [first]
        self.number = FIRST_SPACE
        self.users: UserSpace | None = None
        self.every: list[Mount] = [first]
        self.going: list[Mount] = []
        self._first: MountTable | None = None
        self._numbers = itertools.count(first.number + 1)
        self.stacked: Mount | None = None
        self._at: dict[Key, Mount] = {}
        self.within: set[tuple[int, tuple[int, int]]] = set()  # directories that have mount points

    @property
    def first(self) -> MountTable:
        """The machine's, of which this is a copy, or is it."""
        return self._first or self

    def at(self, directory: Node, name: bytes) -> Node | None:
        """The root of what is mounted at a name in a directory, None if nothing is."""
        mount = directory.mount
        if mount is None or name not in mount.covered:
            return None
        found = self._at.get((mount.number, directory.identity, name))
        return found.root if found is not None else None

    def add(self, directory: Node, name: bytes, mount: Mount) -> None:
        """Mount a tree at a name in a directory, which is kept; over what was mounted there."""
        below = directory.mount
        if below is None:
            raise ValueError("a directory of no mount")
        old = self._at.get((below.number, directory.identity, name))
        if old is not None:
            self.mounts.remove(old)
        self.attach(directory, name, mount)
        mount.beneath = None
        mount.locked = True

    def attach(self, directory: Node, name: bytes, mount: Mount) -> None:
        """The same, but what was mounted there is seen again when this goes. A mount that has its number keeps it.
        ENOSPC for more than there may be."""
        below = directory.mount
        assert below is not None
        self.require_room(directory, mount)
        mount.above, mount.name = directory, name
        if mount not in self.mounts:
            mount.number = next(self._numbers)
            self.mounts.append(mount)
        if not any(mount is one for one in self.every):
            self.every.append(mount)
        key = (below.number, directory.identity, name)
        mount.beneath = self._at.get(key)
        below.covered.add(name)
        self._at[key] = mount
        self.within.add(key[:2])

    def require_room(self, directory: Node, mount: Mount) -> None:
        """ENOSPC where there are too many mounts, or one would be too deep."""
        if mount not in self.mounts and len(self.mounts) >= MOST:
            raise LinuxError(errno.ENOSPC)
        deepest = max(map(_depth, self.inside(mount)), default=0)
        height = max(0, deepest - _depth(mount))
        above = directory.mount
        if above is not None and _depth(above) + height >= DEEPEST:
            raise LinuxError(errno.ENOSPC)

    def detach(self, mount: Mount) -> None:
        """Take a mount away from where it stands, with what is mounted in it. It is still in the list."""
        above = mount.above
        assert above is not None
        assert above.mount is not None
        key = (above.mount.number, above.identity, mount.name)
        if self._at.get(key) is mount:
            if mount.beneath is not None:
                self._at[key] = mount.beneath
            else:
                del self._at[key]
                self.within = {known[:2] for known in self._at}
        else:
            over = next(one for one in self.mounts if one.beneath is mount)
            over.beneath = mount.beneath
        mount.above = mount.beneath = None

    def remove(self, mount: Mount, *, later: bool = False) -> None:
        """Unmount; what it held is given back, or when the run is over (later)."""
        self.detach(mount)
        self.mounts.remove(mount)
        fs = getattr(mount, "fs", None)
        if fs is None and type(mount).close is not Mount.close:
            return
        if later:
            self.going.append(mount)
        else:
            self._give_back([mount])
        if self.going:
            self.give_back()

    def give_back(self) -> None:
        """Close what stands nowhere, and is in use no more."""
        going = self.going[:]
        del self.going[:]
        self._give_back(going, asked=True)

    def _give_back(self, mounts: list[Mount], *, asked: bool = False) -> None:
        """These stand nowhere: their trees go, where no other mount shows them. asked: or somebody uses them."""
        gone = {id(mount) for mount in mounts}
        kept = {id(fs) for one in self.every if id(one) not in gone and (fs := getattr(one, "fs", None)) is not None}
        for mount in mounts:
            fs = getattr(mount, "fs", None)
            if fs is None or id(fs) in kept:
                continue
            if asked and in_use(fs):
                self.going.append(mount)
                gone.discard(id(mount))
            else:
                kept.add(id(fs))
                mount.close()
        self.every[:] = [one for one in self.every if id(one) not in gone]

    def unheld(self) -> None:
        """No task is in it any more: its mounts go (put_mnt_ns), but those that open files or directories are in."""
        super().unheld()
        mounts, self.mounts = self.mounts, []
        self._at, self.within, self.stacked = {}, set(), None
        mine = {id(mount) for mount in mounts}
        self.going += [one for one in self.every if id(one) in mine]
        self.give_back()
        _untie(mounts)

    def drop(self, mount: Mount) -> None:
        """Let a mount that stands nowhere any more, and what is mounted in it, be seen only by who is there: locked
        ones stay where they are in it (UMOUNT_CONNECTED)."""
        for one in reversed(self.inside(mount)):
            if one.locked and not one.beneath:
                self.mounts.remove(one)
            else:
                self.remove(one, later=True)

    def inside(self, mount: Mount) -> list[Mount]:
        """What is mounted in a mount, and in those, each after what it is in."""
        found = [mount]
        for one in found:
            found += [m for m in self.mounts if m.above is not None and m.above.mount is one and m not in found]
        return found[1:]

    def copy(self, number: int, users: UserSpace | None = None) -> MountTable:
        """Another table of the same trees, with twins of the mounts, by the same numbers. users: whose it is; what
        another's programs mounted they cannot take away, nor make less of what it forbids (lock_mnt_tree)."""
        other = MountTable.__new__(MountTable)
        twins = {id(mount): mount.twin() for mount in self.mounts}
        for mount in self.mounts:
            twin = twins[id(mount)]
            if mount.above is not None:
                assert mount.above.mount is not None
                twin.above = moved(mount.above, twins[id(mount.above.mount)])
            if mount.beneath is not None:
                twin.beneath = twins[id(mount.beneath)]
        other.mounts = [twins[id(mount)] for mount in self.mounts]
        other.number, other._numbers = number, self._numbers
        other.every, other.going, other._first = self.every, self.going, self.first
        other.every += [twin for twin in other.mounts if hasattr(twin, "fs")]
        other._at = {key: twins.get(id(mount), mount) for key, mount in self._at.items()}
        other.within = set(self.within)
        other.stacked = None
        other.users = users
        if users is not self.users:
            for twin in other.mounts:
                twin.locked = twin.above is not None
                twin.readonly_locked = twin.readonly
                twin.kept = frozenset(filter(None, twin.device()[2].split(b","))) & _LOCKING
        return other

    def same(self, mount: Mount) -> Mount | None:
        """The mount of this table that one of another's is a twin of, or has as its own."""
        return next((m for m in self.mounts if m.number == mount.number and m.covered is mount.covered), None)

    def node_of(self, old: MountTable, node: Node) -> Node:
        """What a node of another table's is in this copy of it."""
        mount = node.mount
        here = None if mount is None else self.same(mount)
        if here is None or here is mount:
            return node
        if node is old.mounts[0].root:
            return here.root
        return moved(node, here)

    def names_in(self, directory: Node) -> list[bytes]:
        """The names of the mount points in a directory."""
        mount = directory.mount
        if mount is None or (here := (mount.number, directory.identity)) not in self.within:
            return []
        return [name for number, identity, name in self._at if (number, identity) == here]

    def close(self) -> None:
        """The run is over."""
        self.close_others(set())
        for mount in self.every:
            mount.dissolve()
        self.every, self.going = [], []
        self.dissolve()

    def dissolve(self) -> None:
        """The machine is closed: its mounts and this name each other no more."""
        for mount in self.mounts:
            mount.dissolve()
        self.mounts, self._at, self.stacked, self._first = [], {}, None, None

    def close_others(self, kept: Container[int]) -> None:
        """It is over for all but the mounts of these numbers (`id`)."""
        closed: set[int] = set()
        for mount in [*self.mounts, *self.every]:
            if id(mount) in kept:
                continue
            what = id(getattr(mount, "fs", mount))
            if what not in closed:
                closed.add(what)
                mount.close()

    def _check(self) -> None:
        """Every key leads to a mount that says it is there."""
        if self.within != {key[:2] for key in self._at}:
            raise AssertionError("directories with mount points are not those of the table")
        for (number, identity, name), mount in self._at.items():
            above = mount.above
            there = mount in self.mounts or mount.locked
            if above is None or above.mount is None or not there or name not in above.mount.covered:
                raise AssertionError(f"{name!r} is mounted nowhere")
            if (above.mount.number, above.identity, mount.name) != (number, identity, name):
                raise AssertionError(f"{name!r} is mounted elsewhere than the table says")


def in_use(fs: TmpFs) -> bool:
    """Whether somebody is in a tree in memory, or has something of it open or on its way in a message."""
    machine = fs.machine
    files: list[OpenFile] = []
    for task in machine.tasks.values():
        if any(getattr(node, "fs", None) is fs for node in (task.fs.cwd, task.fs.root, task.mm.exe)):
            return True
        if task.blocked is not None:
            files += task.blocked.held
    files += machine.open_files()
    if "network" in vars(machine):
        files += machine.network.flight.files()
    for file in files:
        if getattr(file.node(), "fs", None) is fs:
            return True
        detached = getattr(file, "detached", None)
        parts = () if detached is None else detached.parts
        if any(getattr(mount, "fs", None) is fs for _, _, mount in parts):
            return True
    return False


def _untie(mounts: list[Mount]) -> None:
    """Take mounts apart (umount_tree). Those that nobody refers to go now, and not when a collector comes: each and
    its root name each other."""
    import weakref  # which a start would pay for

    for one in mounts:
        one.above = one.beneath = None
        del one
    while mounts:
        mount: Mount | None = mounts.pop()
        assert mount is not None
        root: Node | None = mount.root
        assert root is not None
        state, kind, there = dict(vars(mount)), type(mount), weakref.ref(mount)
        root.mount, mount = None, None
        if (mount := there()) is not None:
            root.mount = mount
            continue
        del state["root"]
        seen, root = weakref.ref(root), None
        if (root := seen()) is not None:  # which somebody has open, who knows the mount by it alone
            root.mount = mount = kind.__new__(kind)
            vars(mount).update(state, root=root)


def escaped(path: bytes) -> bytes:
    r"""A path as the tables of mounts spell it: blanks, newlines and backslashes as `\ooo`."""
    return b"".join(b"\\%03o" % c if c in b" \t\n\\" else bytes((c,)) for c in path)
