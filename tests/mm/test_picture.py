"""A space as a picture: it can be parsed, says nothing that is not so, stays small, and is the same each time."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axptr import PAGE_SIZE, AddrSpace, MappingFlags, PhysMemory, SharedObject
from axptr.mm import picture
from axptr.mm.area import MemoryArea
from axptr.mm.backend import ALLOC
from formats import needs_room

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
BASE = 0x100000
SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text.encode())


def words(text: str) -> list[str]:
    return [element.text or "" for element in parsed(text).iter(f"{SVG}text")]


def boxes(text: str, css: str) -> list[tuple[int, int]]:
    """Place and width, in squares, of what is drawn in an area's strip."""
    found = [e for e in parsed(text).iter(f"{SVG}rect") if e.get("class") == css and e.get("height") == "10"]
    return [((int(e.attrib["x"]) - 182) // 4, int(e.attrib["width"]) // 4) for e in found]


def test_a_row_shows_an_area_and_its_pages(space: AddrSpace) -> None:
    # [. r w w . .]
    space.map_alloc(BASE, 6 * PAGE_SIZE, R | W, name="heap")
    space.read(BASE + PAGE_SIZE, 1)
    space.write(BASE + 2 * PAGE_SIZE, bytes(PAGE_SIZE + 1))
    drawn = space.format_svg("program")
    assert {"program", "100000", "rw-p", "24 KiB", "heap"} <= {*words(drawn)}
    assert "1 area, 24 KiB mapped; 3 pages (12 KiB) present, 2 written" in words(drawn)
    assert boxes(drawn, "ax-w0")[-2:] == [(0, 1), (4, 2)]
    assert boxes(drawn, "ax-w1")[-1:] == [(1, 1)]
    assert boxes(drawn, "ax-w2")[-1:] == [(2, 2)]


def test_drawing_brings_nothing_in_and_changes_nothing(space: AddrSpace) -> None:
    space.map_alloc(BASE, 6 * PAGE_SIZE, R | W)
    space.write(BASE, b"x")
    before = space.resident_pages(), space.dirty_pages(), space.areas(), space.phys.frames_in_use
    space.format_svg()
    space._repr_html_()
    assert (space.resident_pages(), space.dirty_pages(), space.areas(), space.phys.frames_in_use) == before


def test_every_permission_has_its_colour_and_is_written_out(space: AddrSpace) -> None:
    kinds = [MappingFlags(0), R, R | X, R | W, R | W | X, X, W]
    for number, flags in enumerate(kinds):
        space.map_alloc(BASE + 2 * number * PAGE_SIZE, PAGE_SIZE, flags)
    shared = SharedObject(space.phys, PAGE_SIZE, "shm")
    space.map_shared(0x9000_0000, PAGE_SIZE, R, shared)
    drawn = space.format_svg()
    shown = [word for word in words(drawn) if len(word) == 4 and word[3] in "ps" and word[0] in "r-"]
    assert shown == ["---p", "r--p", "r-xp", "rw-p", "rwxp", "--xp", "-w-p", "r--s"]
    for kind in "nrxwz":
        assert f'class="ax-{kind}0"' in drawn


def test_holes_and_untouched_stretches_are_folded(space: AddrSpace) -> None:
    needs_room(space)
    space.map_alloc(BASE, PAGE_SIZE, R)
    space.map_alloc(0x1000_0000_0000, 100 << 40, R | W, name="reserved")
    space.write(0x1000_0000_0000 + (50 << 40), b"x")
    drawn = space.format_svg()
    assert "50 TiB" in words(drawn)
    assert "16 TiB not mapped" in words(drawn)
    assert boxes(drawn, "ax-w2")[-1][1] == 1
    assert float(parsed(drawn).attrib["height"]) < 200


def test_all_squares_have_one_scale_that_the_legend_tells(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W, populate=True)
    assert "one square, 4 pixels wide: 4 KiB" in words(space.format_svg())
    space.map_alloc(0x1000_0000, 1 << 27, R | W, populate=True)
    drawn = space.format_svg()
    assert "one square, 4 pixels wide: 16 KiB, shown as its most used page" in words(drawn)
    strips = [width for _, width in boxes(drawn, "ax-w2")]
    assert sum(strips) == 1 + (1 << 27) // (16 << 10)


@pytest.mark.parametrize("name", ["<script>&\"'", "\x00\x1b[31m\ud800\ufffe", "]]>", "x" * 5000, "\N{SNOWMAN}\n\t"])
def test_any_name_is_only_text(space: AddrSpace, name: str) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R, name=name)
    for drawn in (space.format_svg(name), space._repr_html_()):
        start = drawn.index("<svg")
        shown = parsed(drawn[start : drawn.rindex("</svg>") + 6])
        assert {element.tag.removeprefix(SVG) for element in shown.iter()} <= {
            *("svg", "title", "style", "rect", "text", "g", "line")
        }
        assert "<script" not in drawn
        assert all(len(element.text or "") < 200 for element in shown.iter(f"{SVG}text"))


def test_names_may_be_told_by_whoever_knows_them(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W, name="before")
    text = space.format_svg(name_of=lambda area: f"new {area.start:x}")
    assert f"new {BASE:x}" in words(text)
    assert "before" not in text
    assert "before" in words(space.format_svg())


def test_an_empty_space_says_so(space: AddrSpace) -> None:
    assert "nothing is mapped" in words(space.format_svg())


def test_the_same_space_gives_the_same_text(phys: PhysMemory) -> None:
    drawn = []
    for _ in range(2):
        space = AddrSpace(0x1000, 1 << 40, phys)
        for number in range(50):
            space.map_alloc(BASE + number * 3 * PAGE_SIZE, 2 * PAGE_SIZE, R | W)
            space.write(BASE + number * 3 * PAGE_SIZE, b"x")
        drawn.append(space.format_svg())
        space.clear()
    assert drawn[0] == drawn[1]


def test_thousands_of_areas_keep_it_small_and_the_fullest_are_drawn(space: AddrSpace) -> None:
    for number in range(100_000):
        space.map_alloc(BASE + number * 3 * PAGE_SIZE, 2 * PAGE_SIZE, R | W, name=f"area {number}")
    for number in range(50_000, 50_050):
        space.write(BASE + number * 3 * PAGE_SIZE, b"x")
    html = space._repr_html_()
    assert len(html) < 200_000
    assert "area 50000<" in html
    assert "area 50049<" in html
    assert "49,950 more areas" in html
    assert len(space.format_svg()) < 2_000_000


def test_the_whole_address_space_in_one_area(phys: PhysMemory) -> None:
    space = AddrSpace(0, 1 << 47, phys)
    space.map_alloc(0, 1 << 47, R | W)
    for number in range(2000):
        space.write(number << 34, b"x")
    drawn = space.format_svg()
    assert "128 TiB" in words(drawn)
    assert len(drawn) < 2_000_000


def test_a_title_is_text(space: AddrSpace) -> None:
    with pytest.raises(TypeError, match="title"):
        space.format_svg(5)  # type: ignore[arg-type]


# -- squares against a model -----------------------------------------------------------------------------------


def naive(npages: int, states: dict[int, int], scale: int) -> list[int]:
    """The state of each square: the strongest of its pages."""
    return [
        max(states.get(page, 0) for page in range(first, min(first + scale, npages)))
        for first in range(0, npages, scale)
    ]


def spread(pieces: Iterator[tuple[int, int, int]]) -> list[int]:
    squares: list[int] = []
    for state, first, count in pieces:
        assert first == len(squares)
        assert count > 0
        assert (state == picture._FOLDED) == (count > picture._FOLD and state in (0, 3))
        squares += [0 if state == picture._FOLDED else state] * count
    return squares


@given(
    npages=st.integers(1, 400),
    runs=st.lists(st.tuples(st.integers(0, 399), st.integers(1, 40), st.sampled_from([1, 2]))),
    scale=st.sampled_from([1, 2, 4, 8, 64]),
)
def test_squares_are_what_their_pages_are(npages: int, runs: list[Any], scale: int) -> None:
    states = {page: state for at, count, state in runs for page in range(at, at + count) if page < npages}
    area = MemoryArea(BASE, BASE + npages * PAGE_SIZE, R, ALLOC, 0, "")
    pages = [BASE + page * PAGE_SIZE for page in sorted(states)]
    row = picture._Row(area, pages, {BASE + page * PAGE_SIZE for page, state in states.items() if state == 2})
    assert spread(row.pieces(scale)) == naive(npages, states, scale)


@pytest.mark.parametrize(
    ("nbytes", "shown"),
    [
        (0, "0 bytes"), (4096, "4 KiB"), (1536 << 10, "1.5 MiB"), (1020 << 10, "1,020 KiB"), (1 << 47, "128 TiB"),
        (1 << 63, "8,388,608 TiB"),
    ],
)  # fmt: skip
def test_amounts_are_short(nbytes: int, shown: str) -> None:
    assert picture.amount(nbytes) == shown
