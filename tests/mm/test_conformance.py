"""What every backend must do, asked of each: `Backend`'s one conformance suite.

Each kind is mapped as eight pages whose page n starts with a mark of its own, so that a wrong offset shows. Frames in
use must be back at the start after each test (`phys`). Not here: what only one kind does (`test_backend`,
`test_filecache`, `test_pager`).
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

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
    VirtAddrRange,
)
from inject import each_failure

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
NONE = MappingFlags(0)
BASE = 0x7FFF_FFF0_0000
BASE = 0x4000_0000 - 4 * PAGE_SIZE  # a border of page tables, at two levels, in the middle
PAGES = 8
char, u32, u64 = ctypes.c_char, ctypes.c_uint32, ctypes.c_uint64


def page(n: int) -> int:
    return BASE + n * PAGE_SIZE


def mark(n: int) -> bytes:
    return b"page %d of the backing" % n


@dataclass
class Kind:
    """One backend under test. `map_at(start, first, count, flags)` maps its pages [first, first + count)."""

    name: str
    space: AddrSpace
    map_at: Callable[[int, int, int, MappingFlags], None]
    blank: bool = False  # pages are zero: marks are written after mapping
    shared: bool = False  # writes are the backing's
    ends: bool = False  # there is a last page, page PAGES - 1
    has_offset: bool = True
    holds: list[object] = field(default_factory=list)

    def map(self, flags: MappingFlags = R | W) -> None:
        self.map_at(BASE, 0, PAGES, flags)

    def filled(self, flags: MappingFlags = R | W) -> None:
        """Mapped, and the marks are there."""
        self.map(flags)
        if self.blank:
            for n in range(PAGES):
                self.space.write(page(n), mark(n))


KINDS = ["alloc", "linear", "shared", "file", "shared file", "pager"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, space: AddrSpace, tmp_path: Path) -> Iterator[Kind]:
    name: str = request.param
    phys = space.phys
    content = b"".join(mark(n).ljust(PAGE_SIZE, b"\0") for n in range(PAGES))
    if name == "alloc":
        made = Kind(
            name,
            space,
            lambda start, first, count, flags: space.map_alloc(start, count * PAGE_SIZE, flags),
            blank=True,
            has_offset=False,
        )
    elif name == "linear":
        frames = phys.alloc(PAGES)
        phys.write(frames, content)
        made = Kind(
            name,
            space,
            lambda start, first, count, flags: space.map_linear(
                start, frames + first * PAGE_SIZE, count * PAGE_SIZE, flags
            ),
            shared=True,
        )
    elif name == "shared":
        shared = SharedObject(phys, PAGES * PAGE_SIZE)
        made = Kind(
            name,
            space,
            lambda start, first, count, flags: space.map_shared(
                start, count * PAGE_SIZE, flags, shared, first * PAGE_SIZE
            ),
            blank=True,
            shared=True,
            ends=True,
        )
    elif name == "pager":
        from axptr.mm.pager import PagerBackend

        def fetch(offset: int) -> bytes:
            if offset >= len(content):
                raise EOFError
            return content[offset : offset + PAGE_SIZE]

        made = Kind(
            name,
            space,
            lambda start, first, count, flags: space.map(
                start, count * PAGE_SIZE, flags, PagerBackend(fetch, first * PAGE_SIZE)
            ),
            ends=True,
        )
    else:
        path = tmp_path / "file"
        path.write_bytes(content)
        made = Kind(
            name,
            space,
            lambda start, first, count, flags: space.map_file(
                start, count * PAGE_SIZE, flags, path, first * PAGE_SIZE, shared=name == "shared file"
            ),
            shared=name == "shared file",
            ends=True,
        )
    yield made
    space._check()
    space.clear()
    if name == "linear":
        phys.free(frames, PAGES)
    made.map_at = made.holds = None  # type: ignore[assignment]
    del made
    request.node.funcargs.clear()
    gc.collect()


@pytest.fixture
def space(phys: PhysMemory) -> AddrSpace:
    return AddrSpace(0x1000, 1 << 46, phys)


def read(space: AddrSpace, n: int) -> bytes:
    return UserConstPtr[char](page(n)).read_cstr(space)


def fault(call: Callable[[], object]) -> UserFault:
    with pytest.raises(UserFault) as caught:
        call()
    return caught.value


# -- bytes and rights --------------------------------------------------------------------------------------------


def test_every_page_shows_its_part_of_the_backing(kind: Kind) -> None:
    kind.filled()
    for n in (7, 0, 4, 3, 5, 1, 2, 6):
        assert read(kind.space, n) == mark(n)
        assert UserPtr[char](page(n)).read_slice(kind.space, len(mark(n))) == mark(n)
    whole = UserPtr[char](BASE).read_slice(kind.space, PAGES * PAGE_SIZE)
    assert whole == kind.space.read(BASE, PAGES * PAGE_SIZE)
    assert whole == b"".join(mark(n).ljust(PAGE_SIZE, b"\0") for n in range(PAGES))


def test_mapping_brings_nothing_in(kind: Kind) -> None:
    before = kind.space.phys.frames_in_use
    kind.map()
    assert kind.space.resident_pages() == []
    assert kind.space.phys.frames_in_use == before
    assert kind.space.query(page(2)) is None


def test_each_access_needs_its_right(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    for flags, reads, writes in ((NONE, False, False), (R, True, False), (R | X, True, False), (X, False, False)):
        space.protect(BASE, PAGES * PAGE_SIZE, flags)
        assert space.check_region_access(VirtAddrRange(page(0), page(8)), R) == reads
        for call, may in (
            (lambda: UserPtr[u32](page(3)).read(space), reads),
            (lambda: UserConstPtr[char](page(3)).read_slice(space, 100), reads),
            (lambda: read(space, 3), reads),
            (lambda: UserConstPtr[char](page(3)).get_as_slice(space, 4), reads),
            (lambda: UserPtr[u32](page(3)).write(space, 1), writes),
            (lambda: UserPtr[char](page(3)).write_slice(space, b"x" * 100), writes),
            (lambda: UserPtr[char](page(3)).get_as_slice(space, 4), writes),
        ):
            if may:
                call()
            else:
                assert fault(call).reason is FaultReason.PROTECTION
        assert space.read(page(3), 4) == mark(3)[:4]  # a debugger asks for no right
        space._check()


def test_a_page_that_lost_its_rights_keeps_its_bytes(kind: Kind) -> None:
    kind.filled()
    UserPtr[char](page(2)).write_slice(kind.space, b"mine")
    for flags in (R, NONE, X, R | W):
        kind.space.protect(page(2), PAGE_SIZE, flags)
        assert kind.space.read(page(2), 4) == b"mine"
    assert UserPtr[char](page(2)).read_slice(kind.space, 8) == b"mine" + mark(2)[4:8]


def test_copies_cross_pages_and_stop_at_a_hole(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    space.unmap(page(6), PAGE_SIZE)
    at = page(6) - 10
    for call in (
        lambda: UserPtr[char](at).read_slice(space, 20),
        lambda: UserPtr[char](at).write_slice(space, b"x" * 20),
        lambda: space.read(at, 20),
        lambda: space.write(at, b"x" * 20),
        lambda: UserPtr[char](at).get_as_slice(space, 20),
    ):
        caught = fault(call)
        assert (caught.reason, caught.address, caught.completed) == (FaultReason.UNMAPPED, page(6), 10)
    assert space.read(at, 10) == bytes(10)
    buffer = bytearray(b"?" * 20)
    assert UserPtr[char](page(6) - 10).copy_in(space, buffer) == 10
    assert buffer == bytes(10) + b"?" * 10
    assert UserPtr[char](at).copy_out(space, b"x" * 20) == 10
    assert space.read(at, 10) == b"x" * 10
    UserPtr[u64](page(3) - 4).write_unaligned(space, 0x1122334455667788)
    assert UserPtr[u64](page(3) - 4).read_unaligned(space) == 0x1122334455667788
    assert space.read(page(3), 4) == bytes.fromhex("44332211")


def test_strings_end_where_they_end(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    UserPtr[char](page(4) - 5).write_slice(space, b"across the border\0")
    assert UserConstPtr[char](page(4) - 5).get_as_str(space) == "across the border"
    UserPtr[char](page(8) - 4).write_slice(space, b"end\0")
    assert UserConstPtr[char](page(8) - 4).read_cstr(space) == b"end"
    UserPtr[char](page(8) - 4).write_slice(space, b"past")
    assert fault(lambda: UserConstPtr[char](page(8) - 4).read_cstr(space)).address == page(8)


def test_past_the_end_of_the_backing_is_a_failure_of_the_backing(kind: Kind) -> None:
    if not kind.ends:
        pytest.skip("it has no end")
    space = kind.space
    kind.map_at(BASE, 4, 8, R | W)
    bad = page(4)
    for call in (
        lambda: UserPtr[u32](bad).read(space),
        lambda: UserPtr[u32](bad).write(space, 1),
        lambda: UserPtr[char](bad - 8).read_slice(space, 16),
        lambda: UserPtr[char](bad - 8).write_slice(space, b"x" * 16),
        lambda: UserPtr[char](bad - 8).get_as_slice(space, 16),
        lambda: space.read(bad - 8, 16),
        lambda: space.write(bad - 8, b"x" * 16),
        lambda: space.populate_area(page(0), 5 * PAGE_SIZE, R),
    ):
        caught = fault(call)
        assert (caught.reason, caught.address) == (FaultReason.BACKING_FAILED, bad)
        assert caught.completed in (0, 8, 4 * PAGE_SIZE)
    assert not space.handle_page_fault(bad, R)
    assert UserPtr[char](bad - 8).copy_in(space, bytearray(16)) == 8
    assert space.read(bad - 8, 8) == bytes(8)  # a strict write writes all or nothing
    assert space.check_region_access(VirtAddrRange(bad, page(8)), R | W)
    space._check()


# -- areas -------------------------------------------------------------------------------------------------------


def test_split_parts_keep_their_offsets_and_join_again(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    whole = space.areas()
    space.protect(page(2), 2 * PAGE_SIZE, R)
    space.protect(page(5), PAGE_SIZE, NONE)
    assert [(area.start - BASE) // PAGE_SIZE for area in space.areas()] == [0, 2, 4, 5, 6]
    if kind.has_offset:
        assert [area.offset - whole[0].offset for area in space.areas()] == [
            area.start - BASE for area in space.areas()
        ]
    assert [space.read(page(n), 30).rstrip(b"\0") for n in range(PAGES)] == [mark(n) for n in range(PAGES)]
    space.protect(BASE, PAGES * PAGE_SIZE, R | W)
    assert space.areas() == whole
    space.unmap(page(3), PAGE_SIZE)
    space.unmap(page(0), PAGE_SIZE)
    space.unmap(page(7), PAGE_SIZE)
    space.unmap(page(7), PAGE_SIZE)  # holes are skipped
    assert [space.read(page(n), 30).rstrip(b"\0") for n in (1, 2, 4, 5, 6)] == [mark(n) for n in (1, 2, 4, 5, 6)]
    assert fault(lambda: read(space, 3)).reason is FaultReason.UNMAPPED


def test_a_hole_that_is_filled_again_shows_the_backing(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    UserPtr[char](page(3)).write_slice(space, b"mine")
    space.unmap(page(3), PAGE_SIZE)
    kind.map_at(page(3), 3, 1, R | W)
    wanted = b"mine" if kind.shared else bytes(4) if kind.blank else mark(3)[:4]
    assert space.read(page(3), 4) == wanted
    if kind.name != "pager":  # another function, as far as anyone can tell
        assert space.area_count == 1


def test_moved_pages_keep_bytes_rights_and_offsets(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    UserPtr[char](page(3)).write_slice(space, b"mine")
    space.protect(page(4), PAGE_SIZE, R)
    view = UserConstPtr[char](page(3)).get_as_slice(space, 4)
    frames = space.phys.data_frames
    there = BASE + (1 << 40)
    space.move(page(2), 4 * PAGE_SIZE, there)
    assert space.phys.data_frames == frames
    assert [space.read(there + n * PAGE_SIZE, 30).rstrip(b"\0")[4:] for n in range(4)] == [
        mark(n)[4:] for n in range(2, 6)
    ]
    assert space.read(there + PAGE_SIZE, 4) == b"mine"
    UserPtr[char](there + PAGE_SIZE).write_slice(space, b"more")
    assert bytes(view) == b"more"
    assert fault(lambda: UserPtr[u32](there + 2 * PAGE_SIZE).write(space, 1)).reason is FaultReason.PROTECTION
    assert fault(lambda: UserPtr[u32](page(2)).read(space)).reason is FaultReason.UNMAPPED
    space.move(there, 4 * PAGE_SIZE, page(2))
    space.protect(page(4), PAGE_SIZE, R | W)
    assert space.area_count == 1
    for bad in (page(1), page(8) - PAGE_SIZE):
        with pytest.raises(LinuxError):
            space.move(page(2), 4 * PAGE_SIZE, bad)


def test_moved_pages_leave_an_area_behind_if_asked(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    UserPtr[char](page(1)).write_slice(space, b"mine")
    there = BASE + (1 << 40)
    space.move(page(1), PAGE_SIZE, there, keep=True)
    assert space.read(there, 4) == b"mine"
    assert space.read(page(1), 4) == (b"mine" if kind.shared else bytes(4) if kind.blank else mark(1)[:4])
    UserPtr[char](page(1)).write_slice(space, b"here")
    assert space.read(there, 4) == (b"here" if kind.shared else b"mine")


def test_discarded_pages_come_anew_from_the_backing(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    UserPtr[char](page(1)).write_slice(space, b"mine")
    view = UserPtr[char](page(1)).get_as_slice(space, 4)
    space.discard(page(1), 2 * PAGE_SIZE)
    assert bytes(view) == b"mine"
    assert not {page(1), page(2)} & set(space.resident_pages())
    assert space.read(page(1), 4) == (b"mine" if kind.shared else bytes(4) if kind.blank else mark(1)[:4])
    view[:] = b"view"
    assert space.read(page(1), 4) == (b"view" if kind.shared else bytes(4) if kind.blank else mark(1)[:4])
    assert space.area_count == 1


# -- copies of the space -----------------------------------------------------------------------------------------


def test_a_clone_shares_what_is_shared_and_no_more(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    space.unmap(page(6), PAGE_SIZE)
    clone = space.try_clone()
    assert clone.areas() == space.areas()
    UserPtr[char](page(0)).write_slice(space, b"mine")
    UserPtr[char](page(1)).write_slice(clone, b"your")
    assert clone.read(page(0), 4) == (b"mine" if kind.shared else mark(0)[:4])
    assert space.read(page(1), 4) == (b"your" if kind.shared else mark(1)[:4])
    clone.unmap(page(2), PAGE_SIZE)
    assert read(space, 2) == mark(2)
    kind.holds.append(clone)
    space.clear()
    assert read(clone, 5) == mark(5)
    clone._check()
    clone.clear()


def test_a_snapshot_brings_private_pages_back(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    UserPtr[char](page(0)).write_slice(space, b"then")
    snap = space.snapshot()
    areas, bytes_then = space.areas(), space.read(BASE, PAGES * PAGE_SIZE)
    UserPtr[char](page(0)).write_slice(space, b"now!")
    UserPtr[char](page(7)).write_slice(space, b"now!")
    bytes_now = space.read(BASE, PAGES * PAGE_SIZE)
    space.unmap(page(2), 3 * PAGE_SIZE)
    space.protect(page(6), PAGE_SIZE, NONE)
    space.move(page(7), PAGE_SIZE, page(20))
    space.restore(snap)
    assert space.areas() == areas
    # Shared files and windows are others' too: they keep their bytes.
    kept = kind.name in ("shared file", "linear")
    assert space.read(BASE, PAGES * PAGE_SIZE) == (bytes_now if kept else bytes_then)
    assert read(space, 3) == mark(3)
    UserPtr[char](page(3)).write_slice(space, b"more")
    space._check()


def test_dirty_pages_are_those_written(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    space.dirty_pages(clear=True)
    for n in range(PAGES):
        read(space, n)
    assert space.dirty_pages() == []
    UserPtr[u32](page(1)).write(space, 1)
    space.write(page(4), b"d")
    UserPtr[char](page(6)).copy_out(space, b"c")
    assert space.dirty_pages() == [page(1), page(4), page(6)]
    space.protect(page(4), PAGE_SIZE, R)
    assert space.dirty_pages(clear=True) == [page(1), page(4), page(6)]
    assert space.dirty_pages() == []
    UserPtr[u32](page(1)).write(space, 2)
    assert space.dirty_pages() == [page(1)]


def test_a_view_stays_right_and_safe_whatever_happens_to_its_area(kind: Kind) -> None:
    kind.filled()
    space = kind.space
    view = UserPtr[char](page(3) - 4).get_as_slice(space, 8)
    view[:] = b"abcdefgh"
    assert space.read(page(3) - 4, 8) == b"abcdefgh"
    clone = space.try_clone()
    view[0] = ord("A")
    assert space.read(page(3) - 4, 8) == b"Abcdefgh"
    assert clone.read(page(3) - 4, 8) == (b"Abcdefgh" if kind.shared else b"abcdefgh")
    space.protect(page(2), 2 * PAGE_SIZE, NONE)
    view[7] = ord("H")
    assert space.read(page(3) - 4, 8) == b"AbcdefgH"
    space.unmap(page(2), 2 * PAGE_SIZE)
    other = space.phys.alloc(4)  # who takes frames now does not get those
    space.phys.write(other, b"z" * 4 * PAGE_SIZE)
    assert bytes(view) == b"AbcdefgH"
    view[1] = ord("B")
    assert space.phys.read(other, 4 * PAGE_SIZE) == b"z" * 4 * PAGE_SIZE
    space.phys.free(other, 4)
    clone.clear()


# -- frames run out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what", ["read", "write", "populate", "debug write", "view", "clone", "snapshot", "protect", "move", "discard"]
)
def test_without_frames_nothing_leaks_and_the_call_works_afterwards(kind: Kind, what: str) -> None:
    kind.filled()
    space = kind.space
    UserPtr[char](page(1)).write_slice(space, b"mine")
    view = UserConstPtr[char](page(1)).get_as_slice(space, 4)
    wanted = space.read(BASE, PAGES * PAGE_SIZE)
    if not kind.blank:
        space.discard(page(2), 4 * PAGE_SIZE)
    there = BASE + (1 << 40)
    areas = space.areas()
    call = {
        "read": lambda: UserPtr[char](BASE).read_slice(space, PAGES * PAGE_SIZE),
        "write": lambda: UserPtr[char](BASE).write_slice(space, wanted),
        "populate": lambda: space.populate_area(BASE, PAGES * PAGE_SIZE, R | W),
        "debug write": lambda: space.write(BASE, wanted),
        "view": lambda: UserPtr[char](BASE).get_as_slice(space, PAGES * PAGE_SIZE),
        "clone": lambda: space.try_clone(),
        "snapshot": lambda: space.snapshot(),
        "protect": lambda: space.protect(page(1), PAGE_SIZE, R),
        "move": lambda: space.move(page(1), 6 * PAGE_SIZE, there),
        "discard": lambda: space.discard(page(1), PAGE_SIZE),
    }[what]
    tables, pinned = space.phys.table_frames, space.phys.pinned_frames

    def check() -> None:
        gc.collect()
        assert space.areas() == areas
        assert space.phys.table_frames == tables
        assert space.phys.pinned_frames == pinned
        space._check()
        space.phys._check()

    _, result = each_failure(space.phys, call, check)
    if what == "protect":
        space.protect(page(1), PAGE_SIZE, R | W)
    elif what == "move":
        space.move(there, 6 * PAGE_SIZE, page(1))
    if what != "discard":
        assert bytes(view) == b"mine"
        assert space.read(BASE, PAGES * PAGE_SIZE) == wanted
    del result
