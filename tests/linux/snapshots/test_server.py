"""A server with a client that is connected: put back, branched, saved, and gone on with in another process."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from axptr.linux import PIPE, Linux
from axptr.linux.snapshots.snapshot import MachineSnapshot

ELSEWHERE = """
import sys
from axptr.linux import Linux
from axptr.linux.snapshots.snapshot import MachineSnapshot
from tests.linux.snapshots.test_server import ask
with Linux.from_snapshot(MachineSnapshot.load(sys.argv[1])) as linux:
    print(ask(linux, int(sys.argv[2]), b"incr a\\n"))
"""


def ask(linux: Linux, pid: int, text: bytes = b"", wanted: bytes = b"\n") -> bytes:
    """What a process prints until the text that is wanted stands in it."""
    process, got = linux.process(pid), b""
    assert process.stdout is not None
    if text:
        assert process.stdin is not None
        process.stdin.feed(text)
    while wanted not in got:
        total, stdout = process.stdout.total, process.stdout
        assert linux.run_until(lambda total=total, stdout=stdout: stdout.total > total, 60)
        got += process.stdout.take()
    return got


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis")
@pytest.mark.parametrize("engine", ["native", "unicorn"])
def test_a_redis_with_a_client_goes_on_everywhere(engine: str, tmp_path: Path) -> None:
    with Linux(engine=engine, overlay=True, env={"PATH": "/usr/bin:/bin"}) as linux:
        server = linux.spawn(["redis-server", "--port", "7777", "--save", ""], stdin=0, stdout=PIPE, stderr=2)
        ask(linux, server.pid, wanted=b"eady to accept")
        client = linux.spawn(["redis-cli", "-p", "7777"], stdin=PIPE, stdout=PIPE, stderr=2).pid
        assert ask(linux, client, b"set a 41\n") == b"OK\n"
        snap = linux.snapshot()
        snap.save(tmp_path / "saved")
        command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "saved"), str(client)]
        root = Path(__file__).parents[3]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=root)
        assert (done.stdout, done.stderr) == ("b'42\\n'\n", "")
        for made in (snap, MachineSnapshot.load(tmp_path / "saved")):
            with Linux.from_snapshot(made) as copy:
                assert ask(copy, client, b"incr a\n") == b"42\n"
                assert ask(copy, client, b"incr a\n") == b"43\n"
        for _ in range(2):
            assert ask(linux, client, b"incr a\n") == b"42\n"
            linux.restore(snap)
