"""`Sandbox.files`: the files of a sandbox from outside, which lead nowhere else."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr import Sandbox
from axptr.linux import HostDir


def test_what_is_written_a_program_reads_and_the_other_way_round(box: Sandbox) -> None:
    box.files.write("dir/in.txt", "from outside\n")
    assert (
        box.run("cat dir/in.txt; stat -c %a dir/in.txt; echo from inside > dir/out.txt").text == "from outside\n644\n"
    )
    assert box.files.read("/root/dir/out.txt") == b"from inside\n"
    assert box.files.read_text("dir/../dir/out.txt") == "from inside\n"
    box.files.write("script", b"#!/bin/sh\necho ran\n", mode=0o755)
    assert box.run("./script").text == "ran\n"
    box.files.write("script", b"#!/bin/sh\n")
    assert box.run("./script").ok  # its mode stays
    big = os.urandom(3 << 20)
    box.files.write("big", big)
    assert box.files.read("big") == big


def test_lists_and_status(box: Sandbox) -> None:
    box.files.mkdir("a/b", parents=True)
    box.files.mkdir("a/b", parents=True)
    box.files.write("a/file", "12345", mode=0o600)
    box.run("ln -s file a/link; mkfifo a/pipe", check=True)
    assert [(e.name, e.kind) for e in box.files.list("a")] == [
        ("b", "directory"),
        ("file", "file"),
        ("link", "link"),
        ("pipe", "fifo"),
    ]
    entry = box.files.stat("a/link")
    assert (entry.kind, entry.size, entry.mode) == ("file", 5, 0o600)
    assert box.files.stat("a/link", follow=False).kind == "link"
    assert {"proc", "dev", "usr", "etc"} <= {e.name for e in box.files.list("/")}
    assert box.files.exists("a/link")
    assert not box.files.exists("a/nothing")
    assert not box.files.exists("a/file/below")


def test_errors_are_those_of_python(box: Sandbox) -> None:
    box.files.mkdir("dir")
    box.files.write("dir/file", "x")
    box.run("ln -s loop loop; mkfifo pipe", check=True)
    with pytest.raises(FileNotFoundError, match="/root/none"):
        box.files.read("none")
    with pytest.raises(IsADirectoryError):
        box.files.read("dir")
    with pytest.raises(IsADirectoryError):
        box.files.write("dir", "")
    with pytest.raises(NotADirectoryError):
        box.files.list("dir/file")
    with pytest.raises(FileExistsError):
        box.files.mkdir("dir")
    with pytest.raises(OSError, match="symbolic links"):
        box.files.read("loop")
    with pytest.raises(OSError, match="Invalid"):
        box.files.read("pipe")
    with pytest.raises(OSError, match="not empty"):
        box.files.remove("dir")
    with pytest.raises(OSError, match="busy"):
        box.files.remove("/proc")
    with pytest.raises(OSError, match="busy"):
        box.files.remove("/")
    with pytest.raises(ValueError, match="NUL"):
        box.files.read("a\0b")


def test_removal(box: Sandbox) -> None:
    box.run("mkdir -p d/e/f; touch d/1 d/e/2 d/e/f/3; ln -s /etc d/etc; ln -s / d/e/root", check=True)
    box.files.remove("d/1")
    box.files.remove("d/etc")
    box.files.remove("d", recursive=True)
    assert not box.files.exists("d")
    assert box.files.exists("/etc/passwd")
    with pytest.raises(FileNotFoundError):
        box.files.remove("d")


def test_a_deep_tree_is_removed_and_listed(box: Sandbox) -> None:
    script = "import os\nfor i in range(3000): os.mkdir('d'); os.chdir('d')"
    box.files.write("deep.py", script)
    box.run(["python3", "deep.py"], check=True)
    box.files.remove("d", recursive=True)
    assert not box.files.exists("d")


def test_uploads_and_downloads(box: Sandbox, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_bytes(b"\0\1")
    (source / "tool").write_text("#!/bin/sh\necho hi\n")
    (source / "tool").chmod(0o755)
    (source / "link").symlink_to("tool")
    box.files.upload(source, "up")
    assert box.run("up/tool; up/link; cat up/sub/file | wc -c").text == "hi\nhi\n2\n"
    box.run("ln -s /etc/passwd up/sub/evil; mkfifo up/sub/pipe", check=True)
    box.files.download("up", tmp_path / "down")
    assert (tmp_path / "down" / "sub" / "file").read_bytes() == b"\0\1"
    assert os.access(tmp_path / "down" / "tool", os.X_OK)
    assert sorted(os.listdir(tmp_path / "down" / "sub")) == ["file"]
    with pytest.raises(FileExistsError):
        box.files.download("up/tool", tmp_path / "down" / "tool")


def test_a_download_is_not_written_through_a_link_of_the_host(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "goal").symlink_to(tmp_path / "elsewhere")
    box.files.write("file", "x")
    with pytest.raises(FileExistsError):
        box.files.download("file", tmp_path / "goal")
    assert not (tmp_path / "elsewhere").exists()


def test_mounts_are_written_as_far_as_programs_may(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mine, fixed = tmp_path / "mine", tmp_path / "fixed"
    mine.mkdir()
    fixed.mkdir()
    box = make(mounts={"/mine": mine, "/fixed": HostDir(fixed, readonly=True)})
    box.files.write("/mine/x", "1")
    assert (mine / "x").read_text() == "1"
    with pytest.raises(OSError, match="Read-only"):
        box.files.write("/fixed/x", "1")


def test_files_while_something_runs(box: Sandbox) -> None:
    with box.spawn("while ! test -e /tmp/stop; do :; done; echo stopped") as process:
        for number in range(20):
            box.files.write(f"/tmp/{number}", "x")
        assert len(box.files.list("/tmp")) == 20
        box.files.write("/tmp/stop", "")
        assert process.stdout is not None
        assert process.stdout.read() == b"stopped\n"


def test_of_proc_everything_can_be_read_or_says_why_not(make: Callable[..., Sandbox]) -> None:
    for ran in (False, True):
        box = make()
        number = box.spawn(["sleep", "60"]).pid if ran else 1
        todo, seen = ["/proc", "/sys"], 0
        while todo:
            place = todo.pop()
            try:
                entries = box.files.list(place)
            except OSError:
                continue
            for entry in entries:
                path = f"{place}/{entry.name}"
                if entry.kind == "directory":
                    todo.append(path)
                elif entry.kind == "file":
                    seen += 1
                    for look in (box.files.read, box.files.stat):
                        try:
                            look(path)
                        except OSError:
                            pass
        assert seen > 100
        assert b"MemTotal" in box.files.read("/proc/meminfo")
        assert box.files.read("/proc/sys/kernel/hostname") == b"sandbox\n"
        if ran:
            assert box.files.read(f"/proc/{number}/cmdline") == b"sleep\x0060\x00"
            assert b"[stack]" in box.files.read(f"/proc/{number}/maps")
            assert box.files.read(f"/proc/{number}/uid_map").split() == [b"0", b"0", b"4294967295"]
            assert box.files.read(f"/proc/{number}/setgroups") == b"allow\n"
        else:
            with pytest.raises(ProcessLookupError):
                box.files.read("/proc/1/cmdline")  # nobody has started anything


@pytest.mark.parametrize("data", [1, None, [104], 1.5, object()])
def test_what_is_no_text_and_no_bytes_is_told(box: Sandbox, data: object) -> None:
    with pytest.raises(TypeError, match="data is text or bytes"):
        box.files.write("x", data)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="input is text or bytes"):
        box.run("cat", input=data)  # type: ignore[arg-type]
    cat = box.spawn(["cat"])
    assert cat.stdin is not None
    with pytest.raises(TypeError, match="data is text or bytes"):
        cat.stdin.write(data)  # type: ignore[arg-type]
    assert not box.files.exists("x")


def test_bytes_of_any_kind_are_written(box: Sandbox) -> None:
    for data in (b"ab", bytearray(b"ab"), memoryview(b"ab"), array("H", [0x6261]), "ab"):
        box.files.write("x", data)  # type: ignore[arg-type]
        assert box.files.read("x") == b"ab"
        assert box.run("cat", input=data).stdout == b"ab"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verb", "named", "error"),
    [
        ("write", {"mode": -1}, ValueError), ("write", {"mode": 1 << 40}, ValueError),
        ("write", {"mode": "755"}, TypeError), ("mkdir", {"mode": 0o100644}, ValueError),
        ("read", {"limit": -1}, ValueError), ("read", {"limit": "9"}, TypeError), ("read", {"limit": 1.5}, TypeError),
    ],
)  # fmt: skip
def test_modes_and_limits_that_make_no_sense(
    box: Sandbox, verb: str, named: dict[str, object], error: type[Exception]
) -> None:
    (name,) = named
    with pytest.raises(error, match=name):
        getattr(box.files, verb)("/etc/passwd" if verb == "read" else "x", *([b""] if verb == "write" else []), **named)
    assert not box.files.exists("x")
