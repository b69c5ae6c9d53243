"""What reading calls tell of random paths in random trees is what they tell on the host: from a working directory,
from open directories and mere places, as root and as another, in a root of one's own, over a mount."""

from __future__ import annotations

import os
import random
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux import Process
from axptr.linux.fs.host.fd import openat2
from axptr.linux.fs.node import Node
from axptr.linux.fs.walk import FsContext
from axptr.linux.task.task import LinuxTask

from ..conftest import run_guest, run_host

NOBODY = 65534
NAMES = ["a", "b", "c", "d", "file", "other", "l0", "l1", "l2", "l3", "l4", "l5", "sock", "none"]
ODD = [".", "..", "", "x" * 255, "x" * 256, "...", " "]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the program becomes somebody else, and takes another root")


def grow(random: random.Random, top: Path, depth: int = 0) -> None:
    """Directories, some that may not be read or searched, files, a socket, links that lead anywhere or nowhere."""
    for name in ("a", "b", "c", "d") if depth < 3 else ():
        if name == "a" or random.random() < 0.6:
            (top / name).mkdir()
            grow(random, top / name, depth + 1)
    for name in ("file", "other", "c", "d"):
        if not (top / name).exists() and (depth == 0 or random.random() < 0.6):
            (top / name).write_bytes(b"x" * random.randrange(100))
            (top / name).chmod(random.choice([0o644, 0o600, 0o444, 0o000, 0o755]))
    for i in range(6):
        goals = [
            f"l{random.randrange(6)}",
            "a",
            "../b",
            "file",
            "a/l1",
            os.fspath(top),
            "..",
            "none",
            "./",
            f"{top}/a/",
            "a/../file",
            "x" * 255,
        ]
        os.symlink(random.choice(goals), top / f"l{i}")
    if depth == 1 and len(os.fspath(top / "sock")) < 100:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(os.fspath(top / "sock"))
    try:
        os.setxattr(top / "file", "user.name", b"value")
    except OSError:
        pass
    if depth:
        top.chmod(random.choice([0o755, 0o755, 0o755, 0o711, 0o744, 0o700, 0o1777]))


def path(random: random.Random, top: Path) -> str:
    names = [
        random.choice(NAMES if random.random() < 0.8 else ODD) for _ in range(random.choice([1, 1, 2, 2, 3, 4, 6]))
    ]
    found = random.choice(["/", "//", "/./"]).join(names) if random.random() < 0.2 else "/".join(names)
    kind = random.random()
    if kind < 0.15:
        found = f"{top}/{found}"
    elif kind < 0.18:
        found = "./" + found
    elif kind < 0.2:
        found = "a/../" * random.choice([10, 818, 819, 900]) + found
    return found + random.choice(["", "", "", "", "/", "/.", "//", "/.."])


def compared(
    program: Path,
    seed: int,
    tmp_path: Path,
    root: int,
    uid: int,
    mounts: Callable[[Path], dict[str, str]] | None = None,
    **options: object,
) -> None:
    rng = random.Random(seed)
    top = tmp_path.joinpath(*"123456789")  # deeper than any path leads up
    top.mkdir(parents=True)
    grow(rng, top)
    lines = [f"{rng.choice('ccccddppfn')} {path(rng, top)}" for _ in range(60)]
    lines += [f"{at} " for at in "cdpfn"]
    command = [program, top, str(root), str(uid)]
    text = "\n".join(lines).encode() + b"\n"
    if mounts is not None:
        options["mounts"] = mounts(top)
    host, guest = run_host(*command, input=text), run_guest(*command, input=text, **options)
    assert (guest.stderr, guest.status, host.status) == (b"", 0, 0)
    different = [(a, b) for a, b in zip(host.lines, guest.lines, strict=True) if a != b]
    assert not different, f"seed {seed}: {different[:5]} of {len(different)}"


@pytest.fixture(scope="session")
def program(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("pathlooks", "-static")


@needs_root
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("uid", [0, NOBODY], ids=["root", "nobody"])
@pytest.mark.parametrize("root", [0, 1], ids=["whole", "chroot"])
def test_every_look_at_a_random_path_is_the_hosts(
    program: Path, seed: int, uid: int, root: int, tmp_path: Path
) -> None:
    compared(program, seed, tmp_path, root, uid)


@pytest.mark.parametrize("missing", [False, True], ids=["openat2", "one by one"])
def test_also_where_it_may_be_changed_and_without_openat2(
    program: Path, missing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openat2(), "missing", missing or openat2().missing)
    compared(program, 3, tmp_path, 0, 0, allow_write=[tmp_path])


def test_also_over_mounts(program: Path, tmp_path: Path) -> None:
    """The tree is a mount, and so is a directory in it."""
    compared(program, 4, tmp_path, 0, 0, mounts=lambda top: {str(top): str(top), f"{top}/a/a": f"{top}/a/a"})


def alone(process: Process) -> None:
    """Have every call served by its handler: nothing in one step."""
    process.kernel.guard = lambda syscall, call: getattr(call, "plain", call)


@needs_root
@pytest.mark.parametrize("seed", range(10, 12))
@pytest.mark.parametrize("uid", [0, NOBODY], ids=["root", "nobody"])
def test_the_handlers_alone_tell_the_same(program: Path, seed: int, uid: int, tmp_path: Path) -> None:
    compared(program, seed, tmp_path, 0, uid, watch=alone)


@needs_root
@pytest.mark.parametrize("seed", range(20, 28))
@pytest.mark.parametrize("uid", [0, NOBODY], ids=["root", "nobody"])
def test_under_an_overlay_the_handlers_alone_tell_the_same(program: Path, seed: int, uid: int) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="axptr-") as place:  # not pytest's, which others may not search
        Path(place).chmod(0o755)
        top = Path(place).joinpath(*"123456789")
        top.mkdir(parents=True)
        grow(rng, top)
        lines = [f"{rng.choice('ccccddppfn')} {path(rng, top)}" for _ in range(150)]
        text = "\n".join(lines).encode() + b"\n"
        told = []
        for watch in (None, alone):
            guest = run_guest(program, top, "0", str(uid), input=text, overlay=True, watch=watch)
            assert (guest.stderr, guest.status) == (b"", 0)
            told.append([line for line in guest.lines if "getdents64" not in line])  # which counts by who looked before
    different = [(a, b) for a, b in zip(*told, strict=False) if a != b]
    assert not different, f"seed {seed}: {different[:5]} of {len(different)}"
    assert len(told[0]) == len(told[1])


def test_what_is_plain_is_not_walked(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step tells of it: the walk of the handlers is not even asked. An open for a mere place is theirs."""
    grow(random.Random(1), tmp_path)
    walked: list[bytes] = []
    walk = FsContext.walk

    def counted(self: FsContext, task: LinuxTask, node: Node, path: bytes, follow: bool) -> Node:
        walked.append(path)
        return walk(self, task, node, path, follow)

    monkeypatch.setattr(FsContext, "walk", counted)
    command, text = [program, tmp_path, "0", "0"], b"c a/b\nc none\nd file\n"
    counts = {}
    for name, watch in (("plain", None), ("handlers", alone)):
        walked.clear()
        assert run_guest(*command, input=text, watch=watch).status == 0
        counts[name] = len([path for path in walked if path in (b"a/b", b"none", b"file", b"a")])
    assert counts["plain"] < counts["handlers"] / 2
