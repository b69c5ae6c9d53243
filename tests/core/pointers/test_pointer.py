"""UserPtr and UserConstPtr as values, and one T at a time: every kind of T, read, written, aligned or not."""

from __future__ import annotations

import copy
import ctypes
import enum
import errno
import pickle
import struct
from typing import Any

import pytest

from axptr import (
    ILP32,
    PAGE_SIZE,
    AddrSpace,
    FaultReason,
    LinuxError,
    MappingFlags,
    UserConstPtr,
    UserFault,
    UserPtr,
    enum_type,
)
from fakes import plain
from formats import needs_room

EVERY_FORMAT = True
R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
TOP = 1 << 64


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int32), ("y", ctypes.c_int64), ("tag", ctypes.c_char * 4)]


class Packed(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("tag", ctypes.c_uint8), ("value", ctypes.c_uint32)]


class Wire(ctypes.BigEndianStructure):
    _fields_ = [("kind", ctypes.c_uint16), ("length", ctypes.c_uint32)]


class Either(ctypes.Union):
    _fields_ = [("word", ctypes.c_uint32), ("bytes", ctypes.c_uint8 * 4)]


class Outer(ctypes.Structure):
    _anonymous_ = ("either",)
    _fields_ = [("n", ctypes.c_uint16), ("either", Either), ("point", Point), ("bits", ctypes.c_uint32, 3)]


class Colour(enum.IntEnum):
    RED = 1


class Derived(Point):
    _fields_ = [("more", ctypes.c_uint8)]


@pytest.fixture
def memory(space: AddrSpace) -> AddrSpace:
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    return space


# -- as values -------------------------------------------------------------------------------------------------


def test_a_pointer_type_is_made_once_and_knows_its_layout() -> None:
    assert UserPtr[ctypes.c_int] is UserPtr[ctypes.c_int]
    assert UserPtr.of(ctypes.c_int) is UserPtr[ctypes.c_int]
    assert UserConstPtr.of(ctypes.c_int) is UserConstPtr[ctypes.c_int]
    assert UserPtr[ctypes.c_int] is not UserConstPtr[ctypes.c_int]
    kind = UserPtr[Point]
    assert (kind.T, kind.const, kind.size, kind.align) == (Point, False, 24, 8)
    assert repr(UserConstPtr[UserPtr[ctypes.c_char]]) == "UserConstPtr[UserPtr[c_char]]"


def test_access_flags_are_those_of_the_seed() -> None:
    assert UserPtr.ACCESS_FLAGS == R | W
    assert UserConstPtr.ACCESS_FLAGS == R
    assert UserPtr[ctypes.c_int](0).ACCESS_FLAGS == R | W
    assert UserConstPtr[ctypes.c_int].ACCESS_FLAGS == R


def test_a_pointer_is_an_address_and_a_type() -> None:
    p = UserPtr[ctypes.c_int](0x1234)
    assert (p.address, p.T, repr(p)) == (0x1234, ctypes.c_int, "UserPtr[c_int](0x1234)")
    assert isinstance(p, UserPtr)
    assert not isinstance(p, UserConstPtr)
    assert isinstance(p, UserPtr[ctypes.c_int])
    assert not isinstance(p, UserPtr[ctypes.c_uint])
    assert not isinstance(p, UserConstPtr[ctypes.c_int])
    assert hex(p) == "0x1234"


@pytest.mark.parametrize("address", [0, 1, 0x7FFF_FFFF_FFFF, TOP - 1])
def test_any_unsigned_64_bit_number_is_an_address(address: int) -> None:
    assert UserPtr[ctypes.c_uint64](address).address == address


def test_what_is_no_address_is_refused() -> None:
    for bad in (-1, TOP, TOP + 5, -TOP):
        with pytest.raises(ValueError, match="unsigned 64-bit"):
            UserPtr[ctypes.c_int](bad)
    for wrong in (1.0, "1", None, b"1", [1]):
        with pytest.raises(TypeError):
            UserPtr[ctypes.c_int](wrong)
    with pytest.raises(TypeError, match="exactly one"):
        UserPtr[ctypes.c_int]()
    with pytest.raises(TypeError, match="exactly one"):
        UserPtr[ctypes.c_int](1, 2)
    with pytest.raises(TypeError, match="exactly one"):
        UserPtr[ctypes.c_int](address=1)
    with pytest.raises(TypeError, match="needs a type"):
        UserPtr(0x1000)
    with pytest.raises(TypeError):
        UserPtr.__new__(UserPtr)
    with pytest.raises(TypeError):
        UserConstPtr.__new__(UserConstPtr)


