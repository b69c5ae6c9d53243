"""Who runs a sandbox's machine: whichever thread waits for something in it, one at a time; a thread of the sandbox's
own for what was spawned.

Whoever needs the machine to go on (`until`) leads, if nobody does: it runs the loop until what it waits for is there,
then gives the lead to the next. The others wait meanwhile. What is to be done between two turns (`call`) is done by
whoever leads, or by the caller where nobody does. So the machine stands still when nobody waits for it, and only then.

A machine is touched by its leader alone; this class is what makes the verbs of a sandbox safe for any thread.

| field | guarded by |
| --- | --- |
| leader, calls, waiting, the thread of the sandbox's own | the condition |
| jobs, leading: what the leader waits for | the leader |
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, TypeVar

    from ..linux.system import Linux

    T = TypeVar("T")

    class Job(Protocol):
        """Something that has a time by which it is over, and is looked at after each turn."""

        deadline: float | None

        def look(self, now: float) -> bool:
            """See to its limits. Whether it is over."""

        def fail(self, task: Any, error: Exception) -> bool:
            """End it with an error, if the task is one of its."""


class _Call:
    __slots__ = ("done", "error", "function", "value")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None

    def make(self) -> None:
        try:
            self.value = self.function()
        except BaseException as error:
            self.error = error
        self.done = True

    def result(self) -> Any:
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None
        return self.value


def _nothing() -> bool:
    """What somebody who does not lead waits for."""
    return False


class Driver:
    """For one machine. jobs: what runs in it."""

    def __init__(self, linux: Linux) -> None:
        self._linux = linux
        self._changed = threading.Condition()
        self._leader: int | None = None
        self._calls: deque[_Call] = deque()
        self._waiting: dict[object, Callable[[], bool]] = {}
        self._leading: Callable[[], bool] = _nothing
        self._own: threading.Thread | None = None
        self.jobs: dict[Job, None] = {}

    @property
    def closed(self) -> bool:
        return self._linux.closed

    @property
    def leads(self) -> bool:
        """Whether the calling thread is in the machine just now: in a function that the machine calls."""
        return self._leader == threading.get_ident()

    def call(self, function: Callable[[], T]) -> T:
        """Call a function between two turns of the machine, whoever runs it, and give back what it gives."""
        call = _Call(function)
        if self.leads:
            raise RuntimeError("this cannot be asked for from within the machine, which waits for the answer")
        with self._changed:
            if self._leader is not None:
                self._calls.append(call)
                self._interrupt()
                self._changed.wait_for(lambda: call.done or self._leader is None)
            if not call.done:
                if self._calls and call in self._calls:
                    self._calls.remove(call)
                self._leader = threading.get_ident()
        if not call.done:
            try:
                self._make(call)
            finally:
                self._give_up()
        return call.result()  # type: ignore[no-any-return]

    def until(self, done: Callable[[], bool], timeout: float | None = None) -> bool:
        """Have the machine run until `done()`, or for so many seconds. Whether it is done; False too where nothing can
        happen any more that would make it so.

        done: asked after each turn, of any thread that leads.
        """
        if self.leads:
            raise RuntimeError("nobody waits for the machine from within it")
        deadline = None if timeout is None else monotonic() + timeout
        key = object()
        while True:
            with self._changed:
                self._waiting[key] = done
                try:
                    left = None if deadline is None else max(deadline - monotonic(), 0.0)
                    self._changed.wait_for(lambda: self._leader is None or done(), left)
                finally:
                    del self._waiting[key]
                if done():
                    return True
                if deadline is not None and monotonic() >= deadline:
                    return False
                if self._leader is not None:
                    continue
                self._leader = threading.get_ident()
            try:
                if not self._lead(done, deadline):
                    return done()
            finally:
                self._give_up()

    def happened(self) -> None:
        """By the machine, at the beginning of a turn that may take any time: something came that somebody may be
        waiting for."""
        if self._leading():
            self._interrupt()
        self._tell()

    def nudge(self) -> None:
        """Have all who wait ask again whether what they wait for is there."""
        with self._changed:
            self._interrupt()
            self._changed.notify_all()

    def keep_running(self) -> None:
        """Have a thread of our own run the machine as long as there are jobs."""
        with self._changed:
            if self._own is None:
                own = threading.Thread(target=self._run_jobs, name="axptr sandbox", daemon=True)
                own.start()
                self._own = own

    def _run_jobs(self) -> None:
        try:
            while True:
                self.until(lambda: self._linux.closed or not self.jobs)
                with self._changed:  # whoever has another job now finds no thread, or this one has seen it
                    if self._linux.closed or not self.jobs:
                        return
        finally:
            self._own = None

    def close(self) -> None:
        """Close the machine; whoever waits for something in it is told that it will not come."""
        self.call(self._linux.close)
        own = self._own
        if own is not None and own is not threading.current_thread():
            own.join()
        self.jobs.clear()  # they lead back here

    # -- leading

    def _give_up(self) -> None:
        with self._changed:
            self._leader, self._leading = None, _nothing
            self._serve()
            self._changed.notify_all()

    def _serve(self) -> None:
        """Make the calls that others ask for."""
        while self._calls:
            self._make(self._calls.popleft())
            self._changed.notify_all()

    def _make(self, call: _Call) -> None:
        with self._linux.machine.account.acting():
            call.make()

    def _interrupt(self) -> None:
        if self._linux.engine_why:
            self._linux.machine.loop.leave()

    def _lead(self, done: Callable[[], bool], deadline: float | None) -> bool:
        """Run the machine. False if nothing can happen any more."""
        linux = self._linux
        self._leading = done
        while True:
            if self._calls:
                with self._changed:
                    self._serve()
            if linux.closed:
                return False
            self._look()
            now = monotonic()
            if done() or (deadline is not None and now >= deadline):
                return True
            ends = [job.deadline for job in self.jobs if job.deadline is not None]
            if deadline is not None:
                ends.append(deadline)
            if not linux.engine_why or linux.machine.loop.empty:
                return False
            try:
                linux.run_until(lambda: self._turned(done), None if not ends else max(min(ends) - now, 0.0005))
            except Exception as error:
                if not self._failed(error):
                    raise

    def _failed(self, error: Exception) -> bool:
        """A function that looks at calls, or a tree of Python's, raised something: it ends the job whose call it was,
        and whoever waits for that is told. False if it was no job's."""
        current = self._linux.machine.loop.current
        for job in self.jobs:
            if current is not None and job.fail(current, error):
                del self.jobs[job]
                return True
        return False

    def _turned(self, done: Callable[[], bool]) -> bool:
        """After a turn: whether the leader is to look up."""
        if self._calls or done() or self._look():
            return True
        self._tell()
        return False

    def _tell(self) -> None:
        """Wake who waits for what is there now."""
        if self._waiting:
            with self._changed:
                if any(other() for other in self._waiting.values()):
                    self._changed.notify_all()

    def _look(self) -> bool:
        """See to the limits of what runs; whether something is over."""
        over = False
        now = monotonic()
        for job in list(self.jobs):
            if job.look(now):
                del self.jobs[job]
                over = True
        return over
