"""Areas behind which functions stand: pagers and devices. What is asked, how often, by whom, and what goes wrong.

Not here: what they have in common with every backend (`test_conformance`).
"""

from __future__ import annotations

import ctypes
import errno
import gc
import io
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    Copied,
    FaultReason,
    Layout,
    LinuxError,
    MappingFlags,
    PhysMemory,
    UserConstPtr,
    UserFault,
    UserPtr,
    VirtAddrRange,
    check_region,
)
from axptr.mm.pager import MmioBackend, PagerBackend
from inject import each_failure

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
BASE = 0x100000
char, u32, u64 = ctypes.c_char, ctypes.c_uint32, ctypes.c_uint64

# Every way in: each touches 8 bytes at an address.
TOUCHES: dict[str, Callable[[AddrSpace, int], object]] = {
    "read": lambda space, at: UserPtr[u64](at).read_unaligned(space),
    "write": lambda space, at: UserPtr[u64](at).write_unaligned(space, 1),
    "read_slice": lambda space, at: UserPtr[char](at).read_slice(space, 8),
    "write_slice": lambda space, at: UserPtr[char](at).write_slice(space, b"w" * 8),
    "view": lambda space, at: UserPtr[char](at).get_as_slice(space, 8),
    "read-only view": lambda space, at: UserConstPtr[char](at).get_as_slice(space, 8),
    "debug read": lambda space, at: space.read(at, 8),
    "debug write": lambda space, at: space.write(at, b"d" * 8),
    "populate": lambda space, at: space.populate_area(at, 8, R | W),
}


def faults(call: Callable[[], object]) -> UserFault:
    with pytest.raises(UserFault) as caught:
        call()
    return caught.value


# -- pagers ----------------------------------------------------------------------------------------------------


