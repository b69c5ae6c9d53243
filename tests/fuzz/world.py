"""What the calls of an input are made with: a memory with few frames or many, spaces, and what calls leave behind."""

from __future__ import annotations

import ctypes
import errno
import gc
from collections.abc import Callable
from functools import cache
from typing import Any

from axptr import (
    AARCH64,
    I386,
    ILP32,
    ILP32_BIG,
    LP64,
    LP64_BIG,
    SV39,
    SV48,
    X86_64,
    AddrSpace,
    LinuxError,
    MappingFlags,
    PhysMemory,
    SharedObject,
    VirtAddrRange,
)
from fakes import FakeMemory

from .choices import Chooser
from .hostile import READ, WRITE, Device, Pager
from .judge import Broken, Entry
from .shadow import END, PAGE, Page, Shadow
from .source import Source
from .things import NPAGES, file_of_text, prefab

FORMATS = (X86_64, X86_64, X86_64, AARCH64, SV39, SV48, X86_64, X86_64)
MODELS = (LP64, LP64, LP64, LP64, I386, ILP32, ILP32_BIG, LP64_BIG)
LIMITS = (None, None, None, None, 96, 40, 24, 12)


class Held:
    """A live view: what shows the memory, how to touch it, and the pages of the model that it looks at."""

    def __init__(
        self, shown: Any, start: int, size: int, writable: bool, pages: list[Page] | None, shadow: Shadow
    ) -> None:
        self.shown, self.start, self.size, self.writable = shown, start, size, writable
        self._pages, self._shadow = pages, shadow

    @property
    def pages(self) -> list[Page] | None:
        """None where nobody knows, and for ever once the model has lost its way."""
        if not self._shadow.sure:
            self._pages = None
        return self._pages

    @pages.setter
    def pages(self, pages: list[Page] | None) -> None:
        self._pages = pages


