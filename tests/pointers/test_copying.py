"""copy_between, clear, copy_struct: counts and bytes over holes, any provider; the rules of copy_struct_from_user."""

from __future__ import annotations

import ctypes
import errno
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import (
    I386,
    ILP32,
    ILP32_BIG,
    LP64,
    LP64_BIG,
    PAGE_SIZE,
    AddrSpace,
    Copied,
    DataModel,
    FaultReason,
    Layout,
    LinuxError,
    Locked,
    MappingFlags,
    PhysMemory,
    UserFault,
    UserPtr,
    check_zeroed,
    clear,
    copy_between,
    copy_in_nofault,
    copy_out_nofault,
    copy_struct,
    copy_struct_out,
)
from axptr.pointers.copying import CHUNK
from fakes import MODELS, PROVIDERS, FakeMemory, PlainProvider, over, peek, poke, set_model, set_pages, words

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
TOP = (1 << 64) - 1


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, space: AddrSpace) -> Any:
    return over(request.param, space)


# -- copy_between


@pytest.mark.parametrize("kind", PROVIDERS)
def test_bytes_go_from_space_to_space(provider: Any, kind: str, phys: PhysMemory) -> None:
    other = AddrSpace(0x1000, 1 << 30, phys)
    goal = over(kind, other)
    set_pages(provider, BASE, "rr", bytes(range(256)) * 32)
    set_pages(goal, 2 * BASE, "www")
    done = copy_between(provider, BASE + 5, goal, 2 * BASE + 4000, 8000)
    assert type(done) is int
    assert done == 8000
    assert peek(goal, 2 * BASE + 4000, 8000) == (bytes(range(256)) * 32)[5:8005]
    assert peek(goal, 2 * BASE, 4000) == bytes(4000)


def test_more_than_a_piece_arrives_whole(space: AddrSpace, phys: PhysMemory) -> None:
    size = 2 * CHUNK + 77
    data = bytes(i * i % 251 for i in range(size))
    space.map_alloc(BASE, 1 << 20, R | W)
    space.write(BASE + 3, data)
    other = AddrSpace(0x1000, 1 << 30, phys)
    other.map_alloc(BASE, 1 << 20, W)
    assert copy_between(space, BASE + 3, other, BASE + 9, size) == size
    assert other.read(BASE + 9, size) == data


def test_a_hole_in_the_source_ends_it_and_is_named(provider: Any, space: AddrSpace) -> None:
    # | r | hole        -> | w w w |
    set_pages(provider, BASE, "r", b"x" * PAGE_SIZE)
    set_pages(provider, 2 * BASE, "www")
    done = copy_between(provider, BASE + 4000, provider, 2 * BASE, 500)
    assert done == 96
    assert isinstance(done, Copied)
    fault = done.fault
    assert (fault.address, fault.access, fault.completed, fault.size) == (BASE + PAGE_SIZE, R, 96, 500)
    assert peek(provider, 2 * BASE, 100) == b"x" * 96 + bytes(4)


def test_a_hole_in_the_goal_ends_it_and_is_named(provider: Any) -> None:
    set_pages(provider, BASE, "rr", b"x" * PAGE_SIZE)
    set_pages(provider, 2 * BASE, "wr")
    done = copy_between(provider, BASE, provider, 2 * BASE + 4090, 500)
    assert isinstance(done, Copied)
    assert (done, done.fault.address, done.fault.access) == (6, 2 * BASE + PAGE_SIZE, W)
    assert done.fault.reason is FaultReason.PROTECTION


@pytest.mark.parametrize("count", [1, PAGE_SIZE, 1 << 40, TOP, 1 << 64, 1 << 80])
def test_a_count_from_a_guest_costs_nothing_up_front(provider: Any, count: int) -> None:
    set_pages(provider, BASE, "w")
    assert copy_between(provider, BASE, provider, 4 * BASE, count) == 0
    assert copy_between(provider, 4 * BASE, provider, BASE, count) == 0
    assert copy_between(provider, TOP, provider, BASE, count) == 0
    assert copy_between(provider, BASE, provider, TOP, count) == 0
    assert clear(provider, 4 * BASE, count) == 0
    assert clear(provider, TOP, count) == 0


def test_nothing_is_copied_from_anywhere_to_anywhere(provider: Any) -> None:
    assert copy_between(provider, TOP, provider, 7, 0) == 0
    assert clear(provider, TOP, 0) == 0


