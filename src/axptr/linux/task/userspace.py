"""Name spaces of users: which ids a process speaks of are which of the machine's, and over what its capabilities hold.
Source: user_namespaces(7), kernel/user_namespace.c, security/commoncap.c (cap_capable), kernel/cred.c of Linux 6.18.

Inside, all ids are the machine's (kuid_t, kgid_t); they are translated where a program tells one or is told one. The
first name space is None everywhere: there an id is what it is.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from .creds import CAP_SETFCAP, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .creds import Credentials
    from .task import LinuxTask

FIRST_SPACE = 0xEFFF_FFFD
NOBODY = 65_534
"""What stands for ids that have no name in one's own name space (overflowuid, overflowgid)."""
NONE = 0xFFFF_FFFF
_DEEPEST = 32
_MOST_EXTENTS = 340
_WHOLE = ((0, 0, NONE),)

Extents = tuple[tuple[int, int, int], ...]
"""First id inside, first of the machine's, how many."""


class UserSpace:
    """A name space of users. Its maps are written once, setgroups may be denied until then; the rest never changes.

    parent: the one that it was made in, None for the first. owner, group: who made it, as the machine's ids. level:
    how many are above it, but the first. had_setfcap: whether its maker could give files capabilities.

    | guarded by | exec | fork | a snapshot |
    | --- | --- | --- | --- |
    | the machine's thread | keeps it | shares it; with CLONE_NEWUSER another | as it is |
    """

    __slots__ = ("gids", "group", "had_setfcap", "level", "number", "owner", "parent", "projects", "setgroups", "uids")

    def __init__(self, creds: Credentials, number: int) -> None:
        """Made by somebody, in whose name space it lies."""
        above = creds.space
        self.parent = above
        self.owner, self.group = creds.uids[1], creds.gids[1]
        self.level: int = 0 if above is None else above.level + 1
        self.had_setfcap = bool(creds.effective >> CAP_SETFCAP & 1)
        self.setgroups: bool = above is None or above.setgroups
        self.number = number
        self.uids: Extents = ()
        self.gids: Extents = ()
        self.projects: Extents = ()

    def has_user(self, uid: int) -> bool:
        return _inwards(self.uids, uid) != NONE

    def has_group(self, gid: int) -> bool:
        return _inwards(self.gids, gid) != NONE

    @property
    def root(self) -> int:
        """The machine's user that is 0 here, -1 if nobody is."""
        found = _outwards(self.uids, 0)
        return -1 if found == NONE else found

    def shown_uids(self, uids: tuple[int, int, int]) -> tuple[int, int, int]:
        return shown_uid(self, uids[0]), shown_uid(self, uids[1]), shown_uid(self, uids[2])

    def shown_gids(self, gids: tuple[int, int, int]) -> tuple[int, int, int]:
        return shown_gid(self, gids[0]), shown_gid(self, gids[1]), shown_gid(self, gids[2])


def _inwards(extents: Extents, number: int) -> int:
    for inside, outside, count in extents:
        if outside <= number < outside + count:
            return inside + number - outside
    return NONE


def _outwards(extents: Extents, number: int) -> int:
    for inside, outside, count in extents:
        if inside <= number < inside + count:
            return outside + number - inside
    return NONE


def uid_of(space: UserSpace | None, told: int) -> int:
    """The machine's id of the user that a program names by a number (make_kuid); NONE if it is nobody."""
    return told if space is None else _outwards(space.uids, told)


def gid_of(space: UserSpace | None, told: int) -> int:
    return told if space is None else _outwards(space.gids, told)


def uid_in(space: UserSpace | None, uid: int) -> int:
    """What a user is called in a name space (from_kuid); NONE if it has no name there."""
    return uid if space is None else _inwards(space.uids, uid)


def gid_in(space: UserSpace | None, gid: int) -> int:
    return gid if space is None else _inwards(space.gids, gid)


def shown_uid(space: UserSpace | None, uid: int) -> int:
    """The same for calls that must tell some number (from_kuid_munged)."""
    found = uid_in(space, uid)
    return found if found != NONE or space is None else NOBODY


def shown_gid(space: UserSpace | None, gid: int) -> int:
    found = gid_in(space, gid)
    return found if found != NONE or space is None else NOBODY


def called(space: UserSpace | None, cred: tuple[int, int, int]) -> tuple[int, int, int]:
    """struct ucred, as somebody in a name space is told it (cred_to_ucred)."""
    return cred[0], shown_uid(space, cred[1]), shown_gid(space, cred[2])


def told_uid(space: UserSpace | None, told: int) -> int:
    """`uid_of` for an id of a call's. EINVAL for one that is nobody."""
    found = uid_of(space, told)
    if found == NONE:
        raise LinuxError(errno.EINVAL)
    return found


def told_gid(space: UserSpace | None, told: int) -> int:
    found = gid_of(space, told)
    if found == NONE:
        raise LinuxError(errno.EINVAL)
    return found


def told_owners(space: UserSpace | None, uid: int, gid: int) -> tuple[int, int]:
    """The machine's ids of an owner and a group to be, each -1 for the one that there is. EINVAL (chown_common)."""
    if space is None:
        return uid, gid
    return uid if uid == NONE else told_uid(space, uid), gid if gid == NONE else told_gid(space, gid)


def contains(space: UserSpace | None, other: UserSpace | None) -> bool:
    """Whether a name space is another, or above it (in_userns)."""
    while other is not None and other is not space:
        other = other.parent
    return other is space


def ruling(space: UserSpace | None, uid: int, gid: int) -> UserSpace | None:
    """The next name space upwards whose capabilities hold over a file of a user and a group
    (privileged_wrt_inode_uidgid, would_dump)."""
    while space is not None and not (space.has_user(uid) and space.has_group(gid)):
        space = space.parent
    return space


