"""What supplies the pages of an area: windows on physical memory and private files; pages shared until written."""

from __future__ import annotations

import ctypes
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    AllocBackend,
    FaultReason,
    FileBackend,
    LinearBackend,
    LinuxError,
    MappingFlags,
    PhysMemory,
    UserFault,
    UserPtr,
)

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
BASE = 0x100000
char = ctypes.c_char


def refuses(space: AddrSpace, code: int, call: Callable[[], object]) -> None:
    before = space.areas(), space.phys.frames_in_use
    with pytest.raises(LinuxError) as caught:
        call()
    assert caught.value.errno == code
    assert (space.areas(), space.phys.frames_in_use) == before


def backing_fails(address: int, call: Callable[[], object]) -> None:
    with pytest.raises(UserFault) as caught:
        call()
    assert caught.value.reason is FaultReason.BACKING_FAILED
    assert caught.value.address == address


# -- linear ----------------------------------------------------------------------------------------------------


def test_a_window_shows_the_very_frames(space: AddrSpace, phys: PhysMemory) -> None:
    frames = phys.alloc(3)
    phys.write(frames + PAGE_SIZE, b"below")
    space.map_linear(BASE, frames, 3 * PAGE_SIZE, R | W, name="window")
    assert UserPtr[char](BASE + PAGE_SIZE).read_slice(space, 5) == b"below"
    UserPtr[char](BASE + 2 * PAGE_SIZE).write_slice(space, b"above")
    assert phys.read(frames + 2 * PAGE_SIZE, 5) == b"above"
    assert phys.data_frames == 3
    area = space.find_area(BASE)
    assert area is not None
    assert (area.backend.kind_name, area.offset, area.name) == ("linear", frames, "window")
    phys.free(frames, 3)
    assert phys.data_frames == 2  # the two pages that were touched hold theirs
    space.clear()
    assert phys.data_frames == 0


def test_windows_of_two_spaces_share_their_frames(space: AddrSpace, phys: PhysMemory) -> None:
    frame = phys.alloc()
    other = AddrSpace(0x1000, 1 << 30, phys)
    space.map_linear(BASE, frame, PAGE_SIZE, R | W)
    other.map_linear(BASE, frame, PAGE_SIZE, R)
    UserPtr[ctypes.c_uint32](BASE).write(space, 42)
    assert UserPtr[ctypes.c_uint32](BASE).read(other) == 42
    assert (phys.refcount(frame), phys.pincount(frame)) == (1, 2)  # a window looks at a frame, it does not own it
    phys.free(frame)


def test_a_window_split_keeps_each_part_on_its_frames(space: AddrSpace, phys: PhysMemory) -> None:
    frames = phys.alloc(4)
    for n in range(4):
        phys.write(frames + n * PAGE_SIZE, bytes([n + 1]))
    space.map_linear(BASE, frames, 4 * PAGE_SIZE, R)
    space.unmap(BASE + PAGE_SIZE, PAGE_SIZE)
    space.protect(BASE + 3 * PAGE_SIZE, PAGE_SIZE, R | W)
    assert [(a.start - BASE, a.offset - frames) for a in space.areas()] == [
        (0, 0),
        (2 * PAGE_SIZE, 2 * PAGE_SIZE),
        (3 * PAGE_SIZE, 3 * PAGE_SIZE),
    ]
    assert [space.read(BASE + n * PAGE_SIZE, 1) for n in (0, 2, 3)] == [b"\1", b"\3", b"\4"]
    phys.free(frames, 4)


def test_windows_side_by_side_on_frames_side_by_side_are_one(space: AddrSpace, phys: PhysMemory) -> None:
    frames = phys.alloc(4)
    space.map_linear(BASE, frames, PAGE_SIZE, R)
    space.map_linear(BASE + PAGE_SIZE, frames + PAGE_SIZE, PAGE_SIZE, R)
    assert space.area_count == 1
    space.map_linear(BASE + 2 * PAGE_SIZE, frames, PAGE_SIZE, R)  # other frames
    assert space.area_count == 2
    phys.free(frames, 4)


def test_a_frame_that_nobody_holds_cannot_be_had_through_a_window(space: AddrSpace, phys: PhysMemory) -> None:
    frame = phys.alloc()
    phys.free(frame)
    space.map_linear(BASE, frame, PAGE_SIZE, R | W)
    backing_fails(BASE, lambda: UserPtr[char](BASE).read(space))
    backing_fails(BASE, lambda: space.read(BASE, 1))
    assert not space.handle_page_fault(BASE, R)
    assert phys.alloc() == frame  # once somebody holds it, it shows
    assert UserPtr[char](BASE).read(space) == b"\0"
    phys.free(frame)


