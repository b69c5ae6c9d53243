"""A command of a sandbox, with its limits: `Spawned`. The ends of its streams, for any thread: `Reader`, `Writer`."""

from __future__ import annotations

import os
from time import monotonic

from ..linux import arguments
from .result import Result, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..linux.policy.policy import Policy
    from ..linux.process import Process
    from ..linux.streams import Inlet, Outlet
    from ..linux.task.group import ThreadGroup
    from ..linux.task.task import LinuxTask
    from .driver import Driver
    from .limits import Limits

_HELD = 1 << 20
"""Bytes of a spawned command's output that are kept for who reads it: beyond them the command waits."""


class Spawned:
    """A command that runs. Made by `Sandbox.spawn`; any thread may use it.

    pid: its number in the sandbox. args: the command. stdin: a `Writer`, stdout, stderr: each a `Reader`, None for what
    is no pipe.

        with s.spawn(["bc"]) as bc:
            bc.stdin.write(b"2^100\\n")
            print(bc.stdout.readline())
    """

    def __init__(
        self,
        driver: Driver,
        process: Process,
        args: list[str],
        limits: Limits,
        timeout: float | None,
        policy: Policy,
        *,
        eager: bool,
    ) -> None:
        """By the machine's thread."""
        self._driver = driver
        self._process = process
        self._group: ThreadGroup = process.task.group
        self.args = args
        self.pid = process.pid
        self._began = monotonic()
        self.deadline = None if timeout is None else self._began + timeout
        self._most = limits.output
        self._eager = eager
        self._limit: str | None = None
        self._error: Exception | None = None
        self._result: Result | None = None
        self._policy = policy
        self.stdin = None if process.stdin is None else Writer(driver, process.stdin)
        self.stdout = None if process.stdout is None else Reader(driver, process.stdout)
        self.stderr = None if process.stderr is None else Reader(driver, process.stderr)
        for outlet in (process.stdout, process.stderr):
            if outlet is not None:
                outlet.eager = eager
                outlet.most = _HELD if eager else self._most
                outlet.changed = driver.happened if eager else None
        driver.jobs[self] = None

    # -- by the machine's thread

    def look(self, now: float) -> bool:
        """End it if it is beyond a limit; whether it has ended."""
        if self._result is not None:
            return True
        process = self._process
        if process.ended:
            self._finish()
        elif self.deadline is not None and now >= self.deadline:
            self._end("time")
        elif self._most is not None and any(
            outlet is not None and outlet.total > self._most for outlet in (process.stdout, process.stderr)
        ):
            self._end("output")
        return self._result is not None

    def note(self) -> dict[str, Any]:
        """What a snapshot keeps of it besides the machine's own: plain data, for `go_on`. Its time stands still."""
        return {
            "args": self.args,
            "eager": self._eager,
            "left": None if self.deadline is None else self.deadline - monotonic(),
            "ran": monotonic() - self._began,
            "held": [b"" if reader is None else reader.held for reader in (self.stdout, self.stderr)],
        }

    def go_on(self, process: Process, note: dict[str, Any]) -> None:
        """It is what it was when this was noted."""
        self._process, self._group = process, process.task.group
        now = monotonic()
        self._began = now - note["ran"]
        self.deadline = None if note["left"] is None else now + note["left"]
        self._limit = self._error = self._result = None
        for reader, held in zip((self.stdout, self.stderr), note["held"], strict=True):
            if reader is not None:
                reader.held = held
        self._driver.jobs[self] = None

    def undo(self) -> None:
        """The sandbox was put back to before it was begun, or to after its end."""
        self._driver.jobs.pop(self, None)
        if self._result is None:
            self._error = RuntimeError(f"{' '.join(self.args)[:100]!r} is undone: the sandbox was put back")

    def fail(self, task: LinuxTask, error: Exception) -> bool:
        """End it with an error, if the task came of it."""
        if task.group.origin is not self._group:
            return False
        self._error = error
        if self._result is None:
            self._end(None)
        return True

    def _end(self, limit: str | None) -> None:
        """End it and all that came of it."""
        self._limit = limit
        self._process.end_all()
        self._finish()

    def _finish(self) -> None:
        process = self._process
        ended = process.result
        assert ended is not None
        out, err = (self._rest(outlet) for outlet in (process.stdout, process.stderr))
        denied = [one for one in self._policy.denied if one.origin == self.pid]
        usage = Usage(process.usage, monotonic() - self._began, process.machine.account.peak)
        self._result = Result(self.args, ended, out, err, usage, self._limit, denied)
        if process.stdin is not None:
            process.stdin.close()
        if self._result.limit == "memory":  # the next command shall have room
            process.linux.let_go(self._group)

    def _rest(self, outlet: Outlet | None) -> bytes:
        """What is left of its output. What others write there from now on nobody reads."""
        if outlet is None:
            return b""
        if self._eager:
            return b""
        data = outlet.take()
        outlet.drop()
        return data if self._most is None else data[: self._most]

    # -- for any thread

    @property
    def eager(self) -> bool:
        """Whether it is talked to while it runs, so that its output comes over as it is written."""
        return self._eager

    @property
    def ended(self) -> bool:
        return self._result is not None or self._error is not None

    def wait(self, timeout: float | None = None) -> Result:
        """How it ended, once it has; `TimeoutError` if that takes longer than `timeout` seconds. It goes on then.
        What a function of yours raised in one of its calls ended it, and is raised here.

        What it wrote is in the result only for `Sandbox.run`; here it is read from `stdout` and `stderr`.
        """
        if not self.ended and not self._driver.until(lambda: self.ended, timeout):
            if timeout is not None and not self.ended:
                raise TimeoutError(f"{' '.join(self.args)[:100]!r} has not ended after {timeout} seconds")
            raise RuntimeError("the sandbox was closed")
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._driver.call(lambda: self._process.signal(number))

    def kill(self) -> None:
        """End it, and all that came of it, here and now."""
        if self._result is None:
            self._driver.call(self._kill)

    def _kill(self) -> None:
        if self._result is None and not self._process.linux.closed:
            self._end(None)
            self._driver.jobs.pop(self, None)

    def close(self) -> None:
        """End it if it has not ended, and let go of it. Idempotent."""
        self._driver.call(self._close)

    def _close(self) -> None:
        self._kill()
        self._process.close()

    def __enter__(self) -> Spawned:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        how = self._result.how if self._result is not None else "running"
        return f"<Spawned {self.pid} {' '.join(self.args)[:60]!r}, {how}>"