class World(Chooser):
    """source: the input. trace: takes a line for each call, or None. Makes the first space, and perhaps a fake one."""

    def __init__(self, source: Source, trace: Callable[[str], object] | None = None) -> None:
        super().__init__(source, trace)
        self.kind = 0  # the number of the T chosen last, for libFuzzer
        self.views: list[Held] = []
        self.snaps: list[tuple[Any, dict[int, tuple[Page, Page]], bool]] = []
        self.rules = self.injected = False  # whether clones leave something out; whether failures were injected
        self.depth = 0  # of functions of devices and pagers inside one another
        self.asked = 0  # how often one of them was called
        self.streams: list[tuple[Any, Entry]] = []
        self.walks: list[Any] = []
        self.budgets: list[Any] = []
        kind, self.quirk, shape = source.byte(), source.byte(), source.byte()
        self.format = FORMATS[kind & 7]
        self.model = MODELS[kind >> 3 & 7]
        self.limit = LIMITS[shape & 7]
        self.scarce = self.limit is not None
        self.phys = PhysMemory(8 << 20, limit=None if self.limit is None else self.limit * PAGE, poison=True)
        base, size = 0x1000, 1 << 37
        if kind >> 6 == 1:
            base, self.base = 0, 0
        elif kind >> 6 == 2 and self.format is not AARCH64:
            base, size = END - (1 << 30), 1 << 30
            self.base = END - NPAGES * PAGE
        elif kind >> 6 == 3:
            size = self.base + NPAGES * PAGE - base  # ends with the last page
        self.write_reads = self.format is not AARCH64
        if trace is not None:
            trace(f"# {self.format}, {self.model}, limit {self.limit}, quirk {self.quirk & 7}, base {self.base:#x}")
        self.first, self.end = base, base + size
        self.shared = SharedObject(self.phys, 3 * PAGE, "shared")
        try:
            space = AddrSpace(base, size, self.phys, self.format)
            space.model = self.model
            self.furnish(self.enter(space, Shadow(self.write_reads), self.model), shape >> 3 & 3)
        except LinuxError as failure:
            if failure.errno != errno.ENOMEM or not self.scarce:
                raise
            for entry in self.entries:
                entry.shadow.sure = False
        if shape & 0x20 or not self.entries:
            self.enter(FakeMemory(), Shadow(False), LP64)
            fake, text = self.entries[-1], prefab(self.base)
            for number, flags in enumerate((3, 3, 3, 1, 3, 2, 0)):
                if flags or number == 6:
                    fake.memory.map(self.base + number * PAGE, 1, MappingFlags(flags))
                    fake.shadow.add(self.base + number * PAGE, 1, flags, bytes(PAGE))
            for number in range(3):
                fake.memory.pages[self.base + number * PAGE][0][:] = text[number * PAGE : (number + 1) * PAGE]
            fake.shadow.poke(self.base, text)

    def enter(self, memory: Any, shadow: Shadow, model: Any) -> Entry:
        name = f"{'space' if isinstance(memory, AddrSpace) else 'fake'}{len(self.entries)}"
        entry = Entry(memory, shadow, model, name)
        self.entries.append(entry)
        if self.trace is not None:
            for value in (memory, *entry.providers):
                self.names.setdefault(id(value), name if value is memory else f"{type(value).__name__}({name})")
        return entry

    def furnish(self, entry: Entry, shape: int) -> None:
        """The areas that a program begins with, and what stands in the first pages."""
        space, shadow, at = entry.memory, entry.shadow, self.base
        zeros = bytes(PAGE)
        if shape == 3:
            space.map_alloc(at, NPAGES * PAGE, READ | WRITE, name="all")
            shadow.add(at, NPAGES, 3, zeros)
        else:
            for page, npages, flags in ((0, 3, 3), (3, 1, 1), (4, 1, 3), (6, 1, 0), (7, 1, 2), (14, 2, 3)):
                space.map_alloc(at + page * PAGE, npages * PAGE, MappingFlags(flags))
                shadow.add(at + page * PAGE, npages, flags, zeros)
            if shape < 2:
                self.map_special(entry, 0, at + 8 * PAGE, 2, READ | WRITE)
                self.map_special(entry, 1, at + 10 * PAGE, 1, READ | WRITE)
                self.map_special(entry, 2, at + 11 * PAGE, 1, READ | WRITE)
                self.map_special(entry, 3 + shape, at + 12 * PAGE, 2, READ | WRITE)
        space.write(at, prefab(at))
        shadow.poke(at, prefab(at))

    def map_special(
        self, entry: Entry, kind: int, start: int, npages: int, flags: MappingFlags, **options: Any
    ) -> None:
        """Pager, device, shared object, private file, shared file; the shadow learns what can be known of it."""
        space, shadow, size = entry.memory, entry.shadow, npages * PAGE
        quirk = self.quirk & 7
        if kind == 0:
            space.map_pager(start, size, flags, Pager(self, entry, start, quirk), **options)
            shadow.add(start, npages, flags & 7, None if quirk else b"page".ljust(PAGE, b"\0"), solid=quirk == 0)
        elif kind == 1:
            device = Device(self, entry, start, quirk)
            space.map_mmio(start, size, flags, device.read, device.write, **options)
            shadow.add(start, npages, flags & 7, solid=False, shared=True)
        elif kind == 2:
            space.map_shared(start, size, flags, self.shared, **options)
            shadow.add(start, npages, flags & 7, solid=npages <= 3, shared=True)
        else:
            space.map_file(start, size, flags, file_of_text(), shared=kind == 4, **options)
            shadow.add(start, npages, flags & 7, solid=False, shared=kind == 4)

    def check(self) -> None:
        """Every byte that the model knows, and the books of every space and of the memory."""
        for entry in self.entries:
            if entry.real:
                entry.memory._check()
                if entry.shadow.sure:
                    self.compare(entry)
        for budget in self.budgets:
            if budget.per_task is not None and budget.spent > budget.per_task:
                raise Broken(f"{budget}: spent more than it has")
        self.phys._check()

    def compare(self, entry: Entry) -> None:
        grants, pages = entry.memory.check_region_access, entry.shadow.pages
        for where in page_ranges(self.base):
            found = pages.get(where.start // PAGE)
            for access in (READ, WRITE):
                if grants(where, access) != (found is not None and found.flags & access != 0):
                    raise Broken(f"{entry.name}: whether {where} grants {access!r} is not as in the model")
        for number, page in entry.shadow.pages.items():
            start = number * PAGE
            if page.data is None or not page.solid:
                continue
            try:
                got = entry.memory.read(start, PAGE)
            except LinuxError as failure:
                if failure.errno == errno.ENOMEM and self.scarce:
                    continue
                raise Broken(f"{entry.name} has no page {start:#x}: {failure}") from failure
            if got != page.data:
                at = next(i for i in range(PAGE) if got[i] != page.data[i])
                raise Broken(
                    f"{entry.name}: {got[at : at + 8].hex()} at {start + at:#x}, want {page.data[at : at + 8].hex()}"
                )

    def close(self) -> None:
        """Let all go, and see that no frame is left."""
        phys = self.phys
        self.error = None
        for something in (self.views, self.walks, self.streams, self.snaps, self.entries, self.names):
            something.clear()
        del self.shared
        if phys.frames_in_use or phys.pinned_frames:
            gc.collect()
        if phys.frames_in_use or phys.pinned_frames:
            raise Broken(f"frames leaked: {phys.data_frames} of data, {phys.table_frames} of tables")
        phys._check()


@cache
def page_ranges(base: int) -> list[VirtAddrRange]:
    """The pages that programs look at."""
    return [VirtAddrRange(base + i * PAGE, base + (i + 1) * PAGE) for i in range(NPAGES)]


def raw_of(value: Any) -> Any:
    """The bytes of a ctypes instance."""
    return (
        bytes(memoryview(value).cast("B"))
        if isinstance(value, (ctypes.Structure, ctypes.Union, ctypes.Array))
        else value
    )
