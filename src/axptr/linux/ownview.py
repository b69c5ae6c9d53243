"""What a machine knows of its host that is to show nothing of it: clocks and random bytes, and nothing that tells whose
it is. Name, limits and memory are the machine's own; a snapshot keeps them."""

from __future__ import annotations

from .host import INIT, HostView, UtsName, memory_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RELEASE, _VERSION = "6.18.0", "#1 SMP PREEMPT_DYNAMIC"


class Own:
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

    def call_it(self, hostname: str, rlimits: dict[int, tuple[int, int]], memory: int | None) -> None:
        """memory: bytes that the machine says it has; None for the host's."""
        self.hostname, self.rlimits = hostname, rlimits
        self.memory = memory if memory is not None else memory_size()

    @property
    def called(self) -> tuple[object, ...]:
        """The arguments of `call_it`, as plain data: for a view that goes on from here."""
        return self.hostname, tuple(self.rlimits.items()), self.memory


def own_view(seed: int | None, hostname: str, rlimits: dict[int, tuple[int, int]], memory: int | None) -> HostView:
    """What a machine sees that shows nothing of its host."""
    made: Any
    if seed is None:
        made = own(HostView)()
    else:
        from .seeded import SeededView

        made = own(SeededView)(seed)
    made.call_it(hostname, rlimits, memory)
    return made  # type: ignore[no-any-return]


def own(view: type) -> type:
    """The class of such views whose clocks are those of another kind of view: of a machine that repeats, say."""
    if view not in _kinds:
        _kinds[view] = type(f"Own{view.__name__}", (Own, view), {"__doc__": f"`{view.__name__}`, of an own machine."})
    return _kinds[view]


_kinds: dict[type, type] = {}