class Source:
    """Pages `b"0000..."`, `b"1111..."`, and what was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, offset: int) -> bytes:
        self.asked.append(offset // PAGE_SIZE)
        return b"%d" % (offset // PAGE_SIZE % 10) * PAGE_SIZE


@pytest.mark.parametrize("touch", TOUCHES)
def test_each_page_is_fetched_once(space: AddrSpace, touch: str) -> None:
    source = Source()
    space.map_pager(BASE, 4 * PAGE_SIZE, R | W, source)
    for _ in range(3):
        TOUCHES[touch](space, BASE + 2 * PAGE_SIZE - 4)
        space.read(BASE + 2 * PAGE_SIZE - 4, 8)
    assert source.asked == [1, 2]


@pytest.mark.parametrize("touch", TOUCHES)
def test_what_fetch_raises_is_the_cause_of_a_fault_that_counts(space: AddrSpace, touch: str) -> None:
    def fetch(offset: int) -> bytes:
        if offset:
            raise ZeroDivisionError("no such page")
        return b"x" * PAGE_SIZE

    space.map_pager(BASE, 2 * PAGE_SIZE, R | W, fetch, name="remote")
    fault = faults(lambda: TOUCHES[touch](space, BASE + PAGE_SIZE - 4))
    assert (fault.reason, fault.address) == (FaultReason.BACKING_FAILED, BASE + PAGE_SIZE)
    assert (fault.size, fault.completed) == (8, 4)
    assert isinstance(fault.__cause__, ZeroDivisionError)
    assert "remote" in str(fault)
    assert space.read(BASE, PAGE_SIZE) == b"x" * PAGE_SIZE  # a strict write wrote nothing


def test_a_string_that_runs_into_a_page_that_fails(space: AddrSpace) -> None:
    def fetch(offset: int) -> bytes:
        if offset:
            raise OSError("gone")
        return b"x" * PAGE_SIZE

    space.map_pager(BASE, 2 * PAGE_SIZE, R, fetch)
    for call in (
        lambda: UserConstPtr[char](BASE + PAGE_SIZE - 3).read_cstr(space),
        lambda: UserConstPtr[char](BASE + PAGE_SIZE - 3).get_as_str(space),
        lambda: UserConstPtr[char](BASE + PAGE_SIZE - 3).get_as_null_terminated(space),
    ):
        fault = faults(call)
        assert (fault.address, fault.completed) == (BASE + PAGE_SIZE, 3)
    assert UserConstPtr[char](BASE + PAGE_SIZE - 3).copy_in(space, bytearray(8)) == 3
    assert not space.handle_page_fault(BASE, W)


def test_a_failure_is_not_remembered(space: AddrSpace) -> None:
    answers: list[Any] = [OSError("later"), b"now"]

    def fetch(offset: int) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return bytes(answer)

    space.map_pager(BASE, PAGE_SIZE, R, fetch)
    faults(lambda: space.read(BASE, 1))
    assert space.read(BASE, 4) == b"now\0"


@pytest.mark.parametrize(
    "answer",
    [None, 7, "text", b"x" * (PAGE_SIZE + 1), [1, 2], memoryview(b"x" * 32)[::2], object()],
    ids=["None", "int", "str", "too long", "list", "not contiguous", "object"],
)
def test_an_answer_that_is_no_page_is_a_fault(space: AddrSpace, answer: Any) -> None:
    space.map_pager(BASE, PAGE_SIZE, R, lambda offset: answer)
    fault = faults(lambda: space.read(BASE, 1))
    assert fault.reason is FaultReason.BACKING_FAILED
    assert isinstance(fault.__cause__, (TypeError, ValueError))
    assert space.resident_pages() == []


@pytest.mark.parametrize(
    "answer", [b"", b"x", bytearray(b"xy"), memoryview(b"x" * PAGE_SIZE)], ids=["", "x", "xy", "full"]
)
def test_a_short_answer_is_filled_up_with_zeros(space: AddrSpace, answer: Any) -> None:
    space.map_pager(BASE, PAGE_SIZE, R, lambda offset: answer)
    assert space.read(BASE, PAGE_SIZE) == bytes(answer).ljust(PAGE_SIZE, b"\0")


def test_ctrl_c_in_fetch_comes_out_as_it_is(space: AddrSpace) -> None:
    def fetch(offset: int) -> bytes:
        raise KeyboardInterrupt

    space.map_pager(BASE, PAGE_SIZE, R | W, fetch)
    for touch in TOUCHES.values():
        with pytest.raises(KeyboardInterrupt):
            touch(space, BASE)
    with pytest.raises(KeyboardInterrupt):
        UserPtr[char](BASE).copy_in(space, bytearray(4))
    space.map_pager(BASE, PAGE_SIZE, R | W, lambda offset: b"ok", replace=True)
    assert space.read(BASE, 2) == b"ok"


def test_a_file_object_is_a_source(space: AddrSpace) -> None:
    # What fsspec's files are: seek and read.
    blob = bytes(i % 251 for i in range(3 * PAGE_SIZE + 100))
    file = io.BytesIO(blob)

    def fetch(offset: int) -> bytes:
        file.seek(offset)
        return file.read(PAGE_SIZE)

    space.map_pager(BASE, 4 * PAGE_SIZE, R, fetch)
    assert space.read(BASE, 4 * PAGE_SIZE) == blob.ljust(4 * PAGE_SIZE, b"\0")


def test_a_source_may_be_this_very_space(space: AddrSpace) -> None:
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    space.write(BASE, b"under" * 100)
    space.map_pager(
        2 * BASE, 2 * PAGE_SIZE, R, lambda offset: UserConstPtr[char](BASE + offset).get_as_slice(space, 4096)
    )
    assert space.read(2 * BASE, 5) == b"under"
    space.map_pager(3 * BASE, 2 * PAGE_SIZE, R, lambda offset: space.read(2 * BASE + offset, PAGE_SIZE))
    assert UserConstPtr[char](3 * BASE).read_slice(space, 5) == b"under"


def test_fetch_that_touches_its_own_page_is_edeadlk(space: AddrSpace) -> None:
    seen: list[int | None] = []

    def fetch(offset: int) -> bytes:
        try:
            space.read(BASE, 1)
        except LinuxError as error:
            seen.append(error.errno)
            raise
        return b""

    space.map_pager(BASE, 2 * PAGE_SIZE, R, fetch)
    fault = faults(lambda: space.read(BASE, 1))
    assert isinstance(fault.__cause__, LinuxError)
    assert seen == [errno.EDEADLK]
    # By way of another page: the second asks for the first again.
    faults(lambda: space.read(BASE + PAGE_SIZE, 1))
    assert seen == [errno.EDEADLK, errno.EDEADLK, errno.EFAULT]


def test_a_ring_of_two_threads_is_edeadlk_for_one_at_least(space: AddrSpace) -> None:
    for _ in range(20):
        started: list[int] = []
        both = threading.Event()
        results: list[object] = []

        def fetch(offset: int, started: list[int] = started, both: threading.Event = both) -> bytes:
            started.append(offset)
            if len(started) == 2:
                both.set()
            assert both.wait(20)
            space.read(BASE + PAGE_SIZE - offset, 1)  # the other's page
            return b"done"

        def touch(at: int, results: list[object] = results) -> None:
            try:
                results.append(space.read(at, 4))
            except LinuxError as error:
                results.append(error)

        space.map_pager(BASE, 2 * PAGE_SIZE, R, fetch, replace=True)
        threads = [threading.Thread(target=touch, args=(BASE + n * PAGE_SIZE,), daemon=True) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        assert any(isinstance(result, UserFault) for result in results)
        results.clear()


@pytest.mark.parametrize("how", ["unmap", "remap", "other pager", "discard", "clear", "protect", "clone", "snapshot"])
def test_fetch_may_change_the_area_it_serves(space: AddrSpace, how: str) -> None:
    done: list[object] = []

    def fetch(offset: int) -> bytes:
        if done:
            return b"second"
        done.append(how)
        if how == "unmap":
            space.unmap(BASE, PAGE_SIZE)
        elif how == "remap":
            space.map_alloc(BASE, PAGE_SIZE, R | W, replace=True)
            space.write(BASE, b"remap")
        elif how == "other pager":
            space.map_pager(BASE, PAGE_SIZE, R, lambda offset: b"other", replace=True)
        elif how == "discard":
            space.discard(BASE, PAGE_SIZE)
        elif how == "clear":
            space.clear()
        elif how == "protect":
            space.protect(BASE, PAGE_SIZE, MappingFlags(0))
        elif how == "clone":
            done.append(space.try_clone())
        else:
            done.append(space.snapshot())
        return b"first"

    space.map_pager(BASE, 2 * PAGE_SIZE, R | W, fetch)
    pointer = UserPtr[char](BASE)
    if how in ("unmap", "clear"):
        assert faults(lambda: pointer.read(space)).reason is FaultReason.UNMAPPED
    elif how == "protect":
        assert faults(lambda: pointer.read(space)).reason is FaultReason.PROTECTION
        assert space.read(BASE, 5) == b"first"
    else:
        wanted = {"remap": b"remap", "other pager": b"other"}.get(how, b"first")
        assert pointer.read_slice(space, 5) == wanted
    if how == "clone":
        assert done[1].read(BASE, 6) == b"second"  # type: ignore[attr-defined]
    if how == "snapshot":
        space.write(BASE, b"x")
        space.restore(done[1])  # type: ignore[arg-type]
        assert space.read(BASE, 6) == b"second"
    space._check()
    done.clear()


def test_touchers_of_one_page_wait_for_one_fetch(space: AddrSpace) -> None:
    asked: list[int] = []
    go = threading.Event()

    def fetch(offset: int) -> bytes:
        asked.append(offset)
        assert go.wait(10)
        return b"page"

    space.map_pager(BASE, PAGE_SIZE, R | W, fetch)
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(UserPtr[char](BASE).read_slice(space, 4)), daemon=True)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    while not asked:
        time.sleep(0.001)
    time.sleep(0.02)
    space.map_alloc(2 * BASE, PAGE_SIZE, R | W, populate=True)  # the space is not locked meanwhile
    go.set()
    for thread in threads:
        thread.join(10)
    assert (asked, results) == ([0], [b"page"] * 4)


def test_many_threads_fetch_many_pages_once_each(space: AddrSpace) -> None:
    source = Source()
    count = 60
    space.map_pager(BASE, count * PAGE_SIZE, R | W, source)

    def work(step: int) -> None:
        for n in range(count):
            page = n * step % count
            assert UserPtr[char](BASE + page * PAGE_SIZE).read_slice(space, 8) == b"%d" % (page % 10) * 8

    threads = [threading.Thread(target=work, args=(step,), daemon=True) for step in (1, 7, 59, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert sorted(source.asked) == list(range(count))


@pytest.mark.parametrize("verb", ["read", "write", "view", "read-only view", "string", "nullterm", "check"])
def test_long_accesses_cost_what_they_touch_not_its_square(space: AddrSpace, verb: str) -> None:
    # Beginning anew for each page would look at thousands of pages thousands of times: minutes for a string.
    count = 12000
    asked: list[int] = []

    def fetch(offset: int) -> bytes:
        asked.append(offset)
        return b"x" if offset == (count - 1) * PAGE_SIZE else b"x" * PAGE_SIZE

    space.map_pager(BASE, count * PAGE_SIZE, R | W, fetch)
    size = (count - 1) * PAGE_SIZE + 1
    if verb == "read":
        assert UserPtr[char](BASE).read_slice(space, size) == b"x" * size
    elif verb == "write":
        UserPtr[char](BASE).write_slice(space, b"y" * size)
    elif verb in ("view", "read-only view"):
        kind: Any = UserPtr[char] if verb == "view" else UserConstPtr[char]
        assert len(kind(BASE).get_as_slice(space, size)) == size
    elif verb == "string":
        assert len(UserConstPtr[char](BASE).read_cstr(space)) == size
    elif verb == "nullterm":
        with pytest.raises(LinuxError) as caught:
            UserConstPtr[char](BASE).get_as_null_terminated(space, size - 1)
        assert caught.value.errno == errno.ENAMETOOLONG
    else:
        check_region(space, BASE, Layout(size, 1), R)
    assert asked == [n * PAGE_SIZE for n in range(count)]


def test_areas_of_different_pagers_are_never_one(space: AddrSpace) -> None:
    space.map(BASE, PAGE_SIZE, R, PagerBackend(lambda offset: b"a"))
    space.map(BASE + PAGE_SIZE, PAGE_SIZE, R, PagerBackend(lambda offset: b"b", PAGE_SIZE))
    assert space.area_count == 2
    assert (space.read(BASE, 1), space.read(BASE + PAGE_SIZE, 1)) == (b"a", b"b")


def test_a_pager_whose_end_uses_the_space_does_no_harm(space: AddrSpace) -> None:
    class Last:
        def __call__(self, offset: int) -> bytes:
            return b"pager"

        def __del__(self) -> None:
            space.map_alloc(BASE, PAGE_SIZE, R | W, replace=True, name="at its end")
            space.write(BASE, b"x")

    space.map_pager(BASE, PAGE_SIZE, R | W, Last())
    space.read(BASE, 1)
    space.unmap(BASE, 2 * PAGE_SIZE)
    space._check()
    assert [area.name for area in space.areas()] == ["at its end"]
    space.map_pager(BASE, PAGE_SIZE, R | W, Last(), replace=True)
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W, replace=True)
    space._check()
    space.map_pager(4 * BASE, PAGE_SIZE, R | W, Last())
    snap = space.snapshot()
    del snap
    space.clear()
    space._check()


def test_a_page_for_which_there_is_no_frame_is_enomem_and_fetched_again(space: AddrSpace) -> None:
    source = Source()
    space.map_pager(BASE, PAGE_SIZE, R | W, source)
    frames = space.phys.frames_in_use

    def check() -> None:
        assert space.phys.frames_in_use == frames
        space._check()

    count, data = each_failure(space.phys, lambda: UserPtr[char](BASE).read_slice(space, 2), check)
    assert count >= 4  # three page tables and the page
    assert data == b"00"


def test_offsets_near_the_end_of_all_numbers(space: AddrSpace) -> None:
    asked: list[int] = []
    last = (1 << 64) - PAGE_SIZE

    def fetch(offset: int) -> bytes:
        asked.append(offset)
        return b"x"

    space.map(BASE, PAGE_SIZE, R, PagerBackend(fetch, last))
    assert space.read(BASE, 1) == b"x"
    assert asked == [last]
    with pytest.raises(LinuxError) as caught:
        space.map(2 * BASE, 2 * PAGE_SIZE, R, PagerBackend(fetch, last))
    assert caught.value.errno == errno.EOVERFLOW
    for wrong in (1, PAGE_SIZE - 1):
        with pytest.raises(LinuxError):
            PagerBackend(fetch, wrong)
    with pytest.raises(TypeError):
        PagerBackend(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        MmioBackend(fetch, None)  # type: ignore[arg-type]


# -- devices ----------------------------------------------------------------------------------------------------


class Device:
    """Registers that read as their offset; notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def read(self, offset: int, size: int) -> int:
        self.calls.append(("r", offset, size))
        return int.from_bytes(bytes((offset + i) & 0xFF for i in range(size)), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        self.calls.append(("w", offset, size, value))


@pytest.fixture
def device(space: AddrSpace) -> Device:
    """Two pages of device at BASE, with a page of memory on each side."""
    made = Device()
    space.map_alloc(BASE - PAGE_SIZE, PAGE_SIZE, R | W)
    space.map_mmio(BASE, 2 * PAGE_SIZE, R | W, made.read, made.write, name="uart")
    space.map_alloc(BASE + 2 * PAGE_SIZE, PAGE_SIZE, R | W)
    space.write(BASE - PAGE_SIZE, b"<" * PAGE_SIZE)
    space.write(BASE + 2 * PAGE_SIZE, b">" * PAGE_SIZE)
    return made


@pytest.mark.parametrize(
    ("offset", "size", "calls"),
    [
        (0, 1, [(0, 1)]),
        (8, 8, [(8, 8)]),
        (3, 4, [(3, 4)]),  # one access stays one call, aligned or not
        (PAGE_SIZE - 4, 8, [(PAGE_SIZE - 4, 8)]),
        (0, 16, [(0, 8), (8, 8)]),
        (1, 7, [(1, 1), (2, 2), (4, 4)]),
        (5, 3, [(5, 1), (6, 2)]),
        (6, 13, [(6, 2), (8, 8), (16, 2), (18, 1)]),
        (2 * PAGE_SIZE - 3, 3, [(2 * PAGE_SIZE - 3, 1), (2 * PAGE_SIZE - 2, 2)]),
    ],
)
def test_the_calls_a_copy_makes(
    space: AddrSpace, device: Device, offset: int, size: int, calls: list[tuple[int, int]]
) -> None:
    wanted = bytes((offset + i) & 0xFF for i in range(size))
    for read in (
        lambda: UserPtr[char](BASE + offset).read_slice(space, size),
        lambda: space.read(BASE + offset, size),
    ):
        device.calls.clear()
        assert read() == wanted
        assert device.calls == [("r", *call) for call in calls]
    values = [
        ("w", at, count, int.from_bytes(wanted[at - offset : at - offset + count], "little")) for at, count in calls
    ]
    for write in (
        lambda: UserPtr[char](BASE + offset).write_slice(space, wanted),
        lambda: space.write(BASE + offset, wanted),
        lambda: UserPtr[char](BASE + offset).copy_out(space, wanted),
    ):
        device.calls.clear()
        write()
        assert device.calls == values


def test_typed_reads_and_writes_are_one_call(space: AddrSpace, device: Device) -> None:
    assert UserPtr[u32](BASE + 4).read(space) == 0x07060504
    UserPtr[u32](BASE + 4).write(space, 0xDEADBEEF)
    assert device.calls == [("r", 4, 4), ("w", 4, 4, 0xDEADBEEF)]
    assert faults(lambda: UserPtr[u32](BASE + 2).read(space)).reason is FaultReason.MISALIGNED


def test_a_copy_across_memory_and_device_is_in_order(space: AddrSpace, device: Device) -> None:
    start, size = BASE - 2, 2 * PAGE_SIZE + 4
    wanted = b"<<" + bytes(i & 0xFF for i in range(2 * PAGE_SIZE)) + b">>"
    assert UserPtr[char](start).read_slice(space, size) == wanted
    assert space.read(start, size) == wanted
    buffer = bytearray(size)
    assert UserPtr[char](start).copy_in(space, buffer) == size
    assert buffer == wanted
    UserPtr[char](start).write_slice(space, b"w" * size)
    assert space.read(BASE - 3, 3) == b"<ww"
    assert space.read(BASE + 2 * PAGE_SIZE, 3) == b"ww>"


def test_what_a_device_raises_is_the_cause_of_a_fault_that_counts(space: AddrSpace) -> None:
    def broken(offset: int, size: int, value: int = 0) -> int:
        if offset >= 8:
            raise OSError("no such register")
        return 0

    space.map_alloc(BASE - PAGE_SIZE, PAGE_SIZE, R | W)
    space.map_mmio(BASE, PAGE_SIZE, R | W, broken, broken)  # type: ignore[arg-type]
    for call in (
        lambda: UserPtr[char](BASE - 4).read_slice(space, 32),
        lambda: UserPtr[char](BASE - 4).write_slice(space, b"x" * 32),
    ):
        fault = faults(call)
        assert (fault.reason, fault.address) == (FaultReason.BACKING_FAILED, BASE + 8)
        assert (fault.size, fault.completed) == (32, 12)
        assert isinstance(fault.__cause__, OSError)


@pytest.mark.parametrize("value", [-1, 1 << 32, None, "x", 1.5], ids=str)
def test_a_value_that_is_no_register_is_a_fault(space: AddrSpace, value: Any) -> None:
    space.map_mmio(BASE, PAGE_SIZE, R, lambda offset, size: value, lambda offset, size, value: None)
    fault = faults(lambda: UserPtr[u32](BASE).read(space))
    assert fault.reason is FaultReason.BACKING_FAILED
    assert isinstance(fault.__cause__, (OverflowError, AttributeError, TypeError))


def test_views_strings_and_frames_are_not_to_be_had(space: AddrSpace, device: Device) -> None:
    for call in (
        lambda: UserPtr[char](BASE).get_as_slice(space, 4),
        lambda: UserPtr[u32](BASE).get(space),
        lambda: UserConstPtr[char](BASE).read_cstr(space),
        lambda: UserConstPtr[char](BASE - 8).read_cstr(space),
        lambda: space.populate_area(BASE, 1, R),
    ):
        assert faults(call).reason is FaultReason.NOT_MEMORY
    assert device.calls == []
    assert space.check_region_access(VirtAddrRange(BASE, BASE + PAGE_SIZE), R | W)
    assert space.query(BASE) is None


def test_a_clone_has_the_same_device_and_snapshots_never_call_it(space: AddrSpace, device: Device) -> None:
    clone = space.try_clone()
    assert clone.read(BASE + 3, 1) == b"\3"
    device.calls.clear()
    snap = space.snapshot()
    space.protect(BASE, 2 * PAGE_SIZE, R)
    space.restore(snap)
    assert space.dirty_pages() == [BASE - PAGE_SIZE, BASE + 2 * PAGE_SIZE]
    assert device.calls == []


def test_a_device_split_moved_and_protected_keeps_its_offsets(space: AddrSpace, device: Device) -> None:
    space.unmap(BASE, PAGE_SIZE)
    assert space.read(BASE + PAGE_SIZE + 2, 2) == b"\2\3"
    assert device.calls == [("r", PAGE_SIZE + 2, 2)]
    space.move(BASE + PAGE_SIZE, PAGE_SIZE, 8 * BASE)
    device.calls.clear()
    space.protect(8 * BASE, PAGE_SIZE, R)
    assert UserPtr[char](8 * BASE).read(space) == b"\0"
    assert device.calls == [("r", PAGE_SIZE, 1)]
    assert faults(lambda: UserPtr[char](8 * BASE).write(space, b"x")).reason is FaultReason.PROTECTION


def test_a_device_may_change_the_space_that_is_read(space: AddrSpace) -> None:
    def read(offset: int, size: int) -> int:
        space.unmap(BASE, PAGE_SIZE)
        return 0

    space.map_mmio(BASE, PAGE_SIZE, R, read, lambda *args: None)
    space.map_alloc(BASE + PAGE_SIZE, PAGE_SIZE, R)
    assert UserPtr[char](BASE + PAGE_SIZE - 16).read_slice(space, 32) == bytes(32)  # what was begun is ended
    assert faults(lambda: UserPtr[char](BASE).read(space)).reason is FaultReason.UNMAPPED
    assert space.read(BASE + PAGE_SIZE, 1) == b"\0"


class Guest:
    """What most who write pagers have: an object that holds the space and serves it."""

    def __init__(self, space: AddrSpace) -> None:
        self.space = space
        space.map_alloc(BASE, PAGE_SIZE, R | W, populate=True)
        space.map_pager(2 * BASE, PAGE_SIZE, R, self.fetch)

    def fetch(self, offset: int) -> bytes:
        return self.space.read(BASE, PAGE_SIZE)


def test_a_pager_that_leads_back_to_its_space_is_no_leak(phys: PhysMemory) -> None:
    def live() -> None:
        guest = Guest(AddrSpace(0x1000, 1 << 40, phys))
        guest.space.read(2 * BASE, 1)
        snap = guest.space.snapshot()
        clone = guest.space.try_clone()
        gc.collect()
        assert (clone.read(2 * BASE, 1), snap.read(2 * BASE, 1)) == (b"\0", b"\0")

    live()
    assert phys.frames_in_use > 0
    gc.collect()
    assert phys.frames_in_use == 0


def test_a_counted_copy_tells_what_the_function_raised(space: AddrSpace) -> None:
    def fetch(offset: int) -> bytes:
        if offset:
            raise ZeroDivisionError("no such page")
        return b"x" * PAGE_SIZE

    def broken(offset: int, size: int, value: int = 0) -> int:
        raise OSError("no such register")

    space.map_pager(BASE, 2 * PAGE_SIZE, R | W, fetch)
    space.map_mmio(BASE + 4 * PAGE_SIZE, PAGE_SIZE, R | W, broken, broken)  # type: ignore[arg-type]
    space.map_alloc(BASE + 3 * PAGE_SIZE, PAGE_SIZE, R | W)
    for end, cause in ((BASE + PAGE_SIZE, ZeroDivisionError), (BASE + 4 * PAGE_SIZE, OSError)):
        for done in (
            UserPtr[char](end - 4).copy_in(space, bytearray(8)),
            UserPtr[char](end - 4).copy_out(space, b"12345678"),
        ):
            assert done == 4
            assert isinstance(done, Copied)
            assert (done.fault.address, done.fault.completed) == (end, 4)
            assert isinstance(done.fault.__cause__, cause)
    # what stopped one copy is not told of the next
    done = UserPtr[char](BASE + 2 * PAGE_SIZE).copy_in(space, bytearray(8))
    assert isinstance(done, Copied)
    assert done.fault.__cause__ is None
