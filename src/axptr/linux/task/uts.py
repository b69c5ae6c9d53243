"""What a machine is called, of which processes may have another view: a UTS name space. Source: uts_namespaces(7),
kernel/utsname.c.
"""

from __future__ import annotations

import copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import HostView
    from .userspace import UserSpace

FIRST_SPACE = 0xEFFF_FFFE
NAME_MAX = 64


class Uts:
    """Names, the number of their name space, and `users`: the one of users that owns it. The machine's thread alone
    changes them; whoever shares the object sees it. exec keeps it, a fork shares it or has a copy (CLONE_NEWUTS), a
    snapshot has its names."""

    def __init__(self, host: HostView) -> None:
        self.node = host.uname.nodename.encode(errors="surrogateescape")
        self.domain = b"(none)"
        self.number = FIRST_SPACE
        self.users: UserSpace | None = None

    def copy(self, number: int, users: UserSpace | None) -> Uts:
        other = copy.copy(self)
        other.number, other.users = number, users
        return other
