"""File locks: the same answers as the host's, and the host's own locks where the guest may write, nowhere else."""

from __future__ import annotations

import fcntl
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from axptr.linux import create_process
from axptr.linux.files.locks import (
    F_RDLCK,
    F_UNLCK,
    F_WRLCK,
    OFFSET_MAX,
    Held,
    Range,
)
from axptr.linux.fs.host.locks import FLOCK

from ..conftest import ENVIRONMENT, run_guest, run_host

GETLK, SETLK, SETLKW, OFD_GETLK, OFD_SETLK, OFD_SETLKW = 5, 6, 7, 36, 37, 38
SH, EX, NB, UN = 1, 2, 4, 8


def whole(slot: int, command: int, kind: int) -> str:
    return f"s {slot} {command} {kind} 0 0 0 0"


def compare(locking: Path, tmp_path: Path, script: list[str], name: str = "same") -> None:
    results = []
    for side, run in (("host", run_host), ("ours", run_guest)):
        root = tmp_path / f"{side}-{name}"
        root.mkdir()
        for file in ("one", "two"):
            (root / file).write_bytes(b"x" * 1000)
        options = {"allow_write": [root]} if side == "ours" else {}
        outcome = run(locking, *script, cwd=root, **options)
        results.append((outcome.status, outcome.lines))
    assert results[1] == results[0], script


@pytest.fixture
def locking(compile_guest):
    return compile_guest("locking")


OPENED = [f"o 0 one {os.O_RDWR}", f"o 1 one {os.O_RDWR}", f"o 2 one {os.O_RDONLY}", f"o 3 one {os.O_WRONLY}"]

