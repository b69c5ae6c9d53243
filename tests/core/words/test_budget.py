"""Budgets: what a program's counts may make the host copy, in one call and in all; and large results, which grow."""

from __future__ import annotations

import ctypes
import errno
import pickle
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    Budget,
    LinuxError,
    Locked,
    MappingFlags,
    PhysMemory,
    Task,
    UserConstPtr,
    UserFault,
    UserFile,
    UserPtr,
    UserSlice,
    read_string_array,
    read_terminated,
    read_text,
)
from axptr._core.words.budget import budget_of
from axptr._core.words.codes import MAX_RW_COUNT
from fakes import PROVIDERS, PlainProvider, over, set_pages

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
char, u32 = ctypes.c_char, ctypes.c_uint32


def refusal(call: Callable[[], object]) -> LinuxError:
    with pytest.raises(LinuxError) as caught:
        call()
    return caught.value


def with_budget(provider: Any, budget: Budget, kind: str, space: AddrSpace) -> Any:
    """The provider with a budget where its kind keeps one: `Locked` says what its space says."""
    (space if kind in ("space", "locked") else provider).budget = budget
    return provider


@pytest.mark.parametrize("kind", PROVIDERS)
def test_one_call_may_copy_what_the_budget_allows_and_no_more(space: AddrSpace, kind: str) -> None:
    provider = over(kind, space)
    set_pages(provider, BASE, "ww", b"x" * 100)
    budget = Budget(per_call=64)
    with_budget(provider, budget, kind, space)
    assert UserConstPtr[char](BASE).read_slice(provider, 64) == b"x" * 64
    assert budget.spent == 64
    for call in (
        lambda: UserConstPtr[char](BASE).read_slice(provider, 65),
        lambda: UserConstPtr[u32](BASE).read_slice(provider, 17),
        lambda: UserConstPtr[u32 * 2](BASE).read_slice(provider, 9),
        lambda: UserConstPtr[char](BASE).read_cstr(provider),
        lambda: UserConstPtr[char](BASE).get_as_str(provider),
        lambda: UserConstPtr[char](BASE).read_cstr(provider, 80),
    ):
        error = refusal(call)
        assert (error.errno, type(error)) == (errno.ENOMEM, LinuxError)
        assert "the budget allows 64" in str(error)
    assert budget.spent == 64  # what was refused is not charged
    assert UserConstPtr[char](BASE + 36).read_cstr(provider) == b"x" * 64  # just fits
    assert refusal(lambda: UserConstPtr[char](BASE).read_cstr(provider, 63)).errno == errno.ENAMETOOLONG


@pytest.mark.parametrize("kind", PROVIDERS)
def test_all_calls_together_spend_what_a_task_may_copy(space: AddrSpace, kind: str) -> None:
    provider = over(kind, space)
    set_pages(provider, BASE, "w", b"text\0")
    budget = Budget(per_task=100)
    with_budget(provider, budget, kind, space)
    assert UserConstPtr[char](BASE).read_slice(provider, 90)[:4] == b"text"
    assert UserConstPtr[char](BASE).get_as_str(provider) == "text"
    assert (budget.spent, budget.room) == (94, 6)
    error = refusal(lambda: UserConstPtr[char](BASE).read_slice(provider, 7))
    assert error.errno == errno.ENOMEM
    assert "after 94" in str(error)
    assert UserConstPtr[char](BASE).read_slice(provider, 6) == b"text\0\0"
    assert refusal(lambda: UserConstPtr[char](BASE).read_cstr(provider)).errno == errno.ENOMEM
    budget.renew()
    assert UserConstPtr[char](BASE).read_cstr(provider) == b"text"


@pytest.mark.parametrize("kind", PROVIDERS)
def test_every_verb_that_a_count_decides_asks_the_budget(space: AddrSpace, kind: str) -> None:
    provider = over(kind, space)
    pointers = struct.pack("<3Q", BASE + 1024, BASE + 1024, 0).ljust(512, b"\0")
    set_pages(provider, BASE, "w", (b"y" * 200).ljust(512, b"\0") + pointers + b"z" * 60 + b"\0")
    budget = Budget(per_call=100)
    with_budget(provider, budget, kind, space)
    for size, call in (
        (150, lambda: UserSlice(BASE, 150).reader(provider).read_all()),
        (200, lambda: UserSlice(BASE, 500).reader(provider).read_cstr()),
        (512, lambda: UserFile(provider, BASE, 512).read()),
        (102, lambda: read_terminated(provider, BASE, 2)),
        (101, lambda: read_text(provider, BASE, "latin-1")),
        (104, lambda: UserPtr[u32](BASE).get_as_str(provider)),
    ):
        error = refusal(call)
        assert (error.errno, type(error)) == (errno.ENOMEM, LinuxError), size
        assert str(error).startswith(f"[Errno 12] {size} bytes in one call"), size
    budget = Budget(per_task=150)
    with_budget(provider, budget, kind, space)
    assert read_string_array(provider, BASE + 512) == [b"z" * 60] * 2
    assert budget.spent == 16 + 120
    assert refusal(lambda: read_string_array(provider, BASE + 512)).errno == errno.ENOMEM
    budget.renew()
    reader = UserSlice(BASE + 1000, 500).reader(provider)
    reader.skip(24)
    assert (reader.read_cstr(), reader.read(3), budget.spent) == (b"z" * 60, b"\0\0\0", 63)


