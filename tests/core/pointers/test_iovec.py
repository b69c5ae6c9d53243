"""IoVec and IoStream: the rules of import_iovec, one copy of the array, one stream; the host as the oracle."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import pickle
import struct
import tempfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import (
    ILP32_BIG,
    LP64,
    PAGE_SIZE,
    AddrSpace,
    Copied,
    DataModel,
    IoStream,
    IoVec,
    LinuxError,
    Locked,
    MappingFlags,
    PhysMemory,
    UserConstPtr,
    UserFault,
)
from axptr._core.words.codes import IOV_MAX, MAX_RW_COUNT
from axptr.linux.uaccess import UserIter
from fakes import MODELS, PROVIDERS, FakeMemory, PlainProvider, over, peek, poke, set_model, set_pages, words

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
TOP = (1 << 64) - 1
libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, space: AddrSpace) -> Any:
    made = over(request.param, space)
    set_pages(made, BASE, "www ")
    return made


def put(provider: Any, *entries: tuple[int, int], at: int = BASE) -> tuple[int, int]:
    poke(provider, at, b"".join(struct.pack("<QQ", *entry) for entry in entries))
    return at, len(entries)


# -- the array


def test_an_array_is_read_as_it_stands(provider: Any) -> None:
    iov = IoVec.read(provider, *put(provider, (1, 2), (TOP, 0), (BASE, 7), at=BASE + 2))
    assert list(iov) == [(1, 2), (TOP, 0), (BASE, 7)]
    assert (len(iov), iov.total, iov[-1], iov[0]) == (3, 9, (BASE, 7), (1, 2))
    with pytest.raises(IndexError):
        iov[3]
    with pytest.raises(IndexError):
        iov[-4]
    assert list(pickle.loads(pickle.dumps(iov))) == list(iov)
    assert repr(iov) == f"IoVec([(0x1, 2), ({TOP:#x}, 0), (0x100000, 7)])"


def test_no_segments_touch_nothing(provider: Any) -> None:
    iov = IoVec.read(provider, TOP, 0)
    assert (list(iov), iov.total) == ([], 0)
    stream = iov.stream(provider)
    assert (stream.copy_in(bytearray(5)), stream.copy_out(b"12345"), stream.skip(9), stream.position) == (
        0,
        0,
        0,
        (0, 0),
    )


@pytest.mark.parametrize("count", [IOV_MAX + 1, 1 << 31, 1 << 63, TOP, 1 << 70])
def test_more_than_iov_max_segments_are_einval_before_memory_is_touched(provider: Any, count: int) -> None:
    with pytest.raises(LinuxError) as caught:
        IoVec.read(provider, 0, count)
    assert caught.value.errno == errno.EINVAL


def test_iov_max_segments_are_fine(space: AddrSpace) -> None:
    space.map_alloc(BASE, 8 * PAGE_SIZE, R)
    assert IoVec.read(space, BASE, IOV_MAX).total == 0


@pytest.mark.parametrize("size", [1 << 63, TOP])
def test_a_negative_length_is_einval(provider: Any, size: int) -> None:
    for entries in [((0, size),), ((0, 1), (0, size)), ((0, size), (0, 1))]:
        with pytest.raises(LinuxError) as caught:
            IoVec.read(provider, *put(provider, *entries))
        assert caught.value.errno == errno.EINVAL


def test_an_array_into_a_hole_is_a_fault_unless_a_bad_length_comes_first(provider: Any) -> None:
    end = BASE + 3 * PAGE_SIZE
    put(provider, (0, 1), (0, 1), at=end - 40)
    with pytest.raises(UserFault) as caught:
        IoVec.read(provider, end - 40, 3)
    assert caught.value.address == end
    put(provider, (0, 1), (0, TOP), at=end - 40)
    with pytest.raises(LinuxError) as caught_2:
        IoVec.read(provider, end - 40, 3)
    assert caught_2.value.errno == errno.EINVAL
    for address in (TOP, TOP - 15, TOP - 16):
        with pytest.raises(UserFault):
            IoVec.read(provider, address, 2)


def test_lengths_are_cut_at_max_rw_count_together(provider: Any) -> None:
    most = MAX_RW_COUNT
    assert list(IoVec.read(provider, *put(provider, (0, most), (5, 10)))) == [(0, most), (5, 0)]
    assert list(IoVec.read(provider, *put(provider, (0, most - 4), (5, 10), (6, 1)))) == [(0, most - 4), (5, 4), (6, 0)]
    assert list(IoVec.read(provider, *put(provider, (0, 1 << 62), (0, 1 << 62), (0, 1 << 62)))) == [
        (0, most), (0, 0), (0, 0),
    ]  # fmt: skip


def test_segments_end_within_user_space_at_length_zero_too(provider: Any) -> None:
    end = 0x7FFF_FFFF_F000
    for entries, good in [
        (((end, 0),), True),
        (((end - 1, 1),), True),
        (((end - 1, 2),), False),
        (((end + 1, 0),), False),
        (((0, 0), (TOP, 0)), False),
        (((0, 1), (0, 1 << 62)), False),  # judged before it is cut
        (((0, 1 << 62),), True),  # one alone is cut first
        (((end - MAX_RW_COUNT, 1 << 62),), True),
        (((end - MAX_RW_COUNT + 1, 1 << 62),), False),
    ]:
        at, count = put(provider, *entries)
        if good:
            IoVec.read(provider, at, count, end=end)
        else:
            with pytest.raises(UserFault) as caught:
                IoVec.read(provider, at, count, W, end=end)
            assert caught.value.access == W
    for entry, good in [((TOP, 1), True), ((TOP, 2), False), ((TOP, 0), True), ((0, 0), True), ((1, TOP >> 1), True)]:
        at, count = put(provider, entry, (0, 0))
        if good:
            IoVec.read(provider, at, count)
        else:
            with pytest.raises(UserFault, match=r"iov\[0\]"):
                IoVec.read(provider, at, count)
    with pytest.raises(UserFault):
        IoVec.read(provider, BASE, 1, end=BASE + 15)


def test_the_array_is_copied_once(provider: Any) -> None:
    iov = IoVec.read(provider, *put(provider, (BASE + 100, 4), (BASE, 16)))
    stream = iov.stream(provider)
    # the first segment's bytes, written, are what the program then sees as its array
    assert stream.copy_out(b"abcd" + struct.pack("<QQ", 0, TOP)) == 20
    assert peek(provider, BASE + 100, 4) == b"abcd"
    assert list(iov) == [(BASE + 100, 4), (BASE, 16)]


def entries(model: DataModel, *pairs: tuple[int, int]) -> bytes:
    return b"".join(words(model, model.pointer, *pair) for pair in pairs)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_an_array_is_made_of_what_the_data_model_calls_a_pointer_and_a_size(provider: Any, model: DataModel) -> None:
    # Linux' struct iovec and struct compat_iovec (include/linux/compat.h)
    size = model.pointer
    top = (1 << 8 * size) - 1
    pairs = [(BASE, 3), (top, 0), (BASE + 8, 5)]
    set_model(provider, model)
    for at in (BASE, BASE + 1, BASE + PAGE_SIZE - 5):
        poke(provider, at, entries(model, *pairs))
        assert list(IoVec.read(provider, at, 3)) == pairs
    fixed = UserConstPtr[ctypes.c_char].under(model)(at)
    set_model(provider, LP64 if model != LP64 else ILP32_BIG)
    assert list(IoVec.read(provider, fixed, 3)) == pairs
    set_model(provider, model)
    # the longest length that is no negative one, and the shortest that is; cut where the sum passes the most
    poke(provider, BASE, entries(model, (0, top >> 1), (0, 1)))
    if size == 4:
        assert list(IoVec.read(provider, BASE, 2)) == [(0, MAX_RW_COUNT), (0, 0)]
    for bad in (-1, (top >> 1) + 1):
        poke(provider, BASE, entries(model, (0, 1), (0, bad)))
        with pytest.raises(LinuxError, match=r"iov\[1\].iov_len is negative") as caught:
            IoVec.read(provider, BASE, 2)
        assert caught.value.errno == errno.EINVAL
    # bytes go where the array says
    poke(provider, BASE + PAGE_SIZE, entries(model, (BASE + 4, 2), (BASE + 16, 3)))
    assert IoVec.read(provider, BASE + PAGE_SIZE, 2).stream(provider).copy_out(b"abcde") == 5
    assert peek(provider, BASE + 4, 2) + peek(provider, BASE + 16, 3) == b"abcde"


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_entries_before_a_hole_are_judged_as_wide_as_they_are(provider: Any, model: DataModel) -> None:
    end = BASE + 3 * PAGE_SIZE
    entry = 2 * model.pointer
    set_model(provider, model)
    at = end - 2 * entry - 4
    poke(provider, at, entries(model, (0, 1), (0, 1)) + b"\xff" * 4)
    with pytest.raises(UserFault) as caught:
        IoVec.read(provider, at, 3)
    assert (caught.value.address, caught.value.object) == (end, "iov[2]")
    poke(provider, at, entries(model, (0, 1), (0, -1)))
    with pytest.raises(LinuxError) as caught_2:
        IoVec.read(provider, at, 3)
    assert caught_2.value.errno == errno.EINVAL
    poke(provider, at, entries(model, (0, 1), (0, 1)))
    assert len(IoVec.read(provider, at, 2, end=at + 2 * entry)) == 2
    with pytest.raises(UserFault, match=r"iov: read of .*: it leaves user space"):
        IoVec.read(provider, at, 2, end=at + 2 * entry - 1)


def test_pages_of_the_array_are_copied_once_only() -> None:
    class Counting(FakeMemory):
        reads = 0

        def read_into(self, vaddr: int, buf: Any) -> int:
            self.reads += 1
            return super().read_into(vaddr, buf)

    memory = Counting()
    memory.map(BASE, 1, R)
    IoVec.read(PlainProvider(memory), BASE, 100)
    assert memory.reads == 1


@pytest.mark.parametrize("segments", [[(0, 1 << 63)], [(0, (1 << 63) - 1), (0, 1)], [(0, 1 << 80)]])
def test_an_array_of_our_own_must_fit_a_transfer_too(segments: Any) -> None:
    with pytest.raises(LinuxError) as caught:
        IoVec(segments)
    assert caught.value.errno == errno.EINVAL


# -- the stream


def test_segments_are_one_stream(provider: Any) -> None:
    iov = IoVec([(BASE + 5, 3), (0, 0), (BASE + PAGE_SIZE - 2, 4), (BASE + 100, 2)])
    out = iov.stream(provider)
    assert isinstance(out, IoStream)
    assert (out.copy_out(b"ab"), out.remaining, out.position) == (2, 7, (0, 2))
    assert (out.copy_out(b"cdefghijklmn"), out.remaining, out.position) == (7, 0, (4, 0))
    assert out.copy_out(b"x") == 0
    assert peek(provider, BASE + 5, 3) + peek(provider, BASE + PAGE_SIZE - 2, 4) == b"abcdefg"
    back = iov.stream(provider)
    buffer = bytearray(9)
    assert (back.skip(4), back.position) == (4, (2, 1))
    assert back.copy_in(buffer) == 5
    assert buffer == b"efghi" + bytes(4)
    assert back.skip(1 << 70) == 0


def test_zeros_go_out_as_bytes_do(provider: Any) -> None:
    poke(provider, BASE, b"x" * 3 * PAGE_SIZE)
    stream = IoVec([(BASE + 5, 3), (0, 0), (BASE + PAGE_SIZE - 2, 4), (TOP, 0), (BASE + 100, 2)]).stream(provider)
    assert (stream.clear(0), stream.position) == (0, (0, 0))
    assert (stream.clear(4), stream.position) == (4, (2, 1))
    assert peek(provider, BASE + 4, 5) == b"x\0\0\0x"
    assert peek(provider, BASE + PAGE_SIZE - 3, 4) == b"x\0xx"
    assert (stream.copy_out(b"ab"), stream.clear(1 << 70), stream.remaining, stream.position) == (2, 3, 0, (5, 0))
    assert peek(provider, BASE + PAGE_SIZE - 3, 6) == b"x\0ab\0x"
    assert peek(provider, BASE + 99, 4) == b"x\0\0x"
    assert stream.clear(5) == 0


def test_a_bad_byte_ends_the_zeros_with_a_count_and_a_fault(provider: Any) -> None:
    end = BASE + 3 * PAGE_SIZE
    poke(provider, BASE, b"x" * 3 * PAGE_SIZE)
    stream = IoVec([(BASE, 2), (end - 3, 1 << 40), (BASE + 9, 9)]).stream(provider)
    done = stream.clear(1 << 62)
    assert isinstance(done, Copied)
    assert (done, done.fault.address, done.fault.completed, done.fault.access) == (5, end, 3, W)
    assert (done.fault.size, done.fault.object) == (1 << 40, "iov[1].iov_base")
    assert stream.position == (1, 3)
    assert peek(provider, BASE, 3) + peek(provider, end - 4, 4) == b"\0\0xx\0\0\0"
    assert type(stream.clear(0)) is int


def test_zeros_of_many_pieces_are_counted_together(space: AddrSpace) -> None:
    size = 1 << 20
    space.map_alloc(BASE, size, R | W)
    space.write(BASE, b"x" * size)
    stream = IoVec([(BASE + 1, size - 3), (BASE + size - 1, 1), (BASE + size, 1)]).stream(space)
    done = stream.clear(size)
    assert (done, done.fault.address, done.fault.completed) == (size - 2, BASE + size, 0)  # type: ignore[attr-defined]
    assert space.read(BASE, size) == b"x" + bytes(size - 3) + b"x\0"


def test_a_stream_goes_back_over_what_is_behind_it(provider: Any) -> None:
    poke(provider, BASE, b"0123456789")
    segments = [(0, 0), (BASE, 3), (BASE, 0), (TOP, 0), (BASE + 3, 4), (0, 0), (BASE + 7, 1), (0, 0)]
    stream = IoVec(segments).stream(provider)
    for ahead in range(9):
        for back in range(ahead + 1):
            assert stream.skip(ahead) == ahead
            stream.revert(back)
            buffer = bytearray(8)
            assert stream.remaining == 8 - ahead + back
            assert stream.copy_in(buffer) == 8 - ahead + back
            assert bytes(buffer).rstrip(b"\0") == b"01234567"[ahead - back :]
            stream.revert(8)
    assert (stream.remaining, stream.position) == (8, (1, 0))
    stream.copy_in(bytearray(5))
    for count in (6, 8, 1 << 70):
        with pytest.raises(ValueError, match="only 5 bytes are behind"):
            stream.revert(count)
    assert (stream.remaining, stream.position) == (3, (4, 2))


def test_a_stream_goes_back_from_a_bad_byte(provider: Any) -> None:
    end = BASE + 3 * PAGE_SIZE
    poke(provider, end - 2, b"ab")
    stream = IoVec([(BASE, 2), (end - 2, 4)]).stream(provider)
    assert stream.copy_in(bytearray(6)) == 4
    stream.revert(1)
    buffer = bytearray(1)
    assert (stream.copy_in(buffer), buffer, stream.position) == (1, b"b", (1, 2))
    stream.revert(4)
    assert (stream.clear(6), stream.position) == (4, (1, 2))


def test_the_streams_of_system_calls_clear_and_go_back(space: AddrSpace) -> None:
    set_pages(space, BASE, "ww", b"abcdef")
    stream = UserIter(space, IoVec([(BASE, 2), (BASE + 3, 3)]))  # type: ignore[arg-type]
    assert (stream.clear(3), stream.count) == (3, 2)
    stream.revert(2)
    again = stream.again()
    assert (again.count, again.position, again.copy_out(b"xyzw")) == (4, (0, 1), 4)
    assert space.read(BASE, 6) == b"\0xcyzw"


def test_a_bad_byte_ends_the_stream_with_a_count_and_a_fault(provider: Any) -> None:
    end = BASE + 3 * PAGE_SIZE
    stream = IoVec([(BASE, 2), (end - 3, 10), (BASE, 9)]).stream(provider)
    done = stream.copy_in(bytearray(21))
    assert isinstance(done, Copied)
    fault = done.fault
    assert (done, fault.address, fault.completed, fault.size, fault.access) == (5, end, 3, 10, R)
    assert (stream.remaining, stream.position) == (16, (1, 3))
    assert stream.copy_in(bytearray(1)) == 0
    assert stream.skip(7) == 7  # who wants may go on behind it
    assert type(stream.copy_in(bytearray(9))) is int


def test_pagers_and_devices_take_part(space: AddrSpace) -> None:
    asked: list[int] = []
    space.map_pager(
        BASE, 2 * PAGE_SIZE, R | W, lambda offset: asked.append(offset) or bytes([offset >> 12 | 16]) * PAGE_SIZE
    )
    seen: list[tuple[int, int, int]] = []
    space.map_mmio(2 * BASE, PAGE_SIZE, R | W, lambda o, n: o & 0xFF, lambda o, n, v: seen.append((o, n, v)))
    space.map_alloc(3 * BASE, PAGE_SIZE, R | W)
    iov = IoVec([(BASE + PAGE_SIZE - 1, 2), (2 * BASE + 8, 4), (3 * BASE, 3)])
    buffer = bytearray(9)
    assert iov.stream(space).copy_in(buffer) == 9
    assert buffer == b"\x10\x11\x08\0\0\0\0\0\0"
    assert asked == [0, PAGE_SIZE]
    assert iov.stream(space).copy_out(b"abcdefghi") == 9
    assert seen == [(8, 4, int.from_bytes(b"cdef", "little"))]
    assert space.read(3 * BASE, 3) == b"ghi"


def test_a_memory_that_lies_about_its_count_is_found_out() -> None:
    class Liar(FakeMemory):
        def read_into(self, vaddr: int, buf: Any) -> int:
            return 1 << 40

    with pytest.raises(RuntimeError, match="more than it was asked"):
        IoVec([(0, 5)]).stream(PlainProvider(Liar())).copy_in(bytearray(5))


def test_zeros_reach_devices(space: AddrSpace) -> None:
    seen: list[tuple[int, int, int]] = []
    space.map_mmio(2 * BASE, PAGE_SIZE, R | W, lambda o, n: 0, lambda o, n, v: seen.append((o, n, v)))
    set_pages(space, BASE, "w", b"xxxx")
    assert IoVec([(BASE, 2), (2 * BASE + 8, 4), (BASE + 2, 1)]).stream(space).clear(7) == 7
    assert (space.read(BASE, 4), seen) == (b"\0\0\0x", [(8, 4, 0)])


SEGMENTS = st.lists(st.tuples(st.integers(0, 6 * PAGE_SIZE), st.integers(0, 3 * PAGE_SIZE)), min_size=1, max_size=6)


class Host:
    """The same pages in this process: reading a file into them and writing them to one is what the kernel does."""

    def __init__(self, flags: str) -> None:
        self.flags = flags
        self.map = mmap.mmap(-1, (len(flags) + 4) * PAGE_SIZE)
        self.view = (ctypes.c_char * len(self.map)).from_buffer(self.map)
        self.start = ctypes.addressof(self.view)
        self.map[:] = bytes(i * 13 % 253 for i in range(len(self.map)))
        for i in range(len(flags) + 4):
            bits = {"w": 3, "r": 1, " ": 0}[flags[i] if i < len(flags) else " "]
            self.protect(i, bits)

    def protect(self, page: int, bits: int) -> None:
        at = ctypes.c_void_p(self.start + page * PAGE_SIZE)
        assert libc.mprotect(at, ctypes.c_size_t(PAGE_SIZE), bits) == 0

    def call(self, name: str, fd: int, segments: list[tuple[int, int]]) -> int:
        """readv or writev: the count, or minus the error's number."""
        array = b"".join(struct.pack("<QQ", self.start + at, size) for at, size in segments)
        done: int = getattr(libc, name)(fd, ctypes.c_char_p(array), len(segments))
        return done if done >= 0 else -ctypes.get_errno()

    def close(self) -> bytes:
        for i in range(len(self.flags) + 4):
            self.protect(i, 3)
        data = bytes(self.map)
        del self.view
        self.map.close()
        return data


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(flags=st.text("wwr ", min_size=6, max_size=6), segments=SEGMENTS, kind=st.sampled_from(PROVIDERS))
def test_counts_and_bytes_are_those_of_writev_and_readv_on_a_regular_file(
    phys: PhysMemory, flags: str, segments: list[tuple[int, int]], kind: str
) -> None:
    provider = over(kind, AddrSpace(0x1000, 1 << 40, phys))
    host = Host(flags)
    set_pages(provider, BASE, flags)
    for i, letter in enumerate(flags):
        if letter != " ":
            poke(provider, BASE + i * PAGE_SIZE, bytes(j * 13 % 253 for j in range(i * PAGE_SIZE, (i + 1) * PAGE_SIZE)))
    iov = IoVec([(BASE + at, size) for at, size in segments])
    with tempfile.TemporaryFile() as file:
        want = host.call("writev", file.fileno(), segments)
        buffer = bytearray(iov.total)
        done = iov.stream(provider).copy_in(buffer)
        assert (done if done or not iov.total else -done.fault.errno) == want
        if want > 0:
            file.seek(0)
            assert buffer[:want] == file.read()
        data = os.urandom(iov.total)
        file.seek(0)
        file.truncate()
        file.write(data)
        file.flush()
        file.seek(0)
        want = host.call("readv", file.fileno(), segments)
        done = iov.stream(provider).copy_out(data)
        assert (done if done or not iov.total else -done.fault.errno) == want
    after = host.close()
    for i, letter in enumerate(flags):
        if letter != " ":
            there = peek(provider, BASE + i * PAGE_SIZE, PAGE_SIZE)
            assert there == after[i * PAGE_SIZE : (i + 1) * PAGE_SIZE]


def test_a_segment_that_was_skipped_past_the_last_address_does_not_come_round(make_phys: Any) -> None:
    low = AddrSpace(0, 1 << 30, make_phys())
    low.map_alloc(0, PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    low.write(0, b"low" * 100)
    for provider in (low, Locked(low), PlainProvider(low)):
        for verb in ("copy_in", "copy_out"):
            stream = IoVec([(TOP, 64)]).stream(provider)
            assert stream.skip(12) == 12
            buffer = bytearray(4)
            done = getattr(stream, verb)(buffer)
            assert isinstance(done, Copied)
            assert (done, buffer, stream.remaining) == (0, bytes(4), 52)
            assert (done.fault.address, done.fault.completed) == (TOP + 1, 1)
    assert low.read(0, 300) == b"low" * 100
