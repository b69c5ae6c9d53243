"""UserSlice: reader and writer move on, read nothing twice, never leave the slice, and stay where a fault met them."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    Copied,
    DataModel,
    MappingFlags,
    PhysMemory,
    UserConstPtr,
    UserFault,
    UserPtr,
    UserSlice,
)
from axptr.pointers.copying import CHUNK
from fakes import MODELS, PROVIDERS, FakeMemory, PlainProvider, over, peek, poke, set_model, set_pages, words

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
TOP = (1 << 64) - 1
u32 = ctypes.c_uint32


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, space: AddrSpace) -> Any:
    made = over(request.param, space)
    set_pages(made, BASE, "www ", bytes(i % 251 for i in range(3 * PAGE_SIZE)))
    return made


def test_a_reader_moves_on_with_every_verb(provider: Any) -> None:
    data = peek(provider, BASE, 3 * PAGE_SIZE)
    reader = UserSlice(BASE + 1, 5000).reader(provider)
    assert reader.read(3) == data[1:4]
    assert reader.read_value(u32) == int.from_bytes(data[4:8], "little")
    reader.skip(10)
    buffer = bytearray(100)
    assert reader.copy_in(buffer) == 100
    assert buffer == data[18:118]
    assert (reader.address, reader.remaining) == (BASE + 118, 5001 - 118)
    assert reader.read_all() == data[118:5001]
    assert (reader.remaining, reader.read_all(), reader.read(0), reader.copy_in(buffer)) == (0, b"", b"", 0)


def test_a_writer_moves_on_with_every_verb(provider: Any) -> None:
    before = peek(provider, BASE, 200)
    writer = UserSlice(BASE + 1, 30).writer(provider)
    writer.write(b"abc")
    writer.write_value(u32, 0x64636261)
    writer.skip(2)
    assert writer.clear(5) == 5
    assert writer.copy_out(bytearray(b"z" * 100)) == 16
    assert writer.remaining == 0
    assert writer.clear(9) == 0
    assert peek(provider, BASE, 200) == before[:1] + b"abcabcd" + before[8:10] + bytes(5) + b"z" * 16 + before[31:]


class Entry(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_uint16), ("where", ctypes.c_void_p), ("size", ctypes.c_uint64)]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_values_take_as_many_bytes_as_the_data_model_gives_them(provider: Any, model: DataModel) -> None:
    set_model(provider, model)
    size, pad = model.pointer, bytes(model.pointer - 2)
    gap = bytes(-2 * size % model.wide_align)
    entry = words(model, 2, 3) + pad + words(model, size, BASE) + gap + words(model, 8, 1 << 40)
    data = words(model, 4, 7) + words(model, size, BASE, 9) + entry + words(model, 4, 0xDF) + b"\1"
    poke(provider, BASE + 1, data)
    reader = UserSlice(BASE + 1, len(data)).reader(provider)
    read = [reader.read_value(T) for T in (u32, UserConstPtr[u32], "L", Entry, ctypes.c_wchar)]
    assert (read[0], read[1].address, read[2], read[4]) == (7, BASE, 9, "ß")
    assert (read[3].kind, read[3].where, read[3].size) == (3, BASE, 1 << 40)
    assert reader.remaining == 1
    for T in (u32, UserConstPtr[u32], Entry):
        with pytest.raises(UserFault, match="1 are left of the slice"):
            reader.read_value(T)
    poke(provider, BASE + 1, bytes(len(data)))
    writer = UserSlice(BASE + 1, len(data)).writer(provider)
    for T, value in zip((u32, UserConstPtr[u32], "L", Entry, ctypes.c_wchar), read, strict=True):
        writer.write_value(T, value)
    assert writer.remaining == 1
    writer.write(b"\1")
    assert peek(provider, BASE + 1, len(data)) == data
    short = UserSlice(BASE + 1, size - 1).writer(provider)
    with pytest.raises(UserFault, match="are left of the slice"):
        short.write_value(UserPtr[u32], BASE)
    exact = UserSlice(BASE + 1, size).writer(provider)
    exact.write_value(UserPtr[u32], BASE)
    assert exact.remaining == 0


def test_nothing_is_read_twice_whatever_the_guest_does_meanwhile(provider: Any) -> None:
    reader = UserSlice(BASE, 8).reader(provider)
    poke(provider, BASE, b"first...")
    assert reader.read(5) == b"first"
    poke(provider, BASE, b"SECOND!!")
    assert reader.read_all() == b"D!!"


def test_a_string_is_read_up_to_its_end_or_the_slice_s(provider: Any) -> None:
    poke(provider, BASE + PAGE_SIZE - 3, b"strings\0next\0")
    reader = UserSlice(BASE + PAGE_SIZE - 3, 11).reader(provider)
    assert reader.read_cstr() == b"strings"
    assert (reader.address, reader.remaining) == (BASE + PAGE_SIZE + 5, 3)
    assert reader.read_cstr() == b"nex"  # as long as the slice was: there was no NUL
    assert (reader.remaining, reader.read_cstr()) == (0, b"")
    assert UserSlice(BASE + PAGE_SIZE - 3, 8).reader(provider).read_cstr() == b"strings"


def test_a_string_that_runs_into_a_hole_is_a_fault_and_not_moved(provider: Any) -> None:
    poke(provider, BASE + 3 * PAGE_SIZE - 4, b"good")
    reader = UserSlice(BASE + 3 * PAGE_SIZE - 4, 1 << 40).reader(provider)
    with pytest.raises(UserFault) as caught:
        reader.read_cstr()
    assert (caught.value.address, caught.value.completed) == (BASE + 3 * PAGE_SIZE, 4)
    assert reader.address == BASE + 3 * PAGE_SIZE - 4
    poke(provider, BASE + 3 * PAGE_SIZE - 1, b"\0")
    assert reader.read_cstr() == b"goo"
    with pytest.raises(UserFault):
        UserSlice(TOP, 2).reader(provider).read_cstr()
    for start in (BASE + 3 * PAGE_SIZE - 4, BASE + 16):  # in the first page, and behind others
        poke(provider, start, b"x" * (BASE + 3 * PAGE_SIZE - start))
        with pytest.raises(UserFault) as caught:
            UserSlice(start, 4 * PAGE_SIZE).reader(provider).read_cstr()
        good = BASE + 3 * PAGE_SIZE - start
        assert (caught.value.start, caught.value.completed, caught.value.size) == (start, good, good + 1)
        assert f"read of a string at {start:#x}" in str(caught.value)


def test_a_string_s_end_keeps_the_next_pages_untouched() -> None:
    memory = FakeMemory()
    memory.map(BASE, 2, R)
    assert UserSlice(BASE, 2 * PAGE_SIZE).reader(PlainProvider(memory)).read_cstr() == b""
    assert set(memory.touched) == {BASE}


def test_a_clone_reads_again_and_the_reader_stays(provider: Any) -> None:
    reader = UserSlice(BASE, 10).reader(provider)
    reader.skip(2)
    again = reader.clone()
    assert again.read(8) == peek(provider, BASE + 2, 8)
    assert (reader.remaining, again.remaining) == (8, 0)
    assert reader.read_all() == peek(provider, BASE + 2, 8)


def test_pages_are_touched_once() -> None:
    memory = FakeMemory()
    memory.map(BASE, 3, R)
    reader = UserSlice(BASE, 3 * PAGE_SIZE).reader(PlainProvider(memory))
    seen = []
    for _ in range(3):
        memory.touched.clear()
        reader.read(PAGE_SIZE)
        seen.append(set(memory.touched))
    assert seen == [{BASE}, {BASE + PAGE_SIZE}, {BASE + 2 * PAGE_SIZE}]


def test_leaving_the_slice_is_a_fault_and_moves_nothing(provider: Any) -> None:
    reader, writer = UserSlice(BASE, 6).reader_writer(provider)
    before = peek(provider, BASE, 16)
    for call in (
        lambda: reader.read(7),
        lambda: reader.read(1 << 70),
        lambda: reader.skip(7),
        lambda: reader.read_value(ctypes.c_uint64),
        lambda: writer.write(b"1234567"),
        lambda: writer.write_value(ctypes.c_uint64, 1),
        lambda: writer.skip(1 << 64),
    ):
        with pytest.raises(UserFault, match="6 are left of the slice"):
            call()
    assert (reader.remaining, writer.remaining, peek(provider, BASE, 16)) == (6, 6, before)


def test_a_strict_verb_at_a_hole_moves_and_stores_nothing(provider: Any) -> None:
    end = BASE + 3 * PAGE_SIZE
    reader, writer = UserSlice(end - 3, 100).reader_writer(provider)
    before = peek(provider, end - 3, 3)
    for call in (
        lambda: reader.read(4),
        reader.read_all,
        lambda: reader.read_value(u32),
        lambda: writer.write(b"1234"),
    ):
        with pytest.raises(UserFault) as caught:
            call()
        assert caught.value.address == end
    assert (reader.remaining, writer.remaining, peek(provider, end - 3, 3)) == (100, 100, before)


def test_a_partial_verb_at_a_hole_gives_the_count_and_has_moved_by_it(provider: Any) -> None:
    end = BASE + 3 * PAGE_SIZE
    reader, writer = UserSlice(end - 3, 100).reader_writer(provider)
    done = reader.copy_in(bytearray(50))
    assert isinstance(done, Copied)
    assert (done, done.fault.address, reader.address, reader.remaining) == (3, end, end, 97)
    assert (writer.copy_out(b"123456"), writer.address) == (3, end)
    assert (writer.clear(6), writer.remaining) == (0, 97)
    assert peek(provider, end - 3, 3) == b"123"


@pytest.mark.parametrize("length", [1 << 40, TOP, 1 << 64, 1 << 80])
def test_a_length_from_a_guest_is_never_allocated(provider: Any, length: int) -> None:
    for address in (BASE, TOP, 1 << 46):
        slice = UserSlice(address, length)
        assert slice.length == length
        with pytest.raises(UserFault):
            slice.reader(provider).read_all()
        with pytest.raises(UserFault):
            slice.reader(provider).read(length)
        slice.writer(provider).clear(length)


def test_a_long_read_that_fails_says_how_much_was_good(space: AddrSpace) -> None:
    space.map_alloc(BASE, CHUNK + PAGE_SIZE, R)
    with pytest.raises(UserFault) as caught:
        UserSlice(BASE, 1 << 30).reader(space).read_all()
    fault = caught.value
    assert (fault.address, fault.completed, fault.size) == (BASE + CHUNK + PAGE_SIZE, CHUNK + PAGE_SIZE, 1 << 30)
    assert UserSlice(BASE, CHUNK + 9).reader(space).read_all() == bytes(CHUNK + 9)


def test_each_side_needs_its_own_right_alone() -> None:
    memory = FakeMemory()
    memory.map(BASE, 1, R)
    memory.map(BASE + PAGE_SIZE, 1, W)
    provider = PlainProvider(memory)
    assert UserSlice(BASE, 4).reader(provider).read_all() == bytes(4)
    UserSlice(UserConstPtr[u32](BASE + PAGE_SIZE), 4).writer(provider).write(b"1234")
    with pytest.raises(UserFault):
        UserSlice(BASE, 4).writer(provider).write(b"1234")
    with pytest.raises(UserFault):
        UserSlice(BASE + PAGE_SIZE, 4).reader(provider).read(4)


def test_slices_are_values() -> None:
    assert UserSlice(5, 6) == UserSlice(5, 6) != UserSlice(5, 7)
    assert len({UserSlice(5, 6), UserSlice(5, 6)}) == 1
    assert repr(UserSlice(5, 6)) == "UserSlice(0x5, 6)"
    assert UserSlice(5, 6) != 5


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    start=st.integers(0, PAGE_SIZE),
    length=st.integers(0, 4 * PAGE_SIZE),
    steps=st.lists(st.tuples(st.sampled_from(["read", "copy_in", "skip"]), st.integers(0, 5000)), max_size=12),
    kind=st.sampled_from(PROVIDERS),
)
def test_any_sequence_reads_what_bytes_io_would(
    phys: PhysMemory, start: int, length: int, steps: Any, kind: str
) -> None:
    provider = over(kind, AddrSpace(0x1000, 1 << 40, phys))
    data = bytes(i * 31 % 256 for i in range(2 * PAGE_SIZE))
    set_pages(provider, BASE, "rr", data)
    reader = UserSlice(BASE + start, length).reader(provider)
    at, end = start, start + length
    for verb, count in steps:
        fits, there = at + count <= end, max(0, min(at + count, 2 * PAGE_SIZE) - at)
        if verb == "copy_in":
            buffer = bytearray(count)
            there = min(there, end - at)
            assert reader.copy_in(buffer) == there
            assert buffer[:there] == data[at : at + there]
            at += there
        elif not fits or (verb == "read" and there < count):
            with pytest.raises(UserFault):
                getattr(reader, verb)(count)
        else:
            assert getattr(reader, verb)(count) in (data[at : at + count], None)
            at += count
        assert (reader.address, reader.remaining) == (BASE + at, end - at)
