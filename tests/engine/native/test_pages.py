"""What the guest's process holds of memory follows the page table, at the cost of what changed."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from axptr._core.phys.phys import PhysMemory
from axptr.engine.native import NativeEngine
from axptr.mm.space import AddrSpace

from .conftest import CODE, DATA, PAGE, NativeMachine, R, W, X

AREA = 0x1_0000_0000

# rbx: where; rcx: how many; rdx: how far apart. mov [rbx], rcx; add rbx, rdx; dec rcx; jnz; mov eax, 60; syscall
WRITE_EACH = "48890b 4801d3 48ffc9 75f5 b83c000000 0f05"
# the same that adds up what is there in rsi: add rsi, [rbx]
ADD_EACH = "480333 4801d3 48ffc9 75f5 b83c000000 0f05"


def each(native: NativeMachine, code: str, at: int, count: int, step: int = PAGE) -> int:
    exit = native.run(code, timeout=300, rbx=at, rcx=count, rdx=step, rsi=0)
    assert exit.kind == "stopped", exit
    return native.engine.regs.rsi


def mappings(native: NativeMachine) -> int:
    return native.maps().count("\n")


def test_frames_of_others_do_not_wait_for_an_engine_that_has_nothing_to_drop(native: NativeMachine) -> None:
    each(native, WRITE_EACH, DATA, 16)
    other = AddrSpace(PAGE, (1 << 47) - 2 * PAGE, native.phys)
    used = native.phys.frames_in_use
    other.map_alloc(DATA, 64 * PAGE, R | W, populate=True)
    other.clear()
    assert native.phys.frames_in_use == used
    native.phys._check()


def test_a_frame_that_was_taken_from_the_guest_waits_until_it_has_let_go(native: NativeMachine) -> None:
    each(native, WRITE_EACH, DATA, 16)
    used = native.phys.data_frames
    native.space.discard(DATA, 4 * PAGE)
    assert native.phys.data_frames == used
    assert each(native, ADD_EACH, DATA + 4 * PAGE, 1) == 12
    assert native.phys.data_frames == used - 4


def test_much_given_up_behind_an_engine_that_is_never_asked_again_is_freed_with_it(native: NativeMachine) -> None:
    native.space.map_alloc(AREA, 512 * PAGE, R | W)
    each(native, WRITE_EACH, AREA, 512)
    native.space.discard(AREA, 512 * PAGE)
    native.phys._check()
    native.engine.close()
    native.phys._check()
    assert native.phys.data_frames < 20


def test_protection_and_pages_taken_away_are_seen_by_the_next_instruction(native: NativeMachine) -> None:
    each(native, WRITE_EACH, DATA, 16)
    native.space.protect(DATA + 2 * PAGE, PAGE, R)
    exit = native.run(WRITE_EACH, rbx=DATA, rcx=16, rdx=PAGE)
    assert (exit.kind, exit.address) == ("fault", DATA + 2 * PAGE)
    native.space.unmap(DATA + PAGE, PAGE)
    exit = native.run(ADD_EACH, rbx=DATA, rcx=16, rdx=PAGE)
    assert (exit.kind, exit.address) == ("fault", DATA + PAGE)


def test_more_scattered_changes_than_are_told_apart_are_all_seen(native: NativeMachine) -> None:
    count = 1000
    native.space.map_alloc(AREA, 2 * count * PAGE, R | W)
    each(native, WRITE_EACH, AREA, count, 2 * PAGE)
    for page in range(0, 2 * count, 2):
        native.space.write(AREA + page * PAGE, (7).to_bytes(8, "little"))
        native.space.discard(AREA + page * PAGE, PAGE)
    assert each(native, ADD_EACH, AREA, count, 2 * PAGE) == 0


def test_a_guest_with_more_scattered_pages_than_the_host_has_mappings_runs() -> None:
    native = NativeMachine(4 << 30)
    try:
        count = 300_000
        native.space.map_alloc(AREA, 2 * count * PAGE, R | W)
        each(native, WRITE_EACH, AREA, count, 2 * PAGE)
        assert mappings(native) < 65_530
        assert each(native, ADD_EACH, AREA, count, 2 * PAGE) == count * (count + 1) // 2
    finally:
        native.close()


def test_every_other_page_of_much_can_be_taken_away(native: NativeMachine) -> None:
    """Which makes more mappings of one than the host allows."""
    count = 140_000
    native.space.map_alloc(AREA, count * PAGE, R | W, populate=True)
    each(native, ADD_EACH, AREA, count)
    for page in range(0, count, 2):
        native.space.discard(AREA + page * PAGE, PAGE)
    native.space.write(AREA, (5).to_bytes(8, "little"))
    assert each(native, ADD_EACH, AREA, count) == 5
    assert mappings(native) < 65_530


def test_memory_of_the_machine_is_whole_at_the_end() -> None:
    native = NativeMachine()
    phys: PhysMemory = native.phys
    native.space.map_alloc(AREA, 4096 * PAGE, R | W)
    each(native, WRITE_EACH, AREA, 4096)
    assert native.space.query(CODE) is not None
    native.close()
    phys._check()


def test_a_fork_takes_the_right_to_write_and_not_the_pages(native: NativeMachine) -> None:
    native.space.map_alloc(AREA, 512 * PAGE, R | W)
    each(native, WRITE_EACH, AREA, 512)
    twin = native.space.try_clone()
    fills = native.engine.fills
    assert each(native, ADD_EACH, AREA, 512) == 512 * 513 // 2
    assert native.engine.fills - fills < 20
    each(native, WRITE_EACH, AREA, 512, 0)
    assert twin.read(AREA, 8) == (512).to_bytes(8, "little")
    assert native.space.read(AREA, 8) == (1).to_bytes(8, "little")
    twin.clear()


def test_writes_here_and_there_bring_in_what_was_touched_alone(native: NativeMachine) -> None:
    native.space.fault_around = 64
    native.space.map_alloc(AREA, 8192 * PAGE, R | W)
    each(native, WRITE_EACH, AREA, 512, 16 * PAGE)  # a sixteenth of all
    assert len(native.space.resident_pages(AREA, 8192 * PAGE)) == 512


def test_writes_to_much_of_an_area_in_any_order_come_in_blocks_where_the_owner_allows_it(native: NativeMachine) -> None:
    count = 8192
    for around, most in ((1, count + 50), (64, count // 3)):
        native.space.fault_around = around
        native.space.map_alloc(AREA, count * PAGE, R | W, replace=True)
        fills = native.engine.fills
        for start in range(7):  # every seventh page, then every seventh of the others, ...
            each(native, WRITE_EACH, AREA + start * PAGE, (count - start + 6) // 7, 7 * PAGE)
        assert native.engine.fills - fills < most
        assert native.space.presence(AREA, count * PAGE) == b"\1" * count
        assert each(native, ADD_EACH, AREA, count) > 0


def test_who_fills_memory_has_more_at_once_once_what_is_below_is_full(native: NativeMachine) -> None:
    """Also where it begins in the middle of nothing, and does something else in between."""
    native.space.fault_around = 64
    native.space.map_alloc(AREA, 1024 * PAGE, R | W)
    each(native, WRITE_EACH, AREA + 496 * PAGE, 16)
    fills = native.engine.fills
    for page in range(512, 1024):
        each(native, WRITE_EACH, AREA + page * PAGE, 1)
        each(native, WRITE_EACH, DATA, 1)
    assert native.engine.fills - fills < 64
    assert native.space.presence(AREA, 496 * PAGE).count(1) == 0


def test_a_quarter_of_sixteen_pages_brings_in_the_rest_and_of_no_others(native: NativeMachine) -> None:
    native.space.fault_around = 64
    native.space.map_alloc(AREA, 64 * PAGE, R | W)
    for page in (3, 9, 14, 6):
        each(native, WRITE_EACH, AREA + page * PAGE, 1)
        assert native.space.presence(AREA, 64 * PAGE).count(1) == (16 if page == 6 else (3, 9, 14).index(page) + 1)


def test_a_stack_comes_in_pieces_and_never_past_its_area(native: NativeMachine) -> None:
    native.space.fault_around = 64
    native.space.map_alloc(AREA + 4 * PAGE, 28 * PAGE, R | W, grows_down=64 * PAGE)
    each(native, WRITE_EACH, AREA + 30 * PAGE, 1)
    assert native.space.presence(AREA + 4 * PAGE, 28 * PAGE) == b"\0" * 20 + b"\1" * 8
    each(native, WRITE_EACH, AREA + 5 * PAGE, 1)
    assert native.space.presence(AREA + 4 * PAGE, 28 * PAGE) == b"\1" * 4 + b"\0" * 16 + b"\1" * 8


@pytest.fixture
def program(native: NativeMachine, tmp_path: Path) -> NativeMachine:
    """A program's file: what it reads, its text, what it reads besides, its data, and the zeros behind."""
    file = tmp_path / "program"
    file.write_bytes(b"".join(page.to_bytes(8, "little") * (PAGE // 8) for page in range(16)))
    native.space.fault_around = 64
    with file.open("rb") as opened:
        for first, count, flags in ((0, 2, R), (2, 4, R | X), (6, 4, R), (10, 6, R | W)):
            native.space.map_file(AREA + first * PAGE, count * PAGE, flags, opened, first * PAGE)
    native.space.map_alloc(AREA + 16 * PAGE, 8 * PAGE, R | W)
    native.space.map_alloc(AREA + 32 * PAGE, 8 * PAGE, R | W, name="no part of it")
    return native


def test_of_a_program_that_was_read_before_the_parts_beside_one_come_with_it(program: NativeMachine) -> None:
    """But never what it writes, and nothing of a file of which no page was read."""
    each(program, ADD_EACH, AREA, 1)
    assert program.space.presence(AREA, 16 * PAGE) == b"\1" * 2 + b"\0" * 14
    program.space.read(AREA, 16 * PAGE)
    program.space.discard(AREA, 16 * PAGE)
    fills = program.engine.fills
    assert each(program, ADD_EACH, AREA + 2 * PAGE, 4) == 2 + 3 + 4 + 5
    assert program.space.presence(AREA, 16 * PAGE) == b"\1" * 10 + b"\0" * 6
    assert program.engine.fills - fills <= 4


def test_data_of_a_program_comes_as_a_whole_and_the_zeros_behind_it_do(program: NativeMachine) -> None:
    each(program, WRITE_EACH, AREA + 12 * PAGE, 1)
    assert program.space.presence(AREA, 24 * PAGE) == b"\0" * 10 + b"\1" * 6 + b"\0" * 8
    assert program.space.read(AREA + 11 * PAGE, 8) == (11).to_bytes(8, "little")
    each(program, WRITE_EACH, AREA + 20 * PAGE, 1)
    assert program.space.presence(AREA + 16 * PAGE, 8 * PAGE) == b"\1" * 8
    each(program, WRITE_EACH, AREA + 33 * PAGE, 1)  # memory as any other
    assert program.space.presence(AREA + 32 * PAGE, 8 * PAGE).count(1) == 1


def test_data_of_a_program_that_is_read_first_is_its_own_at_once(program: NativeMachine) -> None:
    assert each(program, ADD_EACH, AREA + 10 * PAGE, 6) == sum(range(10, 16))
    fills = program.engine.fills
    each(program, WRITE_EACH, AREA + 10 * PAGE, 6)
    assert program.engine.fills == fills


@pytest.mark.parametrize("moves", [True, False], ids=["moved", "read"])
def test_pages_of_a_file_are_moved_into_the_memory_or_else_read(
    native: NativeMachine, tmp_path: Path, moves: bool
) -> None:
    """The host moves them without a fault of ours for each; where a limit forbids that, it still reads them."""
    file = tmp_path / "file"
    file.write_bytes(b"".join(page.to_bytes(8, "little") * (PAGE // 8) for page in range(512))[: -PAGE // 2])
    native.space.fault_around = 64
    native.space.map_file(AREA, 512 * PAGE, R, file)
    native.engine.prepare()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not moves:
        resource.setrlimit(resource.RLIMIT_FSIZE, (PAGE, limits[1]))
    try:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        assert each(native, ADD_EACH, AREA, 512) == 511 * 512 // 2
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (faults < 256) == moves
    assert native.space.read(AREA + 511 * PAGE, PAGE) == (511).to_bytes(8, "little") * (PAGE // 16) + bytes(PAGE // 2)


def test_frames_side_by_side_need_few_mappings(native: NativeMachine) -> None:
    native.space.map_alloc(AREA, 8192 * PAGE, R | W)
    before = mappings(native) if native.engine.guest_pid else 0
    for start in range(3):
        each(native, WRITE_EACH, AREA + start * PAGE, (8192 - start + 2) // 3, 3 * PAGE)
    assert mappings(native) - before < 100


DOWN = (1 << 64) - PAGE


def bring_ahead(native: NativeMachine) -> None:
    native.engine.close()
    native.engine = NativeEngine(native.phys, ahead=64)
    native.engine.attach(native.space)
    native.engine.on_syscall(native._serve)


def test_who_writes_page_after_page_downwards_finds_the_next_ones_there(native: NativeMachine) -> None:
    """As upwards: in ever larger steps, and never a page of the area below."""
    bring_ahead(native)
    native.space.map_alloc(AREA, 512 * PAGE, R | W)
    native.space.map_alloc(AREA - 64 * PAGE, 64 * PAGE, R | W, name="below")
    before = native.engine.fills
    each(native, WRITE_EACH, AREA + 511 * PAGE, 512, DOWN)
    assert native.engine.fills - before < 64
    assert native.space.query(AREA - PAGE) is None
    each(native, ADD_EACH, AREA, 512)
    assert native.engine.regs.rsi == 512 * 513 // 2


def test_who_goes_on_here_and_there_in_turn_finds_the_next_pages_there(native: NativeMachine) -> None:
    bring_ahead(native)
    places = [AREA + i * 1024 * PAGE for i in range(4)]
    for place in places:
        native.space.map_alloc(place, 128 * PAGE, R | W)
    before = native.engine.fills
    for page in range(128):
        for place in places:
            each(native, WRITE_EACH, place + page * PAGE, 1)
    assert native.engine.fills - before < 64


def test_a_direction_is_told_by_two_writes(native: NativeMachine) -> None:
    """One page and one far from it bring in nothing else."""
    bring_ahead(native)
    native.space.map_alloc(AREA, 512 * PAGE, R | W)
    for page in (300, 200, 298, 198):
        each(native, WRITE_EACH, AREA + page * PAGE, 1)
    assert native.space.presence(AREA, 512 * PAGE).count(1) == 4


def test_what_is_there_already_is_mapped_by_runs_of_frames_side_by_side(native: NativeMachine) -> None:
    native.space.map_alloc(AREA, 512 * PAGE, R | W)
    native.space.write(AREA, b"\1" * (512 * PAGE))
    before = native.engine.fills
    each(native, ADD_EACH, AREA, 512)
    assert native.engine.fills - before < 16
    assert mappings(native) < 32
