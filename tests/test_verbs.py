"""docs/verbs.md is true: each row has a test here, which runs the expression that the row shows; each test has a row.

`run(row, **names)` evaluates the expression in the second column with axptr's public names, the names that the page
explains, and those given. So what the table shows is what was tested, and a name that is not there fails.
"""

from __future__ import annotations

import ctypes
import errno
import io
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import axptr
from axptr import (
    ILP32_BIG,
    PAGE_SIZE,
    AddrSpace,
    FaultReason,
    IoVec,
    LinuxError,
    MappingFlags,
    UserConstPtr,
    UserFault,
    UserPtr,
    UserSlice,
)
from fakes import FakeMemory, PlainProvider

PAGE = Path(__file__).parent.parent / "docs" / "verbs.md"
R, W = MappingFlags.READ, MappingFlags.WRITE
AT = 0x100000  # three pages rw-, one r--, a hole
RO, HOLE = AT + 3 * PAGE_SIZE, AT + 4 * PAGE_SIZE
u8, u16, u32, u64, char = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char
Text, Word = UserPtr[char], UserPtr[u32]
PUBLIC = {name: getattr(axptr, name) for name in axptr.__all__}
KNOWN = {**PUBLIC, **{name: getattr(ctypes, name) for name in dir(ctypes) if name.startswith("c_")}}
KNOWN.update(ctypes=ctypes, shutil=shutil, io=io)


class Pair(ctypes.Structure):
    _fields_ = [("a", u16), ("b", u32)]


class Node(ctypes.Structure):
    """The links, in the middle of what is linked, as C's list_head."""


Node._fields_ = [("next", u64), ("prev", u64)]


class Entry(ctypes.Structure):
    _fields_ = [("value", u64), ("link", Node)]


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


@pytest.fixture
def room(space: AddrSpace) -> AddrSpace:
    space.map_alloc(AT, 3 * PAGE_SIZE, R | W, name="data")
    space.map_alloc(RO, PAGE_SIZE, R, name="const")
    return space


@pytest.mark.parametrize(("section", "theirs"), ROWS, ids=map(": ".join, ROWS))
def test_the_row_is_true(room: AddrSpace, section: str, theirs: str) -> None:
    assert (section, theirs) in TESTS, "this row has no test"
    bench = Bench(room, ROWS[section, theirs])
    TESTS[section, theirs](bench)
    assert bench.runs, "the test never ran the row's expression"


def test_every_test_has_its_row() -> None:
    assert set(TESTS) - set(ROWS) == set()
    assert {section for section, _ in ROWS} == {LINUX, GVISOR, RUST, VM, DRGN}
    assert len(ROWS) > 120


def test_every_public_verb_is_beside_something() -> None:
    """What a row calls is public; and the verbs there are, but those that no peer has, stand in a row."""
    text = " ".join(ROWS.values())
    for verb in (
        *(name for name in axptr.__all__ if name[0].islower() and name not in NOT_A_VERB),
        *("UserSlice", "UserFile", "IoVec", "UserAtomic", "UserPtr", "UserConstPtr"),
        *(name for name in dir(UserPtr[u32](0)) if name[0] != "_" and name not in NOT_A_VERB),
        *(name for name in dir(axptr.UserAtomic) if name[0] != "_" and name not in NOT_A_VERB),
    ):
        assert re.search(rf"\b{verb}\b", text), f"{verb} is in no row"


NOT_A_VERB = {
    *("align_up", "align_down", "is_aligned", "default_memory", "enum_type"),
    *("access_user_memory", "is_accessing_user_memory", "check_region_with"),  # the mark, and the seed's other form
    *("T", "type", "ACCESS_FLAGS", "address", "is_null", "nullable", "as_const", "each", "get_as_null_terminated"),
    *("read_text", "read_terminated", "of"),  # no peer knows encodings, or terminators of more than a byte
}


# -- reads and writes that many have -------------------------------------------------------------------------------


@row(LINUX, "get_user(x, p)")
@row(GVISOR, "CopyObjectIn(ctx, uio, addr, dst, opts)")
@row(VM, "Bytes::read_obj::<T>(addr)")
def _(b: Bench) -> None:
    b.put(b"\7\0\0\0\1\2", AT + 1)
    assert b.run(p=Word(AT + 1)) == 7
    assert b.run(p=UserConstPtr.of(">H")(AT + 5)) == 0x102
    b.put(bytes(Pair(1, 2)), AT + 9)
    assert bytes(b.run(p=UserPtr[Pair](AT + 9))) == bytes(Pair(1, 2))
    assert b.run(p=UserConstPtr[u32](RO)) == 0
    assert b.faults(HOLE, p=Word(HOLE)).reason is FaultReason.UNMAPPED
    assert b.faults(HOLE, p=Word(HOLE - 1)).completed == 1


@row(LINUX, "put_user(x, p)")
@row(GVISOR, "CopyObjectOut(ctx, uio, addr, src, opts)")
@row(VM, "Bytes::write_obj(val, addr)")
def _(b: Bench) -> None:
    b.run(p=Word(AT + 1), x=7)
    assert b.has(5, AT + 1) == b"\7\0\0\0\0"
    b.run(p=UserPtr[Pair](AT + 9), x=Pair(1, 2))
    assert b.has(8, AT + 9) == bytes(Pair(1, 2))
    assert b.faults(RO, p=Word(RO - 2), x=1).reason is FaultReason.PROTECTION
    assert b.has(2, RO - 2) == b"\0\0"
    with pytest.raises(OverflowError):
        b.run(p=Word(AT), x=1 << 32)


@row(LINUX, "__get_user, __put_user")
@row(DRGN, "Object.value_()")
def _(b: Bench) -> None:
    b.put(b"\7\0\0\0")
    assert b.run(p=UserConstPtr[u32](AT)) == 7
    assert b.faults(AT + 2, p=UserConstPtr[u32](AT + 2)).reason is FaultReason.MISALIGNED
    b.faults(HOLE, p=UserConstPtr[u32](HOLE))