SCRIPTS = {
    "an OFD lock forbids another description's": [
        whole(0, OFD_SETLK, 1),
        whole(1, OFD_SETLK, 0),
        whole(1, OFD_GETLK, 1),
    ],
    "an OFD lock forbids the process's own record lock": [
        whole(0, OFD_SETLK, 1),
        whole(0, SETLK, 1),
        whole(0, GETLK, 1),
    ],
    "a record lock forbids an OFD lock": [whole(0, SETLK, 1), whole(0, OFD_SETLK, 1), whole(1, OFD_GETLK, 1)],
    "record locks of one process never conflict": [whole(0, SETLK, 1), whole(1, SETLK, 1), whole(1, GETLK, 1)],
    "closing any descriptor drops record locks": [whole(0, SETLK, 1), "c 2", whole(1, OFD_SETLK, 1)],
    "closing a duplicate drops record locks": [whole(0, SETLK, 1), "d 0 7", "c 7", whole(1, OFD_SETLK, 1)],
    "dup2 over a descriptor drops record locks": [whole(0, SETLK, 1), "d 0 2", whole(1, OFD_SETLK, 1)],
    "closing another file drops nothing": [whole(0, SETLK, 1), "o 5 two 2", "c 5", whole(1, OFD_SETLK, 1)],
    "an OFD lock lasts as long as a duplicate": [
        whole(0, OFD_SETLK, 1),
        "d 0 7",
        "c 0",
        whole(1, OFD_SETLK, 1),
        "c 7",
        whole(1, OFD_SETLK, 1),
    ],
    "unlocking the middle leaves both ends": [
        whole(0, OFD_SETLK, 1),
        f"s 0 {OFD_SETLK} 2 0 100 50 0",
        f"s 1 {OFD_GETLK} 1 0 0 0 0",
        f"s 1 {OFD_GETLK} 1 0 100 50 0",
        f"s 1 {OFD_GETLK} 1 0 120 0 0",
    ],
    "a lock may be downgraded": [
        whole(0, OFD_SETLK, 1),
        whole(0, OFD_SETLK, 0),
        whole(1, OFD_SETLK, 0),
        whole(0, OFD_SETLK, 1),
    ],
    "the mode must fit": [whole(2, SETLK, 1), whole(3, SETLK, 0), whole(3, OFD_GETLK, 0), whole(2, SETLK, 0)],
    "bad ranges and kinds": [
        f"s 0 {SETLK} 1 7 0 0 0",
        f"s 0 {SETLK} 5 0 0 0 0",
        f"s 0 {SETLK} 1 0 -1 0 0",
        f"s 0 {SETLK} 1 0 10 -20 0",
        f"s 0 {SETLK} 1 2 {OFFSET_MAX} 0 0",
        f"s 0 {SETLK} 1 0 2 {OFFSET_MAX} 0",
        f"s 0 {GETLK} 2 0 0 0 0",
        f"s 0 {OFD_GETLK} 2 0 0 0 0",
        f"s 0 {OFD_SETLK} 1 0 0 0 5",
        f"s 0 {OFD_GETLK} 1 0 0 0 5",
        f"s 9 {SETLK} 1 0 0 0 0",
    ],
    "ranges from the position and the end": [
        "k 0 300",
        f"s 0 {OFD_SETLK} 1 1 10 5 0",
        f"s 1 {OFD_GETLK} 0 0 0 0 0",
        f"s 0 {OFD_SETLK} 1 2 -10 -5 0",
        f"s 1 {OFD_GETLK} 0 0 400 0 0",
    ],
    "flock is by description": [
        f"f 0 {EX}",
        f"f 1 {SH | NB}",
        f"f 0 {SH}",
        f"f 1 {SH | NB}",
        f"f 1 {EX | NB}",
        f"f 0 {UN}",
        f"f 1 {EX | NB}",
    ],
    "a flock that cannot be another is lost": [f"f 0 {SH}", f"f 1 {SH}", f"f 0 {EX | NB}", f"f 1 {EX | NB}"],
    "flock lasts as long as a duplicate": [f"f 0 {EX}", "d 0 7", "c 0", f"f 1 {SH | NB}", "c 7", f"f 1 {SH | NB}"],
    "flock needs no mode": [f"f 2 {EX | NB}", f"f 2 {UN}", f"f 3 {SH | NB}"],
    "flock and record locks do not meet": [f"f 0 {EX}", whole(1, SETLK, 1), whole(1, OFD_SETLK, 1)],
    "bad operations of flock": ["f 0 0", "f 0 3", "f 9 0", "f 9 1", "f 0 40", "f 9 33", "f 0 12", "f 0 1025"],
    "locks of what has no host file": [
        "o 5 /dev/null 2",
        "o 6 /dev/null 2",
        whole(5, OFD_SETLK, 1),
        whole(6, OFD_SETLK, 1),
        f"f 5 {EX}",
        f"f 6 {SH | NB}",
        f"s 5 {OFD_SETLK} 1 2 0 0 0",
    ],
    "a directory can be locked": [
        "o 5 . 0",
        "o 6 . 0",
        f"f 5 {EX}",
        f"f 6 {SH | NB}",
        whole(5, SETLK, 0),
        whole(5, SETLK, 1),
    ],
    "a mere place cannot": [
        f"o 5 one {os.O_PATH}",
        f"f 5 {SH}",
        whole(5, SETLK, 0),
        "o 6 one 3",
        f"f 6 {SH}",
        whole(6, SETLK, 0),
    ],
    "locks stay over exec": [
        whole(0, SETLK, 1),
        f"f 0 {EX}",
        f"s 2 {OFD_SETLK} 0 0 0 9 0",
        "e",
        whole(1, OFD_GETLK, 1),
        f"f 1 {SH | NB}",
    ],
}


@pytest.mark.parametrize("what", SCRIPTS)
def test_lock_calls_answer_as_the_hosts(locking, tmp_path, what):
    compare(locking, tmp_path, OPENED + SCRIPTS[what])


def random_script(seed: int, length: int) -> list[str]:
    pick = random.Random(seed)
    script = list(OPENED)
    for _ in range(length):
        slot, other = pick.randrange(6), pick.randrange(6)
        what = pick.random()
        if what < 0.08:
            script.append(f"o {slot} {pick.choice(['one', 'one', 'two'])} {pick.choice([0, 1, 2, 2, 2])}")
        elif what < 0.13:
            script.append(f"d {slot} {other}")
        elif what < 0.17:
            script.append(f"c {slot}")
        elif what < 0.20:
            script.append(f"k {slot} {pick.randrange(200)}")
        elif what < 0.35:
            script.append(f"f {slot} {pick.choice([SH, EX, UN]) | NB}")
        else:
            command = pick.choice([GETLK, SETLK, SETLK, OFD_GETLK, OFD_SETLK, OFD_SETLK, OFD_SETLK])
            kind = pick.choice([F_RDLCK, F_WRLCK, F_UNLCK])
            whence = pick.choice([0, 0, 0, 1, 2])
            start = (
                pick.choice([0, 1, 10, 50, 99, 100, -10, -1000])
                if whence
                else pick.choice([0, 5, 10, 50, 99, 100, 150])
            )
            size = pick.choice([0, 1, 5, 10, 50, 100, -1, -5])
            script.append(f"s {slot} {command} {kind} {whence} {start} {size} 0")
    return script


