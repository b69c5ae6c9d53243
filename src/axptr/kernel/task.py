"""What a kernel runs: a user program's memory and CPU, and whatever a kernel adds by deriving from it."""

from __future__ import annotations

import errno

from .._core.kernel.waiting import Blocked, Waiting
from .._core.words.budget import Budget
from .._core.words.codes import MAX_RW_COUNT
from ..errors import LinuxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Self

    from ..engine import Engine, Exit
    from ..mm.space import AddrSpace
    from .kernel import Kernel
    from .wait import Resume, Waitable


class Task(Waiting):
    """A program in an address space. A provider: `ptr.read(task)` costs no more than `ptr.read(task.space)`.

    space: the task's memory; replaced through `set_space` only (exec). kernel, engine, loop: set once it runs.
    budget: what the program's counts may make the host copy; until another is set, what Linux transfers at most a call.
    blocked: the record of the call that waits, None while it can run. woken: in a record's `again`, the events that
    ended the wait, 0 if it was the time.
    context: its registers while another task has the CPU, as the engine parked them (`RunLoop.registers` has them as
    plain data); result: of a call that waited, to be put into them.

    Owner: the thread of the loop. fork: the child has a twin of the space, a copy of the registers, waits for nothing.
    A snapshot keeps the space, the registers, `blocked` and `result`.
    """

    __slots__ = ("__dict__", "__weakref__", "engine")
    cpus = -1
    """Those on which it may run, as bits."""
    cpu_number = 0
    """The one that it has, or had last."""
    weight: float = 1.0
    """How long its turns are while others want to run, in slices."""
    kernel: Kernel
    engine: Engine

    def __init__(self, space: AddrSpace) -> None:
        self.set_space(space)
        self.budget = Budget(per_call=MAX_RW_COUNT)

    @property
    def space(self) -> AddrSpace:
        return self._space  # type: ignore[no-any-return]

    def set_space(self, space: AddrSpace) -> None:
        """Give the task another memory. Pointers used with this task see it at once, the CPU at its next run."""
        self._set_space(space)

    # -- the verbs of a kernel

    def block(
        self,
        on: Iterable[tuple[Waitable, int]] = (),
        until: float | None = None,
        *,
        again: Resume | None = None,
        restart: Any = None,
        interrupted: Callable[..., int | LinuxError | None] | None = None,
    ) -> int | None:
        """The call in hand waits: for an event of a mask on any of `on`, until a time of the loop's clock at the
        latest.

        `return task.block(...)` is what a handler does. Once woken, `again = function, data` goes on with the call:
        `function(task, *data)` is called by the loop and does as a handler does: it has a result, raises `LinuxError`,
        or blocks again. What it is woken for may be gone by then. The data is plain: numbers, bytes, tuples, and the
        kernel's own objects. Without `again` nothing but an interruption ends the wait. interrupted, restart: see
        `Blocked`.
        """
        self._begin_wait(on, until, again, restart, interrupted)
        return None

    def time_over(self) -> None:
        """The deadline of the wait has come. (A method of Python's own: the timer that calls it is kept by name.)"""
        self.wake()

    def interrupt(self) -> None:
        """Something has come that the task must look at: have it leave its wait, or the CPU, for `disturbed`."""
        if self.loop is not None:
            self.loop.interrupt(self)

    def fork(self, child: Self | None = None, *, result: int = 0) -> Self:
        """In a handler: a second task that goes on from where this one is, with `result` as its call's.

        child: the task that is to be it, with its memory; by default one of the same class over a copy-on-write twin of
        this task's space.
        """
        if self.loop is None:
            raise RuntimeError("a task forks while it runs")
        if child is None:
            child = type(self)(self.space.try_clone())
        child.kernel, child.engine = self.kernel, self.engine
        child.context = self.loop.registers(self)
        child.result = result
        self.loop.add(child)
        return child

    # -- what a kernel may override

    def enter(self) -> bool:
        """The task is about to get the CPU: to go on, or for the first time. False ends it instead."""
        return True

    def on_exit(self, exit: Exit) -> bool:
        """The CPU came out: stopped by a handler, a fault, an exception. True to run on, False to end the run.

        By default the run ends. A kernel that delivers signals, or loads another program, overrides this.
        """
        return False

    def at_point(self, exit: Exit) -> bool:
        """The CPU came out at points of the task's space. False to end the loop's run for whoever set them, as is so
        by default; a kernel whose programs set points of their own overrides this."""
        return False

    def disturbed(self) -> bool:
        """Whether there is something that ends a wait before its time, such as a signal."""
        return False

    def interrupted(self, record: Blocked) -> int | LinuxError | None:
        """The wait was cut short: what the call gives, by default what the record says, or EINTR."""
        if record.interrupted is not None:
            result: int | LinuxError | None = record.interrupted(self, *record.data)
            if result is not None:
                return result
        return LinuxError(errno.EINTR)

    def waited(self, record: Blocked) -> None:
        """The call of that record has gone on, or is given up: what the record held may be let go of."""

    def ended(self) -> None:
        """The loop has taken the task out for good: it was not to run on."""

    def preempted(self) -> None:
        """The task's slice is over, and others have their turn."""

    def placed(self, cpu: int) -> None:
        """The task, whose registers the engine has, is about to go on, on the CPU of this number, and was disturbed:
        another ran there meanwhile, or it ran on another. Only where several run at once."""
        self.cpu_number = cpu

    def set_out(self, parked: Any) -> None:
        """It runs by itself from now on, and the engine knows it by this; None: it is back for good."""

    def switched(self, running: bool) -> None:
        """The task has got the CPU, or has lost it, to another or at the end of a run."""

    def handed_over(self, other: Task) -> None:
        """The CPU has gone from this task to another at once. By default as if it had been put down in between."""
        self.switched(False)
        other.switched(True)

    @property
    def time_left(self) -> float | None:
        """Seconds of the CPU after which the loop must look at the task again; None for any number."""
        return None
