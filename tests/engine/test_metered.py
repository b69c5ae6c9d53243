"""An engine that counts its work: what it does is the same each time, and nothing of it is the host's."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

from axptr._core.cpu.x86.codescan import _chance
from axptr.engine import UnicornEngine

from .conftest import CODE, DATA, Machine

LOOP = (
    "48ffc0"  # CODE: inc rax
    "48ffc3"  # inc rbx
    "ebf8"  # jmp CODE
)
NESTED = (
    "b907000000"  # CODE: mov ecx, 7
    "48ffc0"  # CODE+5: inc rax
    "4801c3"  # add rbx, rax
    "ffc9"  # dec ecx
    "75f6"  # jnz CODE+5
    "4889842400ffffff"  # mov [rsp-256], rax
    "ebe7"  # jmp CODE
)


class Metered(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.engine.close()
        self.engine = UnicornEngine(self.phys, metered=True)
        self.engine.attach(self.space)
        self.engine.on_syscall(self._serve)


@pytest.fixture
def metered() -> Iterator[Metered]:
    made = Metered()
    yield made
    made.space.clear()
    made.engine.close()


def trail(machine: Metered, code: str, counts: list[int]) -> list[tuple[int, ...]]:
    """Where each of several runs of so much work ends, from fresh registers."""
    regs, engine = machine.engine.regs, machine.engine
    machine.load(code)
    engine.reset()
    regs.rip, regs.rsp = CODE, DATA + 0x8000
    found = []
    for count in counts:
        before = engine.work
        exit = engine.run(20, count)
        assert exit.kind == "timeout"
        found.append((exit.rip, engine.work - before, regs.rax, regs.rbx, regs.rcx))
    return found


def test_the_work_of_a_loop_is_its_bytes(metered: Metered) -> None:
    for rip, work, rax, rbx, _ in trail(metered, LOOP, [8]):
        assert (rip, work, rax, rbx) == (CODE, 8, 1, 1)
    for count in (1, 7, 8, 9, 800, 80_001):
        (found,) = trail(metered, LOOP, [count])
        turns = -(-count // 8)
        assert found == (CODE, 8 * turns, turns, turns, 0)


def test_runs_of_some_work_end_at_the_same_place_each_time(metered: Metered) -> None:
    rng = random.Random(5)
    counts = [rng.randrange(1, 5000) for _ in range(300)]
    once = trail(metered, NESTED, counts)
    assert trail(metered, NESTED, counts) == once
    assert trail(metered, NESTED, [sum(work for _, work, *_ in once)])[-1][2:] == once[-1][2:]
    assert len({rip for rip, *_ in once}) > 1


def test_whoever_asks_it_to_come_out_changes_nothing(metered: Metered) -> None:
    """Other threads ask all the while: stops are made between blocks, none is counted twice or left out."""
    counts = [3_000_001] * 12
    once = trail(metered, NESTED, counts)
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            metered.space.write(DATA, b"x")  # drops translations
            metered.space.protect(DATA + 0x4000, 4096, metered.space.find_area(DATA).flags)  # type: ignore[union-attr]
            time.sleep(0.0003)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        again = trail(metered, NESTED, counts)
    finally:
        over.set()
        for asker in askers:
            asker.join()
    assert again == once


def test_a_stop_that_is_asked_for_comes(metered: Metered) -> None:
    metered.load(LOOP)
    metered.engine.regs.rip = CODE
    threading.Timer(0.1, metered.engine.stop).start()
    began = time.monotonic()
    assert metered.engine.run(20).kind == "stopped"
    assert metered.engine.run(0.1).kind == "timeout"
    assert time.monotonic() - began < 15


def test_calls_and_faults_are_counted_once(metered: Metered) -> None:
    # mov eax, 39 / syscall / mov rdx, [0x10], a fault / jmp CODE
    metered.load("b827000000" + "0f05" + "488b142510000000" + "ebef")
    metered.engine.regs.rip = CODE
    before = metered.engine.work
    exit = metered.engine.run(20, 1000)
    assert (exit.kind, exit.address, metered.calls[-1][0]) == ("fault", 0x10, 39)
    assert metered.engine.work - before == 7 + 10  # of a block that was begun, all


def test_the_time_stamp_counter_shows_the_work(metered: Metered) -> None:
    # CODE: nop x3 / rdtsc / mov esi, eax / mov edi, edx / rdtscp / mov ebx, ecx / mov eax, 60 / syscall
    code = "909090" + "0f31" + "89c6" + "89d7" + "0f01f9" + "89cb" + "4989c0" + "b83c000000" + "0f05"
    engine = metered.engine
    engine.clock_base = (7 << 32) - engine.work + 1000
    base = engine.clock_base + engine.work
    metered.run(code, rcx=99, rdx=99)
    regs = engine.regs
    first, second = regs.rdi << 32 | regs.rsi, regs.rdx << 32 | regs.r8
    assert first == base + 3
    assert second == base + 3 + 4
    assert regs.rbx == 0
    again = engine.clock_base + engine.work
    metered.run(code)
    assert engine.regs.rsi == (again + 3) & 0xFFFF_FFFF


@pytest.mark.parametrize(
    ("insn", "mask", "register"),
    [("480fc7f0", (1 << 64) - 1, "rax"), ("0fc7f3", 0xFFFF_FFFF, "rbx"), ("66410fc7f1", 0xFFFF, "r9")],
)
def test_random_numbers_of_the_cpu_are_made_of_a_number(metered: Metered, insn: str, mask: int, register: str) -> None:
    engine = metered.engine
    # or eax, -1 / rdrand / pushf / pop r15 / mov r14, REG / mov eax, 60 / syscall
    move = {"rax": "4989c6", "rbx": "4989de", "r9": "4d89ce"}[register]
    code = "83c8ff" + insn + "9c" + "415f" + move + "b83c000000" + "0f05"
    results = []
    for seed in (0, 0, 1):
        engine.entropy = seed
        metered.run(code, **{register: (1 << 64) - 1})
        results.append(engine.regs.r14)
        assert engine.regs.r15 & 0x8D5 == 1
    assert results[0] == results[1] != results[2]
    # SplitMix64 from 0, its published first number
    kept = 0 if mask != 0xFFFF else ((1 << 64) - 1) & ~0xFFFF
    assert results[0] == (0xE220A8397B1DCDAF & mask) | kept


def test_what_differs_from_run_to_run_is_told_from_its_bytes() -> None:
    assert [_chance(bytes.fromhex(code)) for code in ("0f31", "480f31", "660f31", "0f01f9", "f30f01f9")] == [1] * 5
    assert [_chance(bytes.fromhex(code)) for code in ("0fc7f0", "480fc7f7", "66410fc7f1")] == [2] * 3
    plain = (
        "90",
        "0f05",
        "0f0b",
        "31c0",
        "0f01f8",
        "0f01d0",
        "0fc70f",
        "0fc7e8",
        "0fc7",
        "0f",
        "",
        "0fc7f8",
        "f30fc7f8",
    )
    assert [_chance(bytes.fromhex(code)) for code in plain] == [0] * len(plain)


def test_without_a_meter_there_is_no_count(machine: Machine) -> None:
    with pytest.raises(ValueError, match="counts no work"):
        machine.engine.run(1, 5)
    assert machine.engine.work == 0


def test_no_work_is_no_run_backwards(metered: Metered) -> None:
    with pytest.raises(ValueError, match="-1 bytes"):
        metered.engine.run(1, -1)
