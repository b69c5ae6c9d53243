"""Spaces over each page-table format: bounds, and what stands in the tables while pages come, go and change.

What a space does whatever its format is tested in the other files (`EVERY_FORMAT`). Here are the places where
formats differ, with the real bits (hand-worked in `tests/core/paging/test_formats.py`) and a CPU of another maker's.
"""

from __future__ import annotations

import ctypes
import gc
import struct
from collections.abc import Callable
from typing import Any

import pytest

import axptr
from axptr import (
    AARCH64,
    PAGE_SIZE,
    SV39,
    SV48,
    AddrSpace,
    LinuxError,
    MappingFlags,
    PagingFormat,
    PhysMemory,
    UserConstPtr,
    UserFault,
    UserPtr,
)
from formats import FACTS, TOP, Facts

EVERY_FORMAT = True
NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
U, DEVICE, UNCACHED = MappingFlags.USER, MappingFlags.DEVICE, MappingFlags.UNCACHED
AT = 0x4040_3000
c_uint64 = ctypes.c_uint64


def entry(space: AddrSpace, vaddr: int) -> int:
    """The last-level entry for a page, found by the indices alone."""
    fmt = space.page_table.format
    riscv = fmt in (SV39, SV48)
    table = int(space.page_table.root)
    for shift in (30, 21, 12) if fmt is SV39 else (39, 30, 21, 12):
        word = struct.unpack("<Q", space.phys.read(table + (vaddr >> shift & 511) * 8, 8))[0]
        table = (word >> 10 & (1 << 44) - 1) << 12 if riscv else word & 0x0000_FFFF_FFFF_F000
    return word  # type: ignore[no-any-return]


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts.fmt.name)
def test_a_space_has_the_bounds_of_its_format(phys: PhysMemory, facts: Facts) -> None:
    good = [(0, facts.lower), (facts.lower - PAGE_SIZE, PAGE_SIZE)]
    bad = [(0, facts.lower + PAGE_SIZE), (facts.lower, PAGE_SIZE), (facts.lower - PAGE_SIZE, 2 * PAGE_SIZE)]
    if facts.upper is None:
        bad += [(TOP - PAGE_SIZE, PAGE_SIZE)]
    else:
        good += [(facts.upper, TOP - facts.upper), (TOP - PAGE_SIZE, PAGE_SIZE)]
        bad += [(facts.upper - PAGE_SIZE, PAGE_SIZE), (facts.upper - PAGE_SIZE, 2 * PAGE_SIZE), (0, TOP)]
    for base, size in good:
        space = AddrSpace(base, size, phys, facts.fmt)
        space.map_alloc(base, size, R | W)
        for where in (base, base + size - 1):
            UserPtr[ctypes.c_ubyte](where).write(space, 7)
            assert space.query(where)[1] == R | W  # type: ignore[index]
        assert facts.fmt.name in repr(space)
        space._check()
    for base, size in bad:
        with pytest.raises(ValueError, match="cannot translate"):
            AddrSpace(base, size, phys, facts.fmt)
    del space
    assert phys.frames_in_use == 0


def test_a_page_that_may_only_be_written_is_readable_but_on_aarch64(space: AddrSpace, fmt: PagingFormat) -> None:
    space.map_alloc(AT, PAGE_SIZE, W | U)
    UserPtr[c_uint64](AT).write(space, 7)
    assert space.find_area(AT).flags == W | U  # type: ignore[union-attr]
    assert space.read(AT, 8) == (7).to_bytes(8, "little")
    if fmt is not AARCH64:
        assert UserConstPtr[c_uint64](AT).read(space) == 7
        assert space.query(AT)[1] == R | W | U  # type: ignore[index]
        return
    for _ in range(2):  # from the entry, and once the TLB had its chance
        with pytest.raises(UserFault):
            UserConstPtr[c_uint64](AT).read(space)
        with pytest.raises(UserFault):
            UserPtr[c_uint64](AT).get(space)
    assert space.query(AT)[1] == W | U  # type: ignore[index]
    # Made clean again by protect, it grants nothing until the next write.
    space.protect(AT, PAGE_SIZE, W | U)
    assert space.query(AT)[1] == NONE  # type: ignore[index]
    with pytest.raises(UserFault):
        UserConstPtr[c_uint64](AT).read(space)
    UserPtr[c_uint64](AT).write(space, 8)
    assert space.read(AT, 1) == b"\x08"


@pytest.mark.parametrize("user", [NONE, U], ids=str)
def test_a_page_that_may_only_be_executed(space: AddrSpace, fmt: PagingFormat, user: MappingFlags) -> None:
    space.map_alloc(AT, PAGE_SIZE, X | user)
    assert space.handle_page_fault(AT, X)
    with pytest.raises(UserFault):
        UserConstPtr[c_uint64](AT).read(space)
    assert space.query(AT)[1] == X | user  # type: ignore[index]
    # RISC-V says so itself, and AArch64 for EL0; for others the table grants READ and our mark takes it away.
    says = fmt in (SV39, SV48) or (fmt is AARCH64 and bool(user))
    assert space.page_table.query(AT)[1] == (X | user if says else R | X | user)  # type: ignore[index]
    assert entry(space, AT) & fmt.noread


