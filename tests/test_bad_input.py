"""Bad input to every public function: the error that DESIGN.md fixes, and everything as it was.

A wrong type is a `TypeError`; a number that is no address, a negative count or a bit that is no flag a `ValueError`.
Each case is one call that works, with the kinds of its arguments; each argument in turn is then replaced by what that
kind does not allow. `test_every_public_function_is_here` keeps the table complete. What a guest may cause
(`LinuxError`) stands with the tests of each module.
"""

from __future__ import annotations

import ctypes
import enum
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import Any

import pytest

import axptr
from axptr import (
    PAGE_SIZE,
    X86_64,
    AddrSpace,
    FileBackend,
    Layout,
    LinearBackend,
    Locked,
    MappingFlags,
    MmioBackend,
    PagerBackend,
    PageTable,
    PhysAddr,
    PhysMemory,
    SharedBackend,
    SharedObject,
    Snapshot,
    UserConstPtr,
    UserPtr,
    VirtAddrRange,
)

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
FREE = 0x200000
char, u32 = ctypes.c_char, ctypes.c_uint32

Bad = list[tuple[Any, type[Exception]]]
NOT_A_NUMBER: Bad = [(1.5, TypeError), ("1", TypeError), (b"1", TypeError), (None, TypeError), ([], TypeError)]
ADDRESS: Bad = [(-1, ValueError), (1 << 64, ValueError), (-(1 << 64), ValueError), *NOT_A_NUMBER]
SIZE: Bad = [(-1, ValueError), (-(1 << 64), ValueError), *NOT_A_NUMBER]
NUMBER: Bad = [("1", TypeError), (None, TypeError), (1.5, TypeError)]
LIMIT: Bad = [bad for bad in SIZE if bad[0] is not None]
FLAGS: Bad = [("r", TypeError), (None, TypeError), (1.5, TypeError), (64, ValueError), (1 << 70, ValueError)]
ACCESS: Bad = [*FLAGS, (MappingFlags(0), ValueError), (R | MappingFlags.USER, ValueError)]
RANGE: Bad = [(None, TypeError), (5, TypeError), ((0, PAGE_SIZE), TypeError), (range(4), TypeError)]
BUFFER: Bad = [(5, TypeError), ("text", TypeError), (None, TypeError), ([1], TypeError)]
WRITABLE: Bad = [*BUFFER, (b"const", BufferError)]
PROVIDER: Bad = [(None, TypeError), (5, TypeError), ("space", TypeError), (object(), TypeError)]
TYPE: Bad = [
    (int, TypeError), (None, TypeError), (ctypes.c_char_p, TypeError), (u32 * 0, TypeError),
    (axptr.FaultReason, TypeError),
    ("", TypeError), ("0I", TypeError), ("<", TypeError), ("z z", TypeError), ("<P", TypeError), ("0p4s", TypeError),
    ("\u00e9<", TypeError),
    ("99999999999999999999s", TypeError), (b"<I", TypeError),
]  # fmt: skip
LAYOUT: Bad = [(8, TypeError), (None, TypeError), ((8, 8), TypeError)]
NAME: Bad = [(5, TypeError), (b"name", TypeError)]
ALIGN: Bad = [(0, ValueError), (3, ValueError), (-4096, ValueError), ("1", TypeError), (None, TypeError)]
FILE: Bad = [(3.5, TypeError), (None, TypeError), (b"path", TypeError), ([], TypeError)]
BACKEND: Bad = [(None, TypeError), (5, TypeError), ("alloc", TypeError)]
FORMAT: Bad = [(None, TypeError), (5, TypeError), ("x86-64", TypeError)]
PHYS: Bad = [(5, TypeError), ("phys", TypeError), (object(), TypeError)]


@dataclass
class Bench:
    """What the calls work on: an area of two pages with a page present, a frame, a table with a page, a file."""

    phys: PhysMemory
    path: Path
    space: AddrSpace = field(init=False)
    table: PageTable = field(init=False)
    frame: PhysAddr = field(init=False)

    def __post_init__(self) -> None:
        self.space = AddrSpace(0x1000, 1 << 40, self.phys)
        self.space.map_alloc(BASE, 2 * PAGE_SIZE, R | W, name="area")
        self.space.write(BASE, b"text\0more")
        self.table = PageTable(self.phys)
        self.table.map(BASE, 0x7000, R)
        self.frame = self.phys.alloc()
        self.phys.write(self.frame, b"frame")
        self.path.write_bytes(b"file")

    def free(self, paddr: Any, n: Any) -> None:
        frame = self.phys.alloc()
        try:
            self.phys.free(frame if paddr == "frame" else paddr, n)
        except Exception:
            self.phys.free(frame)
            raise

    def snapshot(self) -> Snapshot:
        other = AddrSpace(0x1000, 1 << 40, self.phys)
        other.map_alloc(BASE, PAGE_SIZE, R | W)
        return other.snapshot()

    def state(self) -> object:
        return (
            self.space.areas(),
            [(page, self.space.query(page)) for page in self.space.resident_pages()],
            self.space.read(BASE, PAGE_SIZE),
            list(self.table.leaves()),
            self.phys.read(self.frame, PAGE_SIZE),
            self.phys.data_frames,
            self.phys.table_frames,
            self.phys.pinned_frames,
            self.phys.refcount(self.frame),
        )


