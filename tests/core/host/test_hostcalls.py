"""The host's calls, against what `os` says of the same."""

from __future__ import annotations

import errno
import mmap
import os
import resource
import select
from pathlib import Path

import pytest

from axptr._core.host import hostcalls
from axptr._core.host.hostcalls import HoleBuffer
from axptr.errors import LinuxError

PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
NO_LINKS = 0x0E


@pytest.fixture
def place(tmp_path: Path) -> int:
    (tmp_path / "file").write_bytes(b"hello")
    (tmp_path / "link").symlink_to("file")
    return os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)


def test_openat2_gives_a_descriptor_or_minus_the_errno(place: int) -> None:
    fd = hostcalls.openat2(place, b"file", PLACE, 0, NO_LINKS)
    assert os.path.samestat(os.fstat(fd), os.stat("file", dir_fd=place))
    os.close(fd)
    assert hostcalls.openat2(place, b"nothing", PLACE, 0, NO_LINKS) == -errno.ENOENT
    assert hostcalls.openat2(place, b"..", PLACE, 0, NO_LINKS) == -errno.EXDEV
    assert hostcalls.openat2(-7, b"file", PLACE, 0, NO_LINKS) == -errno.EBADF


def test_structures_are_what_the_host_says(place: int) -> None:
    stat = os.stat("file", dir_fd=place)
    raw = hostcalls.statx(place, b"file", 0, 0x7FF)
    assert len(raw) == 256
    assert int.from_bytes(raw[40:48], "little") == stat.st_size
    assert int.from_bytes(raw[32:40], "little") == stat.st_ino
    raw = hostcalls.fstatfs(place)
    assert len(raw) == 120
    assert int.from_bytes(raw[8:16], "little") == os.fstatvfs(place).f_bsize


def test_names_are_moved_linked_and_dated(place: int, tmp_path: Path) -> None:
    hostcalls.linkat(place, b"file", place, b"other", 0)
    assert (tmp_path / "other").stat().st_nlink == 2
    with pytest.raises(LinuxError, match="exists"):
        hostcalls.renameat2(place, b"link", place, b"other", 1)  # RENAME_NOREPLACE
    hostcalls.renameat2(place, b"link", place, b"file", 2)  # RENAME_EXCHANGE
    assert (tmp_path / "file").is_symlink()
    assert (tmp_path / "link").read_bytes() == b"hello"
    hostcalls.utimensat(place, b"link", bytes(8) + bytes(8) + (77).to_bytes(8, "little") + bytes(8), 0)
    assert (tmp_path / "link").stat().st_mtime_ns == 77 * 10**9
    hostcalls.utimensat(place, b"link", None, 0)
    assert (tmp_path / "link").stat().st_mtime_ns > 77 * 10**9
    for wrong, times in ((ValueError, b""), (TypeError, 5), (TypeError, "x" * 32)):
        with pytest.raises(wrong):
            hostcalls.utimensat(place, b"link", times, 0)  # type: ignore[arg-type]
    hostcalls.fchownat(place, b"link", 0xFFFF_FFFF, 0xFFFF_FFFF, 0)  # nobody: nothing changes
    hostcalls.faccessat(place, b"link", os.R_OK, 0)
    with pytest.raises(LinuxError) as refused:
        hostcalls.faccessat(place, b"nothing", os.F_OK, 0)
    assert refused.value.errno == errno.ENOENT


@pytest.mark.parametrize("call", [hostcalls.statx, hostcalls.faccessat])
def test_paths_are_bytes_without_a_nul(call: object) -> None:
    with pytest.raises(ValueError, match="NUL"):
        call(-100, b"/etc\0/x", 0, 0)  # type: ignore[operator]
    with pytest.raises(TypeError):
        call(-100, None, 0, 0)  # type: ignore[operator]
    with pytest.raises(TypeError):
        call(-100, "/etc", 0, 0)  # type: ignore[operator]
    with pytest.raises(OverflowError):
        call(1 << 40, b"/etc", 0, 0)  # type: ignore[operator]


def test_a_directory_is_listed_into_any_writable_buffer(place: int) -> None:
    buffer = bytearray(4096)
    n = hostcalls.getdents64(place, memoryview(buffer))
    assert b"file\0" in buffer[:n]
    assert b"link\0" in buffer[:n]
    os.lseek(place, 0, os.SEEK_SET)
    with pytest.raises(LinuxError, match="Invalid"):
        hostcalls.getdents64(place, memoryview(buffer)[:8])
    with pytest.raises(BufferError):
        hostcalls.getdents64(place, memoryview(bytes(100)))


