"""How a command ended: `Result`, plain data that outlives its sandbox."""

from __future__ import annotations

import signal as _signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..linux.ends import Death
    from ..linux.ends import Result as Ended
    from ..linux.task.usage import Usage as Used

_BILLION = 1_000_000_000
_ENOMEM = 12
_SIGKILL, _SIGXCPU, _SIGXFSZ = 9, 24, 25


class Usage:
    """What a command used. user, system: seconds of the CPU, of it and of the children that it waited for. wall:
    seconds from its start to its end. memory: the most bytes that the machine held until then."""

    __slots__ = ("memory", "system", "user", "wall")

    def __init__(self, used: Used, wall: float, memory: int) -> None:
        self.user = used.user / _BILLION
        self.system = used.system / _BILLION
        self.wall = wall
        self.memory = memory

    def __repr__(self) -> str:
        return f"Usage(user={self.user:.3f}, system={self.system:.3f}, wall={self.wall:.3f}, memory={self.memory})"


class Result:
    """stdout, stderr: what it wrote; of what went to a file or a pipe of yours, nothing.

    exit_status: as a shell has it: what it exited with, 128 and the signal that it died of, 124 when its time was up,
    137 when another limit of the sandbox ended it.
    exit_code: 0 to 255 if it exited, else None. signal: what it died of, else None.
    limit: which limit ended it ("time", "output", "memory", "cpu", "file_size"), None if none did.
    death: why, where a signal of the machine ended it: address, cause, registers (`axptr.linux.Death`).
    denied: calls that the policy refused, as `Denied`, the first thousand. usage: see `Usage`.
    args: the command.
    """

    __slots__ = ("args", "death", "denied", "exit_code", "limit", "signal", "stderr", "stdout", "usage")

    def __init__(
        self,
        args: list[str],
        ended: Ended,
        stdout: bytes,
        stderr: bytes,
        usage: Usage,
        limit: str | None,
        denied: list[Any],
    ) -> None:
        self.args = args
        self.stdout = stdout
        self.stderr = stderr
        self.exit_code = ended.exit_code if limit not in ("time", "output") else None
        self.signal = ended.signal if limit not in ("time", "output") else None
        self.death: Death | None = ended.death if self.signal is not None else None
        self.usage = usage
        self.denied = denied
        self.limit = limit or self._by_death()

    def _by_death(self) -> str | None:
        death = self.death
        if death is None:
            return None
        if death.fault is not None and death.fault.errno == _ENOMEM:
            return "memory"
        return {_SIGXCPU: "cpu", _SIGXFSZ: "file_size"}.get(death.signal)  # unless it handles that

    @property
    def exit_status(self) -> int:
        if self.exit_code is not None:
            return self.exit_code
        if self.signal is not None:
            return 128 + self.signal
        return 124 if self.limit == "time" else 137

    @property
    def ok(self) -> bool:
        """Whether it exited with 0."""
        return self.exit_code == 0

    @property
    def timed_out(self) -> bool:
        return self.limit == "time"

    @property
    def text(self) -> str:
        """Standard output as text; what is no UTF-8 is replaced."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def how(self) -> str:
        """How it ended, in a few words: "exited with 3", "ended by the limit of output", "killed by SIGSEGV: ..."."""
        if self.signal is None and self.limit is not None:
            return f"ended by the limit of {self.limit}"
        if self.exit_code is not None:
            return f"exited with {self.exit_code}"
        assert self.signal is not None
        try:
            name = _signal.Signals(self.signal).name
        except ValueError:
            name = f"signal {self.signal}"
        cause = f" (the limit of {self.limit})" if self.limit is not None else ""
        if self.death is not None and self.death.fault is not None:
            cause += f": {self.death.fault.strerror}"
        return f"killed by {name}{cause}"

    def check(self) -> Result:
        """Itself, if it exited with 0; else `CommandFailed`."""
        if not self.ok:
            raise CommandFailed(self)
        return self

    def __repr__(self) -> str:
        return f"<Result {self.how}, {len(self.stdout)} bytes of output, {len(self.stderr)} of errors>"


class CommandFailed(Exception):
    """A command that was to succeed did not. result: how it ended."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result = result

    def __str__(self) -> str:
        result = self.result
        tail = result.stderr[-500:].decode("utf-8", "replace").strip()
        return f"{' '.join(result.args)[:200]!r} {result.how}" + (f": {tail}" if tail else "")
