"""The page-table formats for tests that run over all of them, and what differs between them in plain numbers.

Written out again rather than taken from the formats: a test that asked the format for its limits would agree with
whatever stands there.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from axptr import AARCH64, SV39, SV48, X86_64, AddrSpace, PagingFormat

TOP = 1 << 64


class Facts(NamedTuple):
    """levels: tables from the root to a 4 KiB page. pages: page sizes. lower: [0, lower) can be translated.
    upper: [upper, 2**64) too; None where there is no such half. physical: bits of an address that an entry holds.
    at: an address with the index 1 in the top table, 2 in the next, and so on."""

    fmt: PagingFormat
    levels: int
    pages: tuple[int, ...]
    lower: int
    upper: int | None
    physical: int
    at: int


_AT3 = 1 << 30 | 2 << 21 | 3 << 12
_AT4 = 1 << 39 | 2 << 30 | 3 << 21 | 4 << 12

FACTS = [
    Facts(X86_64, 4, (4 << 10, 2 << 20, 1 << 30), 1 << 47, TOP - (1 << 47), 52, _AT4),
    Facts(AARCH64, 4, (4 << 10, 2 << 20, 1 << 30), 1 << 48, None, 48, _AT4),
    Facts(SV39, 3, (4 << 10, 2 << 20, 1 << 30), 1 << 38, TOP - (1 << 38), 56, _AT3),
    Facts(SV48, 4, (4 << 10, 2 << 20, 1 << 30, 1 << 39), 1 << 47, TOP - (1 << 47), 56, _AT4),
]
FORMATS = [facts.fmt for facts in FACTS]


def needs_room(space: AddrSpace) -> None:
    """Skip a test whose addresses go beyond the 38 bits of one half of Sv39."""
    if space.size < 1 << 40:
        pytest.skip(f"{space.page_table.format} has no such addresses")
