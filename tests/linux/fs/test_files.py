"""Files: what may be changed and what may not, no way out of the allowed directories, descriptors, streams."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from axptr.linux import Tmpfs

from ..conftest import run_guest, run_host

HEADERS = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
static void show(const char *what, long result) {
    printf("%s: %ld errno %d\\n", what, result, result == -1 ? errno : 0);
    errno = 0;
}
"""


@pytest.fixture
def busybox():
    found = shutil.which("busybox")
    if found is None:
        pytest.skip("needs busybox-static")
    return found


@pytest.fixture
def shell(busybox):
    def run(script: str, **options):
        return run_guest(busybox, "sh", "-c", script, **options)

    return run


# -- the read-only host

CHANGES = [
    "echo x > new",
    "echo x > old",
    "echo x >> old",
    ": > old",
]
TOOLS = ["touch old", "touch new", "mkdir dir2", "rmdir dir", "rm old", "mv old new", "ln old new", "ln -s old new",
         "chmod 700 old", "truncate -s 5 old", "dd if=old of=new", "cp old new", "mkfifo new"]  # fmt: skip


def snapshot(root: Path) -> list[tuple[str, int, bytes]]:
    found = []
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        found.append((str(path), status.st_mode, path.read_bytes() if path.is_file() else b""))
    return found


@pytest.fixture
def host_dir(tmp_path):
    root = tmp_path / "host"
    (root / "dir").mkdir(parents=True)
    (root / "old").write_text("as it was\n")
    return root


@pytest.mark.parametrize("change", [*CHANGES, *TOOLS])
def test_the_hosts_files_cannot_be_changed(busybox, host_dir, change):
    before = snapshot(host_dir)
    words = ["sh", "-c", change] if change in CHANGES else change.split()
    ours = run_guest(busybox, *words, cwd=host_dir)
    assert ours.status != 0
    assert b"Read-only file system" in ours.stderr
    assert snapshot(host_dir) == before


@pytest.mark.parametrize("change", [*CHANGES, *TOOLS])
def test_an_allowed_directory_can_be_changed_as_on_the_host(busybox, tmp_path, change):
    results = []
    for side in ("host", "ours"):
        root = tmp_path / side / "allowed"
        (root / "dir").mkdir(parents=True)
        (root / "old").write_text("as it was\n")
        words = [busybox, *(["sh", "-c", change] if change in CHANGES else change.split())]
        run = {"host": run_host, "ours": partial(run_guest, allow_write=[root])}[side]
        outcome = run(*words, cwd=root)
        content = [(p.removeprefix(str(root)), mode, data) for p, mode, data in snapshot(root)]
        results.append((outcome.status, outcome.stdout, content))
    assert results[0] == results[1]
    assert results[0][0] == 0


@pytest.mark.parametrize(
    "command", ["tar xf {data}", "cp -a {source} copy", "sed -i s/as/was/ kept", "sort -o kept kept"]
)
def test_tools_that_write_work_in_an_allowed_directory(tmp_path, command):
    tool = shutil.which(command.split()[0])
    if tool is None:
        pytest.skip(f"needs {command.split()[0]}")
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_text("as it was\n")
    (source / "link").symlink_to("sub/file")
    (source / "sub").chmod(0o750)
    data = tmp_path / "data.tar"
    subprocess.run(["tar", "cf", data, "-C", tmp_path, "source"], check=True)
    results = []
    for side, run in ("host", run_host), ("ours", run_guest):
        root = tmp_path / side
        root.mkdir()
        (root / "kept").write_text("as it was\nand is\n")
        words = [word.format(data=data, source=source) for word in command.split()[1:]]
        options = {} if side == "host" else {"allow_write": [root]}
        outcome = run(tool, *words, cwd=root, **options)
        content = [(p.removeprefix(str(root)), mode, text) for p, mode, text in snapshot(root)]
        results.append((outcome.status, outcome.stdout, outcome.stderr, content))
    assert results[0] == results[1]
    assert results[0][0] == 0


