"""The library's own table of translations: it grows for a guest that needs it, and flushes cost what they must."""

from __future__ import annotations

import itertools

import pytest

from .conftest import DATA, PAGE, Machine, R, W

BASE = 0x1_0000_0000
# mov rax, [rdi]; add rdi, 4096; cmp rdi, rsi; jb back; mov eax, 1; syscall (the handler resets rdi); jmp to the start
WALK = "488b07 4881c700100000 4839f7 72f1 b801000000 0f05 ebe8"


def walk(machine: Machine, pages: int, rounds: int) -> list[int]:
    """Fills in each round of a walk over so many pages."""
    machine.space.map_alloc(BASE, pages * PAGE, R | W)
    fills = [machine.engine.fills]

    def serve(*args: int) -> int:
        fills.append(machine.engine.fills)
        machine.engine.regs.rdi = BASE
        if len(fills) > rounds:
            machine.engine.stop()
        return 0

    machine.on_call = serve
    machine.run(WALK, rdi=BASE, rsi=BASE + pages * PAGE)
    return [later - earlier for earlier, later in itertools.pairwise(fills)]


@pytest.mark.parametrize("pages", [100, 400, 3000, 16384])
def test_a_working_set_of_any_size_ends_without_misses(machine: Machine, pages: int) -> None:
    fills = walk(machine, pages, 12)
    assert fills[0] >= pages
    assert fills[-1] <= 2, fills
    assert sum(fills) < 6 * pages + 4000


def test_growth_survives_flushes_in_between(machine: Machine) -> None:
    """A guest that maps and unmaps elsewhere refills its pages, and no more than that each time."""
    pages, rounds = 8192, 20
    machine.space.map_alloc(BASE, pages * PAGE, R | W)
    fills = [machine.engine.fills]

    def serve(*args: int) -> int:
        fills.append(machine.engine.fills)
        machine.engine.regs.rdi = BASE
        machine.space.map_alloc(DATA + 64 * PAGE, PAGE, R | W)
        machine.space.unmap(DATA + 64 * PAGE, PAGE)
        if len(fills) > rounds:
            machine.engine.stop()
        return 0

    machine.on_call = serve
    machine.run(WALK, rdi=BASE, rsi=BASE + pages * PAGE)
    last = [later - earlier for earlier, later in itertools.pairwise(fills)][-5:]
    assert max(last) < 2.2 * pages


def test_a_call_that_changes_nothing_does_not_flush(machine: Machine) -> None:
    machine.on_call = lambda *args: machine.space.read(DATA, 8) and 0
    machine.run("0f05 b83c000000 0f05", rax=1)
    flushes = machine.engine.flushes
    machine.space.map_alloc(0x900000, PAGE, R | W)
    machine.space.read(0x900000, 8)
    machine.run(None, rax=1)
    assert machine.engine.flushes == flushes


def test_fills_ask_once_for_a_page_that_is_read_then_twice_for_one_written(machine: Machine) -> None:
    """Read first, it is filled without the right to write, so that the first write is known to the table."""
    machine.space.populate_area(DATA, 2 * PAGE, R)
    before = machine.engine.fills
    # mov eax, [rdi]; mov eax, [rdi]; mov [rdi], eax; mov [rdi], eax; mov eax, 60; syscall
    machine.run("8b07 8b07 8907 8907 b83c000000 0f05", rdi=DATA)
    assert machine.engine.fills - before == 3  # code, read, write
    before = machine.engine.fills
    machine.run(None, rdi=DATA)
    assert machine.engine.fills - before == 0  # and they survive the end of a run
