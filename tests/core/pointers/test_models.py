"""Data models: the same pointer types over the memory of 32-bit and of big-endian programs."""

from __future__ import annotations

import ctypes
import enum
import pickle
from typing import Any

import pytest

from axptr import (
    ILP32,
    LP64,
    LP64_BIG,
    PAGE_SIZE,
    AddrSpace,
    DataModel,
    IoVec,
    Layout,
    Locked,
    MappingFlags,
    Task,
    UserAtomic,
    UserConstPtr,
    UserFault,
    UserPtr,
    UserSlice,
    check_null_terminated,
    container_of,
    copy_struct,
    enum_type,
    read_string_array,
    read_text,
    search_any,
    search_value,
)
from fakes import MODELS, FakeMemory, PlainProvider

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
char, u8, u16, u32, u64 = ctypes.c_char, ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


class Inner(ctypes.Structure):
    _fields_ = [("x", u16), ("y", u32 * 2)]


class Node(ctypes.Structure):
    _fields_ = [("tag", u8), ("next", ctypes.c_void_p), ("inner", Inner), ("low", u32, 4), ("high", u32, 28)]


class Either(ctypes.Union):
    _fields_ = [("word", u32), ("bytes", u8 * 4)]


class Fixed(ctypes.BigEndianStructure):
    _fields_ = [("x", u32)]


class Color(enum.IntEnum):
    RED = 1


@pytest.fixture(params=MODELS, ids=str)
def model(request: pytest.FixtureRequest) -> DataModel:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def memory(space: AddrSpace, model: DataModel) -> AddrSpace:
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    space.model = model
    return space


def ways(memory: AddrSpace, model: DataModel) -> list[Any]:
    """Providers of every kind with that model; of the last two, over no AddrSpace, one lets its memory say it."""
    fakes = []
    for says in (True, False):
        fake = FakeMemory()
        fake.map(BASE, 2, R | W)
        provider = PlainProvider(fake)
        (provider if says else fake).model = model  # type: ignore[attr-defined]
        provider.write, provider.read = fake.poke, fake.peek  # type: ignore[attr-defined]
        fakes.append(provider)
    return [memory, Task(memory), Locked(memory), PlainProvider(memory), Locked(PlainProvider(memory)), *fakes]


def laid(values: list[tuple[int, int]], model: DataModel) -> bytes:
    return b"".join(value.to_bytes(size, model.order) for value, size in values)


@pytest.mark.parametrize("T", [u16, u32, u64, ctypes.c_int32, "I", "=I", "Q", "h"])
def test_numbers_lie_in_the_order_of_the_model(memory: AddrSpace, model: DataModel, T: Any) -> None:
    size = Layout.of(T).size
    for way in ways(memory, model):
        for _ in range(2):  # the page known, and not
            UserPtr.of(T)(BASE).write(way, 0x12)
            assert UserPtr.of(T)(BASE).read(way) == 0x12
        assert UserConstPtr.of(T)(BASE).get(way) == 0x12
        assert UserConstPtr.of(T)(BASE).read_unaligned(way) == 0x12
        UserPtr.of(T)(BASE + 1).write_unaligned(way, 0x13)
        assert UserPtr.of(T)(BASE + 1).read_unaligned(way) == 0x13
        UserPtr.of(T)(BASE).write_slice(way, [1, 2, 3])
        assert list(UserPtr.of(T)(BASE).read_slice(way, 3)) == [1, 2, 3]
        assert list(UserPtr.of(T)(BASE).each(way, 10)) == [1, 2, 3]
        raw = way.read if hasattr(way, "read") else memory.read
        assert raw(BASE, 3 * size) == laid([(1, size), (2, size), (3, size)], model)


def test_live_views_show_the_order_of_the_model(memory: AddrSpace, model: DataModel) -> None:
    live = UserPtr[u32](BASE).get(memory)
    live.value = 0x01020304
    assert memory.read(BASE, 4) == laid([(0x01020304, 4)], model)
    view = UserPtr[u32](BASE).get_as_null_terminated(memory, 4)
    assert len(view) == 1
    assert UserPtr[u32](BASE).get_as_slice(memory, 2)[0] == 0x01020304


