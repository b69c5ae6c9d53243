"""`copy_in` and `copy_out` over random holes: the count, the bytes and the errno of pwrite and pread on a file.

pwrite reads user memory, as `copy_in` does; pread writes it, as `copy_out`. The host's pages are in this process, see
`pages`. What Linux adds in front, that the range must end within user space, is added here too (`access_ok`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from axptr import PAGE_SIZE, AddrSpace, FaultReason, MappingFlags, PhysMemory, UserConstPtr, UserPtr

from .pages import KINDS, ROOM, START, Pages, call, reason_to_skip

pytestmark = pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())

char = ctypes.c_char
USER_END = 0x7FFF_FFFF_F000
MAX_RW_COUNT = 0x7FFF_F000
FILE = random.Random(0).randbytes((ROOM + 1) * PAGE_SIZE)  # no zeros in a row, so that a byte out of place shows

layouts = st.lists(st.sampled_from(["rw", "rw", "rw", "r", "w", "none", "hole"]), min_size=1, max_size=8)
near_edges = st.one_of(
    st.integers(-3, 3),
    st.integers(0, PAGE_SIZE - 1),
    st.sampled_from([-PAGE_SIZE, PAGE_SIZE // 2, 63, 64, 65]),
)
starts = st.builds(lambda page, more: START + page * PAGE_SIZE + more, st.integers(0, 8), near_edges)
lengths = st.one_of(
    st.integers(0, 130),
    st.integers(0, 8 * PAGE_SIZE),
    st.builds(lambda pages, more: max(0, pages * PAGE_SIZE + more), st.integers(0, 8), st.integers(-3, 3)),
    st.sampled_from([MAX_RW_COUNT, MAX_RW_COUNT + 1, 1 << 32, 1 << 40]),
)


class Case(NamedTuple):
    kinds: list[str]
    start: int
    length: int


cases = st.builds(Case, layouts, starts, lengths)


@pytest.fixture(scope="module")
def side() -> Iterator[AddrSpace]:
    phys = PhysMemory(1 << 30, poison=True)
    space = AddrSpace(0x1000, USER_END - 0x1000, phys)
    yield space
    Pages(space, [], b"").clear()
    space._check()


@pytest.fixture(scope="module")
def file() -> Iterator[int]:
    with tempfile.TemporaryFile() as made:
        yield made.fileno()


def both(test):  # type: ignore[no-untyped-def]
    return settings(
        max_examples=400,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )(given(case=cases)(test))


def held(case: Case) -> int:
    """Bytes that a buffer of ours must have: the length, or one past all pages there are, after which is a hole."""
    return min(case.length, MAX_RW_COUNT, START + (ROOM + 1) * PAGE_SIZE - case.start)


def compare_in(space: AddrSpace, file: int, case: Case) -> None:
    """What pwrite took of our pages, and what copy_in took of the same pages of a space."""
    data = random.Random(case.length).randbytes(len(case.kinds) * PAGE_SIZE)
    pages = Pages(space, case.kinds, data)
    os.ftruncate(file, 0)
    theirs = call(18, file, case.start, case.length, 0)
    taken = os.pread(file, ROOM * PAGE_SIZE, 0)
    buffer = bytearray(b"\xee" * held(case))
    done = UserConstPtr[char](case.start).copy_in(space, buffer)
    fault = getattr(done, "fault", None)
    if case.length == 0:
        assert (theirs, done, fault) == (0, 0, None)
    elif theirs < 0:
        assert (theirs, done) == (-errno.EFAULT, 0)
        assert fault is not None
        assert fault.errno == errno.EFAULT
        assert (fault.address, fault.completed) == (case.start, 0)
    else:
        assert done == theirs
        assert bytes(buffer[:done]) == taken
        assert (fault is None) == (done == len(buffer))
        assert fault is None or fault.address == case.start + done
    assert buffer[done:] == b"\xee" * (len(buffer) - done)
    assert pages.ours() == pages.host()


def compare_out(space: AddrSpace, file: int, case: Case) -> None:
    """What pread changed in our pages, and what copy_out changed in the same pages of a space."""
    pages = Pages(space, case.kinds, random.Random(case.length).randbytes(len(case.kinds) * PAGE_SIZE))
    os.pwrite(file, FILE, 0)
    theirs = call(17, file, case.start, case.length, 0)
    data = FILE[: min(held(case), len(FILE))]
    done = UserPtr[char](case.start).copy_out(space, data)
    fault = getattr(done, "fault", None)
    if case.length == 0:
        assert (theirs, done, fault) == (0, 0, None)
    elif theirs < 0:
        assert (theirs, done) == (-errno.EFAULT, 0)
        assert fault is not None
        assert fault.address == case.start
    else:
        assert done == theirs
        assert (fault is None) == (done == len(data))
        assert fault is None or fault.address == case.start + done
    assert pages.ours() == pages.host()


@both
@example(case=Case(["rw", "none", "rw"], START + PAGE_SIZE - 96, 200))
@example(case=Case(["w"], START, PAGE_SIZE))  # may be read on x86-64
@example(case=Case(["rw"] * 8, START + 5, 1 << 40))
def test_copy_in_takes_what_pwrite_takes(side: AddrSpace, file: int, case: Case) -> None:
    compare_in(side, file, case)


@both
@example(case=Case(["rw", "r", "rw"], START + PAGE_SIZE - 96, 200))
@example(case=Case(["r"], START, 0))
@example(case=Case(["rw"] * 8, START + 5, MAX_RW_COUNT + 1))
def test_copy_out_stores_what_pread_stores(side: AddrSpace, file: int, case: Case) -> None:
    compare_out(side, file, case)


@settings(max_examples=300, deadline=None)
@given(
    address=st.one_of(
        st.builds(
            lambda base, more: (base + more) % (1 << 64),
            st.sampled_from([0, 1 << 16, USER_END, 1 << 47, 1 << 48]),
            st.integers(-5000, 5000),
        ),
        st.builds(
            lambda base, more: (base + more) % (1 << 64),
            st.sampled_from([1 << 63, (1 << 64) - 4096, 1 << 64]),
            st.integers(-5000, 5000),
        ),
    ),
    length=st.one_of(st.just(0), st.integers(0, 9000), st.sampled_from([MAX_RW_COUNT, 1 << 47, (1 << 63) - 1])),
)
def test_addresses_where_nothing_of_the_user_is_are_refused_alike(
    side: AddrSpace, file: int, address: int, length: int
) -> None:
    os.pwrite(file, FILE, 0)
    if address < USER_END and _mapped(address, length):
        return  # a stack or the like of this very process
    fits = address + length <= USER_END
    for number, verb in ((18, UserConstPtr[char](address).copy_in), (17, UserPtr[char](address).copy_out)):
        theirs = call(number, file, address, length, 0)
        done = verb(side, bytearray(min(length, 1 << 16)))
        assert done == 0
        if length == 0:
            # The range is judged first by Linux' calls, not by the verbs, for which no bytes are always there.
            assert theirs == (0 if fits else -errno.EFAULT)
            assert not hasattr(done, "fault")
        else:
            assert theirs == -errno.EFAULT
            assert done.fault.errno == errno.EFAULT  # type: ignore[attr-defined]
            assert done.fault.reason in (FaultReason.UNMAPPED, FaultReason.OUT_OF_RANGE)  # type: ignore[attr-defined]


def _mapped(address: int, length: int) -> bool:
    with open("/proc/self/maps") as maps:
        for line in maps:
            first, _, last = line.split()[0].partition("-")
            if int(first, 16) < address + max(length, 1) and address < int(last, 16):
                return True
    return False


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_range_that_ends_beyond_user_space_is_refused_by_linux_and_cut_by_the_verbs(
    side: AddrSpace, file: int, more: int
) -> None:
    last = USER_END - PAGE_SIZE
    if call(9, last, PAGE_SIZE, 3, 0x100022, -1, 0) != last:
        pytest.skip("something of this process lies at the end of its user space")
    side.map_alloc(last, PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    try:
        os.pwrite(file, FILE, 0)
        for number, verb in (
            (18, UserConstPtr[char](USER_END - 50).copy_in),
            (17, UserPtr[char](USER_END - 50).copy_out),
        ):
            theirs = call(number, file, USER_END - 50, 50 + more, 0)
            done = verb(side, bytearray(50 + more))
            assert theirs == (50 + more if more <= 0 else -errno.EFAULT)
            assert done == min(50, 50 + more)
    finally:
        side.unmap(last, PAGE_SIZE)
        assert call(11, last, PAGE_SIZE) == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases)
def test_copies_are_the_hosts_for_long(side: AddrSpace, file: int, case: Case) -> None:
    compare_in(side, file, case)
    compare_out(side, file, case)


def test_every_kind_of_page_is_laid_alike(side: AddrSpace) -> None:
    pages = Pages(side, list(KINDS), FILE)
    assert pages.ours() == pages.host() == [FILE[n * PAGE_SIZE : (n + 1) * PAGE_SIZE] for n in range(4)]
    assert call(10, START + 4 * PAGE_SIZE, PAGE_SIZE, 1) == -errno.ENOMEM  # the hole is one
    pages.clear()
    assert call(10, START, PAGE_SIZE, 1) == -errno.ENOMEM
