"""Pages as frames: how many there are of each kind."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from axptr import AddrSpace, PhysMemory, SharedObject
from axptr._core.mm.pages import count_pages
from axptr.flags import READ, WRITE

PAGE = 4096
AT = 0x10000


def test_pages_are_counted_by_what_they_are(space: AddrSpace, phys: PhysMemory, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"f" * 8 * PAGE)
    with path.open("r+b") as file:
        assert count_pages(space) == (0, 0, 0, 0)
        space.map_alloc(AT, 4 * PAGE, READ | WRITE)
        space.write(AT, b"x" * (2 * PAGE))
        assert count_pages(space) == (2, 0, 0, 0)
        private, whole, memory = AT + 16 * PAGE, AT + 32 * PAGE, AT + 48 * PAGE
        space.map_file(private, 4 * PAGE, READ | WRITE, file)
        space.read(private, 3 * PAGE)
        space.write(private, b"own")
        assert count_pages(space, private, 4 * PAGE) == (1, 2, 0, 0)
        space.map_file(whole, 4 * PAGE, READ | WRITE, file, shared=True)
        space.read(whole, 4 * PAGE)
        space.write(whole + PAGE, b"for all")
        assert count_pages(space, whole, 4 * PAGE) == (0, 4, 0, 1)
        space.map_shared(memory, 4 * PAGE, READ | WRITE, SharedObject(phys, 4 * PAGE))
        space.write(memory, b"x" * (2 * PAGE))
        assert count_pages(space, memory, 4 * PAGE) == (0, 0, 2, 2)
        assert count_pages(space) == (3, 6, 2, 3)
        space.unmap(AT + PAGE, PAGE)
        assert count_pages(space) == (2, 6, 2, 3)


def test_counting_pages_costs_less_than_listing_them(space: AddrSpace) -> None:
    def best(function: Callable[[], object]) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return min(times)

    space.map_alloc(AT, 1 << 27, READ | WRITE)
    for at in range(AT, AT + (1 << 27), PAGE):
        space.write(at, b"x")
    assert count_pages(space) == ((1 << 27) // PAGE, 0, 0, 0)
    assert best(lambda: count_pages(space)) < best(space.resident_pages) / 2