def test_live_pointers_and_structures_are_those_of_the_model(memory: AddrSpace, model: DataModel) -> None:
    size = model.pointer
    for T in (UserPtr[UserPtr[u32]], UserPtr[UserPtr[u32]].under(model)):
        word = T(BASE).get(memory)
        word.value = 0x123456
        assert memory.read(BASE, size) == laid([(0x123456, size)], model)
        assert word.value == T(BASE).read(memory).address == 0x123456
        many = T(BASE).get_as_slice(memory, 3)
        many[2] = 0xABC
        assert memory.read(BASE, 3 * size) == laid([(0x123456, size), (0, size), (0xABC, size)], model)
        assert list(many) == [0x123456, 0, 0xABC]
        assert len(T(BASE).get_as_slice(memory, 0)) == 0
        assert len(T(BASE).get_as_null_terminated(memory)) == 1
    const = UserConstPtr[UserPtr[u32]](BASE)
    assert const.get(memory).address == 0x123456
    assert const.get_as_slice(memory, 2).readonly
    node = UserPtr[Node](BASE + 0x100).get(memory)
    node.next, node.inner.x, node.high = 0x4567, 0x1234, 0x1234567
    assert memory.read(BASE + 0x100 + size, size) == laid([(0x4567, size)], model)
    found = UserPtr[Node](BASE + 0x100).read(memory)
    assert (found.next, found.inner.x, found.high) == (0x4567, 0x1234, 0x1234567)
    nodes = UserPtr[Node](BASE + 0x100).get_as_slice(memory, 2)
    nodes[1].tag = 9
    assert memory.read(BASE + 0x100 + Layout.of(Node, model).size, 1) == b"\x09"


def test_what_says_its_own_order_keeps_it(memory: AddrSpace) -> None:
    for T in (">I", "!I", u32.__ctype_be__, Fixed):
        memory.write(BASE, b"\1\2\3\4")
        found = UserPtr.of(T)(BASE).read(memory)
        assert (found.x if T is Fixed else found) == 0x01020304
    assert UserPtr.of("<I")(BASE).read(memory) == 0x04030201
    assert UserPtr[char](BASE).read_slice(memory, 2) == b"\1\2"


def test_argv_is_walked_with_pointers_of_the_model(memory: AddrSpace, model: DataModel) -> None:
    size = model.pointer
    memory.write(BASE, laid([(BASE + 0x100, size), (BASE + 0x200, size), (0, size)], model))
    memory.write(BASE + 0x100, b"one\0")
    memory.write(BASE + 0x200, b"two\0")
    argv = UserConstPtr[UserConstPtr[char]](BASE)
    assert [ptr.read_cstr(memory) for ptr in argv.each(memory, 10)] == [b"one", b"two"]
    assert [ptr.get_as_str(memory) for ptr in argv.read_slice(memory, 2)] == ["one", "two"]
    fixed = UserConstPtr[UserConstPtr[char]].under(model)(BASE)
    assert (fixed + 1).address == BASE + size
    assert fixed[1].read(memory).read_cstr(memory) == b"two"
    assert fixed == argv
    # a pointer that was read is of the model too: char ***
    memory.write(BASE + 0x300, laid([(BASE, size)], model))
    found = UserConstPtr[UserConstPtr[UserConstPtr[char]]](BASE + 0x300).read(memory)
    assert found[1].read(memory).read_cstr(memory) == b"two"


