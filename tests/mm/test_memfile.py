"""Files that live in memory: what calls write mappings show, and the other way round; those that begin as copies."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from axptr import PAGE_SIZE, AddrSpace, LinuxError, MappingFlags, PhysMemory, UserFault
from axptr._core.mm.memfile import MemoryFile
from axptr.mm.backend import StoreBackend

RW = MappingFlags.READ | MappingFlags.WRITE | MappingFlags.USER
AT = 0x10000


@pytest.fixture
def phys() -> PhysMemory:
    return PhysMemory(1 << 30, poison=True)


@pytest.fixture
def space(phys: PhysMemory) -> AddrSpace:
    return AddrSpace(0, 1 << 40, phys)


@pytest.fixture
def below(tmp_path: Path) -> int:
    path = tmp_path / "below"
    path.write_bytes(random.Random(1).randbytes(3 * PAGE_SIZE + 100))
    return os.open(path, os.O_RDONLY)


def content(file: MemoryFile, size: int) -> bytes:
    data = bytearray(size)
    file.read_into(0, data)
    return bytes(data)


def test_calls_and_shared_mappings_are_one(phys: PhysMemory, space: AddrSpace) -> None:
    file = MemoryFile(phys, label="new")
    file.grow(0, 2 * PAGE_SIZE)
    space.map(AT, 2 * PAGE_SIZE, RW, StoreBackend(file, shared=True))
    assert file.write(PAGE_SIZE - 2, b"abcd") == 4
    assert space.read(AT + PAGE_SIZE - 2, 4) == b"abcd"
    space.write(AT + 5, b"mapped")
    assert content(file, 16)[5:11] == b"mapped"


def test_a_private_mapping_keeps_its_own_bytes(phys: PhysMemory, space: AddrSpace) -> None:
    file = MemoryFile(phys, label="new")
    file.grow(0, PAGE_SIZE)
    space.map(AT, PAGE_SIZE, RW, StoreBackend(file))
    space.write(AT, b"mine")
    file.write(0, b"theirs")
    assert space.read(AT, 6) == b"mine\0\0"
    assert content(file, 6) == b"theirs"


def test_pages_come_from_the_file_below_when_they_are_wanted(phys: PhysMemory, space: AddrSpace, below: int) -> None:
    size = os.fstat(below).st_size
    before = os.pread(below, size, 0)
    file = MemoryFile(phys, below, "copy", 4, supplied=size)
    assert content(file, size) == before
    assert file.resident == 0
    space.map(AT, 4 * PAGE_SIZE, RW, StoreBackend(file, shared=True))
    space.write(AT + PAGE_SIZE + 1, b"x")
    file.write(3 * PAGE_SIZE + 99, b"yz")
    assert file.resident == 2
    want = bytearray(before + b"\0")
    want[PAGE_SIZE + 1 : PAGE_SIZE + 2] = b"x"
    want[3 * PAGE_SIZE + 99 :] = b"yz"
    assert content(file, size + 1) == want
    assert os.pread(below, size + 1, 0) == before
    assert not file.is_file


def test_what_was_cut_off_never_comes_back(phys: PhysMemory, below: int) -> None:
    size = os.fstat(below).st_size
    before = os.pread(below, size, 0)
    file = MemoryFile(phys, below, "copy", 4, supplied=size)
    file.write(2 * PAGE_SIZE, b"z")
    file.resize(PAGE_SIZE + 7)
    file.grow(PAGE_SIZE + 7, 5 * PAGE_SIZE)
    assert content(file, 5 * PAGE_SIZE) == before[: PAGE_SIZE + 7] + bytes(4 * PAGE_SIZE - 7)


def test_a_punched_page_is_zero_for_all_who_show_it(phys: PhysMemory, space: AddrSpace, below: int) -> None:
    file = MemoryFile(phys, below, "copy", 4, supplied=3 * PAGE_SIZE)
    space.map(AT, PAGE_SIZE, RW, StoreBackend(file, shared=True))
    assert space.read(AT, 1) != b""
    file.punch(0, 1)
    assert space.read(AT, PAGE_SIZE) == bytes(PAGE_SIZE)
    assert content(file, 2 * PAGE_SIZE) == bytes(2 * PAGE_SIZE)
    assert content(file, 3 * PAGE_SIZE)[2 * PAGE_SIZE :] == os.pread(below, PAGE_SIZE, 2 * PAGE_SIZE)


def test_beyond_the_last_page_is_a_fault(phys: PhysMemory, space: AddrSpace) -> None:
    file = MemoryFile(phys, label="new")
    file.grow(0, 10)
    space.map(AT, 2 * PAGE_SIZE, RW, StoreBackend(file, shared=True))
    assert space.read(AT, 10) == bytes(10)
    with pytest.raises(UserFault):
        space.read(AT + PAGE_SIZE, 1)


@pytest.mark.parametrize("supplied", [0, 3 * PAGE_SIZE])
def test_a_restored_space_has_the_files_bytes_of_then(
    phys: PhysMemory, space: AddrSpace, below: int, supplied: int
) -> None:
    file = MemoryFile(phys, below, "copy", 3, supplied=supplied)
    space.map(AT, 3 * PAGE_SIZE, RW, StoreBackend(file, shared=True))
    file.write(10, b"then")
    then = content(file, 3 * PAGE_SIZE)
    snap = space.snapshot()
    file.write(10, b"now ")
    file.write(2 * PAGE_SIZE, b"more")
    space.write(AT + PAGE_SIZE, b"mapped")
    space.restore(snap)
    assert content(file, 3 * PAGE_SIZE) == then


def test_a_write_without_frames_says_how_far_it_came(below: int) -> None:
    phys = PhysMemory(1 << 30, limit=4 * PAGE_SIZE)
    file = MemoryFile(phys, label="new")
    file.grow(0, 8 * PAGE_SIZE)
    done = file.write(0, b"x" * (8 * PAGE_SIZE))
    assert 0 < done < 8 * PAGE_SIZE
    assert done % PAGE_SIZE == 0
    with pytest.raises(LinuxError):
        file.write(done, b"x")
    file.resize(0)
    assert phys.data_frames == 0
