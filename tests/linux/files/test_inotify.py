"""inotify: what the tasks of a machine do to files, told as on the host; a limit on what is kept."""

from __future__ import annotations

import pytest

from ..conftest import run_guest, run_host


@pytest.mark.parametrize("where", ["host's tree", "tree in memory"])
def test_a_program_that_watches_what_it_does_hears_what_it_hears_on_the_host(compile_guest, tmp_path, where):
    program = compile_guest("inotify", "-static")
    for side in "host", "ours":
        (tmp_path / side).mkdir()
    host = run_host(program, cwd=tmp_path / "host")
    if where == "host's tree":
        ours = run_guest(program, cwd=tmp_path / "ours", allow_write=[tmp_path / "ours"])
    else:
        from axptr.linux import Tmpfs

        ours = run_guest(program, "/mem", mounts={"/mem": Tmpfs()})
    assert ours.lines == host.lines
    assert (ours.status, host.status) == (0, 0)
    assert len(host.lines) > 200


def test_what_nobody_reads_overflows_once(compile_guest):
    source = """
        #include <fcntl.h>
        #include <stdio.h>
        #include <sys/inotify.h>
        #include <unistd.h>
        int main(void) {
            int in = inotify_init(); static char b[1 << 20];
            mkdir("/dev/shm/many", 0700); inotify_add_watch(in, "/dev/shm/many", IN_CREATE | IN_DELETE);
            for (int i = 0; i < 9000; i++) { close(creat("/dev/shm/many/f", 0600)); unlink("/dev/shm/many/f"); }
            long n = read(in, b, sizeof b); struct inotify_event *last = (void *)(b + n - 16);
            printf("%ld %x %d\\n", n, last->mask, last->wd);
        }"""
    program = compile_guest("overflows", source="#include <sys/stat.h>\n" + source)
    assert run_guest(program).lines == [f"{16384 * 32 + 16} 4000 -1"]