class Reader:
    """The output of a command, as it comes. Any thread may read; two at once get pieces each."""

    def __init__(self, driver: Driver, outlet: Outlet) -> None:
        self._driver = driver
        self._outlet = outlet
        self._held = bytearray()
        self.unwanted = False

    @property
    def held(self) -> bytes:
        """What has come over and was not read yet."""
        return bytes(self._held)

    @held.setter
    def held(self, data: bytes) -> None:
        self._held[:] = data

    def read(self, size: int = -1, timeout: float | None = None) -> bytes:
        """All there will be; or, with a size, what there is of so many bytes, one at least; none at the end.
        `TimeoutError`: nothing came for so long."""
        if size < 0:
            while piece := self._more(timeout):
                self._held += piece
            return self._give(len(self._held))
        if not self._held and size:
            self._held += self._more(timeout)
        return self._give(size)

    def readline(self, timeout: float | None = None) -> bytes:
        """One line with its end; what there is without one at the end of all; none then."""
        searched = 0
        while (at := self._held.find(b"\n", searched)) < 0:
            searched = len(self._held)
            piece = self._more(timeout)
            if not piece:
                return self._give(searched)
            self._held += piece
        return self._give(at + 1)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _give(self, size: int) -> bytes:
        given = bytes(self._held[:size])
        del self._held[:size]
        return given

    def give_up(self) -> None:
        """Have a read that waits come back, with nothing or with less; for who does not want it any more."""
        self.unwanted = True
        self._driver.nudge()

    def unread(self, data: bytes) -> None:
        """Put back what was read and is not wanted."""
        self._held[:0] = data

    def _more(self, timeout: float | None) -> bytes:
        outlet = self._outlet
        while True:
            piece, over = self._driver.call(lambda: (outlet.take(), outlet.ended))
            if piece or over or self._driver.closed or self.unwanted:
                return piece
            if not self._driver.until(self._something, timeout) and timeout is not None:
                if self._something():
                    continue
                raise TimeoutError(f"nothing was written for {timeout} seconds")

    def _something(self) -> bool:
        return bool(self._outlet.data) or self._outlet.ended or self.unwanted

    def close(self) -> None:
        """Nobody reads it any more: the command finds a broken pipe."""
        self._driver.call(self._outlet.close)


class Writer:
    """The input of a command. Any thread may write."""

    def __init__(self, driver: Driver, inlet: Inlet) -> None:
        self._driver = driver
        self._inlet = inlet

    def write(self, data: bytes | str) -> int:
        """Have the command read bytes (or text, in UTF-8), so many; they are kept until it does.
        `BrokenPipeError` if nobody will read them."""
        inlet, given = self._inlet, arguments.content("data", data)

        def feed() -> None:
            if inlet.closed or inlet.broken:
                raise BrokenPipeError(32, os.strerror(32))
            inlet.feed(given)
            if inlet.broken:
                raise BrokenPipeError(32, os.strerror(32))

        self._driver.call(feed)
        return len(given)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The end of the input, once what was written was read."""
        self._driver.call(lambda: None if self._inlet.closed else self._inlet.feed(b"", last=True))
