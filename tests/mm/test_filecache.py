"""Shared and private mappings of files, the file calls beside them, and what the host does to the file meanwhile.

Not here: what files have in common with every backend (`test_conformance`).
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    FaultReason,
    LinuxError,
    MappingFlags,
    PhysMemory,
    UserFault,
    UserPtr,
)
from axptr.mm.filecache import FileCache

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
char = ctypes.c_char


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two and a half pages: 1..., 2..., 3..."""
    made = tmp_path / "file"
    made.write_bytes(b"1" * PAGE_SIZE + b"2" * PAGE_SIZE + b"3" * (PAGE_SIZE // 2))
    return made


@pytest.fixture
def fd(path: Path) -> Iterator[int]:
    opened = os.open(path, os.O_RDWR)
    yield opened
    os.close(opened)


def put(space: AddrSpace, vaddr: int, data: bytes) -> None:
    UserPtr[char](vaddr).write_slice(space, data)


def other_space(space: AddrSpace) -> AddrSpace:
    return AddrSpace(space.base, space.size, space.phys)


def fails(call: Callable[[], object]) -> None:
    with pytest.raises(UserFault) as caught:
        call()
    assert caught.value.reason is FaultReason.BACKING_FAILED


# -- mapping to file ------------------------------------------------------------------------------------------------


def test_writes_reach_the_file_on_sync(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, 3 * PAGE_SIZE, R | W, path, shared=True)
    put(space, BASE + 5, b"first")
    put(space, BASE + PAGE_SIZE, b"second")
    assert path.read_bytes()[:1] == b"1"
    space.sync(BASE, PAGE_SIZE)
    assert path.read_bytes()[5:10] == b"first"
    assert path.read_bytes()[PAGE_SIZE : PAGE_SIZE + 6] == b"2" * 6
    put(space, BASE + 5, b"again")
    space.sync(BASE, 3 * PAGE_SIZE)
    assert path.read_bytes()[5:10] == b"again"
    assert path.read_bytes()[PAGE_SIZE : PAGE_SIZE + 6] == b"second"


@pytest.mark.parametrize("how", ["unmap", "replace", "clear", "end", "end by the collector", "restore"])
def test_writes_reach_the_file_when_the_mapping_goes(phys: PhysMemory, path: Path, how: str) -> None:
    space = AddrSpace(0x1000, 1 << 40, phys)
    snap = space.snapshot()
    space.map_file(BASE, 3 * PAGE_SIZE, R | W, path, shared=True)
    put(space, BASE, b"written")
    if how == "unmap":
        space.unmap(BASE, PAGE_SIZE)
    elif how == "replace":
        space.map_alloc(BASE, PAGE_SIZE, R, replace=True)
    elif how == "clear":
        space.clear()
    elif how == "restore":
        space.restore(snap)
    elif how == "end by the collector":
        space.itself = space  # type: ignore[attr-defined]
    del space, snap
    gc.collect()
    assert path.read_bytes()[:8] == b"written1"


def test_writes_reach_the_file_when_a_cycle_dies_with_its_memory(path: Path) -> None:
    """The collector may clear the memory's parts before the space is asked to write back."""
    memory = PhysMemory(1 << 24)
    space = AddrSpace(0x1000, 1 << 30, memory)
    space.map_file(BASE, PAGE_SIZE, R | W, path, shared=True)
    space.write(BASE, b"written")
    space.me = space  # type: ignore[attr-defined]
    del space, memory
    gc.collect()
    assert path.read_bytes()[:8] == b"written1"


def test_the_end_of_one_space_does_not_unmark_what_another_may_write(space: AddrSpace, path: Path) -> None:
    other = other_space(space)
    for each in (space, other):
        each.map_file(BASE, PAGE_SIZE, R | W, path, shared=True)
        put(each, BASE, b"x")
    del other, each
    put(space, BASE, b"later")
    space.sync(BASE, PAGE_SIZE)
    assert path.read_bytes()[:5] == b"later"


def test_what_was_written_back_does_not_overwrite_what_others_write_later(space: AddrSpace, path: Path) -> None:
    reader = other_space(space)
    reader.map_file(BASE, PAGE_SIZE, R, path)
    assert reader.read(BASE, 1) == b"1"
    writer = other_space(space)
    writer.map_file(BASE, PAGE_SIZE, R | W, path, shared=True)
    put(writer, BASE, b"y")
    del writer
    assert path.read_bytes()[:1] == b"y"
    with path.open("r+b") as file:
        file.write(b"zz")
    os.truncate(path, 2 * PAGE_SIZE)
    space.map_file(BASE, PAGE_SIZE, R | W, path, shared=True)
    assert space.read(BASE, 2) == b"zz"
    space.sync(BASE, PAGE_SIZE)
    assert path.read_bytes()[:2] == b"zz"


def test_sync_never_extends_the_file(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, 3 * PAGE_SIZE, R | W, path, shared=True)
    put(space, BASE + 3 * PAGE_SIZE - 4, b"tail")  # past the end, in the last page
    put(space, BASE + 2 * PAGE_SIZE, b"kept")
    space.sync(BASE, 3 * PAGE_SIZE)
    assert path.stat().st_size == 2 * PAGE_SIZE + PAGE_SIZE // 2
    assert path.read_bytes()[2 * PAGE_SIZE :][:4] == b"kept"
    os.truncate(path, 100)
    put(space, BASE + 2 * PAGE_SIZE, b"gone")
    put(space, BASE, b"here")
    space.sync(BASE, 3 * PAGE_SIZE)
    space.clear()
    assert path.read_bytes() == b"here" + b"1" * 96


def test_a_descriptor_opened_for_appending_writes_in_place(space: AddrSpace, path: Path) -> None:
    before = path.read_bytes()
    opened = os.open(path, os.O_RDWR | os.O_APPEND)
    space.map_file(BASE, 3 * PAGE_SIZE, R | W, opened, shared=True)
    os.close(opened)
    put(space, BASE, b"in place")
    space.sync(BASE, 3 * PAGE_SIZE)
    assert path.read_bytes() == b"in place" + before[8:]


def test_a_file_that_can_only_be_read_is_sealed(space: AddrSpace, path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    space.map_file(BASE, PAGE_SIZE, R, opened, shared=True)
    os.close(opened)
    for call in (
        lambda: space.protect(BASE, PAGE_SIZE, R | W),
        lambda: space.protect(BASE, PAGE_SIZE, W),
    ):
        with pytest.raises(LinuxError) as caught:
            call()
        assert caught.value.errno == errno.EACCES
    clone = space.try_clone()
    with pytest.raises(LinuxError):
        clone.protect(BASE, PAGE_SIZE, R | W)


def test_a_live_view_of_a_shared_file_keeps_its_page_marked(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, PAGE_SIZE, R | W, path, shared=True)
    view = UserPtr[char](BASE).get_as_slice(space, 8)
    space.sync(BASE, PAGE_SIZE)
    view[:4] = b"view"
    space.sync(BASE, PAGE_SIZE)
    assert path.read_bytes()[:4] == b"view"
    space.sync(BASE, PAGE_SIZE)
    view[:4] = b"last"
    del view
    space.unmap(BASE, PAGE_SIZE)
    assert path.read_bytes()[:4] == b"last"


def test_all_mappings_of_a_file_are_one_whatever_its_name(space: AddrSpace, path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    os.link(path, link)
    other = other_space(space)
    space.map_file(BASE, PAGE_SIZE, R | W, path, shared=True)
    other.map_file(2 * BASE, PAGE_SIZE, R, link, shared=True)
    private = other_space(space)
    private.map_file(BASE, PAGE_SIZE, R | W, str(link))
    assert private.read(BASE, 1) == b"1"
    put(space, BASE, b"seen")
    assert other.read(2 * BASE, 4) == private.read(BASE, 4) == b"seen"
    put(private, BASE, b"mine")
    assert other.read(2 * BASE, 4) == b"seen"
    assert len(space.phys.caches) == 1


# -- file calls beside mappings ---------------------------------------------------------------------------------------


def test_file_calls_and_mappings_agree_both_ways(space: AddrSpace, fd: int, path: Path) -> None:
    cache = FileCache.of(space.phys, fd)
    space.map_file(BASE, 3 * PAGE_SIZE, R | W, fd, shared=True)
    assert cache.read(fd, 0, 4) == b"1111"
    put(space, BASE + PAGE_SIZE - 2, b"abcd")
    assert cache.read(fd, PAGE_SIZE - 4, 8) == b"11abcd22"
    assert os.pread(fd, 8, PAGE_SIZE - 4) == b"11112222"
    assert cache.write(fd, PAGE_SIZE - 1, b"XY") == 2
    assert space.read(BASE + PAGE_SIZE - 2, 4) == b"aXYd"
    assert os.pread(fd, 2, PAGE_SIZE - 1) == b"XY"
    assert cache.read(fd, 2 * PAGE_SIZE, 2 * PAGE_SIZE) == b"3" * (PAGE_SIZE // 2)
    assert cache.read(fd, 1 << 40, 10) == b""
    space.sync(BASE, 3 * PAGE_SIZE)
    assert path.read_bytes()[PAGE_SIZE - 2 : PAGE_SIZE + 2] == b"aXYd"


def test_a_write_that_grows_the_file_does_not_uncover_what_stood_past_its_end(space: AddrSpace, fd: int) -> None:
    cache = FileCache.of(space.phys, fd)
    size = 2 * PAGE_SIZE + PAGE_SIZE // 2
    space.map_file(BASE, 4 * PAGE_SIZE, R | W, fd, shared=True)
    put(space, BASE + size, b"hidden")
    cache.write(fd, size + 100, b"end")
    assert space.read(BASE + size, 103) == bytes(100) + b"end"
    assert cache.read(fd, size, 200) == bytes(100) + b"end"
    cache.truncate(fd, 4 * PAGE_SIZE)
    assert space.read(BASE + 3 * PAGE_SIZE, 4) == bytes(4)


def test_appending_lands_where_the_file_ends(space: AddrSpace, path: Path) -> None:
    opened = os.open(path, os.O_RDWR | os.O_APPEND)
    size = path.stat().st_size
    cache = FileCache.of(space.phys, opened)
    space.map_file(BASE, 3 * PAGE_SIZE, R, opened, shared=True)
    assert space.read(BASE, 3 * PAGE_SIZE)[size:] == bytes(3 * PAGE_SIZE - size)
    cache.write(opened, 0, b"appended")
    os.close(opened)
    assert path.read_bytes()[size:] == b"appended"
    assert space.read(BASE, 4) == b"1111"
    assert space.read(BASE + size, 8) == b"appended"


@pytest.mark.parametrize("size", [0, 1, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 2 * PAGE_SIZE])
def test_truncation_takes_pages_from_every_mapping(space: AddrSpace, fd: int, size: int) -> None:
    cache = FileCache.of(space.phys, fd)
    private = other_space(space)
    space.map_file(BASE, 3 * PAGE_SIZE, R | W, fd, shared=True)
    private.map_file(BASE, 3 * PAGE_SIZE, R | W, fd)
    for n in range(3):
        put(space, BASE + n * PAGE_SIZE, b"S")
        put(private, BASE + n * PAGE_SIZE, b"P")
    view = UserPtr[char](BASE + 2 * PAGE_SIZE).get_as_slice(space, 4)
    snap = space.snapshot()
    cache.truncate(fd, size)
    assert bytes(view) == b"S333"
    pages = -(-size // PAGE_SIZE)
    for each in (space, private):
        for n in range(3):
            if n < pages:
                assert each.read(BASE + n * PAGE_SIZE, 1) in b"SP"
            else:
                fails(lambda each=each, n=n: each.read(BASE + n * PAGE_SIZE, 1))
                fails(lambda each=each, n=n: put(each, BASE + n * PAGE_SIZE, b"x"))
        each._check()
    if size:
        assert space.read(BASE, 3 * PAGE_SIZE if pages == 3 else pages * PAGE_SIZE)[size:] == bytes(
            pages * PAGE_SIZE - size
        )
    space.restore(snap)
    space._check()
    cache.truncate(fd, 3 * PAGE_SIZE)
    assert space.read(BASE, 3 * PAGE_SIZE)[size:] == bytes(3 * PAGE_SIZE - size)
    assert os.pread(fd, 4 * PAGE_SIZE, size) == bytes(3 * PAGE_SIZE - size)


# -- what the host does -----------------------------------------------------------------------------------------------


def test_a_file_the_host_shortens_never_hurts(space: AddrSpace, path: Path, fd: int) -> None:
    cache = FileCache.of(space.phys, fd)
    space.map_file(BASE, 3 * PAGE_SIZE, R | W, fd, shared=True)
    put(space, BASE + PAGE_SIZE, b"dirty")
    os.truncate(path, 0)
    assert space.read(BASE + PAGE_SIZE, 5) == b"dirty"
    fails(lambda: space.read(BASE, 1))
    fails(lambda: put(space, BASE + 2 * PAGE_SIZE, b"x"))
    assert cache.read(fd, 0, 100) == b""
    clone = space.try_clone()
    snap = space.snapshot()
    space.discard(BASE, 3 * PAGE_SIZE)
    space.restore(snap)
    space.sync(BASE, 3 * PAGE_SIZE)
    assert path.stat().st_size == 0
    other = other_space(space)
    other.map_file(BASE, 3 * PAGE_SIZE, R, path)
    fails(lambda: other.read(BASE + 2 * PAGE_SIZE, 1))
    clone._check()
    space._check()


def test_a_file_the_host_grows_or_changes_is_seen_by_a_new_mapping(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, 4 * PAGE_SIZE, R, path)
    assert space.read(BASE, 1) == b"1"
    fails(lambda: space.read(BASE + 3 * PAGE_SIZE, 1))
    path.write_bytes(b"new" * PAGE_SIZE * 2)
    other = other_space(space)
    other.map_file(BASE, 4 * PAGE_SIZE, R, path)
    assert other.read(BASE, 4 * PAGE_SIZE) == (b"new" * PAGE_SIZE * 2)[: 4 * PAGE_SIZE]
    assert space.read(BASE, 3) == b"new"  # one cache: it is shown where it was not seen before
    assert space.read(BASE + 3 * PAGE_SIZE, 1) != b""


def test_what_was_written_back_is_not_read_again_as_a_change_by_others(
    space: AddrSpace, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloads: list[object] = []
    monkeypatch.setattr(FileCache, "reload", lambda cache: reloads.append(cache))
    space.map_file(BASE, 3 * PAGE_SIZE, R | W, path, shared=True)
    put(space, BASE, b"written")
    space.sync(BASE, 3 * PAGE_SIZE)
    space.map_file(2 * BASE, PAGE_SIZE, R, path)
    assert reloads == []
    os.truncate(path, 5)
    put(space, BASE, b"again")
    space.sync(BASE, 3 * PAGE_SIZE)
    space.map_file(3 * BASE, PAGE_SIZE, R, path)
    assert len(reloads) == 1
    reloads.clear()


def test_a_file_deleted_and_made_anew_is_another_file(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, PAGE_SIZE, R | W, path, shared=True)
    put(space, BASE, b"old")
    path.unlink()
    path.write_bytes(b"brand new")
    other = other_space(space)
    other.map_file(BASE, PAGE_SIZE, R, path)
    assert other.read(BASE, 9) == b"brand new"
    space.clear()
    assert path.read_bytes() == b"brand new"


# -- threads ---------------------------------------------------------------------------------------------------


def test_threads_that_map_a_file_at_once_make_one_cache(phys: PhysMemory, path: Path) -> None:
    for _ in range(30):
        gate = threading.Barrier(4)
        caches: list[FileCache] = []

        def work(gate: threading.Barrier = gate, caches: list[FileCache] = caches) -> None:
            space = AddrSpace(0x1000, 1 << 40, phys)
            gate.wait(10)
            space.map_file(BASE, PAGE_SIZE, R | W, path, shared=True)
            space.read(BASE, 1)
            caches.append(space.find_area(BASE).backend.store)  # type: ignore[union-attr, arg-type]

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(cache) for cache in caches}) == 1
        caches.clear()


def test_no_write_is_lost_between_threads_that_write_and_sync(phys: PhysMemory, path: Path, fd: int) -> None:
    cache = FileCache.of(phys, fd)
    over = threading.Event()
    errors: list[BaseException] = []

    def guard(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)
                over.set()

        return run

    def writer(slot: int) -> Callable[[], None]:
        def work() -> None:
            for n in range(150):
                space = AddrSpace(0x1000, 1 << 40, phys)
                space.map_file(BASE, 2 * PAGE_SIZE, R | W, fd, shared=True)
                for k in range(5):
                    put(space, BASE + slot * 8, b"%04d%04d" % (n, k))
                    assert space.read(BASE + slot * 8, 8) == b"%04d%04d" % (n, k)
                del space
                assert os.pread(fd, 8, slot * 8) == b"%04d0004" % n

        return work

    def syncer() -> None:
        space = AddrSpace(0x1000, 1 << 40, phys)
        space.map_file(BASE, 2 * PAGE_SIZE, R | W, fd, shared=True)
        while not over.is_set():
            space.sync(BASE, 2 * PAGE_SIZE)
            space.try_clone()
            cache.write(fd, PAGE_SIZE + 8, b"by call")
            assert cache.read(fd, PAGE_SIZE + 8, 7) == b"by call"
            cache.peek(0)
            cache.pages(written=True)

    workers = [threading.Thread(target=guard(writer(slot))) for slot in range(2)]
    helper = threading.Thread(target=guard(syncer))
    for thread in (*workers, helper):
        thread.start()
    for thread in workers:
        thread.join(60)
    over.set()
    helper.join(60)
    assert not errors, errors
    assert os.pread(fd, 16, 0) == b"0149000401490004"
