"""Reads and writes of the host's files and pipes give here what they give there: at once, by the handler alone, mapped
or not."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from axptr.linux import Overlay, Process

from ..conftest import ENVIRONMENT, create_process, run_guest, run_host


@pytest.fixture(scope="session")
def program(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("reads", "-static")


def alone(process: Process) -> None:
    """Have every call served by its handler: nothing at once."""
    process.kernel.guard = lambda syscall, call: getattr(call, "plain", call)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("watch", [None, alone], ids=["at once", "handlers"])
def test_random_reads_give_what_they_give_on_the_host(
    program: Path, seed: int, watch: Callable[[Process], None] | None, tmp_path: Path
) -> None:
    data = random.Random(seed).randbytes(100_000)
    for side in ("host", "ours"):
        (tmp_path / side).write_bytes(data)
    theirs = run_host(program, tmp_path / "host", str(seed), "400")
    ours = run_guest(program, tmp_path / "ours", str(seed), "400", allow_write=[tmp_path], watch=watch)
    assert (ours.status, theirs.status) == (0, 0), ours.stderr
    different = [(a, b) for a, b in zip(theirs.lines, ours.lines, strict=True) if a != b]
    assert not different, different[:3]
    assert (tmp_path / "host").read_bytes() == (tmp_path / "ours").read_bytes()


@pytest.fixture(scope="session")
def transfers(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("transfers", "-static")


@contextmanager
def a_pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("way", ["at once", "handlers", "overlay"])
def test_random_transfers_give_what_they_give_on_the_host(transfers: Path, seed: int, way: str, tmp_path: Path) -> None:
    """A pipe gives and takes as much as there is; a file has a limit, and an end at which some of it goes. Under an
    overlay it lies in memory as soon as it is written to."""
    data = random.Random(seed).randbytes(100_000)
    for side in ("host", "ours"):
        (tmp_path / side).write_bytes(data)
    words = str(transfers), str(tmp_path / "host"), str(seed), "600"
    with a_pipe() as (read, write):
        done = subprocess.run(words, stdin=read, stdout=write, stderr=subprocess.PIPE, env=ENVIRONMENT, check=True)
    told = tmp_path / "told"
    words = words[0], str(tmp_path / "ours"), *words[2:]
    overlay = Overlay() if way == "overlay" else None
    with a_pipe() as (read, write), told.open("wb") as err, ExitStack() as run:
        stdio = read, write, err.fileno()
        options: dict[str, Any] = {"allow_write": [tmp_path]} if overlay is None else {"overlay": overlay}
        process = run.enter_context(create_process(words[0], list(words), stdio=stdio, env=ENVIRONMENT, **options))
        if way == "handlers":
            alone(process)
        assert process.run(500).status == 0
    pairs = zip(done.stderr.splitlines(), told.read_bytes().splitlines(), strict=True)
    different = [(theirs, ours) for theirs, ours in pairs if theirs != ours]
    assert not different, different[:3]
    assert (tmp_path / "ours").read_bytes() == (data if overlay is not None else (tmp_path / "host").read_bytes())


WRITER = """
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    static char text[30000];
    struct iovec parts[3] = {{text, 10000}, {text + 10000, 0}, {text + 10000, 20000}};
    for (int i = 0; i < 60; i++) {
        for (unsigned k = 0; k < sizeof text; k++) text[k] = (char)(i + k * 7 / 3);
        if (i % 2 ? write(1, text, sizeof text) != sizeof text : writev(1, parts, 3) != sizeof text) return 1;
    }
    return 0;
}
"""


def test_a_write_that_fits_in_part_is_gone_on_with_where_it_stopped(compile_guest: Callable[..., Path]) -> None:
    """The pipe holds 4 KiB and somebody reads it in odd pieces: nothing is lost, nothing twice."""
    import fcntl

    program = compile_guest("writer", "-static", source=WRITER)
    got: list[bytes] = []
    with a_pipe() as (read, write):
        fcntl.fcntl(write, 1031, 4096)  # F_SETPIPE_SZ

        def drain() -> None:
            while len(got) < 1 or sum(map(len, got)) < 60 * 30000:
                got.append(os.read(read, 3001))

        reader = threading.Thread(target=drain)
        reader.start()
        with create_process(str(program), [str(program)], stdio=(read, write, 2), env=ENVIRONMENT) as process:
            assert process.run(100).status == 0
        reader.join(20)
    wanted = b"".join(bytes((i + k * 7 // 3) & 0xFF for k in range(30000)) for i in range(60))
    assert b"".join(got) == wanted