def test_the_last_byte_of_all_addresses_can_be_cleared_and_no_more(phys: PhysMemory) -> None:
    space = AddrSpace((1 << 64) - PAGE_SIZE, PAGE_SIZE, phys)
    space.map_alloc((1 << 64) - PAGE_SIZE, PAGE_SIZE, R | W)
    space.write(TOP - 3, b"abcd")
    done = clear(space, TOP - 1, 5)
    assert isinstance(done, Copied)
    assert (done, done.fault.reason) == (2, FaultReason.OUT_OF_RANGE)
    assert space.read(TOP - 3, 4) == b"ab\0\0"
    done = copy_between(space, TOP - 3, space, TOP - 1, 4)
    assert done == 2
    assert space.read(TOP - 3, 4) == b"abab"


def test_the_gap_below_the_end_of_addresses_is_no_way_round(space: AddrSpace) -> None:
    space.map_alloc(0x1000, PAGE_SIZE, R | W)
    done = clear(space, TOP - 10, 1 << 20)
    assert isinstance(done, Copied)
    assert done == 0


# -- clear


def test_clear_zeroes_exactly_the_range(provider: Any) -> None:
    set_pages(provider, BASE, "www", b"\xff" * 3 * PAGE_SIZE)
    assert clear(provider, BASE + 10, 2 * PAGE_SIZE) == 2 * PAGE_SIZE
    assert peek(provider, BASE, 3 * PAGE_SIZE) == b"\xff" * 10 + bytes(2 * PAGE_SIZE) + b"\xff" * (PAGE_SIZE - 10)


def test_clear_stops_at_a_page_that_cannot_be_written(provider: Any) -> None:
    set_pages(provider, BASE, "wr", b"\xff" * 2 * PAGE_SIZE)
    done = clear(provider, BASE + 4090, 100)
    assert isinstance(done, Copied)
    assert (done, done.fault.address, done.fault.completed) == (6, BASE + PAGE_SIZE, 6)
    assert peek(provider, BASE + 4089, 8) == b"\xff" + bytes(6) + b"\xff"