def test_an_address_may_be_anything_with_an_index() -> None:
    class Register:
        def __index__(self) -> int:
            return 0x4000

    assert UserPtr[ctypes.c_int](Register()).address == 0x4000
    assert UserPtr[ctypes.c_int](UserConstPtr[ctypes.c_char](0x4000)).address == 0x4000


def test_null_is_false_and_not_nullable() -> None:
    null, p = UserPtr[ctypes.c_int](0), UserPtr[ctypes.c_int](4)
    assert null.is_null
    assert not null
    assert null.nullable() is None
    assert not p.is_null
    assert p
    assert p.nullable() is p


def test_pointers_compare_by_address_and_type() -> None:
    a, b = UserPtr[ctypes.c_int](0x10), UserPtr[ctypes.c_int](0x20)
    assert a == UserPtr[ctypes.c_int](0x10)
    assert a == UserConstPtr[ctypes.c_int](0x10)
    assert a != UserPtr[ctypes.c_uint](0x10)
    assert a != b
    assert a != 0x10
    assert a < b <= b
    assert b > a >= a
    assert UserPtr[ctypes.c_char](0x11) > a
    assert len({a, UserPtr[ctypes.c_int](0x10), UserConstPtr[ctypes.c_int](0x10), b}) == 2
    assert sorted([b, a]) == [a, b]
    for other in (5, None, "x"):
        with pytest.raises(TypeError):
            assert a < other


