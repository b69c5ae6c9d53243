"""A core that --core leaves is read by gdb as one of the host's is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import run_axptr

SOURCE = """
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int global = 42; char *heap;
void *worker(void *a) { pause(); return 0; }
int inner(int x) { int *p = (int *)8; return *p + x; }
int main(int argc, char **argv) {
    if (argc > 1) { int st; if (!fork()) abort(); wait(&st); return WCOREDUMP(st) ? WTERMSIG(st) : 1; }
    pthread_t t; heap = malloc(100); strcpy(heap, "on the heap"); pthread_create(&t, 0, worker, 0); usleep(50000);
    double d = 1.5; __asm__ volatile("movsd %0,%%xmm7" :: "m"(d));
    return inner(argc);
}
"""


@pytest.mark.skipif(shutil.which("gdb") is None, reason="needs gdb")
def test_gdb_finds_frames_threads_memory_and_registers_in_a_core(compile_c, tmp_path: Path) -> None:
    program, core = compile_c(SOURCE, "-g", "-O0", "-pthread"), tmp_path / "core"
    done = run_axptr("run", "--core", core, "--", program)
    assert b"SIGSEGV" in done.stderr
    commands = ("bt", "thread apply all bt", "p heap", "p global", "p $xmm7.v2_double[0]", "p $_siginfo.si_signo")
    words = [word for command in commands for word in ("-ex", command)]
    told = subprocess.run(["gdb", "-batch", "-nx", *words, program, core], capture_output=True, text=True, timeout=120)
    for expected in (
        "inner (x=1)",
        "main (argc=1",
        "Thread 2",
        "worker (a=0x0)",
        '"on the heap"',
        "= 42",
        "= 1.5",
        "= 11",
    ):
        assert expected in told.stdout, told.stdout


def test_a_childs_core_has_its_number_and_its_parent_hears_of_it(compile_c, tmp_path: Path) -> None:
    program = compile_c(SOURCE, "-pthread")
    done = run_axptr("run", "--core", tmp_path / "core", "--", program, "child")
    assert done.returncode == 6
    (core,) = tmp_path.glob("core.*")
    assert core.read_bytes()[:4] == b"\x7fELF"


def test_a_core_that_cannot_be_written_is_said_so(compile_c, tmp_path: Path) -> None:
    done = run_axptr("run", "--core", tmp_path / "none" / "core", "--", compile_c(SOURCE, "-pthread"))
    assert b"--core" in done.stderr
