"""AddrSpace against a naive model: a dictionary from page to bytes and flags, and nothing clever. In every format.

Hypothesis makes up runs of calls and shrinks what differs. After each call: the same result or the same error (errno,
reason, first bad byte, bytes done), an error changed nothing, areas are those of the model, and `_check()` of the space
and of its memory hold. At the end every frame is back.

    page 0 ... 23 from BASE          the part of the space where areas come and go
    up to 8 pages of frames, a file of 3 1/2 pages
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
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
    AARCH64,
    PAGE_SIZE,
    SV39,
    SV48,
    X86_64,
    AddrSpace,
    FaultReason,
    LinuxError,
    MappingFlags,
    MemoryArea,
    PhysMemory,
    UserConstPtr,
    UserFault,
    UserPtr,
    VirtAddrRange,
)

NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
PAGES = 24
BASE = 0x7F_FFF0_0000  # from here on the pages lie in three page tables: a 1 GiB border is at page 16 ...
BASE = 0x8000_0000 - 16 * PAGE_SIZE  # ... and every 2 MiB border in between is one too
FRAMES = 8
FILE = bytes(i % 255 + 1 for i in range(3 * PAGE_SIZE + PAGE_SIZE // 2))
GUARD_GAP = 256


@dataclass
class Page:
    """What the model knows of a page. `data` is a list of one, so that pages of a window share it."""

    flags: MappingFlags
    data: list[bytearray] | None  # None: past the end of its file
    area: object  # what it was mapped by: pages with the same may be one area
    grow: int = 0  # lowest page it may grow to, for a stack
    write_only: bool = False  # whether WRITE is there without READ: on AArch64 alone

    @property
    def may(self) -> MappingFlags:
        """What an access is granted: on x86-64 and RISC-V WRITE grants READ."""
        return self.flags | R if self.flags & W and not self.write_only else self.flags


Outcome = tuple[str, Any]


def outcome(call: Callable[[], Any]) -> Outcome:
    """The result, or the error in the terms that the model knows."""
    try:
        return "ok", call()
    except UserFault as fault:
        return "fault", (fault.reason, fault.address, fault.completed)
    except LinuxError as error:
        return "error", error.errno


def fault(reason: FaultReason, address: int, completed: int) -> Outcome:
    return "fault", (reason, address, completed)


class Model:
    """The pages, and what each call does to them."""

    def __init__(self, write_only: bool) -> None:
        self.write_only = write_only
        self.pages: dict[int, Page] = {}
        self.frames = [[bytearray(PAGE_SIZE)] for _ in range(FRAMES)]
        self.serial = 0

    def page(self, vaddr: int) -> Page | None:
        return self.pages.get((vaddr - BASE) // PAGE_SIZE)

    # -- mapping -------------------------------------------------------------------------------------------

    def map(self, first: int, count: int, make: Callable[[int], Page], replacing: bool) -> Outcome:
        if not replacing and any(n in self.pages for n in range(first, first + count)):
            return "error", errno.EEXIST
        for n in range(first, first + count):
            self.pages[n] = replace(make(n), write_only=self.write_only)
        return "ok", None

    def unmap(self, first: int, count: int) -> Outcome:
        for n in range(first, first + count):
            self.pages.pop(n, None)
        return "ok", None

    def protect(self, first: int, count: int, flags: MappingFlags) -> Outcome:
        if any(n not in self.pages for n in range(first, first + count)):
            return "error", errno.ENOMEM
        for n in range(first, first + count):
            self.pages[n] = replace(self.pages[n], flags=flags)
        return "ok", None

    # -- access --------------------------------------------------------------------------------------------

    def growable(self, n: int) -> Page | None:
        """The stack that may grow down to page n, which is not mapped."""
        above = next((m for m in range(n + 1, PAGES) if m in self.pages), None)
        if above is None or not self.pages[above].grow or n < self.pages[above].grow:
            return None
        below = next((m for m in range(n - 1, -1, -1) if m in self.pages), None)
        barrier = below is not None and not self.pages[below].grow and self.pages[below].flags & 7
        if below is not None and barrier and n - below - 1 < GUARD_GAP:
            return None
        return self.pages[above]

    def grow(self, n: int) -> None:
        stack = self.growable(n)
        assert stack is not None
        m = n
        while m not in self.pages:
            self.pages[m] = replace(stack, data=[bytearray(PAGE_SIZE)])
            m += 1

    def check(self, vaddr: int, size: int, access: MappingFlags) -> Outcome | None:
        """The fault that stops an access of the range, before anything is looked at; None if there is none."""
        for at in VirtAddrRange.from_start_size(vaddr, size).pages():
            n = (at - BASE) // PAGE_SIZE
            page = self.pages.get(n) or self.growable(n)
            bad = max(at, vaddr)
            if page is None:
                return fault(FaultReason.UNMAPPED, bad, bad - vaddr)
            if not page.may.has_all(access):
                return fault(FaultReason.PROTECTION, bad, bad - vaddr)
        return None

    def bring_in(self, vaddr: int, size: int, access: MappingFlags) -> Outcome | None:
        """Page by page: grow what can, stop at what has no bytes."""
        for at in VirtAddrRange.from_start_size(vaddr, size).pages():
            n = (at - BASE) // PAGE_SIZE
            bad = max(at, vaddr)
            for bit in access:
                page = self.pages.get(n) or self.growable(n)
                if page is None:
                    return fault(FaultReason.UNMAPPED, bad, bad - vaddr)
                grown = n not in self.pages
                if grown:
                    self.grow(n)
                if not page.may.has_all(bit):
                    return fault(FaultReason.PROTECTION, bad, bad - vaddr)
                if not grown and page.data is None:
                    return fault(FaultReason.BACKING_FAILED, bad, bad - vaddr)
        return None

    def access(self, vaddr: int, size: int, align: int, access: MappingFlags) -> Outcome | None:
        """A strict access: aligned, granted, present; the first that fails."""
        if vaddr % align:
            return fault(FaultReason.MISALIGNED, vaddr, 0)
        if size == 0:
            return None
        return self.check(vaddr, size, access) or self.bring_in(vaddr, size, access)

    def get(self, vaddr: int, size: int) -> bytes:
        return bytes(self.page(at).data[0][at % PAGE_SIZE] for at in range(vaddr, vaddr + size))  # type: ignore[union-attr, index]

    def put(self, vaddr: int, data: bytes) -> None:
        for at, value in enumerate(data, vaddr):
            page = self.page(at)
            assert page is not None
            assert page.data is not None
            page.data[0][at % PAGE_SIZE] = value

    def read(self, vaddr: int, size: int, align: int = 1) -> Outcome:
        return self.access(vaddr, size, align, R) or ("ok", self.get(vaddr, size))

    def write(self, vaddr: int, data: bytes, align: int = 1) -> Outcome:
        bad = self.access(vaddr, len(data), align, W)
        if bad is None:
            self.put(vaddr, data)
        return bad or ("ok", None)

    def debug(self, vaddr: int, size: int, data: bytes | None) -> Outcome:
        """A debugger's copy: no rights asked for, nothing grows, whole or nothing."""
        for need_bytes in (False, True):
            for at in VirtAddrRange.from_start_size(vaddr, size).pages():
                n, bad = (at - BASE) // PAGE_SIZE, max(at, vaddr)
                page = self.pages.get(n)
                if page is None and (need_bytes or self.growable(n) is None):
                    return fault(FaultReason.UNMAPPED, bad, bad - vaddr)
                if need_bytes and page is not None and page.data is None:
                    return fault(FaultReason.BACKING_FAILED, bad, bad - vaddr)
        if data is None:
            return "ok", self.get(vaddr, size)
        self.put(vaddr, data)
        return "ok", None

    def partial(self, vaddr: int, size: int, access: MappingFlags) -> tuple[int, tuple[Any, ...] | None]:
        """Bytes until one fails, and reason and address of the failure."""
        bad = self.bring_in(vaddr, size, access) if size else None
        if bad is None:
            return size, None
        reason, address, completed = bad[1]
        return completed, (reason, address)

    def text(self, vaddr: int, size: int, align: int, access: MappingFlags, limit: int | None) -> Outcome:
        """Bytes before an all-zero element, an element at a time."""
        if vaddr % align:
            return fault(FaultReason.MISALIGNED, vaddr, 0)
        at, length = vaddr, 0
        while True:
            bad = self.bring_in(at, size, access)
            if bad is not None:
                reason, address, _ = bad[1]
                return fault(reason, address, address - vaddr)
            if not any(self.get(at, size)):
                return "ok", self.get(vaddr, length * size)
            length += 1
            at += size
            if limit is not None and length > limit:
                return "error", errno.ENAMETOOLONG

    def room(self, hint: int, count: int, topdown: bool) -> int | None:
        starts = range(PAGES - count, -1, -1) if topdown else range(hint, PAGES - count + 1)
        for n in starts:
            if not any(m in self.pages for m in range(n, n + count)):
                return BASE + n * PAGE_SIZE
        return None


