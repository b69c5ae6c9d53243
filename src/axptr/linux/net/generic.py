"""NETLINK_GENERIC: which families there are, of which there is none but the one that tells it. Source:
net/netlink/genetlink.c of Linux 6.18 (ctrl_getfamily, ctrl_dumpfamily)."""

from __future__ import annotations

import errno
from struct import pack

from ...errors import LinuxError
from .attributes import attribute, attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..task.task import LinuxTask

_ID, _NAME, _VERSION = 16, b"nlctrl\0", 2
_DUMP = 0x300
_NEW_FAMILY, _GET_FAMILY, _GET_POLICY = 1, 3, 10
_FAMILY_ID, _FAMILY_NAME, _HAS_VERSION, _HEADER_SIZE, _MOST_ATTRIBUTE, _OPS, _GROUPS = range(1, 8)
_CAN_DO, _CAN_DUMP, _HAS_POLICY = 2, 4, 8
_HEADER = 4


def answer_generic(task: LinuxTask, kind: int, asked: int, body: bytes) -> Iterator[bytes]:
    """The family that is asked for, by number or by name; all of them. ENOENT, EINVAL, EOPNOTSUPP."""
    if kind != _ID:
        raise LinuxError(errno.ENOENT)
    if len(body) < _HEADER:
        raise LinuxError(errno.EINVAL)
    if body[0] != _GET_FAMILY:
        raise LinuxError(errno.EOPNOTSUPP)
    if asked & _DUMP != _DUMP:
        given = attributes(body[_HEADER:])
        if _FAMILY_ID not in given and _FAMILY_NAME not in given:
            raise LinuxError(errno.EINVAL)
        if given.get(_FAMILY_NAME, _NAME).partition(b"\0")[0] != _NAME[:-1]:
            raise LinuxError(errno.ENOENT)
        if _FAMILY_NAME not in given and int.from_bytes(given[_FAMILY_ID][:2], "little") != _ID:
            raise LinuxError(errno.ENOENT)
    yield pack("<H", _ID) + _family()


def _family() -> bytes:
    ops = ((_GET_FAMILY, _CAN_DO | _CAN_DUMP | _HAS_POLICY), (_GET_POLICY, _CAN_DUMP | _HAS_POLICY))
    told = b"".join(
        attribute(i, attribute(1, pack("<I", number)) + attribute(2, pack("<I", flags)))
        for i, (number, flags) in enumerate(ops, 1)
    )
    group = attribute(1, attribute(2, pack("<I", _ID)) + attribute(1, b"notify\0"))
    return (
        pack("<BBH", _NEW_FAMILY, _VERSION, 0)
        + attribute(_FAMILY_NAME, _NAME)
        + attribute(_FAMILY_ID, pack("<H", _ID))
        + attribute(_HAS_VERSION, pack("<I", _VERSION))
        + attribute(_HEADER_SIZE, pack("<I", 0))
        + attribute(_MOST_ATTRIBUTE, pack("<I", 0))
        + attribute(_OPS, told)
        + attribute(_GROUPS, group)
    )
