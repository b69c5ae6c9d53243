"""Snapshots as bytes: files and pickles give back what was there; what is damaged, or cannot be saved, says so."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import textwrap
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import (
    ILP32,
    LP64,
    PAGE_SIZE,
    AddrSpace,
    DataModel,
    LinuxError,
    MappingFlags,
    PhysMemory,
    SharedObject,
    Snapshot,
    SnapshotError,
    UserFault,
    UserPtr,
)
from axptr.mm.snapshots import decode as snapdecode
from axptr.mm.snapshots import encode as snapencode
from axptr.mm.snapshots import file as snapfile
from fakes import MODELS
from formats import needs_room
from snapfiles import description, resealed

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
BASE = 0x100000


def fields(area: Any) -> tuple[object, ...]:
    """What must be the same of an area on the other side."""
    backend = area.backend
    label = backend.store.label if backend.store is not None else None
    return (*area[:3], *area[4:], backend.kind_name, backend.shared, backend.sealed, label)


def same(one: Snapshot, other: Snapshot, *, dirty: bool = True) -> None:
    """Both hold the same; pages of shared memory may have no frame in one of them.

    dirty: written pages are marked alike, too; what `restore` puts back counts as written.
    """
    assert [fields(a) for a in one.areas()] == [fields(a) for a in other.areas()]
    assert one.bounds == other.bounds
    assert (one._frozen.base, one._frozen.size) == (other._frozen.base, other._frozen.size)
    private = [a.range for a in one.areas() if not a.backend.shared]
    pages = [[p for p in s.resident_pages() if any(p in area for area in private)] for s in (one, other)]
    assert pages[0] == pages[1]
    if dirty:
        assert {*one._frozen.dirty_pages()} & {*pages[0]} == {*other._frozen.dirty_pages()} & {*pages[0]}
    for page in pages[0]:
        assert one.read(page, PAGE_SIZE) == other.read(page, PAGE_SIZE)
    for area in one.areas():
        if area.backend.shared and not area.backend.store.is_file:
            size = min(area.size, area.backend.store.limit * PAGE_SIZE - area.offset)
            assert one.read(area.start, size) == other.read(area.start, size)


def everything(space: AddrSpace, file: Path) -> None:
    """Areas of every kind that can be saved.

    heap  [w 0 - z -]   code [- w]   shm [- w -] twice   data file, shared   stack, grown twice
    """
    page = PAGE_SIZE
    file.write_bytes(b"file" * 3000)
    space.bounds.update(brk=BASE + 5 * page, start=0)
    space.map_alloc(BASE, 5 * page, R | W, name="heap")
    space.write(BASE, b"written")
    space.populate_area(BASE + page, page, W)
    space.populate_area(BASE + 3 * page, page, R)
    space.map_file(BASE + 8 * page, 2 * page, R | X, file)
    space.write(BASE + 9 * page, b"patched")
    space.map_alloc(BASE + 16 * page, page, MappingFlags(0), name="guard \udc80 \N{GREEK SMALL LETTER ALPHA} <&>")
    space.map_alloc(BASE + 20 * page, 2 * page, R | W)
    space.set_clone_rule(BASE + 20 * page, page, "omit")
    space.set_clone_rule(BASE + 21 * page, page, "wipe")
    space.set_locked(BASE + 21 * page, page, True, on_fault=True)
    space.set_locked(BASE, page, True)
    space.map_alloc(0x7FFF_0000, page, R | W, name="[stack]", grows_down=64 * page)
    space.write(0x7FFF_0010, b"top")
    space.handle_page_fault(0x7FFE_F000, W)
    shared = SharedObject(space.phys, 3 * page, "shm")
    space.map_shared(0x9000_0000, 3 * page, R | W, shared)
    space.map_shared(0x9100_0000, 2 * page, R, shared, page)
    space.write(0x9000_0000 + page, b"both")
    space.map_file(0x9200_0000, page, R | W, file, shared=True)


@pytest.fixture
def snap(space: AddrSpace, tmp_path: Path) -> Snapshot:
    everything(space, tmp_path / "data")
    return space.snapshot()


def through_file(snap: Snapshot, phys: PhysMemory, path: Path, **options: bool) -> Snapshot:
    snap.save(path, **options)
    return Snapshot.load(path, phys)


# -- there and back --------------------------------------------------------------------------------------------


def test_a_file_gives_back_all_there_was(snap: Snapshot, phys: PhysMemory, make_phys: Any, tmp_path: Path) -> None:
    for memory in phys, make_phys():
        loaded = through_file(snap, memory, tmp_path / "s")
        same(snap, loaded)
        space = AddrSpace.from_snapshot(loaded)
        space._check()
        assert space.read(0x9100_0000, 4) == b"both"
        assert space.read(BASE + 9 * PAGE_SIZE, 9) == b"patchedfi"[:7] + (b"file" * 3000)[PAGE_SIZE + 7 :][:2]
        assert [area.clone_rule for area in space.areas()] == [area.clone_rule for area in snap.areas()]
        same(snap, space.snapshot(), dirty=False)


def test_what_was_loaded_can_be_saved_again(snap: Snapshot, phys: PhysMemory, tmp_path: Path) -> None:
    loaded = through_file(snap, phys, tmp_path / "s")
    again = through_file(loaded, phys, tmp_path / "t")
    same(snap, again)
    assert (tmp_path / "s").read_bytes() == (tmp_path / "t").read_bytes()


def test_a_space_goes_back_to_a_loaded_one_again_and_again(snap: Snapshot, make_phys: Any, tmp_path: Path) -> None:
    loaded = through_file(snap, make_phys(), tmp_path / "s")
    space = AddrSpace.from_snapshot(loaded)
    for _ in range(3):
        space.write(BASE, b"changed")
        space.write(0x9000_0000 + 2 * PAGE_SIZE, b"changed")
        space.unmap(0x7FFE_F000, 2 * PAGE_SIZE)
        space.bounds["brk"] = 1
        space.restore(loaded)
        space._check()
        same(snap, space.snapshot(), dirty=False)


def test_a_space_that_never_took_a_snapshot_goes_back_to_that_of_another(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W, name="a")
    space.write(BASE, b"then")
    snap = space.snapshot()
    other = AddrSpace(space.base, space.size, space.phys, space.format)
    other.map_alloc(BASE + PAGE_SIZE, PAGE_SIZE, R)
    other.restore(snap)
    other._check()
    assert other.areas() == space.areas()
    assert other.read(BASE, 4) == b"then"


def test_one_object_mapped_twice_is_one_object_again(snap: Snapshot, make_phys: Any, tmp_path: Path) -> None:
    space = AddrSpace.from_snapshot(through_file(snap, make_phys(), tmp_path / "s"))
    space.write(0x9000_0000 + 2 * PAGE_SIZE, b"seen by both")
    assert space.read(0x9100_0000 + PAGE_SIZE, 12) == b"seen by both"
    one, two = space.find_area(0x9000_0000), space.find_area(0x9100_0000)
    assert one is not None
    assert two is not None
    assert one.backend.store is two.backend.store
    space.map(0xA000_0000, 4 * PAGE_SIZE, R, one.backend)
    with pytest.raises(UserFault):  # it has its old end
        space.read(0xA000_0000 + 3 * PAGE_SIZE, 1)


def test_a_stack_still_grows_to_its_limit(snap: Snapshot, make_phys: Any, tmp_path: Path) -> None:
    space = AddrSpace.from_snapshot(through_file(snap, make_phys(), tmp_path / "s"))
    low = 0x7FFF_1000 - 64 * PAGE_SIZE
    assert space.handle_page_fault(low, W)
    assert not space.handle_page_fault(low - 1, W)


def test_another_process_loads_it(snap: Snapshot, tmp_path: Path) -> None:
    snap.save(tmp_path / "s")
    script = """
        import sys
        from axptr import AddrSpace, Snapshot
        space = AddrSpace.from_snapshot(Snapshot.load(sys.argv[1]))
        space._check()
        print(space.read(0x100000, 7), space.read(0x91000000, 4), space.bounds["brk"], space.area_count)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), tmp_path / "s"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"b'written' b'both' {BASE + 5 * PAGE_SIZE} {len(snap.areas())}\n", done.stderr


