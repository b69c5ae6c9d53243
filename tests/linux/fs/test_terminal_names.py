"""A terminal that the program was given has its name: `tty` and ttyname(3) find it, others are not to be seen."""

from __future__ import annotations

import os
import pty

import pytest

from axptr.linux import create_process

from ..conftest import ENVIRONMENT, run_guest, run_host


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    yield slave
    os.close(slave)
    os.close(master)


def run_on(terminal: int, *command: str) -> tuple[int, str]:
    """Run with the terminal as standard input."""
    reader, writer = os.pipe()
    try:
        with create_process(command[0], command, ENVIRONMENT, stdio=(terminal, writer, writer)) as process:
            status = process.run(30).status
        os.close(writer)
        writer = -1
        with os.fdopen(reader, closefd=False) as out:
            return status, out.read()
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def test_tty_tells_the_terminal_that_the_program_was_given(terminal):
    name = os.ttyname(terminal)
    assert run_on(terminal, "/usr/bin/tty") == (0, name + "\n")
    assert run_on(terminal, "/bin/sh", "-c", "test -t 0 && test -c /proc/self/fd/0") == (0, "")
    wanted = run_host("stat", "-c", "%F %d %i %t %T %a", name).stdout.decode()
    assert run_on(terminal, "/usr/bin/stat", "-c", "%F %d %i %t %T %a", name) == (0, wanted)


def test_a_terminal_can_be_opened_by_its_name(terminal):
    name = os.ttyname(terminal)
    script = f"exec 3<>{name}; test -t 3 && exec readlink /proc/self/fd/3"
    assert run_on(terminal, "/bin/bash", "-c", script) == (0, name + "\n")


def test_other_terminals_are_not_to_be_seen(terminal):
    name = os.ttyname(terminal)
    assert run_on(terminal, "/bin/ls", "/dev/pts") == (0, os.path.basename(name) + "\nptmx\n")
    assert run_guest("/bin/ls", "/dev/pts").stdout == b"ptmx\n"
    assert run_guest("/bin/cat", name).status == 1
