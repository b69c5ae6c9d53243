"""Who a program is when it is started by name or number: the machine's own /etc/passwd and /etc/group say the rest.
Source: passwd(5), group(5), initgroups(3).

Failure: `ProgramError` (EINVAL) for a name that is in neither, `TypeError` for what is no user.
"""

from __future__ import annotations

import errno
import os

from ..errors import LinuxError
from .ends import ProgramError
from .fs.walk import AT_FDCWD
from .task.creds import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .task.task import LinuxTask

_MOST = 1 << 20
_NOBODY = (1 << 32) - 1


def credentials(task: LinuxTask, user: object) -> Credentials:
    """Those of a user: a name, a number, or numbers of a user and a group."""
    if isinstance(user, tuple):
        uid, gid = _number(user[0]), _number(user[1])
        groups: tuple[int, ...] = ()
    elif isinstance(user, str):
        uid, gid, groups = _named(task, os.fsencode(user))
    else:
        uid = gid = _number(user)
        groups = ()
    return Credentials((uid,) * 3, (gid,) * 3, groups)


def home_of(task: LinuxTask, uid: int) -> bytes | None:
    """The home directory of a user."""
    for _, number, _, _, home in _users(task):
        if number == uid:
            return home
    return None


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a user is a name, a number, or numbers of a user and a group, not {value!r}")
    if not 0 <= value < _NOBODY:
        raise ValueError(f"{value} is no number of a user")
    return value


def _named(task: LinuxTask, name: bytes) -> tuple[int, int, tuple[int, ...]]:
    for known, uid, gid, _, _ in _users(task):
        if known == name:
            groups = [gid]
            for line in _lines(task, b"/etc/group"):
                fields = line.split(b":")
                if len(fields) == 4 and name in fields[3].split(b",") and fields[2].isdigit():
                    groups.append(int(fields[2]))
            return uid, gid, tuple(dict.fromkeys(groups))
    raise ProgramError(errno.EINVAL, f"{os.fsdecode(name)}: no such user in the machine's /etc/passwd")


def _users(task: LinuxTask) -> list[tuple[bytes, int, int, bytes, bytes]]:
    found = []
    for line in _lines(task, b"/etc/passwd"):
        fields = line.split(b":")
        if len(fields) == 7 and fields[2].isdigit() and fields[3].isdigit():
            found.append((fields[0], int(fields[2]), int(fields[3]), fields[4], fields[5]))
    return found


def _lines(task: LinuxTask, path: bytes) -> list[bytes]:
    try:
        file = task.fs.resolve(task, AT_FDCWD, path).open(task, os.O_RDONLY)
    except LinuxError:
        return []
    try:
        return file.peek(_MOST, 0).splitlines()
    except LinuxError:
        return []
    finally:
        file.close()
