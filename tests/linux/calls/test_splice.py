"""Transfers from file to file: the same results as the host's, waits that end, mappings that see them."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest

from ..conftest import run_guest, run_host


@pytest.fixture
def splicing(compile_guest):
    return compile_guest("splicing")


def compare(splicing: Path, tmp_path: Path, script: list[str], mode: str = "nonblock", *, pipes: bool = True) -> None:
    """pipes: what is in pipes at the end, too; what came of a file changes there with the file, and not here."""
    words = [re.sub(r" -(?= )", " -100", word) for word in script]
    results = []
    for side, run in (("host", run_host), ("ours", run_guest)):
        root = tmp_path / side
        root.mkdir()
        (root / "one").write_bytes(bytes(i * 7 % 251 for i in range(30000)))
        (root / "two").write_bytes(b"0123456789" * 1000)
        options = {"allow_write": [root]} if side == "ours" else {}
        outcome = run(splicing, mode, *words, cwd=root, **options)
        lines = [line if pipes or not line.startswith("pipe ") else line.split()[2] for line in outcome.lines]
        results.append((outcome.status, lines))
    assert results[1] == results[0]


SCRIPTS = {
    "sendfile to a file": [
        "s 1 0 - 0 500",
        "s 1 0 100 0 500",
        "s 12 10 29990 0 500",
        "s 1 0 30000 0 5",
        "s 1 0 -1 0 5",
    ],
    "sendfile refuses": [
        "s 20 0 0 0 5",
        "s 0 20 0 0 5",
        "s 10 0 0 0 5",
        "s 1 12 0 0 5",
        "s 1 2 - 0 5",
        "s 1 2 0 0 5",
        "s 9 0 - 0 5",
        "s 1 13 - 0 5",
        "s 1 11 - 0 5",
        "s 14 0 0 0 5",
        "s 1 14 0 0 5",
        "s 1 0 - 0 -1",
        f"s 1 0 {(1 << 63) - 5} 0 10",
        "s 1 7 - 0 5",
        "s 20 20 0 0 0",
    ],
    "sendfile to and from devices": [
        "s 7 0 - 0 400",
        "s 1 6 - 0 700",
        "s 8 0 - 0 4",
        "s 1 8 - 0 4",
        "s 15 0 - 0 4",
        "s 7 15 - 0 4",
        "s 7 6 5 0 40",
    ],
    "sendfile to a pipe": ["s 3 0 - 0 500", "s 3 0 200 0 1000000", "s 3 0 - 0 5", "s 3 6 - 0 5"],
    "copy_file_range": [
        "c 1 0 - - 500",
        "c 1 0 5 50 500",
        "c 1 0 29000 - 5000",
        "c 1 0 40000 0 5",
        "c 1 0 0 0 0",
    ],
    "copy_file_range refuses": [
        "c 1 0 0 0 5 1",
        "c 20 0 0 0 5",
        "c 1 20 0 0 5",
        "c 10 0 0 0 5",
        "c 1 12 0 0 5",
        "c 9 1 0 0 5",
        "c 11 0 0 0 5",
        "c 1 11 0 0 5",
        "c 7 0 0 0 5",
        "c 1 6 0 0 5",
        "c 1 2 0 0 5",
        "c 3 0 0 0 5",
        "c 1 0 -1 0 5",
        "c 1 0 0 -1 5",
        "c 14 0 0 0 5",
        "c 3 11 0 0 5",
    ],
    "copy_file_range within a file": [
        "c 0 0 0 2 5",
        "c 0 0 2 0 5",
        "c 0 0 0 100 100",
        "c 0 9 0 99 100",
        "c 0 0 29990 29995 1000",
        "c 0 0 29990 30005 1000",
        "c 0 0 - - 5",
        "c 0 0 0 20000 100000",
    ],
    "splice": [
        "w 3 5000",
        "p 5 2 - - 200 0",
        "p 1 2 - - 300 0",
        "p 1 4 - 50 1000 0",
        "p 3 0 - - 4000 0",
        "p 3 0 777 - 4000 0",
        "p 7 2 - - 1000 0",
        "p 3 6 - - 99 0",
        "p 8 2 - - 10 0",
        "p 3 0 - - 1000000 0",
        "p 3 0 - - 10 0",
    ],
    "splice refuses": [
        "p 3 0 - - 0 0",
        "p 20 20 - - 0 99",
        "p 3 0 - - 5 16",
        "p 3 20 - - 5 0",
        "p 20 2 - - 5 0",
        "p 3 2 - - 5 0",
        "p 1 0 - - 5 0",
        "p 1 2 5 - 5 0",
        "p 3 0 - 5 5 0",
        "p 3 2 5 5 5 0",
        "p 9 2 - - 5 0",
        "p 3 12 - - 5 0",
        "p 10 2 - - 5 0",
        "p 3 11 - - 5 0",
        "p 2 0 - - 5 0",
        "p 1 3 - - 5 0",
        "p 3 0 -1 - 5 0",
        "p 3 13 - - 5 0",
        "p 1 2 - - 5 0",
        "p 3 0 - - -1 0",
    ],
    "tee": [
        "w 3 100",
        "t 5 2 - - 60 0",
        "t 5 2 - - 600 2",
        "t 3 2 - - 6 0",
        "t 5 0 - - 6 0",
        "t 1 2 - - 6 0",
        "t 4 2 - - 6 0",
        "t 20 2 - - 6 0",
        "t 5 2 - - 0 0",
        "t 5 2 - - 6 77",
        "r 2 30",
        "t 5 2 - - 600 0",
    ],
    "vmsplice": [
        "v 3 5000 0",
        "r 2 100",
        "v 2 200 0",
        "v 0 100 0",
        "v 3 0 0",
        "v 20 5 0",
        "v 3 5 16",
        "v 0 0 0",
        "v 2 10000 0",
        "v 2 10 2",
    ],
    "mappings see it": [
        "m",
        "s 1 0 0 0 300",
        "c 1 0 5 50 5000",
        "w 3 400",
        "p 1 2 - 90 10 0",
        "s 0 1 0 0 4096",
        "c 0 1 0 0 4096",
        "k 1 0",
        "f 1 3 0 4096",
        "f 1 0 0 20000",
        "s 3 1 - 0 200",  # at the end: what is in a pipe stays as it is here, and shows later changes of the file there
    ],
    "fallocate": [
        "f 0 0 0 40000",
        "f 0 1 0 50000",
        "f 0 3 100 300",
        "f 0 16 4096 4096",
        "f 0 2 0 10",
        "f 0 0 -1 5",
        "f 0 0 0 0",
        "f 10 0 0 5",
        "f 20 0 0 5",
        "f 3 0 0 5",
        "f 7 0 0 5",
        "f 7 0 0 0",
        "f 11 0 0 5",
        "f 0 255 0 5",
        "f 14 0 0 5",
        "f 0 8 0 4096",
        "f 0 32 4096 4096",
        "f 0 128 0 5",
    ],
}


@pytest.mark.parametrize("what", SCRIPTS)
def test_transfers_answer_as_the_hosts(splicing, tmp_path, what):
    compare(splicing, tmp_path, SCRIPTS[what])


def random_script(seed: int, length: int) -> list[str]:
    pick = random.Random(seed)
    slots = [0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 20]
    script = ["m"] if seed % 2 else []  # later: pages in a pipe would show what is written to the mapping

    def offset() -> int | str:
        return pick.choice(["-", "-", 0, 1, 100, 4096, 9999, 29999, 31000])

    for _ in range(length):
        count = pick.choice([0, 1, 10, 100, 4095, 4096, 5000, 9000, 70000])
        flags = pick.choice([0, 0, 0, 1, 2, 16])
        what = pick.choice("sscccppppptwrk")
        if what in "scpt":
            script.append(f"{what} {pick.choice(slots)} {pick.choice(slots)} {offset()} {offset()} {count} {flags}")
        elif what == "w":
            script.append(f"w {pick.choice([0, 1, 3, 5])} {count}")
        elif what == "r":
            script.append(f"r {pick.choice([0, 1, 2, 4])} {count}")
        else:
            script.append(f"k {pick.choice([0, 1])} {count}")
    return script


@pytest.mark.parametrize("seed", range(6))
def test_random_transfers_answer_as_the_hosts(splicing, tmp_path, seed):
    compare(splicing, tmp_path, random_script(seed, 200), pipes=False)


def test_a_transfer_waits_for_a_pipe(splicing, tmp_path):
    compare(
        splicing,
        tmp_path,
        [
            "w 3 10",
            "p 5 2 - - 4 0",
            "p 5 2 - - 4 2",
            "p 5 2 - - 9 2",
            "p 5 2 - - 9 2",
            "t 3 4 - - 9 0",
            "s 3 0 - - 9 0",
        ],
        "block",
    )


WAITS = {
    "sendfile to a full pipe": "s 3 0 - - 9 0",
    "splice to a full pipe": "p 3 0 - - 9 0",
    "splice from an empty pipe": "p 1 4 - - 9 0",
    "splice between pipes": "p 3 4 - - 9 0",
    "tee to a full pipe": "t 3 4 - - 9 0",
    "vmsplice to a full pipe": "v 3 9 0",
    "vmsplice from an empty pipe": "v 4 9 0",
}


@pytest.mark.parametrize("what", WAITS)
def test_a_wait_of_a_transfer_ends_with_the_time_of_the_run(splicing, tmp_path, what):
    for file in ("one", "two"):
        (tmp_path / file).write_bytes(b"x" * 100000)
    begin = time.monotonic()
    outcome = run_guest(
        splicing,
        "block",
        "w 3 65536",
        re.sub(r" -(?= )", " -100", WAITS[what]),
        cwd=tmp_path,
        allow_write=[tmp_path],
        timeout=0.4,
    )
    assert outcome.status == 124
    assert time.monotonic() - begin < 50


def test_a_transfer_into_a_pipe_without_reader_is_epipe(compile_guest, tmp_path):
    source = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>
static int got;
static void h(int s) { got++; }
int main(int argc, char **argv) {
    int f = open(argv[1], O_RDONLY), p[2], q[2];
    signal(SIGPIPE, h);
    pipe(p), pipe(q);
    write(q[1], "abc", 3);
    close(p[0]);
    long n = sendfile(p[1], f, 0, 5);
    printf("%ld %s %d\\n", n, strerrorname_np(errno), got);
    n = splice(q[0], 0, p[1], 0, 5, 0);
    printf("%ld %s %d\\n", n, strerrorname_np(errno), got);
    n = tee(q[0], p[1], 5, 0);
    printf("%ld %s %d\\n", n, strerrorname_np(errno), got);
    printf("%x %x\\n", fcntl(q[0], F_GETFL), fcntl(f, F_GETFL));
}
"""
    program = compile_guest("epipe", source=source)
    (tmp_path / "f").write_text("some text")
    assert run_guest(program, tmp_path / "f").lines == run_host(program, tmp_path / "f").lines
