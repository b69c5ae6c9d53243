"""The table of system calls and the path of one call through it.

The engine's hook makes one Python call, the dispatcher, which looks the number up and calls a wrapper that was
compiled for the handler's signature (`convert`). A handler returns an int (what the program gets; minus an errno for
what is refused every day), None (registers are as the handler left them), or raises `LinuxError`, which becomes
`-errno`. Anything else it raises is a bug in the kernel: it stops the run and comes out of `Kernel.run` with its
traceback; it is never turned into an errno.

A tracer (`on_enter`, `on_call`) or a count of calls swaps the dispatcher for a slower one; unset, they cost nothing.
"""

from __future__ import annotations

import errno

from .._core.kernel.answering import Answering
from ..errors import LinuxError, UserFault
from .convert import Param, build, collect, params_of
from .run import RunLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType
    from typing import Any, TypeVar

    from ..engine import Engine, Exit
    from .convert import Wrapper
    from .task import Task

    F = TypeVar("F", bound=Callable[..., "int | None"])
    OnEnter = Callable[[Any, "Syscall", "tuple[Any, ...]"], object]
    OnCall = Callable[[Any, "Syscall", "tuple[Any, ...]", "int | LinuxError | None"], object]
    Dispatch = Callable[[int, int, int, int, int, int, int], "int | None"]

_LOW32 = 0xFFFF_FFFF
_LEAST_ERROR = -4095
MAX_UNKNOWN = 256
"""How many different numbers of calls that nobody registered are told apart: a program may make up any."""
OTHERS = "(others)"


class Unfinished(LinuxError):
    """Raised by a handler whose call is to be made again as if it had not been: no tracer is told. By default EINTR."""

    def __init__(self) -> None:
        super().__init__(errno.EINTR)


class Syscall:
    """A registered system call: nr, name, handler, and its params (a tuple of `Param`: name, type, kind)."""

    __slots__ = ("_call", "_convert", "_handler", "_params", "name", "nr")

    def __init__(self, nr: int, name: str, handler: FunctionType | None) -> None:
        self.nr = nr
        self.name = name
        self._handler = handler
        self._params: tuple[Param, ...] | None = None
        self._call: Wrapper | None = None
        self._convert: Wrapper | None = None

    @property
    def handler(self) -> Any:
        """The function; a class that was made without one finds it here."""
        return self._handler

    @property
    def params(self) -> tuple[Param, ...]:
        """Worked out once; raises `TypeError` for a signature that registers cannot fill."""
        if self._params is None:
            self._params = params_of(self.handler)
        return self._params

    @property
    def call(self) -> Wrapper:
        """`call(task, a0, .., a5)`: convert the registers and call the handler. Made when first used."""
        if self._call is None:
            self._call = self.quick(build(self.handler, self.params))
        return self._call

    def quick(self, plain: Wrapper) -> Wrapper:
        """What serves the call in the place of its plain wrapper, and has that do what is not plain."""
        return plain

    def convert(self, *registers: int) -> tuple[Any, ...]:
        """The handler's arguments, of the six registers. Raises `LinuxError(EINVAL)` for no member of an enum."""
        return self.converter(None, *registers)

    @property
    def converter(self) -> Callable[..., tuple[Any, ...]]:
        """`fn(task, a0, .., a5)` that does it."""
        if self._convert is None:
            self._convert = build(collect, self.params)
        return self._convert  # type: ignore[return-value]

    def __repr__(self) -> str:
        return f"<Syscall {self.nr} {self.name}({', '.join(map(repr, self.params))})>"


class _Table(dict[int, "Wrapper"]):
    """Number -> wrapper. Wrappers are made at the first call: a program uses few of those registered."""

    __slots__ = ("kernel",)

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def __missing__(self, nr: int) -> Wrapper:
        known = self.kernel.syscalls.get(nr)
        if known is not None:
            call = known.call
            if self.kernel.guard is not None:
                call = self.kernel.guard(known, call)
            self[nr] = call
            return call
        if nr > _LOW32:  # the number is the low half of the register, as on Linux
            return self[nr & _LOW32]
        return self.kernel._unknown_call(nr)


