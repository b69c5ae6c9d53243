"""User pointers as members of ctypes structures: read, written, followed, pickled, in every order and data model."""

from __future__ import annotations

import ctypes
import gc
import pickle
import subprocess
import sys
from collections.abc import Iterator
from ctypes import BigEndianStructure, Structure, Union, c_char, c_int, c_uint16, c_uint32, c_uint64

import pytest

from axptr import (
    I386,
    ILP32,
    ILP32_BIG,
    LP64_BIG,
    AddrSpace,
    Layout,
    MappingFlags,
    PhysMemory,
    UserConstPtr,
    UserFault,
    UserPtr,
    container_of,
    copy_struct,
    search_value,
)

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x1_0000


class Node(Structure):
    _fields_ = [("next", UserPtr["Node"]), ("prev", UserConstPtr["Node"]), ("value", c_int)]


class Late(Structure):
    pass


Late._fields_ = [("self", UserPtr[Late]), ("n", c_int)]


class A(Structure):
    _fields_ = [("b", UserPtr["B"]), ("args", UserPtr[c_char] * 3), ("code", UserPtr["H"])]


class B(Structure):
    _fields_ = [("a", UserPtr[A]), ("x", c_int)]


class Either(Union):
    _fields_ = [("pointer", UserPtr[B]), ("number", c_uint64)]


class Outer(Structure):
    _anonymous_ = ("either",)
    _fields_ = [("kind", c_int), ("either", Either)]


class Big(BigEndianStructure):
    _fields_ = [("b", UserPtr[B]), ("big", UserPtr["Big"]), ("short", c_uint16)]


class Packed(Structure):
    _pack_ = 1
    _fields_ = [("c", c_char), ("b", UserPtr[B])]


@pytest.fixture
def memory() -> Iterator[AddrSpace]:
    made = AddrSpace(0x1000, 1 << 32, PhysMemory(1 << 26))
    made.map_alloc(BASE, 0x2000, R | W)
    yield made
    made.clear()
    assert made.phys.data_frames == 0


def test_a_member_is_read_as_a_pointer_and_takes_pointers_numbers_and_none(memory):
    node = Node(UserPtr[Node](BASE + 0x100), None, 7)
    assert (node.next, node.prev, node.value) == (UserPtr[Node](BASE + 0x100), UserConstPtr[Node](0), 7)
    assert type(node.next) is UserPtr
    assert isinstance(node.next, UserPtr[Node])
    assert bytes(node)[:16] == (BASE + 0x100).to_bytes(8, "little") + bytes(8)
    node.next, node.prev = 5, UserPtr[c_char](6)
    assert (node.next.address, node.prev) == (5, UserConstPtr[Node](6))
    UserPtr[Node](BASE).write(memory, node)
    assert memory.read(BASE, 24) == bytes(node)
    assert UserPtr[Node](BASE).read(memory).prev == UserConstPtr[Node](6)


@pytest.mark.parametrize(
    ("value", "error"),
    [("x", TypeError), (1.5, TypeError), (b"a", TypeError), (-1, ValueError), (1 << 64, ValueError)],
)
def test_what_is_no_address_is_refused_and_changes_nothing(value, error):
    node = Node(9)
    with pytest.raises(error):
        node.next = value
    with pytest.raises(error):
        Node(value)
    assert node.next.address == 9


def test_pointers_to_members_lead_on(memory):
    UserPtr[Node](BASE).field("next").write(memory, BASE + 0x100)
    assert UserPtr[Node](BASE).field("next") == UserPtr[UserPtr[Node]](BASE)
    assert UserPtr[Node](BASE).field("next").read(memory) == UserPtr[Node](BASE + 0x100)
    UserPtr[Node](BASE + 0x100).write(memory, Node(BASE + 0x200, BASE, 8))
    UserPtr[Node](BASE + 0x200).write(memory, Node(0, BASE + 0x100, 9))
    assert [p.read(memory).value for p in UserPtr[Node](BASE).follow(memory, "next", limit=5)] == [0, 8, 9]
    assert container_of(UserPtr[UserPtr[Node]](BASE), Node, "next") == UserPtr[Node](BASE)
    assert list(search_value(memory, UserPtr[Node], BASE + 0x200)) == [BASE + 0x100]
    assert copy_struct(memory, BASE + 0x100, Node, 8).next == UserPtr[Node](BASE + 0x200)
    assert UserConstPtr[Node](BASE).read_slice(memory, 2)[0].next == UserPtr[Node](BASE + 0x100)


def test_a_live_structure_shows_and_takes_pointers(memory):
    live = UserPtr[Late](BASE).get(memory)
    live.self = UserPtr[Late](BASE + 16)
    assert memory.read(BASE, 8) == (BASE + 16).to_bytes(8, "little")
    memory.write(BASE, (BASE + 32).to_bytes(8, "little"))
    assert live.self == UserPtr[Late](BASE + 32)
    del live
    gc.collect()


