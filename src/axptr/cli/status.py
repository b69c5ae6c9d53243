"""What each task of a run is doing, in a line each, as terminals with a status character tell of their jobs:

    axptr: 1234 sleep [clock_nanosleep] 2.10r 0.01u 0.00s 0% 1836k

Number, name, the call that it waits in (or `running`, `stopped`, `zombie`); seconds since its process began, and of the
CPU in user mode and in the kernel; the share of the CPU; memory. A thread has its own number and times.
"""

from __future__ import annotations

from ..linux.abi.numbers import name_of
from ..linux.proc.maps import count_all
from ..linux.task.usage import used_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.machine import Machine
    from ..linux.task.task import LinuxTask

_BILLION = 1_000_000_000
_PAGE_KIB = 4


def status(machine: Machine) -> str:
    """All tasks, by number; a line says so where there are none."""
    lines = [_line(task) for _, task in sorted(machine.tasks.items())]
    return "\n".join(lines) or "axptr: no task is left"


def _line(task: LinuxTask) -> str:
    group = task.group
    used = used_by(task, alone=len(group.threads) > 1)
    real = (task.machine.host.boottime_ns() - group.started) / _BILLION
    user, system = used.user / _BILLION, used.system / _BILLION
    share = round(100 * (user + system) / real) if real > 0 else 0
    memory = 0 if task.dead else count_all(task).resident * _PAGE_KIB
    name = task.comm.decode("ascii", "backslashreplace")
    times = f"{real:.2f}r {user:.2f}u {system:.2f}s {min(share, 100)}%"
    return f"axptr: {task.tid} {name} [{_doing(task)}] {times} {memory}k"


def _doing(task: LinuxTask) -> str:
    if task.dead:
        return "zombie"
    if task.halted:
        return "stopped"
    if task.blocked is None:
        return "running"
    return name_of(task.blocked.call[0]) if task.blocked.call is not None else "waiting"
