"""Who a task is: user and group ids, and what it may do (capabilities). Source: credentials(7), capabilities(7), struct
cred, security/commoncap.c of Linux 6.18.

At first those of the host's process when the machine was made, or of the user that the run was given. Root has the
capabilities that rule what is emulated, those of a container's root. Who gives its rights up has them no more: what it
may do with files `fs.permissions` says, the host's too, which are opened as the host's process whoever a task is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from ..host import HostView
    from .userspace import UserSpace

Ids = tuple[int, int, int]
"""Real, effective, saved."""

CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP = (
    0, 1, 3, 4, 5, 6, 7, 8,
)  # fmt: skip
CAP_DAC_READ_SEARCH, CAP_IPC_LOCK, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_SYS_NICE = 2, 14, 19, 21, 23
CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_SYS_CHROOT, CAP_MKNOD, CAP_AUDIT_WRITE, CAP_SETFCAP = 10, 12, 18, 27, 29, 31
CAP_CHECKPOINT_RESTORE = LAST_CAP = 40
SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP, SECBIT_KEEP_CAPS, SECBIT_NO_CAP_AMBIENT_RAISE = 1, 4, 16, 64
OF_ROOT = sum(
    1 << cap
    for cap in (
        CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP,
        CAP_NET_BIND_SERVICE, CAP_IPC_LOCK, CAP_SYS_CHROOT, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_MKNOD, CAP_AUDIT_WRITE,
        CAP_SETFCAP,
    )
)  # fmt: skip
"""What root may do: the set of containers, but for raw sockets, and look into every process, keep memory and arrange
the tree of the machine, which is all theirs."""
EVERY = (1 << LAST_CAP + 1) - 1
"""What the first user of a name space of its own may do there."""
_OF_FILES = sum(
    1 << cap for cap in (CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, 9, 32)
)
"""Those that go with the user by whom files are judged (CAP_FS_SET)."""


class Credentials:
    """Never changed, so that tasks may share one; who becomes somebody else gets another.

    fs_uid, fs_gid: by whom files are judged (setfsuid); files: all that they are judged by. walks: whether every
    directory may be searched. effective, permitted, inheritable, bounding, ambient: sets of capabilities, bit n for
    number n. securebits: what of root's ways with them holds no more (prctl). space: the name space of users, None for
    the first; all ids are the machine's (`task.userspace`), and capabilities hold over that name space alone.

    | guarded by | exec | fork | a snapshot |
    | --- | --- | --- | --- |
    | nothing: it never changes | `after_exec` takes its place | shares it, or `within` | numbers, the space |
    """

    __slots__ = (
        "ambient", "bounding", "effective", "files", "fs_gid", "fs_uid", "gids", "groups", "inheritable", "permitted",
        "securebits", "space", "uids", "walks",
    )  # fmt: skip

    def __init__(self, uids: Ids, gids: Ids, groups: tuple[int, ...]) -> None:
        self.uids = uids
        self.gids = gids
        self.groups = groups
        self.fs_uid, self.fs_gid = uids[1], gids[1]
        self.space: UserSpace | None = None
        self.inheritable = self.ambient = self.securebits = 0
        self.bounding = OF_ROOT
        self.permitted = OF_ROOT if 0 in uids[:2] else 0
        self.effective = self.permitted if uids[1] == 0 else 0
        self._derive()

    def _derive(self) -> None:
        number = 0 if self.space is None else self.space.number
        self.files = self.fs_uid, self.fs_gid, self.groups, self.effective & _OF_FILES, number
        self.walks = self.has(CAP_DAC_OVERRIDE) or self.has(CAP_DAC_READ_SEARCH)

    @classmethod
    def of_host(cls, host: HostView) -> Credentials:
        return cls(host.uids, host.gids, tuple(host.groups))

    def but(self, **changes: object) -> Self:
        """The same with some fields changed."""
        other = type(self)(self.uids, self.gids, self.groups)
        for name in self.__slots__:
            setattr(other, name, changes.get(name, getattr(self, name)))
        other._derive()
        return other

    def by_real_ids(self) -> Self:
        """As access(2) judges: by the real ids, and as root by all that root may do."""
        effective = self.permitted if self.uids[0] == self.root else 0
        if (self.uids[0], self.gids[0], effective) == (self.fs_uid, self.fs_gid, self.effective):
            return self
        return self.but(fs_uid=self.uids[0], fs_gid=self.gids[0], effective=effective)

    def in_group(self, gid: int) -> bool:
        """Whether files of a group are one's own group's (in_group_p)."""
        return gid == self.fs_gid or gid in self.groups

    def has(self, capability: int) -> bool:
        """Over the machine (capable)."""
        return self.space is None and bool(self.effective >> capability & 1)

    def has_here(self, capability: int) -> bool:
        """Over one's own name space of users."""
        return bool(self.effective >> capability & 1)

    def has_over(self, space: UserSpace | None, capability: int) -> bool:
        """Over a name space of users, also those that one made, from where it was made (cap_capable)."""
        if space is not self.space:
            top = self._topmost(space)
            if top is None or top.owner == self.uids[1]:
                return top is not None
        return self.has_here(capability)

    def _topmost(self, space: UserSpace | None) -> UserSpace | None:
        """The one on the way up from a name space that was made right in one's own; None if it is not beneath that."""
        while space is not None and space.parent is not self.space:
            space = space.parent
        return space

    def has_for(self, uid: int, gid: int | None, capability: int) -> bool:
        """Over a file of a user and a group that have a name here (capable_wrt_inode_uidgid)."""
        if not self.has_here(capability):
            return False
        space = self.space
        if space is None:
            return True
        return space.has_user(uid) and (gid is None or space.has_group(gid))

    def shown_ids(self) -> tuple[Ids, Ids]:
        """uids and gids as they are called in one's own name space."""
        space = self.space
        return (self.uids, self.gids) if space is None else (space.shown_uids(self.uids), space.shown_gids(self.gids))

    @property
    def reigns(self) -> bool:
        """Whether it may what takes a capability over the machine that its root is not said to have here
        (CAP_SYS_NICE, CAP_SYS_RESOURCE, CAP_NET_ADMIN): CAP_SYS_ADMIN stands for them."""
        return self.has(CAP_SYS_ADMIN)

    @property
    def root(self) -> int:
        """The user that is 0 in its name space, -1 if nobody is."""
        return 0 if self.space is None else self.space.root

    def within(self, space: UserSpace | None) -> Credentials:
        """The same user in another name space of users, with every right there (set_cred_user_ns)."""
        return self.but(
            space=space, permitted=EVERY, effective=EVERY, bounding=EVERY, inheritable=0, ambient=0, securebits=0
        )

    def after_exec(self) -> Credentials:
        """The saved ids become the effective ones; root's capabilities are those that it may have at all."""
        uids, gids = (*self.uids[:2], self.uids[1]), (*self.gids[:2], self.gids[1])
        ambient = permitted = effective = self.ambient
        root = self.root
        if root in uids[:2] and not self.securebits & SECBIT_NOROOT:
            permitted |= self.inheritable | self.bounding
            effective = permitted if uids[1] == root else ambient
        return self.but(
            uids=uids, gids=gids, fs_uid=uids[1], fs_gid=gids[1],
            permitted=permitted, effective=effective, ambient=ambient, securebits=self.securebits & ~SECBIT_KEEP_CAPS,
        )  # fmt: skip

    def with_uids(self, uids: Ids) -> Credentials:
        """After setuid and its kin: root's capabilities go with root (cap_emulate_setxuid), unless it said that they
        are to stay."""
        permitted, effective, ambient = self.permitted, self.effective, self.ambient
        if self.securebits & SECBIT_NO_SETUID_FIXUP:
            return self.but(uids=uids, fs_uid=uids[1])
        root = self.root
        if root in self.uids and root not in uids:
            if not self.securebits & SECBIT_KEEP_CAPS:
                permitted = effective = 0
            ambient = 0
        if self.uids[1] == root and uids[1] != root:
            effective = 0
        if self.uids[1] != root and uids[1] == root:
            effective = permitted
        return self.but(uids=uids, fs_uid=uids[1], permitted=permitted, effective=effective, ambient=ambient)

    def with_fs_uid(self, uid: int) -> Credentials:
        effective = self.effective
        if self.securebits & SECBIT_NO_SETUID_FIXUP:
            return self.but(fs_uid=uid)
        root = self.root
        if self.fs_uid == root and uid != root:
            effective &= ~_OF_FILES
        elif self.fs_uid != root and uid == root:
            effective |= _OF_FILES & self.permitted
        return self.but(fs_uid=uid, effective=effective)

    def same(self, other: Credentials) -> bool:
        """Whether it is nobody else."""
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def exposes(self, before: Credentials) -> bool:
        """Whether who becomes this from `before` may have what others are not to see (commit_creds)."""
        mine, old = (self.uids[1], self.gids[1], self.fs_uid, self.fs_gid), (before.uids[1], before.gids[1])
        return mine != (*old, before.fs_uid, before.fs_gid) or not self._within(before)

    def _within(self, before: Credentials) -> bool:
        """Whether who was `before` had all of these rights: as itself, or as who made the name space
        (cred_cap_issubset)."""
        if self.space is before.space:
            return not self.permitted & ~before.permitted
        top = before._topmost(self.space)
        return top is not None and top.owner == before.uids[1]

    @property
    def set_id(self) -> bool:
        """Whether it acts as another than it is: its programs are not to trust their surroundings (AT_SECURE)."""
        return self.uids[0] != self.uids[1] or self.gids[0] != self.gids[1]

    @property
    def uid(self) -> int:
        return self.uids[0]

    @property
    def euid(self) -> int:
        return self.uids[1]

    @property
    def gid(self) -> int:
        return self.gids[0]

    @property
    def egid(self) -> int:
        return self.gids[1]