def test_pages_of_zeros_take_no_room_and_shared_frames_are_stored_once(space: AddrSpace, tmp_path: Path) -> None:
    space.map_alloc(BASE, 1024 * PAGE_SIZE, R | W, populate=True)
    space.write(BASE + 7 * PAGE_SIZE, b"x")
    space.snapshot().save(tmp_path / "s")
    assert (tmp_path / "s").stat().st_size == 2 * PAGE_SIZE
    again = AddrSpace.from_snapshot(Snapshot.load(tmp_path / "s", space.phys))
    before = space.phys.data_frames
    assert len(again.resident_pages()) == 1024
    assert before - len(space.resident_pages()) <= 2
    again.write(BASE, b"mine")  # the frame of zeros is copied first
    assert again.read(BASE + PAGE_SIZE, 4) == bytes(4)


# -- files behind areas ----------------------------------------------------------------------------------------


def test_it_says_which_files_it_needs(snap: Snapshot, tmp_path: Path) -> None:
    assert snap.files == [str(tmp_path / "data")]


@pytest.mark.parametrize("change", ["shorter", "newer", "gone", "a directory", "a fifo"])
def test_a_file_that_is_not_that_file_any_more_is_refused_by_name(
    space: AddrSpace, tmp_path: Path, change: str
) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"file" * 3000)
    space.map_file(BASE, 2 * PAGE_SIZE, R, file)
    space.write(BASE, b"kept")
    space.snapshot().save(tmp_path / "s")
    if change == "shorter":
        file.write_bytes(b"file")
    elif change == "newer":
        os.utime(file, ns=(1, 1))
    else:
        file.unlink()
        if change == "a directory":
            file.mkdir()
        elif change == "a fifo":
            os.mkfifo(file)
    with pytest.raises(SnapshotError, match=r"needs the file .*data"):
        Snapshot.load(tmp_path / "s", space.phys)