def test_pipes_are_polled_and_copied() -> None:
    reader, writer = os.pipe()
    far, out = os.pipe()
    assert hostcalls.poll_now(reader, select.POLLIN) == 0
    with pytest.raises(LinuxError, match="unavailable"):
        hostcalls.tee(reader, out, 10, 2)  # SPLICE_F_NONBLOCK
    os.write(writer, b"abc")
    assert hostcalls.poll_now(reader, select.POLLIN) == select.POLLIN
    assert hostcalls.tee(reader, out, 10, 2) == 3
    assert os.read(far, 9) == os.read(reader, 9) == b"abc"
    os.close(writer)
    assert hostcalls.poll_now(reader, select.POLLIN) == select.POLLHUP
    assert hostcalls.poll_now(999, select.POLLIN) == select.POLLNVAL
    assert hostcalls.fcntl(reader, 3) & os.O_ACCMODE == os.O_RDONLY
    with pytest.raises(LinuxError):
        hostcalls.fcntl(999, 3)
    for fd in (reader, far, out):
        os.close(fd)


def test_the_process_and_the_machine() -> None:
    infinite = (1 << 64) - 1
    for number in (resource.RLIMIT_NOFILE, resource.RLIMIT_STACK, resource.RLIMIT_CORE):
        assert hostcalls.getrlimit(number) == tuple(n & infinite for n in resource.getrlimit(number))
    with pytest.raises(LinuxError):
        hostcalls.getrlimit(99)
    assert hostcalls.getauxval(6) == mmap.PAGESIZE  # AT_PAGESZ
    assert hostcalls.getauxval(9999) == 0
    assert hostcalls.alarm_refused(0) == 0
    assert hostcalls.alarm_refused(77) == errno.EINVAL
    assert hostcalls.prctl(3) in (0, 1, 2)  # PR_GET_DUMPABLE
    state, timex = hostcalls.adjtimex(bytes(208))
    assert state in range(6)
    assert len(timex) == 208
    with pytest.raises(ValueError, match="208"):
        hostcalls.adjtimex(b"")


def test_the_host_says_what_can_be_mapped(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    assert hostcalls.map_refused(fd, 0) == 0
    assert hostcalls.map_refused(fd, 12) == errno.EINVAL
    assert hostcalls.map_refused(999, 0) == errno.EBADF
    hostcalls.fallocate(fd, 0, 0, 5000)
    assert os.fstat(fd).st_size == 5000
    with pytest.raises(LinuxError):
        hostcalls.fallocate(fd, 0, -1, 5)
    os.close(fd)


def test_a_transfer_beside_a_hole_is_the_hosts_own(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(range(256)))
    fd = os.open(tmp_path / "f", os.O_RDWR)
    hole = HoleBuffer(8192)
    assert hole.transfer("read", fd, 100, 5000, None) == 100
    assert bytes(hole.view[-100:]) == bytes(range(100))
    assert hole.transfer("pread64", fd, 10, 1 << 62, 200) == 10
    assert bytes(hole.view[-10:]) == bytes(range(200, 210))
    hole.view[-3:] = b"xyz"
    assert hole.transfer("pwrite64", fd, 3, 99, 0) == 3
    assert os.pread(fd, 4, 0) == b"xyz\x03"
    with pytest.raises(LinuxError, match="Bad address"):
        hole.transfer("read", fd, 0, 10, None)
    for good, count in ((8193, 9000), (10, 5)):
        with pytest.raises(ValueError, match="good bytes"):
            hole.transfer("read", fd, good, count, None)
    with pytest.raises(ValueError, match="not in"):
        hole.transfer("close", fd, 0, 0, None)
    os.close(fd)


@pytest.mark.parametrize("size", [0, 100, 1 << 40])
def test_a_hole_buffer_is_of_whole_pages(size: int) -> None:
    with pytest.raises(ValueError, match="whole pages"):
        HoleBuffer(size)


def test_views_keep_the_memory() -> None:
    view = HoleBuffer(4096).view
    view[:] = b"x" * 4096
    assert bytes(view) == b"x" * 4096
