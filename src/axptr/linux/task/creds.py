"""Who a task is: user and group ids. Source: credentials(7), struct cred.

Those of the host's process when the machine was made. The host's files are opened as that process, whoever it is then.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import HostView

Ids = tuple[int, int, int]
"""Real, effective, saved."""


class Credentials:
    """Never changed, so that tasks may share one; who becomes somebody else gets another.

    | guarded by | exec | fork | a snapshot |
    | --- | --- | --- | --- |
    | nothing: it never changes | `after_exec` takes its place | shares it | numbers |
    """

    __slots__ = ("gids", "groups", "uids")

    def __init__(self, uids: Ids, gids: Ids, groups: tuple[int, ...]) -> None:
        self.uids = uids
        self.gids = gids
        self.groups = groups

    @classmethod
    def of_host(cls, host: HostView) -> Credentials:
        return cls(host.uids, host.gids, tuple(host.groups))

    def after_exec(self) -> Credentials:
        """The saved ids become the effective ones."""
        uids, gids = self.uids, self.gids
        return Credentials((*uids[:2], uids[1]), (*gids[:2], gids[1]), self.groups)

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
