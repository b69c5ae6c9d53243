"""`LinuxKernel`: the table of calls, and the loop of a process with its signals and timers.

The calls themselves are in the families' files (`calls`), loaded when they are made. Not here: how a process starts
(`api`).
"""

from __future__ import annotations

from ..kernel.kernel import Kernel
from .host import wall
from .registry import table
from .signals.state import first_argument, make_again
from .task.waiting import TimeUp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..engine import Engine
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
        """Run until the process is over (True) or `timeout` seconds have passed (False)."""
        engine: Engine = task.engine
        task.kernel = self
        task.deadline = None if timeout is None else wall() + timeout
        engine.on_syscall(self.dispatcher(task))
        host_signals = task.host_signals
        if host_signals is not None:
            host_signals.start()
        task.timers.cpu.resume()
        task.machine.terminals.enter()
        try:
            if task.signals.deliverable(task):  # the end of a program that could not be mapped
                task.signals.deliver(task)
            while not task.over:
                engine.attach(task.space)
                slice = task.time_slice()
                exit = engine.run(timeout=slice)
                if exit.kind == "timeout" and slice is not None:
                    task.machine.host.ran(slice)
                task.on_exit(exit)
                if task.deadline is not None and wall() >= task.deadline:
                    break
        except TimeUp as up:  # a call that waits: it is made again when the process is run on
            make_again(task, up.number, first_argument(task))
        finally:
            task.deadline = None
            task.timers.cpu.pause()
            task.machine.terminals.leave()
            if host_signals is not None:
                host_signals.stop()
        if task.over:
            task.files.close_all()  # as exit does: locks and ends of pipes are given back, whenever memory is
        return task.over