def new_space(task: LinuxTask) -> Credentials:
    """Who a task is in a name space of users of its own: with all capabilities there (create_user_ns).

    ENOSPC for one too deep; EPERM in a changed root, or for who is nobody where it is.
    """
    creds = task.creds
    if creds.space is not None and creds.space.level >= _DEEPEST:
        raise LinuxError(errno.ENOSPC)
    mount, root = task.fs.mounts.mounts[0], task.fs.root
    if root is not mount.root and not (root.mount is mount and mount.is_root(root)):  # current_chrooted
        raise LinuxError(errno.EPERM)
    if NONE in (uid_in(creds.space, creds.uids[1]), gid_in(creds.space, creds.gids[1])):
        raise LinuxError(errno.EPERM)
    return creds.within(UserSpace(creds, task.machine.next_space()))


# -- the files of /proc/PID


def show_map(space: UserSpace | None, kind: str, viewer: UserSpace | None) -> bytes:
    """uid_map, gid_map, projid_map (`kind`: uids, gids, projects) by the ids of who looks, or of its own by those
    of the one above it (m_start of id maps)."""
    extents: Extents = _WHOLE if space is None else getattr(space, kind)
    above = space.parent if space is viewer and space is not None else viewer
    by: Extents = _WHOLE if above is None else getattr(above, kind)
    rows = ((inside, _inwards(by, outside), count) for inside, outside, count in extents)
    return b"".join(b"%10d %10d %10d\n" % row for row in rows)


def _parsed(text: bytes) -> list[tuple[int, int, int]]:
    """EINVAL for what is no map."""
    found: list[tuple[int, int, int]] = []
    lines = text.partition(b"\0")[0].split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    for line in lines:
        words = line.split()
        if len(words) != 3 or not all(word.isdigit() for word in words):
            raise LinuxError(errno.EINVAL)
        inside, outside, count = (int(word[:20]) & NONE for word in words)
        if NONE in (inside, outside) or not count or inside + count > NONE or outside + count > NONE:
            raise LinuxError(errno.EINVAL)
        for a, b, n in found:
            if (a < inside + count and inside < a + n) or (b < outside + count and outside < b + n):
                raise LinuxError(errno.EINVAL)
        found.append((inside, outside, count))
        if len(found) > _MOST_EXTENTS:
            raise LinuxError(errno.EINVAL)
    if not found:
        raise LinuxError(errno.EINVAL)
    return found


def write_map(task: LinuxTask, opener: Credentials, space: UserSpace | None, kind: str, text: bytes) -> None:
    """Say once which ids are which (map_write), by the rights of who opened the file, and for more than oneself by the
    writer's, too. EPERM for who may not, or a second time; EINVAL for what is no map."""
    if space is None or opener.space not in (space, space.parent):
        raise LinuxError(errno.EPERM)
    if getattr(space, kind) or (kind != "projects" and not opener.has_over(space, CAP_SYS_ADMIN)):
        raise LinuxError(errno.EPERM)
    rows = _parsed(text)
    parent = space.parent
    if kind != "projects" and not _allowed(opener, task.creds, space, kind, rows):
        raise LinuxError(errno.EPERM)
    made = []
    for inside, outside, count in rows:
        lower = outside
        if parent is not None:
            lower = _range_of(getattr(parent, kind), outside, count)
        made.append((inside, lower, count))
    setattr(space, kind, tuple(made))


def _allowed(
    opener: Credentials, writer: Credentials, space: UserSpace, kind: str, rows: list[tuple[int, int, int]]
) -> bool:
    """new_idmap_permitted. opener: of the file."""
    parent = space.parent
    if kind == "uids" and any(outside == 0 for _, outside, _ in rows):  # verify_root_map
        if opener.space is space:
            if not space.had_setfcap:
                return False
        elif not opener.has_over(parent, CAP_SETFCAP):
            return False
    if len(rows) == 1 and rows[0][2] == 1 and space.owner == opener.uids[1]:
        if kind == "uids" and uid_of(parent, rows[0][1]) == opener.uids[1]:
            return True
        if kind == "gids" and not space.setgroups and gid_of(parent, rows[0][1]) == opener.gids[1]:
            return True
    needed = CAP_SETUID if kind == "uids" else CAP_SETGID
    return opener.has_over(parent, needed) and writer.has_over(parent, needed)


def _range_of(extents: Extents, first: int, count: int) -> int:
    """map_id_range_down: EPERM unless all of a range are mapped side by side."""
    for inside, outside, size in extents:
        if inside <= first and first + count <= inside + size:
            return outside + first - inside
    raise LinuxError(errno.EPERM)


def write_setgroups(space: UserSpace | None, text: bytes) -> None:
    """`deny` or `allow` (proc_setgroups_write). EINVAL for anything else; EPERM where it is too late."""
    if len(text) >= 8:
        raise LinuxError(errno.EINVAL)
    word = text.partition(b"\0")[0]
    wanted = next((known for known in (b"allow", b"deny") if word.startswith(known)), None)
    if wanted is None or word[len(wanted) :].strip():
        raise LinuxError(errno.EINVAL)
    allowed = space is None or space.setgroups
    if wanted == b"allow":
        if not allowed:
            raise LinuxError(errno.EPERM)
    elif space is None or space.gids:
        raise LinuxError(errno.EPERM)
    else:
        space.setgroups = False


def may_set_groups(space: UserSpace | None) -> bool:
    """userns_may_setgroups."""
    return space is None or (space.setgroups and bool(space.gids))
