"""The access check as areas grow: one question, asked of a space with ten areas and of one with many."""

from __future__ import annotations

import random

from axptr import PAGE_SIZE, AddrSpace, MappingFlags, VirtAddrRange

from .harness import Benchmark, Mode, Pair, work
from .memory import BASE, READ_WRITE, SEED, SPACE_SIZE

FEW = 10
MANY = 100_000
QUESTIONS = 4096


def benchmarks() -> list[Benchmark]:
    return [
        Benchmark(
            "areas.check.100000",
            "check_region_access in random ones of 100,000 areas",
            "the same with 10 areas",
            1.5,
            _prepare,
        )
    ]


def _space(nareas: int) -> AddrSpace:
    """Areas of one page, a hole after each, so that none of them merge."""
    space = AddrSpace(0, SPACE_SIZE)
    for number in range(nareas):
        space.map_alloc(BASE + 2 * PAGE_SIZE * number, PAGE_SIZE, READ_WRITE)
    return space


def _questions(nareas: int) -> list[VirtAddrRange]:
    draw = random.Random(SEED)
    return [
        VirtAddrRange.from_start_size(
            BASE + 2 * PAGE_SIZE * draw.randrange(nareas) + draw.randrange(0, PAGE_SIZE - 64, 8), 64
        )
        for _ in range(QUESTIONS)
    ]


def _prepare(mode: Mode) -> Pair:
    many, few = _space(MANY), _space(FEW)
    ask_many, ask_few = _questions(MANY), _questions(FEW)
    assert all(many.check_region_access(asked, MappingFlags.WRITE) for asked in ask_many)
    assert all(few.check_region_access(asked, MappingFlags.WRITE) for asked in ask_few)

    def close() -> None:
        many.clear()
        few.clear()

    return Pair(
        work(_check, many, ask_many, MappingFlags.WRITE),
        work(_check, few, ask_few, MappingFlags.WRITE),
        operations=QUESTIONS,
        close=close,
    )


def _check(space: AddrSpace, questions: list[VirtAddrRange], flags: MappingFlags) -> None:
    check = space.check_region_access
    for asked in questions:
        check(asked, flags)