def test_what_no_count_decides_costs_no_budget(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    space.budget = Budget(per_call=0, per_task=0)
    big = UserPtr[ctypes.c_uint64 * 64](BASE)
    big.write(space, (ctypes.c_uint64 * 64)(*range(64)))
    assert big.read(space)[63] == 63
    buffer = bytearray(512)
    assert UserPtr[char](BASE).copy_in(space, buffer) == 512
    UserPtr[char](BASE).write_slice(space, b"y" * 100)
    assert len(UserPtr[char](BASE).get_as_slice(space, 100)) == 100
    assert space.budget.spent == 0


def test_a_task_has_a_budget_of_its_own_and_else_that_of_its_space(space: AddrSpace) -> None:
    task = Task(space)
    assert task.budget is not None
    assert (task.budget.per_call, task.budget.per_task) == (MAX_RW_COUNT, None)
    assert space.budget is None
    space.budget = Budget(per_call=5)
    assert task.budget.per_call == MAX_RW_COUNT
    task.budget = None
    assert task.budget is space.budget is Locked(space).budget
    space.map_alloc(BASE, PAGE_SIZE, R)
    assert refusal(lambda: UserConstPtr[char](BASE).read_slice(task, 6)).errno == errno.ENOMEM
    plain = PlainProvider(space)
    assert budget_of(plain) is space.budget
    assert refusal(lambda: UserConstPtr[char](BASE).read_slice(plain, 6)).errno == errno.ENOMEM
    plain.budget = Budget(per_call=6)  # type: ignore[attr-defined]
    assert UserConstPtr[char](BASE).read_slice(plain, 6) == bytes(6)


def test_a_bad_address_is_told_before_a_spent_budget(space: AddrSpace) -> None:
    space.map_alloc(BASE, 2 * PAGE_SIZE, R)
    space.budget = Budget(per_call=10)
    with pytest.raises(UserFault):
        UserConstPtr[char](BASE).read_slice(space, 1 << 40)
    with pytest.raises(UserFault):
        UserConstPtr[char](0x5000).read_cstr(space)


def test_wrong_budgets_are_refused(space: AddrSpace) -> None:
    for wrong in (5, "5", object()):
        with pytest.raises(TypeError):
            space.budget = wrong  # type: ignore[assignment]
    with pytest.raises(ValueError, match="per_call"):
        Budget(per_call=-1)
    with pytest.raises(TypeError, match="per_task"):
        Budget(per_task=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        Budget().charge(-1)
    odd = PlainProvider(space)
    odd.budget = 5  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="a budget is a Budget"):
        UserConstPtr[char](BASE).read_slice(odd, 1)
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(Budget())


def test_limits_beyond_all_addresses_and_sums_never_wrap() -> None:
    budget = Budget(per_call=1 << 70)
    assert (budget.per_call, budget.room) == (None, (1 << 64) - 1)
    for _ in range(3):
        budget.charge(1 << 63)
    assert budget.spent == (1 << 64) - 1
    tight = Budget(per_task=(1 << 64) - 2)
    tight.charge((1 << 64) - 2)
    with pytest.raises(LinuxError):
        tight.charge(1)
    with pytest.raises(LinuxError):
        tight.charge(1 << 80)


@pytest.mark.parametrize(
    "kind", [kind for kind in PROVIDERS if kind != "fake"]
)  # a dictionary of so many pages is slow
def test_a_large_result_is_whole(make_phys: Callable[..., PhysMemory], kind: str) -> None:
    phys = make_phys(1 << 30)
    space = AddrSpace(0x1000, 1 << 40, phys)
    provider = over(kind, space)
    size = (37 << 20) + 5  # in pieces of 16 MiB, then twice as many
    space.map_alloc(BASE, 38 << 20, R | W)
    marks = [0, 1, (16 << 20) - 1, 16 << 20, (32 << 20) + 1, size - 1]
    for number, at in enumerate(marks):
        space.write(BASE + at, bytes([number + 1]))
    data = UserConstPtr[char](BASE).read_slice(provider, size)
    assert type(data) is bytes
    assert len(data) == size
    assert [data[at] for at in marks] == [1, 2, 3, 4, 5, 6]
    assert data.count(0) == size - len(marks)
    del space, provider


def test_a_count_allocates_no_more_than_could_be_read(make_phys: Callable[..., PhysMemory]) -> None:
    phys = make_phys(1 << 30, limit=20 << 20)
    space = AddrSpace(0x1000, 1 << 46, phys)
    space.map_alloc(BASE, 4 << 30, R)
    tracemalloc.start()
    try:
        error = refusal(lambda: UserConstPtr[char](BASE).read_slice(space, 4 << 30))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.errno == errno.ENOMEM
    assert peak < 64 << 20