class Kernel:
    """System calls by number, and the loop that runs a task.

    syscalls: number -> `Syscall`. unknown: number -> how often a program asked for a call that nobody registered
    (it got ENOSYS), for the first MAX_UNKNOWN numbers. calls: name -> count, kept only in runs with `count_calls` set.
    on_enter: `fn(task, syscall, args)` before each call is served. on_call: `fn(task, syscall, args, result)` after it,
    `result` an int, a `LinuxError`, or None for a call that does not return. args are what the handler gets. on_end:
    `fn(task)` when a task has run for the last time. on_signal: `fn(task, info, what)` for a signal that a task gets:
    what is "delivered", "dropped" (it is ignored) or "stopped" (and the task has stopped). guard:
    `fn(syscall, wrapper)` gives the wrapper that serves a call in the place of its own, asked once for each. Set them
    before `run`.
    """

    def __init__(self) -> None:
        self.syscalls: dict[int, Syscall] = {}
        self.unknown: dict[int, int] = {}
        self.calls: dict[str, int] = {}
        self.count_calls = False
        self.on_enter: OnEnter | None = None
        self.on_call: OnCall | None = None
        self.on_end: Callable[[Any], object] | None = None
        self.on_signal: Callable[[Any, Any, str], object] | None = None
        self.guard: Callable[[Syscall, Wrapper], Wrapper] | None = None
        self._table = _Table(self)

    def syscall(self, nr: int, name: str) -> Callable[[F], F]:
        """Decorator: register a handler for call number `nr`. The last registration of a number wins.

        The handler's first parameter is the task, the others are annotated; see `convert` for what they may be.
        Raises `TypeError` for a signature that cannot be filled from registers, `ValueError` for a negative number.
        """
        if not isinstance(nr, int) or isinstance(nr, bool):
            raise TypeError(f"the number of a system call is an int, not {type(nr).__name__}")
        if not 0 <= nr <= _LOW32:
            raise ValueError(f"{nr} is not the number of a system call")

        def register(handler: F) -> F:
            self.add(Syscall(nr, name, handler))  # type: ignore[arg-type]
            return handler

        return register

    def add(self, syscall: Syscall) -> None:
        """Register a `Syscall` made elsewhere: kernels may share them. Raises as `syscall` does."""
        _ = syscall.params
        self.syscalls[syscall.nr] = syscall
        self._table.pop(syscall.nr, None)

    def name_of(self, nr: int) -> str:
        """The name of a call, `syscall_56` for one that is not registered: this kernel is nobody's in particular."""
        known = self.syscalls.get(nr)
        return known.name if known is not None else f"syscall_{nr}"

    @property
    def _many_unknown(self) -> bool:
        return len(self.unknown) >= MAX_UNKNOWN

    def _unknown_call(self, nr: int) -> Wrapper:
        def unknown(task: Task, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int) -> int:
            if nr in self.unknown or not self._many_unknown:
                self.unknown[nr] = self.unknown.get(nr, 0) + 1
            raise LinuxError(errno.ENOSYS, f"system call {nr} is not implemented")

        return unknown

    def dissolve(self) -> None:
        """No call will be made any more: the table does not lead back here."""
        self._table.clear()
        del self._table.kernel
        self.guard = None

    def dispatcher(self, task: Task) -> Dispatch:
        """The function that answers this task's calls: `fn(nr, a0, .., a5)` gives the result or `-errno`."""
        if self.on_enter is not None or self.on_call is not None or self.count_calls:
            return self._observed(task)
        return Answering(self._table, task)

    def _observed(self, task: Task) -> Dispatch:
        on_enter, on_call = self.on_enter, self.on_call
        counts = self.calls if self.count_calls else None

        def dispatch(nr: int, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int) -> int | None:
            nr &= _LOW32
            syscall = self.syscalls.get(nr)
            if syscall is None:
                syscall = Syscall(nr, self.name_of(nr), _unregistered)  # type: ignore[arg-type]
            if counts is not None:
                name = syscall.name
                if nr not in self.syscalls and name not in counts and nr not in self.unknown and self._many_unknown:
                    name = OTHERS
                counts[name] = counts.get(name, 0) + 1
            registers: tuple[Any, ...] = (a0, a1, a2, a3, a4, a5)
            args = registers
            result: int | None
            outcome: int | LinuxError | None
            try:
                args = syscall.convert(*registers)
                if on_enter is not None:
                    on_enter(task, syscall, args)
                outcome = result = self._table[nr](task, *registers)
                if result is not None and _LEAST_ERROR <= result < 0:
                    outcome = LinuxError(-result)
                if task.blocked is not None:
                    task.calling = syscall, args
                    return None
            except Unfinished as error:
                return -error.errno
            except LinuxError as error:
                outcome, result = error, -error.errno
                if isinstance(error, UserFault) and error.object is None:
                    error.object = _argument_at(syscall, args, error.start)
            if on_call is not None:
                on_call(task, syscall, args, outcome)
            return result

        return dispatch

    def completed(self, task: Task, outcome: int | LinuxError | None) -> None:
        """A call of the task that waited has its result: for the tracer, which was not told of it when it began to."""
        call, task.calling = task.calling, None
        if call is None:
            return
        syscall, args = call
        if isinstance(outcome, UserFault) and outcome.object is None:
            outcome.object = _argument_at(syscall, args, outcome.start)
        if self.on_call is not None:
            self.on_call(task, syscall, args, outcome)

    def run(self, task: Task, engine: Engine, *, timeout: float | None = None) -> Exit:
        """Run `task` on `engine` until it ends; gives back how the CPU came out the last time.

        timeout: seconds; the exit is then of kind "timeout" and the task can be run on. Raises what a handler, a tracer
        or Ctrl-C raised; the task then stands at the call it was in. Tasks that it forked have their turns meanwhile.
        """
        loop = task.loop
        if loop is None or loop.engine is not engine:
            loop = RunLoop(engine)
        task.kernel = self
        return loop.run(task, timeout)


def _argument_at(syscall: Syscall, args: tuple[Any, ...], address: int) -> str | None:
    """The name of the pointer argument that holds the address, for a tracer to tell; None if there is no such."""
    for param, value in zip(syscall.params, args, strict=False):
        if param.kind == "pointer" and value.address == address:
            return param.name
    return None


def _unregistered(task: Task, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int) -> int:
    raise LinuxError(errno.ENOSYS)
