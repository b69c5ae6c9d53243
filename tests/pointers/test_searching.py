"""Searches against a naive model of the space; nothing is brought in, nobody is called, matches cross what they may."""

from __future__ import annotations

import ctypes
import enum
import re
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import (
    ILP32_BIG,
    PAGE_SIZE,
    AddrSpace,
    DataModel,
    Layout,
    Locked,
    MappingFlags,
    PhysMemory,
    UserPtr,
    enum_type,
    search,
    search_any,
    search_regex,
    search_value,
)
from fakes import MODELS, FakeMemory, PlainProvider, words

NONE, R, W = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
PAGE = PAGE_SIZE


def picture(space: AddrSpace, first: int, npages: int) -> tuple[bytes, bytes]:
    """The bytes of some pages, and what each is: 0 not to be seen, 1 an absent zero, 2 there."""
    resident = set(space.resident_pages())
    data = bytearray()
    kind = bytearray()
    for page in range(first, first + npages * PAGE, PAGE):
        area = space.find_area(page)
        there = page in resident
        data += space.read(page, PAGE) if there else bytes(PAGE)
        state = (
            0 if area is None or not area.flags & R else 2 if there else 1 if area.backend.kind_name == "alloc" else 0
        )
        kind += bytes([state]) * PAGE
    return bytes(data), bytes(kind)


def naive(space: AddrSpace, pattern: bytes, first: int, npages: int) -> list[int]:
    """Where `pattern` stands, some of it in a page that is there, all of it in such or anonymous ones."""
    data, kind = picture(space, first, npages)
    n = len(pattern)
    found, at = [], data.find(pattern)
    while at >= 0:
        span = kind[at : at + n]
        if 0 not in span and 2 in span:
            found.append(first + at)
        at = data.find(pattern, at + 1)
    return found


def test_matches_cross_pages_frames_and_areas(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 * PAGE, R | W, name="a")
    space.map_alloc(BASE + 4 * PAGE, 4 * PAGE, R, name="b")
    for page in (5, 0, 3, 6, 4, 1, 7, 2):  # scattered frames
        space.write(BASE + page * PAGE, b".")
    places = [BASE, BASE + PAGE - 3, BASE + 4 * PAGE - 1, BASE + 8 * PAGE - 6]
    for place in places:
        space.write(place, b"needle")
    assert list(search(space, b"needle")) == places
    assert list(search(Locked(space), bytearray(b"needle"), BASE + 1, 8 * PAGE - 2)) == places[1:3]
    assert list(search(space, memoryview(b"needle"), align=2)) == places[::3]
    assert [m.address for m in search_regex(space, rb"n[e]{2}dl(e)")] == places
    assert next(search_regex(space, re.compile(rb"n[e]{2}dl(e)"))) == (BASE, b"needle", (b"e",))


def test_bytes_are_literal(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE, R | W)
    space.write(BASE, b"a(b.*")
    assert list(search(space, b"(")) == [BASE + 1]
    assert list(search(space, b".*")) == [BASE + 3]


