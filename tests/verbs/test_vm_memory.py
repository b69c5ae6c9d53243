"""The rows of `vm-memory` that no row above says too: files, atomics, regions."""

from __future__ import annotations

import ctypes
import io
import tempfile

import pytest

from axptr import FaultReason, UserFault

from .table import AT, DRGN, HOLE, RO, RUST, VM, Bench, Text, Word, row, the_row_is_true, u8, u16, u32, u64

test_the_row_is_true = the_row_is_true


# -- atomics -------------------------------------------------------------------------------------------------------


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


# -- files ---------------------------------------------------------------------------------------------------------


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
