"""UserFile behaves as a raw file does, and the standard library's file tools work on guest memory."""

from __future__ import annotations

import errno
import io
import pickle
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import PAGE_SIZE, AddrSpace, LinuxError, MappingFlags, PhysMemory, UserFault, UserFile
from fakes import PROVIDERS, FakeMemory, PlainProvider, over, peek, set_pages

BASE = 0x100000
TOP = (1 << 64) - 1


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, space: AddrSpace) -> Any:
    made = over(request.param, space)
    set_pages(made, BASE, "wwww", bytes(i * 7 % 256 for i in range(4 * PAGE_SIZE)))
    return made


def test_readers_of_the_standard_library_work(provider: Any) -> None:
    data = peek(provider, BASE, 4 * PAGE_SIZE)
    out = io.BytesIO()
    shutil.copyfileobj(UserFile(provider, BASE, 3 * PAGE_SIZE + 5, "r"), out)
    assert out.getvalue() == data[: 3 * PAGE_SIZE + 5]
    with io.BufferedReader(UserFile(provider, BASE + 3, 9000)) as file:
        assert struct.unpack("<IH", file.read(6)) == struct.unpack_from("<IH", data, 3)
        assert file.peek(1)[:1] == data[9:10]
        file.seek(-4, io.SEEK_END)
        assert file.read() == data[8999:9003]


def test_pickles_and_text_go_both_ways(provider: Any) -> None:
    value = {"a": list(range(500)), "b": "text" * 1000, "c": bytes(3000)}
    file = UserFile(provider, BASE + 1, 4 * PAGE_SIZE - 1)
    pickle.dump(value, file)
    file.seek(0)
    assert pickle.load(file) == value
    with io.TextIOWrapper(io.BufferedRandom(UserFile(provider, BASE, 14)), "utf-8") as text:
        text.write("zwölf\nzeilen\n")
        text.seek(0)
        assert text.readline() == "zwölf\n"


def test_a_buffered_writer_fills_the_range_and_then_there_is_no_space(provider: Any) -> None:
    file = io.BufferedWriter(UserFile(provider, BASE, 100, "w"), 16)
    file.write(b"x" * 100)
    file.flush()
    file.raw.close()
    raw = UserFile(provider, BASE, 100)
    raw.seek(98)
    assert raw.write(b"abcd") == 2
    with pytest.raises(LinuxError) as caught:
        raw.write(b"cd")
    assert caught.value.errno == errno.ENOSPC
    assert raw.write(b"") == 0
    assert peek(provider, BASE, 100) == b"x" * 98 + b"ab"


def test_bytes_before_a_hole_are_given_then_the_fault(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    file = UserFile(space, BASE, 1 << 63)
    file.seek(PAGE_SIZE - 10)
    assert file.read(100) == bytes(10)
    for call in (
        lambda: file.read(1),
        lambda: file.read(),
        lambda: file.write(b"x"),
        lambda: file.readinto(bytearray(1)),
    ):
        with pytest.raises(UserFault) as caught:
            call()
        assert caught.value.address == BASE + PAGE_SIZE
    assert file.tell() == PAGE_SIZE
    file.seek(PAGE_SIZE - 3)
    assert file.write(b"abcdef") == 3
    file.seek(0)
    assert len(file.read(1 << 62)) == PAGE_SIZE


def test_the_range_ends_with_all_addresses(space: AddrSpace) -> None:
    file = UserFile(space, TOP, 1 << 70)
    assert file.seek(0, io.SEEK_END) == 1
    assert file.read() == b""
    file.seek(1 << 80)
    assert (file.read(), file.readinto(bytearray(4)), file.tell()) == (b"", 0, 1 << 80)


def test_modes_are_kept_and_need_no_more_than_they_say() -> None:
    memory = FakeMemory()
    memory.map(BASE, 1, MappingFlags.READ)
    memory.map(BASE + PAGE_SIZE, 1, MappingFlags.WRITE)
    provider = PlainProvider(memory)
    reader, writer = UserFile(provider, BASE, 8, "r"), UserFile(provider, BASE + PAGE_SIZE, 8, "w")
    assert (reader.read(), writer.write(b"12345678")) == (bytes(8), 8)
    assert (reader.readable(), reader.writable(), writer.readable(), writer.writable()) == (True, False, False, True)
    with pytest.raises(io.UnsupportedOperation):
        reader.write(b"x")
    with pytest.raises(io.UnsupportedOperation):
        writer.read()
    with pytest.raises(io.UnsupportedOperation):
        writer.readinto(bytearray(1))
    reader.close()
    for call in (reader.read, reader.tell, reader.readable, reader.seekable, lambda: reader.seek(0)):
        with pytest.raises(ValueError, match="closed"):
            call()


@pytest.mark.parametrize(("offset", "whence"), [(-1, 0), (-1, 1), (-9, 2), (0, 7)])
def test_a_seek_to_nowhere_is_einval_and_moves_nothing(space: AddrSpace, offset: int, whence: int) -> None:
    file = UserFile(space, BASE, 8)
    with pytest.raises(LinuxError) as caught:
        file.seek(offset, whence)
    assert (caught.value.errno, file.tell()) == (errno.EINVAL, 0)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.integers(-1, 6000)),
            st.tuples(st.just("write"), st.binary(max_size=50)),
            st.tuples(st.just("seek"), st.integers(0, 9000)),
        ),
        max_size=20,
    ),
    kind=st.sampled_from(PROVIDERS),
)
def test_any_sequence_is_as_on_a_file_of_that_size(phys: PhysMemory, tmp_path: Path, steps: Any, kind: str) -> None:
    provider = over(kind, AddrSpace(0x1000, 1 << 40, phys))
    set_pages(provider, BASE, "www")
    ours = UserFile(provider, BASE + 100, 8000)
    (tmp_path / "f").write_bytes(bytes(8000))
    with open(tmp_path / "f", "r+b", buffering=0) as theirs:
        for verb, value in steps:
            if verb == "write":
                room = max(0, 8000 - theirs.tell())
                if value and not room:
                    with pytest.raises(LinuxError):
                        ours.write(value)
                    continue
                value = value[:room]
            assert getattr(ours, verb)(value) == getattr(theirs, verb)(value)
            assert ours.tell() == theirs.tell()
    assert peek(provider, BASE + 100, 8000) == (tmp_path / "f").read_bytes()


def test_a_buffered_writer_tells_those_who_look_at_no_count(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    for size, number in ((7, errno.ENOSPC), (100, errno.EFAULT)):
        file = io.BufferedWriter(UserFile(space, BASE + PAGE_SIZE - 7, size))
        shutil.copyfileobj(io.BytesIO(b"0123456789"), file)
        with pytest.raises(OSError) as caught:
            file.flush()
        assert caught.value.errno == number
        assert space.read(BASE + PAGE_SIZE - 7, 7) == b"0123456"
        file.raw.close()  # or its end would try again, and say so