def test_there_is_no_way_out_of_an_allowed_directory(compile_guest, tmp_path):
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    (allowed / "sub").mkdir(parents=True)
    (outside / "dir").mkdir(parents=True)
    secret = outside / "secret"
    secret.write_text("untouched")
    (allowed / "link").symlink_to(outside)
    (allowed / "file-link").symlink_to(secret)
    (allowed / "dangling").symlink_to(outside / "created")
    (tmp_path / "allowed-not").mkdir()
    body = r"""
    int main(void) {
        int O = O_CREAT | O_RDWR, fd;
        show("dotdot", open("../outside/secret", O, 0600));
        show("dotdot create", open("../outside/new", O, 0600));
        show("sub dotdot", open("sub/../../outside/new", O, 0600));
        show("link dir", open("link/new", O, 0600));
        show("link dotdot", open("link/../new", O, 0600));
        show("file link", open("file-link", O_WRONLY));
        show("file link trunc", open("file-link", O_RDONLY | O_TRUNC));
        show("dangling", open("dangling", O, 0600));
        show("prefix", open("../allowed-not/new", O, 0600));
        show("own link", symlink("../outside", "made"));
        show("through it", open("made/new", O, 0600));
        show("mkdir through it", mkdir("made/new", 0700));
        show("unlink through it", unlink("made/secret"));
        show("rename out", rename("file-link", "../outside/moved"));
        show("rename in", rename("../outside/secret", "mine"));
        show("hard link in", link("../outside/secret", "mine"));
        show("hard link out", link("sub", "../outside/hard"));
        show("chmod link", chmod("file-link", 0777));
        show("truncate link", truncate("file-link", 0));
        show("utime link", utimensat(AT_FDCWD, "file-link", 0, 0));
        show("swap a directory for a link", rename("sub", "sub2"));
        show("swapped", symlink("../outside/dir", "sub"));
        show("through the swapped", open("sub/new", O, 0600));
        show("dirfd", fd = open("../outside", O_RDONLY | O_DIRECTORY) > 2 ? 0 : -1);
        fd = open("../outside", O_RDONLY | O_DIRECTORY);
        show("at dirfd", openat(fd, "new", O, 0600));
        show("chdir", chdir("../outside"));
        show("relative", open("new", O, 0600));
        show("root of allowed", rename("../allowed", "../elsewhere"));
        show("proc fd", open("/proc/self/cwd/new", O, 0600));
        fd = open("secret", O_RDONLY);
        char name[64];
        sprintf(name, "/proc/self/fd/%d", fd);
        show("reopen for writing", open(name, O_RDWR));
        show("ftruncate", ftruncate(fd, 0));
        show("fchmod", fchmod(fd, 0777));
        show("write", write(fd, "x", 1));
        return 0;
    }"""
    program = compile_guest("escape", "-static", source=HEADERS + body)
    ours = run_guest(program, cwd=allowed, allow_write=[allowed])
    assert secret.read_text() == "untouched"
    assert secret.stat().st_nlink == 1
    assert sorted(p.name for p in outside.iterdir()) == ["dir", "secret"]
    assert not list((outside / "dir").iterdir())
    assert not list((tmp_path / "allowed-not").iterdir())
    assert not (tmp_path / "new").exists()
    refused = [line for line in ours.lines if "errno 0" in line]
    assert [line.partition(":")[0] for line in refused] == [
        "own link", "swap a directory for a link", "swapped", "dirfd", "chdir",
    ]  # fmt: skip


# -- descriptors

