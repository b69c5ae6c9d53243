"""Wait queues and the heap of timers against naive models; the record of a wait as plain data."""

from __future__ import annotations

import pickle
import random

import pytest

from axptr.kernel.timers import Timers
from axptr.kernel.wait import EVERY, Blocked, WaitQueue


class Sleeper:
    """As much of a task as a queue asks for."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.events = 0
        self.blocked: Blocked | None = None

    def wake(self, events: int = 0) -> None:
        self.events |= events

    def __repr__(self) -> str:
        return f"<Sleeper {self.name}>"


class Thing:
    def __init__(self) -> None:
        self.queue = WaitQueue()

    def ready(self, mask: int) -> int:
        return 0


def wait(task: Sleeper, thing: Thing, mask: int = EVERY) -> None:
    task.blocked = Blocked(((thing, mask),), None, None)
    thing.queue.add(task, mask)


def test_waking_is_first_come_first_served_and_counts():
    thing, tasks = Thing(), [Sleeper(i) for i in range(4)]
    for task in tasks:
        wait(task, thing)
    assert thing.queue.wake(1, n=2) == 2
    assert [t.events for t in tasks] == [1, 1, 0, 0]
    assert thing.queue.wake(2, n=0) == 0
    assert thing.queue.wake(2) == 2
    assert [t.events for t in tasks] == [1, 1, 2, 2]
    assert thing.queue.wake() == 0


def test_waking_passes_over_those_that_wait_for_something_else():
    thing, reader, writer = Thing(), Sleeper(0), Sleeper(1)
    wait(reader, thing, 1)
    wait(writer, thing, 4)
    assert thing.queue.wake(4 | 8, n=1) == 1
    assert (reader.events, writer.events) == (0, 4)
    assert len(thing.queue) == 1


def test_one_that_waits_for_no_event_is_not_in_the_queue():
    thing, task = Thing(), Sleeper(0)
    wait(task, thing, 0)
    thing.queue._check()
    assert len(thing.queue) == 0
    assert thing.queue.wake() == 0
    assert task.events == 0


def test_waiters_moved_to_another_thing_keep_their_masks_and_their_records_name_it():
    one, other, tasks = Thing(), Thing(), [Sleeper(i) for i in range(3)]
    for i, task in enumerate(tasks):
        wait(task, one, 1 << i)
    assert one.queue.move(other, 2) == 2
    one.queue._check()
    other.queue._check()
    assert tasks[0].blocked.on == ((other, 1),)
    assert one.queue.wake() == 1
    assert other.queue.wake(2) == 1
    assert [t.events for t in tasks] == [0, 2, 4]


def test_a_queue_that_holds_who_does_not_wait_is_found_out():
    thing, task = Thing(), Sleeper(0)
    thing.queue.add(task, 1)
    with pytest.raises(AssertionError, match="not blocked"):
        thing.queue._check()


@pytest.mark.parametrize("seed", range(20))
def test_queues_do_as_lists_do(seed: int):
    rng = random.Random(seed)
    things = [Thing() for _ in range(3)]
    model: list[list[tuple[Sleeper, int]]] = [[], [], []]
    for step in range(400):
        which, other = rng.randrange(3), rng.randrange(3)
        mask, n = rng.choice((1, 2, 3, 4, 7)), rng.choice((None, 0, 1, 2))
        action = rng.randrange(4)
        if action < 2:
            task = Sleeper(step)
            wait(task, things[which], mask)
            model[which].append((task, mask))
        elif action == 2:
            hit = [entry for entry in model[which] if entry[1] & mask][:n]
            assert things[which].queue.wake(mask, n) == len(hit)
            for task, wanted in hit:
                assert task.events == wanted & mask
                model[which].remove((task, wanted))
        elif which != other:
            assert things[which].queue.move(things[other], n) == len(model[which][:n])
            model[other] += model[which][:n]
            model[which] = model[which][len(model[which][:n]) :]
        for thing, expected in zip(things, model, strict=True):
            thing.queue._check()
            assert list(thing.queue._waiters.items()) == expected


def test_timers_go_off_in_order_and_those_of_one_time_as_they_were_set():
    timers, seen = Timers(), []
    for at, name in ((3, "c"), (1, "a"), (2, "b"), (2, "bb")):
        timers.set(at, lambda name=name: seen.append(name))
    assert timers.next() == 1
    assert timers.due(0.5) == 0
    assert timers.due(2) == 3
    assert seen == ["a", "b", "bb"]
    assert timers.due(10) == 1
    assert timers.next() is None


def test_a_timer_set_by_another_that_goes_off_waits_for_the_next_look():
    timers, seen = Timers(), []

    def again() -> None:
        seen.append(1)
        timers.set(0, again)

    timers.set(0, again)
    assert timers.due(5) == 1
    assert timers.due(5) == 1
    timers._check()
    assert len(timers) == 1


def test_a_timer_whose_function_raises_is_gone_and_the_others_stay():
    timers, seen = Timers(), []
    timers.set(1, lambda: 1 // 0)
    timers.set(2, lambda: seen.append(2))
    with pytest.raises(ZeroDivisionError):
        timers.due(3)
    timers._check()
    assert timers.due(3) == 1
    assert seen == [2]


@pytest.mark.parametrize("seed", range(10))
def test_the_heap_does_as_a_sorted_list_does(seed: int):
    rng = random.Random(seed)
    timers, now = Timers(), 0.0
    model: list[tuple[float, int]] = []
    handles = {}
    fired: list[int] = []
    for step in range(2000):
        action = rng.randrange(10)
        if action < 5:
            at = now + rng.randrange(50)
            handles[step] = timers.set(at, lambda step=step: fired.append(step))
            model.append((at, step))
        elif action < 9 and handles:
            name = rng.choice(list(handles))
            timers.cancel(handles.pop(name))
            model = [entry for entry in model if entry[1] != name]
        else:
            now += rng.randrange(20)
            due = [name for at, name in sorted(model) if at <= now]
            fired.clear()
            assert timers.due(now) == len(due)
            assert fired == due
            model = [entry for entry in model if entry[0] > now]
            handles = {name: handle for name, handle in handles.items() if name not in due}
        assert len(timers) == len(model)
        assert timers.next() == min((at for at, _ in model), default=None)
        timers._check()


def resume(task: object, *data: object) -> None:
    """What a record goes on with."""


def test_a_record_pickles_without_its_timer():
    record = Blocked((), 12.5, (resume, (1, b"two", (3, 4))), "restart")
    record.call = 7, 1
    record.timer = Timers().set(1, print)
    twin = pickle.loads(pickle.dumps(record))
    assert (twin.until, twin.again, twin.restart, twin.call) == (12.5, (resume, (1, b"two", (3, 4))), "restart", (7, 1))
    assert twin.timer is None
    assert twin.woken is None
