"""A limit on CPU time (RLIMIT_CPU) ends a program with the host's signal, whoever set it and whatever runs it."""

from __future__ import annotations

import resource
import signal

import pytest

from .conftest import run_axptr, run_host, status_of_shell

pytestmark = pytest.mark.timeout(600)  # a second of CPU time on each side, whoever else wants the machine
BUSY = "while :; do :; done"
ENDED = 128 + signal.SIGXCPU


def limited() -> None:
    """A second for what is started, and no core file of it."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (1, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


@pytest.mark.parametrize("engine", ["native", "unicorn"])
def test_a_soft_limit_of_the_users_ends_the_program_with_the_hosts_signal(engine: str) -> None:
    host = run_host("/bin/sh", "-c", BUSY, preexec_fn=limited)
    ours = run_axptr("run", "--engine", engine, "--", "/bin/sh", "-c", BUSY, preexec_fn=limited)
    assert status_of_shell(ours.returncode) == status_of_shell(host.returncode) == ENDED


def test_a_child_is_ended_by_the_limit_that_the_host_set_and_its_parent_goes_on() -> None:
    script = f"({BUSY}) 2>&-; echo $?"
    host = run_host("/bin/sh", "-c", script, preexec_fn=limited)
    ours = run_axptr("run", "--engine", "native", "--", "/bin/sh", "-c", script, preexec_fn=limited)
    assert ours.stdout == host.stdout == b"%d\n" % ENDED


@pytest.mark.parametrize("engine", ["native", "unicorn"])
def test_a_child_has_the_limit_that_its_parent_set(engine: str) -> None:
    script = f"ulimit -c 0; ulimit -S -t 1; ({BUSY}) 2>&-; echo $?"
    host = run_host("/bin/sh", "-c", script)
    ours = run_axptr("run", "--engine", engine, "--", "/bin/sh", "-c", script)
    assert ours.stdout == host.stdout == b"%d\n" % ENDED
