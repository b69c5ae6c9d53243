"""A machine of many tasks on the native engine: what programs that fork, signal and talk cost, against the same on the
host. The rates of `redis-benchmark` are those of its own client, which runs in the machine too.
"""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .engine import GUESTS
from .harness import Benchmark, Mode, Pair, Side, Skip
from .programs import in_directory, needed, timed, told
from .startup import axptr_command

FILES = 5000
HELLO = '#include <stdio.h>\nint main(void) { return printf("hello\\n") < 0; }\n'
TRUE_100 = ("bash", "-c", "for i in $(seq 100); do /bin/true; done")
KINDS = {
    "fork": ("fork, exit and wait of a child", 10.0, 300),
    "signal": ("a signal to itself, and its handler", None, 5000),
    "pty": ("a line through a pty, from end to end", None, 2000),
    "socket": ("a byte to another process and back, through a socket pair", None, 1000),
}
"""Of `guests/machine.c`: what it does, the bar against the host, how often."""
TASKS = {
    "pipe": (
        "pipe",
        "a byte to another process and back, through two pipes",
        "null",
        "a call that does nothing",
        4.0,
        3000,
    ),
    "futex": ("futex", "a hand-over between two threads by a futex", "null", "a call that does nothing", 5.0, 6000),
    "two": ("two", "two processes that compute", "one", "one that does the work of both", 1.1, 40_000),
    "sleepers": (
        "sleepers",
        "a task that computes and calls, beside 10,000 that sleep",
        "alone",
        "it alone",
        1.1,
        4000,
    ),
}
"""Of the same program: kind, what it does, the peer's kind, what that does, the bar, how often. Both are inside."""
MAKE = """CFLAGS = -O1
objects = $(patsubst %.c,%.o,$(wildcard *.c))
all: $(objects)
"""
SOURCE = '#include <stdio.h>\nint f{i}(int n) {{ for (int i = 0; i < n; i++) printf("%d\\n", i * {i}); return n; }}\n'


def benchmarks() -> list[Benchmark]:
    return [
        *(_inside(kind, text, bar, times) for kind, (text, bar, times) in KINDS.items()),
        *(_among(name, *row) for name, row in TASKS.items()),
        Benchmark("machine.make", "make -j2 of 40 small C files with --engine-jobs 2", "make -j1 of them", 0.65, _make),
        Benchmark("machine.true", "bash runs /bin/true 100 times, the whole process", "qemu-x86_64", None, _true),
        Benchmark("machine.gcc", "gcc compiles and links hello.c, the whole process", "the host", 3.0, _gcc),
        Benchmark("machine.git_status", f"git status in {FILES} files, the whole process", "the host", 4.0, _git),
        Benchmark("machine.redis_set", "redis-benchmark's SET, seconds for a request", "the host", 8.0, _redis),
    ]


@functools.cache
def _guest() -> Path:
    directory = tempfile.TemporaryDirectory(prefix="axptr-bench-")
    atexit.register(directory.cleanup)
    program = Path(directory.name) / "machine"
    subprocess.run([needed("gcc"), "-O2", "-static", "-pthread", "-o", program, GUESTS / "machine.c"], check=True)
    return program


def _native(command: list[str], *options: str) -> list[str]:
    return [*axptr_command()[:2], "--engine", "native", *options, "--", *command]


def _inside(kind: str, text: str, bar: float | None, times: int) -> Benchmark:
    def prepare(mode: Mode) -> Pair:
        count = times // 10 if mode.smoke else times
        command = [str(_guest()), kind, str(count)]
        return Pair(told(_native(command)), told(command), slow=1, operations=count)

    return Benchmark(f"machine.{kind}", f"{text}, by the program's own clock", "the host", bar, prepare)


