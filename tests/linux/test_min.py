"""One small input for each fault that use has found: `guests/min.c`, whose names each print one result.

The host is right. Over the host's own CPU all print here what they print there. Over the emulated one a name is in one
of two tables: EQUAL; EXCEPTED, what that CPU cannot give, with the reason (docs/running-programs.md says what a program
sees).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from engines import BOTH

from .conftest import GUESTS, Outcome, run_guest, run_host

ENGINES = BOTH
FLAGS = ("-fno-builtin", "-frounding-math", "-msse4.2", "-Wl,--no-as-needed", "-lm")

EQUAL: tuple[str, ...] = (
    "cmpxchg",
    "lockneg",
    "pcmp",
    "stackseg",
    "intn",
    "tf",
    "op8f",
    "testf6",
    "selector",
    "sigfpu",
    "protexec",
    "cpuinfo",
    "fisttp",
    "fcomi",
    "badmxcsr",
    "umask",
    "bigchown",
    "dots",
    "execveat",
    "cfr",
    "ofd",
    "sendf",
    "nice",
    "prctl",
    "cpuclock",
    "itimer",
    "stack",
    "fsize",
    "oldtime",
    "direct",
    "ioctls",
    "maps",
    "txtbsy",
)

_MASKED = "the CPU has no AVX and no BMI, as its cpuid says: SIGILL"
_FLAGS = "Unicorn keeps no exception flags of SSE and x87 and raises none of their exceptions"
_DOUBLE = "Unicorn computes these functions of x87 in double precision"
EXCEPTED = {
    "vex": _MASKED,
    "blsi": _MASKED,
    "bzhi": _MASKED,
    "pdep": _MASKED,
    "bextr": _MASKED,
    "mxcsr": _FLAGS,
    "raisefe": _FLAGS,
    "ssetrap": _FLAGS,
    "x87trap": _FLAGS,
    "x87flags": _FLAGS,
    "x87stack": "Unicorn's x87 stack neither over- nor underflows",
    "fprem": _DOUBLE,
    "logl": _DOUBLE,
    "fma": "glibc computes it with x87 or by the exception flags where the CPU has no FMA",
    "dpps": "the sum is taken in another order",
    "nansel": "of two NaN the second is taken",
    "align": "misaligned operands of SSE do not fault",
}


def both(program: Path, name: str, tmp_path: Path) -> tuple[Outcome, Outcome]:
    """What a name prints, on the host and here, each in a directory of its own."""
    host, ours = tmp_path / "host", tmp_path / "ours"
    host.mkdir()
    ours.mkdir()
    return run_host(program, name, host), run_guest(program, name, ours, allow_write=[ours])


@pytest.fixture(scope="session")
def program(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("min", *FLAGS)


def excepted(program: Path, name: str, tmp_path: Path) -> None:
    """It runs to its end, and prints a result of its own."""
    host, ours = both(program, name, tmp_path)
    if EXCEPTED[name] is _MASKED and name != "vex":  # which catches the signal
        assert (ours.stdout, ours.status) == (b"", 128 + 4)
        return
    assert (ours.stderr, ours.status) == (b"", 0)
    assert ours.lines[0].split(":")[0].split(" ")[0] == host.lines[0].split(":")[0].split(" ")[0]


@pytest.mark.parametrize("name", [*EQUAL, *EXCEPTED])
def test_small_input_gives_what_it_gives_on_the_host(
    program: Path, name: str, tmp_path: Path, engine_name: str
) -> None:
    if name in EXCEPTED and engine_name == "unicorn":
        excepted(program, name, tmp_path)
        return
    host, ours = both(program, name, tmp_path)
    if name == "protexec" and b"signal 11" in host.stdout:  # the host's CPU has protection keys, which make it so
        assert (ours.stdout, ours.status) == (b"read of a PROT_EXEC page: signal 0\n", 0)
        return
    assert (ours.stdout, ours.status) == (host.stdout, host.status)
    if name != "txtbsy":  # which also tries system(), and there are no processes yet
        assert ours.stderr == host.stderr


def test_each_name_is_in_one_table() -> None:
    names = re.findall(r'\{"(\w+)",\w+\}', (GUESTS / "min.c").read_text().split("t[]=")[1])
    assert len(names) == 50
    assert sorted((*EQUAL, *EXCEPTED)) == sorted(names)
