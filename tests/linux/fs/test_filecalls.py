"""Random sequences of file calls, by the host's kernel in a real tmpfs and on its disk, and by ours in a tree in memory
and in an overlay: `guests/filecalls.c` prints what each gives, and the tree at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from axptr.linux import Overlay, Process, Tmpfs

from ..conftest import Outcome, run_guest, run_host

SEEDS = range(12)
COUNT = "400"


@pytest.fixture(scope="session")
def program(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("filecalls", "-static")


@pytest.fixture
def shared_memory() -> Iterator[Path]:
    """A directory in a tmpfs of the host's."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("needs /dev/shm")
    if os.geteuid() != 0:
        pytest.skip("needs root, as the calls are root's")
    made = Path(tempfile.mkdtemp(prefix="axptr-", dir="/dev/shm"))
    made.chmod(0o1777)
    yield made
    shutil.rmtree(made)


def fill(top: Path) -> None:
    """What an overlay finds below."""
    top /= "top"
    (top / "a").mkdir(parents=True)
    (top / "b").mkdir()
    (top / "a" / "x").write_bytes(bytes(range(256)) * 60)
    (top / "a" / "y").write_bytes(b"small")
    (top / "b" / "x").symlink_to("../a")
    (top / "l").symlink_to("a")
    (top / "d").write_bytes(b"d" * 400_000)
    os.link(top / "d", top / "c")
    os.setxattr(top / "d", "user.a", b"below")


def compare(theirs: Outcome, mine: Outcome) -> None:
    assert mine.status == theirs.status == 0, mine
    for number, (one, other) in enumerate(zip(theirs.lines, mine.lines, strict=False)):
        assert other == one, "\n".join([*theirs.lines[max(0, number - 8) : number], f"host {one}", f"ours {other}"])
    assert len(theirs.lines) == len(mine.lines)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tree_in_memory_does_what_tmpfs_does(program: Path, shared_memory: Path, seed: int) -> None:
    words = (shared_memory, str(seed), COUNT, "tmpfs")
    compare(run_host(program, *words), run_guest(program, *words, mounts={str(shared_memory): Tmpfs()}))
    shutil.rmtree(shared_memory / "a", ignore_errors=True)


@pytest.mark.parametrize("seed", [308])
def test_long_sequences_that_once_differed_from_tmpfs_do_so_no_more(
    program: Path, shared_memory: Path, seed: int
) -> None:
    """Cutting a hole in a page that is not there makes no page."""
    words = (shared_memory, str(seed), "3000", "tmpfs")
    compare(run_host(program, *words), run_guest(program, *words, mounts={str(shared_memory): Tmpfs()}))


@pytest.mark.parametrize("seed", SEEDS)
def test_an_overlay_does_what_the_disk_does(program: Path, tmp_path: Path, seed: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, as the calls are root's")
    for side in ("host", "ours"):
        try:
            fill(tmp_path / side)
        except OSError:
            pytest.skip("needs extended attributes")
    before = everything(tmp_path / "ours")
    overlay = Overlay()
    found: list[object] = []
    words = (str(seed), COUNT, "disk")

    def after(process: Process) -> None:
        found.append(overlay.changes())

    host = run_host(program, tmp_path / "host", *words)
    ours = run_guest(program, tmp_path / "ours", *words, overlay=overlay, after=after)
    compare(host, ours)
    assert everything(tmp_path / "ours") == before
    assert found[0]


def everything(root: Path) -> list[object]:
    found: list[object] = []
    for path in [root, *sorted(root.rglob("*"))]:
        s = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        found.append((str(path), s.st_mode, s.st_nlink, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, content))
    return found