@row(LINUX, "copy_from_user(to, from, n)")
@row(GVISOR, "IO.CopyIn(ctx, addr, dst, opts)")
@row(VM, "Bytes::read(buf, addr)")
def _(b: Bench) -> None:
    buf = bytearray(b"." * 10)
    b.put(b"0123456789")
    assert b.run(p=Text(AT), buf=buf) == 10
    assert buf == b"0123456789"
    buf[:] = b"." * 10
    short(b.run(p=Text(HOLE - 4), buf=buf), 4, HOLE)
    assert buf == b"\0\0\0\0......"  # what was not read is left as it was
    short(b.run(p=Text(HOLE), buf=buf), 0, HOLE)


@row(LINUX, "copy_to_user(to, from, n)")
@row(GVISOR, "IO.CopyOut(ctx, addr, src, opts)")
@row(VM, "Bytes::write(buf, addr)")
def _(b: Bench) -> None:
    assert b.run(p=Text(AT), data=b"hello") == 5
    assert b.has(6) == b"hello\0"
    short(b.run(p=Text(RO - 2), data=b"hello"), 2, RO)
    assert b.has(3, RO - 2) == b"he\0"
    short(b.run(p=Text(HOLE), data=b"hello"), 0, HOLE)


@row(LINUX, "copy_from_user, all or -EFAULT")
@row(LINUX, "memdup_user(src, len)", "memdup_array_user(src, n, size)")
@row(VM, "Bytes::read_slice(buf, addr)")
def _(b: Bench) -> None:
    b.put(b"\1\0\0\0\2\0\0\0")
    assert b.run(p=Text(AT), n=5) == b"\1\0\0\0\2"
    assert b.run(p=Word(AT), n=2) == (1, 2)
    assert b.faults(HOLE, p=Text(HOLE - 3), n=1 << 40).completed == 3
    with pytest.raises(UserFault):
        b.run(p=Word(AT), n=1 << 63)  # a product that overflows


@row(LINUX, "copy_to_user, all or -EFAULT")
@row(VM, "Bytes::write_slice(buf, addr)")
def _(b: Bench) -> None:
    b.run(p=Text(AT), data=b"hello")
    assert b.has(5) == b"hello"
    b.faults(RO, p=Text(RO - 2), data=b"hello")
    assert b.has(2, RO - 2) == b"\0\0"  # nothing is stored


@row(LINUX, "raw_copy_in_user(to, from, n)")
def _(b: Bench) -> None:
    b.put(b"from here")
    assert b.run(at=AT, to=AT + 100, n=9) == 9
    assert b.has(9, AT + 100) == b"from here"
    short(b.run(at=AT, to=RO - 4, n=9), 4, RO)


@row(LINUX, "clear_user(to, n)")
@row(GVISOR, "IO.ZeroOut(ctx, addr, toZero, opts)")
def _(b: Bench) -> None:
    b.put(b"\xff" * 20)
    assert b.run(at=AT + 1, n=18) == 18
    assert b.has(20) == b"\xff" + bytes(18) + b"\xff"
    short(b.run(at=RO - 5, n=1 << 40), 5, RO)


# -- strings -------------------------------------------------------------------------------------------------------


@row(LINUX, "strncpy_from_user(dst, src, count)")
@row(DRGN, "Program.read_c_string(address, max_size=n)")
def _(b: Bench) -> None:
    b.put(b"swapper/0\0")
    assert b.run(at=AT, n=100) == b"swapper/0"
    assert b.run(at=AT, n=4) == b"swap"  # as long as n: there was no NUL in it
    b.put(b"x" * PAGE_SIZE, RO)
    b.faults(HOLE, at=HOLE - 3, n=100)
    assert b.run(at=HOLE - 3, n=3) == b"xxx"


@row(LINUX, "strnlen_user(s, n)")
def _(b: Bench) -> None:
    b.put(b"four\0")
    assert b.run(at=AT, n=4) == 4
    b.refuses(errno.ENAMETOOLONG, at=AT, n=3)
    b.faults(HOLE, at=HOLE, n=3)


@row(LINUX, "strndup_user(s, n)")
def _(b: Bench) -> None:
    b.put(b"four\0")
    assert b.run(p=Text(AT), n=5) == b"four"
    b.refuses(errno.ENAMETOOLONG, p=Text(AT), n=4)
    b.faults(HOLE, p=Text(HOLE), n=9)


@row(LINUX, "memdup_user_nul(src, len)")
def _(b: Bench) -> None:
    b.put(b"texts")
    assert b.run(p=Text(AT), n=4) == b"text\0"
    b.faults(HOLE, p=Text(HOLE), n=4)


@row(LINUX, "vmemdup_user(src, len)")
@row(RUST, "UserSlice::read_all(buf, flags)")
def _(b: Bench) -> None:
    b.put(b"all of it")
    assert b.run(at=AT, n=9) == b"all of it"
    assert b.run(at=AT, n=0) == b""
    assert b.faults(HOLE, at=AT, n=1 << 62).completed == 4 * PAGE_SIZE


@row(GVISOR, "CopyStringIn(ctx, uio, addr, maxlen, opts)")
def _(b: Bench) -> None:
    b.put("grün\0".encode())
    assert b.run(p=Text(AT), n=6) == "grün"
    b.refuses(errno.ENAMETOOLONG, p=Text(AT), n=5)
    b.put(b"\xff\0")
    b.refuses(errno.EILSEQ, p=Text(AT), n=5)


@row(DRGN, "Program.read_c_string(address)", "Object.string_()")
def _(b: Bench) -> None:
    b.put(b"swapper/0\0")
    assert b.run(p=Text(AT)) == b"swapper/0"
    b.put(b"x" * PAGE_SIZE, RO)
    b.faults(HOLE, p=Text(HOLE - 3))