def test_embedded_files_are_needed_no_more(space: AddrSpace, make_phys: Any, tmp_path: Path) -> None:
    needs_room(space)
    file = tmp_path / "data"
    with file.open("wb") as out:
        out.write(b"first" * 1000)
        out.truncate(1 << 40)  # a hole that nobody reads
        out.seek((1 << 40) - 5)
        out.write(b"last!")
    space.map_file(BASE, 4 * PAGE_SIZE, R, file)
    space.map_file(0x9000_0000, PAGE_SIZE, R | W, file, (1 << 40) - PAGE_SIZE)
    space.map_file(0xA000_0000, 1 << 40, R, file)
    space.write(BASE + 2 * PAGE_SIZE, b"patched")
    space.snapshot().save(tmp_path / "s", embed_files=True)
    assert (tmp_path / "s").stat().st_size == 5 * PAGE_SIZE
    file.unlink()
    loaded = Snapshot.load(tmp_path / "s", make_phys())
    assert loaded.files == []
    again = AddrSpace.from_snapshot(loaded)
    again._check()
    assert again.read(BASE, 5000) == b"first" * 1000
    assert again.read(BASE + 2 * PAGE_SIZE, 8) == b"patched\0"
    assert again.read(0x9000_0000 + PAGE_SIZE - 5, 5) == b"last!"
    assert [fields(a) for a in again.areas()] == [fields(a) for a in space.areas()]
    again.write(BASE, b"mine")
    again.restore(loaded)
    assert again.read(BASE, 5) == b"first"
    loaded.save(tmp_path / "t")
    assert (tmp_path / "t").read_bytes() == (tmp_path / "s").read_bytes()


