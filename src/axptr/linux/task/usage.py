"""What a process has used: CPU time, memory, faults, and what it has read and written. Source: getrusage(2), struct
rusage, proc_pid_io(5).

Plain numbers, added up when a thread ends and when a child is waited for.
"""

from __future__ import annotations

from struct import pack

from ..._core.kernel.accounts import IoTally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .task import LinuxTask

_BILLION = 1_000_000_000


class Usage:
    """user, system: nanoseconds of the CPU. resident: the most KiB of memory that one had. minor: pages brought in.
    voluntary, involuntary: how often the CPU went to another, by waiting or at the end of a slice."""

    __slots__ = ("involuntary", "minor", "resident", "system", "user", "voluntary")

    def __init__(self) -> None:
        self.user = self.system = self.resident = self.minor = self.voluntary = self.involuntary = 0

    def add(self, other: Usage) -> None:
        self.user += other.user
        self.system += other.system
        self.resident = max(self.resident, other.resident)
        self.minor += other.minor
        self.voluntary += other.voluntary
        self.involuntary += other.involuntary

    def pack(self) -> bytes:
        """struct rusage, 144 bytes."""
        times = (*divmod(self.user // 1000, 10**6), *divmod(self.system // 1000, 10**6))
        rest = (0, 0, 0, self.minor, 0, 0, 0, 0, 0, 0, 0, self.voluntary, self.involuntary)
        return pack("<4q14q", *times, self.resident, *rest)


def used_by(task: LinuxTask, *, alone: bool = False) -> Usage:
    """What the task's process has used by now, without its children; or this thread alone."""
    usage = Usage()
    cpu = task.cpu if alone else task.group.timers.cpu
    usage.user, usage.system = cpu.user, cpu.system
    left = task if alone else task.group
    usage.voluntary, usage.involuntary = left.voluntary, left.involuntary
    stats = task.space.stats()
    usage.resident = task.machine.account.peak >> 10
    usage.minor = sum(stats[kind] for kind in ("faults_read", "faults_write", "faults_fetch"))
    return usage


class IoCount(IoTally):
    """Of a process, as /proc/self/io tells; the machine's thread alone uses it. Exec keeps it, a fork begins with none,
    a snapshot has it.

    rchar, wchar: bytes that calls have read and written; syscr, syscw: how many such calls.
    """

    __slots__ = ()