def test_arrays_and_lists_are_walked_over_every_provider(memory: AddrSpace, model: DataModel) -> None:
    size = model.pointer
    for way in ways(memory, model):
        poke = way.write if hasattr(way, "write") else memory.write
        poke(BASE, laid([(BASE + 0x100, size), (BASE + 0x200, size), (0, size)], model))
        argv = UserPtr[UserConstPtr[char]](BASE)
        assert [one.address for one in argv.each(way, 5)] == [BASE + 0x100, BASE + 0x200]
        assert [one.address for one in argv.read_slice(way, 3)] == [BASE + 0x100, BASE + 0x200, 0]
        argv.write_slice(way, [BASE, None])
        assert [one.address for one in argv.each(way, 5)] == [BASE]
        # a link in the middle of a node, as wide as a pointer is
        poke(BASE + 0x300 + size, laid([(BASE + 0x400, size)], model))
        poke(BASE + 0x400 + size, laid([(0, size)], model))
        nodes = [node.address for node in UserPtr[Node](BASE + 0x300).follow(way, "next", 5)]
        assert nodes == [BASE + 0x300, BASE + 0x400]
        start, length = way.with_addr_space(
            lambda m: (
                check_null_terminated(m, BASE, UserPtr[char], R) if hasattr(m, "model") else (BASE, 1)
            )  # its provider alone knows
        )
        assert (start, length) == (BASE, 1)
    for n in (0, 1, 3):
        memory.write(BASE, laid([(BASE, size)] * n + [(0, size)], model))
        assert len(UserPtr[UserPtr[char]](BASE).get_as_null_terminated(memory)) == n


def test_pointers_are_written_as_wide_as_the_model_has_them(memory: AddrSpace, model: DataModel) -> None:
    for way in ways(memory, model):
        for T in (UserPtr[u32], ctypes.c_void_p, "P", "N", "L"):
            ptr = UserPtr.of(T)(BASE)
            ptr.write(way, 0x1234)
            raw = way.read if hasattr(way, "read") else memory.read
            assert raw(BASE, model.pointer) == laid([(0x1234, model.pointer)], model)
            assert int(ptr.read(way)) == 0x1234
            if model.pointer == 4:
                with pytest.raises(OverflowError):
                    ptr.write(way, 1 << 32)
    UserPtr[UserPtr[u32]](BASE).write(memory, None)
    assert not UserPtr[UserPtr[u32]](BASE).read(memory)


def test_a_structure_is_laid_out_as_the_model_has_it(memory: AddrSpace, model: DataModel) -> None:
    size = model.pointer
    node = UserPtr[Node].under(model)(BASE)
    assert node.field("next").address == BASE + size
    assert node.field("inner").address == BASE + 2 * size
    memory.write(BASE, b"\7")
    memory.write(BASE + size, laid([(BASE + 0x100, size)], model))
    memory.write(node.field("inner").address, laid([(5, 2), (0, 2), (6, 4), (7, 4)], model))
    for ptr in (UserPtr[Node](BASE), node):
        found = ptr.read(memory)
        assert (found.tag, found.next, found.inner.x, list(found.inner.y)) == (7, BASE + 0x100, 5, [6, 7])
        assert type(found).__name__ == "Node"
        found.high, found.low = 0x1234567, 3
        ptr.write(memory, found)
        again = ptr.read(memory)
        assert (again.high, again.low, again.inner.y[1]) == (0x1234567, 3, 7)
        assert node.field("inner.y[1]").read(memory) == 7
        assert [one.address for one in ptr.follow(memory, "next", 5)] == [BASE, BASE + 0x100]
        assert ptr.read_slice(memory, 2)[0].tag == 7
    bits = 0x12345673 if model.order == "little" else 3 << 28 | 0x1234567
    at = node.field("inner").address + 12 - BASE
    assert memory.read(BASE + at, 4) == laid([(bits, 4)], model)
    assert container_of(node.field("inner.y"), Node, "inner.y") == node
    either = UserPtr[Either](BASE + 0x200)
    memory.write(BASE + 0x200, b"\1\2\3\4")
    found = either.read(memory)
    assert (found.word, list(found.bytes)) == (int.from_bytes(b"\1\2\3\4", model.order), [1, 2, 3, 4])


