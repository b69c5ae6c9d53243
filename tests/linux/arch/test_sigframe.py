"""What a handler finds in the registers and what comes back from a frame that it changed, as on the host."""

from __future__ import annotations

import pytest

from engines import BOTH

from ..conftest import run_guest, run_host

ENGINES = BOTH
CHANGES = (
    "nothing", "no state at all", "another mxcsr", "an mxcsr that no CPU has", "another control word", "a zero in xmm0",
    "flags, some of which are not the program's to set", "no flags", "no x87 register in use",
    "a state that cannot be read",
)  # fmt: skip


@pytest.mark.parametrize("change", range(len(CHANGES)), ids=CHANGES)
def test_what_comes_back_is_what_the_frame_says(compile_guest, change):
    program = compile_guest("sigreturn")
    host, ours = run_host(program, str(change)), run_guest(program, str(change))
    assert (ours.lines, ours.status) == (host.lines, host.status)
    assert host.status == 0
    assert host.lines
