"""Path resolution: links, dots, limits, and the files of our own in it; with openat2 and without."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from axptr._core.host.places import name_of
from axptr.errors import LinuxError
from axptr.linux import Overlay
from axptr.linux.files.locks import LockTable
from axptr.linux.fs import writable
from axptr.linux.fs.host.fd import openat2
from axptr.linux.fs.host.tree import HostNode
from axptr.linux.fs.walk import AT_FDCWD, FsContext
from axptr.linux.task.filetable import FileTable
from axptr.linux.task.pids import PidTable

from ..conftest import run_guest, run_host
from ..trees import file_system, walker


class FakeTask:
    pid = 4711
    tid = 4711
    exe = b"/bin/prog"
    dead = False

    def __init__(self, fs: FsContext) -> None:
        self.fs = fs
        self.group = SimpleNamespace(tgid=self.pid, threads={self.tid: self})
        self.machine = walker(fs, pids=PidTable(5000)).machine
        self.creds = self.machine.owner
        self.machine.pids.tasks[self.tid] = self
        self.machine.pids.groups[self.pid] = self.group
        self.files = FileTable(16, LockTable())
        self.machine.thread = self.machine.pids.tasks.get


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


@pytest.fixture(params=["openat2", "one by one"])
def task(root, request, monkeypatch):
    """A task in `root`; with the host's openat2, and as if it had none."""
    if request.param == "one by one":
        monkeypatch.setattr(openat2(), "missing", True)
    elif openat2().missing:
        pytest.skip("the host has no openat2")
    return FakeTask(file_system(root, []))


@pytest.fixture
def resolve(task):
    def run(path: bytes, **options):
        return task.fs.resolve(task, AT_FDCWD, path, **options)

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
    node = resolve(path)
    assert node.where() == (root + b"/" + leads_to).rstrip(b"/")
    assert node.where() == os.path.realpath(os.path.join(root, path))
    status = os.stat(os.path.join(root, path))
    assert node.identity == (status.st_dev, status.st_ino)


def test_the_root_is_its_own_parent(resolve):
    assert resolve(b"/").where() == b"/"
    assert resolve(b"/../../..").where() == b"/"
    assert resolve(b"//etc/..").where() == b"/"


def test_a_link_at_the_end_is_followed_only_when_asked(resolve, root):
    assert resolve(b"rel", follow=False).where() == root + b"/rel"
    assert resolve(b"abs/", follow=False).where() == root + b"/dir"  # a slash asks for the directory


def test_the_last_component_of_an_entry_is_not_looked_at(task, root):
    for path, name, slash in (
        (b"dir/new", b"new", False),
        (b"abs/new", b"new", False),
        (b"dir/new//", b"new", True),
        (b"dir/.", b".", False),
        (b"dir/../", b"..", True),
    ):
        entry = task.fs.entry(task, AT_FDCWD, path)
        where = root if path == b"dir/.." else root + b"/dir"
        assert (entry.directory.where(), entry.name, entry.slash) == (where, name, slash)
        assert entry.normal == (name == b"new")
    assert task.fs.entry(task, AT_FDCWD, b"dangling").directory.where() == root
    assert not task.fs.entry(task, AT_FDCWD, b"///").normal


def test_a_directory_that_is_held_is_the_same_under_any_name(task, resolve, root):
    task.fs.cwd = resolve(b"dir/deep").hold()
    os.rename(root + b"/dir", root + b"/moved")
    os.symlink(b"/etc", root + b"/dir")
    assert task.fs.cwd.where() == root + b"/moved/deep"
    assert resolve(b"..").where() == root + b"/moved"
    assert resolve(b"../file").where() == root + b"/moved/file"
    os.rmdir(root + b"/moved/deep")
    assert task.fs.cwd.removed
    assert task.fs.cwd.where() == root + b"/moved/deep (deleted)"
    with pytest.raises(LinuxError) as caught:
        resolve(b"x")
    assert caught.value.errno == errno.ENOENT


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
    for path in (b"/dev/null", b"to-null", b"/dev/../dev/./null", b"/proc/../dev/null", b"//dev//null", b"/./dev/null"):
        assert resolve(path).path == b"/dev/null"
    for path in (b"/proc/self/comm", b"to-proc/comm", b"/proc/4711/comm", b"/proc/thread-self/comm"):
        assert resolve(path).path.endswith(b"/comm")
    assert resolve(b"/proc/self/exe", follow=False).path == b"/proc/4711/exe"
    for path in (b"/proc/2", b"/dev/sda", b"/proc/self/root/proc/2", b"/proc/self/cwd/../../../../proc/2/root"):
        with pytest.raises(LinuxError) as caught:
            resolve(path)
        assert caught.value.errno == errno.ENOENT