@row(GVISOR, "Task.CopyInVector(addr, maxElemSize, maxTotalSize)")
def _(b: Bench) -> None:
    argv(b)
    assert b.run(at=AT, n=10, m=1000) == [b"ls", b"-l"]
    b.refuses(errno.E2BIG, at=AT, n=1, m=1000)
    b.refuses(errno.E2BIG, at=AT, n=10, m=20)
    b.faults(HOLE, at=HOLE, n=10, m=1000)


@row(DRGN, "cmdline(task)")
def _(b: Bench) -> None:
    argv(b)
    assert b.run(at=AT) == [b"ls", b"-l"]


def argv(b: Bench) -> None:
    b.put(b"ls\0-l\0", AT + 100)
    UserPtr[u64](AT).write_slice(b.space, [AT + 100, AT + 103, 0])


# -- structures that grow ------------------------------------------------------------------------------------------


@row(LINUX, "copy_struct_from_user(dst, ksize, src, usize)")
def _(b: Bench) -> None:
    b.put(bytes(Pair(1, 2)))
    assert b.run(at=AT, T=Pair, n=8).b == 2
    assert b.run(at=AT, T=Pair, n=4).b == 0
    assert b.run(at=AT, T=Pair, n=12).b == 2
    b.put(b"\1", AT + 11)
    b.refuses(errno.E2BIG, at=AT, T=Pair, n=12)
    b.faults(HOLE, at=HOLE - 4, T=Pair, n=8)


@row(LINUX, "copy_struct_to_user(dst, usize, src, ksize, ignored_trailing)")
def _(b: Bench) -> None:
    b.put(b"\xff" * 20)
    assert b.run(at=AT, x=Pair(1, 2), n=12) is True
    assert b.has(13) == bytes(Pair(1, 2)) + bytes(4) + b"\xff"
    assert b.run(at=AT, x=Pair(3, 4), n=4) is False
    assert b.has(8) == b"\3\0\0\0\2\0\0\0"
    b.faults(RO, at=RO - 4, x=Pair(1, 2), n=8)


@row(LINUX, "check_zeroed_user(from, size)")
def _(b: Bench) -> None:
    assert b.run(at=AT, n=HOLE - AT) is True
    b.put(b"\1", AT + 9)
    assert b.run(at=AT, n=9) is True
    assert b.run(at=AT, n=10) is False
    b.faults(HOLE, at=HOLE - 9, n=10)


# -- checks, and bringing in ---------------------------------------------------------------------------------------


@row(LINUX, "access_ok(addr, size)")
@row(VM, "GuestMemory::check_range(base, len)")
def _(b: Bench) -> None:
    assert b.run(at=AT, n=HOLE - AT) is True
    assert b.run(at=AT, n=HOLE - AT + 1) is False
    assert b.space.phys.data_frames == 0  # nothing came in
    with pytest.raises(ValueError):
        b.run(at=(1 << 64) - 1, n=2)


@row(LINUX, "user_access_begin(ptr, len)")
def _(b: Bench) -> None:
    b.run(at=AT + 5, n=PAGE_SIZE)
    assert b.space.resident_pages() == [AT, AT + PAGE_SIZE]
    b.faults(RO, at=RO - 1, n=2)


@row(LINUX, "unsafe_get_user, unsafe_put_user")
def _(b: Bench) -> None:
    live = b.run(p=Word(AT))
    live.value = 7
    b.space.unmap(AT, PAGE_SIZE)
    assert live.value == 7  # and no fault
    b.faults(RO, p=Word(RO))


@row(LINUX, "unsafe_copy_to_user(dst, src, len, label)")
def _(b: Bench) -> None:
    view = Text(AT + PAGE_SIZE - 2).get_as_slice(b.space, 9)
    b.run(view=view, n=5, data=b"hello")
    assert b.has(6, AT + PAGE_SIZE - 2) == b"hello\0"


@row(LINUX, "fault_in_readable(uaddr, size)", "fault_in_writeable(uaddr, size)")
def _(b: Bench) -> None:
    b.run(at=AT, n=2 * PAGE_SIZE)
    assert b.space.resident_pages() == [AT, AT + PAGE_SIZE]
    with pytest.raises(LinuxError):
        b.run(at=RO - PAGE_SIZE, n=3 * PAGE_SIZE)


@row(LINUX, "fixup_user_fault(mm, address, flags, unlocked)")
def _(b: Bench) -> None:
    assert b.run(at=AT + 9) is True
    assert b.space.resident_pages() == [AT]
    assert b.run(at=RO) is False
    assert b.run(at=HOLE) is False


@row(LINUX, "pin_user_pages(start, nr, flags, pages)")
@row(VM, "GuestMemory::get_slice(addr, count)")
def _(b: Bench) -> None:
    b.put(b"\1", AT + PAGE_SIZE)
    view = b.run(p=Text(AT + 10), n=2 * PAGE_SIZE)
    view[0] = 9
    assert b.has(1, AT + 10) == b"\x09"
    assert b.space.phys.pinned_frames == 3
    b.faults(RO, p=Text(RO - 1), n=2)


@row(LINUX, "unpin_user_pages(pages, n)")
def _(b: Bench) -> None:
    view = Text(AT).get_as_slice(b.space, 5)
    assert b.space.phys.pinned_frames == 1
    b.run(view=view)
    assert b.space.phys.pinned_frames == 0


# -- iovecs --------------------------------------------------------------------------------------------------------


@row(LINUX, "import_iovec(type, uvec, nr_segs, fast_segs, iovp, i)")
@row(GVISOR, "Task.CopyInIovecs(addr, numIovecs)")
def _(b: Bench) -> None:
    UserPtr[u64](AT).write_slice(b.space, [AT + 100, 5, AT + 200, 7])
    assert list(b.run(at=AT, n=2)) == [(AT + 100, 5), (AT + 200, 7)]
    b.refuses(errno.EINVAL, at=AT, n=1025)
    with pytest.raises(UserFault):
        b.run(at=HOLE - 16, n=2)
    UserPtr[u64](AT).write_slice(b.space, [AT, 1 << 30, AT, 1 << 30])
    assert b.run(at=AT, n=2).total == 0x7FFFF000


