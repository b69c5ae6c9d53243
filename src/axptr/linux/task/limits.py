"""Resource limits: what a process has of the host's, and what it has set. Source: getrlimit(2), asm-generic/resource.h.

Kept by those whom they concern: memory (`mem.limits`), files' sizes (`fs.host.file`), time (`task.timers`), signals,
descriptors, processes (`task.clone`). Not kept: RLIMIT_RSS, LOCKS, MSGQUEUE, RTPRIO and RTTIME.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import HostView
    from .task import LinuxTask

RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_AS = 0, 1, 2, 3, 4, 7, 9
RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING, RLIMIT_NICE = 6, 8, 11, 13
RLIM_INFINITY = (1 << 64) - 1

NAMES = (
    ("Max cpu time", "seconds"), ("Max file size", "bytes"), ("Max data size", "bytes"), ("Max stack size", "bytes"),
    ("Max core file size", "bytes"), ("Max resident set", "bytes"), ("Max processes", "processes"),
    ("Max open files", "files"), ("Max locked memory", "bytes"), ("Max address space", "bytes"),
    ("Max file locks", "locks"), ("Max pending signals", "signals"), ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""), ("Max realtime priority", ""), ("Max realtime timeout", "us"),
)  # fmt: skip


class Limits:
    """What a process is limited to: pairs of a soft and a hard limit, by number. The machine's thread alone uses it.

    Exec keeps them, a fork has the same, a snapshot the numbers.

    As inherited of the host's process, each looked at once and when first asked for, unless the program has set it.
    There are no core files.
    """

    def __init__(self, host: HostView) -> None:
        self._host = host
        self._known = {RLIMIT_CORE: (0, RLIM_INFINITY)}

    def copy(self) -> Limits:
        other = Limits(self._host)
        other._known = dict(self._known)
        return other

    def get(self, number: int) -> tuple[int, int]:
        known = self._known.get(number)
        if known is None:
            known = self._known[number] = self._host.limit(number)
        return known

    def set(self, number: int, soft: int, hard: int) -> None:
        self._known[number] = soft, hard


def get_limit(task: LinuxTask, number: int) -> tuple[int, int]:
    """(soft, hard), of the task's process."""
    return task.group.limits.get(number)
