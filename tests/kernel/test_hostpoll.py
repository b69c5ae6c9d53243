"""Descriptors of the host as things to wait for, and what ends the loop's sleep."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from axptr.kernel.hostpoll import HostPoller, HostWaitable
from axptr.kernel.wait import Blocked

IN, OUT, HUP = 1, 4, 16


class Loop:
    def __init__(self, poller: HostPoller) -> None:
        self.poller = poller


class Sleeper:
    def __init__(self, poller: HostPoller) -> None:
        self.loop = Loop(poller)
        self.events = 0
        self.blocked: Blocked | None = None

    def wait(self, thing: HostWaitable, mask: int) -> None:
        self.events = 0
        self.blocked = Blocked(((thing, mask),), None, None)
        thing.queue.add(self, mask)

    def wake(self, events: int = 0) -> None:
        self.events |= events


@pytest.fixture
def poller() -> Iterator[HostPoller]:
    made = HostPoller()
    yield made
    made._check()
    made.close()
    assert made._queues == {}


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def test_an_event_wakes_who_waits_for_it_and_is_told_once(poller, pipe):
    thing, task = HostWaitable(pipe[0]), Sleeper(poller)
    task.wait(thing, IN)
    poller.poll(0)
    assert task.events == 0
    os.write(pipe[1], b"x")
    poller.poll(1)
    assert task.events == IN
    task.events = 0
    poller.poll(0)
    assert task.events == 0
    task.wait(thing, IN)  # it is still there
    poller.poll(0)
    assert task.events == IN


def test_who_waits_for_something_else_goes_on_waiting(poller, pipe):
    thing, reader, writer = HostWaitable(pipe[1]), Sleeper(poller), Sleeper(poller)
    reader.wait(thing, IN)
    writer.wait(thing, OUT)
    poller.poll(1)
    assert (reader.events, writer.events) == (0, OUT)
    poller._check()
    os.close(pipe[0])
    poller.poll(1)
    assert reader.events == 8  # an error needs no asking for


def test_a_descriptor_closed_meanwhile_is_waited_for_to_the_end(poller, pipe):
    fd = os.dup(pipe[0])
    thing, task = HostWaitable(fd), Sleeper(poller)
    task.wait(thing, IN)
    thing.close()
    os.close(fd)
    os.write(pipe[1], b"x")
    poller.poll(1)
    assert task.events == IN
    assert poller._queues == {}


def test_closing_gives_back_what_nobody_waits_for(poller, pipe):
    before = len(os.listdir("/proc/self/fd"))
    thing, task = HostWaitable(pipe[0]), Sleeper(poller)
    task.wait(thing, IN)
    thing.queue.remove(task)
    thing.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_descriptor_under_two_names_is_two_things(poller, pipe):
    things = [HostWaitable(pipe[0]), HostWaitable(pipe[0])]
    tasks = [Sleeper(poller), Sleeper(poller)]
    for thing, task in zip(things, tasks, strict=True):
        task.wait(thing, IN)
    os.write(pipe[1], b"x")
    poller.poll(1)
    assert [task.events for task in tasks] == [IN, IN]


def test_what_epoll_refuses_is_always_ready(poller, tmp_path: Path):
    with open(tmp_path / "file", "wb") as file:
        thing, task = HostWaitable(file.fileno()), Sleeper(poller)
        task.wait(thing, OUT)
        assert task.events & OUT
        assert thing.ready(OUT) == OUT


PRI, ERR = 2, 8


def test_what_epoll_refuses_wakes_nobody_who_waits_for_what_never_comes_of_it(poller, tmp_path: Path):
    """Who is woken for nothing waits again at once, and so for ever, before all others (poll without events)."""
    with open(tmp_path / "file", "wb") as file:
        thing, task, other = HostWaitable(file.fileno()), Sleeper(poller), Sleeper(poller)
        task.wait(thing, PRI | ERR)
        assert (task.events, len(thing.queue)) == (0, 1)
        other.wait(thing, OUT)
        assert other.events & OUT
        other.wait(thing, OUT)
        assert other.events & OUT
        assert (task.events, len(thing.queue)) == (0, 1)
        thing.queue.remove(task)


def test_without_a_descriptor_to_spare_it_is_looked_at_now_and_then(poller, pipe, monkeypatch):
    def refuse(fd: int) -> int:
        raise OSError(24, "too many")

    monkeypatch.setattr(os, "dup", refuse)
    thing, task = HostWaitable(pipe[0]), Sleeper(poller)
    task.wait(thing, IN)
    poller.poll(0)
    assert task.events == 0
    os.write(pipe[1], b"x")
    poller.poll(1)
    assert task.events == IN
    assert not poller._unregistered


def test_another_thread_ends_the_sleep(poller):
    threading.Timer(0.05, poller.wake).start()
    begin = time.monotonic()
    poller.poll(100)
    assert time.monotonic() - begin < 50
    poller.wake()
    poller.poll(10)  # at once: it was asked before


def test_a_short_sleep_is_short(poller):
    begin = time.monotonic()
    for _ in range(20):
        poller.poll(0.0001)
    assert time.monotonic() - begin < 10  # and not one of a second each
