"""Pipes of the machine's own: slots as Linux has them, between tasks as on the host, and many of them."""

from __future__ import annotations

import gc
import os

import pytest

from ..conftest import run_guest, run_host


def test_what_pipes_hold_cut_and_wait_for_is_what_the_hosts_do(compile_guest):
    program = compile_guest("pipes")
    ours, host = run_guest(program), run_host(program)
    assert ours.lines == host.lines
    assert (ours.status, host.status) == (0, 0)
    assert len(host.lines) > 50


@pytest.mark.parametrize("engine", ["unicorn"])
def test_ten_thousand_pipes_leave_nothing(compile_guest, engine):
    """Frames, descriptors of the host, and what pipes count: all as before."""
    source = """
        #include <stdlib.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            char b[5000] = {0};
            for (int i = 0; i < atoi(argv[1]); i++) {
                int p[2];
                if (pipe(p) || write(p[1], b, sizeof b) != sizeof b || read(p[0], b, 10) != 10) return 1;
                close(p[i % 2]); close(p[1 - i % 2]);
            }
        }"""
    program = compile_guest("manypipes", source=source)
    run_guest(program, "10", engine=engine)  # what a process opens once for all its machines
    gc.collect()
    before, counted = len(os.listdir("/proc/self/fd")), []
    outcome = run_guest(
        program,
        "10000",
        engine=engine,
        timeout=120,
        after=lambda process: counted.append(process.task.machine.pipe_bytes),
    )
    assert outcome.status == 0
    assert counted == [0]
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


RANDOM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
static unsigned state;
static unsigned next(unsigned n) { state = state * 1103515245 + 12345; return (state >> 16) % n; }
int main(int argc, char **argv)
{
    /* A pipe that is full and empty in turn, through memory of which the end is not there, or not to be written. */
    char *area = mmap(0, 5 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int p[2], word = 7, sizes[] = {0, 1, 2, 100, 4095, 4096, 4097, 8192, 9000};
    state = atoi(argv[1]);
    munmap(area + 4 * 4096, 4096);
    mprotect(area + 3 * 4096, 4096, PROT_READ);
    if (pipe2(p, O_NONBLOCK)) return 1;
    for (int i = 0; i < 400; i++) {
        int size = sizes[next(9)], at = next(4) ? next(8192) : 3 * 4096 - 50 + next(4200), there = -1;
        long got;
        if (at + size > 5 * 4096) size = 5 * 4096 - at;
        for (int k = 0; k < 8; k++) area[next(3 * 4096)] = i;
        if (next(2)) got = write(p[1], area + at, size);
        else got = read(p[0], area + at, size);
        unsigned sum = 0;
        for (int k = 0; k < 4 * 4096; k++) sum = sum * 31 + (unsigned char)area[k];
        int failed = got < 0 ? errno : 0;
        ioctl(p[0], FIONREAD, &there);
        printf("%d %d %d: %ld %d, %d in it, %x\n", i, at, size, got, failed, there, sum);
        if (!next(30)) fcntl(p[1], F_SETPIPE_SZ, 4096 << next(5));
        if (!next(40)) fcntl(p[1], F_SETFL, O_NONBLOCK | (next(2) ? O_DIRECT : 0));
    }
    for (int i = 0; i < 6; i++) {
        int *words[] = {&word, (int *)((char *)&word + 1), (int *)(area + 4 * 4096), (int *)-4096L, 0,
                        (int *)(area + 3 * 4096)};
        long woken = syscall(SYS_futex, words[i], FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
        printf("wake %d: %ld %d\n", i, woken, woken < 0 ? errno : 0);
        long waited = syscall(SYS_futex, words[i], FUTEX_WAIT_PRIVATE, 8, 0, 0, 0);
        printf("wait %d: %ld %d\n", i, waited, waited < 0 ? errno : 0);
    }
    printf("%ld %ld %ld %d\n", (long)read(p[1], area, 1), (long)write(p[0], area, 1), (long)read(77, area, 1), errno);
    return 0;
}
"""


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_random_pieces_go_through_a_pipe_as_on_the_host(compile_guest, seed):
    program = compile_guest("randompipe", source=RANDOM)
    ours, host = run_guest(program, str(seed)), run_host(program, str(seed))
    assert ours.lines == host.lines
    assert len(host.lines) == 413
