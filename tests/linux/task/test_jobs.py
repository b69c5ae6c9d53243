"""Several tasks that run at once: what one takes away from memory is taken from the others before its call returns, and
nothing else is different from taking turns."""

from __future__ import annotations

from pathlib import Path

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


def run(program: Path, *arguments: str, jobs: int = 2, out: Path) -> str:
    with open(out, "w+b") as file:
        argv = [str(program), *arguments]
        with create_process(argv[0], argv, stdio=(0, file.fileno(), 2), engine="native", engine_jobs=jobs) as process:
            result = process.run(120)
            assert (result.timed_out, result.exit_code) == (False, 0), result
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


def test_a_run_that_repeats_has_one_at_a_time() -> None:
    with pytest.raises(ValueError, match="engine_jobs"):
        create_process("/bin/true", seed=1, engine_jobs=2)
    with pytest.raises(ValueError, match="engine_jobs"):
        create_process("/bin/true", engine_jobs=0)
