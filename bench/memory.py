"""The memory that benchmarks touch: the same bytes in an address space of ours and in the peer's mmap.

The peer's is an anonymous shared `mmap`, populated, as large as our area; ours is populated too. Addresses
are drawn with a fixed seed, so that two runs touch the same places in the same order.
"""

from __future__ import annotations

import mmap
import random
from dataclasses import dataclass
from typing import Any

from axptr import PAGE_SIZE, AddrSpace, MappingFlags

BASE = 0x4000_0000
SPACE_SIZE = 1 << 47
READ_WRITE = MappingFlags.READ | MappingFlags.WRITE | MappingFlags.USER
SEED = 20


@dataclass
class Twin:
    """One stretch of memory, twice: at `BASE` in `space`, and in `host`."""

    space: AddrSpace
    host: mmap.mmap
    size: int

    @classmethod
    def filled(cls, size: int, *, data: bytes | None = None) -> Twin:
        """`size` bytes with `data` (random ones without it), every page present on both sides."""
        contents = random.Random(SEED).randbytes(size) if data is None else data.ljust(size, b"\0")
        space = AddrSpace(0, SPACE_SIZE)
        space.map_alloc(BASE, size, READ_WRITE, populate=True)
        space.write(BASE, contents)
        host = mmap.mmap(-1, size)
        host[:] = contents
        return cls(space, host, size)

    def close(self) -> None:
        self.host.close()
        self.space.clear()


def word_offsets(count: int, npages: int) -> list[int]:
    """`count` offsets of aligned 32-bit words in random pages of `npages`, never the same page in a row."""
    draw = random.Random(SEED)
    pages = [number % npages for number in range(count)]
    draw.shuffle(pages)
    return [page * PAGE_SIZE + draw.randrange(0, PAGE_SIZE, 4) for page in pages]


def make_task(space: AddrSpace) -> Any:
    """A kernel's task over `space`: the provider that a system-call handler has in hand."""
    from axptr.kernel import Task

    return Task(space)