def _among(name: str, kind: str, text: str, other: str, peer: str, bar: float, times: int) -> Benchmark:
    def prepare(mode: Mode) -> Pair:
        count = str(times // 10 if mode.smoke else times)
        subject, alone = (told(_native([str(_guest()), what, count])) for what in (kind, other))
        return Pair(subject, alone, slow=1, operations=int(count))

    return Benchmark(f"machine.{name}", f"{text}, by the program's own clock", peer, bar, prepare)


def _make(mode: Mode) -> Pair:
    """The same files are made again and again, each time in a machine of its own."""
    make = [needed("make"), "-s", "-B"]
    needed("gcc")

    def sides(where: Path) -> tuple[Side, Side]:
        (where / "Makefile").write_text(MAKE)
        for i in range(4 if mode.smoke else 40):
            (where / f"part{i}.c").write_text(SOURCE.format(i=i))
        temporary = [needed("env"), f"TMPDIR={where}", *make, "-C", str(where)]
        options = "--allow-write", str(where)
        return (
            timed(_native([*temporary, "-j2"], *options, "--engine-jobs", "2")),
            timed(_native([*temporary, "-j1"], *options)),
        )

    return in_directory(sides, slow=1)


def _true(mode: Mode) -> Pair:
    qemu, bash = needed("qemu-x86_64"), needed(TRUE_100[0])
    command = [bash, "-c", TRUE_100[2].replace("100", "10") if mode.smoke else TRUE_100[2]]
    return Pair(timed(_native(command)), timed([qemu, *command]), slow=1)


def _in_directory(fill: Callable[[Path], list[str]]) -> Pair:
    """A command over files in a directory of its own, which it may write to."""

    def sides(where: Path) -> tuple[Side, Side]:
        command = fill(where)
        return timed(_native(command, "--allow-write", str(where))), timed(command)

    return in_directory(sides, slow=1)


def _gcc(mode: Mode) -> Pair:
    def fill(where: Path) -> list[str]:
        (where / "hello.c").write_text(HELLO)
        # the work files that gcc makes on the way go where it may write
        return [needed("env"), f"TMPDIR={where}", needed("gcc"), "-o", str(where / "hello"), str(where / "hello.c")]

    return _in_directory(fill)


def _git(mode: Mode) -> Pair:
    git = needed("git")

    def fill(where: Path) -> list[str]:
        for i in range(FILES // (100 if mode.smoke else 1)):
            folder = where / str(i // 100)
            folder.mkdir(exist_ok=True)
            (folder / f"file{i}").write_text(f"{i}\n")
        alone = {**os.environ, "HOME": str(where), "GIT_CONFIG_NOSYSTEM": "1"}
        for words in (["init", "-q"], ["add", "."]):
            subprocess.run([git, "-C", str(where), *words], check=True, capture_output=True, env=alone)
        safe = ["-c", f"safe.directory={where}"]
        return [git, *safe, "-C", str(where), "status", "--short", "--untracked-files=no"]

    return _in_directory(fill)


def _redis(mode: Mode) -> Pair:
    requests = 300 if mode.smoke else 5000
    for program in ("redis-server", "redis-benchmark", "redis-cli"):
        needed(program)
    script = (
        "redis-server --port {port} --bind 127.0.0.1 --save '' --appendonly no --daemonize no >/dev/null & "
        "until redis-cli -p {port} ping >/dev/null 2>&1; do sleep 0.05; done; "
        f"redis-benchmark -p {{port}} -t set -n {requests} -c 10 --csv; redis-cli -p {{port}} shutdown nosave; wait"
    )
    port = 20_000 + os.getpid() % 20_000
    command = [needed("sh"), "-c", script.format(port=port)]
    return Pair(_rate(_native(command)), _rate(command), slow=1)


def _rate(command: list[str]) -> Side:
    """Seconds for a request, by the client's own account of its rate."""

    def side(times: int) -> float:
        total = 0.0
        for _ in range(times):
            began = time.perf_counter()
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
            rows = [line.split(",") for line in done.stdout.splitlines() if line.startswith('"SET"')]
            if not rows:
                raise Skip(
                    f"redis-benchmark said nothing after {time.perf_counter() - began:.1f} s: {done.stderr[-300:]}"
                )
            total += 1 / float(rows[0][1].strip('"'))
        return total

    return side
