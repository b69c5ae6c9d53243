"""What a fault tells: the object in hand, the page, the areas, the bytes that were good; short, long and coloured."""

from __future__ import annotations

import ctypes
import enum
import errno
import os
import pickle
import pty
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    Copied,
    FaultReason,
    IoVec,
    Kernel,
    MappingFlags,
    Task,
    UserConstPtr,
    UserFault,
    UserPtr,
    copy_between,
    copy_struct,
    enum_type,
    read_string_array,
)
from axptr.pointers.fields import member_at, place
from fakes import PROVIDERS, over, poke, set_pages

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
END = BASE + PAGE_SIZE  # where the hole begins


class Inner(ctypes.Structure):
    _fields_ = [("tag", ctypes.c_uint8), ("pair", ctypes.c_uint32 * 2)]


class Either(ctypes.Union):
    _fields_ = [("word", ctypes.c_uint64), ("half", ctypes.c_uint32)]


class Hidden(ctypes.Structure):
    _fields_ = [("deep", ctypes.c_uint32)]


class Outer(ctypes.Structure):
    _anonymous_ = ("hidden",)
    _fields_ = [
        ("at", ctypes.c_uint64),
        ("inner", Inner * 2),
        ("either", Either),
        ("hidden", Hidden),
        ("bits", ctypes.c_uint32, 5),
    ]


def refused(call: Callable[[], object]) -> UserFault:
    with pytest.raises(UserFault) as caught:
        call()
    return caught.value


# -- the object in hand ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("T", "offset", "named"),
    [
        (ctypes.c_uint32, 2, "c_uint"),
        (Outer, 3, "Outer.at (c_ulong)"),
        (Outer, 8, "Outer.inner[0].tag (c_ubyte)"),
        (Outer, 9, "Outer.inner[0] (Inner)"),  # padding
        (Outer, 8 + 12 + 9, "Outer.inner[1].pair[1] (c_uint)"),
        (Outer, 32 + 3, "Outer.either (Either)"),  # which member, nobody knows
        (Outer, 40, "Outer.deep (c_uint)"),
        (Outer, 44, "Outer.bits (c_uint)"),
        (ctypes.c_uint16 * 4, 5, "c_ushort_Array_4[2] (c_ushort)"),
        (UserPtr[ctypes.c_char], 4, "UserPtr[c_char]"),
        ("<IHH", 4, "'<IHH'"),
    ],
)
@pytest.mark.parametrize("kind", PROVIDERS)
def test_the_member_that_the_first_bad_byte_lies_in_is_named(
    space: AddrSpace, kind: str, T: Any, offset: int, named: str
) -> None:
    provider = over(kind, space)
    set_pages(provider, BASE, "w")
    ptr = UserPtr.of(T)(END - offset)
    value = UserPtr.of(T)(BASE).read(provider)
    for verb in (lambda: ptr.read_unaligned(provider), lambda: ptr.write_unaligned(provider, value)):
        fault = refused(verb)
        assert (fault.object, fault.address, fault.completed) == (named, END, offset)
        assert str(fault).startswith(f"[Errno {errno.EFAULT}] {named}: ")


@pytest.mark.parametrize("kind", PROVIDERS)
def test_the_element_of_a_slice_is_named(space: AddrSpace, kind: str) -> None:
    provider = over(kind, space)
    set_pages(provider, BASE, "w")
    words = UserPtr[ctypes.c_uint32](END - 12)
    assert refused(lambda: words.read_slice(provider, 5)).object == "c_uint[3]"
    assert refused(lambda: words.write_slice(provider, [0] * 5)).object == "c_uint[3]"
    inners = UserPtr[Inner](END - 16)
    assert refused(lambda: inners.read_slice(provider, 2)).object == "Inner[1].pair[0] (c_uint)"
    if kind != "fake":
        assert refused(lambda: words.get_as_slice(provider, 5)).object == "c_uint[3]"
        assert refused(lambda: inners[1].get(provider)).object == "Inner.pair[0] (c_uint)"


