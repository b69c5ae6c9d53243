"""Searching memory that is there, against `mmap.find` over the same bytes."""

from __future__ import annotations

import functools
import mmap
import random

from axptr import AddrSpace, search

from .harness import Benchmark, Mode, Pair, work
from .memory import BASE, SEED, Twin

SIZE = 256 << 20
PATTERN = b"\x8fneedle\xc2"


def benchmarks() -> list[Benchmark]:
    return [
        Benchmark(
            "search.256MiB",
            "next(search(space, 8 bytes)) over 256 MiB that are there, found near the end",
            "mmap.find of the same",
            1.3,
            functools.partial(_prepare, SIZE),
        )
    ]


def _prepare(size: int, mode: Mode) -> Pair:
    page = random.Random(SEED).randbytes(1 << 20)
    twin = Twin.filled(size, data=page * (size >> 20))
    place = size - 4099
    twin.space.write(BASE + place, PATTERN)
    twin.host[place : place + len(PATTERN)] = PATTERN
    assert next(search(twin.space, PATTERN)) == BASE + twin.host.find(PATTERN)
    return Pair(work(_ours, twin.space), work(_theirs, twin.host), slow=1, close=twin.close)


def _ours(space: AddrSpace) -> None:
    next(search(space, PATTERN))


def _theirs(host: mmap.mmap) -> None:
    host.find(PATTERN)
