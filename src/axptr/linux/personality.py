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
    from collections.abc import Callable

    from ..errors import LinuxError
    from ..kernel.kernel import Dispatch
    from ..kernel.task import Task
    from .machine import Machine
    from .policy.policy import Policy
    from .task.task import LinuxTask


class LinuxKernel(Kernel):
    """The x86-64 Linux personality: `Kernel` with every call of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.policy: Policy | None = None
        self.syscalls.update(table("x86_64"))

    def name_of(self, nr: int) -> str:
        """The name of a call, served or not: `clone` for 56, `syscall_1000` for a number that Linux has not."""
        from .abi.numbers import name_of  # not at every start

        known = self.syscalls.get(nr)
        return known.name if known is not None else name_of(nr)

    def completed(self, task: Task, outcome: int | LinuxError | None) -> None:
        """As a kernel's; functions that look at calls are told first, and may say otherwise."""
        if task.judged is not None:  # type: ignore[attr-defined]
            outcome = self.policy.completed(task, outcome)  # type: ignore[union-attr, arg-type]
        super().completed(task, outcome)

    def dispatcher(self, task: Task) -> Dispatch:
        """As a kernel's; where time does not pass by itself, each call takes some."""
        dispatch = super().dispatcher(task)
        host = task.machine.host  # type: ignore[attr-defined]
        if host.repeats:
            dispatch = self._ticking(dispatch, host.tick)
        if task.seccomp is not None:  # type: ignore[attr-defined]
            from .task.seccomp import judged

            dispatch = judged(task, dispatch)  # type: ignore[arg-type]
        if task.trace is not None:  # type: ignore[attr-defined]
            from .task.trace import traced

            dispatch = traced(task, dispatch)  # type: ignore[arg-type]
        if task.diverted is not None:  # type: ignore[attr-defined]
            from .task.userdispatch import diverted

            return diverted(task, dispatch)  # type: ignore[arg-type]
        return dispatch

    @staticmethod
    def _ticking(dispatch: Dispatch, tick: Callable[[], object]) -> Dispatch:

        def ticking(nr: int, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int) -> int | None:
            tick()
            return dispatch(nr, a0, a1, a2, a3, a4, a5)

        return ticking

    def run_process(self, task: LinuxTask, timeout: float | None = None) -> bool:
        """Run until the task's process is over (True) or `timeout` seconds have passed (False)."""
        task.kernel = self
        group, host_signals = task.group, task.host_signals
        task.machine.loop.add(task)
        if host_signals is not None:
            host_signals.start()
        try:
            self.run_machine(task.machine, lambda: group.zombie, timeout)
        finally:
            if host_signals is not None:
                host_signals.stop()
        if not group.zombie:
            task.machine.loop.show(group.leader)
        return group.zombie

    def run_rest(self, machine: Machine, timeout: float | None = None) -> bool:
        """Run what the first process left behind, as long as somebody has one of the standard outputs open.

        Whoever reads those waits just as long. False if `timeout` seconds have passed before.
        """
        outputs, loop = machine.outputs, machine.loop

        def over() -> bool:
            return loop.empty or not any(file.refs for file in outputs)

        if not over():
            self.run_machine(machine, over, timeout)
        return over()

    @staticmethod
    def run_machine(machine: Machine, done: Callable[[], bool], timeout: float | None) -> None:
        """Run all tasks until `done()`, asked after each turn, or for `timeout` seconds. What the last turn left to be
        done is done."""
        machine.terminals.enter()
        try:
            with machine.account.acting():
                machine.loop.run_until(done, timeout)
                machine.loop.look()
        finally:
            machine.terminals.leave()
