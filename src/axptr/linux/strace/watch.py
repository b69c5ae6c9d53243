"""Watching a run: what its tasks call, get and how they end, told to listeners once for all of them.

    Watch(filter, [Lines(write), Records(write)]).attach(kernel)

A call is told of when it begins and when it is over; one whose task is made to wait is over when that has its result.
Times are those of the machine's own clocks, so that a run that repeats has the same trace. A signal that is ignored is
told of where its task next comes to a call, as a debugger would see it there.

Not here: how it is written (`lines`, `records`, `counts`), what is wanted (`filters`).
"""

from __future__ import annotations

from ...errors import LinuxError
from ..abi.numbers import name_of
from ..host import clocks
from .arguments import Call, Style, decoders_of, integer, texts
from .signaltext import given_mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ...kernel.kernel import Kernel, Syscall
    from ...kernel.task import Task
    from ..abi.signals import Info
    from ..task.task import LinuxTask
    from .decode import Decoder
    from .filters import Filter

    Outcome = int | LinuxError | None

EXECUTING = frozenset({"execve", "execveat"})
"""Calls whose arguments are read before them: afterwards their memory is gone."""
CLOSING = "close"
"""Whose descriptor has no name afterwards."""
RETURNING = "rt_sigreturn"
"""Its argument is the frame that it leaves, its result the one that the interrupted code had in hand."""
_FRAME_MASK = 296
"""Where in an ucontext_t of x86-64 the mask stands."""
_BILLION = 1_000_000_000


class Made:
    """A call that a task has made.

    began, seconds: when, by the realtime clock in nanoseconds, and how long it took, once it is over. outcome: its
    result, an error, or None for none; over: whether that is known. announced: whether a line of it was written already
    and how many arguments that had. before: arguments that had to be read early.
    """

    __slots__ = (
        *("announced", "arguments", "before", "began", "decoders", "name", "outcome", "over", "seconds", "start"),
        *("syscall", "task"),
    )

    def __init__(self, task: Task, syscall: Syscall, arguments: tuple[Any, ...]) -> None:
        self.task: Any = task
        self.syscall = syscall
        self.arguments = [integer(argument) for argument in arguments]
        registered = syscall.nr in task.kernel.syscalls
        self.name = syscall.name if registered else name_of(syscall.nr)
        params = syscall.params if registered else None
        self.decoders: tuple[Decoder, ...] = decoders_of(self.name, params, len(arguments))
        self.began, self.start = now(task)
        self.seconds = 0.0
        self.outcome: Outcome = None
        self.over = False
        self.announced: int | None = None
        self.before: list[str] | None = None

    @property
    def result(self) -> int | None:
        """Negative for an error."""
        return -self.outcome.errno if isinstance(self.outcome, LinuxError) else self.outcome

    @property
    def error(self) -> LinuxError | None:
        """A handler may give the negative number itself."""
        outcome = self.outcome
        if isinstance(outcome, LinuxError):
            return outcome
        return LinuxError(-outcome) if outcome is not None and -4096 < outcome < 0 else None

    def texts(self, style: Style) -> list[str]:
        """Its arguments, decoded."""
        if self.before is not None:
            return self.before
        return texts(self.name, self.decoders, Call(self.task, self.arguments, self.result, style))

    @property
    def status(self) -> str:
        """As filters name it."""
        if not self.over:
            return "unfinished"
        return "failed" if self.error is not None else "unavailable" if self.outcome is None else "successful"


def mask_of_frame(task: Task) -> str:
    """The mask that a return from a handler brings back."""
    engine = getattr(task, "engine", None)
    call = Call(task, (), None)
    return given_mask(call, engine.regs.sp + _FRAME_MASK) if engine is not None else ""


def result_of(task: Task) -> int | None:
    """What stands in the register of a call's result."""
    engine = getattr(task, "engine", None)
    if engine is None:
        return None
    number = int(engine.regs.result)
    return number - (number >> 63 << 64)


def now(task: Any) -> tuple[int, int]:
    """Nanoseconds of the realtime and the monotonic clock of the task's machine."""
    machine = getattr(task, "machine", None)
    if machine is None:  # a kernel that is not Linux
        return clocks()
    return machine.host.realtime_ns(), machine.host.monotonic_ns()


