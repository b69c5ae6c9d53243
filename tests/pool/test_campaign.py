"""Items, workers and losses: what a campaign promises, with workers that are functions of this test."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import Queue
from threading import Thread
from time import sleep
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axptr.pool import WorkerLost
from axptr.pool.campaign import Turn, _Hands, campaign
from axptr.pool.table import Table


class Gone(Exception):
    pass


class Fake:
    """Does an item at once; `fails(item)` says how often it is lost before it is done."""

    depth = 1
    in_order = True

    def __init__(self, name: str, fails: Callable[[Any], int]) -> None:
        self.name = name
        self.renewed = 0
        self._fails = fails
        self.left: dict[Any, int] = {}

    def submit(self, function: Any, item: Any) -> Future[Any]:
        future: Future[Any] = Future()
        left = self.left.setdefault(item, self._fails(item))
        if left:
            self.left[item] = left - 1
            future.set_exception(Gone())
            return future
        try:
            future.set_result(function(None, item))
        except Exception as error:
            future.set_exception(error)
        return future

    def lost(self, error: BaseException) -> bool:
        return isinstance(error, Gone)

    def renew(self) -> None:
        self.renewed += 1


class Row:
    """Works on its items one after the other, in a thread; one that is lost takes all that wait behind it along.
    left: how often each item is still to be lost."""

    in_order = True

    def __init__(self, name: str, depth: int, left: dict[Any, int], begun: list[Any]) -> None:
        self.name = name
        self.depth = depth
        self.most = 0
        self._left = left
        self._begun = begun
        self._start()

    def _start(self) -> None:
        self._items: Queue[Any] = Queue()
        self.broken = False
        self._waiting = 0
        Thread(target=self._work, args=(self._items,), daemon=True).start()

    def _work(self, items: Queue[Any]) -> None:
        while (entry := items.get()) is not None:
            future, function, item = entry
            if self.broken:
                future.set_exception(Gone())
                continue
            self._begun.append(item)
            if self._left.get(item, 0):
                self._left[item] -= 1
                self.broken = True
                future.set_exception(Gone())
                continue
            try:
                value = function(None, item)
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(value)

    def submit(self, function: Any, item: Any) -> Future[Any]:
        if self.broken:
            raise Gone()
        future: Future[Any] = Future()
        self._waiting += 1
        future.add_done_callback(lambda future: setattr(self, "_waiting", self._waiting - 1))
        self.most = max(self.most, self._waiting)
        self._items.put((future, function, item))
        return future

    def lost(self, error: BaseException) -> bool:
        return isinstance(error, Gone)

    def renew(self) -> None:
        self._items.put(None)
        self._start()

    def close(self) -> None:
        self._items.put(None)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 6), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), max_size=40),
    st.integers(0, 2),
)  # fmt: skip
def test_items_that_wait_behind_one_that_is_lost_go_back_and_cost_it_no_try(
    count: int, depth: int, items: list[tuple[int, int]], retries: int
) -> None:
    numbered = [(index, value, lost) for index, (value, lost) in enumerate(items)]
    begun: list[Any] = []
    left = {item: item[2] for item in numbered}
    workers = [Row(f"row {number}", depth, left, begun) for number in range(count)]
    found = list(campaign(workers, lambda sandbox, item: square(sandbox, item[1]), iter(numbered), retries))
    for worker in workers:
        worker.close()
    assert sorted(outcome.index for outcome in found) == list(range(len(items)))
    for outcome in found:
        _, value, lost = outcome.item
        assert begun.count(outcome.item) == min(lost, retries) + 1
        if lost > retries:
            assert isinstance(outcome.error, WorkerLost)
        elif value == 13:
            assert isinstance(outcome.error, ValueError)
        else:
            assert outcome.result() == value * value


def test_short_items_are_given_ahead_and_long_ones_are_not() -> None:
    long = Row("long", 5, {}, [])
    list(campaign([long], lambda sandbox, item: sleep(0.11), range(4), 0))
    long.close()
    assert long.most == 1
    hands = _Hands(Fake("deep", lambda item: 0))
    hands.worker.depth = 5
    for seconds, room in ((None, 1), (0.2, 1), (0.04, 2), (0.001, 5), (0.0, 5)):
        hands.seconds = seconds
        hands.turns = {Future(): Turn(number, None) for number in range(room - 1)}
        assert hands.has_room()
        hands.turns[Future()] = Turn(room, None)
        assert not hands.has_room()


def square(sandbox: object, item: int) -> int:
    if item == 13:
        raise ValueError("unlucky")
    return item * item


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 4)), max_size=40),
    st.integers(0, 3),
)
def test_every_item_has_one_outcome_and_is_tried_as_often_as_promised(
    count: int, items: list[tuple[int, int]], retries: int
) -> None:
    shared: dict[Any, int] = {}
    workers = [Fake(f"worker {number}", lambda item: item[2]) for number in range(count)]
    for worker in workers:
        worker.left = shared
    numbered = [(index, value, lost) for index, (value, lost) in enumerate(items)]
    told: list[str] = []
    found = list(
        campaign(
            workers,
            lambda sandbox, item: square(sandbox, item[1]),
            iter(numbered),
            retries,
            lambda what, turn: told.append(what),
        )
    )
    assert sorted(outcome.index for outcome in found) == list(range(len(items)))
    for outcome in found:
        _, value, lost = outcome.item
        assert outcome.tries == min(lost, retries) + 1
        if lost > retries:
            assert isinstance(outcome.error, WorkerLost)
        elif value == 13:
            assert isinstance(outcome.error, ValueError)
        else:
            assert outcome.result() == value * value
    assert sum(worker.renewed for worker in workers) == told.count("lost")
    assert told.count("begun") == told.count("lost") + told.count("done") + told.count("failed")


def test_items_are_taken_as_workers_become_free_not_all_at_once() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    going = campaign([Fake("one", lambda item: 0), Fake("two", lambda item: 0)], square, items(), 0)
    next(going)
    assert len(taken) <= 4


def test_the_table_counts_and_draws_over_itself() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    table = Table(["one", "two"], stream)
    turn = Turn(0, "an item")
    turn.worker = Fake("one", lambda item: 0)
    for what in ("begun", "lost", "begun", "done", "begun", "failed", "begun"):
        table.note(what, turn)
    table.draw()
    table.draw()
    lines = table.lines()
    assert lines[1].split()[:5] == ["one", "1", "1", "1", "'an"]
    assert lines[-1].split()[:4] == ["all", "1", "1", "1"]
    assert f"\x1b[{len(lines)}A" in stream.getvalue()


@pytest.mark.parametrize("bad", [0, -1, True, "two"])
def test_a_pool_says_what_is_no_number_of_workers(bad: Any) -> None:
    from axptr.pool import Pool

    with pytest.raises(ValueError, match="number of workers"):
        Pool("/nonexistent", bad)
    with pytest.raises(TypeError, match="client of Dask"):
        Pool(__file__, over=object())
