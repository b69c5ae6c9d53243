"""The rows of `gVisor usermem` that no row of Linux says too: strings, sequences of ranges, atomics, files."""

from __future__ import annotations

import errno
import io

from axptr import PAGE_SIZE, FaultReason
from fakes import FakeMemory, PlainProvider

from .table import (
    AT,
    BROKEN,
    DRGN,
    GVISOR,
    HOLE,
    RO,
    SEGMENTS,
    VM,
    Bench,
    R,
    Text,
    argv,
    row,
    short,
    stream_of,
    the_row_is_true,
)

test_the_row_is_true = the_row_is_true


# -- strings -------------------------------------------------------------------------------------------------------


@row(GVISOR, "CopyStringIn(ctx, uio, addr, maxlen, opts)")
def _(b: Bench) -> None:
    b.put("grün\0".encode())
    assert b.run(p=Text(AT), n=6) == "grün"
    b.refuses(errno.ENAMETOOLONG, p=Text(AT), n=5)
    b.put(b"\xff\0")
    b.refuses(errno.EILSEQ, p=Text(AT), n=5)


@row(GVISOR, "Task.CopyInVector(addr, maxElemSize, maxTotalSize)")
def _(b: Bench) -> None:
    argv(b)
    assert b.run(at=AT, n=10, m=1000) == [b"ls", b"-l"]
    b.refuses(errno.E2BIG, at=AT, n=1, m=1000)
    b.refuses(errno.E2BIG, at=AT, n=10, m=20)
    b.faults(HOLE, at=HOLE, n=10, m=1000)


# -- iovecs --------------------------------------------------------------------------------------------------------


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


# -- other processes, debuggers ------------------------------------------------------------------------------------


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