def test_bytes_are_nothing_to_name_and_a_misaligned_whole_is(space: AddrSpace) -> None:
    set_pages(space, BASE, "w")
    assert refused(lambda: UserPtr[ctypes.c_char](END - 3).read_slice(space, 8)).object is None
    fault = refused(lambda: UserPtr[Outer](BASE + 1).read(space))
    assert (fault.object, fault.reason) == ("Outer", FaultReason.MISALIGNED)
    assert refused(lambda: UserPtr[ctypes.c_uint32](BASE + 1).read_slice(space, 4)).object == "c_uint[4]"
    colors = enum_type(enum.IntEnum("Color", "RED"), ctypes.c_uint8)
    assert refused(lambda: UserPtr.of(colors)(END).read(space)).object == "enum_type(Color, c_ubyte)"


@pytest.mark.parametrize("T", [Outer, Inner * 3, Inner])
def test_member_at_is_the_inverse_of_place(T: Any) -> None:
    for offset in range(ctypes.sizeof(T)):
        path, found = member_at(T, offset)
        if path and path != "bits":
            start, T_there = place(T, path)
            assert T_there is found
            assert start <= offset < start + ctypes.sizeof(found)


def test_members_of_other_spellings_are_named(space: AddrSpace) -> None:
    np = pytest.importorskip("numpy")
    cstruct = pytest.importorskip("dissect.cstruct").cstruct
    set_pages(space, BASE, "w")
    dtype = np.dtype([("a", "<u4"), ("b", [("c", "<u2", 3)])])
    fault = refused(lambda: UserPtr.of(dtype)(END - 8).read_slice(space, 2))
    assert fault.object is not None
    assert fault.object.endswith("[0].b.c[2] (dtype('uint16'))")
    T = cstruct().load("struct two { uint16 x; uint32 y[2]; };").two
    fault = refused(lambda: UserPtr.of(T)(END - 2).read(space))
    assert fault.object == "two.y[0] (uint32)"


def test_a_tracer_hears_which_argument_was_bad(space: AddrSpace) -> None:
    kernel, told = Kernel(), []

    @kernel.syscall(1, "look")
    def sys_look(task: Task, n: ctypes.c_int, buf: UserConstPtr[ctypes.c_char]) -> int:
        return len(buf.read_slice(task, 4))

    kernel.on_call = lambda task, syscall, args, outcome: told.append(outcome)
    assert kernel.dispatcher(Task(space))(1, 0, 0x5000, 0, 0, 0, 0) == -errno.EFAULT
    assert "buf: read of 4 bytes at 0x5000" in str(told[0])


@pytest.mark.parametrize("kind", PROVIDERS)
def test_strings_and_segments_are_named_by_their_number(space: AddrSpace, kind: str) -> None:
    provider = over(kind, space)
    set_pages(provider, BASE, "w", struct.pack("<4Q", BASE + 64, BASE + 70, 0x5000, 0) + bytes(32) + b"text\0")
    fault = refused(lambda: read_string_array(provider, BASE))
    assert (fault.object, fault.is_text) == ("argv[2]", True)
    assert str(fault).startswith("[Errno 14] argv[2]: read of a string at 0x5000: ")
    poke(provider, END - 16, b"\1" * 16)
    fault = refused(lambda: read_string_array(provider, END - 16, name="envp"))
    assert (fault.object, fault.is_text, fault.completed) == ("envp", False, 16)
    stream = IoVec([(BASE, 4), (BASE, 4), (END - 2, 4)]).stream(provider)
    done = stream.copy_in(bytearray(12))
    assert isinstance(done, Copied)
    assert (done, done.fault.object, done.fault.completed) == (10, "iov[2].iov_base", 2)
    done = stream.copy_out(b"xx")
    assert isinstance(done, Copied)
    assert done.fault.object == "iov[2].iov_base"
    done = copy_between(provider, BASE, provider, END - 3, 8)
    assert isinstance(done, Copied)
    assert (done, done.fault.object, done.fault.size) == (3, "goal", 8)
    done = copy_between(provider, END - 3, provider, BASE, 8)
    assert isinstance(done, Copied)
    assert (done.fault.object, str(done.fault).count("read of 8 bytes")) == ("source", 1)
    assert refused(lambda: copy_struct(provider, END - 8, Outer, 48)).object == "Outer.inner[0].tag (c_ubyte)"


