"""A blocked task is plain data: its record is taken apart, pickled, put into a twin that came to the same point, and
gone on with there."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from axptr.linux import Process, create_process
from axptr.linux.abi.signals import SI_USER, Info
from axptr.linux.files.futex import FutexWord
from axptr.linux.files.locks import LockWaiters
from axptr.linux.fs.openfile import OpenFile
from axptr.linux.signals.state import SignalState

from ..conftest import ENVIRONMENT

SOURCE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static int hits; static void note(int n) { hits += n; }
#define SAY(call) { long r = (call); dprintf(2, "%ld %d %d\n", r, r < 0 ? errno : 0, hits); }
int main(int argc, char **argv) {
    struct timespec t = {0, 400000000}; static char b[200000]; static int word;
    struct pollfd p = {0, POLLIN}; sigset_t set; fd_set in; FD_ZERO(&in); FD_SET(0, &in);
    struct sigaction a = {.sa_handler = note}; sigaction(SIGUSR1, &a, 0);
    for (int i = 0; i < sizeof b; i++) b[i] = i * 7 % 251;
    sigemptyset(&set); sigaddset(&set, SIGUSR1);
    switch (argv[1][0]) {
    case 's': SAY(nanosleep(&t, 0)) break;
    case 'r': SAY(read(0, b, 10)) dprintf(2, "%.3s\n", b); break;
    case 'w': SAY(write(1, b, sizeof b)) break;
    case 'p': SAY(poll(&p, 1, -1)) SAY(p.revents) break;
    case 'P': SAY(ppoll(&p, 1, &(struct timespec){100, 0}, &set)) SAY(p.revents) break;
    case 'q': SAY(poll(0, 0, 400)) break;
    case 'Q': SAY(select(0, 0, 0, 0, &(struct timeval){0, 400000})) break;
    case 'e': SAY(select(1, &in, 0, 0, 0)) SAY(FD_ISSET(0, &in)) break;
    case 'f': SAY(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, 0, 0)) break;
    case 'F': SAY(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, 0, 0, 6)) break;
    case 'l': SAY(flock(open(argv[2], O_RDWR), LOCK_EX)) break;
    case 'k': { struct flock l = {.l_type = F_WRLCK}; SAY(fcntl(open(argv[2], O_RDWR), F_SETLKW, &l)) break; }
    case 'u': sigprocmask(SIG_BLOCK, &set, 0); sigemptyset(&set); SAY(sigsuspend(&set)) break;
    case 't': sigprocmask(SIG_BLOCK, &set, 0); SAY(sigwaitinfo(&set, 0)) break;
    }
    SAY(0)
    return 0;
}
"""


class Machine:
    """A process, and the other ends of its standard streams."""

    def __init__(self, program: Path, what: str, file: Path, stack: contextlib.ExitStack) -> None:
        self.stdin, self.stdout = os.pipe(), os.pipe()
        self.err = stack.enter_context(file.with_name(f"err{id(self)}").open("w+b"))
        for fd in (*self.stdin, *self.stdout):
            stack.callback(os.close, fd)
        stdio = self.stdin[0], self.stdout[1], self.err.fileno()
        args = [os.fspath(program), what, os.fspath(file)]
        self.process: Process = stack.enter_context(
            create_process(args[0], args, env=ENVIRONMENT, stdio=stdio, allow_write=[file.parent])
        )
        self.task = self.process.task

    def until_blocked(self) -> None:
        for _ in range(500):
            assert self.process.run(0.02).timed_out
            if self.task.blocked is not None:
                break
        self.task.loop._check()

    def take(self) -> bytes:
        """The record, out of the task."""
        task = self.task
        task.loop.remove(task)
        record, task.blocked = task.blocked, None
        return Carrier.dumps(task, record)

    def give(self, data: bytes) -> None:
        self.task.blocked = Carrier.loads(self.task, data)
        self.task.loop.add(self.task)
        self.task.loop._check()

    def finish(self) -> list[str]:
        result = self.process.run(20)
        assert result.exit_code == 0, result
        self.err.seek(0)
        return self.err.read().decode().splitlines()


class Carrier:
    """Records as bytes: what belongs to a machine goes by what it is called there."""

    @staticmethod
    def dumps(task: Any, record: object) -> bytes:
        class Pickler(pickle.Pickler):
            def persistent_id(self, thing: object) -> object:
                if isinstance(thing, OpenFile):
                    return "file", next(fd for fd in task.files.descriptors() if task.files.get(fd) is thing)
                if isinstance(thing, SignalState):
                    return ("signals",)
                if isinstance(thing, LockWaiters):
                    return "locks", thing.key
                if isinstance(thing, FutexWord):
                    assert thing.key[0] is task.mm
                    return "word", thing.key[1]
                return None

        buffer = io.BytesIO()
        Pickler(buffer, protocol=5).dump(record)
        return buffer.getvalue()

    @staticmethod
    def loads(task: Any, data: bytes) -> Any:
        class Unpickler(pickle.Unpickler):
            def persistent_load(self, name: Any) -> object:
                kind, *rest = name
                if kind == "file":
                    return task.files.get(rest[0])
                if kind == "locks":
                    return task.machine.locks.waiters_of(rest[0])
                if kind == "word":
                    return task.machine.futexes.word((task.mm, rest[0]))
                return task.signals

        return Unpickler(io.BytesIO(data)).load()


def feed(machine: Machine) -> None:
    os.write(machine.stdin[1], b"abc")