def test_nothing_is_brought_in_and_nobody_is_called(space: AddrSpace, tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(b"needle" * 2000)
    space.map_alloc(BASE, 1 << 36, R, name="huge")
    space.map_pager(0x80000, PAGE, R, lambda offset: pytest.fail("called"))
    space.map_mmio(0x2000, PAGE, R | W, lambda o, n: pytest.fail("called"), lambda o, n, v: pytest.fail("called"))
    space.map_file(0x8000, 3 * PAGE, R, tmp_path / "file")
    space.map_alloc(0x40000, PAGE, R | W, grows_down=16 * PAGE)
    before, stats = space.areas(), space.stats()
    assert list(search(space, b"needle")) == []
    assert list(search_regex(space, rb"needle|\0")) == []
    assert list(search_value(space, ctypes.c_uint64, 0)) == []
    assert list(search_any(space, ctypes.c_uint64, [(0, 1 << 63)])) == []
    assert (space.resident_pages(), space.areas(), space.stats()) == ([], before, stats)
    space.read(0x8000, 1)
    assert len(list(search(space, b"needle"))) == PAGE // 6
    assert space.resident_pages() == [0x8000]


def test_absent_anonymous_pages_are_zeros_next_to_what_is_there(space: AddrSpace) -> None:
    # | absent | there | absent | there | hole
    space.map_alloc(BASE, 4 * PAGE, R | W)
    space.write(BASE + 2 * PAGE - 1, b"x")
    space.write(BASE + 3 * PAGE, b"y")
    assert list(search(space, b"x" + bytes(PAGE) + b"y")) == [BASE + 2 * PAGE - 1]
    assert list(search(space, b"x\0\0")) == [BASE + 2 * PAGE - 1]
    assert list(search(space, b"\0\0y")) == [BASE + 3 * PAGE - 2]
    assert list(search(space, b"y" + bytes(PAGE))) == []
    for n in (1, 2, 100, 3000, PAGE, PAGE + 1):
        assert list(search(space, bytes(n))) == naive(space, bytes(n), BASE, 5)
    assert [m.address for m in search_regex(space, rb"[xy]\0*")] == [BASE + 2 * PAGE - 1, BASE + 3 * PAGE]


def test_access_says_what_areas_must_grant(space: AddrSpace) -> None:
    for i, flags in enumerate((NONE, R, R | W)):
        space.map_alloc(BASE + i * PAGE, PAGE, flags)
        space.write(BASE + i * PAGE, b"needle")
    assert list(search(space, b"needle")) == [BASE + PAGE, BASE + 2 * PAGE]
    assert list(search(space, b"needle", access=NONE)) == [BASE, BASE + PAGE, BASE + 2 * PAGE]
    assert list(search(space, b"needle", access=W)) == [BASE + 2 * PAGE]


def test_a_value_is_found_with_its_mask(space: AddrSpace) -> None:
    space.map_alloc(BASE, 2 * PAGE, R | W)
    space.write(BASE, b"\x11" * 2 * PAGE)
    space.write(BASE + 8, 0xDEAD1234.to_bytes(4, "little"))
    space.write(BASE + PAGE + 2, 0xDEAD5678.to_bytes(4, "little"))
    space.write(BASE + 100, 0xDEAD1234.to_bytes(4, "big"))
    u32 = ctypes.c_uint32
    assert list(search_value(space, u32, 0xDEAD1234)) == [BASE + 8]
    assert list(search_value(space, u32, 0xDEAD0000, mask=0xFFFF0000, align=1)) == [BASE + 8, BASE + PAGE + 2]
    assert list(search_value(space, u32, 0xDEAD0000, mask=0xFFFF0000)) == [BASE + 8]
    assert list(search_value(space, u32.__ctype_be__, 0xDEADFFFF, mask=0xFFFF0000)) == [BASE + 100]
    assert list(search_value(space, ctypes.c_int16, -8531, mask=0xFFFF)) == [BASE + 10, BASE + PAGE + 4]

    class Pair(ctypes.Structure):
        _fields_ = [("a", u32), ("b", u32)]

    assert list(search_value(space, Pair, Pair(0xDEAD1234, 0x11111111), BASE, 64)) == [BASE + 8]
    assert len(list(search_value(space, u32, 0, BASE, 40, mask=0))) == 10
    for bad in (
        lambda: search_value(space, Pair, Pair(), mask=1),
        lambda: search_value(space, ctypes.c_float, 1.0, mask=1),
    ):
        with pytest.raises(TypeError, match="mask"):
            bad()


def test_any_of_some_values_and_ranges_is_found_with_its_value(space: AddrSpace) -> None:
    u16, u32 = ctypes.c_uint16, ctypes.c_uint32
    space.map_alloc(BASE, 2 * PAGE, R | W)
    space.map_alloc(BASE + 2 * PAGE, PAGE, R)
    for page in (2, 0, 1):  # scattered frames
        space.write(BASE + page * PAGE, b"\xff" * PAGE)
    there = {4: 5, PAGE - 2: 0x10000, PAGE + 8: 99, PAGE + 12: 100, PAGE + 16: 200, PAGE + 20: 201, 2 * PAGE - 3: 7}
    for offset, value in there.items():
        space.write(BASE + offset, value.to_bytes(4, "little"))
    wanted = [(100, 200), 7, 0x10000, 5, (150, 160), 5, (8, 8)]

    def found(*args: Any, **options: Any) -> list[tuple[int, int]]:
        return [(at - BASE, value) for at, value in search_any(space, *args, **options)]

    assert found(u32, wanted) == [(4, 5), (PAGE + 12, 100), (PAGE + 16, 200)]
    both = [(4, 5), (PAGE - 2, 0x10000), (PAGE + 12, 100), (PAGE + 16, 200), (2 * PAGE - 3, 7)]
    assert found(u32, wanted, align=1) == both
    assert found("I", iter(wanted), BASE + 5, 2 * PAGE - 5, align=1) == both[1:-1]
    assert found(u32, [u32(5), 99], align=4) == [(4, 5), (PAGE + 8, 99)]
    assert found(u16, [(1, 99)]) == [(4, 5), (PAGE, 1), (PAGE + 8, 99)]
    assert found(u32, [(0, (1 << 32) - 2)], BASE, 12) == [(4, 5)]
    assert len(found(ctypes.c_uint8, b"\xff", BASE, PAGE)) == PAGE - 6
    assert found(u32, []) == found(u32, wanted, 0, 3) == []
    space.protect(BASE, PAGE, R)
    assert found(u16, [(1, 99)], access=W) == [(PAGE, 1), (PAGE + 8, 99)]


def test_signed_words_lie_in_ranges_by_their_value(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE, R | W)
    values = [-32768, -6, -5, -1, 0, 1, 5, 6, 32767]
    space.write(BASE, struct.pack("<9h", *values))

    def found(*wanted: Any) -> list[int]:
        pairs = list(search_any(space, ctypes.c_int16, wanted, BASE, 18))
        assert [values[(at - BASE) // 2] for at, _ in pairs] == [value for _, value in pairs]
        return [value for _, value in pairs]

    assert found((-5, 5)) == [-5, -1, 0, 1, 5]
    assert found((-40, -5), (6, 9)) == [-6, -5, 6]
    assert found((-32768, 32767)) == values
    assert found(-1, (-3, 0), 32767) == [-1, 0, 32767]
    assert found((-32768, -6), (6, 32767)) == [-32768, -6, 6, 32767]


def test_words_of_every_model_form_and_size_are_found(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE, R | W)
    for model in MODELS:
        space.model = model
        for T in (
            *(ctypes.c_uint8, ctypes.c_int8, ctypes.c_uint16, ctypes.c_int16, ctypes.c_uint32, ctypes.c_int32),
            *(ctypes.c_uint64, ctypes.c_int64, ctypes.c_long, ctypes.c_void_p, ctypes.c_uint32.__ctype_be__, "b", "L"),
            *("P", ">H", "<q", UserPtr[ctypes.c_int], enum_type(Color, ctypes.c_uint16)),
        ):
            space.write(BASE, b"\x99" * PAGE)
            ptr = UserPtr.of(T)(BASE + 64)
            low = 0x1234 if Layout.of(T, model).size > 1 else 0x12
            ptr.write(space, low)
            (ptr + 1).write(space, low)
            size, want = Layout.of(T, model).size, [(BASE + 64, low)]
            assert list(search_any(space, T, [low], BASE, 64 + size)) == want
            assert list(search_any(space, T, [(low - 1, low + 1)], BASE + 1, 63 + size)) == want, T
            assert list(search_any(space, T, [(0, low - 1), (low + 1, 0x70)] if size == 1 else [(0, low - 1)])) == []
    for T in ("HH", "f", ctypes.c_double, Pair, ctypes.c_char, ctypes.c_wchar, ctypes.c_uint16 * 2):
        with pytest.raises(TypeError, match="integers of 8, 16, 32 or 64 bits"):
            search_any(space, T, [])
    for bad, error in ((1 << 32, OverflowError), (-1, OverflowError), ((5, 4), ValueError), ((5,), TypeError)):
        for wanted in ([bad], [1, bad], [(bad, 9)], [(9, bad)]):
            with pytest.raises(error if wanted[-1] is bad else (TypeError, OverflowError)):
                search_any(space, ctypes.c_uint32, wanted)


def test_words_of_numpy_are_found_in_their_own_order(space: AddrSpace) -> None:
    np, cstruct = pytest.importorskip("numpy"), pytest.importorskip("dissect.cstruct").cstruct
    space.map_alloc(BASE, PAGE, R | W)
    space.write(BASE + 32, b"\0\0\x12\x34\x56\x78\0\0")
    for T, want in ((np.dtype(">u4"), [BASE + 32]), (np.uint32, []), (cstruct(endian=">").uint32, [BASE + 32])):
        assert list(search_any(space, T, np.array([7, 0x1234], "u8"))) == [(at, 0x1234) for at in want]
    with pytest.raises(TypeError, match="integers of 8, 16, 32 or 64 bits"):
        search_any(space, cstruct().uint24, [1])


def test_more_words_than_one_window_tells_all_come_once_and_lazily(space: AddrSpace) -> None:
    space.map_alloc(BASE, 40 << 20, R | W, populate=True)
    space.write(BASE, b"a" * 4 * PAGE)
    space.write(BASE + (39 << 20), b"aaaa")
    space.write(BASE + (16 << 20) - 1, b"aaaa")
    want = [*range(BASE, BASE + 4 * PAGE - 3), BASE + (16 << 20) - 1, BASE + (39 << 20)]
    seen: list[int] = []
    u32 = ctypes.c_uint32
    found = search_any(space, u32, [0x61616161], align=1, progress=seen.append)
    assert next(found) == (BASE, 0x61616161)
    assert seen == []
    assert [at for at, _ in found] == want[1:]
    assert seen == sorted(seen)
    assert len(seen) >= 4
    late = search_any(space, u32, [0x61616161])
    assert next(late)[0] == BASE
    space.clear()
    assert len(list(late)) == 511  # what the window had told


def test_ranges_of_words_at_the_ends_of_all_addresses(phys: PhysMemory) -> None:
    end = 1 << 64
    space = AddrSpace(end - 2 * PAGE, 2 * PAGE, phys)
    space.map_alloc(end - 2 * PAGE, 2 * PAGE, R | W)
    space.write(end - 8, b"\xff" * 8)
    top = end - 1
    assert list(search_any(space, ctypes.c_uint64, [top])) == [(end - 8, top)]
    assert list(search_any(space, ctypes.c_uint64, [(1, top)], align=1))[-1] == (end - 8, top)
    assert list(search_any(space, ctypes.c_int64, [-1, (5, 1 << 62)])) == [(end - 8, -1)]
    assert list(search_any(space, ctypes.c_uint8, [255], end - 1)) == [(end - 1, 255)]
    assert len(list(search_any(space, ctypes.c_uint64, [(0, top)]))) == PAGE // 8


class Pair(ctypes.Structure):
    _fields_ = [("a", ctypes.c_uint16), ("b", ctypes.c_void_p)]


class Color(enum.IntEnum):
    RED = 0x1234


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_value_is_looked_for_as_the_data_model_has_it(space: AddrSpace, model: DataModel) -> None:
    space.map_alloc(BASE, PAGE, R | W)
    space.write(BASE, b"\x99" * PAGE)
    space.model = model
    u16, u32, u64 = ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64
    size = model.pointer
    pad = bytes(size - 2)
    for T, value, text in [
        (u32, 5, words(model, 4, 5)),
        (u32, u32(5), words(model, 4, 5)),
        ("I", 5, words(model, 4, 5)),
        ("L", 5, words(model, size, 5)),
        ("hq", (1, 2), words(model, 2, 1) + bytes(min(8, model.wide_align) - 2) + words(model, 8, 2)),
        (">I", 5, b"\0\0\0\5"),
        (u32.__ctype_be__, 5, b"\0\0\0\5"),
        (ctypes.c_float, 0.5, struct.pack(">f" if model.order == "big" else "<f", 0.5)),
        (ctypes.c_wchar, "x", words(model, 4, 120)),
        (UserPtr[u32], BASE, words(model, size, BASE)),
        (UserPtr[u32].under(ILP32_BIG), BASE, BASE.to_bytes(4, "big")),
        (ctypes.c_void_p, BASE, words(model, size, BASE)),
        (Pair, Pair(7, BASE), words(model, 2, 7) + pad + words(model, size, BASE)),
        (u16 * 3, (u16 * 3)(1, 2, 3), words(model, 2, 1, 2, 3)),
        (enum_type(Color, u16), Color.RED, words(model, 2, 0x1234)),
        (enum_type(Color, ">I"), 0x1234, b"\0\0\x12\x34"),
    ]:
        align = Layout.of(T, model).align
        space.write(BASE + 64 + align, text)
        space.write(BASE + 512 + align // 2, text)
        want = [BASE + 64 + align] + ([] if align > 1 else [BASE + 512])
        assert list(search_value(space, T, value)) == want, T
        assert list(search_value(Locked(space), T, value, align=1))[-1] == BASE + 512 + align // 2
        space.write(BASE, b"\x99" * PAGE)
    space.write(BASE + 8, words(model, 8, 1 << 40 | 0xDEAD5678))
    assert list(search_value(space, u64, 0xDEAD0000, mask=0xFFFF0000)) == [BASE + 8]
    for T in (u32, "I", ctypes.c_int32, enum_type(Color, u32), ctypes.c_void_p, UserPtr[u32]):
        space.write(BASE, b"\x99" * PAGE)
        space.write(BASE + 16, words(model, Layout.of(T, model).size, 0x00AD1234))
        assert list(search_value(space, T, 0x00001234, mask=0x00001234)) == [BASE + 16], T
        with pytest.raises(OverflowError, match="mask"):
            search_value(space, T, 0, mask=1 << 64)
    for T, value in (("HH", (1, 2)), ("f", 1.0), (Pair, Pair()), (ctypes.c_char, b"x"), (ctypes.c_wchar, "x")):
        with pytest.raises(TypeError, match="mask"):
            search_value(space, T, value, mask=1)
    for T, bad, error in ((u32, 1 << 32, OverflowError), ("I", "x", TypeError), (Pair, 5, TypeError)):
        with pytest.raises(error):
            search_value(space, T, bad)


def test_values_of_numpy_and_cstruct_are_found_in_their_own_order(space: AddrSpace) -> None:
    np, cstruct = pytest.importorskip("numpy"), pytest.importorskip("dissect.cstruct").cstruct
    space.map_alloc(BASE, PAGE, R | W)
    space.write(BASE + 32, b"\0\0\x12\x34\x56\x78\0\0")
    space.model = ILP32_BIG
    big, little = cstruct(endian=">"), cstruct()
    big.load("enum e : uint32 { A = 0x1234 };")
    for T, want in (
        (np.dtype(">u4"), [BASE + 32]),
        (np.uint32, []),
        (np.dtype("<u4"), []),
        (big.uint32, [BASE + 32]),
        (big.e, [BASE + 32]),
        (little.uint32, []),
    ):
        assert list(search_value(space, T, 0x1234, align=1)) == want
        assert list(search_value(space, T, 0x0034, BASE + 32, 4, mask=0x00FF, align=1)) == want, T
    record = np.dtype([("a", ">u2"), ("b", "<u2")])
    assert list(search_value(space, record, (0x1234, 0x7856))) == [BASE + 34]
    with pytest.raises(TypeError, match="mask"):
        search_value(space, record, (0, 0), mask=1)


def test_a_search_is_lazy_and_tells_how_far_it_is(space: AddrSpace) -> None:
    space.map_alloc(BASE, 64 << 20, R | W, populate=True)
    space.write(BASE, b"needle")
    space.write(BASE + (40 << 20), b"needle")
    seen: list[int] = []
    found = search(space, b"needle", progress=seen.append)
    assert next(found) == BASE
    assert seen == []
    space.write(BASE + (60 << 20), b"needle")
    assert list(found) == [BASE + (40 << 20), BASE + (60 << 20)]
    assert seen == sorted(seen)
    assert len(seen) >= 4
    seen.clear()
    assert len(list(search_regex(space, b"needle", progress=seen.append))) == 3
    assert len(seen) > 64
    space.clear()
    assert list(found) == []


def test_more_matches_than_one_window_tells_all_come_once(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 * PAGE, R | W)
    space.write(BASE, b"a" * 4 * PAGE)
    assert list(search(space, b"aaa")) == list(range(BASE, BASE + 4 * PAGE - 2))
    assert [m.address for m in search_regex(space, b"aaa")] == list(range(BASE, BASE + 4 * PAGE - 2, 3))


def test_a_pattern_longer_than_a_window_is_found(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 << 20, R | W)
    for page in reversed(range(1024)):
        space.write(BASE + page * PAGE, page.to_bytes(2, "little") * (PAGE // 2))
    pattern = space.read(BASE + 12345, 2 << 20)
    assert list(search(space, pattern)) == [BASE + 12345]
    assert list(search(space, space.read(BASE, 4 << 20))) == [BASE]


def test_regular_expressions_over_pieces_tell_each_match_once(space: AddrSpace) -> None:
    space.map_alloc(BASE, 1 << 20, R | W)
    data = b"".join(b"<%d>" % i + bytes(i % 50) for i in range(20000)).ljust(1 << 20, b".")
    space.write(BASE, data)
    want = [(BASE + m.start(), m.group()) for m in re.finditer(rb"<\d+>\0*", data)]
    assert [(m.address, m.data) for m in search_regex(space, rb"<\d+>\0*")] == want


def test_only_a_space_can_say_what_is_there() -> None:
    for call in (
        lambda p: search(p, b"x"),
        lambda p: search_regex(p, b"x"),
        lambda p: search_value(p, ctypes.c_int, 1),
        lambda p: search_any(p, ctypes.c_int, []),
    ):
        with pytest.raises(TypeError, match="does not say"):
            call(PlainProvider(FakeMemory()))


def test_ranges_at_the_ends_of_all_addresses(phys: PhysMemory) -> None:
    end = 1 << 64
    space = AddrSpace(end - 2 * PAGE, 2 * PAGE, phys)
    space.map_alloc(end - 2 * PAGE, 2 * PAGE, R | W)
    space.write(end - 4, b"last")
    assert list(search(space, b"last")) == [end - 4]
    assert list(search(space, b"t", end - 1)) == [end - 1]
    assert [m.address for m in search_regex(space, b"la..", 0, 1 << 80)] == [end - 4]
    assert list(search(space, b"last", end - 4, 3)) == []
    assert list(search(space, b"last", 0, 0)) == []
    assert list(search(space, bytes(3), end - 8, 4)) == [end - 8, end - 7]


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    pages=st.text("tTan ", min_size=8, max_size=8),  # there, there read-write, absent, none allowed, hole
    order=st.permutations(range(8)),
    letters=st.binary(min_size=1, max_size=3),
    pattern=st.one_of(st.text("ab\0", min_size=1, max_size=5).map(str.encode), st.integers(1, 2 * PAGE).map(bytes)),
    seed=st.randoms(use_true_random=False),
)
def test_any_space_is_searched_as_the_naive_model_does(
    phys: PhysMemory, pages: str, order: Any, letters: bytes, pattern: bytes, seed: Any
) -> None:
    space = AddrSpace(0x1000, 1 << 40, phys)
    for i, page in enumerate(pages):
        if page != " ":
            space.map_alloc(BASE + i * PAGE, PAGE, NONE if page == "n" else R | W if page == "T" else R)
    for i in order:
        if pages[i] in "tTn":
            space.write(BASE + i * PAGE, bytes(PAGE))
            for edge in (0, PAGE - 6, PAGE // 2):
                space.write(BASE + i * PAGE + edge, bytes(seed.choices(b"ab\0", k=6)))
    want = naive(space, pattern, BASE, 8)
    assert list(search(space, pattern)) == want
    assert list(search(space, pattern, BASE + 5, 8 * PAGE - 10)) == [
        at for at in want if BASE + 5 <= at <= BASE + 8 * PAGE - 5 - len(pattern)
    ]
    assert list(search(space, pattern, align=4)) == [at for at in want if at % 4 == 0]


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    pages=st.text("tTan ", min_size=6, max_size=6),
    order=st.permutations(range(6)),
    T=st.sampled_from([ctypes.c_uint8, ctypes.c_int16, ctypes.c_uint16, ctypes.c_int32, ">I", ctypes.c_uint64, ">q"]),
    wanted=st.lists(st.one_of(st.integers(-3, 0x700), st.tuples(st.integers(-0x80, 0x100), st.integers(0, 0x300)))),
    align=st.sampled_from([None, 1, 2, 16]),
    seed=st.randoms(use_true_random=False),
)
def test_words_of_any_space_are_found_as_the_naive_model_does(
    phys: PhysMemory, pages: str, order: Any, T: Any, wanted: Any, align: int | None, seed: Any
) -> None:
    space = AddrSpace(0x1000, 1 << 40, phys)
    for i, page in enumerate(pages):
        if page != " ":
            space.map_alloc(BASE + i * PAGE, PAGE, NONE if page == "n" else R | W if page == "T" else R)
    for i in order:
        if pages[i] in "tTn":
            space.write(BASE + i * PAGE, b"\x77" * PAGE)
            for edge in (0, PAGE - 9, PAGE // 2):
                space.write(BASE + i * PAGE + edge, bytes(seed.choices(b"\0\0\0\1\2\6\xff", k=9)))
    layout, order_of = Layout.of(T), "big" if T in (">I", ">q") else "little"
    signed = T in (ctypes.c_int16, ctypes.c_int32, ">q")
    low, high = (
        (-(1 << 8 * layout.size - 1), (1 << 8 * layout.size - 1) - 1) if signed else (0, (1 << 8 * layout.size) - 1)
    )
    spans = [each if isinstance(each, tuple) else (each, each) for each in wanted]
    spans = [(a, b) for a, b in spans if low <= a <= b <= high]
    data, kind = picture(space, BASE, 7)
    want = []
    for at in range(0, len(data) - layout.size + 1, align or layout.align):
        span = kind[at : at + layout.size]
        value = int.from_bytes(data[at : at + layout.size], order_of, signed=signed)  # type: ignore[arg-type]
        if 0 not in span and 2 in span and any(a <= value <= b for a, b in spans):
            want.append((BASE + at, value))
    assert list(search_any(space, T, spans, align=align)) == want
