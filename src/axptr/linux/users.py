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
    """Those of a user: a name, a number, or numbers of a user and a group; or a text of `NAME|UID[:GROUP|GID]`.

    A user that the machine knows has the groups that it says; a group that is told takes their place.
    """
    if isinstance(user, tuple):
        uid, gid = _number(user[0]), _number(user[1])
        return Credentials((uid,) * 3, (gid,) * 3, ())
    if not isinstance(user, str):
        uid = _number(user)
        return Credentials((uid,) * 3, (uid,) * 3, ())
    name, colon, group = user.partition(":")
    uid, gid, groups = _told(task, os.fsencode(name))
    if colon:
        gid = _group(task, os.fsencode(group))
        groups = (gid,)
    return Credentials((uid,) * 3, (gid,) * 3, tuple(sorted(groups)))


def surroundings(task: LinuxTask, environ: list[bytes]) -> list[bytes]:
    """The environment of one who is the task's user: with HOME, USER and LOGNAME, unless it says them."""
    uid = task.creds.uid
    name, home = next(((name, home) for name, number, _, _, home in _users(task) if number == uid), (b"%d" % uid, b"/"))
    said = {entry.partition(b"=")[0] for entry in environ}
    own = {b"HOME": home, b"USER": name, b"LOGNAME": name}
    return environ + [key + b"=" + value for key, value in own.items() if key not in said]


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


def _told(task: LinuxTask, text: bytes) -> tuple[int, int, tuple[int, ...]]:
    """User, group and all groups of a name, or of a number."""
    number = int(text) if text.isdigit() else None
    for name, uid, gid, _, _ in _users(task):
        if name == text or uid == number:
            groups = [gid]
            for line in _lines(task, b"/etc/group"):
                fields = line.split(b":")
                if len(fields) == 4 and name in fields[3].split(b",") and fields[2].isdigit():
                    groups.append(int(fields[2]))
            return uid, gid, tuple(dict.fromkeys(groups))
    if number is not None and number < _NOBODY:
        return number, number, ()
    raise ProgramError(errno.EINVAL, f"{os.fsdecode(text)}: no such user in the machine's /etc/passwd")


def _group(task: LinuxTask, text: bytes) -> int:
    for line in _lines(task, b"/etc/group"):
        fields = line.split(b":")
        if len(fields) == 4 and fields[0] == text and fields[2].isdigit():
            return int(fields[2])
    if text.isdigit() and int(text) < _NOBODY:
        return int(text)
    raise ProgramError(errno.EINVAL, f"{os.fsdecode(text)}: no such group in the machine's /etc/group")


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