DESCRIPTORS = r"""
    int main(int argc, char **argv) {
        char buf[100], dir[200];
        struct stat st;
        int fd = open(argv[1], O_RDONLY);
        show("first", fd);
        show("dup", dup(fd));
        show("dup2", dup2(fd, 10));
        show("dup2 same", dup2(fd, fd));
        show("dup3 same", dup3(fd, fd, 0));
        show("dup bad", dup(99));
        show("dup2 too high", dup2(fd, 1 << 20));
        show("dupfd", fcntl(fd, F_DUPFD, 20));
        show("dupfd cloexec", fcntl(fd, F_DUPFD_CLOEXEC, 20));
        show("getfd", fcntl(21, F_GETFD));
        show("setfd", fcntl(20, F_SETFD, FD_CLOEXEC));
        show("getfd", fcntl(20, F_GETFD));
        show("getfl", fcntl(fd, F_GETFL) & O_ACCMODE);
        show("read", read(fd, buf, 5));
        show("shared position", lseek(10, 0, SEEK_CUR));
        show("pread", pread(fd, buf, 5, 100));
        show("seek end", lseek(fd, -3, SEEK_END));
        show("seek before", lseek(fd, -1, SEEK_SET));
        show("seek whence", lseek(fd, 0, 99));
        show("read rest", read(fd, buf, 100));
        show("at end", read(fd, buf, 100));
        show("write to it", write(fd, buf, 1));
        show("close", close(fd));
        show("close again", close(fd));
        show("read closed", read(fd, buf, 1));
        show("still open", pread(10, buf, 1, 0));
        int p[2];
        show("pipe", pipe2(p, O_NONBLOCK));
        show("empty", read(p[0], buf, 1));
        show("write pipe", write(p[1], "abc", 3));
        show("seek pipe", lseek(p[0], 0, SEEK_SET));
        show("pread pipe", pread(p[0], buf, 1, 0));
        struct iovec v[2] = {{buf, 2}, {buf + 50, 10}};
        show("readv", readv(p[0], v, 2));
        printf("%c%c%c\n", buf[0], buf[1], buf[50]);
        show("read the writer", read(p[1], buf, 1));
        close(p[1]);
        show("end of pipe", read(p[0], buf, 1));
        show("fstat", fstat(p[0], &st));
        show("fifo", S_ISFIFO(st.st_mode));
        show("directory", fd = open(argv[2], O_RDONLY | O_DIRECTORY) > 0 ? 0 : -1);
        show("not a directory", open(argv[1], O_RDONLY | O_DIRECTORY));
        show("write a directory", open(argv[2], O_RDWR));
        show("create a directory", open(argv[2], O_RDONLY | O_CREAT, 0600));
        show("slash", open(strcat(strcpy(dir, argv[1]), "/"), O_RDONLY));
        show("below a file", open(strcat(strcpy(dir, argv[1]), "/x"), O_RDONLY));
        show("dot of a file", stat(strcat(strcpy(dir, argv[1]), "/."), &st));
        show("dotdot of a file", stat(strcat(strcpy(dir, argv[1]), "/.."), &st));
        show("exclusive", open(argv[1], O_CREAT | O_EXCL | O_RDWR, 0600));
        show("nofollow", open(strcat(strcpy(dir, argv[2]), "/link"), O_RDONLY | O_NOFOLLOW));
        show("loop", open(strcat(strcpy(dir, argv[2]), "/loop"), O_RDONLY));
        show("stat loop", stat(dir, &st));
        show("lstat loop", lstat(dir, &st));
        show("lstat loop slash", lstat(strcat(dir, "/"), &st));
        show("component of 256", access(strcat(strcpy(dir, "/"), "%s"), 0));
        fd = open(argv[1], O_PATH);
        show("read a path", read(fd, buf, 1));
        show("fstat a path", fstat(fd, &st));
        show("dup a path", dup(fd) > 0 ? 0 : -1);
        show("fchdir a file", fchdir(fd));
        show("null", fd = open("/dev/null", O_RDWR) > 0 ? 0 : -1);
        fd = open("/dev/null", O_RDWR);
        show("null seek", lseek(fd, 100, SEEK_SET));
        show("null pread", pread(fd, buf, 10, 5));
        show("null pwrite", pwrite(fd, buf, 10, 5));
        fd = open("/dev/zero", O_RDWR);
        buf[0] = 1;
        show("zero read", read(fd, buf, 10));
        show("zero value", buf[0]);
        show("zero write", write(fd, buf, 10));
        fd = open("/dev/full", O_RDWR);
        show("full", write(fd, buf, 10));
        show("fsync", fsync(fd));
        show("ioctl", ioctl(10, 0x5401, buf));
        show("fallocate", fallocate(10, 0, 0, 10));
        show("close_range", close_range(20, 30, 0));
        show("closed", fcntl(21, F_GETFD));
        return 0;
    }"""


def test_descriptors_behave_as_on_the_host(compile_guest, tmp_path):
    data = tmp_path / "data"
    data.write_bytes(b"0123456789" * 30)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(data)
    (tree / "loop").symlink_to("loop")
    program = compile_guest(
        "descriptors", "-static", source=HEADERS + DESCRIPTORS.replace('%s"), 0', "x" * 256 + '"), 0')
    )
    host, ours = run_host(program, data, tree), run_guest(program, data, tree)
    assert ours.lines == host.lines


def test_too_many_descriptors_are_emfile(compile_guest):
    body = r"""
    int main(void) {
        int fd, last = 0;
        while ((fd = open("/dev/null", O_RDONLY)) >= 0) last = fd;
        printf("%d %d\n", errno, last > 100);
    }"""
    program = compile_guest("many", "-static", source=HEADERS + body)
    assert run_guest(program).lines == ["24 1"]