@row(LINUX, "import_ubuf(rw, buf, len, i)")
def _(b: Bench) -> None:
    stream = b.run(at=AT, n=5)
    assert (stream.remaining, stream.copy_out(b"texts and more")) == (5, 5)
    assert b.has(6) == b"texts\0"


SEGMENTS = [(AT + 100, 3), (AT + 200, 0), (AT + PAGE_SIZE - 2, 4)]


def stream_of(b: Bench, segments: list[tuple[int, int]] = SEGMENTS) -> Any:
    for (at, n), text in zip(SEGMENTS, (b"one", b"", b"four"), strict=True):
        b.put(text[:n], at)
    return IoVec(segments).stream(b.space)


BROKEN = [(AT, 2), (HOLE - 1, 4)]


@row(LINUX, "copy_from_iter(addr, bytes, i)")
@row(GVISOR, "IOSequence.CopyIn(ctx, dst)")
def _(b: Bench) -> None:
    stream, buf = stream_of(b), bytearray(5)
    assert b.run(stream=stream, buf=buf) == 5
    assert buf == b"onefo"
    assert b.run(stream=stream, buf=buf) == 2
    assert buf == b"urefo"
    short(b.run(stream=IoVec(BROKEN).stream(b.space), buf=bytearray(6)), 3, HOLE)


@row(LINUX, "copy_to_iter(addr, bytes, i)")
@row(GVISOR, "IOSequence.CopyOut(ctx, src)")
def _(b: Bench) -> None:
    stream = stream_of(b)
    assert b.run(stream=stream, data=b"abcde") == 5
    assert (b.has(3, AT + 100), b.has(4, AT + PAGE_SIZE - 2)) == (b"abc", b"deur")
    short(b.run(stream=IoVec([(AT, 2), (RO - 1, 4)]).stream(b.space), data=b"abcdef"), 3, RO)


@row(LINUX, "iov_iter_advance(i, bytes)")
@row(GVISOR, "IOSequence.DropFirst(n)")
def _(b: Bench) -> None:
    stream, buf = stream_of(b), bytearray(9)
    assert b.run(stream=stream, n=4) == 4
    assert (stream.copy_in(buf), buf[:3]) == (3, b"our")
    assert b.run(stream=stream, n=4) == 0


@row(LINUX, "iov_iter_revert(i, unroll)")
def _(b: Bench) -> None:
    stream, buf = stream_of(b), bytearray(6)
    stream.copy_in(buf)
    b.run(stream=stream, n=4)
    assert (stream.copy_in(buf), buf[:5]) == (5, b"efour")
    with pytest.raises(ValueError):
        b.run(stream=stream, n=8)
    b.run(stream=stream, n=7)
    assert (stream.copy_in(buf), buf) == (6, b"onefou")


@row(LINUX, "iov_iter_count(i)")
@row(GVISOR, "IOSequence.NumBytes()")
def _(b: Bench) -> None:
    stream = stream_of(b)
    assert b.run(stream=stream) == 7
    stream.skip(2)
    assert b.run(stream=stream) == 5


@row(LINUX, "iov_iter_zero(bytes, i)")
def _(b: Bench) -> None:
    assert b.run(stream=stream_of(b), n=4) == 4
    assert (b.has(3, AT + 100), b.has(4, AT + PAGE_SIZE - 2)) == (bytes(3), b"\0our")
    short(b.run(stream=IoVec([(AT, 2), (RO - 1, 1 << 40)]).stream(b.space), n=1 << 40), 3, RO)


@row(GVISOR, "CopyInVec(ctx, uio, ars, dst, opts)")
def _(b: Bench) -> None:
    stream_of(b)
    buf = bytearray(9)
    assert b.run(segments=SEGMENTS, buf=buf) == 7
    assert buf == b"onefour\0\0"
    short(b.run(segments=BROKEN, buf=buf), 3, HOLE)


@row(GVISOR, "CopyOutVec(ctx, uio, ars, src, opts)")
def _(b: Bench) -> None:
    assert b.run(segments=SEGMENTS, data=b"onefour and more") == 7
    assert (b.has(3, AT + 100), b.has(4, AT + PAGE_SIZE - 2)) == (b"one", b"four")


@row(GVISOR, "ZeroOutVec(ctx, uio, ars, toZero, opts)")
def _(b: Bench) -> None:
    stream_of(b)
    short(b.run(segments=BROKEN, n=6), 2, HOLE - 1)
    assert b.run(segments=SEGMENTS, n=6) == 6
    assert (b.has(3, AT + 100), b.has(4, AT + PAGE_SIZE - 2)) == (bytes(3), b"\0\0\0r")


@row(GVISOR, "CopyInt32StringsInVec(ctx, uio, ars, dsts, opts)")
def _(b: Bench) -> None:
    b.put(b" 12 -7\n", AT + 100)
    assert b.run(segments=[(AT + 100, 3), (AT + 103, 4)], buf=bytearray(7)) == [12, -7]


@row(GVISOR, "IOSequence{IO, Addrs, Opts}")
def _(b: Bench) -> None:
    stream = b.run(segments=SEGMENTS)
    assert (stream.remaining, stream.copy_out(b"x" * 9), stream.remaining) == (7, 7, 0)


@row(GVISOR, "IOSequence.TakeFirst(n)")
def _(b: Bench) -> None:
    stream, buf = stream_of(b), bytearray(9)
    assert b.run(stream=stream, buf=buf, n=4) == 4
    assert (buf, stream.remaining) == (b"onef\0\0\0\0\0", 3)


# -- atomics -------------------------------------------------------------------------------------------------------