@pytest.fixture
def bench(phys: PhysMemory, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(phys, tmp_path / "file")
    yield made
    made.space._check()
    made.table._check()
    phys.free(made.frame)
    request.node.funcargs.clear()


Call = Callable[..., Any]
TABLE: dict[str, tuple[Call, dict[str, tuple[Any, Bad]]]] = {}


def case(name: str, call: Call, /, **arguments: tuple[Any, Bad]) -> None:
    """A call of `bench` and these arguments, each given by a good value and the bad ones of its kind."""
    assert name not in TABLE
    TABLE[name] = call, arguments


# words
case("align_down", lambda b, v, a: axptr.align_down(v, a), v=(5, NUMBER), a=(8, ALIGN))
case("align_up", lambda b, v, a: axptr.align_up(v, a), v=(5, NUMBER), a=(8, ALIGN))
case("is_aligned", lambda b, v, a: axptr.is_aligned(v, a), v=(5, NUMBER), a=(8, ALIGN))
case("PhysAddr", lambda b, v: PhysAddr(v), v=(0x1000, ADDRESS))
case("MappingFlags", lambda b, v: MappingFlags(v), v=(3, FLAGS))
case("MappingFlags.has_all", lambda b, v: R.has_all(v), v=(R, [("r", TypeError), (None, TypeError)]))
case(
    "VirtAddrRange",
    lambda b, start, end: VirtAddrRange(start, end),
    start=(0, [*ADDRESS, (0x2000, ValueError)]),
    end=(0x1000, [*SIZE, ((1 << 64) + 1, ValueError)]),
)
case(
    "VirtAddrRange.from_start_size",
    lambda b, start, size: VirtAddrRange.from_start_size(start, size),
    start=(0, ADDRESS),
    size=(1, [*SIZE, ((1 << 64) + 1, ValueError)]),
)
case(
    "Layout",
    lambda b, size, align: Layout(size, align),
    size=(4, SIZE),
    align=(4, [*SIZE, (0, ValueError), (3, ValueError)]),
)
MODEL: Bad = [
    (None, TypeError),
    ("ILP32", TypeError),
    ((4, "big"), TypeError),
    (axptr.DataModel("x", 3, "big"), ValueError),  # type: ignore[arg-type]
]
case("Layout.of", lambda b, T, model: Layout.of(T, model), T=(u32, TYPE), model=(axptr.ILP32, MODEL))
case(
    "Layout.array",
    lambda b, T, n, model: Layout.array(T, n, model),
    T=(u32, TYPE),
    n=(3, SIZE),
    model=(axptr.ILP32, MODEL),
)

# physical
case(
    "PhysMemory",
    lambda b, size, limit: PhysMemory(size, limit=limit).size,
    size=(
        1 << 20,
        [
            (-1, ValueError),
            (0, ValueError),
            (4097, ValueError),
            (1 << 44, ValueError),
            (1.5, TypeError),
            ("1", TypeError),
        ],
    ),
    limit=(1 << 20, LIMIT),
)
case(
    "PhysMemory.alloc",
    lambda b, n, align: b.phys.free(b.phys.alloc(n, align=align), n),
    n=(1, [*SIZE, (0, ValueError)]),
    align=(1, [*SIZE, (0, ValueError)]),
)
case(
    "PhysMemory.free",
    lambda b, paddr, n: b.free(paddr, n),
    paddr=("frame", [*ADDRESS, (0x1001, ValueError), (0, ValueError), (1 << 40, ValueError), (0x100000, ValueError)]),
    n=(1, [*SIZE, (1 << 64, ValueError)]),
)
case(
    "PhysMemory.read",
    lambda b, paddr, n: b.phys.read(paddr, n),
    paddr=(0x1000, [*ADDRESS, (1 << 30, ValueError)]),
    n=(4, [*SIZE, (1 << 64, ValueError)]),
)
case(
    "PhysMemory.write",
    lambda b, paddr, data: b.phys.write(b.frame if paddr == "frame" else paddr, data),
    paddr=(
        "frame",
        [(-1, ValueError), (1 << 64, ValueError), (1.5, TypeError), (None, TypeError), (1 << 30, ValueError)],
    ),
    data=(b"frame", BUFFER),
)
case(
    "PhysMemory.refcount",
    lambda b, paddr: b.phys.refcount(paddr),
    paddr=(0x1000, [*ADDRESS, (0x1001, ValueError), (1 << 30, ValueError)]),
)
case(
    "PhysMemory.pincount",
    lambda b, paddr: b.phys.pincount(paddr),
    paddr=(0x1000, [*ADDRESS, (0x1001, ValueError), (1 << 30, ValueError)]),
)

# paging
case("PageTable", lambda b, phys, fmt: PageTable(phys, fmt).root, phys=(None, PHYS), fmt=(X86_64, FORMAT))
case(
    "PageTable.at",
    lambda b, source, root, fmt: PageTable.at(source or b.phys, root, fmt).root,
    source=(None, [(5, TypeError), ("dump", TypeError)]),
    root=(0x1000, ADDRESS),
    fmt=(X86_64, FORMAT),
)
case("PageTable.query", lambda b, at: b.table.query(at), at=(BASE, ADDRESS))
case(
    "PageTable.map",
    lambda b, at, to, flags, size: b.table.unmap(at) if b.table.map(at, to, flags, size) is None else None,
    at=(FREE, ADDRESS),
    to=(0x8000, ADDRESS),
    flags=(R, FLAGS),
    size=(PAGE_SIZE, SIZE),
)
case("PageTable.unmap", lambda b, at: b.table.map(at, b.table.unmap(at)[0], R), at=(BASE, ADDRESS))
case(
    "PageTable.remap",
    lambda b, at, to, flags: b.table.remap(at, to, flags),
    at=(BASE, ADDRESS),
    to=(0x7000, ADDRESS),
    flags=(R, FLAGS),
)
case("PageTable.protect", lambda b, at, flags: b.table.protect(at, flags), at=(BASE, ADDRESS), flags=(R, FLAGS))
case(
    "PageTable.map_region",
    lambda b, at, to, size, flags: b.table.map_region(at, to, size, flags) and b.table.unmap_region(at, size),
    at=(FREE, ADDRESS),
    to=(0x8000, ADDRESS),
    size=(2 * PAGE_SIZE, SIZE),
    flags=(R, FLAGS),
)
case(
    "PageTable.unmap_region",
    lambda b, at, size: b.table.map(at, 0x7000, R) if b.table.unmap_region(at, size) is None else None,
    at=(BASE, ADDRESS),
    size=(PAGE_SIZE, SIZE),
)

# mm
case(
    "AddrSpace",
    lambda b, base, size, phys, fmt: AddrSpace(base, size, phys, fmt).size,
    base=(0, [*ADDRESS, (5, ValueError), (1 << 47, ValueError)]),
    size=(PAGE_SIZE, [*SIZE, (0, ValueError), (5, ValueError), (1 << 64, ValueError), (1 << 80, ValueError)]),
    phys=(None, PHYS),
    fmt=(X86_64, FORMAT),
)
case(
    "AddrSpace.with_addr_space",
    lambda b, f: b.space.with_addr_space(f),
    f=(len_of := lambda m: 0, [(5, TypeError), (None, TypeError)]),
)


def undo(call: Call) -> Call:
    """Map something in the free place, and take it away again."""

    def both(b: Bench, **arguments: Any) -> None:
        call(b, **arguments)
        b.space.unmap(FREE, PAGE_SIZE)

    return both


MAPPING: dict[str, tuple[Any, Bad]] = {
    "start": (FREE, ADDRESS),
    "size": (PAGE_SIZE, SIZE),
    "flags": (R, FLAGS),
    "name": ("name", NAME),
}
case(
    "AddrSpace.map",
    undo(
        lambda b, start, size, flags, name, backend, grows_down: b.space.map(
            start, size, flags, backend, name=name, grows_down=grows_down
        )
    ),
    **MAPPING,
    backend=(axptr.AllocBackend(), BACKEND),
    grows_down=(0, SIZE),
)
case(
    "AddrSpace.map_alloc",
    undo(
        lambda b, start, size, flags, name, grows_down: b.space.map_alloc(
            start, size, flags, name=name, grows_down=grows_down
        )
    ),
    **MAPPING,
    grows_down=(0, SIZE),
)
case(
    "AddrSpace.map_linear",
    undo(lambda b, start, size, flags, name, paddr: b.space.map_linear(start, paddr, size, flags, name=name)),
    **MAPPING,
    paddr=(0x1000, ADDRESS),
)
case(
    "AddrSpace.map_file",
    undo(
        lambda b, start, size, flags, name, file, offset: b.space.map_file(
            start, size, flags, b.path if file == "" else file, offset, name=name
        )
    ),
    **MAPPING,
    file=("", FILE),
    offset=(0, ADDRESS),
)
case(
    "AddrSpace.map_shared",
    undo(
        lambda b, start, size, flags, name, shared, offset: b.space.map_shared(
            start, size, flags, SharedObject(b.phys, PAGE_SIZE) if shared == "" else shared, offset, name=name
        )
    ),
    **MAPPING,
    shared=("", [(None, TypeError), (5, TypeError), (b"", TypeError)]),
    offset=(0, [*ADDRESS, (1, axptr.LinuxError)]),
)
FUNCTION: Bad = [(None, TypeError), (5, TypeError), ("fetch", TypeError)]
case(
    "AddrSpace.map_pager",
    undo(lambda b, start, size, flags, name, fetch: b.space.map_pager(start, size, flags, fetch, name=name)),
    **MAPPING,
    fetch=(bytes, FUNCTION),
)
case(
    "AddrSpace.map_mmio",
    undo(lambda b, start, size, flags, name, read, write: b.space.map_mmio(start, size, flags, read, write, name=name)),
    **MAPPING,
    read=(max, FUNCTION),
    write=(max, FUNCTION),
)
case(
    "PagerBackend",
    lambda b, fetch, offset: PagerBackend(fetch, offset),
    fetch=(bytes, FUNCTION),
    offset=(0, [*ADDRESS, (1, axptr.LinuxError)]),
)
case(
    "MmioBackend",
    lambda b, read, write, offset: MmioBackend(read, write, offset),
    read=(max, FUNCTION),
    write=(max, FUNCTION),
    offset=(0, [*ADDRESS, (1, axptr.LinuxError)]),
)
case(
    "AddrSpace.move",
    lambda b, start, size, to: b.space.move(start, size, to) or b.space.move(to, size, start),
    start=(BASE, ADDRESS),
    size=(PAGE_SIZE, SIZE),
    to=(FREE, [*ADDRESS, (BASE, axptr.LinuxError)]),
)
case(
    "AddrSpace.discard",
    lambda b, start, size: b.space.discard(start, size),
    start=(BASE + PAGE_SIZE, ADDRESS),
    size=(PAGE_SIZE, SIZE),
)
case("AddrSpace.sync", lambda b, start, size: b.space.sync(start, size), start=(BASE, ADDRESS), size=(PAGE_SIZE, SIZE))
case(
    "Snapshot.read",
    lambda b, start, size: b.snapshot().read(start, size),
    start=(BASE, ADDRESS),
    size=(PAGE_SIZE, SIZE),
)
case(
    "AddrSpace.set_clone_rule",
    lambda b, start, size, rule: b.space.set_clone_rule(start, size, rule),
    start=(BASE, ADDRESS),
    size=(PAGE_SIZE, SIZE),
    rule=("copy", [(None, ValueError), (1, ValueError), ("fork", ValueError)]),
)
case(
    "AddrSpace.set_read_unasked",
    lambda b, start, size: b.space.set_read_unasked(start, size, False),
    start=(BASE, ADDRESS),
    size=(PAGE_SIZE, SIZE),
)
case(
    "AddrSpace.set_locked",
    lambda b, start, size: b.space.set_locked(start, size, False),
    start=(BASE, ADDRESS),
    size=(PAGE_SIZE, SIZE),
)
case("AddrSpace.neighbours", lambda b, at: b.space.neighbours(at), at=(BASE, ADDRESS))
case(
    "AddrSpace.restore",
    lambda b, snap: b.space.restore(b.space.snapshot() if snap == "" else snap) or b.space.handle_page_fault(BASE, W),
    snap=("", [(None, TypeError), (5, TypeError), (b"", TypeError), (PhysMemory, TypeError)]),
)
PATH: Bad = [(None, TypeError), (5, TypeError), (1.5, TypeError), ("/no/such/place", FileNotFoundError)]
case(
    "Snapshot.save",
    lambda b, path: b.snapshot().save(b.path if path == "" else path),
    path=("", PATH),
)
case(
    "Snapshot.load",
    lambda b, path, phys: (b.snapshot().save(b.path), Snapshot.load(b.path if path == "" else path, phys or b.phys)),
    path=("", PATH),
    phys=(None, PHYS),
)
case(
    "AddrSpace.from_snapshot",
    lambda b, snap: AddrSpace.from_snapshot(b.snapshot() if snap == "" else snap),
    snap=("", [(None, TypeError), (5, TypeError), (b"", TypeError), (PhysMemory, TypeError)]),
)
case(
    "SharedObject",
    lambda b, phys, size: SharedObject(b.phys if phys is None else phys, size),
    phys=(None, PHYS),
    size=(1, [*SIZE, (0, ValueError)]),
)
case(
    "SharedBackend",
    lambda b, shared, offset: SharedBackend(SharedObject(b.phys, 1) if shared == "" else shared, offset),
    shared=("", [(None, TypeError), (5, TypeError), (b"", TypeError)]),
    offset=(0, [*ADDRESS, (1, axptr.LinuxError)]),
)
case(
    "AddrSpace.unmap", lambda b, start, size: b.space.unmap(start, size), start=(FREE, ADDRESS), size=(PAGE_SIZE, SIZE)
)
case(
    "AddrSpace.protect",
    lambda b, start, size, flags: b.space.protect(start, size, flags) or b.space.handle_page_fault(BASE, W),
    start=(BASE, ADDRESS),
    size=(PAGE_SIZE, SIZE),
    flags=(R | W, FLAGS),
)
case(
    "AddrSpace.find_free_area",
    lambda b, hint, size, limit, align: b.space.find_free_area(hint, size, limit, align),
    hint=(0, ADDRESS),
    size=(PAGE_SIZE, [*SIZE, (0, ValueError)]),
    limit=(VirtAddrRange(0, 1 << 30), RANGE),
    align=(PAGE_SIZE, [(0, ValueError), (8, ValueError), (3 * PAGE_SIZE, ValueError), *SIZE]),
)
case("AddrSpace.find_area", lambda b, at: b.space.find_area(at), at=(BASE, ADDRESS))
case(
    "AddrSpace.presence",
    lambda b, start, size: b.space.presence(start, size),
    start=(BASE, ADDRESS),
    size=(PAGE_SIZE, SIZE),
)
case("AddrSpace.query", lambda b, at: b.space.query(at), at=(BASE, ADDRESS))
case(
    "AddrSpace.fault",
    lambda b, at, access: b.space.fault(at, access),
    at=(BASE, [(-1, ValueError), ((1 << 64) + 1, ValueError), *NOT_A_NUMBER]),
    access=(R, FLAGS),
)
case(
    "AddrSpace.check_region_access",
    lambda b, range, flags: b.space.check_region_access(range, flags),
    range=(VirtAddrRange(BASE, BASE + 8), RANGE),
    flags=(R, FLAGS),
)
case(
    "AddrSpace.populate_area",
    lambda b, start, size, access: b.space.populate_area(start, size, access),
    start=(BASE, ADDRESS),
    size=(PAGE_SIZE, SIZE),
    access=(W, FLAGS),
)
case(
    "AddrSpace.handle_page_fault",
    lambda b, at, access: b.space.handle_page_fault(at, access),
    at=(BASE, ADDRESS),
    access=(W, ACCESS),
)
case(
    "AddrSpace.read_into",
    lambda b, at, buf: b.space.read_into(at, buf),
    at=(BASE, ADDRESS),
    buf=(bytearray(4), WRITABLE),
)
case("AddrSpace.write_from", lambda b, at, buf: b.space.write_from(at, buf), at=(BASE, ADDRESS), buf=(b"text", BUFFER))
case("AddrSpace.read", lambda b, at, size: b.space.read(at, size), at=(BASE, ADDRESS), size=(4, SIZE))
case("AddrSpace.write", lambda b, at, data: b.space.write(at, data), at=(BASE, ADDRESS), data=(b"text", BUFFER))
case(
    "AddrSpace.resident_pages",
    lambda b, start, size: b.space.resident_pages(start, size),
    start=(BASE, [bad for bad in ADDRESS if bad[0] is not None]),
    size=(PAGE_SIZE, SIZE),
)
case("LinearBackend", lambda b, paddr: LinearBackend(paddr), paddr=(0x1000, ADDRESS))
case(
    "FileBackend",
    lambda b, phys, file, offset: FileBackend(phys or b.phys, file or b.path, offset).offset,
    phys=(None, PHYS),
    file=(None, [bad for bad in FILE if bad[0]]),
    offset=(0, ADDRESS),
)

# pointers
case("Locked", lambda b, memory: Locked(memory or b.space), memory=(None, [(5, TypeError), ("space", TypeError)]))
case(
    "Locked.with_addr_space",
    lambda b, f: Locked(b.space).with_addr_space(f),
    f=(len_of, [(5, TypeError), (None, TypeError)]),
)
MEMORY: Bad = [(5, TypeError), ("space", TypeError), (object(), TypeError)]
case(
    "check_region",
    lambda b, memory, start, layout, access: axptr.check_region(memory or b.space, start, layout, access),
    memory=(None, MEMORY),
    start=(BASE, ADDRESS),
    layout=(Layout(4, 4), LAYOUT),
    access=(R, FLAGS),
)
case(
    "check_region_with",
    lambda b, provider, start, layout, access: axptr.check_region_with(provider or b.space, start, layout, access),
    provider=("", [bad for bad in PROVIDER if bad[0]]),
    start=(BASE, ADDRESS),
    layout=(Layout(4, 4), LAYOUT),
    access=(R, FLAGS),
)
case(
    "check_null_terminated",
    lambda b, memory, start, T, access, max_len: axptr.check_null_terminated(
        memory or b.space, start, T, access, max_len
    ),
    memory=(None, MEMORY),
    start=(BASE, ADDRESS),
    T=(char, TYPE),
    access=(R, FLAGS),
    max_len=(9, LIMIT),
)
PATH_IN_T: Bad = [
    ("z", AttributeError), ("", ValueError), ("a b", ValueError), (".a", ValueError), ("a[0]", TypeError),
    ("a.b", TypeError), (5, TypeError), (None, TypeError), (b"a", TypeError),
]  # fmt: skip
PROVIDED: dict[str, tuple[Any, Bad]] = {"p": ("", [bad for bad in PROVIDER if bad[0]])}
for kind in (UserPtr, UserConstPtr):
    name = kind.__name__
    ptr = kind[u32]
    text = kind[char]
    case(f"{name}[]", lambda b, T, k=kind: k[T], T=(u32, TYPE))
    case(f"{name}.of", lambda b, T, k=kind: k.of(T), T=(u32, TYPE))
    case(f"{name}[T]()", lambda b, at, k=ptr: k(at), at=(BASE, ADDRESS))
    case(f"{name}.cast", lambda b, T, k=ptr: k(BASE).cast(T), T=(char, TYPE))
    case(
        f"{name}.field",
        lambda b, f, k=ptr: k(BASE).cast(Pair).field(f),
        f=("a", PATH_IN_T),
    )
    case(f"{name}.each", lambda b, p, n, k=ptr: list(k(BASE).each(p or b.space, n)), **PROVIDED, n=(2000, LIMIT))
    case(
        f"{name}.follow",
        lambda b, p, f, n, e, k=ptr: list(k(BASE + 16).cast(Pair).follow(p or b.space, f, n, e)),
        **PROVIDED,
        f=("a", PATH_IN_T),
        n=(1, SIZE),
        e=(0, ADDRESS),
    )
    case(f"{name}.__add__", lambda b, n, k=ptr: k(BASE) + n, n=(1, NUMBER))
    case(f"{name}.__sub__", lambda b, n, k=ptr: k(BASE) - n, n=(1, [*NUMBER, (UserPtr[char](0), TypeError)]))
    case(f"{name}.__getitem__", lambda b, n, k=ptr: k(BASE)[n], n=(1, [*NUMBER, (slice(2), TypeError)]))
    case(f"{name}.read", lambda b, p, k=ptr: k(BASE).read(p or b.space), **PROVIDED)
    case(f"{name}.read_unaligned", lambda b, p, k=ptr: k(BASE).read_unaligned(p or b.space), **PROVIDED)
    case(f"{name}.read_slice", lambda b, p, n, k=ptr: k(BASE).read_slice(p or b.space, n), **PROVIDED, n=(2, SIZE))
    case(
        f"{name}.copy_in",
        lambda b, p, buf, k=ptr: k(BASE).copy_in(p or b.space, buf),
        **PROVIDED,
        buf=(bytearray(4), WRITABLE),
    )
    case(f"{name}.read_cstr", lambda b, p, n, k=text: k(BASE).read_cstr(p or b.space, n), **PROVIDED, n=(9, LIMIT))
    case(f"{name}.get_as_str", lambda b, p, n, k=text: k(BASE).get_as_str(p or b.space, n), **PROVIDED, n=(9, LIMIT))
    case(f"{name}.get", lambda b, p, k=ptr: bool(k(BASE).get(p or b.space)), **PROVIDED)
    case(
        f"{name}.get_as_slice",
        lambda b, p, n, k=ptr: len(k(BASE).get_as_slice(p or b.space, n)),
        **PROVIDED,
        n=(2, SIZE),
    )
    case(
        f"{name}.get_as_null_terminated",
        lambda b, p, n, k=text: len(k(BASE).get_as_null_terminated(p or b.space, n)),
        **PROVIDED,
        n=(9, LIMIT),
    )
VALUE: Bad = [("x", TypeError), (1.5, TypeError), (None, TypeError), (-1, OverflowError), (1 << 32, OverflowError)]
WORD = int.from_bytes(b"text", "little")
case("UserPtr.write", lambda b, p, v: UserPtr[u32](BASE).write(p or b.space, v), **PROVIDED, v=(WORD, VALUE))
case(
    "UserPtr.write_unaligned",
    lambda b, p, v: UserPtr[u32](BASE).write_unaligned(p or b.space, v),
    **PROVIDED,
    v=(WORD, VALUE),
)
case(
    "UserPtr.write_slice",
    lambda b, p, v: UserPtr[u32](BASE).write_slice(p or b.space, v),
    **PROVIDED,
    v=(
        [WORD, 0x726F6D00],
        [(5, TypeError), (None, TypeError), ("ab", TypeError), ([1, "x"], TypeError), ([1, -1], OverflowError)],
    ),
)
case("UserPtr.copy_out", lambda b, p, v: UserPtr[u32](BASE).copy_out(p or b.space, v), **PROVIDED, v=(b"text", BUFFER))
case(
    "container_of",
    lambda b, p, T, m: axptr.container_of(UserPtr[u32](BASE) if p == "" else p, Pair if T == "" else T, m),
    p=("", [(BASE, TypeError), (None, TypeError), (UserPtr[char](0), TypeError)]),
    T=("", [(int, TypeError), (None, TypeError), (u32, TypeError)]),
    m=("a", PATH_IN_T),
)

# copies, slices, files, segments
SLICE: dict[str, tuple[Any, Bad]] = {"at": (BASE, ADDRESS), "n": (8, SIZE)}


class Args(ctypes.Structure):
    _fields_ = [("a", u32), ("b", u32)]


case(
    "copy_between",
    lambda b, p, at, q, to, n: axptr.copy_between(p or b.space, at, q or b.space, to, n),
    p=(0, PROVIDER[1:]),
    at=(BASE, ADDRESS),
    q=(0, PROVIDER[1:]),
    to=(BASE, ADDRESS),
    n=(8, SIZE),
)
case(
    "copy_in_nofault",
    lambda b, p, at, buf: axptr.copy_in_nofault(p or b.space, at, buf),
    **PROVIDED,
    at=(BASE, ADDRESS),
    buf=(bytearray(4), WRITABLE),
)
case(
    "copy_out_nofault",
    lambda b, p, at, data: axptr.copy_out_nofault(p or b.space, at, data),
    **PROVIDED,
    at=(BASE, ADDRESS),
    data=(b"text", BUFFER),
)
case("clear", lambda b, p, at, n: axptr.clear(p or b.space, at + 100 if at == BASE else at, n), **PROVIDED, **SLICE)
case(
    "copy_struct",
    lambda b, p, at, T, n, low, high: axptr.copy_struct(p or b.space, at, T, n, min_size=low, max_size=high),
    **PROVIDED,
    **SLICE,
    T=(Args, [*TYPE, (UserPtr[u32], TypeError)]),
    low=(0, SIZE),
    high=(64, SIZE),
)
WRONG_LIMIT = (None, [(-1, ValueError), (1.5, TypeError), ("1", TypeError)])
case("Budget", lambda b, c, t: axptr.Budget(per_call=c, per_task=t), c=WRONG_LIMIT, t=WRONG_LIMIT)
case("Budget.charge", lambda b, n: axptr.Budget().charge(n), n=(1, WRONG_LIMIT[1]))
case("UserSlice", lambda b, at, n: axptr.UserSlice(at, n), **SLICE)
case("UserSlice.reader", lambda b, p: axptr.UserSlice(BASE, 8).reader(p or b.space), **PROVIDED)
case("UserSlice.writer", lambda b, p: axptr.UserSlice(BASE, 8).writer(p or b.space), **PROVIDED)
case("UserSlice.reader_writer", lambda b, p: axptr.UserSlice(BASE, 8).reader_writer(p or b.space), **PROVIDED)
case("check_zeroed", lambda b, p, at, n: axptr.check_zeroed(p or b.space, at, n), **PROVIDED, **SLICE)
case(
    "copy_struct_out",
    lambda b, p, at, v, n: axptr.copy_struct_out(p or b.space, at + 100 if at == BASE else at, v, n),
    **PROVIDED,
    **SLICE,
    v=(Args(0, 0), BUFFER),
)
for kind in (axptr.UserSliceReader, axptr.UserSliceWriter):
    case(kind.__name__, lambda b, p, kind=kind: kind(p or b.space, BASE, 8), **PROVIDED)


def reader(b: Bench) -> axptr.UserSliceReader:
    return axptr.UserSlice(BASE, 64).reader(b.space)


def writer(b: Bench) -> axptr.UserSliceWriter:
    return axptr.UserSlice(BASE, 64).writer(b.space)


case("UserSliceReader.read", lambda b, n: reader(b).read(n), n=(4, SIZE))
case("UserSliceReader.read_value", lambda b, T: reader(b).read_value(T), T=(u32, TYPE))
case("UserSliceReader.copy_in", lambda b, buf: reader(b).copy_in(buf), buf=(bytearray(4), BUFFER))
case("UserSliceReader.skip", lambda b, n: reader(b).skip(n), n=(4, SIZE))
case("UserSliceWriter.skip", lambda b, n: writer(b).skip(n), n=(4, SIZE))
case("UserSliceWriter.write", lambda b, v: writer(b).write(v), v=(b"text", BUFFER))
case(
    "UserSliceWriter.write_value",
    lambda b, T, v: writer(b).write_value(T, v),
    T=(u32, TYPE),
    v=(WORD, VALUE),
)
case("UserSliceWriter.copy_out", lambda b, v: writer(b).copy_out(v), v=(b"text", BUFFER))
case("UserSliceWriter.clear", lambda b, n: writer(b).clear(n), n=(0, SIZE))
case(
    "UserFile",
    lambda b, p, at, n, mode: axptr.UserFile(p or b.space, at, n, mode),
    **PROVIDED,
    **SLICE,
    mode=("r", [(5, TypeError), (None, TypeError), ("a", ValueError), ("rb", ValueError)]),
)
case("UserFile.readinto", lambda b, buf: axptr.UserFile(b.space, BASE, 8).readinto(buf), buf=(bytearray(4), BUFFER))
case("UserFile.write", lambda b, v: axptr.UserFile(b.space, BASE, 8).write(v), v=(b"text", BUFFER))
case("UserFile.read", lambda b, n: axptr.UserFile(b.space, BASE, 8).read(n), n=(4, NUMBER[::2]))
case("UserFile.seek", lambda b, n: axptr.UserFile(b.space, BASE, 8).seek(n), n=(4, NUMBER))
PAIRS: Bad = [
    (5, TypeError),
    ([5], TypeError),
    ([(1, 2, 3)], ValueError),
    ([(-1, 2)], ValueError),
    ([(1, -2)], ValueError),
]
case("IoVec", lambda b, v: axptr.IoVec(v), v=([(BASE, 4)], PAIRS))
case(
    "IoVec.read",
    lambda b, p, at, n, access, end: axptr.IoVec.read(
        p or b.space, BASE + 100 if at == BASE else at, n, access, end=end
    ),
    **PROVIDED,
    **SLICE,
    access=(R, FLAGS),
    end=(1 << 64, [*SIZE, (0, ValueError), ((1 << 64) + 1, ValueError)]),
)
case("IoVec.stream", lambda b, p: axptr.IoVec([(BASE, 4)]).stream(p or b.space), **PROVIDED)
case(
    "IoStream",
    lambda b, p, v: axptr.IoStream(p or b.space, v),
    **PROVIDED,
    v=(axptr.IoVec([(BASE, 4)]), [(None, TypeError), ([(BASE, 4)], TypeError)]),
)


def stream(b: Bench) -> axptr.IoStream:
    return axptr.IoVec([(BASE, 4)]).stream(b.space)


case("IoStream.skip", lambda b, n: stream(b).skip(n), n=(4, SIZE))
case("IoStream.revert", lambda b, n: stream(b).revert(n), n=(0, [*SIZE, (1, ValueError)]))
case("IoStream.clear", lambda b, n: stream(b).clear(n), n=(0, SIZE))
case("IoStream.copy_in", lambda b, buf: stream(b).copy_in(buf), buf=(bytearray(4), WRITABLE))
case("IoStream.copy_out", lambda b, v: stream(b).copy_out(v), v=(b"text", BUFFER))

# strings
ENCODING: Bad = [(5, TypeError), (None, TypeError), (b"utf-8", TypeError), ("nonsense", LookupError)]
case(
    "read_terminated",
    lambda b, p, at, width, limit: axptr.read_terminated(p or b.space, at, width, limit),
    **PROVIDED,
    at=(BASE, ADDRESS),
    width=(2, [*SIZE, (0, ValueError), (3, ValueError), (16, ValueError)]),
    limit=(9, LIMIT),
)
case(
    "read_text",
    lambda b, p, at, encoding, errors, limit: axptr.read_text(p or b.space, at, encoding, errors, max_len=limit),
    **PROVIDED,
    at=(BASE, ADDRESS),
    encoding=("utf-8", [*ENCODING, ("hex", LookupError)]),
    errors=("strict", ENCODING),
    limit=(9, LIMIT),
)
case(
    "read_string_array",
    lambda b, p, at, one, all: axptr.read_string_array(
        p or b.space, at + 100 if at == BASE else at, max_len=one, max_total=all
    ),
    **PROVIDED,
    at=(BASE, ADDRESS),
    one=(9, SIZE),
    all=(9, SIZE),
)

# atomics
NO_WORD: Bad = [bad for bad in TYPE if bad[0] is not None]
NO_WORD += [(ctypes.c_char, TypeError), (ctypes.c_float, TypeError), ("f", TypeError), (Args, TypeError)]
case(
    "UserAtomic",
    lambda b, at, T: axptr.UserAtomic(at, T),
    at=(BASE, ADDRESS),
    T=(u32, [*NO_WORD, (u32 * 1, TypeError)]),
)
ATOM = axptr.UserAtomic(BASE)
case("UserAtomic.load", lambda b, p: ATOM.load(p or b.space), **PROVIDED)
case("UserAtomic.store", lambda b, p, v: ATOM.store(p or b.space, v), **PROVIDED, v=(WORD, VALUE))
case("UserAtomic.exchange", lambda b, p, v: ATOM.exchange(p or b.space, v), **PROVIDED, v=(WORD, VALUE))
case(
    "UserAtomic.compare_exchange",
    lambda b, p, old, new: ATOM.compare_exchange(p or b.space, old, new),
    **PROVIDED,
    old=(WORD, VALUE),
    new=(WORD, VALUE),
)
case(
    "UserAtomic.fetch_add",
    lambda b, p, v: ATOM.fetch_add(p or b.space, v),
    **PROVIDED,
    v=(0, [*VALUE[:3], (-(1 << 31) - 1, OverflowError), (1 << 32, OverflowError)]),
)
case("UserAtomic.fetch_or", lambda b, p, v: ATOM.fetch_or(p or b.space, v), **PROVIDED, v=(0, VALUE))
case("UserAtomic.fetch_and", lambda b, p, v: ATOM.fetch_and(p or b.space, v), **PROVIDED, v=((1 << 32) - 1, VALUE))
case("UserAtomic.fetch_xor", lambda b, p, v: ATOM.fetch_xor(p or b.space, v), **PROVIDED, v=(0, VALUE))

# search
RANGED: dict[str, tuple[Any, Bad]] = {
    **PROVIDED,
    "at": (BASE, ADDRESS),
    "n": (8, LIMIT),
    "access": (R, FLAGS),
}
case(
    "search",
    lambda b, p, at, n, access, v, align: list(axptr.search(p or b.space, v, at, n, access=access, align=align)),
    **RANGED,
    v=(b"text", [*BUFFER, (b"", ValueError)]),
    align=(1, ALIGN),
)
case(
    "search_value",
    lambda b, p, at, n, access, T, v, mask: list(
        axptr.search_value(p or b.space, T, v, at, n, access=access, mask=mask)
    ),
    **RANGED,
    T=(u32, TYPE),
    v=(WORD, VALUE),
    mask=(0xFF, [*LIMIT, (1 << 32, OverflowError)]),
)
case(
    "search_any",
    lambda b, p, at, n, access, T, v, align: list(
        axptr.search_any(p or b.space, T, v, at, n, access=access, align=align)
    ),
    **RANGED,
    T=(u32, [*TYPE, ("f", TypeError), ("HH", TypeError), (Args, TypeError)]),
    v=(
        [WORD, (5, 9)],
        [
            *((value, TypeError) for value in (5, None, 1.5, "text", [[5, 9]], [()], [(5,)], [(5, 6, 7)])),
            *(([value], error) for value, error in VALUE),
            *(([(0, value)], error) for value, error in VALUE),
            ([(9, 5)], ValueError),
        ],
    ),
    align=(1, ALIGN[:-1]),
)
case(
    "search_regex",
    lambda b, p, at, n, access, v, most: list(
        axptr.search_regex(p or b.space, v, at, n, access=access, max_match=most)
    ),
    **RANGED,
    v=(b"t.x", [("t.x", TypeError), (5, TypeError), (None, TypeError), (b"(", re.error)]),
    most=(9, [*SIZE, (0, ValueError)]),
)


class Pair(ctypes.Structure):
    _fields_ = [("a", u32), ("b", u32)]


class Colour(enum.IntEnum):
    RED = 1
    BIG = 300


case(
    "enum_type",
    lambda b, E, T: axptr.enum_type(E, T),
    E=(Colour, [(int, TypeError), (None, TypeError), (Colour.RED, TypeError), (enum.Enum, TypeError)]),
    T=(
        u32,
        [
            *[bad for bad in TYPE if isinstance(bad[0], type)],
            (ctypes.c_float, TypeError),
            ("2I", TypeError),
            (ctypes.c_uint8, OverflowError),
        ],
    ),
)


def error_of(call: Call) -> Exception | None:
    """What the call raised, without the traceback, which would keep alive all that the call used."""
    try:
        call()
    except Exception as error:
        return error.with_traceback(None)
    return None


ARGUMENTS = [(name, argument) for name, (_, arguments) in TABLE.items() for argument in arguments]


@pytest.mark.parametrize("name", TABLE)
def test_the_call_works_and_leaves_no_trace(bench: Bench, name: str) -> None:
    # else the next test would show nothing
    call, arguments = TABLE[name]
    before = bench.state()
    call(bench, **{argument: good for argument, (good, _) in arguments.items()})
    assert bench.state() == before


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=map("{0[0]}-{0[1]}".format, ARGUMENTS))
def test_bad_argument_is_refused_and_all_is_as_before(bench: Bench, name: str, argument: str) -> None:
    call, arguments = TABLE[name]
    values = {each: good for each, (good, _) in arguments.items()}
    for bad, error in arguments[argument][1]:
        before = bench.state()
        raised = error_of(lambda bad=bad: call(bench, **{**values, argument: bad}))
        assert type(raised) is error, (bad, raised)
        assert bench.state() == before, bad
        assert not axptr.is_accessing_user_memory()