class Listener:
    """Who is told."""

    style = Style()

    def executed(self, task: LinuxTask, argv: list[bytes], variables: int, path: bytes) -> None:
        """What the run begins with: a task that has become a program."""

    def began(self, made: Made) -> None:
        """A call has been made."""

    def ended(self, made: Made) -> None:
        """It has its result."""

    def signalled(self, task: LinuxTask, info: Info, what: str) -> None:
        """A task got a signal, or has stopped by one ("stopped")."""

    def finished(self, task: LinuxTask, made: Made | None) -> None:
        """A task has run for the last time. made: the call that it was in, and that is not over."""

    def stopped(self, made: list[Made], how: str) -> None:
        """The run has stopped ("interrupted", "timed out"), with these calls under way."""


class Watch:
    """What tells the listeners. The machine's thread alone uses it; it ends with the run.

    under_way: the calls that are not over. late: signals that were ignored, until their task comes to a call.
    """

    def __init__(self, wanted: Filter, listeners: Iterable[Listener]) -> None:
        self.wanted = wanted
        self.listeners = tuple(listeners)
        self.under_way: dict[Task, Made] = {}
        self._late: dict[Task, list[Info]] = {}

    def attach(self, kernel: Kernel) -> None:
        """Have the kernel tell us; before the run."""
        kernel.on_enter = self.enter
        kernel.on_call = self.leave
        kernel.on_end = self.end
        kernel.on_signal = self.signal

    def executed(self, task: LinuxTask, argv: list[bytes], variables: int, path: bytes) -> None:
        if self.wanted.call("execve") and self.wanted.status("successful"):
            for listener in self.listeners:
                listener.executed(task, argv, variables, path)

    def enter(self, task: Task, syscall: Syscall, arguments: tuple[Any, ...]) -> None:
        if self._late:
            self._tell_late(task)
        name = syscall.name if syscall.nr in task.kernel.syscalls else name_of(syscall.nr)
        if not self.wanted.call(name):
            return
        made = self.under_way[task] = Made(task, syscall, arguments)
        if name in EXECUTING or (name == CLOSING and self.listeners[0].style.descriptors):
            made.before = made.texts(self.listeners[0].style)
        elif name == RETURNING:
            made.before = [f"{{mask={mask_of_frame(task)}}}"]
        if not self.wanted.by_status:
            for listener in self.listeners:
                listener.began(made)

    def leave(self, task: Task, syscall: Syscall, arguments: tuple[Any, ...], outcome: Outcome) -> None:
        made = self.under_way.pop(task, None)
        if made is None:  # not wanted; or refused before it began, for what stood in its registers
            name = syscall.name if syscall.nr in task.kernel.syscalls else name_of(syscall.nr)
            if not self.wanted.call(name):
                self._tell_late(task)
                return
            made = Made(task, syscall, arguments)
        if outcome is None and made.name in EXECUTING:
            outcome = 0
        elif outcome is None and made.name == RETURNING:
            outcome = result_of(task)
        made.outcome = outcome
        made.over = True
        made.seconds = (now(task)[1] - made.start) / _BILLION
        if self.wanted.status(made.status):
            for listener in self.listeners:
                listener.ended(made)
        self._tell_late(task)

    def signal(self, task: LinuxTask, info: Info, what: str) -> None:
        if not self.wanted.signal(info.signal):
            return
        if what == "dropped":
            self._late.setdefault(task, []).append(info)
            return
        for listener in self.listeners:
            listener.signalled(task, info, what)

    def end(self, task: LinuxTask) -> None:
        self._tell_late(task)
        made = self.under_way.pop(task, None)
        if made is not None and not self.wanted.status("unfinished"):
            made = None
        for listener in self.listeners:
            listener.finished(task, made)

    def stopped(self, how: str) -> None:
        """The run was ended from outside."""
        left = list(self.under_way.values()) if self.wanted.status("unfinished") else []
        self.under_way.clear()
        for listener in self.listeners:
            listener.stopped(left, how)

    def _tell_late(self, task: Any) -> None:
        for info in self._late.pop(task, ()):
            for listener in self.listeners:
                listener.signalled(task, info, "dropped")