@pytest.mark.parametrize("seed", range(8))
def test_random_sequences_of_lock_calls_answer_as_the_hosts(locking, tmp_path, seed):
    compare(locking, tmp_path, random_script(seed, 300))


def test_ranges_are_what_a_list_of_bytes_says():
    pick = random.Random(5)
    held, model = Held(1), [F_UNLCK] * 40
    for _ in range(3000):
        start = pick.randrange(40)
        last = pick.randrange(start, 40)
        kind = pick.choice([F_RDLCK, F_WRLCK, F_UNLCK])
        held.set(start, last, kind)
        model[start : last + 1] = [kind] * (last + 1 - start)
        held._check()
        found = [F_UNLCK] * 40
        for piece in held.overlapping(0, 39):
            found[piece.start : piece.last + 1] = [piece.kind] * (piece.last + 1 - piece.start)
        assert found == model
    held.set(0, OFFSET_MAX, F_WRLCK)
    assert held.ranges == [Range(0, OFFSET_MAX, F_WRLCK)]


# -- the host's side


class HoldingGuest:
    """A guest that runs a script as far as its `r`, and waits there until the block is left."""

    def __init__(self, locking: Path, root: Path, script: list[str], **options: object) -> None:
        self._in, self._feed = os.pipe()
        self._seen, self._out = os.pipe()
        self._process = create_process(
            locking, [str(locking), *script, "p ready", "r", "p over"], ENVIRONMENT, cwd=root,
            stdio=(self._in, self._out, self._out), **options,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._process.run, args=(60,))

    def __enter__(self) -> HoldingGuest:
        self._thread.start()
        self.said = b""
        while b"ready\n" not in self.said:
            self.said += os.read(self._seen, 4096)
        return self

    def __exit__(self, *exc: object) -> None:
        os.write(self._feed, b"\n")
        self._thread.join()
        assert self._process.task.exit_code == 0
        for fd in (self._in, self._feed, self._seen, self._out):
            os.close(fd)

    def close(self) -> None:
        self._process.close()


def host_may_lock(path: Path, kind: int) -> bool:
    """Whether another process of the host would be given a record lock on the first byte."""
    code = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), int(sys.argv[2]) | fcntl.LOCK_NB, 1)"
    return subprocess.run([sys.executable, "-c", code, path, str(kind)], stderr=subprocess.DEVNULL).returncode == 0