def test_names_are_structures_before_they_are_codes(memory):
    a = A(BASE, code=BASE)
    assert a.b == UserPtr[B](BASE)
    assert a.b.T is B
    assert a.code == UserPtr.of("H")(BASE)
    memory.write(BASE, b"\x01\x02")
    assert a.code.read(memory) == 0x201


def test_structures_in_a_function_point_at_themselves_and_each_other():
    class Left(Structure):
        _fields_ = [("right", UserPtr["Right"]), ("left", UserPtr["Left"])]

    class Right(Structure):
        _fields_ = [("left", UserPtr["Left"])]

    assert Left().right.T is Right
    assert Left().left.T is Left
    assert Right().left.T is Left


def test_a_name_that_nothing_has_and_a_structure_without_fields_say_so_at_their_first_use(memory):
    class Lost(Structure):
        _fields_ = [("next", UserPtr["NoSuchThing"]), ("n", c_int)]

    class Opaque(Structure):
        pass

    class Holder(Structure):
        _fields_ = [("opaque", UserPtr[Opaque])]

    assert UserPtr[Lost](BASE).read(memory).n == 0
    with pytest.raises(TypeError, match="NoSuchThing"):
        Lost().next  # noqa: B018
    with pytest.raises(TypeError, match="NoSuchThing"):
        UserPtr[Lost](BASE).field("next")
    with pytest.raises(TypeError, match="Opaque has no size"):
        Holder().opaque  # noqa: B018
    with pytest.raises(TypeError, match="NoSuchThing"):
        UserPtr["NoSuchThing"](BASE)
    with pytest.raises(TypeError, match="Opaque has no size"):
        UserPtr[Opaque](BASE)


def test_arrays_of_pointers_give_pointers(memory):
    a = A(args=(UserPtr[c_char] * 3)(UserPtr[c_char](5), None, 7))
    assert [p.address for p in a.args] == [5, 0, 7]
    assert (a.args[0], a.args[1:]) == (UserPtr[c_char](5), [UserPtr[c_char](0), UserPtr[c_char](7)])
    a.args[1] = UserPtr[c_char](6)
    a.args[2:] = [8]
    assert [p.address for p in a.args] == [5, 6, 8]
    with pytest.raises(TypeError):
        a.args[0] = "x"
    with pytest.raises(IndexError):
        a.args[3]
    UserPtr[A](BASE).write(memory, a)
    assert UserPtr[A](BASE).field("args[2]") == UserPtr[UserPtr[c_char]](BASE + 24)
    assert UserPtr[A](BASE).field("args[2]").read(memory) == UserPtr[c_char](8)
    assert [p.address for p in UserPtr[A](BASE).field("args[0]").each(memory, limit=3)] == [5, 6, 8]
    assert (UserPtr[c_char] * 3) is (UserPtr[c_char] * 3)
    for n in (-1, "3", True):
        with pytest.raises((TypeError, ValueError)):
            UserPtr[c_char] * n


def test_anonymous_members_and_unions_have_pointers_too():
    outer = Outer()
    outer.pointer = UserPtr[B](0x77)
    assert (outer.pointer, outer.number, outer.either.pointer) == (UserPtr[B](0x77), 0x77, UserPtr[B](0x77))
    assert Either(0x78).pointer == UserPtr[B](0x78)
    assert UserPtr[Outer](BASE).field("pointer") == UserPtr[UserPtr[B]](BASE + 8)


def test_structures_of_the_other_order_keep_it(memory):
    big = Big(0x1234, UserPtr[Big](5), 6)
    assert bytes(big)[:18] == (0x1234).to_bytes(8, "big") + (5).to_bytes(8, "big") + b"\0\6"
    assert (big.b, big.big) == (UserPtr[B](0x1234), UserPtr[Big](5))
    UserPtr[Big](BASE).write(memory, big)
    assert UserPtr[Big](BASE).field("b").read(memory) == UserPtr[B](0x1234)
    assert UserPtr[Big](BASE).field("big").read(memory) == UserPtr[Big](5)
    UserPtr[Big](BASE).field("b").write(memory, 0x4321)
    assert UserPtr[Big](BASE).read(memory).b == UserPtr[B](0x4321)
    assert (Packed.b.offset, ctypes.sizeof(Packed)) == (1, 9)
    assert Packed(b"x", 0x1234).b == UserPtr[B](0x1234)