def test_a_shared_file_is_mapped_again_and_its_content_is_its_own(space: AddrSpace, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"old".ljust(PAGE_SIZE))
    space.map_file(BASE, PAGE_SIZE, R | W, file, shared=True)
    snap = space.snapshot()
    snap.save(tmp_path / "s")
    space.write(BASE, b"new")
    space.sync(BASE, PAGE_SIZE)
    again = AddrSpace.from_snapshot(Snapshot.load(tmp_path / "s", space.phys))
    assert again.read(BASE, 3) == b"new"
    again.write(BASE, b"own")
    again.sync(BASE, PAGE_SIZE)
    assert file.read_bytes()[:3] == b"own"


# -- what cannot be saved --------------------------------------------------------------------------------------


def with_pager(space: AddrSpace) -> None:
    space.map_pager(BASE, PAGE_SIZE, R, lambda offset: b"", name="the pager")


def with_device(space: AddrSpace) -> None:
    space.map_mmio(BASE, PAGE_SIZE, R, lambda o, n: 0, lambda o, n, v: None, name="the device")


def with_window(space: AddrSpace) -> None:
    space.map_linear(BASE, 0, PAGE_SIZE, R, name="the window")


@pytest.mark.parametrize(
    ("prepare", "name"), [(with_pager, "the pager"), (with_device, "the device"), (with_window, "the window")]
)
def test_what_cannot_be_saved_is_named(
    space: AddrSpace, tmp_path: Path, prepare: Callable[[AddrSpace], None], name: str
) -> None:
    prepare(space)
    snap = space.snapshot()
    with pytest.raises(SnapshotError, match=name):
        snap.save(tmp_path / "s")
    with pytest.raises(SnapshotError, match=name):
        pickle.dumps(snap)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", [-1, 1 << 64, "text"])
def test_a_bound_that_is_no_address_is_named(space: AddrSpace, tmp_path: Path, value: Any) -> None:
    space.bounds["brk"] = value
    with pytest.raises(SnapshotError, match="'brk'"):
        space.snapshot().save(tmp_path / "s")


def test_spaces_and_areas_do_not_pickle_by_accident(space: AddrSpace) -> None:
    with_pager(space)
    with pytest.raises(TypeError, match="snapshot"):
        pickle.dumps(space)
    with pytest.raises(TypeError, match="the pager"):
        pickle.dumps(space.areas())


# -- pickles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_in_one_piece(snap: Snapshot, protocol: int, tmp_path: Path) -> None:
    loaded = pickle.loads(pickle.dumps(snap, protocol))
    same(snap, loaded)


def test_pages_travel_out_of_band_and_uncopied(space: AddrSpace) -> None:
    space.map_alloc(BASE, 256 * PAGE_SIZE, R | W)
    space.write(BASE, b"".join(bytes([i]) * PAGE_SIZE for i in range(256)))
    snap = space.snapshot()
    buffers: list[pickle.PickleBuffer] = []
    frames = space.phys.data_frames
    data = pickle.dumps(snap, protocol=5, buffer_callback=buffers.append)
    assert len(data) < 2000
    assert space.phys.data_frames == frames
    assert sum(len(buffer.raw()) for buffer in buffers) == 255 * PAGE_SIZE  # the page of zeros is none of them
    assert len(buffers) <= 3
    assert all(buffer.raw().readonly for buffer in buffers)
    space.write(BASE + PAGE_SIZE, b"later")  # what travels is what was
    loaded = pickle.loads(data, buffers=[bytes(buffer.raw()) for buffer in buffers])
    same(snap, loaded)
    for buffer in buffers:
        buffer.release()


def test_a_buffer_outlives_snapshot_and_space(make_phys: Any) -> None:
    phys = make_phys()
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    space.write(BASE, b"still there")
    buffers: list[pickle.PickleBuffer] = []
    pickle.dumps(space.snapshot(), protocol=5, buffer_callback=buffers.append)
    space.write(BASE, b"overwritten")
    del space
    assert bytes(buffers[0].raw()[:11]) == b"still there"
    del phys


@pytest.mark.parametrize("cut", ["no pages", "half a page", "one too many", "no description"])
def test_a_pickle_with_other_buffers_is_refused(snap: Snapshot, phys: PhysMemory, cut: str) -> None:
    meta, parts = snapencode.encode(snap)
    buffers = [bytes(part) for part in parts]
    if cut == "no pages":
        buffers = []
    elif cut == "half a page":
        buffers[0] = buffers[0][:100]
    elif cut == "one too many":
        buffers.append(bytes(PAGE_SIZE))
        meta = meta[:-8]
    else:
        meta = b""
    with pytest.raises(SnapshotError):
        snapdecode.decode(meta, buffers, AddrSpace, phys)