def host_may_flock(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "one"
    path.write_bytes(b"x" * 100)
    return path


@pytest.mark.parametrize("command", [SETLK, OFD_SETLK])
def test_the_host_sees_the_guests_lock_where_it_may_write(locking, database, command):
    guest = HoldingGuest(locking, database.parent, [*OPENED, whole(0, command, 1)], allow_write=[database.parent])
    with guest:
        assert not host_may_lock(database, fcntl.LOCK_SH)
        assert host_may_flock(database)
    assert host_may_lock(database, fcntl.LOCK_EX), "the lock outlived the program"
    guest.close()


def test_the_host_sees_the_weaker_lock_that_is_left(locking, database):
    script = [*OPENED, whole(0, OFD_SETLK, 0), whole(1, OFD_SETLK, 0), whole(0, OFD_SETLK, 2)]
    with HoldingGuest(locking, database.parent, script, allow_write=[database.parent]) as guest:
        assert host_may_lock(database, fcntl.LOCK_SH)
        assert not host_may_lock(database, fcntl.LOCK_EX)
    guest.close()


def test_the_host_sees_the_guests_flock_where_it_may_write(locking, database):
    with HoldingGuest(locking, database.parent, [*OPENED, f"f 0 {EX}"], allow_write=[database.parent]) as guest:
        assert not host_may_flock(database)
        assert host_may_lock(database, fcntl.LOCK_EX)
    guest.close()


def test_without_permission_the_host_holds_no_lock(locking, database):
    script = [f"o 0 one {os.O_RDONLY}", whole(0, SETLK, 0), whole(0, OFD_SETLK, 0), f"f 0 {EX}"]
    with HoldingGuest(locking, database.parent, script) as guest:
        assert b"-1" not in guest.said
        inode = f":{database.stat().st_ino} "
        assert inode not in Path("/proc/locks").read_text()
    guest.close()


@pytest.mark.parametrize("allowed", [True, False])
def test_a_lock_of_the_host_forbids_the_guests_and_names_its_holder(locking, database, allowed):
    code = (
        "import fcntl, os, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX, 10, 20)\n"
        "print(os.getpid(), flush=True); sys.stdin.read()"
    )
    options = {"allow_write": [database.parent]} if allowed else {}
    with subprocess.Popen(
        [sys.executable, "-c", code, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        script = [f"o 0 one {os.O_RDONLY}", whole(0, GETLK, 0), whole(0, SETLK, 0), f"s 0 {SETLK} 0 0 0 20 0"]
        outcome = run_guest(locking, *script, cwd=database.parent, **options)
        assert holder.stdin is not None
        holder.stdin.close()
    assert outcome.lines[1].startswith(f"[1 0 20 10 {pid}] ")
    assert outcome.lines[2].endswith("-1 EAGAIN")
    assert outcome.lines[3].endswith("0 ")


def lock_by_host(path: Path) -> int:
    fd = os.open(path, os.O_RDWR)
    fcntl.fcntl(fd, OFD_SETLK, FLOCK.pack(F_WRLCK, 0, 0, 0, 0))
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


@pytest.mark.parametrize("waits", [whole(0, SETLKW, 1), whole(0, OFD_SETLKW, 1), f"f 0 {EX}"])
def test_a_guest_waits_for_a_lock_of_the_host(locking, database, waits):
    fd = lock_by_host(database)
    threading.Timer(0.3, os.close, (fd,)).start()
    begin = time.monotonic()
    outcome = run_guest(locking, *OPENED, waits, cwd=database.parent, allow_write=[database.parent])
    assert outcome.lines[-1].endswith(": 0 ")
    assert time.monotonic() - begin > 0.2


@pytest.mark.parametrize("waits", [whole(0, SETLKW, 1), whole(0, OFD_SETLKW, 1), f"f 0 {EX}"])
def test_a_wait_for_a_lock_ends_with_the_time_of_the_run(locking, database, waits):
    fd = lock_by_host(database)
    try:
        outcome = run_guest(locking, *OPENED, waits, cwd=database.parent, allow_write=[database.parent], timeout=0.3)
    finally:
        os.close(fd)
    assert outcome.status == 124


def test_two_runs_agree_on_one_file(locking, database):
    allowed = {"cwd": database.parent, "allow_write": [database.parent]}
    guest = HoldingGuest(locking, database.parent, [*OPENED, whole(0, SETLK, 1)], allow_write=[database.parent])
    with guest:
        other = run_guest(locking, *OPENED, whole(0, SETLK, 1), whole(0, GETLK, 1), **allowed)
        assert other.lines[-2].endswith("-1 EAGAIN")
        assert other.lines[-1].startswith("[1 0 0 0 -1] ")
    guest.close()
    assert run_guest(locking, *OPENED, whole(0, SETLK, 1), **allowed).lines[-1].endswith(": 0 ")


def test_a_signal_ends_the_wait_for_a_lock(compile_guest, tmp_path):
    source = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
static void h(int s) {}
int main(int argc, char **argv) {
    int a = open(argv[1], O_RDWR), b = open(argv[1], O_RDWR);
    struct flock l = {.l_type = F_WRLCK};
    struct sigaction act = {.sa_handler = h};
    sigaction(SIGALRM, &act, 0);
    flock(a, LOCK_EX), fcntl(a, F_OFD_SETLK, &l);
    alarm(1);
    int n = flock(b, LOCK_EX);
    printf("%d %s\\n", n, strerrorname_np(errno));
    alarm(1);
    n = fcntl(b, F_SETLKW, &l);
    printf("%d %s\\n", n, strerrorname_np(errno));
}
"""
    program = compile_guest("waiting", source=source)
    (tmp_path / "f").write_text("x")
    ours = run_guest(program, tmp_path / "f", allow_write=[tmp_path])
    assert ours.lines == run_host(program, tmp_path / "f").lines == ["-1 EINTR"] * 2
