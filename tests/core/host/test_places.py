"""Places of the host: what a look finds and refuses, what is told of it, and who closes its descriptor."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys

import pytest

from axptr._core.host.places import Place, Status, access, getxattr, look, name_of, reopen, straight, tell
from axptr.errors import LinuxError
from axptr.linux.abi.layouts import LAYOUTS, pack_statx
from axptr.linux.fs.host.fd import openat2

PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
NO_LINKS = 0x0E

pytestmark = pytest.mark.skipif(openat2().missing, reason="the host has no openat2")


class Named(Place):
    """As the tree derives from it."""


def held(path) -> Named:
    place = Named()
    place.hold_fd(os.open(path, os.O_PATH | os.O_CLOEXEC))
    return place


@pytest.fixture
def start(tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file").write_bytes(b"x" * 5000)
    (tmp_path / "link").symlink_to("dir")
    os.utime(tmp_path / "dir" / "file", ns=(-1_500_000_000, 1_234_567_890_123_456_789))
    return held(tmp_path)


def opened() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_a_look_gives_a_place_of_the_class_asked_for(start):
    start.mount, before = "a mount", opened()
    found = look(Named, start, b"dir/file", PLACE, NO_LINKS)
    assert type(found) is Named
    assert (found.mount, found.home, found.is_dir, found.is_link) == ("a mount", False, False, False)
    status = os.fstat(found.fd)
    assert found.identity == (status.st_dev, status.st_ino)
    assert found.mode == status.st_mode
    del found
    assert opened() == before


@pytest.mark.parametrize(
    ("path", "number"),
    [
        (b"none", errno.ENOENT),
        (b"dir/file/x", errno.ENOTDIR),
        (b"link/file", errno.ELOOP),
        (b"..", errno.EXDEV),
        (b"/etc", errno.EXDEV),
        (b"a\0b", errno.ENOENT),
        (b"n" * 300, errno.ENAMETOOLONG),
    ],
)
def test_what_a_look_does_not_find_is_minus_the_errno(start, path, number):
    before = opened()
    assert look(Named, start, path, PLACE, NO_LINKS) == -number
    assert opened() == before


def test_a_place_that_is_where_it_began_is_at_home_as_much(start):
    start.home = True
    assert look(Named, start, b".", PLACE, NO_LINKS).home
    assert not look(Named, start, b"dir", PLACE, NO_LINKS).home


def test_a_proc_of_the_hosts_is_refused_on_the_way_into_it():
    before = opened()
    root = held("/")
    assert look(Named, root, b"proc", PLACE, NO_LINKS) == -errno.EACCES
    assert look(Named, root, b"proc/sys", PLACE, NO_LINKS) == -errno.EACCES
    del root
    assert opened() == before


def test_what_was_seen_is_told_once_and_then_what_is_so_now(start, tmp_path):
    found = look(Named, start, b"dir/file", PLACE, NO_LINKS)
    os.truncate(tmp_path / "dir" / "file", 7)
    assert found.status_again().st_size == 5000
    assert found.status().st_size == 5000
    assert found.status().st_size == 7
    assert found.status_again().st_size == 7


@pytest.mark.parametrize("name", ["dir/file", "dir", "link", "/dev/null", "/proc/self/status"])
def test_a_status_says_what_the_host_says(start, tmp_path, name):
    fd = os.open(tmp_path / name, os.O_PATH | os.O_NOFOLLOW)
    try:
        told, said = tell(fd), os.fstat(fd)
        names = [name for name in dir(Status) if name.startswith("st_")]
        assert len(names) == 13
        assert {name: getattr(told, name) for name in names} == {name: getattr(said, name) for name in names}
        assert told.identity == (said.st_dev, said.st_ino)
        assert told.stat() == LAYOUTS["x86_64"].stat(told) == LAYOUTS["x86_64"].stat(said)
        attributes = {*range(4), *range(8, 16), *range(56, 64)}  # of these, and by the mask, it says more
        assert [told.statx()[i] for i in range(144) if i not in attributes] == [
            pack_statx(said)[i] for i in range(144) if i not in attributes
        ]
    finally:
        os.close(fd)


def test_a_lent_descriptor_is_not_closed(start):
    fd = os.dup(start.fd)
    place = Named()
    place.borrow(fd, stat.S_IFDIR | 0o755, (1 << 63, (1 << 64) - 1))
    assert (place.identity, place.is_dir) == ((1 << 63, (1 << 64) - 1), True)
    del place
    os.close(fd)


def test_a_closed_descriptor_is_an_error(start):
    with pytest.raises(LinuxError) as caught:
        tell(1 << 20)
    assert caught.value.errno == errno.EBADF
    lost = Named()
    with pytest.raises(LinuxError):
        lost.hold_fd(1 << 20)
    assert look(Named, Named(), b"x", PLACE, NO_LINKS) == -errno.EBADF


@pytest.mark.parametrize(
    ("path", "leads"),
    [
        (b"/usr/bin/ls", b"usr/bin/ls"),
        (b"usr//bin/", b"usr//bin/"),
        (b"a..b/...", b"a..b/..."),
        (b"./x", b"./x"),
        (b"..", None),
        (b"a/..", None),
        (b"a/../b", None),
        (b"/", None),
        (b"//", None),
        (b".", None),
        (b"/.", None),
        (b"/proc/self", None),
        (b"x/proc", None),
        (b"/procs", b"procs"),
    ],
)
def test_which_paths_lead_straight_down(path, leads):
    assert straight(path, {b"proc", b"dev"}) == leads


def test_without_mount_points_every_name_leads_on():
    assert straight(b"/proc/self", set()) == b"proc/self"


def test_attributes_of_a_place(start, tmp_path):
    found = look(Named, start, b"dir/file", PLACE, NO_LINKS)
    assert getxattr(found.fd, b"user.none") in (-errno.ENODATA, -errno.EOPNOTSUPP)
    for size in (0, 5, 256, 257, 2000):
        try:
            os.setxattr(tmp_path / "dir" / "file", "user.some", b"v" * size)
        except OSError:
            pytest.skip("the file system keeps no such attributes")
        assert getxattr(found.fd, b"user.some") == b"v" * size
    with pytest.raises(ValueError, match="NUL"):
        getxattr(found.fd, b"user.\0")


def test_a_place_is_opened_again_whatever_has_its_name(start, tmp_path):
    found = look(Named, start, b"dir/file", PLACE, NO_LINKS)
    os.rename(tmp_path / "dir" / "file", tmp_path / "other")
    (tmp_path / "dir" / "file").write_text("another")
    for quiet in (True, False):
        fd = reopen(found.fd, os.O_RDONLY | os.O_CLOEXEC, quiet)
        assert os.pread(fd, 3, 0) == b"xxx"
        os.close(fd)
    with pytest.raises(LinuxError) as caught:
        reopen(found.fd, os.O_RDONLY | os.O_DIRECTORY, True)
    assert caught.value.errno == errno.ENOTDIR
    assert access(found.fd, os.R_OK) == 0
    assert access(1 << 20, os.R_OK) == errno.EBADF


def test_a_directory_is_opened_again_though_it_may_not_be_searched_or_is_gone(start, tmp_path):
    place = look(Named, start, b"dir", PLACE, NO_LINKS)
    os.rename(tmp_path / "dir", tmp_path / "moved")
    for change in (lambda: os.chmod(tmp_path / "moved", 0o444), lambda: os.chmod(tmp_path / "moved", 0o755)):
        change()
        fd = reopen(place.fd, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, True, True)
        assert os.listdir(fd) == ["file"]
        os.close(fd)
    os.unlink(tmp_path / "moved" / "file")
    os.rmdir(tmp_path / "moved")
    fd = reopen(place.fd, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, True, True)
    assert (os.fstat(fd).st_nlink, os.listdir(fd)) == (0, [])
    os.close(fd)


def test_the_name_of_a_descriptor_is_the_hosts(start, tmp_path):
    place = look(Named, start, b"dir/file", PLACE, NO_LINKS)
    assert name_of(place.fd) == os.fsencode(tmp_path / "dir" / "file")
    (tmp_path / "dir" / "file").unlink()
    assert name_of(place.fd) == os.fsencode(tmp_path / "dir" / "file") + b" (deleted)"
    with pytest.raises(LinuxError) as caught:
        name_of(1 << 20)
    assert caught.value.errno == errno.ENOENT


ELSEWHERE = """
import os, sys
from axptr._core.host.places import getxattr, name_of, reopen
trap, mine = map(os.fsencode, sys.argv[1:])
name_of(os.open(mine, os.O_PATH))  # the way to descriptors is held from now on
if {fork}:
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os.closerange(3, 100)
for number in range(3, 20):  # whatever number it had, it is a directory now in which descriptors have other files
    os.dup2(os.open(trap, os.O_RDONLY), number)
fd = os.open(mine, os.O_PATH)
assert name_of(fd) == mine, name_of(fd)
assert os.read(reopen(fd, os.O_RDONLY, False), 9) == b"mine"
assert getxattr(fd, b"user.none") < 0
assert name_of(fd) == mine
"""


@pytest.mark.parametrize("fork", [False, True])
def test_who_closes_all_descriptors_or_forks_is_not_led_to_other_files(tmp_path, fork):
    trap, mine = tmp_path / "trap", tmp_path / "mine"
    trap.mkdir()
    for number in range(200):
        (trap / str(number)).write_text("trap")
    mine.write_text("mine")
    subprocess.run([sys.executable, "-c", ELSEWHERE.format(fork=fork), trap, mine], check=True, timeout=60)
