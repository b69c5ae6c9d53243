"""One function over all items: who has room gets the next; what a worker took with it is handed out again.

`campaign` wants of a worker that `submit` gives a future, and of a future that is lost that `lost(error)` says so; the
worker is then made anew (`renew`). A function's own exception is its result, and never tried again.

A worker gets several items at once where they are short, so that it never waits for us: as many as it does in a tenth
of a second, and `depth` at most. One that works on them in the order in which they came (`in_order`) loses all of them
when it is gone, but it was the oldest that it worked on: that one is tried again, `retries` times at most; the others
had not been begun. Whatever happens, an item has one outcome.

Not here: what a worker is (`processes`, `onray`), how the state is shown (`table`).
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, Protocol

    from .worker import Function

    class Worker(Protocol):
        """One place where items are worked on, one at a time.

        depth: how many it may have at once. in_order: whether it works on them as they came, and is lost with all of
        them; else each is lost by itself."""

        name: str
        depth: int
        in_order: bool

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
    """An item that a worker has. begun: since when it is worked on. place: among all that the worker was given."""

    __slots__ = ("begun", "index", "item", "place", "tries", "worker")

    def __init__(self, index: int, item: Any) -> None:
        self.index = index
        self.item = item
        self.tries = 0
        self.begun = 0.0
        self.place = 0
        self.worker: Worker | None = None


_AT_ONCE = 0.1
"""Seconds of work that a worker may have before it."""


class _Hands:
    """What one worker has. turns: the oldest first. gone: those that were lost with it, while others are still told of.
    seconds: what an item takes, as it seems; None as long as none was done."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.turns: dict[Future[Any], Turn] = {}
        self.gone: list[tuple[Turn, BaseException]] = []
        self.seconds: float | None = None
        self._given = 0

    def has_room(self) -> bool:
        if self.gone:
            return False
        most = 1 if self.seconds is None else int(_AT_ONCE / max(self.seconds, 1e-6))
        return len(self.turns) < max(1, min(most, self.worker.depth))

    def give(self, turn: Turn, function: Function) -> Future[Any]:
        """Let the worker have an item. One that is gone already is lost with it."""
        self._given += 1
        turn.worker, turn.begun, turn.place = self.worker, 0.0, self._given
        turn.tries += 1
        try:
            future = self.worker.submit(function, turn.item)
        except Exception as error:
            if not self.worker.lost(error):
                raise
            future = Future()
            future.set_exception(error)
        self.turns[future] = turn
        return future

    def done(self, turn: Turn) -> float:
        """Seconds that a turn took, which has left `turns`."""
        took = monotonic() - turn.begun
        self.seconds = took if self.seconds is None else (3 * self.seconds + took) / 4
        return took

    def judged(self) -> tuple[list[tuple[Turn, BaseException]], list[Turn]]:
        """Those that are lost, and those that go back as if they had never been handed out, in their order."""
        gone = sorted(self.gone, key=lambda lost: lost[0].place)
        self.gone = []
        if not self.worker.in_order:
            return gone, []
        return gone[:1], [turn for turn, _ in gone[1:]]


class _Campaign:
    """One run. note: see `campaign`."""

    def __init__(
        self, workers: Sequence[Worker], function: Function, items: Iterable[Any], note: Callable[[str, Turn], object]
    ) -> None:
        self._coming = (Turn(index, item) for index, item in enumerate(items))
        self._function = function
        self._note = note
        self.again: deque[Turn] = deque()
        self.hands = [_Hands(worker) for worker in workers]
        self.busy: dict[Future[Any], _Hands] = {}

    def hand_out(self) -> None:
        """Give all that have room what there is: one each in turns, so that none has two where another has none."""
        while roomy := [hands for hands in self.hands if hands.has_room()]:
            fewest = min(len(hands.turns) for hands in roomy)
            for hands in roomy:
                if len(hands.turns) > fewest:
                    continue
                turn = self.again.popleft() if self.again else next(self._coming, None)
                if turn is None:
                    return
                self._give(hands, turn)

    def _give(self, hands: _Hands, turn: Turn) -> None:
        self.busy[hands.give(turn, self._function)] = hands
        if len(hands.turns) == 1 or not hands.worker.in_order:
            self._begin(turn)

    def _begin(self, turn: Turn) -> None:
        turn.begun = monotonic()
        self._note("begun", turn)

    def come(self, future: Future[Any], retries: int) -> Iterator[Outcome]:
        """A future is done: the outcomes that follow."""
        hands = self.busy.pop(future)
        turn, error = hands.turns.pop(future), future.exception()
        if error is not None and hands.worker.lost(error):
            hands.gone.append((turn, error))
        else:
            if not turn.begun:  # told of before those that were before it
                self._begin(turn)
            took = hands.done(turn)
            self._note("done" if error is None else "failed", turn)
            value = future.result() if error is None else None
            yield Outcome(turn.index, turn.item, value, error, turn.tries, took, hands.worker.name)
        if hands.gone and (not hands.turns or not hands.worker.in_order):
            yield from self._lose(hands, retries)
        elif hands.turns and hands.worker.in_order and not hands.gone:
            following = next(iter(hands.turns.values()))
            if not following.begun:
                self._begin(following)

    def _lose(self, hands: _Hands, retries: int) -> Iterator[Outcome]:
        """All that the worker had is told of: those that it had not begun go back, to be the next again."""
        lost, back = hands.judged()
        hands.worker.renew()
        for turn in back:
            turn.tries -= 1
        self.again.extendleft(reversed(back))
        for turn, error in lost:
            if not turn.begun:
                self._begin(turn)
            self._note("lost", turn)
            if turn.tries <= retries:
                self.again.append(turn)
                continue
            gone = WorkerLost(f"{turn.tries} workers were lost over item {turn.index}: {error}")
            took = monotonic() - turn.begun
            yield Outcome(turn.index, turn.item, None, gone, turn.tries, took, hands.worker.name)


def campaign(
    workers: Sequence[Worker],
    function: Function,
    items: Iterable[Any],
    retries: int,
    note: Callable[[str, Turn], object] = lambda what, turn: None,
) -> Iterator[Outcome]:
    """The outcomes, as they come. items: taken one by one, as workers have room. note: told of each turn that is
    "begun", "done", "failed" or "lost"."""
    run = _Campaign(workers, function, items, note)
    while True:
        run.hand_out()
        if not run.busy:
            return
        done = wait(run.busy, return_when=FIRST_COMPLETED).done
        for future in [future for future in run.busy if future in done]:  # as they were handed out
            yield from run.come(future, retries)
