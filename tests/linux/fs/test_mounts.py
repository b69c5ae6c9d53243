"""What is mounted where: the way in and out, EXDEV, EBUSY, what cannot be changed, what the tables say."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.errors import LinuxError
from axptr.linux import HostDir, Overlay, ProgramError, Tmpfs, TreeStat, create_process
from axptr.linux.fs.walk import AT_FDCWD

from ..conftest import run_guest


def shell(script: str, **options: object) -> tuple[str, str]:
    done = run_guest("/bin/sh", "-c", script, **options)
    return done.stdout.decode(), done.stderr.decode()


class Letters:
    """A tree of two files."""

    def list(self, path: str) -> list[str]:
        return ["a", "run"]

    def stat(self, path: str) -> TreeStat:
        if path == "":
            return TreeStat(stat.S_IFDIR | 0o755)
        if path == "a":
            return TreeStat(stat.S_IFREG | 0o644, 5, 1_000_000)
        if path == "run":
            return TreeStat(stat.S_IFREG | 0o755, len(self.program))
        raise FileNotFoundError(path)

    def read(self, path: str, offset: int, size: int) -> bytes:
        return (b"hello" if path == "a" else self.program)[offset : offset + min(size, 10_000)]

    program = b""


def test_the_tables_of_mounts_tell_all(tmp_path: Path) -> None:
    mounts = {"/x y": Tmpfs(), "/data": HostDir(tmp_path, readonly=True), "/letters": Letters()}
    out = run_guest("/bin/cat", "/proc/self/mounts", mounts=mounts).stdout.decode()
    points = [line.split()[1] for line in out.splitlines()]
    assert points == ["/", "/sys", "/proc", "/dev", "/dev/shm", "/x\\040y", "/data", "/letters"]
    kinds = {line.split()[1]: (line.split()[2], line.split()[3].split(",")[0]) for line in out.splitlines()}
    assert kinds["/x\\040y"] == ("tmpfs", "rw")
    assert kinds["/data"][1] == kinds["/letters"][1] == "ro"


def test_up_from_a_mount_is_where_it_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "mark").write_text("here")
    place = tmp_path / "deep" / "er"
    mounts = {str(place): HostDir(tmp_path / "in")}
    out, _ = shell(f"cd {place}; pwd -P; read x < ../mark; echo $x; cd ..; pwd -P", mounts=mounts)
    assert out.split() == [str(place), "here", str(place.parent)]


def test_what_is_mounted_is_neither_moved_nor_removed(compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    body = r"""
    #include <errno.h>
    #include <stdio.h>
    #include <fcntl.h>
    #include <sys/stat.h>
    #include <sys/statfs.h>
    #include <unistd.h>
    #define SAY(call) do { errno = 0; int r = (call); printf(#call " %d %d\n", r, errno); } while (0)
    int main(void) {
        struct stat a, b;
        struct statfs s;
        SAY(rmdir("/t/in"));
        SAY(rename("/t/in", "/t/x"));
        SAY(mkdir("/t/y", 0755));
        SAY(rename("/t/y", "/t/in"));
        close(open("/t/f", O_CREAT | O_RDWR, 0644));
        SAY(rename("/t/f", "/t/in/f"));
        SAY(link("/t/f", "/t/in/f"));
        SAY(rename("/t/f", "/h/f"));
        SAY(link("/t/f", "/h/f"));
        SAY(mkdir("/r/x", 0755));
        SAY(open("/r/file", O_WRONLY));
        stat("/t", &a), stat("/t/in", &b);
        printf("%d\n", a.st_dev != b.st_dev);
        statfs("/t", &s), printf("%lx %d\n", (long)s.f_type, (int)s.f_flags & 1);
        statfs("/r", &s), printf("%d\n", (int)s.f_flags & 1);
        return 0;
    }
    """
    program = compile_guest("mounted", "-static", source=body)
    (tmp_path / "file").write_text("x")
    mounts = {"/t": Tmpfs(), "/t/in": Tmpfs(), "/h": HostDir(tmp_path), "/r": HostDir(tmp_path, readonly=True)}
    lines = run_guest(program, mounts=mounts).lines
    codes = [int(line.split()[-1]) for line in lines[:10]]
    busy, cross, rofs = errno.EBUSY, errno.EXDEV, errno.EROFS
    assert codes == [busy, busy, 0, busy, cross, cross, cross, cross, rofs, rofs]
    assert lines[10:] == ["1", "1021994 0", "1"]
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_a_directory_that_the_host_moves_out_of_the_root_has_no_way_up(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "dir" / "deep").mkdir(parents=True)
    outside.mkdir()
    (root / "true").write_bytes(Path("/bin/busybox").read_bytes() if Path("/bin/busybox").exists() else b"")
    (root / "true").chmod(0o755)
    if not (root / "true").stat().st_size:
        pytest.skip("needs busybox")
    with create_process("/true", ["true"], root=root) as process:
        task = process.task
        task.fs.cwd = task.fs.resolve(task, AT_FDCWD, b"/dir/deep").hold()
        assert task.fs.resolve(task, AT_FDCWD, b"..").where() == b"/dir"
        os.rename(root / "dir", outside / "dir")
        with pytest.raises(LinuxError) as caught:
            task.fs.resolve(task, AT_FDCWD, b"..")
        assert caught.value.errno == errno.ENOENT
        assert task.fs.cwd.where().startswith(b"(unreachable)")


def test_programs_run_from_a_tree_that_python_gives(compile_guest: Callable[..., Path]) -> None:
    tree = Letters()
    tree.program = compile_guest("hello", "-static").read_bytes()
    done = run_guest("/letters/run", mounts={"/letters": tree})
    assert b"argv[0] = /letters/run" in done.stdout
    out, _ = shell("read x < /letters/a; echo $x; echo > /letters/a", mounts={"/letters": tree})
    assert out == "hello\n"


def test_what_a_tree_raises_is_the_programs_errno_or_comes_out() -> None:
    class Broken(Letters):
        def read(self, path: str, offset: int, size: int) -> bytes:
            raise OSError(errno.EIO, "gone")

    class Wrong(Letters):
        def read(self, path: str, offset: int, size: int) -> bytes:
            raise KeyError(path)

    assert "put/output error" in run_guest("/bin/cat", "/letters/a", mounts={"/letters": Broken()}).stderr.decode()
    with create_process("/bin/cat", ["cat", "/letters/a"], mounts={"/letters": Wrong()}) as process:
        with pytest.raises(KeyError):
            process.run()


def test_trees_in_memory_count_against_the_limit() -> None:
    script = "i=0; while echo xxxxxxxxxxxxxxxxxxxx > /t/$i; do i=$((i+1)); [ $i = 9999 ] && break; done; echo $i"
    out, err = shell(script, mounts={"/t": Tmpfs()}, memory_limit=16 << 20)
    assert "No space left" in err
    assert 100 < int(out) < 4096


def test_a_commit_goes_through_no_link_and_not_outside(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "dir").mkdir()
    overlay = Overlay()
    script = f"echo new > {inside}/dir/file"
    with create_process("/bin/sh", ["sh", "-c", script], overlay=overlay) as process:
        assert process.run(30).exit_code == 0
        os.rmdir(inside / "dir")
        (inside / "dir").symlink_to(outside)
        overlay.commit()
        assert overlay.changes() == []
    assert os.listdir(outside) == []
    assert not (inside / "dir").is_symlink()
    assert (inside / "dir" / "file").read_text() == "new\n"


def test_wrong_trees_are_refused() -> None:
    with pytest.raises(TypeError):
        create_process("/bin/true", mounts={"/x": 5})
    for mounts in ({"relative": Tmpfs()}, {"/": Tmpfs()}, {"/bin/sh/x": Tmpfs()}, {"/etc/passwd": Tmpfs()}):
        with pytest.raises(ProgramError):
            create_process("/bin/true", mounts=mounts)
    with pytest.raises(ProgramError):
        create_process("/bin/true", root="/nowhere")
    overlay = Overlay()
    with pytest.raises(RuntimeError):
        overlay.changes()


def test_a_link_tells_nothing_of_what_lies_beneath_a_mount(tmp_path: Path) -> None:
    """Not even that a directory is there, through which one could come back."""
    (tmp_path / "vault" / "in").mkdir(parents=True)
    (tmp_path / "open" / "in").mkdir(parents=True)
    (tmp_path / "file").write_text("found")
    for name in ("vault", "open"):
        (tmp_path / f"to-{name}").symlink_to(f"{name}/in/../../file")
        (tmp_path / f"all-{name}").symlink_to(tmp_path / name / "in" / ".." / ".." / "file")
    script = "for i in vault open; do for k in $i/in/../../file to-$i all-$i; do [ -e $k ]; echo $?; done; done"
    out, err = shell(script, mounts={str(tmp_path / "vault"): Tmpfs()}, cwd=tmp_path)
    assert (out.split(), err) == (["1", "1", "1", "0", "0", "0"], "")
