"""What the machine of a sandbox knows of its host: clocks and random bytes, and nothing that tells whose it is."""

from __future__ import annotations

import os

from ..linux.host import INIT, HostView, UtsName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .limits import Limits

_RELEASE, _VERSION = "6.18.0", "#1 SMP PREEMPT_DYNAMIC"


class _Own:
    """Over a view of either kind: who and what the machine is, by itself."""

    hostname = "sandbox"
    memory = 1 << 30
    rlimits: dict[int, tuple[int, int]] = {}

    leads = (True, True)
    uids = gids = (0, 0, 0)
    uid = gid = euid = egid = 0
    groups: list[int] = []
    umask = 0o022
    nice = 0
    terminal = (0, 0)

    @property
    def uname(self) -> UtsName:
        return UtsName("Linux", self.hostname, _RELEASE, _VERSION)

    @property
    def memory_size(self) -> int:
        return self.memory

    def limit(self, number: int) -> tuple[int, int]:
        return self.rlimits[number]

    def shown_sender(self, pid: int) -> int:
        return INIT

    def prctl(self, option: int, argument: int = 0) -> int:
        return 0

    def set(self, hostname: str, limits: Limits) -> None:
        self.hostname = hostname
        self.rlimits = limits.rlimits()
        if limits.memory is not None:
            self.memory = limits.memory
        else:
            self.memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class OwnView(_Own, HostView):
    """Of a machine whose time is the host's."""


def view(seed: int | None, hostname: str, limits: Limits) -> HostView:
    """What a sandbox's machine sees."""
    made: OwnView
    if seed is None:
        made = OwnView()
    else:
        from ..linux.seeded import SeededView

        class Seeded(_Own, SeededView):
            """Of a machine that repeats."""

        made = Seeded(seed)  # type: ignore[assignment]
    made.set(hostname, limits)
    return made
