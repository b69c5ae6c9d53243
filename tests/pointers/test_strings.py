"""Text: get_as_str and read_cstr over a space; no byte past the terminator, none past the limit, exact faults."""

from __future__ import annotations

import ctypes
import errno
from typing import Any

import pytest

from axptr import PAGE_SIZE, AddrSpace, FaultReason, LinuxError, MappingFlags, UserConstPtr, UserFault, UserPtr

NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
BASE = 0x100000
char = ctypes.c_char


@pytest.fixture
def memory(space: AddrSpace) -> AddrSpace:
    """| page 0..3 rw- | hole |"""
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    return space


END = BASE + 4 * PAGE_SIZE


def at(address: int) -> UserConstPtr:
    return UserConstPtr[char](address)


@pytest.mark.parametrize("length", [0, 1, 31, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 2 * PAGE_SIZE + 5])
@pytest.mark.parametrize("offset", [0, 1, PAGE_SIZE - 1])
def test_text_of_any_length_from_any_place(memory: AddrSpace, length: int, offset: int) -> None:
    text = bytes(33 + i % 90 for i in range(length))
    memory.write(BASE + offset, text + b"\0tail")
    for _ in range(2):  # cold, then through the TLB
        assert at(BASE + offset).read_cstr(memory) == text
        assert at(BASE + offset).get_as_str(memory) == text.decode()


def test_text_over_scattered_frames_is_whole(memory: AddrSpace) -> None:
    for n in (2, 0, 3, 1):
        memory.write(BASE + n * PAGE_SIZE, b"x")
    text = "é" * PAGE_SIZE + "z"
    memory.write(BASE + 100, text.encode() + b"\0")
    assert at(BASE + 100).get_as_str(memory) == text


@pytest.mark.parametrize("T", [char, ctypes.c_uint8, ctypes.c_int8, ctypes.c_ubyte])
def test_text_is_made_of_bytes_of_any_name(memory: AddrSpace, T: type) -> None:
    memory.write(BASE, b"text\0")
    assert UserPtr[T](BASE).get_as_str(memory) == "text"


@pytest.mark.parametrize("T", [ctypes.c_uint16, ctypes.c_wchar, ctypes.c_bool, ctypes.c_char * 1, UserPtr[char]])
def test_text_of_anything_else_is_a_type_error(memory: AddrSpace, T: type) -> None:
    with pytest.raises(TypeError, match="c_char"):
        UserPtr[T](BASE).read_cstr(memory)
    if T not in (ctypes.c_uint16, ctypes.c_wchar):  # which are characters of wider text
        with pytest.raises(TypeError, match="text is made of"):
            UserPtr[T](BASE).get_as_str(memory)


def test_text_needs_read_alone(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R)
    space.write(BASE, b"ok\0")
    assert UserPtr[char](BASE).get_as_str(space) == "ok"


@pytest.mark.parametrize("flags", [NONE, X])
def test_text_without_read_is_refused(space: AddrSpace, flags: MappingFlags) -> None:
    space.map_alloc(BASE, PAGE_SIZE, flags)
    space.write(BASE, b"ok\0")
    with pytest.raises(UserFault) as caught:
        at(BASE).get_as_str(space)
    assert (caught.value.reason, caught.value.address) == (FaultReason.PROTECTION, BASE)


def test_text_ends_at_its_terminator_whatever_follows(memory: AddrSpace) -> None:
    memory.write(END - 3, b"ab\0")
    assert at(END - 3).get_as_str(memory) == "ab"
    assert at(END - 1).get_as_str(memory) == ""
    memory.protect(BASE + PAGE_SIZE, PAGE_SIZE, NONE)
    memory.write(BASE + PAGE_SIZE - 2, b"a\0")
    assert at(BASE + PAGE_SIZE - 2).get_as_str(memory) == "a"


def test_text_into_a_hole_is_a_fault_at_the_hole(memory: AddrSpace) -> None:
    memory.write(END - PAGE_SIZE - 3, b"x" * (PAGE_SIZE + 3))
    with pytest.raises(UserFault) as caught:
        at(END - PAGE_SIZE - 3).get_as_str(memory)
    fault = caught.value
    assert (fault.reason, fault.address, fault.completed) == (FaultReason.UNMAPPED, END, PAGE_SIZE + 3)
    assert fault.access == R


def test_only_pages_up_to_the_terminator_are_populated(memory: AddrSpace) -> None:
    assert at(BASE + PAGE_SIZE + 5).get_as_str(memory) == ""
    assert memory.resident_pages() == [BASE + PAGE_SIZE]


@pytest.mark.parametrize("where", [0, PAGE_SIZE - 3])
def test_limit_is_of_bytes_without_the_terminator(memory: AddrSpace, where: int) -> None:
    memory.write(BASE + where, "füßchen".encode() + b"\0")  # 9 bytes, 7 characters
    p = at(BASE + where)
    for warm in (False, True):
        if warm:
            p.read_cstr(memory)
        assert p.get_as_str(memory, 9) == "füßchen"
        assert p.get_as_str(memory, max_len=1 << 70) == "füßchen"
        for limit in (0, 1, 8):
            with pytest.raises(LinuxError) as caught:
                p.get_as_str(memory, limit)
            assert caught.value.errno == errno.ENAMETOOLONG
            assert not isinstance(caught.value, UserFault)
    assert at(BASE + where + 9).get_as_str(memory, 0) == ""


