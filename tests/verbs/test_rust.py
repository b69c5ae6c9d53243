"""The rows of `Rust for Linux`: `UserSlice`, its readers and its writers."""

from __future__ import annotations

from typing import Any

import pytest

from axptr import UserFault, UserSlice

from .table import AT, HOLE, RO, RUST, Bench, row, short, the_row_is_true, u16, u32

test_the_row_is_true = the_row_is_true


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
