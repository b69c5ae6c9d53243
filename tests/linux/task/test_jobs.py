"""Several tasks that run at once: what one takes away from memory is taken from the others before its call returns, and
nothing else is different from taking turns."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import engines
from axptr.linux import create_process

pytestmark = pytest.mark.skipif(engines.missing("native") is not None, reason="needs the native engine")

HEADERS = """
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#define LOAD(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define STORE(p, v) __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#define MAP(flags) mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | (flags), -1, 0)
"""
SPIN = (
    HEADERS
    + """
static int *word;
static void *side(void *me) {
    for (int i = 0; i < 200; i++) { while (LOAD(word) != (long)me); STORE(word, !(long)me); }
    return 0;
}
int main(int argc, char **argv) {
    pthread_t t;
    word = MAP(MAP_SHARED);
    if (argc > 1) { pthread_create(&t, 0, side, (void *)1); side(0); pthread_join(t, 0); }
    else if (!fork()) { side((void *)1); _exit(0); }
    else { side(0); wait(0); }
    puts("done");
}
"""
)
STOPPED = (
    HEADERS
    + """
static volatile unsigned long *page, faults; static volatile int over; static sigjmp_buf back;
static void refused(int s) { faults++; siglongjmp(back, 1); }
static void *writer(void *unused) {
    sigsetjmp(back, 1);
    while (!LOAD(&over)) ++*page;
    return 0;
}
int main(void) {
    pthread_t t; int bad = 0;
    page = MAP(MAP_PRIVATE);
    signal(SIGSEGV, refused);
    pthread_create(&t, 0, writer, 0);
    for (int i = 0; i < 200; i++) {
        unsigned long seen = *page;
        for (int j = 0; j < 2000000 && *page == seen; j++);
        mprotect((void *)page, 4096, PROT_READ);
        seen = *page;
        for (int j = 0; j < 3000; j++) bad += *page != seen;
        mprotect((void *)page, 4096, PROT_READ | PROT_WRITE);
    }
    over = 1;
    pthread_join(t, 0);
    printf("%d\\n", bad);
}
"""
)
FORKED = (
    HEADERS
    + """
static volatile unsigned long *page; static volatile int over;
static void *writer(void *unused) { while (!LOAD(&over)) ++*page; return 0; }
int main(void) {
    pthread_t t; int status, bad = 0;
    page = MAP(MAP_PRIVATE);
    pthread_create(&t, 0, writer, 0);
    for (int i = 0; i < 60; i++) {
        int child = fork();
        if (!child) {
            unsigned long seen = *page;
            for (int j = 0; j < 20000; j++) bad += *page != seen;
            _exit(!!bad);
        }
        waitpid(child, &status, 0);
        bad += status != 0;
    }
    over = 1;
    pthread_join(t, 0);
    printf("%d\\n", bad);
}
"""
)


def run(program: Path, *arguments: str, jobs: int = 2, out: Path, status: int = 0, **options: Any) -> str:
    with open(out, "w+b") as file:
        argv, stdio = [str(program), *arguments], (0, file.fileno(), 2)
        with create_process(argv[0], argv, stdio=stdio, engine="native", engine_jobs=jobs, **options) as process:
            result = process.run(120)
            assert (result.timed_out, result.exit_code) == (False, status), result
        file.seek(0)
        return file.read().decode()


@pytest.mark.parametrize("jobs", [1, 2, 3])
@pytest.mark.parametrize("arguments", [(), ("threads",)], ids=["processes", "threads"])
def test_tasks_that_wait_for_each_other_in_memory_alone(compile_guest, tmp_path: Path, jobs: int, arguments) -> None:
    program = compile_guest("spin", "-static", "-pthread", source=SPIN)
    assert run(program, *arguments, jobs=jobs, out=tmp_path / "out") == "done\n"


@pytest.mark.parametrize("jobs", [1, 2])
def test_nobody_writes_once_mprotect_has_returned(compile_guest, tmp_path: Path, jobs: int) -> None:
    program = compile_guest("stopped", "-static", "-pthread", source=STOPPED)
    assert run(program, jobs=jobs, out=tmp_path / "out") == "0\n"


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_child_does_not_see_what_a_thread_of_its_parent_goes_on_to_write(
    compile_guest, tmp_path: Path, jobs: int
) -> None:
    program = compile_guest("forked", "-static", "-pthread", source=FORKED)
    assert run(program, jobs=jobs, out=tmp_path / "out") == "0\n"


HANDLER = (
    HEADERS
    + """
static void told(int s) { write(1, "told\\n", 5); _exit(0); }
int main(void) {
    signal(SIGUSR1, told);
    write(1, "on\\n", 3);
    for (;;) pause();
}
"""
)


@pytest.mark.parametrize("jobs", [1, 2])
def test_of_one_whose_process_is_killed_in_a_call_no_handler_runs(compile_guest, tmp_path: Path, jobs: int) -> None:
    """What is left of its registers may not go on: it dies of what killed its process."""
    program = compile_guest("handler", "-static", source=HANDLER)
    with open(tmp_path / "out", "w+b") as out:
        stdio = (0, out.fileno(), out.fileno())
        with create_process(str(program), stdio=stdio, engine="native", engine_jobs=jobs) as process:
            while not os.fstat(out.fileno()).st_size:
                process.run(0.05)
            process.run(0.05)
            for pid in process.engine.guest_pids:
                os.kill(pid, signal.SIGKILL)
                while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    time.sleep(0.001)
            process.signal(signal.SIGUSR1)
            result = process.run(60)
        assert result.death is not None
        assert result.death.signal == signal.SIGKILL
        assert (tmp_path / "out").read_text() == "on\n"


def test_processes_that_are_killed_while_several_run(tmp_path: Path) -> None:
    """At random moments: each that is killed dies of it, the others do all that they would have done."""
    dice = random.Random(3)
    script = "for i in 1 2 3 4 5 6; do (x=0; while [ $x -lt 300 ]; do x=$((x+1)); done; echo $i) & done; wait; echo end"
    killed = 0
    while killed < 20:
        with open(tmp_path / "out", "w+b") as out:
            stdio = (0, out.fileno(), out.fileno())
            with create_process(
                "/bin/sh", ["sh", "-c", script], stdio=stdio, engine="native", engine_jobs=2
            ) as process:
                engine = process.engine
                victims: list[int] = []

                def kill(engine=engine, victims=victims) -> None:
                    pids = engine.guest_pids
                    victims += dice.sample(pids, min(len(pids), dice.randrange(1, 3)))
                    for pid in victims:
                        os.kill(pid, signal.SIGKILL)

                timer = threading.Timer(dice.random() * 0.06, kill)
                timer.start()
                result = process.run(120)
                timer.cancel()
                timer.join()
            lines = (tmp_path / "out").read_text().split()
        killed += len(victims)
        assert not result.timed_out
        if result.death is None:
            assert lines[-1] == "end"
            assert len(lines) >= 7 - len(victims)
        else:
            assert result.death.signal == signal.SIGKILL
            assert victims
        assert len(set(lines)) == len(lines)
        assert set(lines) <= {*"123456", "end"}


def test_a_run_that_repeats_has_one_at_a_time() -> None:
    with pytest.raises(ValueError, match="engine_jobs"):
        create_process("/bin/true", seed=1, engine_jobs=2)
    with pytest.raises(ValueError, match="engine_jobs"):
        create_process("/bin/true", engine_jobs=0)
