"""What a handler finds in the registers and what comes back from a frame that it changed, as on the host."""

from __future__ import annotations

from pathlib import Path

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


def test_what_becomes_of_a_frame_whose_vector_state_was_changed_moved_or_cut(compile_guest, engine_name):
    if engine_name != "native" or " avx " not in Path("/proc/cpuinfo").read_text():
        pytest.skip("the emulated CPU has no more than an FXSAVE image")
    program = compile_guest("xframes")
    host, ours = run_host(program), run_guest(program, engine="native")
    assert len(host.lines) == 39
    assert ours.lines == host.lines


def test_what_becomes_of_selectors_that_a_frame_is_given_and_of_a_program_in_the_mode_of_32_bits(
    compile_guest, engine_name
):
    if engine_name != "native":
        pytest.skip("the emulated CPU has the selectors of 64 bits alone")
    program = compile_guest("selectors")
    host, ours = run_host(program), run_guest(program, engine="native")
    assert len(host.lines) > 240
    assert (ours.lines, ours.status) == (host.lines, host.status)


def test_an_emulated_cpu_has_no_mode_of_32_bits(compile_guest):
    ours = run_guest(compile_guest("selectors"), engine="unicorn")
    assert sum("back with 33 2b" in line for line in ours.lines) > 20
    assert sum("trap 13 error 28" in line for line in ours.lines) > 20
