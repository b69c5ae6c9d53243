"""The rows of `Linux uaccess`: copies, strings, structures that grow, faulting in, pins, iovecs, futexes."""

from __future__ import annotations

import errno

import pytest

from axptr import PAGE_SIZE, AddrSpace, FaultReason, IoVec, LinuxError, MappingFlags, UserConstPtr, UserFault, UserPtr

from .table import (
    AT,
    BROKEN,
    DRGN,
    GVISOR,
    HOLE,
    LINUX,
    RO,
    RUST,
    VM,
    Bench,
    Pair,
    R,
    Text,
    W,
    Word,
    row,
    short,
    stream_of,
    the_row_is_true,
    u32,
    u64,
)

test_the_row_is_true = the_row_is_true


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


@row(LINUX, "copy_from_user_nofault(dst, src, size), __copy_from_user_inatomic")
def _(b: Bench) -> None:
    b.put(b"here")
    buf = bytearray(4)
    assert b.run(at=AT, buf=buf) == 4
    assert buf == b"here"
    short(b.run(at=HOLE, buf=buf), 0, HOLE)


@row(LINUX, "copy_to_user_nofault(dst, src, size), __copy_to_user_inatomic")
def _(b: Bench) -> None:
    b.put(b"here")
    assert b.run(at=AT, data=b"THE") == 3
    assert b.has(4) == b"THEe"
    twin = b.space.try_clone()
    done = b.run(at=AT, data=b"not")
    short(done, 0, AT)
    assert done.fault.reason is FaultReason.ABSENT
    assert twin.read(AT, 4) == b"THEe"


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