def send(machine: Machine) -> None:
    machine.task.signals.send(machine.task, Info(signal.SIGUSR1, SI_USER))


def wake(machine: Machine) -> None:
    (word,) = machine.task.machine.futexes._words.values()
    assert machine.task.machine.futexes.wake(word.key, 1, 1) == 0
    assert machine.task.machine.futexes.wake(word.key, 1, 2) == 1


def nothing(machine: Machine) -> None:
    pass


CASES: dict[str, tuple[Callable[[Machine], None], list[str]]] = {
    "s nanosleep": (nothing, ["0 0 0"]),
    "r read of a pipe": (feed, ["3 0 0", "abc"]),
    "p poll": (feed, ["1 0 0", "1 0 0"]),
    "P ppoll": (feed, ["1 0 0", "1 0 0"]),
    "P ppoll that a signal would end, which is blocked": (lambda m: (send(m), feed(m))[0], ["1 0 10", "1 0 10"]),
    "e select": (feed, ["1 0 0", "1 0 0"]),
    "f futex with a time": (nothing, ["-1 110 0"]),
    "F futex": (wake, ["0 0 0"]),
    "u sigsuspend": (send, ["-1 4 10"]),
    "t sigwaitinfo": (send, ["10 0 0"]),
}


@pytest.fixture
def program(compile_guest) -> Path:
    return compile_guest("blocked", "-static", source=SOURCE)


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as made:
        yield made


@pytest.mark.parametrize("case", CASES)
def test_a_wait_is_gone_on_with_in_a_twin(program: Path, tmp_path: Path, stack, case: str):
    happens, lines = CASES[case]
    one, twin = (Machine(program, case[0], tmp_path / "file", stack) for _ in range(2))
    one.until_blocked()
    data = one.take()
    twin.until_blocked()
    twin.take()
    twin.give(data)
    happens(twin)
    got = twin.finish()
    assert got[: len(lines)] == lines
    assert len(got) == len(lines) + 1


def test_a_write_half_done_is_finished_by_a_twin_and_counts_as_one(program: Path, tmp_path: Path, stack):
    one, twin = (Machine(program, "w", tmp_path / "file", stack) for _ in range(2))
    for machine in (one, twin):
        machine.until_blocked()
    assert one.task.blocked.data[-1] == 65536
    twin.take()
    twin.give(one.take())
    got = bytearray()

    def drain() -> None:
        while len(got) < 200_000:
            got.extend(os.read(twin.stdout[0], 3000))

    thread = threading.Thread(target=drain)
    thread.start()
    assert twin.finish()[0] == "200000 0 0"
    thread.join(20)
    assert bytes(got) == bytes(i * 7 % 251 for i in range(200_000))


@pytest.mark.parametrize("kind", ["l", "k"])
def test_a_wait_for_a_lock_is_gone_on_with_in_a_twin(program: Path, tmp_path: Path, stack, kind: str):
    path = tmp_path / "file"
    path.write_bytes(b"")
    with open(path, "r+b") as holder:
        lock = fcntl.flock if kind == "l" else fcntl.lockf
        lock(holder, fcntl.LOCK_EX)
        one, twin = (Machine(program, kind, path, stack) for _ in range(2))
        if kind == "k":  # record locks of one process of the host do not meet
            for machine in (one, twin):
                hold(machine, path)
        for machine in (one, twin):
            machine.until_blocked()
        twin.take()
        twin.give(one.take())
        one.process.close()
        lock(holder, fcntl.LOCK_UN)
        if kind == "k":
            release(twin)
        assert twin.finish()[0] == "0 0 0"


def hold(machine: Machine, path: Path) -> None:
    """A lock of the run itself, of somebody else."""
    from axptr.linux.files.locks import F_WRLCK, OFFSET_MAX, Range

    class Other(OpenFile):
        def lock_key(self) -> tuple[int, int]:
            status = os.stat(path)
            return status.st_dev, status.st_ino

    machine.other = Other(2)
    assert machine.task.machine.locks.take(machine.other, machine.other, 1, Range(0, OFFSET_MAX, F_WRLCK), None)


def release(machine: Machine) -> None:
    machine.task.machine.locks.release(machine.other, machine.other)


def test_a_signal_ends_a_write_with_what_was_written_before(program: Path, tmp_path: Path, stack):
    machine = Machine(program, "w", tmp_path / "file", stack)
    machine.until_blocked()
    send(machine)
    assert machine.finish() == ["65536 0 10", "0 0 10"]


def test_a_wait_between_runs_keeps_its_time(program: Path, tmp_path: Path, stack):
    machine = Machine(program, "s", tmp_path / "file", stack)
    machine.until_blocked()
    until = machine.task.blocked.until
    time.sleep(0.5)
    assert until < machine.task.loop.clock.monotonic()  # its time is up before the next run begins
    assert machine.finish()[0] == "0 0 0"


@pytest.mark.parametrize(("kind", "line"), [("q", "-1 4 10"), ("Q", "-1 4 10"), ("s", "0 0 10"), ("f", "-1 110 10")])
def test_of_a_signal_and_the_end_of_the_time_the_one_is_told_that_linux_tells(
    program: Path, tmp_path: Path, stack, kind: str, line: str
):
    machine = Machine(program, kind, tmp_path / "file", stack)
    machine.until_blocked()
    time.sleep(0.5)
    send(machine)
    assert machine.finish()[0] == line
