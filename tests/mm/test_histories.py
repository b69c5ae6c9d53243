"""Several spaces on one memory, their clones and snapshots, against a naive model that copies everything.

Hypothesis makes up runs of: map (fresh, private file, shared object, shared file, pager), unmap, protect, move,
discard, clone rules, reads and writes by pointer and debugger, live views, clones, snapshots and restores into any
space, `dirty_pages`. After each step the areas are those of the model, views show their bytes, and `_check()` holds for
every space and the memory. At the end every byte of every space and snapshot agrees, and every frame is back.

Not here: one space's rules in detail, growing stacks, strings (`test_model`).

    page 0 ... 11 from BASE, across a border of page tables
    private file: 3 1/2 pages    shared file: 4 pages    two shared objects: 4 pages each
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    FaultReason,
    LinuxError,
    MappingFlags,
    PhysMemory,
    SharedObject,
    UserConstPtr,
    UserFault,
    UserPtr,
)
from axptr.mm.pager import PagerBackend
from axptr.mm.snapshots.snapshot import Snapshot

NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
PAGES = 12
BASE = 0x8000_0000 - 5 * PAGE_SIZE
FILE = bytes(i % 253 + 1 for i in range(3 * PAGE_SIZE + PAGE_SIZE // 2))
PAGER_END = 6
char = ctypes.c_char

Cell = list[bytearray]
Outcome = tuple[str, Any]


def page_of_pager(index: int) -> bytes:
    return bytes([0x80 + index]) * PAGE_SIZE


def fetch(offset: int) -> bytes:
    if offset // PAGE_SIZE >= PAGER_END:
        raise EOFError
    return page_of_pager(offset // PAGE_SIZE)


PAGER = PagerBackend(fetch)


@dataclass
class Page:
    """`index`: of the page in its backing. `cell`: its bytes once they are its own, or those of what is shared."""

    flags: MappingFlags
    kind: str
    index: int
    cell: Cell | None = None
    rule: str = "copy"
    source: int = 0  # which pager it is

    @property
    def shared(self) -> bool:
        return self.kind not in ("alloc", "file", "pager")

    @property
    def may(self) -> MappingFlags:
        return self.flags | R if self.flags & W else self.flags

    def backing(self) -> bytes | None:
        """What a private page shows before it is written; None: past the end."""
        if self.kind == "alloc":
            return bytes(PAGE_SIZE)
        if self.kind == "file":
            return FILE[self.index * PAGE_SIZE :][:PAGE_SIZE].ljust(PAGE_SIZE, b"\0") if self.index < 4 else None
        if self.kind == "pager":
            return page_of_pager(self.index) if self.index < PAGER_END else None
        return None

    def bytes(self) -> bytes | None:
        return bytes(self.cell[0]) if self.cell is not None else self.backing()

    def own(self) -> bytearray:
        if self.cell is None:
            content = self.backing()
            assert content is not None
            self.cell = [bytearray(content)]
        return self.cell[0]

    def copied(self) -> Page:
        return replace(self, cell=self.cell if self.shared or self.cell is None else [bytearray(self.cell[0])])


@dataclass
class Model:
    pages: dict[int, Page] = field(default_factory=dict)
    must: set[int] = field(default_factory=set)  # pages that dirty_pages has to name ...
    may: set[int] = field(default_factory=set)  # ... and those it may
    bounds: int = 0

    def lost(self, n: int) -> None:
        self.must.discard(n)

    def areas(self) -> list[tuple[int, int, MappingFlags, str, str]]:
        found: list[tuple[int, int, MappingFlags, str, str]] = []
        last: Page | None = None
        for n in sorted(self.pages):
            page = self.pages[n]
            if last is not None and found[-1][1] == n and self.joins(last, page):
                found[-1] = (found[-1][0], n + 1, *found[-1][2:])
            else:
                found.append((n, n + 1, page.flags, page.kind, page.rule))
            last = page
        return found

    @staticmethod
    def joins(low: Page, high: Page) -> bool:
        same = (low.flags, low.kind, low.rule, low.source) == (high.flags, high.kind, high.rule, high.source)
        return same and (low.kind == "alloc" or low.index + 1 == high.index)


@dataclass
class Kept:
    """A snapshot and what the model keeps of it."""

    snap: Snapshot
    pages: dict[int, Page]
    objects: dict[str, list[bytes]]
    bounds: int


def outcome(call: Callable[[], Any]) -> Outcome:
    try:
        return "ok", call()
    except UserFault as caught:
        return "fault", (caught.reason, caught.address)
    except LinuxError as error:
        return "error", error.errno


numbers = st.integers(0, PAGES - 1)
counts = st.integers(1, 5)
which = st.integers(0, 99)
flag_sets = st.sampled_from([NONE, R, R | W, R | W, R | W, R | W, X])
offsets = st.one_of(st.integers(0, PAGE_SIZE - 1), st.sampled_from([0, PAGE_SIZE - 4, PAGE_SIZE - 1]))
small = st.binary(min_size=1, max_size=9)
KINDS = ["alloc", "alloc", "file", "pager", "shared0", "shared1", "sfile"]


class HistoryMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.phys = PhysMemory(1 << 26, poison=True)
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        self.file.write(FILE)
        self.file.flush()
        self.sfile = tempfile.TemporaryFile()  # noqa: SIM115
        self.sfile.write(bytes(4 * PAGE_SIZE))
        self.sfile.flush()
        self.objects = {f"shared{n}": SharedObject(self.phys, 4 * PAGE_SIZE) for n in range(2)}
        self.cells: dict[str, list[Cell]] = {
            name: [[bytearray(PAGE_SIZE)] for _ in range(4)] for name in ("shared0", "shared1", "sfile")
        }
        self.spaces = [(AddrSpace(BASE, PAGES * PAGE_SIZE, self.phys), Model())]
        self.kept: list[Kept] = []
        self.views: list[tuple[memoryview, list[tuple[Cell, int, int]]]] = []

    def pick(self, n: int) -> tuple[AddrSpace, Model]:
        return self.spaces[n % len(self.spaces)]

    @staticmethod
    def span(first: int, count: int) -> tuple[int, int, range]:
        count = min(count, PAGES - first)
        return BASE + first * PAGE_SIZE, count * PAGE_SIZE, range(first, first + count)

    # -- areas ---------------------------------------------------------------------------------------------

    @rule(s=which, first=numbers, count=counts, flags=flag_sets, kind=st.sampled_from(KINDS), index=st.integers(0, 3))
    def map(self, s: int, first: int, count: int, flags: MappingFlags, kind: str, index: int) -> None:
        space, model = self.pick(s)
        start, size, span = self.span(first, count)
        if kind == "alloc":
            space.map_alloc(start, size, flags, replace=True)
        elif kind == "file":
            space.map_file(start, size, flags, self.file, index * PAGE_SIZE, replace=True, name="file")
        elif kind == "sfile":
            space.map_file(start, size, flags, self.sfile, index * PAGE_SIZE, shared=True, replace=True, name="sfile")
        elif kind == "pager":
            backend = PAGER
            if index:
                backend = self.offset_pagers.setdefault(index, PagerBackend(fetch, index * PAGE_SIZE))
            space.map(start, size, flags, backend, replace=True, name=f"pager{index}")
        else:
            space.map_shared(start, size, flags, self.objects[kind], index * PAGE_SIZE, replace=True, name=kind)
        for n in span:
            model.lost(n)
            at = index + n - first
            page = Page(flags, kind, at)
            if page.shared:
                page.cell = self.cells[kind][at] if at < 4 else None
            if kind == "pager":
                page.source = index
            model.pages[n] = page

    offset_pagers: dict[int, PagerBackend] = {}

    @rule(s=which, first=numbers, count=counts)
    def unmap(self, s: int, first: int, count: int) -> None:
        space, model = self.pick(s)
        start, size, span = self.span(first, count)
        space.unmap(start, size)
        for n in span:
            model.lost(n)
            model.pages.pop(n, None)

    @rule(s=which, first=numbers, count=counts, flags=flag_sets)
    def protect(self, s: int, first: int, count: int, flags: MappingFlags) -> None:
        space, model = self.pick(s)
        start, size, span = self.span(first, count)
        found = outcome(lambda: space.protect(start, size, flags))
        if any(n not in model.pages for n in span):
            assert found == ("error", errno.ENOMEM)
            return
        assert found == ("ok", None)
        for n in span:
            model.pages[n] = replace(model.pages[n], flags=flags)

    @rule(s=which, first=numbers, count=st.integers(1, 3), how=st.sampled_from(["copy", "omit", "wipe"]))
    def clone_rule(self, s: int, first: int, count: int, how: str) -> None:
        space, model = self.pick(s)
        start, size, span = self.span(first, count)
        found = outcome(lambda: space.set_clone_rule(start, size, how))
        if any(n not in model.pages for n in span):
            assert found == ("error", errno.ENOMEM)
            return
        for n in span:
            model.pages[n] = replace(model.pages[n], rule=how)

    @rule(s=which, first=numbers, count=counts, to=numbers, keep=st.booleans())
    def move(self, s: int, first: int, count: int, to: int, keep: bool) -> None:
        space, model = self.pick(s)
        count = min(count, PAGES - first, PAGES - to)
        start, size, span = self.span(first, count)
        found = outcome(lambda: space.move(start, size, BASE + to * PAGE_SIZE, keep=keep))
        if to < first + count and first < to + count:
            assert found == ("error", errno.EINVAL)
            return
        if any(n in model.pages for n in range(to, to + count)):
            assert found == ("error", errno.EEXIST)
            return
        assert found == ("ok", None)
        for n in span:
            there = n - first + to
            dirty, maybe = n in model.must, n in model.may
            model.lost(n)
            if n in model.pages:
                model.pages[there] = model.pages.pop(n)
                model.must |= {there} if dirty else set()
                model.may |= {there} if maybe else set()
                if keep:
                    page = model.pages[there]
                    model.pages[n] = page if page.shared else replace(page, cell=None)

    @rule(s=which, first=numbers, count=counts)
    def discard(self, s: int, first: int, count: int) -> None:
        space, model = self.pick(s)
        start, size, span = self.span(first, count)
        space.discard(start, size)
        for n in span:
            model.lost(n)
            page = model.pages.get(n)
            if page is not None and not page.shared:
                model.pages[n] = replace(page, cell=None)

    # -- bytes ---------------------------------------------------------------------------------------------

    def refused(self, model: Model, vaddr: int, size: int, access: MappingFlags) -> tuple[Outcome | None, list[int]]:
        """The fault of a strict access, and the pages that were brought in before it."""
        first, last = (vaddr - BASE) // PAGE_SIZE, (vaddr + size - 1 - BASE) // PAGE_SIZE
        for n in range(first, last + 1):
            bad = max(vaddr, BASE + n * PAGE_SIZE)
            page = model.pages.get(n)
            if page is None:
                return ("fault", (FaultReason.UNMAPPED if n < PAGES else FaultReason.OUT_OF_RANGE, bad)), []
            if not page.may.has_all(access):
                return ("fault", (FaultReason.PROTECTION, bad)), []
        for n in range(first, last + 1):
            if model.pages[n].bytes() is None:
                bad = max(vaddr, BASE + n * PAGE_SIZE)
                return ("fault", (FaultReason.BACKING_FAILED, bad)), list(range(first, n))
        return None, list(range(first, last + 1))

    @staticmethod
    def cut(vaddr: int, size: int) -> int:
        return min(size, BASE + PAGES * PAGE_SIZE - vaddr)

    @rule(s=which, n=numbers, offset=offsets, data=small, debug=st.booleans())
    def write(self, s: int, n: int, offset: int, data: bytes, debug: bool) -> None:
        space, model = self.pick(s)
        vaddr = BASE + n * PAGE_SIZE + offset
        data = data[: self.cut(vaddr, len(data))]
        bad, touched = self.refused(model, vaddr, len(data), NONE if debug else W)
        if debug:
            found = outcome(lambda: space.write(vaddr, data))
        else:
            found = outcome(lambda: UserPtr[char](vaddr).write_slice(space, data))
        assert found == (bad or ("ok", None))
        if bad is not None:
            model.may.update(touched)
            return
        model.must.update(touched)
        for at, value in enumerate(data, vaddr - BASE):
            model.pages[at // PAGE_SIZE].own()[at % PAGE_SIZE] = value

    @rule(s=which, n=numbers, offset=offsets, size=st.integers(1, 9), debug=st.booleans())
    def read(self, s: int, n: int, offset: int, size: int, debug: bool) -> None:
        space, model = self.pick(s)
        vaddr = BASE + n * PAGE_SIZE + offset
        size = self.cut(vaddr, size)
        bad, _ = self.refused(model, vaddr, size, NONE if debug else R)
        if debug:
            found = outcome(lambda: space.read(vaddr, size))
        else:
            found = outcome(lambda: UserConstPtr[char](vaddr).read_slice(space, size))
        assert found == (bad or ("ok", self.shown(model, vaddr, size)))

    @staticmethod
    def shown(model: Model, vaddr: int, size: int) -> bytes:
        found = b""
        while len(found) < size:
            at = vaddr + len(found) - BASE
            content = model.pages[at // PAGE_SIZE].bytes()
            assert content is not None
            found += content[at % PAGE_SIZE :][: size - len(found)]
        return found

    @rule(s=which, first=numbers, count=counts)
    def populate(self, s: int, first: int, count: int) -> None:
        space, model = self.pick(s)
        start, size, span = self.span(first, count)
        ok = all(n in model.pages and model.pages[n].may & R and model.pages[n].bytes() is not None for n in span)
        assert (outcome(lambda: space.populate_area(start, size, R))[0] == "ok") == ok

    # -- views ---------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.views) < 5)
    @rule(s=which, n=numbers, offset=offsets, size=st.sampled_from([1, 8, PAGE_SIZE + 4]), const=st.booleans())
    def take_view(self, s: int, n: int, offset: int, size: int, const: bool) -> None:
        space, model = self.pick(s)
        vaddr = BASE + n * PAGE_SIZE + offset
        size = self.cut(vaddr, size)
        bad, touched = self.refused(model, vaddr, size, R if const else R | W)
        kind: Any = UserConstPtr[char] if const else UserPtr[char]
        found = outcome(lambda: kind(vaddr).get_as_slice(space, size))
        if bad is not None:
            assert found == bad
            model.may.update([] if const else touched)
            return
        assert found[0] == "ok", found
        if not const:
            model.must.update(touched)
            model.may.update(touched)
        parts: list[tuple[Cell, int, int]] = []
        at = vaddr - BASE
        while at < vaddr - BASE + size:
            step = min(PAGE_SIZE - at % PAGE_SIZE, vaddr - BASE + size - at)
            page = model.pages[at // PAGE_SIZE]
            page.own()
            assert page.cell is not None
            parts.append((page.cell, at % PAGE_SIZE, step))
            at += step
        self.views.append((found[1], parts))

    @precondition(lambda self: self.views)
    @rule(v=which)
    def drop_view(self, v: int) -> None:
        del self.views[v % len(self.views)]

    @precondition(lambda self: self.views)
    @rule(v=which, at=st.integers(0, PAGE_SIZE), value=st.integers(0, 255))
    def write_through_view(self, v: int, at: int, value: int) -> None:
        view, parts = self.views[v % len(self.views)]
        if view.readonly:
            return
        index = at % len(view)
        mapped = {id(page.cell) for _, model in self.spaces for page in model.pages.values()}
        files = {id(cell) for cell in self.cells["sfile"]}
        if any(id(cell) in files and id(cell) not in mapped for cell, _, _ in parts):
            return  # nothing leads from this view to the file any more
        view[index] = value
        for cell, offset, size in parts:
            if index < size:
                cell[0][offset + index] = value
                for _, model in self.spaces:
                    model.must |= {
                        n for n, page in model.pages.items() if page.cell is cell and n in model.may and not page.shared
                    }
                return
            index -= size

    # -- histories -----------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.spaces) < 4)
    @rule(s=which)
    def clone(self, s: int) -> None:
        space, model = self.pick(s)
        twin = Model(bounds=model.bounds)
        for n, page in model.pages.items():
            if page.rule == "omit":
                continue
            if page.rule == "wipe" and not page.shared:
                twin.pages[n] = replace(page, cell=None)
                continue
            twin.pages[n] = page.copied()
            if page.rule == "copy":
                twin.must |= {n} & model.must
        twin.may = set(range(PAGES))
        self.spaces.append((space.try_clone(), twin))

    @precondition(lambda self: len(self.spaces) > 1)
    @rule(s=which)
    def end_space(self, s: int) -> None:
        del self.spaces[s % len(self.spaces)]

    @precondition(lambda self: len(self.kept) < 6)
    @rule(s=which, bounds=st.integers(0, 9))
    def snapshot(self, s: int, bounds: int) -> None:
        space, model = self.pick(s)
        space.bounds["x"] = model.bounds = bounds
        mapped = {page.kind for page in model.pages.values()} & set(self.objects)
        self.kept.append(
            Kept(
                space.snapshot(),
                {n: page.copied() for n, page in model.pages.items()},
                {name: [bytes(cell[0]) for cell in self.cells[name]] for name in mapped},
                bounds,
            )
        )

    @precondition(lambda self: self.kept)
    @rule(k=which)
    def drop_snapshot(self, k: int) -> None:
        del self.kept[k % len(self.kept)]

    @precondition(lambda self: self.kept)
    @rule(k=which, s=which)
    def restore(self, k: int, s: int) -> None:
        space, model = self.pick(s)
        kept = self.kept[k % len(self.kept)]
        viewed = {id(cell): cell for _, parts in self.views for cell, _, _ in parts}
        there = set(space.resident_pages())
        then = set(kept.snap.resident_pages())
        space.restore(kept.snap)
        pages = {n: page.copied() for n, page in kept.pages.items()}
        for n, page in pages.items():
            old = model.pages.get(n)
            # A private page under a view is written in place, if there is something to write.
            if old is None or old.shared or old.cell is None or id(old.cell) not in viewed or page.shared:
                continue
            content = page.bytes()
            if BASE + n * PAGE_SIZE not in there or content is None:
                continue
            if page.kind == "pager" and BASE + n * PAGE_SIZE not in then:
                continue
            old.cell[0][:] = content
            page.cell = old.cell
        model.pages = pages
        model.bounds = kept.bounds
        for name, contents in kept.objects.items():
            for cell, content in zip(self.cells[name], contents, strict=True):
                cell[0][:] = content
        model.must.clear()
        model.may = set(range(PAGES))
        assert space.bounds["x"] == kept.bounds

    @rule(s=which, clear=st.booleans())
    def dirty_pages(self, s: int, clear: bool) -> None:
        space, model = self.pick(s)
        found = {(at - BASE) // PAGE_SIZE for at in space.dirty_pages(clear=clear)}
        assert model.must <= found <= model.must | model.may
        if clear:
            model.must.clear()
            watched = {id(cell) for view, parts in self.views if not view.readonly for cell, _, _ in parts}
            model.may = {n for n, page in model.pages.items() if id(page.cell) in watched}

    # -- comparing -----------------------------------------------------------------------------------------

    @rule(s=which)
    def compare(self, s: int) -> None:
        self.same(*self.pick(s))

    @staticmethod
    def same(space: AddrSpace, model: Model) -> None:
        for n, page in model.pages.items():
            content = page.bytes()
            if content is not None:
                assert space.read(BASE + n * PAGE_SIZE, PAGE_SIZE) == content, n

    @precondition(lambda self: self.kept)
    @rule(k=which)
    def compare_snapshot(self, k: int) -> None:
        kept = self.kept[k % len(self.kept)]
        for n, page in kept.pages.items():
            content = (
                kept.objects[page.kind][page.index] if page.kind in kept.objects and page.index < 4 else page.bytes()
            )
            if content is not None:
                assert kept.snap.read(BASE + n * PAGE_SIZE, PAGE_SIZE) == content, n

    @invariant()
    def books_are_right(self) -> None:
        if not hasattr(self, "spaces"):
            return
        for space, model in self.spaces:
            space._check()
            found = [
                ((a.start - BASE) // PAGE_SIZE, (a.end - BASE) // PAGE_SIZE, a.flags, a.clone_rule)
                for a in space.areas()
            ]
            assert [(a[0], a[1], a[2], a[4]) for a in model.areas()] == found
        for kept in self.kept:
            kept.snap._frozen._check()
            kept.snap._epoch._check()
        self.phys._check()

    @invariant()
    def every_frame_has_the_holders_that_can_be_seen(self) -> None:
        if not hasattr(self, "spaces"):
            return
        stores = {id(each.store): each.store for each in self.objects.values()}
        stores.update((id(store), store) for store in self.phys.caches.values())
        for kept in self.kept:
            stores.update((id(copy), copy) for _, copy, _ in kept.snap._captures)
        holders: Counter[int] = Counter()
        for store in stores.values():
            store._check()
            holders.update(store.frames())
        for space in (*(space for space, _ in self.spaces), *(kept.snap._frozen for kept in self.kept)):
            if space._epoch is not None:
                space._epoch._check()
            for page in space.resident_pages():
                found = space.query(page)
                assert found is not None
                holders[int(found[0])] += 1
        assert {frame: self.phys.refcount(frame) for frame in holders} == dict(holders)

    @invariant()
    def views_show_their_bytes(self) -> None:
        for view, parts in getattr(self, "views", []):
            assert view.tobytes() == b"".join(bytes(cell[0][at : at + size]) for cell, at, size in parts)

    def teardown(self) -> None:
        if not hasattr(self, "spaces"):
            return
        if sys.exc_info()[0] is not None:
            self.file.close()
            self.sfile.close()
            return
        for space, model in self.spaces:
            self.same(space, model)
        while self.kept:
            self.compare_snapshot(0)  # type: ignore[call-arg]
            self.kept.pop(0)
        self.views.clear()
        self.spaces.clear()
        del space, model
        assert os.pread(self.sfile.fileno(), 8 * PAGE_SIZE, 0) == b"".join(bytes(c[0]) for c in self.cells["sfile"])
        self.objects.clear()
        self.file.close()
        self.sfile.close()
        if self.phys.frames_in_use:
            gc.collect()
        assert self.phys.frames_in_use == 0
        self.phys._check()


CI = settings(
    max_examples=250,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def test_histories_agree_with_the_model() -> None:
    run_state_machine_as_test(HistoryMachine, settings=CI)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_histories_agree_with_the_model_for_long() -> None:
    examples = int(os.environ.get("AXPTR_EXAMPLES", "3000"))
    run_state_machine_as_test(
        HistoryMachine, settings=settings(CI, max_examples=examples, stateful_step_count=80, derandomize=False)
    )
