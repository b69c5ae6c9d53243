"""Types of dissect.cstruct as T: layouts, values, what a guest may store there, and pointers that nobody follows."""

from __future__ import annotations

import errno
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import PAGE_SIZE, AddrSpace, Layout, LinuxError, MappingFlags, UserFault, UserPtr

cstruct = pytest.importorskip("dissect.cstruct").cstruct

BASE = 0x100000
TEXT = """
    enum color : uint8 { RED = 1, BLUE = 2 };
    flag mode : uint16 { R = 1, W = 2 };
    struct point { uint8 a; uint32 b; };
    struct node {
        uint8 tag; color c; mode m; struct point points[3]; uint16 grid[2][3];
        struct node *next; uint32 low : 3; uint32 high : 29; wchar w; char name[4];
        union { uint32 word; uint8 byte; };
    };
    struct text { uint8 n; char data[n]; };
"""


def declared(endian: str = "<", pointer: str = "uint64", align: bool = True) -> Any:
    cs = cstruct(endian=endian, pointer=pointer)
    cs.load(TEXT, align=align)
    return cs


@pytest.fixture
def memory(space: AddrSpace) -> AddrSpace:
    space.map_alloc(BASE, 4 * PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    return space


def test_the_layout_is_dissect_s() -> None:
    aligned, packed = declared(), declared(align=False)
    assert Layout.of(aligned.point) == Layout(8, 4)
    assert Layout.of(packed.point) == Layout(5, 1)
    assert Layout.of(aligned.uint16) == Layout(2, 2)
    assert Layout.of(aligned.color) == Layout(1, 1)
    assert Layout.of(aligned.int24) == Layout(3, 1)


@pytest.mark.parametrize("endian", ["<", ">"])
def test_values_come_and_go(memory: AddrSpace, endian: str) -> None:
    cs = declared(endian)
    ptr = UserPtr.of(cs.node)(BASE)
    value = ptr.read(memory)
    value.tag, value.c, value.points[2].b, value.low, value.w, value.name = 7, cs.color.BLUE, 9, 5, "x", b"abcd"
    value.word = 77
    ptr.write(memory, value)
    again = ptr.read(memory)
    assert (again.tag, again.c, again.points[2].b, again.low, again.w, again.name) == (
        7,
        cs.color.BLUE,
        9,
        5,
        "x",
        b"abcd",
    )
    order = "little" if endian == "<" else "big"
    assert memory.read(ptr.field("points[2].b").address, 4) == (9).to_bytes(4, order)  # type: ignore[arg-type]
    assert ptr.field("word").read(memory) == 77
    assert ptr.field("points[2]").read(memory).b == 9
    ptr.write_slice(memory, [again, value])
    many = ptr.read_slice(memory, 2)
    assert isinstance(many, list)
    assert many[1].dumps() == value.dumps()
    number = UserPtr.of(cs.uint32)(BASE)
    number.write(memory, 0x01020304)
    assert number.read(memory) == 0x01020304
    assert memory.read(BASE, 4) == (0x01020304).to_bytes(4, order)  # type: ignore[arg-type]
    UserPtr.of(cs.color)(BASE).write(memory, 2)
    assert UserPtr.of(cs.color)(BASE).read(memory) is cs.color.BLUE


def test_what_nobody_knows_is_read_and_what_is_no_text_is_an_errno(memory: AddrSpace) -> None:
    cs = declared()
    memory.write(BASE, b"\xff" * 256)
    assert UserPtr.of(cs.color)(BASE).read(memory) == 255
    assert UserPtr.of(cs.mode)(BASE).read(memory) == 0xFFFF
    assert UserPtr.of(cs.node)(BASE).read(memory).c == 255
    memory.write(BASE, b"\x00\xd8")
    with pytest.raises(LinuxError) as caught:
        UserPtr.of(cs.wchar)(BASE).read(memory)
    assert caught.value.errno == errno.EILSEQ


def test_a_pointer_in_a_value_is_a_number_and_is_not_followed(memory: AddrSpace) -> None:
    cs = declared()
    head = UserPtr.of(cs.node)(BASE)
    for at, to in ((BASE, BASE + 0x200), (BASE + 0x200, 0)):
        head.field("next").cast("<Q").type(head.field("next").address - BASE + at).write(memory, to)
    value = head.read(memory)
    assert int(value.next) == BASE + 0x200
    for use in (lambda: value.next.dereference(), lambda: value.next.tag, lambda: str(value.next)):
        with pytest.raises(TypeError, match="not followed"):
            use()
    assert [node.address for node in head.follow(memory, "next", 5)] == [BASE, BASE + 0x200]


def test_what_is_no_value_is_refused(memory: AddrSpace) -> None:
    cs = declared()
    ptr = UserPtr.of(cs.node)(BASE)
    for change, error in [
        ({"tag": 300}, OverflowError),
        ({"tag": "x"}, TypeError),
        ({"points": [1]}, TypeError),
        ({"w": "ab"}, OverflowError),
        ({"name": b"abcde"}, (OverflowError, TypeError)),
    ]:
        with pytest.raises(error):
            ptr.write(memory, cs.node(**change))
    for value in (None, 5, b"x", cs.point()):
        with pytest.raises(TypeError):
            ptr.write(memory, value)
    for T, value, error in [
        (cs.uint8, 256, OverflowError),
        (cs.uint8, -1, OverflowError),
        (cs.int24, 1 << 23, OverflowError),
        (cs.uint8, "x", TypeError),
        (cs.color, "RED", TypeError),
        (cs.color, 256, OverflowError),
        (cs.float, "x", TypeError),
    ]:
        with pytest.raises(error):
            UserPtr.of(T)(BASE).write(memory, value)
    assert not any(memory.read(BASE, 256))


def test_what_has_no_fixed_size_no_field_or_no_element_is_refused() -> None:
    cs = declared()
    for T in (cs.text, cs.void, cs.char[None]):
        with pytest.raises(TypeError):
            UserPtr.of(T)
    ptr = UserPtr.of(cs.node)(BASE)
    for path, error in [
        ("zz", AttributeError),
        ("low", TypeError),
        ("points[3]", IndexError),
        ("tag.x", TypeError),
        ("tag[0]", TypeError),
    ]:
        with pytest.raises(error):
            ptr.field(path)


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("name", ["uint16", "int32", "uint64", "int24", "color", "mode", "point", "char", "double"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_read_is_written_back_the_same_anywhere(
    space: AddrSpace, name: str, endian: str, data: st.DataObject
) -> None:
    T = getattr(DECLARED[endian], name)
    at = BASE + data.draw(st.one_of(st.integers(0, PAGE_SIZE), st.integers(PAGE_SIZE - T.size, PAGE_SIZE)))
    blob = data.draw(st.binary(min_size=T.size, max_size=T.size))
    if name == "point":
        blob = blob[:1] + bytes(3) + blob[4:]
    if name == "double":
        blob = bytes(byte & 0x3B for byte in blob)
    if not space.areas():
        space.map_alloc(BASE, 2 * PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    space.write(at, blob)
    ptr = UserPtr.of(T)(at)
    value = ptr.read_unaligned(space)
    space.write(at, bytes(T.size))
    ptr.write_unaligned(space, value)
    assert space.read(at, T.size) == blob
    if at % Layout.of(T).align:
        with pytest.raises(UserFault, match="misaligned"):
            ptr.read(space)
    else:
        assert ptr.read(space) == value


DECLARED = {endian: declared(endian) for endian in "<>"}


def test_dissect_is_not_imported_until_a_type_of_it_is_there() -> None:
    script = (
        "import sys, axptr\naxptr.UserPtr.of('<I')\n"
        "assert not [name for name in sys.modules if name.startswith('dissect') or name == 'axptr.forms.cdecl']\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "member"), [("by_count", "d"), ("to_the_end", "name")])
def test_a_structure_that_memory_makes_longer_says_how_to_declare_it(name, member):
    cs = cstruct()
    cs.load("struct by_count { uint32 n; uint16 d[n]; }; struct to_the_end { uint32 n; char name[]; };")
    with pytest.raises(TypeError, match=rf"{name} has no fixed size: its {member}.*field\('{member}\[0\]'\)"):
        UserPtr.of(getattr(cs, name))


def test_a_tail_without_elements_is_reached_by_its_first(memory):
    cs = cstruct()
    cs.load("struct tail { uint32 n; uint16 d[0]; };")
    tail = UserPtr.of(cs.tail)(BASE)
    memory.write(BASE, bytes([2, 0, 0, 0, 5, 0, 6, 0]))
    assert tail.read(memory).n == 2
    assert [int(one) for one in tail.field("d[0]").read_slice(memory, 2)] == [5, 6]
    assert tail.field("d[1]").address == BASE + 6
    with pytest.raises(TypeError, match=r"field\('name\[0\]'\)"):
        tail.field("d")
