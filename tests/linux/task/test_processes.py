"""Many processes of one machine: limits, schedules that repeat, what a program leaves behind, what none of it may."""

from __future__ import annotations

import gc
import os
import shutil
from typing import Any

import pytest

from axptr.cli.strace import Tracer
from axptr.linux import create_process

from ..conftest import ENVIRONMENT, run_guest, run_host

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="needs bash")

SCRIPTS = [
    "/bin/echo a | cat; (echo b; exit 3); echo $?; x=$(/bin/echo sub); echo $x",
    "for i in 1 2 3; do (exit $i) & done; wait; for i in 1 2 3; do (exit $i) & wait $!; echo $?; done",
    "trap 'echo out' EXIT; (trap 'echo in' EXIT; kill -TERM $BASHPID); echo $?",
    "sleep 100 & p=$!; kill -9 $p; wait $p 2>/dev/null; echo $?",
    "cat <(echo one) <(/bin/echo two); exec 5<<<here; cat /proc/self/fd/5",
    "sleep 5 & p=$!; until [ $(cat /proc/$p/comm) = sleep ] && grep -q State:.S /proc/$p/status; do :; done;"
    "grep State /proc/$p/status; kill $p; wait $p; test -d /proc/$p || echo gone",
    "bash -c 'echo $PPID' | grep -qx $$ && echo parent; test $PPID -gt 0 && kill -0 $PPID && echo there",
    "(sleep 0.2; echo late) & echo now; wait; seq 2000 | sort -rn | tail -n 1",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_shell_does_what_it_does_on_the_host(script: str) -> None:
    host, ours = run_host(BASH, "-c", script), run_guest(BASH, "-c", script)
    assert (ours.stdout, ours.stderr, ours.status) == (host.stdout, host.stderr, host.status)
    assert not ours.unknown


BOMB = """
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    for (;;) if (fork() < 0 && errno != EAGAIN) printf("%d\\n", errno);
}
"""


def test_a_fork_bomb_stops_at_the_limit_and_leaves_nothing(compile_guest: Any) -> None:
    program = os.fspath(compile_guest("bomb", "-static", source=BOMB))
    gc.collect()
    before = set(os.listdir("/proc/self/fd"))
    with create_process(program, max_procs=40) as process:
        assert process.run(1.5).timed_out
        assert len(process.machine.tasks) == 40
        process.machine.pids._check()
        process.machine.loop._check()
    assert process.phys.data_frames == 0
    del process
    gc.collect()  # places in the tree are held as long as somebody could ask for them
    assert set(os.listdir("/proc/self/fd")) <= before


def trace(script: str, seed: int) -> list[str]:
    lines: list[str] = []
    null = os.open("/dev/null", os.O_RDWR)
    try:
        with create_process(BASH, [BASH, "-c", script], ENVIRONMENT, seed=seed, stdio=(null,) * 3) as process:  # type: ignore[arg-type]
            Tracer(lines.append).trace(process.kernel)
            assert process.run(100).exit_code == 0
    finally:
        os.close(null)
    return lines


def test_with_a_seed_tasks_that_compete_take_the_same_turns() -> None:
    script = "for i in 1 2 3; do (for j in {1..300}; do :; done; /bin/echo $i) | cat & done; wait"
    one, again = trace(script, 5), trace(script, 5)
    assert len(one) > 300
    assert one == again
    assert one != trace(script, 6)


def test_what_a_program_leaves_behind_runs_on_while_it_has_an_output(tmp_path: Any) -> None:
    with open(tmp_path / "out", "wb") as out, open(os.devnull, "rb") as null:
        streams = (null.fileno(), out.fileno(), out.fileno())
        script = "(sleep 0.1; echo late) & sleep 100 >/dev/null 2>&1 & echo now"
        with create_process(BASH, [BASH, "-c", script], ENVIRONMENT, stdio=streams) as process:  # type: ignore[arg-type]
            with pytest.raises(RuntimeError, match="has not ended"):
                process.run_rest()
            assert process.run(60).exit_code == 0
            assert (tmp_path / "out").read_text() == "now\n"
            assert process.run_rest(60)
            assert (tmp_path / "out").read_text() == "now\nlate\n"
            assert len([t for t in process.machine.tasks.values() if not t.dead]) == 1  # the one without an output
    with pytest.raises(RuntimeError, match="closed"):
        process.run_rest()


SOAK = """
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void *nothing(void *x) { return x; }
int main(int argc, char **argv) {
    pthread_t t;
    if (argc > 2) return 0;
    for (int i = 0; i < atoi(argv[1]); i++) {
        if (!fork()) _exit(0);
        if (i % 4 == 0 && !vfork()) { execl(argv[0], argv[0], "1", "2", (char *)0); _exit(1); }
        while (wait(0) > 0);
        pthread_create(&t, 0, nothing, 0), pthread_join(t, 0);
    }
}
"""


def test_processes_and_threads_that_come_and_go_leave_nothing(compile_guest: Any) -> None:
    program = os.fspath(compile_guest("soak", "-static", "-pthread", source=SOAK))
    seen = []
    for count in ("10", "10", "150"):
        with create_process(program, [program, count], allow_write=()) as process:
            assert process.run(200).exit_code == 0
            gc.collect()
            pids, phys = process.machine.pids, process.phys
            pids._check()
            assert (list(pids.groups), pids.tasks) == ([1], {})
            left = len(process.machine.loop.timers), len(os.listdir("/proc/self/fd"))
            seen.append((phys.data_frames, phys.table_frames, *left))
        assert process.phys.data_frames == 0
    assert seen[1] == seen[2]


def test_the_policy_of_who_was_there_before_can_be_asked():
    script = "import os; p = os.getppid(); print(os.sched_getscheduler(p), os.sched_getparam(p))"
    assert run_guest("/usr/bin/python3", "-c", script).lines == ["0 posix.sched_param(sched_priority=0)"]
