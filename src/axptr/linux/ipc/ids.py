"""Numbers and keys of System V objects, who may use them, and the calls that they have in common. Source: sysvipc(7),
ipc/util.c of Linux 6.18.
"""

from __future__ import annotations

import errno
from struct import Struct

from ...errors import LinuxError
from ..task.creds import CAP_SYS_ADMIN
from ..task.userspace import shown_gid, shown_uid, told_gid, told_uid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Generic, TypeVar

    from ..task.task import LinuxTask

    T = TypeVar("T", bound="Object")
else:  # a run does not load `typing`

    class Generic:
        def __class_getitem__(cls, item: object) -> type:
            return cls

    T = None

IPC_PRIVATE = 0
IPC_CREAT, IPC_EXCL, IPC_NOWAIT = 0o1000, 0o2000, 0o4000
IPC_RMID, IPC_SET, IPC_STAT, IPC_INFO = range(4)
_SEQ_SHIFT = 15
_MOST = 1 << _SEQ_SHIFT
_LAST_SEQ = (1 << 16) - 1
_MIN_CYCLE = 64
PERM = Struct("<iIIIIIHHIQQ")
"""struct ipc64_perm of x86-64."""


def _rules(task: LinuxTask) -> bool:
    """Whether nothing of its name space's is kept from a task: CAP_SYS_ADMIN stands for CAP_IPC_OWNER, too."""
    return task.creds.has_over(task.ipc.users, CAP_SYS_ADMIN)


class Object:
    """What segments, sets and queues have in common: struct kern_ipc_perm."""

    def __init__(self, task: LinuxTask, key: int, mode: int) -> None:
        self.key = key
        self.mode = mode & 0o777
        self.uid = self.cuid = task.creds.euid
        self.gid = self.cgid = task.creds.egid
        self.id = -1
        self.seq = 0
        self.gone = False
        self.ctime = seconds(task)

    def permits(self, task: LinuxTask, flag: int) -> bool:
        """ipcperms: the bits of all three thirds of `flag` count."""
        wanted, granted, creds = flag >> 6 | flag >> 3 | flag, self.mode, task.creds
        if creds.euid in (self.cuid, self.uid):
            granted >>= 6
        elif {self.gid, self.cgid} & {creds.egid, *creds.groups}:
            granted >>= 3
        return not wanted & ~granted & 7 or _rules(task)

    def require(self, task: LinuxTask, flag: int) -> None:
        if not self.permits(task, flag):
            raise LinuxError(errno.EACCES)

    def require_owner(self, task: LinuxTask) -> None:
        """EPERM unless it is the task's, or root asks."""
        if task.creds.euid not in (self.uid, self.cuid) and not _rules(task):
            raise LinuxError(errno.EPERM)

    def owners(self, task: LinuxTask) -> tuple[int, int, int, int]:
        """Owner and group, the maker's and his group, as a task calls them."""
        space = task.creds.space
        own = shown_uid(space, self.uid), shown_gid(space, self.gid)
        return *own, shown_uid(space, self.cuid), shown_gid(space, self.cgid)

    def perm(self, task: LinuxTask) -> bytes:
        """struct ipc64_perm, as a task is told it (kernel_to_ipc64_perm)."""
        return PERM.pack(self.key, *self.owners(task), self.mode, self.seq, 0, 0, 0, 0)

    def set_perm(self, task: LinuxTask, raw: bytes) -> None:
        """IPC_SET: owner and permissions. EINVAL for an owner who is nobody (ipc_update_perm)."""
        _, uid, gid, _, _, mode, *_ = PERM.unpack(raw[: PERM.size])
        self.uid, self.gid = told_uid(task.creds.space, uid), told_gid(task.creds.space, gid)
        self.mode = self.mode & ~0o777 | mode & 0o777
        self.ctime = seconds(task)


def seconds(task: LinuxTask) -> int:
    return task.machine.host.realtime_ns() // 10**9


class IdTable(Generic[T]):
    """Objects of one kind by number. An index is not used again at once, and a number changes with its sequence.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | objects, and how numbers go on | the machine's thread | the machine's, so shared | all of them |
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._objects: dict[int, T] = {}
        self._last = -1
        self._next = 0
        self._seq = 0

    def __len__(self) -> int:
        return len(self._objects)

    def all(self) -> list[T]:
        return list(self._objects.values())

    @property
    def highest(self) -> int:
        """The highest index in use, 0 if there is none."""
        return max(self._objects, default=0)

    def add(self, made: T) -> int:
        """The new object's number. ENOSPC."""
        if len(self._objects) >= self._most:
            raise LinuxError(errno.ENOSPC)
        end = min(max(len(self._objects) * 3 // 2, _MIN_CYCLE), _MOST)
        index = next((i for i in range(self._next, end) if i not in self._objects), None)
        if index is None:
            index = next(i for i in range(end) if i not in self._objects)
        if index <= self._last:
            self._seq = 0 if self._seq >= _LAST_SEQ else self._seq + 1
        self._last, self._next = index, index + 1
        made.seq = self._seq
        made.id = self._seq << _SEQ_SHIFT | index
        self._objects[index] = made
        return made.id

    def remove(self, made: T) -> None:
        made.gone = True
        del self._objects[made.id & (_MOST - 1)]

    def by_key(self, key: int) -> T | None:
        return next((o for o in self._objects.values() if o.key == key), None)

    def get(self, number: int) -> T:
        """EINVAL if there is none of this number."""
        found = self._objects.get(number & (_MOST - 1)) if number >= 0 else None
        if found is None or found.id != number:
            raise LinuxError(errno.EINVAL)
        return found

    def at(self, index: int) -> T:
        """By the index, as ipcs walks them."""
        found = self._objects.get(index & (_MOST - 1)) if index >= 0 else None
        if found is None:
            raise LinuxError(errno.EINVAL)
        return found

    def owned(self, task: LinuxTask, number: int) -> T:
        """That of a number, for who may change or remove it: EINVAL, EPERM."""
        found = self.get(number)
        found.require_owner(task)
        return found

    def shown(self, task: LinuxTask, number: int, *, by_index: bool, to_all: bool) -> tuple[T, int]:
        """What a command tells of, and what the call gives: 0, or the number of what was asked for by its index (ipcs).
        EACCES for who may not read it, unless it is shown to all."""
        found = self.at(number) if by_index else self.get(number)
        if not to_all:
            found.require(task, 0o444)
        return found, found.id if by_index else 0

    def open(self, task: LinuxTask, key: int, flag: int, fits: Callable[[T], bool], make: Callable[[], T]) -> int:
        """shmget and its kin. fits: whether what is there is as large as asked for."""
        if key == IPC_PRIVATE:
            return self.add(make())
        found = self.by_key(key)
        if found is None:
            if not flag & IPC_CREAT:
                raise LinuxError(errno.ENOENT)
            return self.add(make())
        if flag & IPC_CREAT and flag & IPC_EXCL:
            raise LinuxError(errno.EEXIST)
        if not fits(found):
            raise LinuxError(errno.EINVAL)
        found.require(task, flag)
        return found.id
