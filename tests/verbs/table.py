"""docs/verbs.md as tests see it: its rows, the test of each, and the bench where a row's expression runs.

A module of this package tests the rows of one section; a test of rows in several stands with the first of them.
`run(**names)` evaluates the expression in the row's second column with axptr's public names, the names that the page
explains, and those given. So what the table shows is what was tested, and a name that is not there fails.
"""

from __future__ import annotations

import ctypes
import errno
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import axptr
from axptr import PAGE_SIZE, AddrSpace, IoVec, LinuxError, MappingFlags, UserFault, UserPtr

PAGE = Path(__file__).parent.parent.parent / "docs" / "verbs.md"
R, W = MappingFlags.READ, MappingFlags.WRITE
AT = 0x100000  # three pages rw-, one r--, a hole
RO, HOLE = AT + 3 * PAGE_SIZE, AT + 4 * PAGE_SIZE
u8, u16, u32, u64, char = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char
Text, Word = UserPtr[char], UserPtr[u32]
PUBLIC = {name: getattr(axptr, name) for name in axptr.__all__}
KNOWN = {**PUBLIC, **{name: getattr(ctypes, name) for name in dir(ctypes) if name.startswith("c_")}}
KNOWN.update(ctypes=ctypes, shutil=shutil, io=io)


def rows() -> dict[tuple[str, str], str]:
    """The expression of each row, by section and by what the peer calls it."""
    found: dict[tuple[str, str], str] = {}
    section = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line[3:].split(":")[0]
        elif line.startswith("| ") and not line.startswith(("| theirs", "| ---")):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert len(cells) == 3, line
            expression = re.fullmatch(r"`(.+)`", cells[1])
            assert expression is not None, line
            key = section, cells[0].replace("`", "")
            assert key not in found, f"two rows say {key}"
            found[key] = expression[1]
    return found


ROWS = rows()
TESTS: dict[tuple[str, str], Callable[[Any], None]] = {}
LINUX, GVISOR, RUST, VM, DRGN = "Linux uaccess", "gVisor usermem", "Rust for Linux", "vm-memory", "drgn"


def row(section: str, *theirs: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """The test of a row, or of several that say the same."""

    def note(test: Callable[[Any], None]) -> Callable[[Any], None]:
        for name in theirs:
            assert (section, name) not in TESTS, name
            TESTS[section, name] = test
        return test

    return note


class Bench:
    """A space to try a row in, and its expression."""

    def __init__(self, space: AddrSpace, expression: str) -> None:
        self.space, self.expression, self.runs = space, expression, 0

    def run(self, **names: Any) -> Any:
        self.runs += 1
        return eval(self.expression, {**KNOWN, "space": self.space, **names})

    def put(self, data: bytes, at: int = AT) -> None:
        self.space.write(at, data)

    def has(self, size: int, at: int = AT) -> bytes:
        return self.space.read(at, size)

    def faults(self, address: int, **names: Any) -> UserFault:
        """The row's expression is a `UserFault` at `address`."""
        with pytest.raises(UserFault) as caught:
            self.run(**names)
        assert caught.value.errno == errno.EFAULT
        assert caught.value.address == address
        return caught.value

    def refuses(self, number: int, **names: Any) -> None:
        with pytest.raises(LinuxError) as caught:
            self.run(**names)
        assert caught.value.errno == number


def short(done: Any, count: int, address: int) -> None:
    """A count that a fault at `address` cut short."""
    assert done == count
    assert (done.fault.address, done.fault.errno) == (address, errno.EFAULT)


def the_row_is_true(room: AddrSpace, section: str, theirs: str) -> None:
    """The test of every module here; its cases are the rows that have their test there, see conftest.py."""
    bench = Bench(room, ROWS[section, theirs])
    TESTS[section, theirs](bench)
    assert bench.runs, "the test never ran the row's expression"


# -- what tests of several sections put into memory ----------------------------------------------------------------


class Pair(ctypes.Structure):
    _fields_ = [("a", u16), ("b", u32)]


def argv(b: Bench) -> None:
    b.put(b"ls\0-l\0", AT + 100)
    UserPtr[u64](AT).write_slice(b.space, [AT + 100, AT + 103, 0])


SEGMENTS = [(AT + 100, 3), (AT + 200, 0), (AT + PAGE_SIZE - 2, 4)]
BROKEN = [(AT, 2), (HOLE - 1, 4)]


def stream_of(b: Bench, segments: list[tuple[int, int]] = SEGMENTS) -> Any:
    for (at, n), text in zip(SEGMENTS, (b"one", b"", b"four"), strict=True):
        b.put(text[:n], at)
    return IoVec(segments).stream(b.space)