def test_clear_needs_write_alone() -> None:
    memory = FakeMemory()
    memory.map(BASE, 1, W)
    assert clear(PlainProvider(memory), UserPtr[ctypes.c_int](BASE), 8) == 8


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    flags=st.text("wrn ", min_size=4, max_size=4),
    start=st.integers(0, 4 * PAGE_SIZE - 1),
    size=st.integers(0, 5 * PAGE_SIZE),
    kind=st.sampled_from(PROVIDERS),
)
def test_counts_are_those_of_a_byte_by_byte_model(
    phys: PhysMemory, flags: str, start: int, size: int, kind: str
) -> None:
    space = AddrSpace(0x1000, 1 << 40, phys)
    provider = over(kind, space)
    set_pages(provider, BASE, flags)
    set_pages(provider, 2 * BASE, "wwwww", b"\xee" * 5 * PAGE_SIZE)
    for i, letter in enumerate(flags):
        if letter != " ":
            poke(provider, BASE + i * PAGE_SIZE, bytes([i + 1]) * PAGE_SIZE)

    def run(letters: str) -> int:
        at = start
        while at < start + size and at // PAGE_SIZE < 4 and flags[at // PAGE_SIZE] in letters:
            at += 1
        return at - start

    want = run("wr")
    assert copy_between(provider, BASE + start, provider, 2 * BASE, size) == want
    got = peek(provider, 2 * BASE, 5 * PAGE_SIZE)
    assert got[:want] == bytes((start + i) // PAGE_SIZE + 1 for i in range(want))
    assert got[want:].count(b"\xee") == 5 * PAGE_SIZE - want
    want = run("w")
    assert clear(provider, BASE + start, size) == want
    for i in range(start, min(start + size, 4 * PAGE_SIZE), 97):
        if flags[i // PAGE_SIZE] != " ":
            assert peek(provider, BASE + i, 1)[0] == (0 if i < start + want else i // PAGE_SIZE + 1)


# -- copy_struct


class Args(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint32), ("spare", ctypes.c_uint32)]


DATA = bytes(range(1, 17))


def test_a_struct_of_the_same_size_is_copied_from_any_address(provider: Any) -> None:
    set_pages(provider, BASE, "rr")
    poke(provider, BASE + PAGE_SIZE - 3, DATA)
    assert bytes(copy_struct(provider, BASE + PAGE_SIZE - 3, Args, 16)) == DATA


@pytest.mark.parametrize("size", [0, 1, 8, 15])
def test_an_older_struct_is_extended_with_zeros(provider: Any, size: int) -> None:
    set_pages(provider, BASE, "r ", bytes(PAGE_SIZE - size) + DATA[:size])
    # nothing past it is read: there is a hole
    assert bytes(copy_struct(provider, BASE + PAGE_SIZE - size, Args, size)) == DATA[:size].ljust(16, b"\0")


def test_a_newer_struct_must_be_zero_past_what_is_known(provider: Any) -> None:
    set_pages(provider, BASE, "rr")
    poke(provider, BASE + 4090, DATA)
    assert bytes(copy_struct(provider, BASE + 4090, Args, 40)) == DATA
    poke(provider, BASE + 4090 + 39, b"\1")
    assert bytes(copy_struct(provider, BASE + 4090, Args, 39)) == DATA
    with pytest.raises(LinuxError, match="byte 39 is not zero") as caught:
        copy_struct(provider, BASE + 4090, Args, 40)
    assert caught.value.errno == errno.E2BIG
    assert not isinstance(caught.value, UserFault)


def test_the_tail_is_looked_at_before_the_struct_as_the_kernel_does(provider: Any) -> None:
    # | hole | r |: the struct starts in the hole, its tail is readable and not zero
    set_pages(provider, BASE + PAGE_SIZE, "r", b"\1")
    with pytest.raises(LinuxError) as caught:
        copy_struct(provider, BASE + PAGE_SIZE - 16, Args, 20)
    assert caught.value.errno == errno.E2BIG
    poke(provider, BASE + PAGE_SIZE, b"\0")
    with pytest.raises(UserFault):
        copy_struct(provider, BASE + PAGE_SIZE - 16, Args, 20)
    with pytest.raises(UserFault):
        copy_struct(provider, BASE + 2 * PAGE_SIZE - 18, Args, 20)


def test_sizes_outside_the_limits_are_refused_before_memory_is_touched(provider: Any) -> None:
    for size in (PAGE_SIZE + 1, TOP, 1 << 70):
        with pytest.raises(LinuxError) as caught:
            copy_struct(provider, 0, Args, size)
        assert caught.value.errno == errno.E2BIG
    with pytest.raises(LinuxError) as caught:
        copy_struct(provider, 0, Args, 7, min_size=8)
    assert caught.value.errno == errno.EINVAL


def test_a_tail_past_all_addresses_is_a_fault(provider: Any) -> None:
    for address in (TOP, TOP - 15, TOP - 20):
        with pytest.raises(UserFault):
            copy_struct(provider, address, Args, 40)
        with pytest.raises(UserFault):
            copy_struct_out(provider, address, Args(), 40)
    for verb, T in ((copy_struct, Args), (copy_struct_out, Args())):
        with pytest.raises(UserFault) as caught:
            verb(provider, TOP, T, 40)
        assert (caught.value.address, caught.value.completed, caught.value.start) == (TOP + 1, 1, TOP)


def test_a_struct_that_the_host_has_no_room_for_is_enomem(provider: Any) -> None:
    set_pages(provider, BASE, "r", b"\1")
    with pytest.raises(LinuxError) as caught:
        copy_struct(provider, BASE, ctypes.c_uint64 * (1 << 50), 1)
    assert caught.value.errno == errno.ENOMEM


def test_scalars_come_as_instances(provider: Any) -> None:
    set_pages(provider, BASE, "r", b"\1\2")
    assert copy_struct(provider, BASE, ctypes.c_uint32, 2).value == 0x201


class Growing(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("buf", ctypes.c_void_p),
        ("low", ctypes.c_uint16, 4),
        ("size", ctypes.c_uint64),
    ]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_struct_is_as_large_and_lies_as_the_data_model_has_it(provider: Any, model: DataModel) -> None:
    set_pages(provider, BASE, "rr")
    set_model(provider, model)
    wide = model.wide_align
    known = Layout.of(Growing, model).size
    assert known == {LP64: 32, LP64_BIG: 32, ILP32: 24, ILP32_BIG: 24, I386: 24}[model]
    low = words(model, 2, 5 if model.order == "little" else 5 << 12)
    text = words(model, 8, 1 << 40) + words(model, model.pointer, BASE) + low
    text = text.ljust(len(text) + -len(text) % wide, b"\0") + words(model, 8, 9)
    assert len(text) == known
    for address in (BASE + 1, BASE + PAGE_SIZE - 9):
        poke(provider, address, text + bytes(9))
        for size in (known, known + 9):
            made = copy_struct(provider, address, Growing, size)
            assert (made.flags, made.buf, made.low, made.size) == (1 << 40, BASE, 5, 9)
        assert type(made).__name__ == "Growing"
        old = copy_struct(provider, address, Growing, known - 8)
        assert (old.flags, old.low, old.size) == (1 << 40, 5, 0)
        # what a pointer reads under this model is of the same class
        assert type(made) is type(UserPtr[Growing].under(model)(address).read_unaligned(provider))
        # a pointer fixed to a model goes before the provider's
        set_model(provider, LP64 if model != LP64 else ILP32_BIG)
        assert copy_struct(provider, UserPtr[Growing].under(model)(address), Growing, known).size == 9
        set_model(provider, model)
    poke(provider, BASE + 1 + known, b"\1")
    with pytest.raises(LinuxError, match=f"byte {known} is not zero"):
        copy_struct(provider, BASE + 1, Growing, known + 1)
    assert copy_struct(provider, BASE + 1, ctypes.c_uint64, 8).value == 1 << 40


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_other_spellings_of_a_struct_grow_too(provider: Any, model: DataModel) -> None:
    set_pages(provider, BASE, "r")
    set_model(provider, model)
    pad = model.wide_align - 2
    poke(provider, BASE + 1, words(model, 2, 7) + bytes(pad) + words(model, 8, 1 << 40))
    assert copy_struct(provider, BASE + 1, "HQ", 10 + pad) == (7, 1 << 40)
    assert copy_struct(provider, BASE + 1, "HQ", 2) == (7, 0)
    assert copy_struct(provider, BASE + 1, ">H", 1) == int.from_bytes(words(model, 2, 7)[:1] + b"\0", "big")
    np, cstruct = pytest.importorskip("numpy"), pytest.importorskip("dissect.cstruct").cstruct
    poke(provider, BASE + 1, b"\0\7\0\0\1")
    dtype = np.dtype([("a", ">u2"), ("b", ">u4")])
    assert copy_struct(provider, BASE + 1, dtype, 5).tolist() == (7, 0x100)
    declared = cstruct(endian=">").load("struct s { uint16 a; uint32 b; };").s
    assert copy_struct(provider, BASE + 1, declared, 5).b == 0x100
    with pytest.raises(TypeError, match="want a type that can grow"):
        copy_struct(provider, BASE + 1, UserPtr[ctypes.c_int], 8)


# -- copies that bring nothing in


def test_what_is_there_is_copied_and_nothing_else_brought_in(space: AddrSpace) -> None:
    fetched = []

    def fetch(offset: int) -> bytes:
        fetched.append(offset)
        return b"p" * PAGE_SIZE

    space.map_alloc(BASE, 3 * PAGE_SIZE, R | W)
    space.map_pager(BASE + 3 * PAGE_SIZE, PAGE_SIZE, R | W, fetch)
    space.map_alloc(4 * BASE, PAGE_SIZE, R | W, grows_down=4 * PAGE_SIZE)
    space.write(BASE, b"a" * (2 * PAGE_SIZE))
    frames, areas, buffer = space.phys.data_frames, str(space), bytearray(5 * PAGE_SIZE)
    done = copy_in_nofault(space, BASE + 1, buffer)
    assert isinstance(done, Copied)
    assert (done, buffer[: done + 1]) == (2 * PAGE_SIZE - 1, b"a" * done + b"\0")
    assert (done.fault.reason, done.fault.address) == (FaultReason.ABSENT, BASE + 2 * PAGE_SIZE)
    assert "is not there for read yet" in str(done.fault)
    for address in (BASE + 2 * PAGE_SIZE, BASE + 3 * PAGE_SIZE, 4 * BASE, 4 * BASE - 8):
        for verb, data in ((copy_in_nofault, bytearray(4)), (copy_out_nofault, b"data")):
            done = verb(space, address, data)
            assert isinstance(done, Copied)
            assert done == 0
            assert done.fault.reason is FaultReason.ABSENT
    assert (space.phys.data_frames, str(space), fetched) == (frames, areas, [])
    UserPtr[ctypes.c_char](BASE + 3 * PAGE_SIZE).read(space)
    assert copy_in_nofault(space, BASE + 3 * PAGE_SIZE, buffer) == PAGE_SIZE
    assert buffer[:PAGE_SIZE] == b"p" * PAGE_SIZE


def test_what_would_part_a_shared_page_is_not_written(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    assert UserPtr[ctypes.c_char](BASE).copy_out(space, b"first") == 5
    assert copy_out_nofault(space, BASE + 5, b"-then") == 5
    twin = space.try_clone()
    done = copy_out_nofault(space, BASE, b"again")
    assert isinstance(done, Copied)
    assert (done, done.fault.reason) == (0, FaultReason.ABSENT)
    assert copy_in_nofault(space, BASE, buffer := bytearray(10)) == 10
    assert bytes(buffer) == twin.read(BASE, 10) == b"first-then"
    UserPtr[ctypes.c_char](BASE).write(space, b"F")
    assert copy_out_nofault(space, BASE, b"again") == 5
    assert twin.read(BASE, 5) == b"first"


def test_holes_rights_and_other_memories_of_copies_that_bring_nothing_in(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R, populate=True)
    for verb, data, reason in (
        (copy_out_nofault, b"x", FaultReason.PROTECTION),
        (copy_in_nofault, bytearray(1), None),
    ):
        done = verb(space, BASE, data)
        assert getattr(getattr(done, "fault", None), "reason", None) is reason
    for address in (BASE + PAGE_SIZE, 0, (1 << 64) - 1):
        done = copy_in_nofault(Locked(space), address, bytearray(2))
        assert isinstance(done, Copied)
        assert done.fault.reason in (FaultReason.UNMAPPED, FaultReason.OUT_OF_RANGE)
    assert copy_in_nofault(space, 0x5000, bytearray()) == 0
    with pytest.raises(TypeError, match="does not say which of its pages are there"):
        copy_in_nofault(PlainProvider(FakeMemory()), BASE, bytearray(1))


# -- check_zeroed, copy_struct_out


def test_zeros_are_told_up_to_the_first_other_byte(provider: Any) -> None:
    set_pages(provider, BASE, "rrr ")
    assert check_zeroed(provider, BASE, 3 * PAGE_SIZE) is True
    assert check_zeroed(provider, TOP, 0) is True
    for at in (0, PAGE_SIZE - 1, PAGE_SIZE, 2 * PAGE_SIZE + 7):
        poke(provider, BASE + at, b"\1")
        assert check_zeroed(provider, BASE, 3 * PAGE_SIZE) is False
        assert check_zeroed(provider, BASE, at) is True
        assert check_zeroed(provider, BASE, 1 << 70) is False  # it need not go on to the hole
        poke(provider, BASE + at, b"\0")
    with pytest.raises(UserFault) as caught:
        check_zeroed(provider, BASE + 5, 1 << 70)
    assert caught.value.address == BASE + 3 * PAGE_SIZE
    assert (caught.value.start, caught.value.completed) == (BASE + 5, 3 * PAGE_SIZE - 5)
    assert caught.value.size == 1 << 70
    with pytest.raises(UserFault):
        check_zeroed(provider, TOP, 2)


class Reply(ctypes.Structure):
    _fields_ = [("a", ctypes.c_uint32), ("b", ctypes.c_uint32)]


def test_a_struct_goes_out_to_the_size_that_the_guest_knows(provider: Any) -> None:
    set_pages(provider, BASE, "w ", b"\xee" * PAGE_SIZE)
    assert copy_struct_out(provider, BASE + 1, Reply(1, 2), 8) is True
    assert peek(provider, BASE, 10) == b"\xee\1\0\0\0\2\0\0\0\xee"
    assert copy_struct_out(provider, BASE + 100, Reply(1, 2), 12) is True
    assert peek(provider, BASE + 100, 13) == b"\1\0\0\0\2\0\0\0\0\0\0\0\xee"
    assert copy_struct_out(provider, BASE + 200, Reply(1, 2), 4) is False
    assert copy_struct_out(provider, BASE + 200, Reply(1, 0), 4) is True
    assert peek(provider, BASE + 200, 5) == b"\1\0\0\0\xee"
    set_model(provider, ILP32_BIG)
    assert copy_struct_out(provider, BASE + 400, Reply(1, 2), 5) is False
    assert peek(provider, BASE + 400, 6) == b"\0\0\0\1\0\xee"
    assert copy_struct_out(provider, BASE + 300, b"", 2) is True
    assert peek(provider, BASE + 300, 3) == b"\0\0\xee"


def test_a_struct_that_does_not_fit_the_guests_memory_is_a_fault(provider: Any) -> None:
    set_pages(provider, BASE, "w ", b"\xee" * PAGE_SIZE)
    for size in (8, 16, 1 << 40):
        with pytest.raises(UserFault) as caught:
            copy_struct_out(provider, BASE + PAGE_SIZE - 7, Reply(1, 2), size)
        assert caught.value.access == W
        assert peek(provider, BASE + PAGE_SIZE - 7, 7) == b"\xee" * 7  # the bytes of the struct come last
    with pytest.raises(UserFault):
        copy_struct_out(provider, TOP - 3, Reply(1, 2), 16)
    set_pages(provider, 2 * BASE, "r")
    with pytest.raises(UserFault):
        copy_struct_out(provider, 2 * BASE, Reply(1, 2), 8)
