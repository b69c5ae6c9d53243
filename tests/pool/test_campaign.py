"""Items, workers and losses: what a campaign promises, with workers that are functions of this test."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axptr.pool import WorkerLost
from axptr.pool.campaign import Turn, campaign
from axptr.pool.table import Table


class Gone(Exception):
    pass


class Fake:
    """Does an item at once; `fails(item)` says how often it is lost before it is done."""

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
