"""Areas, few and many: the access check among them, and the calls that make, split and remove them."""

from __future__ import annotations

import random
import time

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
        ),
        Benchmark(
            "areas.calls.1000000",
            "a call, 1,000,000 areas being mapped in random order with unmaps and splits in between",
            "the same with 1,000 areas",
            3.0,
            _prepare_calls,
        ),
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


# -- calls that change areas -----------------------------------------------------------------------------------

MILLION = 1_000_000
THOUSAND = 1_000
STEP = 4 * PAGE_SIZE
"""From the start of an area, of three pages, to the next; so there is a hole between."""


def _calls(nareas: int) -> list[tuple[str, int]]:
    """Which calls, in order, with their addresses: of 16, 12 map, 2 split, 1 removes an area, 1 the middle of one."""
    draw = random.Random(SEED)
    order = list(range(nareas))
    draw.shuffle(order)
    calls = []
    for done, number in enumerate(order):
        calls.append(("map", BASE + number * STEP))
        if done % 12 in (2, 5, 8, 11):
            what = {2: "split", 5: "unmap", 8: "split", 11: "cut"}[done % 12]
            at = BASE + order[draw.randrange(done + 1)] * STEP
            calls.append((what, at if what == "unmap" else at + PAGE_SIZE))
    return calls


def _prepare_calls(mode: Mode) -> Pair:
    many = _calls(MILLION // 20 if mode.smoke else MILLION)
    few = _calls(THOUSAND)
    repeats = 20
    # Both are the mean of a call: the harness divides by the number of operations, which is one.
    return Pair(
        lambda times: sum(_called(many) for _ in range(times)) / len(many),
        lambda times: sum(_called(few) for _ in range(times * repeats)) / len(few) / repeats,
        slow=1,
    )


def _called(calls: list[tuple[str, int]]) -> float:
    space = AddrSpace(0, SPACE_SIZE)
    map_alloc, unmap, protect = space.map_alloc, space.unmap, space.protect
    read = MappingFlags.READ
    start = time.perf_counter()
    for what, at in calls:
        if what == "map":
            map_alloc(at, 3 * PAGE_SIZE, READ_WRITE, replace=True)
        elif what == "split":
            if space.find_area(at) is not None:
                protect(at, PAGE_SIZE, read)
        elif what == "cut":
            unmap(at, PAGE_SIZE)
        else:
            unmap(at, 3 * PAGE_SIZE)
    took = time.perf_counter() - start
    space.clear()
    return took