def test_a_file_that_is_written_reads_back_and_positions_agree(compile_guest, tmp_path):
    body = r"""
    int main(int argc, char **argv) {
        char buf[100] = {0};
        int fd = open("file", O_CREAT | O_RDWR | O_EXCL, 0640);
        show("write", write(fd, "hello world", 11));
        show("pwrite", pwrite(fd, "J", 1, 0));
        struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
        show("writev", writev(fd, v, 2));
        show("position", lseek(fd, 0, SEEK_CUR));
        show("pread", pread(fd, buf, 50, 0));
        puts(buf);
        show("truncate", ftruncate(fd, 3));
        show("append", fcntl(fd, F_SETFL, O_APPEND));
        show("write", write(fd, "xyz", 3));
        memset(buf, 0, 100);
        show("pread", pread(fd, buf, 50, 0));
        puts(buf);
        char *page = (char *)(((long)sbrk(0) + 4095) & ~4095L);
        brk(page);
        sbrk(4096);
        memset(page, 'z', 4096);
        show("beside a hole", write(fd, page + 4000, 500));
        show("size", lseek(fd, 0, SEEK_END));
        return 0;
    }"""
    program = compile_guest("writes", "-static", source=HEADERS + body)
    host_dir, our_dir = tmp_path / "host", tmp_path / "ours"
    host_dir.mkdir()
    our_dir.mkdir()
    host = run_host(program, cwd=host_dir)
    ours = run_guest(program, cwd=our_dir, allow_write=[our_dir])
    assert ours.lines == host.lines
    assert (our_dir / "file").read_bytes() == (host_dir / "file").read_bytes()
    assert (our_dir / "file").stat().st_mode == (host_dir / "file").stat().st_mode


def test_the_standard_streams_are_not_closed_with_the_guest(shell, tmp_path):
    with (tmp_path / "out").open("wb+") as out:
        from axptr.linux import create_process

        with create_process("/bin/echo", ["echo", "one"], stdio=(0, out.fileno(), 2)) as process:
            assert process.run(20).exit_code == 0
        os.write(out.fileno(), b"two\n")
        out.seek(0)
        assert out.read() == b"one\ntwo\n"


def test_a_closed_stream_is_ebadf(busybox):
    from axptr.linux import create_process

    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with create_process(busybox, ["busybox", "echo", "x"], stdio=(0, writer, 2)) as process:
        assert process.run(20).exit_code != 0


def test_a_reader_that_goes_away_kills_with_sigpipe(busybox):
    from axptr.linux import create_process

    reader, writer = os.pipe()
    os.close(reader)
    try:
        with create_process(busybox, ["busybox", "yes"], stdio=(0, writer, 2)) as process:
            result = process.run(20)
            assert result.signal == 13
            assert result.status == 141
    finally:
        os.close(writer)


# -- /proc and /dev


def test_proc_shows_the_guest_and_not_the_host(busybox, shell):
    assert run_guest(busybox, "cat", "/proc/self/comm").lines == ["busybox"]
    assert (
        run_guest(busybox, "cat", "/proc/self/cmdline").stdout == os.fsencode(busybox) + b"\0cat\0/proc/self/cmdline\0"
    )
    assert run_guest(busybox, "grep", "-c", "Vm", "/proc/self/status").lines == ["12"]
    assert run_guest(busybox, "ls", "/proc/self/fd").lines == ["0", "1", "2", "3"]
    assert shell('set -- /proc/[0-9]*; test $# = 2 && test "$*" = "/proc/1 /proc/$$" && echo alone').lines == ["alone"]


def test_proc_maps_are_the_spaces_own(busybox):
    ours = run_guest(busybox, "cat", "/proc/self/maps")
    assert any(line.endswith("[stack]") for line in ours.lines)
    assert any(line.endswith(busybox) for line in ours.lines)
    ends = [line.split(" ")[0].split("-") for line in ours.lines]
    addresses = [int(word, 16) for pair in ends for word in pair]
    assert addresses == sorted(addresses)


