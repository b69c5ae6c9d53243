"""Which engines a test runs over, and what is documented to be different over one of them.

A test that uses the fixture `engine_name` runs once for each engine of `--engine`: `unicorn`, `native` or `both`.
Without that option each suite has its own choice (`chosen`), so that the whole does not take twice as long. What one
engine cannot give stands in `DIFFERENCES`, with its reason, and nowhere else: such a test must fail there, so that a
difference that goes is noticed.
"""

from __future__ import annotations

import functools
import importlib.util
import platform
import re
from collections.abc import Iterable
from typing import NamedTuple

BOTH = ("unicorn", "native")


class Difference(NamedTuple):
    """test: of its name `file::function[...]`, a pattern."""

    engine: str
    test: str
    reason: str


_HARDWARE = "the host's CPU refuses a misaligned operand before it looks at the page"
_PRESENT = "the host's CPU has what the emulated one lacks, and cpuid says so"
_KERNEL = "the host's kernel has a use for the instruction: nothing that a program for 64 bits could mean"
_COUNTS = "it has no such count: there is nothing of the kind to count"
_NULL = "on its way back to a program the host's CPU makes zero of a null selector, whatever its ring"
_PARTS = {
    r"test_faults\.py::test_access_.*movdqa store": _HARDWARE,
    r"test_user_mode\.py::test_invalid_instruction.*(sysenter|vmcall)": _KERNEL,
    r"test_user_mode\.py::test_invalid_instruction.*vxorps": _PRESENT,
    r"test_user_mode\.py::test_cpuid_announces_no_avx": _PRESENT,
    r"test_traps\.py::test_instruction_that_the_cpu_says_it_lacks": _PRESENT,
    r"test_guard\.py::test_flags_that_a_handler_sets_stay": (
        "a trap flag set in a call traps behind the next instruction, as with Linux, which returns by iret"
    ),
    r"test_guard\.py::test_pause_with_a_register_of_rex": "CPUs differ: the host's may take it for a pause",
    r"test_coherence\.py::test_recycled_frame_at_another_address": (
        "a frame that its process may have mapped is not used again before that has lost it"
    ),
    r"test_metered\.py::test_without_a_meter": _COUNTS,
    r"test_tlb\.py::test_a_call_that_changes_nothing": _COUNTS,
    r"test_context\.py::test_selectors_that_programs_load_come_back.*-3\]": _NULL,
}
DIFFERENCES = tuple(Difference("native", test, reason) for test, reason in _PARTS.items())


@functools.cache
def missing(engine: str) -> str | None:
    """Why this engine cannot be had here; None if it can."""
    if engine == "unicorn":
        return None if importlib.util.find_spec("unicorn") else "needs the Unicorn library"
    if platform.machine() != "x86_64":
        return "the native engine is there for x86-64 alone"
    from axptr import AddrSpace, PhysMemory
    from axptr.engine import NativeEngine

    phys = PhysMemory(1 << 24)
    engine_ = NativeEngine(phys)
    engine_.attach(AddrSpace(4096, 1 << 40, phys))
    try:
        engine_.prepare()
    except OSError as error:
        return str(error)
    finally:
        engine_.close()
    return None


def difference(engine: str, name: str) -> Difference | None:
    """What is documented of this test over this engine."""
    for entry in DIFFERENCES:
        if entry.engine == engine and re.search(entry.test, name):
            return entry
    return None


def chosen(option: str | None, of_module: Iterable[str] | None, of_suite: Iterable[str]) -> tuple[str, ...]:
    """The engines of a test: what `--engine` says, else what its module says (`ENGINES`), else its suite's."""
    if option is not None:
        return BOTH if option == "both" else (option,)
    return tuple(of_module if of_module is not None else of_suite)
