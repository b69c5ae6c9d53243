"""Random sequences of file calls, by the host's kernel in a real tmpfs and on its disk, and by ours in a tree in memory
and in an overlay: `guests/filecalls.c` prints what each gives, and the tree at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from axptr.linux import HostDir, Overlay, Policy, Process, SystemTree, Tmpfs
from axptr.linux.policy.judged import Call

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


@pytest.fixture(scope="session")
def names(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("overlaidnames", "-static")


def grow(top: Path) -> None:
    """Names three deep, with links of all kinds between them."""
    top /= "top"
    for one in "abcd":
        for other in "abcdx":
            (top / one / other / "a").mkdir(parents=True)
            (top / one / other / "a" / "x").write_bytes(f"{one}{other}".encode())
            (top / one / other / "y").write_bytes(b"y" * 5000)
            (top / one / other / "l").symlink_to("a")
        (top / one / "y").write_bytes(b"")
        (top / one / "l").symlink_to("../b/c")
        (top / one / "m").symlink_to("/top/d/x")
    os.link(top / "a" / "y", top / "x")
    os.link(top / "a" / "a" / "y", top / "b" / "m2")
    (top / "l").symlink_to("c")
    (top / "m").symlink_to("nothing")
    (top / "y").symlink_to("a/a/y")
    os.setxattr(top / "x", "user.a", b"below")


NAMES = range(24)


@pytest.mark.parametrize("seed", NAMES)
def test_names_under_an_overlay_are_found_as_on_the_disk(names: Path, tmp_path: Path, seed: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, as the calls are root's")
    where = tmp_path / "host"
    try:
        grow(where)
        host = run_host(names, where, str(seed), "1500")
        shutil.rmtree(where)
        grow(where)
    except OSError:
        pytest.skip("needs extended attributes")
    before = everything(where)
    compare(host, run_guest(names, where, str(seed), "1500", overlay=Overlay()))
    assert everything(where) == before


CALLS = [
    *(
        "stat",
        "lstat",
        "newfstatat",
        "statx",
        "fstat",
        "access",
        "faccessat",
        "readlink",
        "readlinkat",
        "open",
        "openat",
    ),
    *("read", "pread64", "getxattr", "lgetxattr", "listxattr", "llistxattr"),
]
WORDS = {
    "usr": ["bin", "lib", "etc", "share", "env", "usr", "passwd", "tmp", "ssl", "ld.so.cache"],
    "etc": ["ssl", "certs", "usr", "lib", "hosts", "passwd", "var", "run", "lock", "bin"],
    "sys": ["dev", "sys", "usr", "lib", "kernel", "block", "class", "net", "etc", "mm"],
    "usr/include": ["dev", "sys", "linux", "usr", "x86_64-linux-gnu", "cdefs.h", "etc", "lib", "types.h", "tmp"],
}


def to_the_handlers() -> Policy:
    """A policy whose functions look at the arguments of each call that names files: it is made with what they saw then,
    by its handler."""

    def look(call: Call) -> None:
        assert call.args

    policy = Policy()
    for name in CALLS:
        policy.before(name)(look)
    return policy


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("top", WORDS)
def test_names_of_a_system_are_found_at_once_as_by_the_walk(names: Path, seed: int, top: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, as the calls are root's")
    if not os.path.isdir(f"/{top}"):
        pytest.skip(f"needs /{top}")

    def run(policy: Policy | None) -> Outcome:
        words = f"/guest/{names.name}", "/", str(seed), "1200", top, *WORDS[top]
        mounts = {"/guest": names.parent}
        return run_guest(*words, root=SystemTree(), overlay=Overlay(), policy=policy, mounts=mounts, cwd="/")

    compare(run(to_the_handlers()), run(None))


POINTS = ["a/b", "c", "b/x"]
"""Where something is mounted: names that other directories have, too."""
MOUNTING = "for i in " + " ".join(POINTS) + '; do mount --bind "$1/in/$i" "$1/host/top/$i"; done; shift; exec "$@"'


def grow_mounts(top: Path) -> dict[str, HostDir]:
    """The same names with others mounted over some of them."""
    shutil.rmtree(top, ignore_errors=True)
    grow(top / "host")
    for point in POINTS:
        grow(top / "in" / point)
    return {str(top / "host" / "top" / point): HostDir(top / "in" / point) for point in POINTS}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("overlay", [False, True])
def test_names_of_mount_points_are_found_elsewhere_as_on_the_host(
    names: Path, tmp_path: Path, overlay: bool, seed: int
) -> None:
    """Against the host, and at once as by the handlers."""
    mounting = ["unshare", "-m", "sh", "-c", MOUNTING, "sh", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs a root that may mount")
    words = str(tmp_path / "host"), str(seed), "1500"
    try:
        grow_mounts(tmp_path)
    except OSError:
        pytest.skip("needs extended attributes")
    host = run_host(*mounting, names, *words)

    def run(policy: Policy | None) -> Outcome:
        mounts = grow_mounts(tmp_path)
        above = Overlay() if overlay else None
        allowed = [] if overlay else [tmp_path]
        return run_guest(names, *words, mounts=mounts, overlay=above, allow_write=allowed, policy=policy)

    ours = run(None)
    compare(run(to_the_handlers()), ours)
    compare(host, ours)