def test_limit_stops_the_scan_before_a_page_that_it_need_not_read(memory: AddrSpace) -> None:
    memory.write(BASE, b"x" * 2 * PAGE_SIZE)
    memory.unmap(BASE + PAGE_SIZE, PAGE_SIZE)
    with pytest.raises(LinuxError) as caught:
        at(BASE).read_cstr(memory, PAGE_SIZE - 1)
    assert caught.value.errno == errno.ENAMETOOLONG
    with pytest.raises(UserFault):
        at(BASE).read_cstr(memory, PAGE_SIZE)


@pytest.mark.parametrize(("bad", "error"), [(-1, ValueError), (1.5, TypeError), ("3", TypeError)])
def test_a_limit_that_is_no_count_is_the_callers_mistake(memory: AddrSpace, bad: object, error: type) -> None:
    for verb in (at(BASE).get_as_str, at(BASE).read_cstr, at(BASE).get_as_null_terminated):
        with pytest.raises(error):
            verb(memory, bad)


@pytest.mark.parametrize(
    "raw",
    [b"\xff", b"abc\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"ok" * 3000 + b"\x80"],
    ids=["lead", "cut", "surrogate", "overlong", "beyond", "far"],
)
def test_bytes_that_are_no_utf8_are_eilseq(memory: AddrSpace, raw: bytes) -> None:
    memory.write(BASE + 1000, raw + b"\0")
    for _ in range(2):
        with pytest.raises(LinuxError) as caught:
            at(BASE + 1000).get_as_str(memory)
        assert caught.value.errno == errno.EILSEQ
    assert at(BASE + 1000).read_cstr(memory) == raw


def test_text_at_null_and_in_the_kernels_half_is_a_fault(memory: AddrSpace) -> None:
    for address in (0, 1 << 47, (1 << 64) - 1):
        with pytest.raises(UserFault) as caught:
            at(address).get_as_str(memory)
        assert (caught.value.address, caught.value.completed) == (address, 0)


def test_text_without_frames_is_enomem(memory: AddrSpace) -> None:
    memory.phys._inject_failure(0)
    with pytest.raises(LinuxError) as caught:
        at(BASE).get_as_str(memory)
    memory.phys._inject_failure(None)
    assert caught.value.errno == errno.ENOMEM


def test_text_grows_a_stack_as_any_read_does(space: AddrSpace) -> None:
    space.map_alloc(END, PAGE_SIZE, R | W, grows_down=16 * PAGE_SIZE)
    assert at(END - 10).get_as_str(space) == ""
    assert space.areas()[0].start == END - PAGE_SIZE


# -- other encodings, wider characters


@pytest.mark.parametrize(
    ("T", "encoded"),
    [
        (ctypes.c_char, "utf-8"),
        (ctypes.c_uint8, "utf-8"),
        (ctypes.c_wchar, "utf-32-le"),
        (ctypes.c_uint16, "utf-16-le"),
        (ctypes.c_uint32.__ctype_be__, "utf-32-be"),
    ],
)
def test_text_is_what_the_type_says(space: AddrSpace, T: Any, encoded: str) -> None:
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    at = BASE + PAGE_SIZE - 4  # crosses into the second page
    space.write(at, "äußere €".encode(encoded))
    ptr = UserConstPtr[T](at)
    assert ptr.get_as_str(space) == "äußere €"
    assert ptr.get_as_str(space, encoding=encoded) == "äußere €"
    with pytest.raises(LinuxError) as caught:
        ptr.get_as_str(space, 3)
    assert caught.value.errno == errno.ENAMETOOLONG


def test_text_of_bytes_takes_any_encoding_and_says_what_to_do_about_errors(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    space.write(BASE, b"gr\xfc\xdfe\0")
    ptr = UserPtr[ctypes.c_char](BASE)
    assert ptr.get_as_str(space, encoding="latin-1") == "grüße"
    assert ptr.get_as_str(space, errors="replace") == "gr" + 2 * "\N{REPLACEMENT CHARACTER}" + "e"
    assert ptr.get_as_str(space, None, "utf-8", "ignore") == "gre"
    with pytest.raises(LinuxError) as caught:
        ptr.get_as_str(space, encoding="ascii")
    assert caught.value.errno == errno.EILSEQ
    with pytest.raises(LookupError):
        ptr.get_as_str(space, encoding="nonsense")
    with pytest.raises(ValueError, match="units of"):
        UserPtr[ctypes.c_uint16](BASE).get_as_str(space, encoding="utf-8")
    with pytest.raises(TypeError, match="text is made of"):
        UserPtr[ctypes.c_double](BASE).get_as_str(space)
