"""`LinuxKernel`: the table of calls, and what is around a run: signals of the host, terminals. The loop is the
framework's.

The calls themselves are in the families' files (`calls`), loaded when they are made. Not here: how a process starts
(`api`).
"""

from __future__ import annotations

from ..kernel.kernel import Kernel
from .registry import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..kernel.kernel import Dispatch
    from ..kernel.task import Task
    from .task.task import LinuxTask


class LinuxKernel(Kernel):
    """The x86-64 Linux personality: `Kernel` with every call of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.syscalls.update(table("x86_64"))

    def name_of(self, nr: int) -> str:
        """The name of a call, served or not: `clone` for 56, `syscall_1000` for a number that Linux has not."""
        from .abi.numbers import name_of  # not at every start

        known = self.syscalls.get(nr)
        return known.name if known is not None else name_of(nr)

    def dispatcher(self, task: Task) -> Dispatch:
        """As a kernel's; where time does not pass by itself, each call takes some."""
        dispatch = super().dispatcher(task)
        host = task.machine.host  # type: ignore[attr-defined]
        if not host.repeats:
            return dispatch
        tick = host.tick

        def ticking(nr: int, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int) -> int | None:
            tick()
            return dispatch(nr, a0, a1, a2, a3, a4, a5)

        return ticking

    def run_process(self, task: LinuxTask, timeout: float | None = None) -> bool:
        """Run until the task's process is over (True) or `timeout` seconds have passed (False)."""
        task.kernel = self
        group, host_signals = task.group, task.host_signals
        loop = task.machine.loop
        loop.add(task)
        if host_signals is not None:
            host_signals.start()
        task.machine.terminals.enter()
        try:
            loop.run_until(lambda: group.zombie, timeout)
        finally:
            task.machine.terminals.leave()
            if host_signals is not None:
                host_signals.stop()
        return group.zombie