class Pair(ctypes.Structure):
    _fields_ = [("a", ctypes.c_uint16), ("b", ctypes.c_uint64)]


class Triple(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("a", ctypes.c_uint16), ("b", ctypes.c_uint8)]


TYPES: list[Any] = [
    ctypes.c_uint8,
    ctypes.c_uint16,
    ctypes.c_uint32,
    ctypes.c_uint64,
    Pair,
    Triple,
    UserPtr[ctypes.c_char],
]

page_numbers = st.integers(0, PAGES - 1)
counts = st.integers(1, 6)
flags = st.sampled_from([NONE, R, R | W, R | W, R | W, R | X, W, X])
# Addresses cluster around the borders of pages, where things go wrong.
addresses = st.builds(
    lambda page, offset: BASE + page * PAGE_SIZE + offset,
    page_numbers,
    st.one_of(
        st.integers(0, PAGE_SIZE - 1), st.integers(-9, 9), st.sampled_from([0, 8, 16, PAGE_SIZE - 8, PAGE_SIZE - 16])
    ),
).filter(lambda at: BASE <= at < BASE + PAGES * PAGE_SIZE)
sizes = st.one_of(st.integers(0, 40), st.sampled_from([PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 2 * PAGE_SIZE + 5]))
small = st.binary(min_size=1, max_size=40)
limits = st.one_of(st.none(), st.integers(0, 40), st.integers(0, 3 * PAGE_SIZE))


