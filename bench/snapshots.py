"""What it costs to branch, put back, save and load a machine. A bar in seconds is a peer that takes just so long."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from axptr.linux import PIPE, Linux
from axptr.linux.snapshots.snapshot import MachineSnapshot

from .harness import Benchmark, Mode, Pair, Side, Skip
from .programs import needed, told
from .sandboxes import takes

PROMPT = """
import sys
big = bytearray({size} << 20)
big[::4096] = b"x" * len(big[::4096])
print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    sys.stdout.flush()
"""
SANDLOCK_CLONES = """
import sandlock, sys, time
big = []
def begin():
    big.append(bytearray(15 << 20))
def line(number):
    print(number, flush=True)
origin = sandlock.Sandbox(fs_readable=["/"], init_fn=begin, work_fn=line)
began = time.perf_counter()
done = sandlock.Sandbox(fs_readable=["/"]).reduce(["/bin/cat"], origin.fork(100))
assert len(done.stdout.split()) == 100
print((time.perf_counter() - began) / 100)
"""
PAGES = 100
SAVED, LOADED = 256, 1024
"""MiB."""


def benchmarks() -> list[Benchmark]:
    return [
        Benchmark("snapshot.branch", "a machine with python3 at its prompt is branched", "1 ms", 1.0, _branch),
        Benchmark("snapshot.working", "it is branched, answers a line, and is closed", "1 ms", None, _working),
        Benchmark("snapshot.working.sandlock", "the same", "one of sandlock's clones prints a line", None, _sandlock),
        Benchmark("snapshot.restore", f"a line that writes {PAGES} pages is undone", "100 us and more", 1.0, _restore),
        Benchmark("snapshot.save", f"{SAVED} MiB are saved", "the bytes are written", 1.5, _save),
        Benchmark("snapshot.load", f"{LOADED} MiB are loaded, and not read (verify=False)", "5 ms", 1.0, _load),
        Benchmark("snapshot.save.since", f"what {PAGES} pages add is saved", "its bytes are written", None, _since),
        Benchmark("snapshot.load.since", f"{LOADED} MiB and what was added are loaded", "5 ms", None, _load_since),
    ]  # fmt: skip


def machine(size: int = 0) -> Linux:
    """One with a Python that has so many MiB and waits for lines."""
    linux = Linux(overlay=True, env={"PATH": "/usr/bin:/bin"})
    linux.spawn([needed("python3"), "-S", "-c", PROMPT.format(size=size)], stdin=PIPE, stdout=PIPE, stderr=2)
    answer(linux, b"")
    return linux


def answer(linux: Linux, line: bytes) -> bytes:
    """What the Python prints to a line, once it waits for the next."""
    process = linux.process()
    assert process.stdin is not None
    assert process.stdout is not None
    stdout, before = process.stdout, process.stdout.total
    process.stdin.feed(line)

    def waits() -> bool:
        blocked = process.task.blocked
        return stdout.total > before and blocked is not None and blocked.woken is None

    if not linux.run_until(waits, 300):
        raise RuntimeError("it does not answer")
    return stdout.take()


def _branch(mode: Mode) -> Pair:
    origin = machine()
    snapshot = origin.snapshot()

    def side(times: int) -> float:
        seconds = 0.0
        for _ in range(times):
            began = time.perf_counter()
            copy = Linux.from_snapshot(snapshot)
            seconds += time.perf_counter() - began
            copy.close()
        return seconds

    return Pair(side, takes(0.001), close=origin.close)


def _working(mode: Mode) -> Pair:
    origin = machine()
    snapshot = origin.snapshot()

    def side(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            with Linux.from_snapshot(snapshot) as copy:
                assert answer(copy, b"print(1)\n") == b"1\n"
        return time.perf_counter() - began

    return Pair(side, takes(0.001), close=origin.close)


def _sandlock(mode: Mode) -> Pair:
    command = [sys.executable, "-c", SANDLOCK_CLONES]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Skip(f"sandlock does not run here: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}")
    working = _working(mode)
    return Pair(working.subject, told(command), slow=1, close=working.close)


def _restore(mode: Mode) -> Pair:
    origin = machine(1)
    snapshot = origin.snapshot()
    line = b"big[: %d : 4096] = b'y' * %d; print(1)\n" % (4096 * PAGES, PAGES)
    source, target = bytes(4096 * PAGES), bytearray(4096 * PAGES)

    def side(times: int) -> float:
        seconds = 0.0
        for _ in range(times):
            assert answer(origin, line) == b"1\n"
            began = time.perf_counter()
            origin.restore(snapshot)
            seconds += time.perf_counter() - began
        return seconds

    def peer(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            for at in range(0, len(source), 4096):
                target[at : at + 4096] = source[at : at + 4096]
        return time.perf_counter() - began + times * 0.0001

    return Pair(side, peer, close=origin.close)


def _saved(size: int, mode: Mode, origin: Linux | None = None) -> tuple[MachineSnapshot, Path, Callable[[], None]]:
    """A machine of so many MiB, where it was saved to, and what gives both up."""
    if origin is None:
        origin = machine(size // 16 if mode.smoke else size)
    directory = tempfile.TemporaryDirectory(prefix="axptr-bench-")
    snapshot, path = origin.snapshot(), Path(directory.name) / "saved"
    snapshot.save(path)

    def close() -> None:
        origin.close()
        directory.cleanup()

    return snapshot, path, close


def _save(mode: Mode) -> Pair:
    snapshot, path, close = _saved(SAVED, mode)
    whole = path.read_bytes()

    def side(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            snapshot.save(path)
        return time.perf_counter() - began

    return Pair(side, _written(path, whole), slow=1, close=close)


def _written(path: Path, whole: bytes) -> Side:
    def peer(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            with open(path.with_name("written"), "wb") as file:
                file.write(whole)
                file.flush()
                os.fsync(file.fileno())
        return time.perf_counter() - began

    return peer


def _load(mode: Mode) -> Pair:
    _, path, close = _saved(LOADED, mode)

    def side(times: int) -> float:
        seconds = 0.0
        for _ in range(times):
            began = time.perf_counter()
            loaded = MachineSnapshot.load(path, verify=False)
            seconds += time.perf_counter() - began
            del loaded
        return seconds

    return Pair(side, takes(0.005), slow=1, close=close)


def _added(size: int, mode: Mode) -> tuple[MachineSnapshot, MachineSnapshot, Path, Callable[[], None]]:
    """One that was saved, one of the same machine after some pages more, where the first is, and what gives all up."""
    origin = machine(size // 16 if mode.smoke else size)
    base, path, close = _saved(size, mode, origin)
    answer(origin, b"big[: %d : 4096] = b'y' * %d; print(1)\n" % (4096 * PAGES, PAGES))
    return base, origin.snapshot(), path, close


def _since(mode: Mode) -> Pair:
    base, later, path, close = _added(SAVED, mode)
    more = path.with_name("more")
    later.save(more, since=base)
    whole = more.read_bytes()

    def side(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            later.save(more, since=base)
        return time.perf_counter() - began

    return Pair(side, _written(more, whole), slow=1, close=close)


def _load_since(mode: Mode) -> Pair:
    base, later, path, close = _added(LOADED, mode)
    more = path.with_name("more")
    later.save(more, since=base)

    def side(times: int) -> float:
        seconds = 0.0
        for _ in range(times):
            began = time.perf_counter()
            loaded = MachineSnapshot.load(more, base=path, verify=False)
            seconds += time.perf_counter() - began
            del loaded
        return seconds

    return Pair(side, takes(0.005), slow=1, close=close)