@pytest.mark.parametrize(
    ("model", "order"), [(ILP32, "little"), (ILP32_BIG, "big"), (I386, "little"), (LP64_BIG, "big")]
)
def test_members_follow_the_data_model(memory, model, order):
    memory.model = model
    width = model.pointer
    UserPtr[Node](BASE).write(memory, Node(BASE + 0x100, None, 7))
    assert memory.read(BASE, 2 * width + 4) == b"".join(
        n.to_bytes(size, order) for n, size in ((BASE + 0x100, width), (0, width), (7, 4))
    )
    node = UserPtr[Node](BASE).read(memory)
    assert (node.next, node.value) == (UserPtr[Node].under(model)(BASE + 0x100), 7)
    assert [p.address for p in UserPtr[Node](BASE).follow(memory, "next", limit=5)] == [BASE, BASE + 0x100]
    UserPtr[A](BASE).write(memory, A(1, (UserPtr[c_char] * 3)(2, 3, 4), 5))
    assert [p.address for p in UserPtr[A](BASE).read(memory).args] == [2, 3, 4]
    assert UserPtr[A].under(model)(BASE).field("args[1]").read(memory).address == 3
    assert Layout.of(Node, model) == Layout((2 * width + 4 + width - 1) // width * width, width)


def test_an_address_wider_than_the_models_pointer_is_an_overflow(memory):
    memory.model = ILP32
    before = memory.read(BASE, 24)
    with pytest.raises(OverflowError, match="4 bytes"):
        UserPtr[Node](BASE).write(memory, Node(1 << 40))
    node = UserPtr[Node](BASE).read(memory)
    with pytest.raises(OverflowError, match="4 bytes"):
        node.next = 1 << 40
    assert memory.read(BASE, 24) == before


def test_instances_types_and_members_pickle(memory):
    node = Node(BASE, None, 7)
    for again in (pickle.loads(pickle.dumps(node)), UserPtr[Node](BASE).read(memory)):
        assert type(again) is Node
    assert pickle.loads(pickle.dumps(node)).next == node.next
    for thing in (UserPtr[Node], node.next, UserPtr[Node](BASE).field("next")):
        assert pickle.loads(pickle.dumps(thing)) == thing


def test_faults_name_the_member(memory):
    with pytest.raises(UserFault, match=r"Node\.prev \(UserConstPtr"):
        UserPtr[Node](BASE + 0x2000 - 8).read(memory)


def test_subclasses_and_other_structures_are_as_ctypes_has_them():
    class More(Node):
        _fields_ = [("more", UserPtr["More"])]

    more = More(1, 2, 3, 4)
    assert [more.next.address, more.prev.address, more.value, more.more.T] == [1, 2, 3, More]

    class Plain(Structure):
        _fields_ = [("a", c_uint32), ("b", c_uint32, 3)]

    assert Plain(5, 9).b == 1
    for fields in (5, [5], [("a",)], [("a", int)], [("a", c_int, 40)], [(1, c_int)]):
        with pytest.raises((TypeError, ValueError)):
            type("Wrong", (Structure,), {"_fields_": fields})
    with pytest.raises(TypeError, match="bit field"):
        type("Wrong", (Structure,), {"_fields_": [("p", UserPtr[B], 3)]})
    assert Node._fields_[2] == ("value", c_int)
    assert [name for name, *_ in Node._fields_] == ["next", "prev", "value"]
    assert (Node.next.offset, Node.next.size, ctypes.sizeof(Node)) == (0, 8, 24)
    assert "UserPtr[Node]" in repr(Node.next)


def test_a_tail_of_no_elements_is_reached_by_its_first(memory):
    class Tail(Structure):
        _fields_ = [("n", c_uint32), ("text", c_char * 0)]

    memory.write(BASE, b"\3\0\0\0abc")
    tail = UserPtr[Tail](BASE)
    assert tail.field("text[0]").read_slice(memory, tail.read(memory).n) == b"abc"
    with pytest.raises(TypeError, match=r"UserPtr\[c_char\].*field\('name\[0\]'\)"):
        tail.field("text")
    with pytest.raises(IndexError):
        UserPtr[A](BASE).field("args[3]")


@pytest.mark.parametrize("setter", ["def __setattr__(cls, name, value): super().__setattr__(name, value)", "pass"])
def test_a_ctypes_that_sets_attributes_in_another_way_is_left_alone(setter: str) -> None:
    program = f"""
import ctypes
class Meta(type(ctypes.Structure)):
    {setter}
class Structure(ctypes.Structure, metaclass=Meta):
    pass
ctypes.Structure = Structure
from axptr import UserPtr
try:
    class Node(Structure):
        _fields_ = [("next", UserPtr[ctypes.c_int])]
except TypeError as error:
    print(error)
class Plain(Structure):
    _fields_ = [("x", ctypes.c_int)]
print(ctypes.sizeof(Plain))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("second item in _fields_ tuple")
    assert done.stdout.splitlines()[1:] == ["4"]