class SpaceMachine(RuleBasedStateMachine):
    fmt = X86_64

    @initialize()
    def begin(self) -> None:
        self.phys = PhysMemory(1 << 26, poison=True)
        self.space = AddrSpace(BASE, PAGES * PAGE_SIZE, self.phys, self.fmt)
        self.model = Model(self.fmt is AARCH64)
        self.window = self.phys.alloc(FRAMES)
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        self.file.write(FILE)
        self.file.flush()
        self.views: list[tuple[Any, bytes | None, list[tuple[list[bytearray], int, int]]]] = []

    # -- how a call is compared -------------------------------------------------------------------------------

    def agree(self, ours: Outcome, model: Outcome) -> None:
        assert ours == model

    def clip(self, first: int, count: int) -> int:
        return min(count, PAGES - first)

    def cut(self, vaddr: int, size: int) -> int:
        """Sizes end with the space: what lies outside has tests of its own."""
        return min(size, BASE + PAGES * PAGE_SIZE - vaddr)

    # -- mapping -------------------------------------------------------------------------------------------

    @rule(first=page_numbers, count=counts, flags=flags, replacing=st.booleans(), populate=st.booleans())
    def map_alloc(self, first: int, count: int, flags: MappingFlags, replacing: bool, populate: bool) -> None:
        count = self.clip(first, count)
        self.agree(
            outcome(
                lambda: self.space.map_alloc(
                    BASE + first * PAGE_SIZE, count * PAGE_SIZE, flags, replace=replacing, populate=populate
                )
            ),
            self.model.map(first, count, lambda n: Page(flags, [bytearray(PAGE_SIZE)], "alloc"), replacing),
        )

    @rule(first=page_numbers, grows=st.integers(1, 12), flags=st.sampled_from([R | W, R]))
    def map_stack(self, first: int, grows: int, flags: MappingFlags) -> None:
        lowest = max(first + 1 - grows, 0)
        self.agree(
            outcome(
                lambda: self.space.map_alloc(
                    BASE + first * PAGE_SIZE, PAGE_SIZE, flags, grows_down=grows * PAGE_SIZE, name="stack"
                )
            ),
            self.model.map(
                first, 1, lambda n: Page(flags, [bytearray(PAGE_SIZE)], ("stack", lowest), lowest or -1), False
            ),
        )

    @rule(first=page_numbers, count=counts, frame=st.integers(0, FRAMES - 1), flags=flags, replacing=st.booleans())
    def map_linear(self, first: int, count: int, frame: int, flags: MappingFlags, replacing: bool) -> None:
        count = min(self.clip(first, count), FRAMES - frame)
        self.agree(
            outcome(
                lambda: self.space.map_linear(
                    BASE + first * PAGE_SIZE,
                    self.window + frame * PAGE_SIZE,
                    count * PAGE_SIZE,
                    flags,
                    replace=replacing,
                )
            ),
            self.model.map(
                first,
                count,
                lambda n: Page(flags, self.model.frames[frame + n - first], ("linear", frame - first)),
                replacing,
            ),
        )

    @rule(first=page_numbers, count=counts, offset=st.integers(0, 4), flags=flags, replacing=st.booleans())
    def map_file(self, first: int, count: int, offset: int, flags: MappingFlags, replacing: bool) -> None:
        count = self.clip(first, count)

        def make(n: int) -> Page:
            part = FILE[(offset + n - first) * PAGE_SIZE :][:PAGE_SIZE]
            return Page(flags, [bytearray(part.ljust(PAGE_SIZE, b"\0"))] if part else None, ("file", offset - first))

        self.agree(
            outcome(
                lambda: self.space.map_file(
                    BASE + first * PAGE_SIZE,
                    count * PAGE_SIZE,
                    flags,
                    self.file,
                    offset * PAGE_SIZE,
                    replace=replacing,
                    name="file",
                )
            ),
            self.model.map(first, count, make, replacing),
        )

    @rule(first=page_numbers, count=counts)
    def unmap(self, first: int, count: int) -> None:
        count = self.clip(first, count)
        self.agree(
            outcome(lambda: self.space.unmap(BASE + first * PAGE_SIZE, count * PAGE_SIZE)),
            self.model.unmap(first, count),
        )

    @rule(first=page_numbers, count=counts, flags=flags)
    def protect(self, first: int, count: int, flags: MappingFlags) -> None:
        count = self.clip(first, count)
        self.agree(
            outcome(lambda: self.space.protect(BASE + first * PAGE_SIZE, count * PAGE_SIZE, flags)),
            self.model.protect(first, count, flags),
        )

    @rule(data=st.data())
    def protect_what_is_mapped(self, data: st.DataObject) -> None:
        """Flags come and go on pages that have bytes: the case that matters, drawn more often."""
        if self.model.pages:
            self.protect(data.draw(st.sampled_from(sorted(self.model.pages))), 1, data.draw(flags))

    @rule(first=page_numbers, count=counts, topdown=st.booleans())
    def find_free_area(self, first: int, count: int, topdown: bool) -> None:
        found = self.space.find_free_area(
            BASE + first * PAGE_SIZE,
            count * PAGE_SIZE,
            VirtAddrRange.from_start_size(BASE, PAGES * PAGE_SIZE),
            topdown=topdown,
        )
        assert found == self.model.room(first, count, topdown)

    # -- pages ---------------------------------------------------------------------------------------------

    @rule(vaddr=addresses, size=sizes, access=st.sampled_from([R, W, R | W]))
    def populate_area(self, vaddr: int, size: int, access: MappingFlags) -> None:
        size = self.cut(vaddr, size)
        self.agree(
            outcome(lambda: self.space.populate_area(vaddr, size, access)),
            (self.model.bring_in(vaddr, size, access) if size else None) or ("ok", None),
        )

    @rule(vaddr=addresses, access=st.sampled_from([R, W, X]))
    def handle_page_fault(self, vaddr: int, access: MappingFlags) -> None:
        self.agree(
            outcome(lambda: self.space.handle_page_fault(vaddr, access)),
            ("ok", self.model.bring_in(vaddr, 1, access) is None),
        )

    @rule(vaddr=addresses, size=sizes, access=st.sampled_from([NONE, R, W, R | W, X]))
    def check_region_access(self, vaddr: int, size: int, access: MappingFlags) -> None:
        size = self.cut(vaddr, size)
        found = self.space.check_region_access(VirtAddrRange.from_start_size(vaddr, size), access)
        assert found == (self.model.check(vaddr, size, access) is None)

    # -- values --------------------------------------------------------------------------------------------

    @rule(vaddr=addresses, T=st.sampled_from(TYPES), aligned=st.booleans())
    def pointer_read(self, vaddr: int, T: Any, aligned: bool) -> None:
        kind = UserConstPtr[T]
        vaddr -= vaddr % kind.align if aligned else 0
        size = self.cut(vaddr, kind.size)
        if size < kind.size:
            return
        self.agree(
            self.as_bytes(outcome(lambda: kind(vaddr).read(self.space)), kind), self.model.read(vaddr, size, kind.align)
        )
        self.agree(
            self.as_bytes(outcome(lambda: kind(vaddr).read_unaligned(self.space)), kind), self.model.read(vaddr, size)
        )

    @staticmethod
    def as_bytes(found: Outcome, kind: Any) -> Outcome:
        word, value = found
        if word != "ok":
            return found
        if isinstance(value, (ctypes.Structure, ctypes.Array)):
            return word, bytes(value)
        return word, int(value).to_bytes(kind.size, "little")

    @rule(vaddr=addresses, T=st.sampled_from(TYPES), aligned=st.booleans(), raw=st.binary(min_size=16, max_size=16))
    def pointer_write(self, vaddr: int, T: Any, aligned: bool, raw: bytes) -> None:
        kind = UserPtr[T]
        vaddr -= vaddr % kind.align if aligned else 0
        raw = raw[: kind.size]
        if self.cut(vaddr, kind.size) < kind.size:
            return
        plain = isinstance(T, type) and issubclass(T, ctypes.Structure)
        value: Any = T.from_buffer_copy(raw) if plain else int.from_bytes(raw, "little")
        self.agree(outcome(lambda: kind(vaddr).write(self.space, value)), self.model.write(vaddr, raw, kind.align))
        self.agree(outcome(lambda: kind(vaddr).write_unaligned(self.space, value)), self.model.write(vaddr, raw))

    @rule(vaddr=addresses, size=sizes)
    def read_slice(self, vaddr: int, size: int) -> None:
        size = self.cut(vaddr, size)
        self.agree(
            outcome(lambda: UserConstPtr[ctypes.c_char](vaddr).read_slice(self.space, size)),
            self.model.read(vaddr, size),
        )

    @rule(vaddr=addresses, size=sizes, pattern=small)
    def write_slice(self, vaddr: int, size: int, pattern: bytes) -> None:
        data = (pattern * (size // len(pattern) + 1))[: self.cut(vaddr, size)]
        self.agree(
            outcome(lambda: UserPtr[ctypes.c_char](vaddr).write_slice(self.space, data)), self.model.write(vaddr, data)
        )

    @rule(vaddr=addresses, size=sizes)
    def copy_in(self, vaddr: int, size: int) -> None:
        size = self.cut(vaddr, size)
        buffer = bytearray(b"?" * size)
        done = UserPtr[ctypes.c_char](vaddr).copy_in(self.space, buffer)
        wanted, cause = self.model.partial(vaddr, size, R)
        assert done == wanted
        assert buffer == self.model.get(vaddr, wanted) + b"?" * (size - wanted)
        self.same_cause(done, vaddr, cause)

    @rule(vaddr=addresses, size=sizes, pattern=small)
    def copy_out(self, vaddr: int, size: int, pattern: bytes) -> None:
        data = (pattern * (size // len(pattern) + 1))[: self.cut(vaddr, size)]
        done = UserPtr[ctypes.c_char](vaddr).copy_out(self.space, data)
        wanted, cause = self.model.partial(vaddr, len(data), W)
        assert done == wanted
        self.model.put(vaddr, data[:wanted])
        self.same_cause(done, vaddr, cause)

    @staticmethod
    def same_cause(done: Any, vaddr: int, cause: tuple[Any, ...] | None) -> None:
        if cause is None:
            assert type(done) is int
        else:
            assert (done.fault.reason, done.fault.address, done.fault.completed) == (*cause, done)

    @rule(vaddr=addresses, size=sizes)
    def read(self, vaddr: int, size: int) -> None:
        size = self.cut(vaddr, size)
        self.agree(outcome(lambda: self.space.read(vaddr, size)), self.model.debug(vaddr, size, None))

    @rule(vaddr=addresses, size=sizes, pattern=small)
    def write(self, vaddr: int, size: int, pattern: bytes) -> None:
        data = (pattern * (size // len(pattern) + 1))[: self.cut(vaddr, size)]
        self.agree(outcome(lambda: self.space.write(vaddr, data)), self.model.debug(vaddr, len(data), data))

    # -- strings -------------------------------------------------------------------------------------------

    @rule(vaddr=addresses, limit=limits)
    def read_cstr(self, vaddr: int, limit: int | None) -> None:
        self.agree(
            self.in_space(outcome(lambda: UserConstPtr[ctypes.c_char](vaddr).read_cstr(self.space, limit))),
            self.model.text(vaddr, 1, 1, R, limit),
        )

    @rule(vaddr=addresses, T=st.sampled_from([ctypes.c_uint16, ctypes.c_uint64, Triple]), limit=limits)
    def null_terminated(self, vaddr: int, T: Any, limit: int | None) -> None:
        from axptr import Layout, check_null_terminated

        layout = Layout.of(T)
        vaddr -= vaddr % 2
        found = self.in_space(outcome(lambda: check_null_terminated(self.space, vaddr, T, R, limit)))
        wanted = self.model.text(vaddr, layout.size, layout.align, R, limit)
        if wanted[0] == "ok":
            wanted = "ok", (vaddr, len(wanted[1]) // layout.size)
        self.agree(found, wanted)

    @staticmethod
    def in_space(found: Outcome) -> Outcome:
        """Past the last page the space says out of range, the model unmapped."""
        if found[0] == "fault" and found[1][0] is FaultReason.OUT_OF_RANGE:
            assert found[1][1] == BASE + PAGES * PAGE_SIZE
            return "fault", (FaultReason.UNMAPPED, *found[1][1:])
        return found

    # -- live views ----------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.views) < 4)
    @rule(vaddr=addresses, size=st.one_of(st.integers(1, 40), st.integers(1, 3 * PAGE_SIZE)), const=st.booleans())
    def take_view(self, vaddr: int, size: int, const: bool) -> None:
        """A view of what is there: from now on it shows those very bytes, whoever owns them."""
        size = self.cut(vaddr, size)
        kind: Any = UserConstPtr[ctypes.c_char] if const else UserPtr[ctypes.c_char]
        access = R if const else R | W
        bad = self.model.access(vaddr, size, 1, access)
        found = outcome(lambda: kind(vaddr).get_as_slice(self.space, size))
        if bad is not None:
            self.agree(found, bad)
            return
        assert found[0] == "ok", found
        parts = []
        at = vaddr
        while at < vaddr + size:
            step = min(PAGE_SIZE - at % PAGE_SIZE, vaddr + size - at)
            parts.append((self.model.page(at).data, at % PAGE_SIZE, step))  # type: ignore[union-attr]
            at += step
        self.views.append((found[1], None, parts))  # type: ignore[arg-type]

    @precondition(lambda self: self.views)
    @rule(data=st.data())
    def drop_view(self, data: st.DataObject) -> None:
        del self.views[data.draw(st.integers(0, len(self.views) - 1))]

    @precondition(lambda self: self.views)
    @rule(data=st.data(), value=st.integers(0, 255))
    def write_through_view(self, data: st.DataObject, value: int) -> None:
        view, _, parts = self.views[data.draw(st.integers(0, len(self.views) - 1))]
        if view.readonly:
            return
        index = data.draw(st.integers(0, len(view) - 1))
        view[index] = value
        for store, offset, size in parts:
            if index < size:
                store[0][offset + index] = value
                return
            index -= size

    # -- after each step -----------------------------------------------------------------------------------

    @invariant()
    def books_are_right(self) -> None:
        self.space._check()
        self.phys._check()

    @invariant()
    def areas_are_those_of_the_model(self) -> None:
        expected: list[tuple[int, int, MappingFlags]] = []
        last: Page | None = None
        previous = None
        for n in sorted(self.model.pages):
            page = self.model.pages[n]
            joins = last is not None and previous == n - 1 and (last.flags, last.area) == (page.flags, page.area)
            if last is not None and previous == n - 1 and last.grow and page.grow and last.flags == page.flags:
                joins = True  # stacks that grew together may be two areas or one
            if joins:
                expected[-1] = expected[-1][0], n + 1, page.flags
            else:
                expected.append((n, n + 1, page.flags))
            last, previous = page, n
        found: list[tuple[int, int, MappingFlags]] = []
        below: MemoryArea | None = None
        for a in self.space.areas():
            start, end = (a.start - BASE) // PAGE_SIZE, (a.end - BASE) // PAGE_SIZE
            stacks = below is not None and below.end == a.start and below.grows_down and a.grows_down
            if stacks and below is not None and below.flags == a.flags:
                start = found.pop()[0]
            found.append((start, end, a.flags))
            below = a
        assert found == expected

    @invariant()
    def views_show_the_bytes_they_were_given(self) -> None:
        for view, _, parts in self.views:
            assert view.tobytes() == b"".join(bytes(store[0][offset : offset + size]) for store, offset, size in parts)

    def teardown(self) -> None:
        if not hasattr(self, "space"):
            return
        self.file.close()
        if sys.exc_info()[0] is not None:
            return  # what failed already keeps things alive
        for n, page in self.model.pages.items():
            if page.data is not None:
                assert self.space.read(BASE + n * PAGE_SIZE, PAGE_SIZE) == bytes(page.data[0]), n
        for n in range(FRAMES):
            assert self.phys.read(self.window + n * PAGE_SIZE, PAGE_SIZE) == bytes(self.model.frames[n][0])
        self.phys.free(self.window, FRAMES)
        self.views.clear()
        self.space.clear()
        assert (self.phys.data_frames, self.phys.table_frames) == (0, 1)
        del self.space
        if self.phys.frames_in_use:
            gc.collect()
        assert self.phys.frames_in_use == 0


CI = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class AArch64Machine(SpaceMachine):
    fmt = AARCH64


class Sv39Machine(SpaceMachine):
    fmt = SV39


class Sv48Machine(SpaceMachine):
    fmt = SV48


MACHINES = [SpaceMachine, AArch64Machine, Sv39Machine, Sv48Machine]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.fmt.name)
def test_space_agrees_with_the_model(machine: type[SpaceMachine]) -> None:
    # The formats differ in few lines of code: the examples of one are shared out among the others.
    examples = CI.max_examples if machine is SpaceMachine else CI.max_examples // 5
    run_state_machine_as_test(machine, settings=settings(CI, max_examples=examples))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.fmt.name)
def test_space_agrees_with_the_model_for_long(machine: type[SpaceMachine]) -> None:
    examples = int(os.environ.get("AXPTR_EXAMPLES", "3000"))
    run_state_machine_as_test(
        machine, settings=settings(CI, max_examples=examples, stateful_step_count=80, derandomize=False)
    )
