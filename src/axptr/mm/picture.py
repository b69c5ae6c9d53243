"""An address space as a picture: SVG that stands by itself, and the same inside a notebook's HTML.

A row for each area, by address, with its pages as squares: pale where nothing was touched, filled where there is a
frame, strong where it was written, coloured by permission. All squares have one scale. What is long and empty is
folded: holes between areas to a line, untouched stretches inside an area to a mark with their size. Past so many rows
the areas with the fewest pages are folded too; so the size of a picture is bounded. The same space gives the same text.

It looks and brings nothing in. Not here: where the text goes (`cli.run`, `mm.space`).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from axptr._core.words.codes import EXECUTE, READ, WRITE
from axptr.addr import PAGE_SIZE
from axptr.flags import rwx
from axptr.mm.area import MemoryArea

if TYPE_CHECKING:
    from axptr.mm.space import AddrSpace

Bounds = tuple[int, int]
"""The most rows, and squares, of a picture, about."""

DOCUMENT: Bounds = (1000, 12_800)
NOTEBOOK: Bounds = (100, 4_000)

# Geometry, in pixels; a line holds LINE squares.
_SQUARE, _LINE, _LINE_HEIGHT = 4, 128, 12
_MARGIN, _PERMS, _STRIP, _SIZE, _NAME = 14, 140, 182, 764, 776
_WIDTH = 1100
_NAME_LENGTH = 46
_FOLD = 64  # untouched squares in a row that become a mark ...
_MARK = 18  # ... of so many squares
_EMPTY, _PRESENT, _WRITTEN, _FOLDED = range(4)

Piece = tuple[int, int, int]
"""State, first page, pages."""

# Permission: what it is called, and its colours: (pale, filled, strong) in the light, then in the dark.
_KINDS = {
    "n": ("no access", ("#e4e4e7", "#a1a1aa", "#52525b"), ("#2e2e33", "#63636c", "#a8a8b3")),
    "r": ("read", ("#dce9f9", "#7fb0ea", "#1f5fae"), ("#1c2b40", "#3d6ea8", "#8fc1fb")),
    "x": ("execute", ("#dcf2e1", "#74c58a", "#1b7a3a"), ("#18301f", "#2f8a4c", "#85e0a0")),
    "w": ("write", ("#fdeacb", "#f2b04c", "#b25e00"), ("#3a2a10", "#a8721c", "#ffc766")),
    "z": ("write and execute", ("#fbdfe2", "#ee8592", "#b3142c"), ("#401a20", "#b04351", "#ff9aa6")),
}
_PAPER, _INK, _FAINT, _RULE = (
    ("#ffffff", "#16161a"),
    ("#1f2328", "#e6e6ea"),
    ("#6b7280", "#9a9aa5"),
    ("#d4d4d8", "#3a3a42"),
)
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


Naming = Callable[[MemoryArea], str]
"""What an area is called."""


def svg(space: AddrSpace, title: str = "", bounds: Bounds = DOCUMENT, name_of: Naming | None = None) -> str:
    """The picture as an SVG document."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _drawn(space, title, bounds, name_of)


def html(space: AddrSpace) -> str:
    """The picture for a notebook."""
    return f'<div style="max-width:{_WIDTH}px">{_drawn(space, "", NOTEBOOK, None)}</div>'


# -- what there is ---------------------------------------------------------------------------------------------