def test_struct_codes_and_enums_follow(memory: AddrSpace, model: DataModel) -> None:
    size = model.pointer
    wanted = b"\1" + bytes(size - 1) + laid([(2, size), (3, 2)], model) + bytes(size - 2)
    UserPtr.of("bPH")(BASE).write(memory, (1, 2, 3))
    assert memory.read(BASE, 3 * size) == wanted
    assert UserPtr.of("bPH")(BASE).read(memory) == (1, 2, 3)
    ptr = UserPtr.of(enum_type(Color, u16))(BASE)
    ptr.write(memory, Color.RED)
    assert memory.read(BASE, 2) == laid([(1, 2)], model)
    assert ptr.read(memory) is Color.RED
    with pytest.raises(UserFault, match="misaligned"):
        ptr.type(BASE + 1).read(memory)


VERBS: dict[str, Any] = {
    "read": lambda way: UserPtr[u32](BASE).read(way),
    "read_slice": lambda way: UserPtr[u32](BASE).read_slice(way, 2)[0],
    "copy_struct": lambda way: copy_struct(way, BASE, u32, 4).value,
    "read_value": lambda way: UserSlice(BASE, 4).reader(way).read_value(u32),
    "UserAtomic": lambda way: UserAtomic(BASE).load(way),
    "IoVec.read": lambda way: IoVec.read(way, BASE + 8, 1)[0][0] >> (32 if way.model == LP64_BIG else 0),
    "read_text": lambda way: ord(read_text(way, BASE, "utf-32")),
    "search_value": lambda way: next(search_value(way, u32, 7, BASE), None) and 7,
    "search_any": lambda way: next(search_any(way, u32, [7], BASE), (0, 0))[1],
    "read_string_array": lambda way: len(read_string_array(way, BASE + 0x100)) and 7,
}


@pytest.mark.parametrize("verb", VERBS)
def test_what_a_provider_says_of_its_model_goes_before_what_its_space_says(
    memory: AddrSpace, model: DataModel, verb: str
) -> None:
    """Every verb asks: with the model of the space alone, none of them would find this."""
    memory.write(BASE, laid([(7, 4), (0, 4), (7, 4), (0, 4), (0, 8)], model))
    memory.write(BASE + 0x100, laid([(BASE + 8, model.pointer), (0, 8)], model))
    way = PlainProvider(memory)
    way.model = model  # type: ignore[attr-defined]
    memory.model = LP64_BIG if model.order == "little" else LP64
    assert VERBS[verb](way) == 7


def test_a_model_goes_with_clones_and_snapshots(memory: AddrSpace, model: DataModel) -> None:
    UserPtr[u32](BASE).write(memory, 7)
    snap = memory.snapshot()
    memory.model = LP64
    memory.restore(snap)
    assert memory.model is model
    for other in (memory.try_clone(), AddrSpace.from_snapshot(snap)):
        assert other.model is model
        assert UserPtr[u32](BASE).read(other) == 7
        assert Task(other).model is model


def test_a_type_may_be_fixed_to_a_model(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    space.write(BASE, b"\0\0\0\5\0\0\0\0")
    T = UserPtr[u32].under(LP64_BIG)
    assert T is UserPtr[u32].under(LP64_BIG)
    assert T(BASE).read(space) == 5
    assert T(BASE).cast(u16)[1].read(space) == 5
    assert T(BASE).as_const().read(space) == 5
    assert repr(T) == "UserPtr[c_uint].under(LP64_BIG)"
    assert pickle.loads(pickle.dumps(T(BASE))).type is T
    above = UserPtr[UserPtr[char].under(ILP32)]
    assert Layout.of(UserPtr[char].under(ILP32)) == Layout(4, 4)
    assert (above(BASE) + 1).address == BASE + 4


def test_what_is_no_model_is_refused(space: AddrSpace) -> None:
    for bad in (None, 5, "ILP32", (4, "little")):
        with pytest.raises(TypeError, match="want a DataModel"):
            space.model = bad  # type: ignore[assignment]
        with pytest.raises(TypeError, match="want a DataModel"):
            UserPtr[u32].under(bad)
    with pytest.raises(ValueError, match="no data model"):
        space.model = DataModel("odd", 3, "little")  # type: ignore[arg-type]
    assert space.model is LP64
    with pytest.raises(TypeError, match="no form in the byte order of LP64_BIG"):
        UserPtr[ctypes.c_wchar * 2].under(LP64_BIG)
