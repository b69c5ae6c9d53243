"""Pipes between tasks: what a round trip costs, against system calls that do nothing.

Both sides are one static program under the Linux personality, which forks and sends a byte to and fro, or makes calls.
A round trip is four calls, two waits and two changes of the task that has the CPU.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .harness import Benchmark, Mode, Pair, Skip

TRIPS = 1500
SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int main(int argc, char **argv)
{
    int n = atoi(argv[2]), p[2], q[2]; char c = 0; struct timespec a, b;
    if (pipe(p) || pipe(q)) return 1;
    if (argv[1][0] == 't' && !fork()) {
        for (int i = 0; i < n + 1; i++) if (read(p[0], &c, 1) != 1 || write(q[1], &c, 1) != 1) _exit(1);
        _exit(0);
    }
    if (argv[1][0] == 't' && (write(p[1], &c, 1) != 1 || read(q[0], &c, 1) != 1)) return 1;
    syscall(SYS_getppid);
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < n; i++)
        if (argv[1][0] != 't') syscall(SYS_getppid);
        else if (write(p[1], &c, 1) != 1 || read(q[0], &c, 1) != 1) return 1;
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.9f\\n", b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9);
    return 0;
}
"""


def benchmarks() -> list[Benchmark]:
    return [
        Benchmark(
            "pipe.round_trip",
            "a byte to another task and back, through two pipes of the machine's own",
            "a system call that does nothing (getppid)",
            None,  # 4 is what is wanted; the change of the task that has the CPU costs most of it
            _prepare,
        ),
    ]


@functools.cache
def _program() -> Path:
    directory = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    (directory / "trips.c").write_text(SOURCE)
    try:
        command = ["gcc", "-O1", "-static", "-o", str(directory / "trips"), str(directory / "trips.c")]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as failure:
        raise Skip("needs gcc and a static C library") from failure
    return directory / "trips"


def _seconds(what: str, count: int) -> float:
    from axptr.linux import create_process

    program = str(_program())
    with (
        tempfile.TemporaryFile() as out,
        create_process(program, [program, what, str(count)], stdio=(-1, out.fileno(), 2), engine="unicorn") as process,
    ):
        assert process.run(60).status == 0
        out.seek(0)
        return float(out.read())


def _prepare(mode: Mode) -> Pair:
    _program()

    def side(what: str) -> Any:
        return lambda times: sum(_seconds(what, TRIPS) for _ in range(times))

    return Pair(side("trips"), side("calls"), operations=TRIPS, slow=1)