# What has nothing to be wrong: no arguments, values only, or tested where it stands.
WITHOUT = {
    "AddrSpace.areas",
    "AddrSpace.clear",
    "AddrSpace.dirty_pages",
    "AddrSpace.format_maps",
    "AddrSpace.format_svg",
    "AddrSpace.snapshot",
    "AddrSpace.try_clone",
    "Snapshot",
    "Snapshot.areas",
    "Snapshot.resident_pages",
    "AddrSpace.stats",
    "PageTable.leaves",
    "UserConstPtr.nullable",
    "UserPtr.nullable",
    "UserPtr.as_const",
    "VirtAddrRange.contains_range",
    "VirtAddrRange.overlaps",
    "VirtAddrRange.pages",
    "AllocBackend",
    "Budget.renew",
    "UserSliceReader.read_all",
    "UserSliceReader.read_cstr",
    "UserSliceReader.clone",
    "UserFile.readable",
    "UserFile.writable",
    "UserFile.seekable",
    "UserFile.tell",
    "UserFile.readall",
    "access_user_memory",
    "default_memory",
    "is_accessing_user_memory",
}
# Values, protocols and constants; and the layers below, which have their own tests.
NOT_CALLS = {
    "Backend", "Copied", "Engine", "Exit", "Kernel", "MemoryArea", "PagingFormat", "Provider", "AddrSpaceProvider",
    "Task", "UnicornEngine", "UserMemory", "DataModel", "LP64", "LP64_BIG", "ILP32", "ILP32_BIG", "I386",
    "PAGE_SIZE", "X86_64", "AARCH64", "SV39", "SV48", "RegexMatch", "AsyncSandbox", "Pool", "Sandbox",
}  # fmt: skip


def test_every_public_function_is_here() -> None:
    wanted = set()
    for name in axptr.__all__:
        if name in NOT_CALLS:
            continue
        thing = getattr(axptr, name)
        if isinstance(thing, type) and issubclass(thing, (BaseException, axptr.FaultReason)):
            continue
        wanted.add(f"{name}[T]()" if thing in (UserPtr, UserConstPtr) else name)
        if isinstance(thing, type) and name not in ("PhysAddr", "access_user_memory"):
            for each in dir(thing):
                member = inspect.getattr_static(thing, each)
                is_call = callable(member) or isinstance(member, (staticmethod, classmethod))
                inherited = each in dir(int) or each in dir(tuple) or each in dir(axptr.Backend)
                inherited = inherited or (each in dir(RawIOBase) and each not in vars(thing))
                if not each.startswith("_") and is_call and not inherited:
                    wanted.add(f"{name}.{each}")
    assert wanted - set(TABLE) - WITHOUT == set()
    assert WITHOUT - wanted == set(), "a name that is not there any more"
