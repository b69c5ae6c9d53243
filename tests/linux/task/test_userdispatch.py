"""Calls that come back as signals (PR_SET_SYSCALL_USER_DISPATCH), as on the host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import run_guest, run_host


def test_calls_come_back_as_signals_as_on_the_host(compile_guest: Callable[..., Path]) -> None:
    program = compile_guest("userdispatch", "-O1", "-static", "-pthread")
    host = run_host(program)
    if b"comes back: 4242" not in host.stdout:
        pytest.skip("the host's kernel has none of it")
    ours = run_guest(program)
    if b"inclusively: -22" in host.stdout:
        pytest.skip("the host's kernel is older than 6.16")
    assert ours.stdout == host.stdout