def test_a_page_table_cannot_be_had_through_a_window(space: AddrSpace, phys: PhysMemory) -> None:
    space.map_linear(BASE, space.page_table.root, PAGE_SIZE, R | W)
    backing_fails(BASE, lambda: UserPtr[char](BASE).write(space, b"\xff"))


def test_a_window_must_lie_in_the_memory_and_on_pages(space: AddrSpace, phys: PhysMemory) -> None:
    refuses(space, errno.EINVAL, lambda: space.map_linear(BASE, 0x1800, PAGE_SIZE, R))
    refuses(space, errno.ENOMEM, lambda: space.map_linear(BASE, phys.size, PAGE_SIZE, R))
    refuses(space, errno.ENOMEM, lambda: space.map_linear(BASE, phys.size - PAGE_SIZE, 2 * PAGE_SIZE, R))
    refuses(space, errno.ENOMEM, lambda: space.map_linear(BASE, (1 << 64) - PAGE_SIZE, 2 * PAGE_SIZE, R))
    refuses(space, errno.EINVAL, lambda: space.map_linear(BASE, 0x1000, 0x1800, R))
    refuses(space, errno.EINVAL, lambda: space.map_linear(BASE, 0x1000, 0, R))


# -- files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two and a half pages: 1..., 2..., 3..."""
    made = tmp_path / "file"
    made.write_bytes(b"1" * PAGE_SIZE + b"2" * PAGE_SIZE + b"3" * (PAGE_SIZE // 2))
    return made


def test_a_file_is_shown_from_its_offset_and_zero_past_its_end(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, 3 * PAGE_SIZE, R, path)
    assert space.read(BASE, 3 * PAGE_SIZE) == path.read_bytes() + bytes(PAGE_SIZE // 2)
    space.map_file(BASE + 8 * PAGE_SIZE, PAGE_SIZE, R, path, PAGE_SIZE)
    assert space.read(BASE + 8 * PAGE_SIZE, 4) == b"2222"
    area = space.find_area(BASE + 8 * PAGE_SIZE)
    assert area is not None
    assert (area.backend.kind_name, area.offset, area.name) == ("file", PAGE_SIZE, str(path))


def test_a_page_wholly_past_the_end_cannot_be_had(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, 5 * PAGE_SIZE, R | W, path)
    bad = BASE + 3 * PAGE_SIZE
    backing_fails(bad, lambda: UserPtr[char](bad).read(space))
    backing_fails(bad, lambda: UserPtr[char](bad).write(space, b"x"))
    backing_fails(bad, lambda: space.read(BASE, 4 * PAGE_SIZE))
    done = UserPtr[char](bad - 8).copy_in(space, bytearray(16))
    assert done == 8
    assert done.fault.reason is FaultReason.BACKING_FAILED
    assert space.check_region_access(area_of(space, BASE), R)  # the area is there all the same
    assert not space.handle_page_fault(bad, R)
    assert "file" in str(done.fault)


def area_of(space: AddrSpace, vaddr: int) -> object:
    area = space.find_area(vaddr)
    assert area is not None
    return area.range


def test_a_strict_write_into_a_file_that_ends_writes_nothing(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, 4 * PAGE_SIZE, R | W, path)
    start = BASE + 3 * PAGE_SIZE - 4
    backing_fails(BASE + 3 * PAGE_SIZE, lambda: UserPtr[char](start).write_slice(space, b"x" * 8))
    backing_fails(BASE + 3 * PAGE_SIZE, lambda: space.write(start, b"x" * 8))
    assert space.read(start, 4) == bytes(4)


def test_writes_stay_in_the_space(space: AddrSpace, path: Path) -> None:
    before = path.read_bytes()
    other = AddrSpace(0x1000, 1 << 30, space.phys)
    space.map_file(BASE, 2 * PAGE_SIZE, R | W, path)
    other.map_file(BASE, 2 * PAGE_SIZE, R, path)
    assert other.read(BASE, 1) == b"1"
    UserPtr[char](BASE).write(space, b"x")
    space.write(BASE + PAGE_SIZE, b"y")
    assert (space.read(BASE, 2), space.read(BASE + PAGE_SIZE, 2)) == (b"x1", b"y2")
    assert (other.read(BASE, 2), other.read(BASE + PAGE_SIZE, 2)) == (b"11", b"22")
    assert path.read_bytes() == before


def test_pages_of_a_file_are_shared_until_they_are_written(space: AddrSpace, path: Path) -> None:
    phys = space.phys
    other = AddrSpace(0x1000, 1 << 30, phys)
    space.map_file(BASE, PAGE_SIZE, R | W, path)
    other.map_file(BASE, PAGE_SIZE, R | W, path)
    for each in (space, other):
        UserPtr[char](BASE).read(each)
    assert space.query(BASE)[0] == other.query(BASE)[0]  # type: ignore[index]
    assert phys.data_frames == 1
    UserPtr[char](BASE).write(other, b"x")
    assert phys.data_frames == 2
    assert UserPtr[char](BASE).read(space) == b"1"
    assert other.stats()["copy_on_write"] == 1
    other.clear()
    assert phys.data_frames == 1
    space.clear()
    del each
    assert phys.data_frames == 0


def test_a_read_page_of_a_file_in_the_tlb_is_not_written_through(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, PAGE_SIZE, R | W, path)
    space.map_file(BASE + PAGE_SIZE, PAGE_SIZE, R | W, path)
    first, second = UserPtr[char](BASE), UserPtr[char](BASE + PAGE_SIZE)
    assert first.read(space) == second.read(space) == b"1"
    first.write(space, b"x")
    assert (first.read(space), second.read(space)) == (b"x", b"1")


def test_rights_that_come_back_do_not_make_a_shared_page_writable(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, PAGE_SIZE, R | W, path)
    space.map_file(BASE + PAGE_SIZE, PAGE_SIZE, R, path)
    assert UserPtr[char](BASE).read(space) == UserPtr[char](BASE + PAGE_SIZE).read(space) == b"1"
    for flags in (R, MappingFlags(0), R | W):
        space.protect(BASE, PAGE_SIZE, flags)
        space._check()
    UserPtr[char](BASE).write(space, b"x")
    assert (space.read(BASE, 1), space.read(BASE + PAGE_SIZE, 1)) == (b"x", b"1")


def test_a_frame_without_room_for_its_copy_is_enomem_and_stays(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, PAGE_SIZE, R | W, path)
    assert UserPtr[char](BASE).read(space) == b"1"
    space.phys._inject_failure(0)
    with pytest.raises(LinuxError) as caught:
        UserPtr[char](BASE).write(space, b"x")
    assert caught.value.errno == errno.ENOMEM
    space.phys._inject_failure(None)
    assert UserPtr[char](BASE).read(space) == b"1"
    UserPtr[char](BASE).write(space, b"x")


def test_a_live_view_of_a_file_has_its_own_frame(space: AddrSpace, path: Path) -> None:
    from axptr import UserConstPtr

    space.map_file(BASE, PAGE_SIZE, R | W, path)
    space.map_file(BASE + PAGE_SIZE, PAGE_SIZE, R, path)
    view = UserConstPtr[char](BASE).get_as_slice(space, 4)
    space.write(BASE, b"seen")
    assert bytes(view) == b"seen"
    assert space.read(BASE + PAGE_SIZE, 4) == b"1111"


@pytest.mark.parametrize("how", ["str", "path", "fd", "object"])
def test_a_file_is_named_in_four_ways_and_may_be_closed(space: AddrSpace, path: Path, how: str) -> None:
    if how in ("fd", "object"):
        with path.open("rb") as file:
            space.map_file(BASE, PAGE_SIZE, R, file if how == "object" else file.fileno())
    else:
        space.map_file(BASE, PAGE_SIZE, R, path if how == "path" else str(path))
    assert space.read(BASE, 4) == b"1111"
    assert space.find_area(BASE).name == str(path)  # type: ignore[union-attr]


def test_a_file_mapped_by_many_areas_is_read_once_and_kept_while_one_is_left(space: AddrSpace, path: Path) -> None:
    for n in range(4):
        space.map_file(BASE + 2 * n * PAGE_SIZE, PAGE_SIZE, R, path)
        space.read(BASE + 2 * n * PAGE_SIZE, 1)
    assert space.phys.data_frames == 1
    assert len(space.phys.caches) == 1
    space.unmap(BASE, 7 * PAGE_SIZE)
    assert (space.phys.data_frames, len(space.phys.caches)) == (0, 0)


def test_a_file_written_since_shows_its_new_content_to_a_new_mapping(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, PAGE_SIZE, R, path)
    assert space.read(BASE, 1) == b"1"
    path.write_bytes(b"new" * 3000)
    space.map_file(BASE + PAGE_SIZE, PAGE_SIZE, R, path)
    assert space.read(BASE + PAGE_SIZE, 3) == b"new"


def test_a_file_truncated_since_keeps_its_pages_and_fails_for_others(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, 3 * PAGE_SIZE, R | W, path)
    assert space.read(BASE, 1) == b"1"
    os.truncate(path, 0)
    assert UserPtr[char](BASE).read(space) == b"1"
    backing_fails(BASE + PAGE_SIZE, lambda: UserPtr[char](BASE + PAGE_SIZE).read(space))
    backing_fails(BASE + PAGE_SIZE, lambda: UserPtr[char](BASE + PAGE_SIZE).write(space, b"x"))


def test_what_is_no_readable_regular_file_is_refused(space: AddrSpace, path: Path, tmp_path: Path) -> None:
    def mapped(file: object, offset: int = 0) -> Callable[[], object]:
        return lambda: space.map_file(BASE, PAGE_SIZE, R, file, offset)  # type: ignore[arg-type]

    refuses(space, errno.ENOENT, mapped(tmp_path / "nothing"))
    refuses(space, errno.ENODEV, mapped(tmp_path))
    refuses(space, errno.ENODEV, mapped("/dev/zero"))
    refuses(space, errno.EBADF, mapped(-1))
    refuses(space, errno.EBADF, mapped(1 << 20))
    fd = os.open(path, os.O_WRONLY)
    try:
        refuses(space, errno.EACCES, mapped(fd))
    finally:
        os.close(fd)
    r, w = os.pipe()
    try:
        refuses(space, errno.ENODEV, mapped(r))
    finally:
        os.close(r)
        os.close(w)
    refuses(space, errno.EINVAL, mapped(path, 0x800))
    refuses(space, errno.EOVERFLOW, lambda: space.map_file(BASE, 2 * PAGE_SIZE, R, path, (1 << 64) - PAGE_SIZE))
    with pytest.raises(OSError, match="fileno"):
        mapped(io.BytesIO(b"x"))()
    for wrong in (3.5, None, [], b"bytes"):
        with pytest.raises(TypeError):
            mapped(wrong)()
    assert space.areas() == []


def test_an_offset_far_past_any_file_maps_and_fails_at_the_touch(space: AddrSpace, path: Path) -> None:
    for offset in (1 << 40, 1 << 62, 1 << 63, (1 << 64) - PAGE_SIZE):
        space.map_file(BASE, PAGE_SIZE, R, path, offset, replace=True)
        backing_fails(BASE, lambda: UserPtr[char](BASE).read(space))


def test_parts_of_a_file_side_by_side_are_one_area_and_split_again(space: AddrSpace, path: Path) -> None:
    space.map_file(BASE, PAGE_SIZE, R, path)
    space.map_file(BASE + PAGE_SIZE, PAGE_SIZE, R, path, PAGE_SIZE)
    assert space.area_count == 1
    assert space.read(BASE + PAGE_SIZE, 1) == b"2"
    space.unmap(BASE, PAGE_SIZE)
    assert space.find_area(BASE + PAGE_SIZE).offset == PAGE_SIZE  # type: ignore[union-attr]
    space.map_file(BASE, PAGE_SIZE, R, path, PAGE_SIZE)  # not what stood before: the same page again
    assert space.area_count == 2


# -- kinds as values -------------------------------------------------------------------------------------------


def test_every_kind_goes_through_map(space: AddrSpace, phys: PhysMemory, path: Path) -> None:
    frame = phys.alloc()
    for n, backend in enumerate((AllocBackend(), LinearBackend(frame), FileBackend(phys, path))):
        space.map(BASE + 2 * n * PAGE_SIZE, PAGE_SIZE, R | W, backend, name=backend.kind_name)
        space.write(BASE + 2 * n * PAGE_SIZE, b"x")
    assert [area.backend.kind_name for area in space.areas()] == ["alloc", "linear", "file"]
    phys.free(frame)


def test_a_file_of_another_memory_cannot_be_mapped(
    space: AddrSpace, make_phys: Callable[..., PhysMemory], path: Path
) -> None:
    # Its frames are numbers of that memory: here they would be somebody else's.
    other = FileBackend(make_phys(), path)
    with pytest.raises(ValueError, match="another memory"):
        space.map(BASE, PAGE_SIZE, R, other)
    assert space.areas() == []