def test_pointers_survive_a_copy() -> None:
    p = UserConstPtr[UserPtr[ctypes.c_int]](0x1000)
    for twin in (copy.copy(p), copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert twin == p
        assert type(twin) is UserConstPtr
        assert twin.T is p.T
    assert pickle.loads(pickle.dumps(UserPtr[ctypes.c_int])) is UserPtr[ctypes.c_int]


@pytest.mark.parametrize("number", [ctypes.c_uint16, ctypes.c_int32, ctypes.c_uint64, ctypes.c_float])
@pytest.mark.parametrize("order", ["__ctype_le__", "__ctype_be__"])
def test_pointers_to_numbers_of_either_byte_order_survive_a_copy(number: Any, order: str) -> None:
    """ctypes calls both by the same name."""
    T = getattr(number, order)
    for kind in (UserPtr[T], UserConstPtr[T], UserConstPtr[UserPtr[T]], UserPtr[T].under(ILP32)):
        p = kind(0x1000)
        for twin in (copy.copy(p), copy.deepcopy(p), *(pickle.loads(pickle.dumps(p, n)) for n in range(2, 6))):
            assert twin == p
            assert twin.type is kind


@pytest.mark.parametrize("order", ["__ctype_le__", "__ctype_be__"])
def test_pointers_to_enums_of_either_byte_order_survive_a_copy(order: str) -> None:
    kind: Any = UserPtr.of(enum_type(Colour, getattr(ctypes.c_uint16, order)))
    assert pickle.loads(pickle.dumps(kind(0x1000))).type is kind


def test_cast_keeps_address_and_constness_and_may_misalign(memory: AddrSpace) -> None:
    p = UserConstPtr[ctypes.c_char](BASE + 1).cast(ctypes.c_uint32)
    assert p == UserConstPtr[ctypes.c_uint32](BASE + 1)
    assert type(p) is UserConstPtr
    with pytest.raises(UserFault, match="misaligned"):
        p.read(memory)
    with pytest.raises(TypeError):
        p.cast(int)
    assert type(UserPtr[ctypes.c_int](8).as_const()) is UserConstPtr


def test_a_const_pointer_cannot_write() -> None:
    p = UserConstPtr[ctypes.c_int](BASE)
    for name in ("write", "write_unaligned", "write_slice", "copy_out"):
        assert not hasattr(p, name)
        assert hasattr(UserPtr[ctypes.c_int](BASE), name)


# -- arithmetic ------------------------------------------------------------------------------------------------


def test_arithmetic_counts_elements() -> None:
    p = UserPtr[ctypes.c_uint32](0x1000)
    assert (p + 3).address == 0x100C
    assert (p - 4).address == 0xFF0
    assert (p + -1).address == 0xFFC
    assert p[5].address == 0x1014
    assert p[-1].address == 0xFFC
    assert type(p[1]) is UserPtr
    assert (UserPtr[Point](0x1000) + 2).address == 0x1030
    assert (UserPtr[UserPtr[Point]](0x1000) + 2).address == 0x1010
    assert (p + 8) - p == 8
    assert p - (p + 8) == -8
    with pytest.raises(TypeError):
        p - UserPtr[ctypes.c_char](0x1000)
    with pytest.raises(ValueError, match="whole number of elements"):
        p - UserPtr[ctypes.c_uint32](0x1001)
    for wrong in (1.0, "1", None):
        with pytest.raises(TypeError):
            p + wrong
        with pytest.raises(TypeError):
            p[wrong]
    with pytest.raises(TypeError, match="read_slice"):
        list(p)


@pytest.mark.parametrize("n", [-0x401, 1 << 62, (1 << 64), -(1 << 64), 1 << 200])
def test_arithmetic_that_leaves_64_bits_is_a_fault(n: int) -> None:
    p = UserPtr[ctypes.c_uint32](0x1000)
    for move in (lambda: p + n, lambda: p - -n, lambda: p[n]):
        with pytest.raises(UserFault) as caught:
            move()
        assert caught.value.reason is FaultReason.OUT_OF_RANGE
        assert caught.value.errno == errno.EFAULT


def test_arithmetic_reaches_the_ends_of_64_bits() -> None:
    p = UserPtr[ctypes.c_uint32](0x1000)
    assert (p - 0x400).address == 0
    assert (UserPtr[ctypes.c_char](TOP - 2) + 1).address == TOP - 1
    with pytest.raises(UserFault):
        UserPtr[ctypes.c_char](TOP - 2) + 2


def test_fields_are_pointers_to_their_place(memory: AddrSpace) -> None:
    p = UserPtr[Outer](BASE)
    assert p.field("point") == UserPtr[Point](BASE + Outer.point.offset)
    assert p.field("point").field("y") == UserPtr[ctypes.c_int64](BASE + Outer.point.offset + 8)
    assert p.field("word") == UserPtr[ctypes.c_uint32](BASE + 4)  # through the anonymous union
    assert UserPtr[Derived](BASE).field("y") == UserPtr[ctypes.c_int64](BASE + 8)  # of the base
    assert type(UserConstPtr[Point](BASE).field("x")) is UserConstPtr
    p.field("point").field("y").write(memory, -5)
    assert p.read(memory).point.y == -5
    with pytest.raises(AttributeError, match="no field 'z'"):
        p.field("z")
    with pytest.raises(TypeError, match="bit field"):
        p.field("bits")
    with pytest.raises(TypeError, match="no fields"):
        UserPtr[ctypes.c_int](BASE).field("x")
    with pytest.raises(UserFault):
        UserPtr[Point](TOP - 4).field("y")


# -- one T -----------------------------------------------------------------------------------------------------

SCALARS: list[tuple[Any, Any, bytes]] = [
    (ctypes.c_uint8, 0xFE, b"\xfe"),
    (ctypes.c_int8, -2, b"\xfe"),
    (ctypes.c_uint16, 0x1234, b"\x34\x12"),
    (ctypes.c_int16, -2, b"\xfe\xff"),
    (ctypes.c_uint32, 0xFFFFFFFF, b"\xff" * 4),
    (ctypes.c_int32, -(1 << 31), b"\0\0\0\x80"),
    (ctypes.c_uint64, TOP - 1, b"\xff" * 8),
    (ctypes.c_int64, -(1 << 63), b"\0" * 7 + b"\x80"),
    (ctypes.c_size_t, 1 << 63, b"\0" * 7 + b"\x80"),
    (ctypes.c_long, -1, b"\xff" * 8),
    (ctypes.c_longlong, 1 << 40, (1 << 40).to_bytes(8, "little")),
    (ctypes.c_bool, True, b"\1"),
    (ctypes.c_char, b"A", b"A"),
    (ctypes.c_wchar, "\U0001f600", b"\x00\xf6\x01\x00"),
    (ctypes.c_float, 1.5, struct.pack("<f", 1.5)),
    (ctypes.c_double, -0.1, struct.pack("<d", -0.1)),
    (ctypes.c_void_p, 0xFFFF800000000000, b"\0\0\0\0\0\x80\xff\xff"),
    (ctypes.c_uint16.__ctype_be__, 0x1234, b"\x12\x34"),
    (ctypes.c_int32.__ctype_be__, -2, b"\xff\xff\xff\xfe"),
    (ctypes.c_uint64.__ctype_be__, 1, b"\0" * 7 + b"\1"),
    (ctypes.c_double.__ctype_be__, 1.0, struct.pack(">d", 1.0)),
    (UserPtr[ctypes.c_char], UserPtr[ctypes.c_char](0x5000), b"\0\x50" + bytes(6)),
    (UserConstPtr[UserPtr[Point]], UserConstPtr[UserPtr[Point]](TOP - 8), b"\xf8" + b"\xff" * 7),
]


@pytest.mark.parametrize(("T", "value", "raw"), SCALARS, ids=lambda v: getattr(v, "__name__", None) or repr(v))
def test_a_scalar_has_its_bytes_and_comes_back(memory: AddrSpace, T: Any, value: Any, raw: bytes) -> None:
    p = UserPtr[T](BASE + 0x40)
    memory.write(BASE + 0x30, b"\xcc" * 0x30)
    p.write(memory, value)
    # neither less nor more than its size is stored
    assert memory.read(BASE + 0x38, 0x18) == (b"\xcc" * 8 + raw).ljust(0x18, b"\xcc")
    found = p.read(memory)
    assert found == value
    assert type(found) is type(value)
    assert UserConstPtr[T](BASE + 0x40).read(memory) == value
    assert UserConstPtr[T](BASE + 0x40).get(memory) == value
    # across a page, from an odd address
    odd = UserPtr[T](BASE + PAGE_SIZE - 1)
    odd.write_unaligned(memory, value)
    assert odd.read_unaligned(memory) == value
    assert memory.read(BASE + PAGE_SIZE - 1, len(raw)) == raw
    if len(raw) > 1:
        for verb in (lambda: odd.read(memory), lambda: odd.write(memory, value)):
            with pytest.raises(UserFault) as caught:
                verb()
            assert caught.value.reason is FaultReason.MISALIGNED


@pytest.mark.parametrize("value", [0.0, 1.5, -2.25, float("inf")])
def test_long_double_is_read_as_a_float(memory: AddrSpace, value: float) -> None:
    p = UserPtr[ctypes.c_longdouble](BASE)
    memory.write(BASE, b"\xee" * 16)
    p.write(memory, 1.5)
    assert memory.read(BASE + 10, 6) == bytes(6)  # nothing of the host's memory goes into the padding
    p.write(memory, value)
    assert p.read(memory) == value
    assert memory.read(BASE, 10) == bytes(ctypes.c_longdouble(value))[:10]


def test_not_a_number_goes_there_and_back(memory: AddrSpace) -> None:
    for T in (ctypes.c_float, ctypes.c_double):
        UserPtr[T](BASE).write(memory, float("nan"))
        assert UserPtr[T](BASE).read(memory) != UserPtr[T](BASE).read(memory)


def test_any_byte_but_zero_is_a_true_bool(memory: AddrSpace) -> None:
    memory.write(BASE, b"\x80")
    assert UserPtr[ctypes.c_bool](BASE).read(memory) is True
    UserPtr[ctypes.c_bool](BASE).write(memory, 256)
    assert memory.read(BASE, 1) == b"\1"


def test_a_number_that_is_no_character_is_eilseq_not_an_error_of_python(memory: AddrSpace) -> None:
    memory.write(BASE, b"\xff\xff\xff\xff")
    with pytest.raises(LinuxError) as caught:
        UserPtr[ctypes.c_wchar](BASE).read(memory)
    assert caught.value.errno == errno.EILSEQ
    with pytest.raises(LinuxError):
        UserPtr[ctypes.c_wchar](BASE).read_slice(memory, 1)


@pytest.mark.parametrize(
    ("T", "bad"),
    [
        (ctypes.c_uint8, 256),
        (ctypes.c_uint8, -1),
        (ctypes.c_int8, 128),
        (ctypes.c_int8, -129),
        (ctypes.c_uint16, 1 << 16),
        (ctypes.c_int32, 1 << 31),
        (ctypes.c_uint32, 1 << 32),
        (ctypes.c_uint64, TOP),
        (ctypes.c_uint64, -1),
        (ctypes.c_int64, 1 << 63),
        (ctypes.c_float, 1e300),
        (ctypes.c_double, 10**400),
        (ctypes.c_uint16.__ctype_be__, 1 << 16),
        (ctypes.c_int32.__ctype_be__, 1 << 31),
        (ctypes.c_float.__ctype_be__, 1e300),
        (ctypes.c_longdouble, 10**400),
        (ctypes.c_void_p, TOP),
    ],
    ids=plain,
)
def test_a_value_that_does_not_fit_is_an_overflow_and_stores_nothing(memory: AddrSpace, T: Any, bad: Any) -> None:
    memory.write(BASE, b"\xcc" * 32)
    for verb in (
        lambda: UserPtr[T](BASE).write(memory, bad),
        lambda: UserPtr[T](BASE + 1).write_unaligned(memory, bad),
        lambda: UserPtr[T](BASE).write_slice(memory, [0, bad]),
    ):
        with pytest.raises(OverflowError):
            verb()
    assert memory.read(BASE, 32) == b"\xcc" * 32


@pytest.mark.parametrize(
    ("T", "wrong"),
    [
        (ctypes.c_uint32, "1"),
        (ctypes.c_uint32, 1.0),
        (ctypes.c_uint32, None),
        (ctypes.c_uint32, b"1234"),
        (ctypes.c_uint32.__ctype_be__, 1.0),
        (ctypes.c_double, "1"),
        (ctypes.c_float, None),
        (ctypes.c_double.__ctype_be__, "1"),
        (ctypes.c_char, b""),
        (ctypes.c_char, b"ab"),
        (ctypes.c_char, "a"),
        (ctypes.c_char, 65),
        (ctypes.c_wchar, "ab"),
        (ctypes.c_wchar, b"a"),
        (ctypes.c_bool, "x"),
        (ctypes.c_bool, None),
        (Point, (1, 2)),
        (Point, Packed()),
        (Point, None),
        (ctypes.c_uint32 * 2, [1, 2]),
        (UserPtr[ctypes.c_char], "x"),
        (UserPtr[ctypes.c_char], 1.5),
    ],
    ids=plain,
)
def test_a_value_of_the_wrong_type_is_a_type_error_and_stores_nothing(memory: AddrSpace, T: Any, wrong: Any) -> None:
    memory.write(BASE, b"\xcc" * 64)
    for verb in (
        lambda: UserPtr[T](BASE).write(memory, wrong),
        lambda: UserPtr[T](BASE).write_unaligned(memory, wrong),
    ):
        with pytest.raises(TypeError):
            verb()
    assert memory.read(BASE, 64) == b"\xcc" * 64


def test_a_value_is_looked_at_before_memory_is(space: AddrSpace) -> None:
    # The caller's mistake is told even where the guest's pointer is bad too.
    with pytest.raises(TypeError):
        UserPtr[ctypes.c_uint32](BASE).write(space, "x")


def test_numbers_with_an_index_are_integers(memory: AddrSpace) -> None:
    class Number:
        def __index__(self) -> int:
            return 7

    for T in (ctypes.c_uint32, ctypes.c_int8, ctypes.c_uint32.__ctype_be__):
        UserPtr[T](BASE).write(memory, Number())
        assert UserPtr[T](BASE).read(memory) == 7
        UserPtr[T](BASE).write(memory, True)
        assert UserPtr[T](BASE).read(memory) == 1


def test_a_pointer_may_be_written_as_number_or_none(memory: AddrSpace) -> None:
    p = UserPtr[UserPtr[ctypes.c_int]](BASE)
    p.write(memory, 0x1234)
    assert p.read(memory) == UserPtr[ctypes.c_int](0x1234)
    p.write(memory, None)
    assert p.read(memory).is_null
    p.write(memory, UserConstPtr[ctypes.c_char](0x99))
    assert p.read(memory).address == 0x99
    with pytest.raises(ValueError, match="unsigned 64-bit"):
        p.write(memory, -1)


@pytest.mark.parametrize(
    "value",
    [
        Point(-1, 1 << 40, b"abcd"),
        Packed(7, 0x11223344),
        Wire(2, 0x01020304),
        Either(0xAABBCCDD),
        Derived(1, 2, b"x", 3),
        (ctypes.c_uint16 * 3)(1, 2, 3),
        (ctypes.c_char * 5)(*b"hello"),
        (Point * 2)(Point(1, 2), Point(3, 4)),
        (ctypes.c_uint32.__ctype_be__ * 2)(1, 2),
    ],
    ids=lambda v: type(v).__name__,
)
def test_structures_unions_and_arrays_go_there_and_back_as_copies(memory: AddrSpace, value: Any) -> None:
    T = type(value)
    UserPtr[T](BASE + 0x40).write(memory, value)
    assert memory.read(BASE + 0x40, ctypes.sizeof(T)) == bytes(value)
    found = UserPtr[T](BASE + 0x40).read(memory)
    assert type(found) is T
    assert bytes(found) == bytes(value)
    memory.write(BASE + 0x40, bytes(ctypes.sizeof(T)))
    assert bytes(found) == bytes(value)  # it does not follow the memory
    odd = UserPtr[T](BASE + PAGE_SIZE - 3)
    odd.write_unaligned(memory, value)
    assert bytes(odd.read_unaligned(memory)) == bytes(value)


def test_a_pointer_in_memory_can_be_followed(memory: AddrSpace) -> None:
    # char **argv
    argv = UserPtr[UserConstPtr[ctypes.c_char]](BASE)
    memory.write(BASE + 0x100, b"ls\0-l\0")
    argv.write_slice(memory, [BASE + 0x100, BASE + 0x103, None])
    assert [p.get_as_str(memory) for p in argv.read_slice(memory, 2)] == ["ls", "-l"]
    assert argv[2].read(memory).nullable() is None


def test_values_seen_by_a_pointer_are_those_of_the_space_it_is_given(memory: AddrSpace) -> None:
    other = AddrSpace(0x1000, 1 << 40, memory.phys)
    other.map_alloc(BASE, PAGE_SIZE, R | W)
    p = UserPtr[ctypes.c_uint32](BASE)
    for n in range(5):
        p.write(memory, n)
        p.write(other, n + 100)
        assert (p.read(memory), p.read(other)) == (n, n + 100)


def test_pages_that_share_a_place_in_the_tlb_are_told_apart(memory: AddrSpace) -> None:
    needs_room(memory)
    # The TLB starts with 64 entries, grows to 8,192 and is indexed by low bits of the page number.
    memory.map_alloc(1 << 32, 1 << 38, R | W)
    steps = [n << 12 << shift for shift in (0, 6, 8, 13, 19) for n in range(40)]
    pointers = [UserPtr[ctypes.c_uint64]((1 << 32) + s) for s in dict.fromkeys(steps)]
    for _ in range(3):
        for n, p in enumerate(pointers):
            p.write(memory, n)
        assert [p.read(memory) for p in pointers] == list(range(len(pointers)))
    memory._check()


def test_more_pages_than_the_tlb_holds_are_all_right(memory: AddrSpace) -> None:
    memory.map_alloc(1 << 32, 1 << 30, R | W)
    pointers = [UserPtr[ctypes.c_uint32]((1 << 32) + n * PAGE_SIZE) for n in range(10_000)]
    for n, p in enumerate(pointers):
        p.write(memory, n)
    memory._check()
    assert [p.read(memory) for p in pointers] == list(range(10_000))
    memory._check()