PROC_LINKS = [
    ("readlink", "/proc/self/exe"),
    ("readlink", "/proc/self/root"),
    ("readlink", "/dev/stdin"),
    ("cat", "/dev/fd/0"),
    ("cat", "/proc/self/fd/../comm"),
    ("head", "-c", "20", "/dev/zero"),
    ("cat", "/dev/null"),
    ("ls", "/proc/self/nothing"),
    ("cat", "/proc/nothing"),
    ("ls", "/dev/nothing"),
    ("test", "-c", "/dev/null"),
    ("stat", "-c", "%t %T %F %a", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"),
    ("cat", "/etc/mtab/x"),
    ("test", "-r", "/etc/passwd"),
]


@pytest.mark.parametrize("command", PROC_LINKS, ids=" ".join)
def test_our_own_files_answer_as_the_hosts(busybox, command):
    host, ours = run_host(busybox, *command, input=b"in\n"), run_guest(busybox, *command, input=b"in\n")
    assert (ours.stdout, ours.status) == (host.stdout, host.status)


def test_every_file_of_our_proc_can_be_read(busybox):
    ours = run_guest(busybox, "find", "/proc", "-type", "f", seed=1)  # with the same number both times
    # Not what is no text, what may only be written, what no security module tells (EINVAL), and what the program that
    # looks has open itself.
    others = ("mem", "pagemap", "clear_refs")
    files = [line for line in ours.lines if line.startswith("/proc") and not line.endswith(others)]
    files = [line for line in files if "/fdinfo/" not in line and "/attr/" not in line]
    assert len(files) > 100
    ours = run_guest(busybox, "cat", *files, seed=1)
    assert ours.status == 0, ours.stderr
    assert ours.unknown == {}


def test_writing_to_our_own_proc_is_refused(shell):
    assert shell("echo 1 > /proc/self/stat").status != 0
    assert shell("echo 1 > /proc/sys/vm/overcommit_memory").status != 0
    assert shell("echo name > /proc/self/comm; read name < /proc/self/comm; echo $name").lines == ["name"]
    assert shell("echo 1 > /proc/new").status != 0
    assert shell("echo 1 > /dev/new").status != 0
    assert shell("echo 1 > /dev/null").status == 0


def test_host_devices_outside_our_dev_are_not_opened(compile_guest, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs mknod")
    try:
        os.mknod(tmp_path / "null", 0o020666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("needs mknod")
    body = 'int main(void) { show("device", open("null", O_RDONLY)); }'
    program = compile_guest("device", "-static", source=HEADERS + body)
    assert run_guest(program, cwd=tmp_path).lines == ["device: -1 errno 6"]


def test_a_removed_file_can_be_opened_again_by_its_descriptor(compile_guest, tmp_path):
    body = r"""
    int main(void) {
        char name[64], text[200] = {0};
        int fd = open("file", O_CREAT | O_RDWR, 0600), again;
        write(fd, "kept", 4);
        unlink("file");
        sprintf(name, "/proc/self/fd/%d", fd);
        show("reopen", again = open(name, O_RDWR));
        show("read", read(again, text, 10));
        puts(text);
        show("position", lseek(fd, 0, SEEK_CUR));
        show("write", pwrite(again, "more", 4, 4));
        show("length", lseek(fd, 0, SEEK_END));
        show("same", dup3(again, 9, 0));
        memset(text, 0, sizeof text);
        readlink(name, text, sizeof text - 1);
        puts(strrchr(text, '/'));
        show("exclusive", open(name, O_CREAT | O_EXCL | O_RDWR, 0600));
        show("no follow", open(name, O_RDONLY | O_NOFOLLOW));
        return 0;
    }"""
    program = compile_guest("removed", "-static", source=HEADERS + body)
    results = []
    for side, run in ("host", run_host), ("ours", run_guest):
        root = tmp_path / side
        root.mkdir()
        results.append(run(program, cwd=root, **({"allow_write": [root]} if side == "ours" else {})).lines)
    assert results[1] == results[0]
    assert results[0][2] == "kept"


@pytest.mark.parametrize("inside", ["host", "memory"])
def test_directories_with_longer_names_than_can_be_told_are_used_step_by_step(compile_guest, tmp_path, inside):
    program = compile_guest("deep")
    for side in ("host", "ours"):
        (tmp_path / side).mkdir()
    host = run_host(program, tmp_path / "host")
    there = tmp_path / "ours"
    where = {"allow_write": [there]} if inside == "host" else {"mounts": {str(there): Tmpfs()}}
    ours = run_guest(program, there, **where)
    assert ours.lines == host.lines
    assert host.lines[-1] == "depth: 0 "
