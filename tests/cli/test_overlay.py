"""Programs that change files, in an overlay over /: the host's tree stays as it was bit for bit, the changes are
listed, saved, loaded by a later run, committed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT, run_axptr, run_host


def everything(root: Path) -> list[object]:
    """All that can be told of a tree but the times of access."""
    found: list[object] = []
    for path in [root, *sorted(root.rglob("*"))]:
        s = path.lstat()
        content: object = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        attributes = [
            (n, os.getxattr(path, n, follow_symlinks=False)) for n in os.listxattr(path, follow_symlinks=False)
        ]
        numbers = (s.st_mode, s.st_ino, s.st_nlink, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
        found.append((str(path), numbers, content, attributes))
    return found


def plain(root: Path) -> list[object]:
    """What two runs that began alike must have in common."""
    found: list[object] = []
    for path in sorted(root.rglob("*")):
        s = path.lstat()
        content: object = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found.append((str(path.relative_to(root)), s.st_mode, s.st_uid, s.st_gid, content))
    return found


def diff(text: bytes, root: Path) -> dict[str, str]:
    """What --overlay-diff listed: path below `root` -> letter. Nothing else was changed anywhere."""
    listed = {}
    for line in text.decode().splitlines():
        letter, _, path = line.partition(" ")
        assert path.startswith(f"{root}/"), line
        listed[path.removeprefix(f"{root}/")] = letter
    return listed


def need(program: str) -> None:
    if shutil.which(program, path=ENVIRONMENT["PATH"]) is None:
        pytest.skip(f"needs {program}")


def sqlite(root: Path) -> list[str]:
    need("sqlite3")
    subprocess.run(["sqlite3", root / "old", "create table t(a); insert into t values (1)"], check=True)
    return ["sqlite3", str(root / "db"), f"attach '{root}/old' as o; create table t(a, b); insert into o.t values (2)"]


def sed(root: Path) -> list[str]:
    (root / "words").write_text("pear\napple\n")
    (root / "words").chmod(0o640)
    (root / "other").write_text("stays")
    return ["sed", "-i", "s/apple/fig/", str(root / "words")]


def tar(root: Path) -> list[str]:
    need("tar")
    made = root.with_name("made")
    (made / "deep" / "er").mkdir(parents=True)
    (made / "deep" / "file").write_bytes(bytes(range(250)) * 400)
    (made / "deep" / "er" / "link").symlink_to("../file")
    os.link(made / "deep" / "file", made / "deep" / "hard")
    (made / "replaced").write_text("new")
    (root / "replaced").write_text("old")
    subprocess.run(["tar", "cf", root / "archive.tar", "--mtime=@1000000", "--sort=name", "-C", made, "."], check=True)
    return ["tar", "xf", str(root / "archive.tar"), "-C", str(root)]


def patch(root: Path) -> list[str]:
    need("patch")
    (root / "sub").mkdir()
    (root / "sub" / "a").write_text("".join(f"line {i}\n" for i in range(50)))
    (root / "gone").write_text("x\n")
    text = (
        "--- sub/a\n+++ sub/a\n@@ -3,3 +3,3 @@\n line 2\n-line 3\n+line three\n line 4\n"
        "--- gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+hello\n"
    )
    (root.parent / "changes.diff").write_text(text)
    return ["patch", "-p0", "-d", str(root), "-i", str(root.parent / "changes.diff")]


SCENES = {
    sqlite: {"db": "A", "old": "C"},
    sed: {"words": "C"},
    tar: {
        "deep": "A", "deep/er": "A", "deep/er/link": "A", "deep/file": "A", "deep/hard": "A", "replaced": "C",
    },
    patch: {"sub/a": "C", "gone": "D", "new": "A"},
}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_host_stays_as_it_was_and_the_changes_are_those_of_the_hosts_own_run(scene, tmp_path: Path) -> None:
    theirs, mine = tmp_path / "host" / "root", tmp_path / "ours" / "root"
    theirs.mkdir(parents=True)
    mine.mkdir(parents=True)
    host = run_host(*scene(theirs), cwd=theirs)
    command = scene(mine)
    before = everything(tmp_path)
    saved, listing = tmp_path.with_name(tmp_path.name + "-saved"), tmp_path.with_name(tmp_path.name + "-diff")
    ours = run_axptr(
        "run", "--overlay", "--overlay-diff", "-o", listing, "--overlay-save", saved, "--", *command, cwd=mine
    )
    assert ours.returncode == host.returncode == 0, ours.stderr
    assert everything(tmp_path) == before
    found = diff(listing.read_bytes(), mine)
    found.pop("", None)
    # A directory changes by its times alone, which nobody lists.
    assert found == SCENES[scene]

    # A later run sees them, and the host still does not.
    again = run_axptr("run", "--overlay-load", saved, "--", "/bin/ls", "-R", mine)
    assert everything(tmp_path) == before
    want = run_host("/bin/ls", "-R", theirs).stdout
    assert again.stdout.replace(str(mine).encode(), b"@") == want.replace(str(theirs).encode(), b"@")

    # Committed, they are what the host's own run made.
    done = run_axptr("run", "--overlay-load", saved, "--overlay-commit", "--", "/bin/true")
    assert done.returncode == 0, done.stderr
    assert plain(mine) == plain(theirs)
    saved.unlink()
    listing.unlink()


def test_what_allow_write_names_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "through").mkdir()
    (tmp_path / "kept").mkdir()
    script = f"echo a > {tmp_path}/through/new; echo b > {tmp_path}/kept/new; read x < {tmp_path}/kept/new; echo $x"
    done = run_axptr(
        "run",
        "--overlay-diff",
        "-o",
        tmp_path / "diff",
        "--allow-write",
        tmp_path / "through",
        "--",
        "/bin/sh",
        "-c",
        script,
    )
    assert done.stdout == b"b\n", done.stderr
    assert (tmp_path / "through" / "new").read_text() == "a\n"
    assert not (tmp_path / "kept" / "new").exists()
    assert (tmp_path / "diff").read_text() == f"A {tmp_path}/kept/new\n"


def test_a_root_of_its_own_with_mounts(tmp_path: Path) -> None:
    need("busybox")
    root, data = tmp_path / "root", tmp_path / "data"
    (root / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", root / "bin" / "sh")
    (root / "out").symlink_to("/data")
    data.mkdir()
    (data / "file").write_text("here\n")
    script = "cd /; read x < out/file; echo $x; echo new > /data/made; echo t > /scratch/t && echo scratch; "
    script += "echo no > /no; pwd"
    done = run_axptr(
        "run", "--root", root, "--mount", f"{data}:/data", "--tmpfs", "/scratch", "--", "/bin/sh", "-c", script
    )
    assert done.stdout == b"here\nscratch\n/\n", done.stderr
    assert b"Read-only" in done.stderr
    assert (data / "made").read_text() == "new\n"
    assert sorted(os.listdir(root)) == ["bin", "out"]
    refused = run_axptr("run", "--root", root, "--mount", f"{data}:/data:ro", "--", "/bin/sh", "-c", "echo > /data/x")
    assert b"Read-only" in refused.stderr
    assert sorted(os.listdir(data)) == ["file", "made"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--root", "/nowhere"], b"--root: /nowhere is not a directory"),
        (["--mount", "/tmp"], b"--mount: '/tmp' is not SRC:DST"),
        (["--mount", "/nowhere:/x"], b"--mount: /nowhere does not exist"),
        (["--mount", "/tmp:relative"], b"is not SRC:DST"),
        (["--tmpfs", "relative"], b"--tmpfs: relative is not an absolute path"),
        (["--overlay-load", "/nowhere"], b"--overlay-load: /nowhere is not a file"),
        (["--overlay-save", "/nowhere/x"], b"--overlay-save: /nowhere is not a directory"),
    ],
)
def test_a_wrong_tree_is_one_line(options: list[str], what: bytes) -> None:
    done = run_axptr("run", *options, "--", "/bin/true")
    assert done.returncode == 125
    assert what in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    assert run_axptr("run", "--overlay-save", saved, "--", "/bin/true").returncode == 0
    data = bytearray(saved.read_bytes())
    data[-3] ^= 1
    saved.write_bytes(data)
    done = run_axptr("run", "--overlay-load", saved, "--", "/bin/true")
    assert done.returncode != 0
    assert b"damaged" in done.stderr
    saved.write_bytes(b"nonsense")
    assert b"not a saved overlay" in run_axptr("run", "--overlay-load", saved, "--", "/bin/true").stderr