def test_a_page_without_rights_keeps_its_frame_and_its_dirty_mark(space: AddrSpace, fmt: PagingFormat) -> None:
    space.map_alloc(AT, 2 * PAGE_SIZE, R | W | U)
    UserPtr[c_uint64](AT).write(space, 7)
    UserConstPtr[c_uint64](AT + PAGE_SIZE).read(space)
    frame = space.query(AT)[0]  # type: ignore[index]
    space.protect(AT, 2 * PAGE_SIZE, NONE)
    bits = entry(space, AT)
    assert bits & 1 == 0
    assert bits & fmt.kept
    assert bits & fmt.dirty
    assert not entry(space, AT + PAGE_SIZE) & fmt.dirty
    assert space.query(AT) == (frame, NONE, PAGE_SIZE)
    assert space.page_table.query(AT) is None  # any other walker
    with pytest.raises(UserFault):
        UserConstPtr[c_uint64](AT).read(space)
    space.protect(AT, 2 * PAGE_SIZE, R | U)
    assert UserConstPtr[c_uint64](AT).read(space) == 7
    assert space.query(AT) == (frame, R | U, PAGE_SIZE)
    assert entry(space, AT) & fmt.dirty


def test_the_first_write_to_a_page_cannot_go_unnoticed(space: AddrSpace, fmt: PagingFormat) -> None:
    # Intel SDM 3A "Accessed and dirty flags": the CPU sets D. RISC-V 12.3.2: it sets D or faults. AArch64: a CPU
    # without hardware dirty state does neither, so a clean page is read only (AP[2], bit 7).
    space.map_alloc(AT, PAGE_SIZE, R | W | U)
    UserConstPtr[c_uint64](AT).read(space)
    clean = entry(space, AT)
    assert not clean & fmt.dirty
    assert clean & fmt.accessed
    assert bool(clean & 1 << 7) == (fmt is AARCH64)
    UserPtr[c_uint64](AT).write(space, 1)
    dirty = entry(space, AT)
    assert dirty & fmt.dirty
    if fmt is AARCH64:
        assert not dirty & 1 << 7
    assert space.query(AT)[1] == R | W | U  # type: ignore[index]


def test_a_view_of_a_clean_page_leaves_it_clean(space: AddrSpace, fmt: PagingFormat) -> None:
    # `own` breaks copy-on-write without dirtying: a file page that is shared with the cache.
    with open("/etc/passwd", "rb") as file:
        space.map_file(AT, PAGE_SIZE, R | W | U, file)
    UserConstPtr[ctypes.c_ubyte](AT).read(space)
    view = UserConstPtr[ctypes.c_char](AT).get_as_slice(space, 4)
    assert not entry(space, AT) & fmt.dirty
    if fmt is AARCH64:
        assert entry(space, AT) & 1 << 7
    UserPtr[ctypes.c_ubyte](AT).write(space, 0x21)
    assert view[0] == 0x21
    assert entry(space, AT) & fmt.dirty
    del view


def test_memory_types_stand_in_the_entries(space: AddrSpace, fmt: PagingFormat) -> None:
    for n, kind in enumerate([NONE, UNCACHED, DEVICE, DEVICE | UNCACHED]):
        at = AT + n * PAGE_SIZE
        space.map_alloc(at, PAGE_SIZE, R | W | kind)
        space.write(at, b"x")
        seen = DEVICE if kind & DEVICE else kind
        assert space.query(at)[1] & (DEVICE | UNCACHED) == seen  # type: ignore[index]
        assert space.page_table.query(at)[1] & (DEVICE | UNCACHED) == seen  # type: ignore[index]
        assert space.find_area(at).flags == R | W | kind  # type: ignore[union-attr]


def test_tables_run_out_of_frames_level_by_level(make_phys: object, fmt: PagingFormat) -> None:
    levels = len(fmt.levels)
    for limit in range(1, levels + 1):
        phys = make_phys(limit=limit * PAGE_SIZE)  # type: ignore[operator]
        space = AddrSpace(0, 1 << 32, phys, fmt)
        space.map_alloc(AT, PAGE_SIZE, R | W)
        with pytest.raises(LinuxError):
            UserPtr[c_uint64](AT).write(space, 1)
        assert (phys.data_frames, phys.table_frames) == (0, 1)
        space._check()
        del space


def stopper(engine: Any) -> Callable[..., None]:
    return lambda nr, *args: engine.stop()


def test_a_cpu_of_the_engine_runs_over_any_format(phys: PhysMemory, fmt: PagingFormat) -> None:
    # The engine asks our walker and not the guest's, so tables of one architecture serve a CPU of another.
    pytest.importorskip("unicorn", reason="the engine needs the Unicorn library")
    engine = axptr.UnicornEngine(phys)
    space = AddrSpace(0x1000, 1 << 32, phys, fmt)
    space.map_alloc(AT, PAGE_SIZE, R | X | U)
    space.map_alloc(AT + PAGE_SIZE, PAGE_SIZE, R | W | U)
    # mov rax, [rdi]; add rax, 1; mov [rdi], rax; syscall
    space.write(AT, bytes.fromhex("488b07 4883c001 488907 0f05"))
    UserPtr[c_uint64](AT + PAGE_SIZE + 8).write(space, 41)
    engine.attach(space)
    engine.on_syscall(stopper(engine))
    engine.regs.rip, engine.regs.rdi = AT, AT + PAGE_SIZE + 8
    engine.run(timeout=20)
    assert UserConstPtr[c_uint64](AT + PAGE_SIZE + 8).read(space) == 42
    space._check()
    space.clear()
    engine.close()
    del engine, space
    gc.collect()
