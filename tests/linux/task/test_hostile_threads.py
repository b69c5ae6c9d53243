# ruff: noqa: E501 - C programs
"""Processes of several threads that run at once, where one of them means no good, or ends what the others are in the middle of:
nobody else hears of it, and nobody waits for it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

import engines
from axptr.linux import PIPE, Linux

from .test_jobs import HEADERS, run
from .test_together import FLAGS, Compile

pytestmark = pytest.mark.skipif(engines.missing("native") is not None, reason="needs the native engine")

STUB = 0x6FFF_0000_0000
WAYS = {"f": "forks", "m": "syncs", "b": "fences", "u": "unmaps", "x": "becomes another", "e": "ends"}


@pytest.mark.parametrize("other", WAYS, ids=list(WAYS.values()))
@pytest.mark.parametrize("deaf", ["spins", "calls"])
def test_one_that_keeps_signals_out_holds_nobody_up(
    compile_guest: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf: str, other: str
) -> None:
    """Where the other needs it to come out, its process ends of it, soon. So it does where the deaf one's slice was over before
    the other ended or became another: nobody can say which is first."""
    program = compile_guest("deafthread", *FLAGS)
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    with Linux(engine="native", engine_jobs=2, allow_write=[tmp_path]) as linux:
        script = f"{program} {STUB:x} {deaf} {other}; echo $?; echo the shell goes on"
        linux.spawn(["/bin/sh", "-c", script], stdin=0, stdout=PIPE, stderr=PIPE)
        process = linux.process()
        assert not process.wait(60).timed_out
        assert process.stdout is not None
        out = process.stdout.take().decode().splitlines()
    whole = {"x": [["another", "0"]], "e": [["end", "0"]]}.get(other, [])
    assert out.pop() == "the shell goes on"
    assert out in [["137"], *whole]
    assert time.monotonic() - began < 10


# One thread is in the middle of a call, of many or of none, when another ends the process, makes another program of it, or kills it.
ENDS = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <linux/futex.h>
static int p[2], word; static volatile int begun; static char how;
static void *middle(void *unused) {
    char c; struct epoll_event e; struct pollfd f = {p[0], POLLIN, 0};
    for (;;) {
        STORE(&begun, 1);
        switch (how) {
        case 0: read(p[0], &c, 1); break;
        case 1: syscall(SYS_futex, &word, FUTEX_WAIT, 0, 0, 0, 0); break;
        case 2: sleep(100); break;
        case 3: poll(&f, 1, -1); break;
        case 4: getppid(); break;
        case 5: munmap(MAP(MAP_PRIVATE | MAP_POPULATE), 4096); break;
        case 6: epoll_wait(epoll_create1(O_CLOEXEC), &e, 1, 1); break;
        case 7: if (!fork()) _exit(0); wait(0); break;
        case 8: close(open("/dev/null", O_RDONLY)); break;
        case 9: for (;;) word = 0;
        case 10: sched_yield(); break;
        case 11: write(p[1], "xxxxxxxx", 8); read(p[0], &c, 1); break;
        }
    }
}
static void *ender(void *way) {
    while (!LOAD(&begun)) ;
    for (volatile int i = random() % 20000; i > 0; i--) ;
    switch ((long)way) {
    case 0: syscall(SYS_exit_group, 3);
    case 1: kill(getpid(), SIGKILL);
    case 2: execl("/bin/true", "true", (char *)0);
    case 3: raise(SIGABRT);
    case 4: *(volatile int *)8 = 1;
    case 5: syscall(SYS_tgkill, getpid(), getpid(), SIGTERM);
    }
    for (;;) pause();
}
int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    for (how = 0; how < 12; how++)
        for (long way = 0; way < 6; way++) {
            int same = 0, first = -1, s;
            for (int round = 0; round < 4; round++) {
                pid_t child = fork();
                if (!child) {
                    pthread_t t; srandom(round * 100 + way);
                    pipe(p); fcntl(p[1], F_SETFL, O_NONBLOCK);
                    // each of the two is the first thread in half of the rounds
                    pthread_create(&t, 0, round & 1 ? middle : ender, (void *)way);
                    round & 1 ? ender((void *)way) : middle(0);
                }
                waitpid(child, &s, 0);
                if (first < 0) first = s & ~0x80;
                same += (s & ~0x80) == first;
            }
            printf("%d %ld: %x %d\\n", how, way, first, same);
        }
}
"""


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_a_process_ends_whatever_its_threads_are_in(compile_guest: Compile, tmp_path: Path, jobs: int) -> None:
    program = compile_guest("threadends", *FLAGS, source=HEADERS + ENDS)
    host = subprocess.run([program], capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert run(program, jobs=jobs, out=tmp_path / "out") == host.stdout
