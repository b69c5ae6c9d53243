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
