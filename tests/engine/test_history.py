"""A guest under clones, snapshots, restores and cleared dirty bits: it sees its own writes only, and no stale code.

Not here: other changes under a running guest (`test_coherence`).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from axptr.mm.backend import SharedObject
from axptr.mm.snapshots.snapshot import Snapshot
from axptr.mm.space import AddrSpace

from .conftest import CODE, DATA, EXIT, KINDS, PAGE, STACK, Machine, R, W, X
from .test_coherence import CALL_LOOP, FUNCTION, answer, call_twice

# loop: mov [rbx], rdx; mov rdi, [rbx]; inc rdx; mov eax, 1; syscall; jmp loop: stores a count and reports what it reads
COUNT_LOOP = "488913 488b3b 48ffc2 b801000000 0f05 ebee"
# loop: mov rdi, [rbx]; mov eax, 1; syscall; jmp loop: reports what it reads
READ_LOOP = "488b3b b801000000 0f05 ebf4"
# mov [rbx], rdx; mov eax, 60; syscall
STORE = f"488913 b8{EXIT:02x}000000 0f05"


def report(machine: Machine, code: str | None, change: Callable[[int], object], times: int, **regs: int) -> list[int]:
    """What the guest reports; `change(n)` runs in its n-th call, counted from 0."""
    seen: list[int] = []

    def serve(nr: int, value: int, *args: int) -> int:
        seen.append(value)
        if len(seen) == times:
            machine.engine.stop()
        else:
            change(len(seen) - 1)
        return 0

    machine.on_call = serve
    machine.run(code, rbx=DATA, **regs)
    return seen


def word(space: AddrSpace, at: int = DATA) -> int:
    return int.from_bytes(space.read(at, 8), "little")


def test_a_clone_made_under_a_guest_keeps_the_bytes_of_then(machine: Machine) -> None:
    clones: list[AddrSpace] = []
    seen = report(machine, COUNT_LOOP, lambda n: clones.append(machine.space.try_clone()), 20, rdx=1)
    assert seen == list(range(1, 21))
    assert [word(clone) for clone in clones] == list(range(1, 20))
    for clone in clones:
        clone._check()


def test_the_clones_writes_do_not_reach_the_guest(machine: Machine) -> None:
    clones: list[AddrSpace] = []

    def change(n: int) -> None:
        clones.append(machine.space.try_clone())
        clones[-1].write(DATA, b"\xff" * 8)

    machine.space.write(DATA, (7).to_bytes(8, "little"))
    assert report(machine, READ_LOOP, change, 10) == [7] * 10


def test_a_forked_guest_runs_on_its_own_pages(machine: Machine) -> None:
    """Parent and child run in turn on one engine, switched as a scheduler does."""
    machine.run(STORE, rbx=DATA, rdx=1)
    parent = machine.space
    child = parent.try_clone()
    for n in range(2, 8):
        for space, value in ((child, 100 + n), (parent, n)):
            machine.engine.attach(space)
            machine.run(STORE, rbx=DATA, rdx=value)
            assert word(space) == value
        assert (word(parent), word(child)) == (n, 100 + n)
    child._check()
    parent._check()
    machine.engine.attach(parent)
    child.clear()


@pytest.mark.parametrize("other_kind", KINDS)
def test_two_engines_run_parent_and_child(machine: Machine, other_kind: str) -> None:
    machine.run(STORE, rbx=DATA, rdx=1)
    other = KINDS[other_kind](machine.phys)
    child = machine.space.try_clone()
    other.attach(child)
    other.on_syscall(lambda nr, *args: other.stop() or 0)
    for n in range(2, 12):
        other.regs.rip, other.regs.rbx, other.regs.rdx = CODE, DATA, 100 + n
        other.run(timeout=20)
        machine.run(rbx=DATA, rdx=n)
        assert (word(machine.space), word(child)) == (n, 100 + n)
    other.close()
    child.clear()


def test_shared_memory_is_seen_by_the_guest_of_a_clone(machine: Machine) -> None:
    machine.space.map_shared(DATA, PAGE, R | W, SharedObject(machine.phys, PAGE), replace=True)
    clone = machine.space.try_clone()
    seen = report(machine, READ_LOOP, lambda n: clone.write(DATA, bytes([n + 1]) + bytes(7)), 5)
    assert seen == [0, 1, 2, 3, 4]
    clone.clear()


# -- restore --------------------------------------------------------------------------------------------------


def test_restore_under_a_guest_is_seen_at_once(machine: Machine) -> None:
    machine.load(COUNT_LOOP)
    machine.load(READ_LOOP, CODE + PAGE)
    machine.space.write(DATA, (5).to_bytes(8, "little"))
    snap = machine.space.snapshot()
    # Each round stores a count, reads it, and the call puts the old bytes back.
    seen: list[int] = []

    def change(n: int) -> None:
        machine.space.restore(snap)
        seen.append(word(machine.space))

    assert report(machine, COUNT_LOOP, change, 10, rdx=100) == list(range(100, 110))
    assert seen == [5] * 9
    assert snap.read(DATA, 1) == b"\5"
    machine.space.restore(snap)
    assert report(machine, None, lambda n: machine.space.restore(snap), 4, at=CODE + PAGE) == [5] * 4


def test_restored_code_runs_and_not_what_was_translated(machine: Machine) -> None:
    space = machine.space
    machine.load(CALL_LOOP)
    space.map_alloc(FUNCTION, PAGE, R | W | X)
    snaps: list[Snapshot] = []
    for n in range(1, 4):
        space.write(FUNCTION, answer(n))
        snaps.append(space.snapshot())
    order = [0, 2, 1, 1, 0, 2, 0, 1, 2, 2, 0]
    rounds = iter(order)
    assert call_twice(machine, lambda: space.restore(snaps[next(rounds)]), times=len(order)) == [3] + [
        n + 1 for n in order
    ]


def test_code_under_a_view_is_restored_in_place_and_translated_anew(machine: Machine) -> None:
    from ctypes import c_ubyte

    from axptr import UserPtr

    space = machine.space
    machine.load(CALL_LOOP)
    space.map_alloc(FUNCTION, PAGE, R | W | X)
    space.write(FUNCTION, answer(1))
    view = UserPtr[c_ubyte](FUNCTION).get_as_slice(space, 6)
    snap = space.snapshot()
    changes = iter([2, None, 3, None, None, 4])

    def change() -> None:
        n = next(changes)
        if n is None:
            space.restore(snap)
        else:
            view[:] = answer(n)

    assert call_twice(machine, change, times=6) == [1, 2, 1, 3, 1, 1, 4]


def test_code_in_shared_memory_restored_by_another_space(machine: Machine) -> None:
    shared = SharedObject(machine.phys, PAGE)
    machine.space.map_shared(FUNCTION, PAGE, R | X, shared)
    other = AddrSpace(PAGE, 1 << 40, machine.phys)
    other.map_shared(DATA, PAGE, R | W, shared)
    other.write(DATA, answer(1))
    first = other.snapshot()
    other.write(DATA, answer(2))
    assert call_twice(machine, lambda: other.restore(first)) == [2, 1]
    other.clear()


def test_a_restore_that_takes_an_area_away_is_a_fault_for_the_guest(machine: Machine) -> None:
    machine.load(COUNT_LOOP)
    snap = machine.space.snapshot()
    machine.space.map_alloc(FUNCTION, PAGE, R | W)

    def serve(nr: int, *args: int) -> int:
        machine.space.restore(snap)
        return 0

    machine.on_call = serve
    done = machine.run(COUNT_LOOP, rbx=FUNCTION, rdx=1)
    assert done.address == FUNCTION  # type: ignore[attr-defined]


# -- dirty pages -------------------------------------------------------------------------------------------------


def test_the_guests_dirty_pages_are_those_it_wrote(machine: Machine) -> None:
    space = machine.space
    space.populate_area(DATA, 16 * PAGE, R)
    machine.load(STORE)
    space.dirty_pages(clear=True)
    for n in (3, 9, 4):
        machine.run(rbx=DATA + n * PAGE, rdx=1)
    assert [page for page in space.dirty_pages() if page < STACK] == [DATA + n * PAGE for n in (3, 4, 9)]
    assert CODE not in space.dirty_pages()


def test_dirty_bits_cleared_under_a_guest_are_set_by_its_next_write(machine: Machine) -> None:
    found: list[bool] = []
    seen = report(machine, COUNT_LOOP, lambda n: found.append(DATA in machine.space.dirty_pages(clear=True)), 12, rdx=1)
    assert seen == list(range(1, 13))
    assert found == [True] * 11
    assert DATA in machine.space.dirty_pages()
    read = []
    report(machine, READ_LOOP, lambda n: read.append(DATA in machine.space.dirty_pages(clear=True)), 5)
    assert read == [True, False, False, False]


def test_a_fuzzers_loop(machine: Machine) -> None:
    """Snapshot, run, restore, thousands of times: always the same, and nothing grows."""
    machine.load(STORE)
    machine.space.write(DATA, b"\0" * 8)
    machine.run(rbx=DATA + 15 * PAGE, rdx=0)
    snap = machine.space.snapshot()
    frames = None
    for n in range(600):
        machine.run(rbx=DATA + n % 8 * PAGE, rdx=n)
        machine.space.restore(snap)
        assert word(machine.space, DATA + n % 8 * PAGE) == 0
        machine.space.discard(DATA + n % 8 * PAGE, PAGE)
        machine.space.restore(snap)
        if n % 100 == 50:
            frames = frames or machine.phys.frames_in_use
            assert machine.phys.frames_in_use <= frames
    machine.space._check()