# -- the file itself -------------------------------------------------------------------------------------------


@pytest.fixture
def small(space: AddrSpace, tmp_path: Path) -> Path:
    """A file of a small snapshot: header, description, padding, two pages."""
    space.map_alloc(BASE, 3 * PAGE_SIZE, R | W, name="heap")
    space.write(BASE, b"one")
    shared = SharedObject(space.phys, PAGE_SIZE, "shm")
    space.map_shared(0x9000_0000, PAGE_SIZE, R | W, shared)
    space.write(0x9000_0000, b"two")
    space.snapshot().save(tmp_path / "small")
    return tmp_path / "small"


def refused(path: Path, phys: PhysMemory) -> str:
    """It is one error that names the file, and nothing stays behind."""
    before = phys.data_frames, phys.table_frames
    with pytest.raises(SnapshotError) as caught:
        Snapshot.load(path, phys)
    assert str(path) in str(caught.value)
    del caught
    assert (phys.data_frames, phys.table_frames) == before
    return ""


def test_every_length_but_the_right_one_is_refused(small: Path, phys: PhysMemory) -> None:
    whole = small.read_bytes()
    assert len(whole) == 3 * PAGE_SIZE
    for length in [*range(600), *range(4090, 4100), *range(600, len(whole), 501), len(whole) - 1]:
        small.write_bytes(whole[:length])
        refused(small, phys)
    for more in (b"\0", bytes(PAGE_SIZE)):
        small.write_bytes(whole + more)
        refused(small, phys)


def test_every_byte_of_header_and_description_is_proved(small: Path, phys: PhysMemory) -> None:
    whole = small.read_bytes()
    for at in [*range(400), *range(400, len(whole), 97)]:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << (at % 8)
        small.write_bytes(damaged)
        refused(small, phys)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(bit=st.integers(0, 3 * PAGE_SIZE * 8 - 1))
def test_every_bit_is_proved(small: Path, phys: PhysMemory, bit: int) -> None:
    path = small.with_name("flipped")
    damaged = bytearray(small.read_bytes())
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    refused(path, phys)


def test_resealing_alone_changes_nothing(small: Path, phys: PhysMemory) -> None:
    whole = small.read_bytes()
    assert resealed(whole, description(whole)) == whole


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_made_up_description_loads_or_is_refused(small: Path, phys: PhysMemory, data: st.DataObject) -> None:
    """Huge counts, wrong numbers, other places: whatever comes of it, it is no crash and no other error."""
    whole = small.read_bytes()
    meta = bytearray(description(whole))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(meta) - 1))
        what = data.draw(st.sampled_from(["byte", "huge", "cut", "more"]))
        if what == "byte":
            meta[at] = data.draw(st.integers(0, 255))
        elif what == "huge":
            meta[at : at + 8] = b"\xff" * min(8, len(meta) - at)
        elif what == "cut":
            del meta[at:]
        else:
            meta[at:at] = data.draw(st.binary(min_size=1, max_size=64))
        if not meta:
            break
    path = small.with_name("made up")
    path.write_bytes(resealed(whole, bytes(meta)))
    with contextlib.suppress(SnapshotError, LinuxError):
        AddrSpace.from_snapshot(Snapshot.load(path, phys))._check()