class _Row:
    """One area to draw: runs of its pages that have a frame, each written or not."""

    __slots__ = ("area", "npages", "present", "runs", "written")

    def __init__(self, area: MemoryArea, pages: list[int], written: set[int]) -> None:
        self.area = area
        self.npages = area.size // PAGE_SIZE
        self.present = len(pages)
        self.written = 0
        self.runs: list[Piece] = []
        for vaddr in pages:
            page = (vaddr - area.start) // PAGE_SIZE
            state = _PRESENT
            if vaddr in written:
                state = _WRITTEN
                self.written += 1
            if self.runs and self.runs[-1][0] == state and sum(self.runs[-1][1:]) == page:
                self.runs[-1] = state, self.runs[-1][1], self.runs[-1][2] + 1
            else:
                self.runs.append((state, page, 1))

    def pieces(self, scale: int) -> Iterator[Piece]:
        """All of the area in squares of `scale` pages: (state, first square, squares)."""
        end = -(-self.npages // scale)
        at = 0
        held: Piece | None = None
        for state, page, count in self.runs:
            first, last = page // scale, (page + count - 1) // scale
            if held is not None and first < sum(held[1:]):  # both are in the same square: the stronger state wins
                if state <= held[0]:
                    first = sum(held[1:])
                elif held[2] > 1:
                    held = held[0], held[1], held[2] - 1
                else:
                    held = None
                if first > last:
                    continue
            if held is not None:
                yield held
                at = sum(held[1:])
            if first > at:
                yield self._empty(at, first - at)
            held = state, first, last + 1 - first
            at = first
        if held is not None:
            yield held
            at = sum(held[1:])
        if end > at:
            yield self._empty(at, end - at)

    @staticmethod
    def _empty(first: int, count: int) -> Piece:
        return _FOLDED if count > _FOLD else _EMPTY, first, count

    def squares(self, scale: int) -> int:
        return sum(_MARK if state == _FOLDED else count for state, _, count in self.pieces(scale))


def _rows(space: AddrSpace, areas: list[MemoryArea], most: int) -> tuple[list[_Row | list[MemoryArea]], int, int]:
    """What to draw, in order: a row, or areas that are folded; pages present and written in all."""
    with space.phys._held():
        resident = space.resident_pages()
        written = space.dirty_pages()
    ends = [(bisect_left(resident, area.start), bisect_left(resident, area.end)) for area in areas]
    by_pages = sorted(range(len(areas)), key=lambda i: (ends[i][0] - ends[i][1], i))
    chosen = set(by_pages[:most])
    marked = set(written)
    rows: list[_Row | list[MemoryArea]] = []
    for i, area in enumerate(areas):
        if i in chosen:
            rows.append(_Row(area, resident[ends[i][0] : ends[i][1]], marked))
        elif rows and isinstance(rows[-1], list):
            rows[-1].append(area)
        else:
            rows.append([area])
    return rows, len(resident), len(written)


def _scale(rows: list[_Row], most: int) -> int:
    """Pages of a square: the smallest power of two with which everything has room."""
    scale = 1
    while sum(row.squares(scale) for row in rows) > most + len(rows) and scale < 1 << 52:
        scale *= 2
    return scale


# -- the drawing -----------------------------------------------------------------------------------------------


def text(value: str) -> str:
    """Text for XML and HTML: escaped; characters that XML cannot have become U+FFFD."""
    legal = _ILLEGAL.sub("\ufffd", value)
    return legal.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def amount(nbytes: int) -> str:
    """`4 KiB`, `1.5 MiB`, `128 TiB`."""
    value = float(nbytes)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
        value /= 1024
    raise AssertionError


def _kind(area: MemoryArea) -> str:
    flags = int(area.flags)
    if flags & WRITE:
        return "z" if flags & EXECUTE else "w"
    return "x" if flags & EXECUTE else "r" if flags & READ else "n"


def _style() -> str:
    """Light colours, and dark ones where the reader's screen is dark; a viewer without media queries has the light."""
    rules = []
    for dark in (0, 1):
        lines = [
            f".ax-paper{{fill:{_PAPER[dark]}}}",
            f".ax-t{{fill:{_INK[dark]}}}",
            f".ax-f{{fill:{_FAINT[dark]}}}",
            f".ax-l{{stroke:{_RULE[dark]}}}",
        ]
        for kind, (_, *colours) in _KINDS.items():
            pale, filled, strong = colours[dark]
            lines.append(f".ax-{kind}0{{fill:{pale}}}.ax-{kind}1{{fill:{filled}}}.ax-{kind}2{{fill:{strong}}}")
        rules.append("".join(lines))
    fonts = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
    shared = f".ax{{font:11px {fonts}}}.ax-h{{font-weight:bold;font-size:13px}}.ax-s{{font-size:9px}}"
    return f"{shared}{rules[0]}@media (prefers-color-scheme:dark){{{rules[1]}}}"


def _label(x: float, y: float, words: str, css: str = "ax-t", anchor: str = "") -> str:
    end = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text class="{css}" x="{x:g}" y="{y:g}"{end}>{text(words)}</text>'


def _box(x: int, y: int, width: int, css: str, height: int = _LINE_HEIGHT - 2) -> str:
    return f'<rect class="{css}" x="{x}" y="{y}" width="{width}" height="{height}"/>'


def _strip(row: _Row, scale: int, y: int) -> tuple[list[str], int]:
    """The squares of an area, in lines, and the number of lines."""
    kind = _kind(row.area)
    out: list[str] = []
    line = column = 0
    for state, first, count in row.pieces(scale):
        if state == _FOLDED:
            if column + _MARK > _LINE:
                line, column = line + 1, 0
            x, top = _STRIP + column * _SQUARE, y + line * _LINE_HEIGHT
            left = min(count * scale, row.npages - first * scale) * PAGE_SIZE
            out.append(_box(x, top + 4, _MARK * _SQUARE, f"ax-{kind}0", 2))
            middle = x + _MARK * _SQUARE / 2
            out.append(_box(int(middle) - 26, top, 52, "ax-paper"))
            out.append(_label(middle, top + 8, amount(left), "ax-f ax-s", "middle"))
            column += _MARK
            continue
        while count:
            if column == _LINE:
                line, column = line + 1, 0
            here = min(count, _LINE - column)
            x, top = _STRIP + column * _SQUARE, y + line * _LINE_HEIGHT
            out.append(_box(x, top, here * _SQUARE, f"ax-{kind}{state}"))
            column += here
            count -= here
    return out, line + 1


def _row(row: _Row, scale: int, y: int) -> tuple[str, int]:
    area = row.area
    sharing = "s" if area.backend.shared else "p"
    name = f"{area.name} \u2193" if area.grows_down else area.name
    if len(name) > _NAME_LENGTH:
        name = f"{name[: _NAME_LENGTH // 2 - 1]}\u2026{name[-_NAME_LENGTH // 2 :]}"
    more = f"{area}\n{amount(area.size)}, {row.present} pages present, {row.written} written"
    strip, lines = _strip(row, scale, y + 2)
    parts = [
        f"<g><title>{text(more)}</title>",
        _label(_PERMS - 12, y + 10, f"{area.start:x}", "ax-f", "end"),
        _label(_PERMS, y + 10, rwx(area.flags) + sharing),
        *strip,
        _label(_SIZE, y + 10, amount(area.size), "ax-f", "end"),
        _label(_NAME, y + 10, name),
        "</g>",
    ]
    return "".join(parts), lines * _LINE_HEIGHT + 4


def _between(words: str, y: int) -> str:
    """A line across for what is folded."""
    line = f'<line class="ax-l" x1="{_STRIP}" x2="{_STRIP + _LINE * _SQUARE}" y1="{y + 7}" y2="{y + 7}" '
    middle = _STRIP + _LINE * _SQUARE // 2
    width = len(words) * 6 + 12
    return (
        f'{line}stroke-dasharray="2 3"/>{_box(middle - width // 2, y, width, "ax-paper", 14)}'
        f"{_label(middle, y + 10, words, 'ax-f ax-s', 'middle')}"
    )


def _legend(scale: int, y: int) -> str:
    out = []
    x = _MARGIN
    for kind, (name, *_) in _KINDS.items():
        out += [_box(x + 14 * state, y, 12, f"ax-{kind}{state}", 12) for state in (_EMPTY, _PRESENT, _WRITTEN)]
        out.append(_label(x + 48, y + 10, name))
        x += 48 + 7 * len(name) + 24
    out.append(_label(_MARGIN, y + 30, "pale: not touched \u00b7 filled: present \u00b7 strong: written", "ax-f"))
    square = f"one square, {_SQUARE} pixels wide: {amount(scale * PAGE_SIZE)}"
    if scale > 1:
        square += ", shown as its most used page"
    out.append(_label(_WIDTH - _MARGIN, y + 30, square, "ax-f", "end"))
    return "".join(out)


def _drawn(space: AddrSpace, title: str, bounds: Bounds, name_of: Naming | None) -> str:
    areas = space.areas()
    if name_of is not None:
        areas = [area._replace(name=name_of(area)) for area in areas]
    rows, present, written = _rows(space, areas, bounds[0])
    scale = _scale([row for row in rows if isinstance(row, _Row)], bounds[1])
    mapped = sum(area.size for area in areas)
    summary = (
        f"{len(areas):,} area{'' if len(areas) == 1 else 's'}, {amount(mapped)} mapped; "
        f"{present:,} page{'' if present == 1 else 's'} ({amount(present * PAGE_SIZE)}) present, {written:,} written"
    )
    heading = title or f"address space {space.base:x}-{space.base + space.size:x}"
    if len(heading) > 100:
        heading = f"{heading[:99]}\u2026"
    body = [
        _label(_MARGIN, 24, heading, "ax-t ax-h"),
        _label(_MARGIN, 44, summary, "ax-t"),
        _legend(scale, 58),
    ]
    y = 104
    end: int | None = None
    for row in rows:
        first = row.area if isinstance(row, _Row) else row[0]
        last = row.area if isinstance(row, _Row) else row[-1]
        if end is not None and first.start > end:
            body.append(_between(f"{amount(first.start - end)} not mapped", y))
            y += 15
        if isinstance(row, _Row):
            drawn, height = _row(row, scale, y)
            body.append(drawn)
            y += height
        else:
            size = amount(sum(area.size for area in row))
            body.append(_between(f"{len(row):,} more areas, {size}, {first.start:x}-{last.end:x}", y))
            y += 15
        end = last.end
    if not rows:
        body.append(_label(_MARGIN, y + 10, "nothing is mapped", "ax-f"))
        y += 16
    y += 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ax" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}"'
        f' style="max-width:100%;height:auto" role="img"><title>{text(heading)}</title><style>{_style()}</style>'
        f'<rect class="ax-paper" width="{_WIDTH}" height="{y}"/>\n' + "\n".join(body) + "\n</svg>\n"
    )