@row(LINUX, "futex_atomic_cmpxchg_inatomic(uval, uaddr, old, new)")
@row(GVISOR, "IO.CompareAndSwapUint32(ctx, addr, old, new, opts)")
def _(b: Bench) -> None:
    b.put(b"\5\0\0\0")
    assert b.run(at=AT, old=4, new=9) == 5
    assert b.has(4) == b"\5\0\0\0"
    assert b.run(at=AT, old=5, new=9) == 5
    assert b.has(4) == b"\x09\0\0\0"
    b.faults(RO, at=RO, old=0, new=1)


@row(LINUX, "arch_futex_atomic_op_inuser(FUTEX_OP_ADD, ...)")
def _(b: Bench) -> None:
    assert b.run(at=AT, n=5) == 0
    assert b.run(at=AT, n=5) == 5
    b.faults(RO, at=RO, n=1)


@row(LINUX, "arch_futex_atomic_op_inuser(FUTEX_OP_SET, ...)")
def _(b: Bench) -> None:
    assert b.run(at=AT, n=5) == 0
    assert b.run(at=AT, n=6) == 5


@row(LINUX, "arch_futex_atomic_op_inuser(FUTEX_OP_OR, ...)")
def _(b: Bench) -> None:
    assert [b.run(at=AT, n=n) for n in (5, 0x80000002, 0)] == [0, 5, 0x80000007]
    b.faults(RO, at=RO, n=1)


@row(LINUX, "arch_futex_atomic_op_inuser(FUTEX_OP_ANDN, ...)")
def _(b: Bench) -> None:
    b.put(b"\xff" * 8)
    assert [b.run(at=AT, n=n) for n in (5, 0x80000002, 0)] == [0xFFFFFFFF, 0xFFFFFFFA, 0x7FFFFFF8]
    assert b.has(8) == b"\xf8\xff\xff\x7f\xff\xff\xff\xff"
    b.faults(RO, at=RO, n=1)


@row(LINUX, "arch_futex_atomic_op_inuser(FUTEX_OP_XOR, ...)")
def _(b: Bench) -> None:
    assert [b.run(at=AT, n=n) for n in (0x80000005, 3, 0)] == [0, 0x80000005, 0x80000006]
    b.faults(RO, at=RO, n=1)


@row(GVISOR, "IO.SwapUint32(ctx, addr, new, opts)")
def _(b: Bench) -> None:
    assert b.run(at=AT, x=5) == 0
    assert b.run(at=AT, x=6) == 5
    assert b.faults(AT + 2, at=AT + 2, x=6).reason is FaultReason.MISALIGNED


@row(GVISOR, "IO.LoadUint32(ctx, addr, opts)")
def _(b: Bench) -> None:
    b.put(b"\7\0\0\0\1")
    assert b.run(at=AT) == 7
    assert b.faults(AT + 1, at=AT + 1).reason is FaultReason.MISALIGNED
    b.faults(HOLE, at=HOLE)


@row(VM, "Bytes::load(addr, order)")
def _(b: Bench) -> None:
    b.put(b"\7\6\5\4\3\2\1\0")
    assert [b.run(at=AT, T=T) for T in (u8, u16, u32, u64)] == [7, 0x607, 0x4050607, 0x1020304050607]
    assert b.faults(AT + 1, at=AT + 1, T=u16).reason is FaultReason.MISALIGNED
    b.faults(HOLE, at=HOLE, T=u8)


@row(VM, "Bytes::store(val, addr, order)")
def _(b: Bench) -> None:
    for T, n in ((u64, 8), (u32, 4), (u16, 2), (u8, 1)):
        b.put(b"\xff" * 9)
        b.run(at=AT, T=T, x=7)
        assert b.has(9) == b"\7".ljust(n, b"\0") + b"\xff" * (9 - n)
    b.faults(RO, at=RO, T=u16, x=7)


# -- other processes, debuggers ------------------------------------------------------------------------------------


@row(LINUX, "access_process_vm(tsk, addr, buf, len, gup_flags)")
@row(DRGN, "Program.read(address, size)", "access_process_vm(task, address, size)")
def _(b: Bench) -> None:
    b.put(b"secret")
    b.space.protect(AT, PAGE_SIZE, MappingFlags(0))
    assert b.run(at=AT, n=6) == b"secret"
    b.faults(HOLE, at=HOLE - 3, n=6)


def neighbour(b: Bench) -> AddrSpace:
    other = AddrSpace(0x1000, 1 << 30, b.space.phys)
    other.map_alloc(AT, PAGE_SIZE, R | W)
    other.write(AT, b"theirs")
    return other


@row(LINUX, "process_vm_readv(pid, local, liovcnt, remote, riovcnt, flags)")
def _(b: Bench) -> None:
    buf = bytearray(6)
    assert b.run(other=neighbour(b), segments=[(AT, 2), (AT + 4, 2)], buf=buf) == 4
    assert buf == b"thrs\0\0"
    short(b.run(other=neighbour(b), segments=[(AT + PAGE_SIZE - 2, 4)], buf=buf), 2, AT + PAGE_SIZE)


@row(LINUX, "process_vm_writev(pid, local, liovcnt, remote, riovcnt, flags)")
def _(b: Bench) -> None:
    other = neighbour(b)
    assert b.run(other=other, segments=[(AT, 2), (AT + 4, 2)], data=b"OURS") == 4
    assert other.read(AT, 6) == b"OUeiRS"
    assert b.has(4) == bytes(4)


@row(GVISOR, "IOOpts.IgnorePermissions")
def _(b: Bench) -> None:
    b.run(at=RO, data=b"poked")
    assert b.has(5, RO) == b"poked"
    b.faults(HOLE, at=HOLE, data=b"x")


# -- files ---------------------------------------------------------------------------------------------------------


@row(GVISOR, "IO.CopyInTo(ctx, ars, dst, opts)")
@row(VM, "Bytes::write_all_volatile_to(addr, dst, count)")
def _(b: Bench) -> None:
    b.put(b"some text")
    file = io.BytesIO()
    b.run(at=AT, n=9, file=file)
    assert file.getvalue() == b"some text"
    b.faults(HOLE, at=HOLE - 3, n=9, file=file)
    assert file.getvalue() == b"some text\0\0\0"


