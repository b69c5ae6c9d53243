"""How a program ends, and how it fails to start: `Result`, `Death`, `ProgramError`. Plain values that name no task. And
what is told of a machine that makes no sense (`sensible`).

Not here: what makes them (`load`, `signals`, `api`), how they are printed (`axptr.cli`).
"""

from __future__ import annotations

import errno

from ..errors import LinuxError, SnapshotError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .until import Stop

    F = TypeVar("F", bound=Callable[..., Any])

EXIT_FAILED = 125


class ProgramError(LinuxError):
    """The program could not be started. `str(error)` is one clear line.

    `errno` is what `execve` gives (ENOENT, EACCES, ENOEXEC, EISDIR, ENOMEM, ...), `exit_status` what a shell
    would exit with: 127 when there is no such program, else 126; 125 where it is axptr itself that could not start.
    """

    def __init__(self, errno_: int, message: str, *, own: bool = False) -> None:
        super().__init__(errno_, message)
        self.message = message
        self.own = own

    @property
    def exit_status(self) -> int:
        if self.own:
            return EXIT_FAILED
        return 127 if self.errno == errno.ENOENT else 126

    def __str__(self) -> str:
        return self.message


class Death:
    """Why a signal killed the program.

    signal: the signal's number (11 for SIGSEGV).
    code: siginfo's si_code. address: siginfo's si_addr where the signal has one, else None.
    fault: of a page fault the `UserFault` (address, access, reason, area, message), or the `LinuxError` (ENOMEM) of a
    page there was no memory for; None for other causes.
    pc: the instruction (`rip` too); regs: general registers by name, as they were at that moment.
    """

    def __init__(
        self, signal: int, code: int, address: int | None, fault: LinuxError | None, pc: int, regs: dict[str, int]
    ) -> None:
        self.signal = signal
        self.code = code
        self.address = address
        self.fault = fault
        self.regs = regs
        self.pc = pc

    @property
    def rip(self) -> int:
        """`pc`, as x86-64 calls it."""
        return self.pc


class Result:
    """How a run ended: exactly one of exit_code, signal, timed_out, stopped tells.

    exit_code: 0 to 255 if the program called exit, else None.
    signal: the signal's number if it died of one, else None; `death` then says more.
    timed_out: the time was up; the process can be inspected and run on.
    stopped: the place that `run(until=)` came to (`axptr.linux.until.Stop`), else None; it can be run on.
    wall: seconds spent in `run`.
    """

    __slots__ = ("death", "exit_code", "signal", "stopped", "timed_out", "wall")

    def __init__(
        self,
        *,
        exit_code: int | None = None,
        death: Death | None = None,
        timed_out: bool = False,
        stopped: Stop | None = None,
        wall: float = 0.0,
    ) -> None:
        self.exit_code = exit_code
        self.death = death
        self.signal = death.signal if death is not None else None
        self.timed_out = timed_out
        self.stopped = stopped
        self.wall = wall

    def late(self, wall: float | None) -> Result:
        """The same, but what the program left behind took too long."""
        return Result(timed_out=True, wall=wall or self.wall)

    @property
    def status(self) -> int:
        """As a shell reports it: the exit code, 128 + signal, or 124 when the time was up."""
        if self.exit_code is not None:
            return self.exit_code
        return 124 if self.signal is None else 128 + self.signal

    def __repr__(self) -> str:
        if self.exit_code is not None:
            return f"<Result exit {self.exit_code}>"
        if self.stopped is not None:
            return f"<Result stopped: {self.stopped}>"
        return f"<Result signal {self.signal}>" if self.signal else "<Result timed out>"


def sensible(verb: F) -> F:
    """A verb of a machine, or of what is in one. Of a machine that came from a file, which may describe nothing of the
    kind, what makes no sense is `SnapshotError` wherever it is met."""

    def checked(it: Any, *args: Any, **named: Any) -> Any:
        try:
            return verb(it, *args, **named)
        except Exception as failure:
            if not it.doubtful:
                raise
            from .snapshots.nonsense import of_file

            if not of_file(failure, bool(args or named)):
                raise
            raise SnapshotError(f"it came from a file, and makes no sense: {failure!r}") from failure

    for name in ("__module__", "__name__", "__qualname__", "__doc__"):  # no `functools`: a start would pay for it
        setattr(checked, name, getattr(verb, name))
    checked.__wrapped__ = verb  # type: ignore[attr-defined]
    return checked  # type: ignore[return-value]