@pytest.mark.parametrize("model", [*MODELS, DataModel("mine £", 8, "big")], ids=str)
def test_the_data_model_comes_back(phys: PhysMemory, tmp_path: Path, model: DataModel) -> None:
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    space.model = model
    UserPtr[ctypes.c_uint32](BASE).write(space, 7)
    snap = space.snapshot()
    snap.save(tmp_path / "s")
    for loaded in (Snapshot.load(tmp_path / "s", phys), pickle.loads(pickle.dumps(snap, protocol=5))):
        other = AddrSpace.from_snapshot(loaded)
        assert other.model == model
        assert UserPtr[ctypes.c_uint32](BASE).read(other) == 7
        assert other.read(BASE, 4) == (7).to_bytes(4, model.order)
    space.model = LP64 if model != LP64 else ILP32
    space.restore(Snapshot.load(tmp_path / "s", phys))
    assert space.model == model
    # docs/snapshots.md: name, pointer, order, alignment
    meta = description((tmp_path / "s").read_bytes())
    name, *fields = struct.unpack_from("<IBBBB", meta, 20)
    strings = meta[32:]
    for _ in range(name):
        strings = strings[4 + int.from_bytes(strings[:4], "little") :]
    assert strings[4 : 4 + int.from_bytes(strings[:4], "little")].decode() == model.name
    assert fields == [model.pointer, int(model.order == "big"), model.wide_align, 0]


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (20, 99, "no name number 99"),
        (24, 2, "its data model is none"),
        (24, 0, "its data model is none"),
        (25, 2, "byte order 2"),
        (26, 16, "its data model is none"),
        (26, 4, "its data model is none"),
        (27, 1, "1 behind its alignment"),
    ],
)
def test_a_data_model_of_no_program_is_refused(
    small: Path, phys: PhysMemory, at: int, value: int, message: str
) -> None:
    whole = small.read_bytes()
    meta = bytearray(description(whole))
    meta[at] = value
    small.write_bytes(resealed(whole, bytes(meta)))
    with pytest.raises(SnapshotError, match=message):
        Snapshot.load(small, phys)


def test_more_pages_than_the_memory_has_frames_are_refused_at_once(space: AddrSpace, tmp_path: Path) -> None:
    needs_room(space)
    space.map_alloc(BASE, 1 << 45, R | W)
    space.populate_area(BASE, PAGE_SIZE, W)
    space.snapshot().save(tmp_path / "s")
    whole = (tmp_path / "s").read_bytes()
    meta = bytearray(description(whole))
    struct.pack_into("<Q", meta, len(meta) - 24, 1 << 33)  # the only run: a page of zeros
    (tmp_path / "s").write_bytes(resealed(whole, bytes(meta)))
    with pytest.raises(SnapshotError, match="more pages than the memory"):
        Snapshot.load(tmp_path / "s", space.phys)


def test_other_files_and_versions_are_called_that(small: Path, phys: PhysMemory, tmp_path: Path) -> None:
    whole = small.read_bytes()
    for content, message in [
        (b"", "not a snapshot"),
        (b"\x7fELF" + bytes(5000), "not a snapshot"),
        (whole.replace(b"\r\n", b"\n", 1), "not a snapshot"),
        (whole[:8] + b"\x01\0\0\0" + whole[12:], "version 1, this axptr reads version 2"),
        (whole[:8] + b"\x03\0\0\0" + whole[12:], "version 3"),
        (whole[:30], "cut short"),
    ]:
        small.write_bytes(content)
        with pytest.raises(SnapshotError, match=message):
            Snapshot.load(small, phys)
    os.mkfifo(tmp_path / "fifo")
    for other in tmp_path, tmp_path / "fifo", Path("/dev/zero"):
        with pytest.raises(SnapshotError, match="no regular file"):
            Snapshot.load(other, phys)
    with pytest.raises(FileNotFoundError):
        Snapshot.load(tmp_path / "nothing", phys)


def test_without_frames_loading_is_enomem_and_leaves_nothing(small: Path, make_phys: Any) -> None:
    roomy = make_phys()
    loaded = Snapshot.load(small, roomy)
    needed = roomy.frames_in_use
    del loaded
    for frames in range(needed):
        phys = make_phys(limit=frames * PAGE_SIZE)
        with pytest.raises(LinuxError):
            Snapshot.load(small, phys)
        assert phys.frames_in_use == 0
    Snapshot.load(small, make_phys(limit=needed * PAGE_SIZE))


