"""Programs in a terminal that the test makes, with and without axptr before them: the same bytes come out.

Keys are typed when the program that is to get them has said that it runs. What a shell writes before a command does
not say so: bash switches bracketed paste off first and the echo on after that, so a line typed between the two is not
echoed (on the host neither: `strace -e inject=ioctl:delay_enter=100ms bash` shows it).
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from pathlib import Path

import pytest

ENV = {"PS1": "PS> ", "HISTFILE": "/dev/null", "LC_ALL": "C", "TERM": "xterm", "PATH": "/usr/bin:/bin"}
AXPTR = (sys.executable, "-m", "axptr", "run", "--")
PROMPT = rb"PS> $"
RUNS = rb"it runs\r\n"
SLEEP, CAT = (f"sh -c 'echo it \\runs; exec {what}'\n".encode() for what in ("sleep 100", "cat"))
"""They say so, in words that the echo of the line does not have."""


def session(argv: list[str], steps: list[tuple[bytes, bytes]]) -> tuple[bytes, int, list]:
    """What comes out of the terminal, the status, and the terminal's modes in the end. A step waits for a pattern."""
    fd, end = pty.openpty()
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    pid = os.fork()
    if pid == 0:
        try:
            os.close(fd)
            os.login_tty(end)
            os.execvpe(argv[0], argv, ENV)
        finally:
            os._exit(127)
    os.close(end)
    out, mark = b"", 0

    def read(seconds: float) -> bool:
        nonlocal out
        if not select.select([fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(fd, 65536)
        except OSError:
            return False
        out += data
        return bool(data)

    try:
        for pattern, keys in steps:
            end = time.monotonic() + 60
            while not re.search(pattern, out[mark:]):
                assert read(0.2), (pattern, out)
                assert time.monotonic() < end, (pattern, out)
            mark = len(out)
            os.write(fd, keys)
        end = time.monotonic() + 60
        while read(0.2):
            assert time.monotonic() < end, out
        _, status = os.waitpid(pid, 0)
        return out, status, termios.tcgetattr(fd)[:4]
    except BaseException:
        os.kill(pid, 9)  # our own child
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(fd)


def same(argv: list[str], steps: list[tuple[bytes, bytes]]) -> bytes:
    host = session(argv, steps)
    assert session([*AXPTR, *argv], steps) == host
    return host[0]


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="needs bash")
def test_an_interactive_shell_runs_stops_and_continues_jobs() -> None:
    steps = [
        (PROMPT, b"echo $((1+2))\n"),
        (PROMPT, SLEEP),
        (RUNS, b"\x03"),
        (PROMPT, b"echo st=$?\n"),
        (PROMPT, CAT),
        (RUNS, b"\x1a"),
        (PROMPT, b"jobs; echo st=$?; fg\n"),
        (rb"\nsh -c .*\r\n", b"line\n"),
        (rb"line\r\nline", b"\x04"),
        (PROMPT, SLEEP),
        (RUNS, b"\x03"),
        (PROMPT, b"stty -a | head -2; exit 5\n"),
    ]
    out = same(["/bin/bash", "--norc", "--noprofile"], steps)
    assert b"st=130" in out
    assert b"Stopped" in out


@pytest.mark.skipif(not Path("/usr/bin/less").exists(), reason="needs less")
def test_a_pager_shows_pages_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("".join(f"line {n}\n" for n in range(200)))
    same(["less", str(text)], [(rb"line 22", b" "), (rb"line 44", b"q")])


@pytest.mark.skipif(not Path("/usr/bin/script").exists(), reason="needs script")
def test_a_program_that_makes_a_terminal_for_another() -> None:
    out = same(["script", "-qec", "stty size; read x; echo got $x", "/dev/null"], [(rb"24 80", b"abc\n")])
    assert b"got abc" in out