def test_shared_memory_lies_in_our_own_dev(root):
    if not os.path.isdir("/dev/shm"):
        pytest.skip("needs /dev/shm")
    task = FakeTask(file_system(b"/dev/shm", []))
    assert task.fs.cwd.where() == b"/dev/shm"
    for path in (b"../null", b"../shm/../null", b"/dev/shm/../null"):
        assert task.fs.resolve(task, AT_FDCWD, path).path == b"/dev/null"


def test_a_path_of_as_many_components_as_fit_is_walked(resolve, root):
    assert resolve(b"./" * 2000 + b"dir").where() == root + b"/dir"
    assert resolve(b"dir/../" * 580 + b"rel").where() == root + b"/dir/file"


def test_a_proc_of_the_hosts_elsewhere_is_not_entered(task):
    """Through it a program could reach this process, whatever its own /proc shows."""
    node = HostNode(os.open("/", os.O_PATH | os.O_DIRECTORY))
    with pytest.raises(LinuxError) as caught:
        node.lookup(task, b"proc")
    assert caught.value.errno == errno.EACCES


# -- what may be changed


def may_change(fs: FsContext, path: bytes) -> bool:
    node = fs.resolve(FakeTask(fs), AT_FDCWD, path)
    return node.may_change()


def test_what_may_be_changed_is_decided_by_where_it_is(root):
    fs = file_system(root, [root + b"/abs", b"/nowhere"])
    assert may_change(fs, b"dir")
    assert may_change(fs, b"dir/deep")
    assert may_change(fs, b"rel")
    assert not may_change(fs, b".")
    os.mkdir(root + b"/dir2")
    assert not may_change(fs, b"dir2")
    assert not may_change(fs, b"/proc/self")
    assert may_change(file_system(root, [b"/"]), b"/etc/passwd")
    assert may_change(file_system(root, [root + b"/dir/file"]), b"rel")


def test_a_held_file_may_be_changed_as_long_as_it_is_inside(root):
    fs = file_system(root, [root + b"/dir"])
    task = FakeTask(fs)
    os.mkdir(root + b"/out")
    for name in (b"file", b"deep"):
        node = fs.resolve(task, AT_FDCWD, b"dir/" + name)
        node.changeable()
        os.rename(root + b"/dir/" + name, root + b"/out/" + name)
        with pytest.raises(LinuxError):
            node.changeable()
        os.rename(root + b"/out/" + name, root + b"/dir/again")
        assert node.changeable().identity == node.identity
        os.rename(root + b"/dir/again", root + b"/out/" + name)
    os.rename(root + b"/dir", root + b"/elsewhere")  # the allowed directory is held, too
    os.mkdir(root + b"/dir")
    assert not may_change(fs, b"dir")
    assert may_change(fs, b"elsewhere")


def test_a_removed_file_may_be_changed_only_if_it_was_opened_inside(root):
    fs = file_system(root, [root + b"/dir"])
    task = FakeTask(fs)
    for path, inside in ((b"dir/file", True), (b"outside", False)):
        with open(root + b"/" + path, "wb"):
            pass
        file = fs.resolve(task, AT_FDCWD, path).open(task, os.O_RDONLY)
        os.unlink(root + b"/" + path)
        if inside:
            assert file.node().changeable().identity == file.identity
        else:
            with pytest.raises(LinuxError) as caught:
                file.node().changeable()
            assert caught.value.errno == errno.EROFS
        file.close()


def test_a_file_that_is_moved_out_while_it_is_judged_is_not_taken_for_what_has_its_name_now(root, monkeypatch):
    fs = file_system(root, [root + b"/dir"])
    node = fs.resolve(FakeTask(fs), AT_FDCWD, b"dir/file")

    def move_after(fd: int) -> bytes:
        name = name_of(fd)
        if name == root + b"/dir/file":
            os.rename(name, root + b"/moved")
            with open(name, "wb"):
                pass
        return name

    monkeypatch.setattr(writable, "name_of", move_after)
    with pytest.raises(LinuxError) as caught:
        node.changeable()
    assert caught.value.errno == errno.EROFS


LONG = r"""
#include <errno.h>
#include <stdio.h>
#include <string.h>
int main(void) {
    char name[300];
    memset(name, 'a', 299), name[299] = 0;
    fclose(fopen("there", "w"));
    char *pairs[][2] = {{"missing", name}, {name, "missing"}, {"there", name}, {name, name}};
    for (int i = 0; i < 4; i++) printf("%d %d\n", rename(pairs[i][0], pairs[i][1]), errno);
    return 0;
}
"""


@pytest.mark.parametrize("tree", ["disk", "memory"])
def test_what_is_renamed_is_looked_for_before_its_new_name(compile_guest, tmp_path, tree):
    program = compile_guest("renames", "-static", source=LONG)
    options = {"allow_write": [tmp_path]} if tree == "disk" else {"overlay": Overlay()}
    assert run_guest(program, cwd=tmp_path, **options).stdout == run_host(program, cwd=tmp_path).stdout
