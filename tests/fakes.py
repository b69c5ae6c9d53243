"""User memory that is no `AddrSpace`: bytes in a dict, and providers of it. For tests.

`FakeMemory` obeys the `UserMemory` protocol and is stricter than a real space: WRITE does not grant READ, so a verb
that asks for a right it does not need is caught.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from typing import Any, TypeVar

from axptr import (
    I386,
    ILP32,
    ILP32_BIG,
    LP64,
    LP64_BIG,
    PAGE_SIZE,
    DataModel,
    LinuxError,
    Locked,
    MappingFlags,
    VirtAddrRange,
)

R = TypeVar("R")


class FakeMemory:
    """Pages by address, each with its bytes and flags. `touched` lists the pages that were populated or copied."""

    def __init__(self) -> None:
        self.pages: dict[int, tuple[bytearray, MappingFlags]] = {}
        self.touched: list[int] = []

    def map(self, start: int, npages: int, flags: MappingFlags) -> None:
        for i in range(npages):
            self.pages[start + i * PAGE_SIZE] = bytearray(PAGE_SIZE), flags

    def poke(self, vaddr: int, data: bytes) -> None:
        for i, value in enumerate(data, vaddr):
            self.pages[i & -PAGE_SIZE][0][i % PAGE_SIZE] = value

    def peek(self, vaddr: int, size: int) -> bytes:
        return bytes(self.pages[i & -PAGE_SIZE][0][i % PAGE_SIZE] for i in range(vaddr, vaddr + size))

    # -- UserMemory ---------------------------------------------------------------------------------------

    def check_region_access(self, range: VirtAddrRange, flags: MappingFlags) -> bool:
        page = range.start & -PAGE_SIZE
        while page < range.end:
            if page not in self.pages or not self.pages[page][1].has_all(flags):
                return False
            page += PAGE_SIZE
        return True

    def populate_area(self, start: int, size: int, access: MappingFlags) -> None:
        for page in VirtAddrRange.from_start_size(start, size).pages():
            if page not in self.pages:
                raise LinuxError(errno.EFAULT, f"{page:#x} is not mapped")
            self.touched.append(page)

    def read_into(self, vaddr: int, buf: Any) -> int:
        return self._copy(vaddr, memoryview(buf).cast("B"), MappingFlags.READ)

    def write_from(self, vaddr: int, buf: Any) -> int:
        return self._copy(vaddr, memoryview(buf).cast("B"), MappingFlags.WRITE)

    def _copy(self, vaddr: int, view: memoryview, access: MappingFlags) -> int:
        done = 0
        while done < len(view):
            page, offset = (vaddr + done) & -PAGE_SIZE, (vaddr + done) % PAGE_SIZE
            data, flags = self.pages.get(page, (None, MappingFlags(0)))
            if data is None or not flags.has_all(access):
                break
            self.touched.append(page)
            step = min(PAGE_SIZE - offset, len(view) - done)
            if access == MappingFlags.READ:
                view[done : done + step] = data[offset : offset + step]
            else:
                data[offset : offset + step] = view[done : done + step]
            done += step
        return done


class PlainProvider:
    """Any object with `with_addr_space`, and nothing of ours as its base."""

    def __init__(self, memory: Any) -> None:
        self.memory = memory

    def with_addr_space(self, f: Callable[[Any], R]) -> R:
        return f(self.memory)


def plain(value: object) -> str:
    """A parameter's name in a test's: without host addresses, on which processes that share the tests disagree."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def over(kind: str, space: Any) -> Any:
    """`space`, or an empty `FakeMemory`, by way of a provider of this kind: see `PROVIDERS`."""
    if kind == "space":
        return space
    if kind == "locked":
        return Locked(space)
    return PlainProvider(FakeMemory() if kind == "fake" else space)


PROVIDERS = ("space", "locked", "plain", "fake")
MODELS = (LP64, LP64_BIG, ILP32, ILP32_BIG, I386)


def set_model(provider: Any, model: DataModel) -> None:
    """Let the memory that a provider leads to be one of this data model."""
    provider.with_addr_space(lambda memory: setattr(memory, "model", model))


def words(model: DataModel, size: int, *values: int) -> bytes:
    """Numbers of `size` bytes side by side as the model has them."""
    return b"".join((value % (1 << 8 * size)).to_bytes(size, model.order) for value in values)


def set_pages(provider: Any, start: int, flags: str, data: bytes = b"") -> None:
    """A page for each letter of `flags` (`w` rw-, `r` r--, `n` ---, else none), then bytes."""
    letters = {"w": MappingFlags.READ | MappingFlags.WRITE, "r": MappingFlags.READ, "n": MappingFlags(0)}

    def work(memory: Any) -> None:
        for i, letter in enumerate(flags):
            if letter in letters:
                if isinstance(memory, FakeMemory):
                    memory.map(start + i * PAGE_SIZE, 1, letters[letter])
                else:
                    memory.map_alloc(start + i * PAGE_SIZE, PAGE_SIZE, letters[letter])
        if data:
            poke(provider, start, data)

    provider.with_addr_space(work)


def poke(provider: Any, start: int, data: bytes) -> None:
    """Bytes into pages whatever their flags."""
    provider.with_addr_space(lambda m: m.poke(start, data) if isinstance(m, FakeMemory) else m.write(start, data))


def peek(provider: Any, start: int, size: int) -> bytes:
    """Bytes of pages whatever their flags."""
    return provider.with_addr_space(  # type: ignore[no-any-return]
        lambda m: m.peek(start, size) if isinstance(m, FakeMemory) else m.read(start, size)
    )