@row(GVISOR, "IO.CopyOutFrom(ctx, ars, src, opts)")
def _(b: Bench) -> None:
    assert b.run(p=Text(AT), n=20, file=io.BytesIO(b"some text")) == 9
    assert b.has(10) == b"some text\0"
    short(b.run(p=Text(RO - 4), n=20, file=io.BytesIO(b"some text")), 4, RO)


@row(GVISOR, "IOReadWriter{Ctx, IO, Addr, Opts}")
def _(b: Bench) -> None:
    b.put(b"line one\nline two")
    with b.run(at=AT, n=17) as file:
        assert list(file) == [b"line one\n", b"line two"]


@row(VM, "Bytes::read_volatile_from(addr, src, count)")
def _(b: Bench) -> None:
    assert b.run(p=Text(AT), n=20, file=io.BytesIO(b"some text")) == 9
    assert b.has(10) == b"some text\0"
    b.faults(RO, p=Text(RO), n=20, file=io.BytesIO(b"some text"))


@row(VM, "Bytes::read_exact_volatile_from(addr, src, count)")
def _(b: Bench) -> None:
    b.run(p=Text(AT), n=4, file=io.BytesIO(b"some text"))
    assert b.has(5) == b"some\0"
    b.faults(RO, p=Text(RO - 2), n=4, file=io.BytesIO(b"some text"))


@row(VM, "Bytes::write_volatile_to(addr, dst, count)")
def _(b: Bench) -> None:
    b.put(b"some text")
    with tempfile.TemporaryFile(buffering=0) as file:
        assert b.run(p=Text(AT), n=9, file=file) == 9
        file.seek(0)
        assert file.read() == b"some text"


# -- types ---------------------------------------------------------------------------------------------------------


@row(GVISOR, "primitive.CopyUint32In(cc, addr, dst)")
@row(DRGN, "Program.read_u32(address)")
def _(b: Bench) -> None:
    b.put(b"\1\2\3\4\5", AT + 1)
    assert b.run(at=AT + 1) == 0x04030201
    b.faults(HOLE, at=HOLE - 3)


@row(GVISOR, "primitive.CopyInt64Out(cc, addr, src)")
def _(b: Bench) -> None:
    b.run(at=AT + 1, x=-2)
    assert b.has(9, AT + 1) == b"\xfe" + b"\xff" * 7 + b"\0"


@row(GVISOR, "BytesIO{Bytes}")
def _(b: Bench) -> None:
    memory = FakeMemory()
    memory.map(AT, 1, R)
    memory.poke(AT, b"bytes of its own")
    assert b.run(p=Text(AT), fake=PlainProvider(memory), n=5) == b"bytes"
    b.faults(AT + PAGE_SIZE, p=Text(AT + PAGE_SIZE - 2), fake=PlainProvider(memory), n=5)


@row(DRGN, "Program.read_u8(address)", "Program.read_u16(address)", "Program.read_u64(address)")
def _(b: Bench) -> None:
    b.put(b"\1\2\3\4\5\6\7\x08")
    assert b.run(at=AT).to_bytes(8, "little") in (b"\1" + bytes(7), b"\1\2" + bytes(6), b"\1\2\3\4\5\6\7\x08")
    b.faults(HOLE, at=HOLE)


@row(DRGN, "Program.read_word(address)")
def _(b: Bench) -> None:
    b.put(b"\1\2\3\4\5\6\7\x08", AT + 4)
    assert b.run(at=AT + 4) == 0x0807060504030201
    b.space.model = ILP32_BIG
    assert b.run(at=AT + 4) == 0x01020304


@row(DRGN, "Object.read_()", "Object.to_bytes_()")
def _(b: Bench) -> None:
    b.put(bytes(Pair(1, 2)))
    assert b.run(p=UserConstPtr[Pair](AT)) == bytes(Pair(1, 2))


@row(DRGN, "Object.member_(name)")
def _(b: Bench) -> None:
    assert b.run(p=UserPtr[Entry](AT), name="link.prev").address == AT + 16
    with pytest.raises(AttributeError):
        b.run(p=UserPtr[Entry](AT), name="no")


@row(DRGN, "Object[i]")
def _(b: Bench) -> None:
    assert b.run(p=Word(AT), n=3).address == AT + 12


@row(DRGN, "Object.address_of_()")
def _(b: Bench) -> None:
    assert b.run(p=Word(AT)) == AT


@row(DRGN, "cast(type, obj)")
def _(b: Bench) -> None:
    assert b.run(p=Text(AT), T=u32) == Word(AT)


@row(DRGN, "reinterpret(type, obj)")
def _(b: Bench) -> None:
    b.put(b"\0\0\x80\x3f", AT + 1)
    assert b.run(p=Word(AT + 1), T=ctypes.c_float) == 1.0


@row(DRGN, "container_of(ptr, type, member)")
def _(b: Bench) -> None:
    assert b.run(p=UserPtr[Node](AT + 8), T=Entry, name="link") == UserPtr[Entry](AT)
    with pytest.raises(TypeError):
        b.run(p=Word(AT + 8), T=Entry, name="link")


@row(DRGN, "sizeof(type_or_obj)")
def _(b: Bench) -> None:
    assert b.run(T=Entry) == 24


@row(DRGN, "offsetof(type, member)")
def _(b: Bench) -> None:
    assert b.run(p=UserPtr[Entry](AT), name="link.prev") == 16


def ring(b: Bench, places: list[int]) -> None:
    """A circular list through `places`, the head first."""
    for here, there in zip(places, [*places[1:], places[0]], strict=True):
        UserPtr[Node](here).field("next").write(b.space, there)