# -- text --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_string_says_how_many_bytes_were_good(space: AddrSpace, kind: str) -> None:
    provider = over(kind, space)
    set_pages(provider, BASE, "w", b"x" * PAGE_SIZE)
    fault = refused(lambda: UserConstPtr[ctypes.c_char](END - 13).get_as_str(provider))
    assert (fault.completed, fault.is_text, fault.address) == (13, True, END)
    assert f"read of a string at {END - 13:#x}: " in str(fault)
    assert str(fault).endswith("; 13 bytes of it are good")
    assert "13 good, and no terminator among them" in fault.explain()


def test_a_string_whose_pager_fails_says_so_too(space: AddrSpace) -> None:
    def fetch(offset: int) -> bytes:
        if offset:
            raise ValueError("no such block")
        return b"x" * PAGE_SIZE

    space.map_pager(BASE, 2 * PAGE_SIZE, R, fetch, name="lazy")
    fault = refused(lambda: UserConstPtr[ctypes.c_char](END - 2).read_cstr(space))
    assert (fault.is_text, fault.completed, fault.reason) == (True, 2, FaultReason.BACKING_FAILED)
    assert "because   ValueError: no such block" in fault.explain()


# -- the long form ------------------------------------------------------------------------------------------------


def test_explain_tells_object_page_and_both_neighbours(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W, name="data")
    space.map_alloc(BASE + 4 * PAGE_SIZE, PAGE_SIZE, R, name="far")
    fault = refused(lambda: UserPtr[Outer](END - 8).read(space))
    assert fault.explain().splitlines() == [
        "EFAULT (unmapped): read of 48 bytes at 0x100ff8",
        "  object    Outer.inner[0].tag (c_ubyte)",
        "  bad byte  0x101000",
        "  why       page 0x101000 is not mapped",
        "  above     0x104000-0x105000 r--p far, starting 0x3000 above the bad byte",
        "  below     0x100000-0x101000 rw-p data, ending 0x1 below the bad byte",
        "  bytes     [=====xxxxxxxxxxxxxxxxxxxxxxxxxxx] 8 of 48 are good",
    ]


def test_explain_tells_what_an_area_allows(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R, name="data")
    fault = refused(lambda: UserPtr[ctypes.c_uint32](BASE).write(space, 1))
    assert fault.explain().splitlines() == [
        "EFAULT (protection): write of 4 bytes at 0x100000",
        "  object    c_uint",
        "  bad byte  0x100000",
        "  why       page 0x100000 is mapped r--p (data), write not permitted",
        "  area      0x100000-0x101000 r--p data, backed by alloc",
    ]


def test_colours_change_no_word(space: AddrSpace) -> None:
    set_pages(space, BASE, "w")
    fault = refused(lambda: UserPtr[Outer](END - 8).read(space))
    colored = fault.explain(color=True)
    assert "\033[" in colored
    assert re.sub(r"\033\[[0-9;]*m", "", colored) == fault.explain(color=False) == fault.explain()


SHOW = """
from axptr import AddrSpace, MappingFlags
print(AddrSpace(0x1000, 0x10000).fault(0x2000, MappingFlags.READ).explain())
"""


@pytest.mark.parametrize(
    ("environment", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals_alone(environment: dict[str, str], colored: bool) -> None:
    piped = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    assert "\033[" not in piped.stdout
    master, slave = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", SHOW], stdout=slave, check=True, env={"PATH": os.environ["PATH"], **environment}
        )
        assert ("\033[" in os.read(master, 4096).decode()) is colored
    finally:
        os.close(master)
        os.close(slave)


def test_the_message_follows_what_is_changed_and_survives_pickling(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R, name="data")
    fault = refused(lambda: UserPtr[ctypes.c_uint32](BASE).write(space, 1))
    fault.object, fault.completed, fault.size = "argv[3]", 16, 20
    assert str(fault).startswith(
        "[Errno 14] argv[3]: write of 20 bytes at 0xffff0: page 0x100000 is mapped r--p (data)"
    )
    assert fault.strerror in str(fault)
    again = pickle.loads(pickle.dumps(fault))
    assert (str(again), again.object, again.errno, again.area) == (str(fault), "argv[3]", errno.EFAULT, None)
    assert again.explain().splitlines()[:3] == fault.explain().splitlines()[:3]