def test_a_save_that_fails_leaves_what_was_there(
    snap: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"what was there")
    before = sorted(os.listdir(tmp_path))
    written = 0

    def full(fd: int, data: Any) -> int:
        nonlocal written
        written += 1
        if written > 2:
            raise OSError(28, "No space left on device")
        return real(fd, data)

    real = os.write
    monkeypatch.setattr(snapfile.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        snap.save(path)
    assert path.read_bytes() == b"what was there"
    assert sorted(os.listdir(tmp_path)) == before
    with pytest.raises(FileNotFoundError):
        snap.save(tmp_path / "no" / "directory")


def test_the_header_is_what_the_page_about_it_says(small: Path) -> None:
    """docs/snapshots.md, byte by byte."""
    raw = small.read_bytes()
    magic, version, flags, size, meta_size, npages, page_size, meta_crc, pages_crc = struct.unpack_from(
        "<8sIIQQQIII", raw
    )
    assert (magic, version, flags, page_size) == (b"\x93axptr\r\n", 2, 0, 4096)
    assert size == len(raw)
    assert raw[52:60] == bytes(8)
    assert struct.unpack_from("<I", raw, 60)[0] == zlib.crc32(raw[:60])
    assert meta_crc == zlib.crc32(raw[64 : 64 + meta_size])
    assert pages_crc == zlib.crc32(raw[-npages * 4096 :])
    assert raw[4096:4099] == b"one"
    assert raw[8192:8195] == b"two"


# -- any space -------------------------------------------------------------------------------------------------


AREA = st.tuples(
    st.integers(0, 40),  # where, in pages
    st.integers(1, 6),  # how long
    st.sampled_from([R | W, R, R | W | X, MappingFlags(0), R | W | MappingFlags.USER]),
    st.text(max_size=8),
    st.sampled_from(["alloc", "file", "shared", "stack"]),
    st.sampled_from(["copy", "omit", "wipe"]),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["touch", "zero", "write"]), st.binary(max_size=20))),
)


@contextlib.contextmanager
def memory() -> Iterator[PhysMemory]:
    phys = PhysMemory(1 << 28, poison=True)
    yield phys
    assert (phys.data_frames, phys.table_frames) == (0, 0)


@settings(max_examples=100, deadline=None)
@given(areas=st.lists(AREA, max_size=8), bounds=st.dictionaries(st.text(max_size=5), st.integers(0, (1 << 64) - 1)))
def test_any_space_comes_back(areas: list[Any], bounds: dict[str, int]) -> None:
    with tempfile.TemporaryDirectory() as directory, memory() as phys, memory() as elsewhere:
        file = Path(directory) / "data"
        file.write_bytes(bytes(range(256)) * 100)
        space = AddrSpace(0x1000, 1 << 40, phys)
        shared = SharedObject(phys, 10 * PAGE_SIZE, "shm")
        space.bounds.update(bounds)
        for at, npages, flags, name, kind, rule, touches in areas:
            start, size = BASE + at * PAGE_SIZE, npages * PAGE_SIZE
            if kind == "file":
                space.map_file(start, size, flags, file, PAGE_SIZE, replace=True, name=name)
            elif kind == "shared":
                space.map_shared(start, size, flags, shared, PAGE_SIZE, replace=True, name=name)
            else:
                grows = size * 4 if kind == "stack" else 0
                space.map_alloc(start, size, flags, replace=True, name=name, grows_down=grows)
            space.set_clone_rule(start, size, rule)
            for page, how, data in touches:
                if page < npages:
                    if how == "touch":
                        space.read(start + page * PAGE_SIZE, 1)
                    else:
                        space.write(start + page * PAGE_SIZE, bytes(len(data)) if how == "zero" else data)
        snap = space.snapshot()
        loaded = through_file(snap, elsewhere, Path(directory) / "s")
        same(snap, loaded)
        again = AddrSpace.from_snapshot(loaded)
        again._check()
        same(snap, again.snapshot(), dirty=False)
        unpickled = pickle.loads(pickle.dumps(snap, protocol=5))
        same(snap, unpickled)
        space.restore(snap)
        del space, snap, loaded, again, unpickled, shared
