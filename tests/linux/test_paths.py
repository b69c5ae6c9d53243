"""Path resolution: links, dots, limits, and the files of our own in it."""

from __future__ import annotations

import errno
import os

import pytest

from axptr.errors import LinuxError
from axptr.linux.devices import Dev
from axptr.linux.locks import LockTable
from axptr.linux.openfile import FileTable
from axptr.linux.paths import AT_FDCWD, FileSystem
from axptr.linux.procfs import Proc


class FakeTask:
    pid = 4711
    exe = b"/bin/prog"

    def __init__(self, fs: FileSystem) -> None:
        self.fs = fs
        self.files = FileTable(16, LockTable())


@pytest.fixture
def root(tmp_path):
    (tmp_path / "dir" / "deep").mkdir(parents=True)
    (tmp_path / "dir" / "file").write_text("x")
    (tmp_path / "rel").symlink_to("dir/file")
    (tmp_path / "abs").symlink_to(tmp_path / "dir")
    (tmp_path / "dir" / "up").symlink_to("../dir/deep/..")
    (tmp_path / "dangling").symlink_to("dir/none")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "to-proc").symlink_to("/proc/self")
    (tmp_path / "to-null").symlink_to("/dev/null")
    return os.fsencode(tmp_path.resolve())


@pytest.fixture
def resolve(root):
    fs = FileSystem(root, [], Proc(), Dev())
    task = FakeTask(fs)

    def run(path: bytes, **options):
        return fs.resolve(task, AT_FDCWD, path, **options)

    return run


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        (b"dir/file", b"dir/file"),
        (b"./dir//deep/../file", b"dir/file"),
        (b"rel", b"dir/file"),
        (b"abs/file", b"dir/file"),
        (b"abs/up/file", b"dir/file"),
        (b"abs/up/up/deep", b"dir/deep"),
        (b"dir/", b"dir"),
        (b"abs/", b"dir"),
        (b".", b""),
        (b"dir/..", b""),
        (b"dir/deep/../..", b""),
    ],
)
def test_a_path_leads_where_the_host_says(resolve, root, path, leads_to):
    place = resolve(path)
    assert place.path == (root + b"/" + leads_to).rstrip(b"/")
    assert place.exists
    assert place.node is None
    assert place.path == os.path.realpath(os.path.join(root, path))


def test_the_root_is_its_own_parent(resolve):
    assert resolve(b"/").path == b"/"
    assert resolve(b"/../../..").path == b"/"
    assert resolve(b"//etc/..").path == b"/"


def test_a_link_at_the_end_is_followed_only_when_asked(resolve, root):
    assert resolve(b"rel", follow=False).path == root + b"/rel"
    assert resolve(b"abs/", follow=False).path == root + b"/dir"  # a slash asks for the directory


def test_what_is_not_there_has_a_place_if_its_directory_is(resolve, root):
    place = resolve(b"dir/new")
    assert (place.path, place.exists) == (root + b"/dir/new", False)
    place = resolve(b"dangling")
    assert (place.path, place.exists) == (root + b"/dir/none", False)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (b"", errno.ENOENT),
        (b"none/x", errno.ENOENT),
        (b"dangling/x", errno.ENOENT),
        (b"dir/file/x", errno.ENOTDIR),
        (b"dir/file/..", errno.ENOTDIR),
        (b"dir/file/.", errno.ENOTDIR),
        (b"dir/file/", errno.ENOTDIR),
        (b"loop", errno.ELOOP),
        (b"loop/x", errno.ELOOP),
        (b"x" * 256, errno.ENAMETOOLONG),
        (b"/proc/none/x", errno.ENOENT),
        (b"/dev/null/x", errno.ENOTDIR),
        (b"/dev/null/", errno.ENOTDIR),
    ],
)
def test_a_path_that_leads_nowhere(resolve, path, code):
    with pytest.raises(LinuxError) as caught:
        resolve(path)
    assert caught.value.errno == code


def test_our_own_files_are_found_however_they_are_reached(resolve):
    for path in (b"/dev/null", b"to-null", b"/dev/../dev/./null", b"/proc/../dev/null"):
        assert resolve(path).node.path == b"/dev/null"
    for path in (b"/proc/self/comm", b"to-proc/comm", b"/proc/4711/comm", b"/proc/thread-self/comm"):
        assert resolve(path).node.path.endswith(b"/comm")
    assert resolve(b"/proc/self/exe", follow=False).path == b"/proc/4711/exe"
    assert not resolve(b"/proc/1").exists
    assert not resolve(b"/dev/sda").exists


def test_what_may_be_changed_is_decided_on_the_canonical_path(root):
    fs = FileSystem(root, [root + b"/abs", b"/nowhere"], Proc(), Dev())
    assert fs.may_change(root + b"/dir")
    assert fs.may_change(root + b"/dir/deep/x")
    assert not fs.may_change(root + b"/dir2")
    assert not fs.may_change(root)
    assert FileSystem(root, [b"/"], Proc(), Dev()).may_change(b"/etc/passwd")


def test_a_directory_that_became_a_link_is_seen_when_something_is_changed(resolve, root):
    assert resolve(b"dir/deep/x").path == root + b"/dir/deep/x"
    os.rmdir(root + b"/dir/deep")
    os.symlink(b"/tmp", root + b"/dir/deep")
    assert resolve(b"dir/deep/x", change=True).path == os.path.realpath(b"/tmp") + b"/x"