@row(DRGN, "list_for_each(head)")
def _(b: Bench) -> None:
    ring(b, [AT, AT + 104, AT + PAGE_SIZE - 8])
    assert [p.address for p in b.run(p=UserPtr[Node](AT), n=10)] == [AT + 104, AT + PAGE_SIZE - 8]
    b.refuses(errno.ELOOP, p=UserPtr[Node](AT), n=2)


@row(DRGN, "list_for_each_entry(type, head, member)")
def _(b: Bench) -> None:
    ring(b, [AT, AT + 104, AT + 208])
    entries = b.run(p=UserPtr[Node](AT), n=10, T=Entry, name="link")
    assert entries == [UserPtr[Entry](AT + 96), UserPtr[Entry](AT + 200)]


# -- search --------------------------------------------------------------------------------------------------------


@row(DRGN, "Program.search_memory(value, alignment=1)")
def _(b: Bench) -> None:
    b.put(b"needle", AT + PAGE_SIZE - 3)
    b.put(b"needle", RO)
    assert b.run(data=b"needle") == [AT + PAGE_SIZE - 3, RO]
    assert b.run(data=b".*") == []


@row(DRGN, "Program.search_memory_u16(*values)", "Program.search_memory_u64(*values)")
def _(b: Bench) -> None:
    b.put(b"\x39\x30\0\0\0\0\0\0", AT + 64)
    b.put(b"\x39\x30\0\0\0\0\0\0", AT + 129)  # not aligned
    assert b.run(values=[5, 0x3039]) == [(AT + 64, 0x3039)]
    assert b.run(values=[(0x3000, 0x3039)]) == [(AT + 64, 0x3039)]
    assert b.run(values=[(0x31, 0x3038), 0x303A]) == []


@row(DRGN, "Program.search_memory_word(*values)")
def _(b: Bench) -> None:
    b.put(b"\0\0\x30\x39\0\0\x30\x39", AT + 64)
    assert b.run(values=[(0x3000, 0x4000)]) == []
    b.space.model = ILP32_BIG
    assert b.run(values=[(0x3000, 0x4000)]) == [(AT + 64, 0x3039), (AT + 68, 0x3039)]


@row(DRGN, "Program.search_memory_u32(*values, ignore_mask=m)")
def _(b: Bench) -> None:
    b.put(b"\x12\x34\x56\x78")
    assert b.run(x=0x78560000, m=0xFFFF0000) == [AT]
    assert b.run(x=0x78560000, m=0xFFFFFFFF) == []


@row(DRGN, "Program.search_memory_regex(pattern)")
def _(b: Bench) -> None:
    b.put(b"panic: 42\0", AT + PAGE_SIZE - 4)
    assert b.run(data=rb"panic: (\d+)") == [(AT + PAGE_SIZE - 4, b"panic: 42", (b"42",))]


@row(DRGN, "Program.add_memory_segment(address, size, read_fn)")
def _(b: Bench) -> None:
    asked: list[int] = []

    def fetch(offset: int) -> bytes:
        asked.append(offset)
        return b"made up"

    b.run(at=HOLE, n=2 * PAGE_SIZE, fetch=fetch)
    assert b.has(8, HOLE + PAGE_SIZE) == b"made up\0"
    assert asked == [PAGE_SIZE]


# -- slices --------------------------------------------------------------------------------------------------------


@row(RUST, "UserSlice::new(ptr, length)")
def _(b: Bench) -> None:
    assert b.run(at=HOLE, n=1 << 63).length == 1 << 63  # nothing is checked


@row(RUST, "UserSlice::reader()")
def _(b: Bench) -> None:
    b.put(b"text")
    assert b.run(at=AT, n=4).read(4) == b"text"


@row(RUST, "UserSlice::writer()")
def _(b: Bench) -> None:
    b.run(at=AT, n=4).write(b"text")
    assert b.has(4) == b"text"


@row(RUST, "UserSlice::reader_writer()")
def _(b: Bench) -> None:
    b.put(b"text")
    reader, writer = b.run(at=AT, n=4)
    writer.write(reader.read_all().upper())
    assert b.has(4) == b"TEXT"


def reader(b: Bench, n: int = 10, at: int = AT) -> Any:
    b.put(b"0123456789")
    return UserSlice(at, n).reader(b.space)


def writer(b: Bench, n: int = 10, at: int = AT) -> Any:
    return UserSlice(at, n).writer(b.space)


@row(RUST, "UserSliceReader::skip(num_skip)")
def _(b: Bench) -> None:
    one = reader(b)
    b.run(reader=one, n=4)
    assert one.read(2) == b"45"
    with pytest.raises(UserFault):
        b.run(reader=one, n=5)


@row(RUST, "UserSliceReader::clone_reader()")
def _(b: Bench) -> None:
    one = reader(b)
    one.skip(5)
    assert (b.run(reader=one).read_all(), one.read_all()) == (b"56789", b"56789")


@row(RUST, "UserSliceReader::len()")
def _(b: Bench) -> None:
    one = reader(b)
    one.skip(3)
    assert b.run(reader=one) == 7


@row(RUST, "UserSliceReader::is_empty()")
def _(b: Bench) -> None:
    one = reader(b)
    assert b.run(reader=one) is False
    one.skip(10)
    assert b.run(reader=one) is True


@row(RUST, "UserSliceReader::read_raw(out)")
def _(b: Bench) -> None:
    one = reader(b)
    assert b.run(reader=one, n=4) == b"0123"
    with pytest.raises(UserFault):
        b.run(reader=one, n=7)  # past the slice
    assert one.remaining == 6
    b.faults(HOLE, reader=reader(b, 10, HOLE - 3), n=4)


@row(RUST, "UserSliceReader::read_slice(out)")
def _(b: Bench) -> None:
    one, buf = reader(b), bytearray(4)
    assert b.run(reader=one, buf=buf) == 4
    assert (buf, one.remaining) == (b"0123", 6)
    short(b.run(reader=reader(b, 10, HOLE - 3), buf=buf), 3, HOLE)


