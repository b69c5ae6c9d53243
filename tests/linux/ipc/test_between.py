"""POSIX message queues, other processes' memory, locks between processes: as on the host."""

from __future__ import annotations

from ..conftest import run_guest, run_host


def test_what_processes_do_to_one_another_is_answered_as_on_the_host(compile_guest, tmp_path):
    program = compile_guest("between")
    for side in "host", "ours":
        (tmp_path / side).mkdir()
    host = run_host(program, cwd=tmp_path / "host")
    ours = run_guest(program, cwd=tmp_path / "ours", allow_write=[tmp_path / "ours"])
    assert ours.lines == host.lines
    assert (ours.status, host.status) == (0, 0)
    assert len(host.lines) > 120
