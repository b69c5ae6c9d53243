"""One function over all items: who is free gets the next; what a worker took with it is handed out again.

`campaign` wants of a worker that `submit` gives a future, and of a future that is lost that `lost(error)` says so; the
worker is then made anew (`renew`), and its item goes to whoever is free, `retries` times at most. A function's own
exception is its result, and never tried again.

Not here: what a worker is (`processes`, `onray`), how the state is shown (`table`).
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import Any, Protocol

    from .worker import Function

    class Worker(Protocol):
        """One place where items are worked on, one at a time."""

        name: str

        def submit(self, function: Function, item: Any) -> Future[Any]: ...
        def lost(self, error: BaseException) -> bool:
            """Whether the error says that the worker is gone, rather than something about the item."""

        def renew(self) -> None: ...


class WorkerLost(RuntimeError):
    """An item took its worker with it, over and over: each time the process that worked on it was gone."""


class Outcome:
    """What came of one item. index: its place among the items. item: itself. value: what the function gave; error: what
    it raised, or `WorkerLost`, else None. tries: how often it was begun. seconds: of the last time. worker: where.
    """

    __slots__ = ("error", "index", "item", "seconds", "tries", "value", "worker")

    def __init__(
        self, index: int, item: Any, value: Any, error: BaseException | None, tries: int, seconds: float, worker: str
    ) -> None:
        self.index = index
        self.item = item
        self.value = value
        self.error = error
        self.tries = tries
        self.seconds = seconds
        self.worker = worker

    @property
    def ok(self) -> bool:
        return self.error is None

    def result(self) -> Any:
        """The value; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value

    def __repr__(self) -> str:
        came = repr(self.value) if self.error is None else f"error {self.error!r}"
        return f"<Outcome {self.index}: {came}>"


class Turn:
    """An item that a worker has. begun: when."""

    __slots__ = ("begun", "index", "item", "tries", "worker")

    def __init__(self, index: int, item: Any) -> None:
        self.index = index
        self.item = item
        self.tries = 0
        self.begun = 0.0
        self.worker: Worker | None = None


def campaign(
    workers: Sequence[Worker],
    function: Function,
    items: Iterable[Any],
    retries: int,
    note: Callable[[str, Turn], object] = lambda what, turn: None,
) -> Iterator[Outcome]:
    """The outcomes, as they come. items: taken one by one, as workers become free. note: told of each turn that is
    "begun", "done", "failed" or "lost"."""
    coming = (Turn(index, item) for index, item in enumerate(items))
    again: deque[Turn] = deque()
    free = deque(workers)
    busy: dict[Future[Any], Turn] = {}
    while True:
        while free:
            turn = again.popleft() if again else next(coming, None)
            if turn is None:
                break
            worker = turn.worker = free.popleft()
            turn.tries += 1
            turn.begun = monotonic()
            note("begun", turn)
            busy[worker.submit(function, turn.item)] = turn
        if not busy:
            return
        for future in wait(busy, return_when=FIRST_COMPLETED).done:
            turn = busy.pop(future)
            worker = turn.worker  # type: ignore[assignment]
            error = future.exception()
            if error is not None and worker.lost(error):
                worker.renew()
                free.append(worker)
                note("lost", turn)
                if turn.tries <= retries:
                    again.append(turn)
                    continue
                error = WorkerLost(f"{turn.tries} workers were lost over item {turn.index}: {error}")
            else:
                free.append(worker)
                note("done" if error is None else "failed", turn)
            value = future.result() if error is None else None
            yield Outcome(turn.index, turn.item, value, error, turn.tries, monotonic() - turn.begun, worker.name)