@row(RUST, "UserSliceReader::read_slice_partial(out, offset)", "UserSliceReader::read_slice_file(out, offset)")
def _(b: Bench) -> None:
    buf = bytearray(6)
    assert b.run(reader=reader(b), buf=buf, n=2) == 4
    assert buf == b"\0\x000123"
    assert b.run(reader=reader(b), buf=buf, n=7) == 0
    assert b.run(reader=reader(b, 1), buf=buf, n=2) == 1


@row(RUST, "UserSliceReader::read::<T>()")
def _(b: Bench) -> None:
    one = reader(b)
    one.skip(1)
    assert b.run(reader=one, T=u16) == 0x3231
    assert b.run(reader=one, T=u32 * 1)[0] == 0x36353433
    with pytest.raises(UserFault):
        b.run(reader=one, T=u32)  # past the slice
    assert one.remaining == 3


@row(RUST, "UserSliceReader::read_all(buf, flags)")
def _(b: Bench) -> None:
    assert b.run(reader=reader(b)) == b"0123456789"
    b.faults(HOLE, reader=reader(b, 9, HOLE - 3))


@row(RUST, "UserSliceReader::strcpy_into_buf(buf)")
def _(b: Bench) -> None:
    b.put(b"name\0rest", AT + 100)
    one = UserSlice(AT + 100, 9).reader(b.space)
    assert (b.run(reader=one), one.read_all()) == (b"name", b"rest")
    assert b.run(reader=reader(b, 3)) == b"012"


@row(RUST, "UserSliceWriter::len()")
def _(b: Bench) -> None:
    one = writer(b)
    one.write(b"abc")
    assert b.run(writer=one) == 7


@row(RUST, "UserSliceWriter::is_empty()")
def _(b: Bench) -> None:
    one = writer(b)
    assert b.run(writer=one) is False
    one.write(b"0123456789")
    assert b.run(writer=one) is True


@row(RUST, "UserSliceWriter::write_slice(data)")
def _(b: Bench) -> None:
    one = writer(b)
    b.run(writer=one, data=b"hello")
    b.run(writer=one, data=b"!")
    assert b.has(7) == b"hello!\0"
    with pytest.raises(UserFault):
        b.run(writer=one, data=b"12345")
    b.faults(RO, writer=writer(b, 10, RO - 2), data=b"123")
    assert b.has(2, RO - 2) == b"\0\0"


@row(RUST, "UserSliceWriter::write_slice_partial(data, offset)", "UserSliceWriter::write_slice_file(data, offset)")
def _(b: Bench) -> None:
    assert b.run(writer=writer(b, 3), data=b"0123456", n=2) == 3
    assert b.has(4) == b"234\0"
    assert b.run(writer=writer(b), data=b"0123456", n=9) == 0
    short(b.run(writer=writer(b, 10, RO - 1), data=b"0123456", n=2), 1, RO)


@row(RUST, "UserSliceWriter::write::<T>(value)")
def _(b: Bench) -> None:
    one = writer(b, 9, AT + 1)
    b.run(writer=one, T=u16, x=0x3231)
    b.run(writer=one, T=u32, x=0x36353433)
    assert b.has(7, AT + 1) == b"123456\0"
    with pytest.raises(UserFault):
        b.run(writer=one, T=u32, x=1)


# -- regions -------------------------------------------------------------------------------------------------------


@row(VM, "GuestMemory::try_access(count, addr, f)")
def _(b: Bench) -> None:
    assert b.run(f=lambda memory: memory.read(RO - 1, 2)) == b"\0\0"


@row(VM, "GuestMemory::check_address(addr)", "GuestMemory::find_region(addr)")
@row(DRGN, "vma_find(mm, addr)")
def _(b: Bench) -> None:
    assert b.run(at=RO + 5).name == "const"
    assert b.run(at=HOLE) is None


@row(VM, "GuestMemory::address_in_range(addr)")
def _(b: Bench) -> None:
    assert b.run(at=RO + 5) is True
    assert b.run(at=HOLE) is False


@row(VM, "GuestMemory::checked_offset(base, offset)")
@row(RUST, "UserPtr::wrapping_byte_add(add)")
def _(b: Bench) -> None:
    assert b.run(p=Text(AT), n=5).address == AT + 5
    with pytest.raises(UserFault):
        b.run(p=Text(AT), n=1 << 64)


@row(VM, "GuestMemory::num_regions()")
def _(b: Bench) -> None:
    assert b.run() == 2


@row(VM, "GuestMemory::last_addr()")
def _(b: Bench) -> None:
    assert b.run() == HOLE - 1


@row(VM, "GuestMemory::iter()")
@row(DRGN, "for_each_vma(mm)")
def _(b: Bench) -> None:
    assert [area.name for area in b.run()] == ["data", "const"]


@row(VM, "GuestMemory::get_host_address(addr)")
def _(b: Bench) -> None:
    live = Word(AT + 4).get(b.space)
    assert b.run(p=Word(AT + 4)) == ctypes.addressof(live)


@row(DRGN, "Program.read(address, size, physical=True)")
def _(b: Bench) -> None:
    b.put(b"there")
    found = b.space.query(AT)
    assert found is not None
    assert b.run(paddr=found[0], n=5) == b"there"
    with pytest.raises(ValueError):
        b.run(paddr=b.space.phys.size, n=1)


@row(DRGN, "follow_phys(mm, addr)")
def _(b: Bench) -> None:
    assert b.run(at=AT) is None
    b.put(b"x", AT)
    paddr, flags, size = b.run(at=AT + 5)
    assert (b.space.phys.read(paddr - 5, 1), flags & (R | W), size) == (b"x", R | W, PAGE_SIZE)


@row(DRGN, "FaultError.address")
def _(b: Bench) -> None:
    with pytest.raises(UserFault) as caught:
        Word(HOLE).read(b.space)
    assert b.run(fault=caught.value) == HOLE


@pytest.fixture(autouse=True)
def lets_go(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    request.node.funcargs.clear()  # pytest would keep the space beyond the count of frames
