"""Resource limits: what a process has of the host's, and what it has set. Source: getrlimit(2), asm-generic/resource.h.

Kept by those whom they concern: memory (`mem.limits`), files' sizes (`fs.host.file`), time (`task.timers`), signals,
descriptors. Not kept: RLIMIT_MEMLOCK, RSS, NPROC, LOCKS, MSGQUEUE, RTPRIO and RTTIME.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .task import LinuxTask

RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_AS = 0, 1, 2, 3, 4, 7, 9
RLIMIT_SIGPENDING, RLIMIT_NICE = 11, 13
RLIM_INFINITY = (1 << 64) - 1

NAMES = (
    ("Max cpu time", "seconds"), ("Max file size", "bytes"), ("Max data size", "bytes"), ("Max stack size", "bytes"),
    ("Max core file size", "bytes"), ("Max resident set", "bytes"), ("Max processes", "processes"),
    ("Max open files", "files"), ("Max locked memory", "bytes"), ("Max address space", "bytes"),
    ("Max file locks", "locks"), ("Max pending signals", "signals"), ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""), ("Max realtime priority", ""), ("Max realtime timeout", "us"),
)  # fmt: skip


def get_limit(task: LinuxTask, number: int) -> tuple[int, int]:
    """(soft, hard). The host's, as inherited, unless the program changed it; there are no core files."""
    changed = task.limits.get(number)
    if changed is not None:
        return changed
    if number == RLIMIT_CORE:
        return 0, RLIM_INFINITY
    inherited = task.inherited_limits.get(number)
    if inherited is None:
        inherited = task.inherited_limits[number] = task.machine.host.limit(number)
    return inherited
