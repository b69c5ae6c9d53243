"""Files in memory without a name, seals, and FIFOs of trees in memory, as on the host."""

from __future__ import annotations

from ..conftest import run_guest, run_host


def test_a_program_that_seals_files_in_memory_and_opens_fifos_gets_the_hosts_answers(compile_guest, tmp_path):
    program = compile_guest("memfd")
    for side in "host", "ours":
        (tmp_path / side).mkdir()
    host = run_host(program, cwd=tmp_path / "host")
    ours = run_guest(program, cwd=tmp_path / "ours", allow_write=[tmp_path / "ours"])
    assert ours.lines == host.lines
    assert (ours.status, host.status) == (0, 0)
    assert len(host.lines) > 300


def test_shared_memory_of_a_run_is_its_own(compile_guest):
    """Nothing of the host's /dev/shm is seen, and nothing is left there."""
    source = """
        #include <dirent.h>
        #include <fcntl.h>
        #include <stdio.h>
        int main(void) {
            creat("/dev/shm/axptr-mine", 0600);
            DIR *d = opendir("/dev/shm");
            for (struct dirent *e; (e = readdir(d)); ) if (e->d_name[0] != '.') puts(e->d_name);
        }"""
    program = compile_guest("ownshm", source=source)
    for _ in range(2):
        assert run_guest(program).lines == ["axptr-mine"]
