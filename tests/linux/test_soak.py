"""What is done very often leaves nothing behind: frames, descriptors, processes of the host, objects, memory.

One program does it, in rounds, and lives on; after each round what there is is counted. The long form, with which a
change to tasks, stubs or waiting ends:

    pytest -m slow tests/linux/test_soak.py
"""

from __future__ import annotations

import gc
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from axptr.linux import PIPE, Linux
from cli.conftest import axptr, run_axptr

from .conftest import run_guest

ROUNDS = {
    "forks": 10_000, "execs": 1_000, "calls": 1_000_000, "threads": 5_000, "pipes": 10_000, "files": 5_000,
    "signals": 2_000,
}  # fmt: skip
"""Times: a thread's round makes two."""
SHARE, LEAST = 100, 60
"""The short form does so much less, but not less than this."""
SPARE_STUBS, OF_A_STUB, WAITING_FRAMES = 2, 12, 40
"""What may be kept for later, less than one of each a time would be: processes of the host, descriptors, frames."""
GROWTH = 48
"""Bytes of the host's memory that a time may cost for good: none, but an allocator's waste is none of ours."""
SLACK = 6 << 20


class Count(NamedTuple):
    frames: int
    tasks: int
    waiting: int
    descriptors: int
    children: int
    objects: int
    resident: int


def count(linux: Linux) -> Count:
    gc.collect()
    children = 0
    for task in Path("/proc/self/task").iterdir():
        children += len((task / "children").read_text().split())
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * 4096
    machine = linux.machine
    return Count(
        linux.phys.data_frames,
        len(machine.tasks),
        len(machine.loop.timers),
        len(os.listdir("/proc/self/fd")),
        children,
        len(gc.get_objects()),
        resident,
    )


def soak(program: Path, kind: str, times: int, engine: str, wait: float) -> None:
    with Linux(engine=engine) as linux:
        process = linux.spawn([str(program)], stdin=PIPE, stdout=PIPE)
        out = process.stdout
        assert process.stdin is not None
        assert out is not None
        out.changed = linux.machine.loop.leave

        def round(times: int) -> Count:
            process.stdin.feed(b"%s %d\n" % (kind.encode(), times))  # type: ignore[union-attr]
            end = time.monotonic() + wait
            while not bytes(out.data).endswith(b"\n") and not process.ended and time.monotonic() < end:
                linux.run_until(lambda: process.ended, wait)
            assert out.take() == b"done\n"
            return count(linux)

        for _ in range(3):  # what is made once, is made
            before = round(max(times // 20, 5))
        after = round(times)
        process.end()
    assert after.frames <= before.frames + WAITING_FRAMES
    assert after.tasks == before.tasks
    assert after.waiting <= before.waiting
    assert after.descriptors <= before.descriptors + SPARE_STUBS * OF_A_STUB
    assert after.children <= before.children + SPARE_STUBS
    assert after.objects <= before.objects + 50
    assert after.resident <= before.resident + GROWTH * times + SLACK


@pytest.mark.parametrize("kind", ROUNDS)
def test_what_is_done_often_leaves_nothing(kind: str, compile_guest: Callable[..., Path], engine_name: str) -> None:
    program = compile_guest("soak", "-static", "-pthread")
    soak(program, kind, max(ROUNDS[kind] // SHARE, LEAST), "unicorn" if engine_name == "unicorn" else "auto", 100)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("engine", ["auto", "unicorn"])
@pytest.mark.parametrize("kind", ROUNDS)
def test_what_is_done_very_often_leaves_nothing(kind: str, engine: str, compile_guest: Callable[..., Path]) -> None:
    soak(compile_guest("soak", "-static", "-pthread"), kind, ROUNDS[kind], engine, 1700)


# -- those that would never end


def left(session: int) -> list[str]:
    """The processes of a session of the host that still live."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal():
            try:
                words = (directory / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(words[3]) == session and words[0] != "Z":
                found.append(directory.name)
    return found


BOMB = "int fork(void); int main(void) { for (;;) fork(); }"
GLUTTON = """
#include <stdlib.h>
int main(void) {
    char *p;
    while ((p = malloc(1 << 20))) for (int i = 0; i < 1 << 20; i += 4096) p[i] = 1;
    return 3;
}
"""
CROWD = """
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    pid_t child, all[10000]; int n = 0;
    while ((child = fork()) > 0) all[n++] = child;
    if (!child) { pause(); _exit(1); }
    int error = errno;
    for (int i = 0; i < n; i++) kill(all[i], SIGKILL);
    for (int i = 0; i < n; i++) if (waitpid(all[i], 0, 0) != all[i]) return 2;
    printf("%d %d\\n", error == ENOMEM, n > 10);
    return 0;
}
"""
LOOP = "int main(void) { for (;;) ; }"
CALLS = "int getppid(void); int main(void) { for (;;) getppid(); }"
LIMITED = {
    "forks": (BOMB, ["--max-procs", "40", "--timeout", "2"], {124}),
    "forks of little memory": (BOMB, ["--memory-limit", "32M", "--timeout", "2"], {124, 137}),
    "allocation": (GLUTTON, ["--memory-limit", "64M", "--timeout", "100"], {3, 137}),
    "a loop": (LOOP, ["--timeout", "0.5"], {124}),
    "calls": (CALLS, ["--timeout", "0.5"], {124}),
}


@pytest.mark.parametrize("name", LIMITED)
def test_what_would_never_end_is_ended_and_leaves_nothing(
    name: str, compile_guest: Callable[..., Path], engine_name: str
) -> None:
    source, limits, statuses = LIMITED[name]
    program = compile_guest("endless" + name.replace(" ", ""), "-static", source=source)
    engine = ["--engine", "unicorn"] if engine_name == "unicorn" else []
    child = subprocess.Popen(
        axptr("run", *engine, *limits, "--", program),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _, said = child.communicate(timeout=100)
    assert child.returncode in statuses, said[-2000:]
    until = time.monotonic() + 20  # a stub that was killed is gone when the host has had time for it
    while (living := left(child.pid)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not living


def test_processes_end_where_no_memory_is_left(compile_guest: Callable[..., Path]) -> None:
    """The parent may be the one that runs out of it, by writing to its stack: then it is killed."""
    ours = run_guest(compile_guest("crowd", "-static", source=CROWD), memory_limit=4 << 20)
    assert (ours.lines, ours.status) in ((["1 1"], 0), ([], 137))


def test_the_command_itself_leaves_nothing_after_many_processes() -> None:
    script = "i=0; while [ $i -lt 100 ]; do (exit 0); i=$((i+1)); done; echo $i"
    done = run_axptr("run", "--", "/bin/sh", "-c", script)
    assert (done.stdout, done.returncode) == (b"100\n", 0)
