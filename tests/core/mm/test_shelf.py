"""Pages of programs that nobody maps just now: when the next mapping has them, and when it has not."""

import os

import pytest

from axptr import LinuxError, MappingFlags, PhysMemory
from axptr._core.mm.shelf import clear_shelf, keep_programs
from axptr.mm import filecache
from axptr.mm.filecache import FileCache
from axptr.mm.space import AddrSpace

PAGE = 4096
BASE = 0x10000
R, W, X, U = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE, MappingFlags.USER


@pytest.fixture
def phys():
    memory = PhysMemory(64 << 20, limit=32 << 20)
    keep_programs(memory)
    yield memory
    assert memory.frames_in_use == 0
    memory._check()


@pytest.fixture
def program(tmp_path, monkeypatch):
    monkeypatch.setattr(filecache, "_OLD", -(1 << 62))  # however young a file is
    path = tmp_path / "program"
    path.write_bytes(b"".join(bytes([i]) * PAGE for i in range(1, 9)))
    return path


def run_once(phys, path, flags=R | X | U, *, shared=False):
    """Map it, read all of it, unmap it: what was read."""
    space = AddrSpace(0, 1 << 32, phys)
    with open(path, "r+b" if shared else "rb") as file:
        space.map_file(BASE, 8 * PAGE, flags, file, shared=shared)
    data = space.read(BASE, 8 * PAGE)
    space.clear()
    return data


def begins_with(phys, path):
    """How many pages a cache of the file has that is made now."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return FileCache.of(phys, fd).resident
    finally:
        os.close(fd)


def test_the_next_mapping_of_a_program_begins_with_what_the_last_one_read(phys, program):
    first = run_once(phys, program)
    assert phys.frames_in_use == 0
    assert begins_with(phys, program) == 8
    assert run_once(phys, program) == first == program.read_bytes()


def test_a_memory_that_was_not_told_to_keeps_nothing(program):
    memory = PhysMemory(64 << 20)
    run_once(memory, program)
    assert begins_with(memory, program) == 0


def test_a_file_that_no_program_mapped_to_run_is_not_kept(phys, program):
    run_once(phys, program, R | U)
    assert begins_with(phys, program) == 0


def test_a_file_that_could_be_written_through_a_mapping_is_not_kept(phys, program):
    run_once(phys, program, R | W | X | U, shared=True)
    assert begins_with(phys, program) == 0


def test_a_file_that_is_young_is_not_kept(phys, program, monkeypatch):
    monkeypatch.setattr(filecache, "_OLD", 1 << 62)
    run_once(phys, program)
    monkeypatch.setattr(filecache, "_OLD", -(1 << 62))
    assert begins_with(phys, program) == 0


@pytest.mark.parametrize("how", ["written", "dated back", "replaced", "cut"])
def test_a_file_that_changed_is_read_anew(phys, program, how):
    run_once(phys, program)
    before = program.stat()
    if how == "replaced":
        other = program.with_name("other")
        other.write_bytes(bytes(8 * PAGE))
        os.replace(other, program)
    elif how == "cut":
        os.truncate(program, 3 * PAGE)
    else:
        with open(program, "r+b") as file:
            file.write(b"x" * PAGE)
        if how == "dated back":
            os.utime(program, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert program.stat().st_mtime_ns == before.st_mtime_ns
    assert begins_with(phys, program) == 0
    if how != "cut":
        assert run_once(phys, program) == program.read_bytes()


def test_what_is_kept_is_given_up_for_whoever_wants_frames(phys, program):
    run_once(phys, program)
    space = AddrSpace(0, 1 << 32, phys)
    room = phys.free_frames
    space.map_alloc(BASE, 32 << 20, R | W | U)
    with pytest.raises(LinuxError):
        space.populate_area(BASE, 32 << 20, W)
    assert phys.frames_in_use >= room  # the eight that were laid aside among them
    phys._check()
    space.clear()
    assert begins_with(phys, program) == 0


def test_private_changes_of_one_are_not_seen_by_the_next(phys, program):
    run_once(phys, program)
    space = AddrSpace(0, 1 << 32, phys)
    with open(program, "rb") as file:
        space.map_file(BASE, 8 * PAGE, R | W | X | U, file)
    space.write(BASE, b"changed" * 100)
    space.clear()
    assert begins_with(phys, program) == 8
    assert run_once(phys, program) == program.read_bytes()


def test_many_programs_push_the_oldest_out_and_all_can_be_cleared(phys, program, tmp_path):
    for i in range(80):
        other = tmp_path / f"program{i}"
        other.write_bytes(program.read_bytes())
        run_once(phys, other)
        phys._check()
    assert begins_with(phys, tmp_path / "program79") == 8
    assert begins_with(phys, tmp_path / "program0") == 0
    clear_shelf(phys)
    assert begins_with(phys, tmp_path / "program78") == 0


def test_a_memory_goes_with_what_it_keeps(program):
    for _ in range(3):
        memory = PhysMemory(64 << 20)
        keep_programs(memory)
        run_once(memory, program)
        del memory
