"""Random sequences of path calls give here what they give on the host; how they are made is in `pathcalls`."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux.fs.host.fd import openat2

from .pathcalls import Sequence, difference, shorten

KEPT = {
    "a link before a slash": "mkdir a 0755, symlink a b, rmdir b/, unlink b/, rename b/ c 0",
    "dot as the last component": "mkdir a 0755, rmdir a/., rename a/. b 0, unlink ., mkdir a/. 0755, rename a . 1",
    "names in proc": "hold . 131072 1, rmdir !1, unlink !1, mkdir !7 0755, rename !1 a 0, open !7 66 0640",
    "a file that lost a name": "mkfile d 0600, link d a 0, hold d 2 2, unlink d, fchmod H2 511, ftruncate H2 3",
    "an unnamed file": "hold . 4259842 1, linkheld H1 a, fchmod H1 511, linkheld H1 b",
    "the mask": "umask 0, mkdir a 0777, open b 66 0666, mknod c 0666, umask 077, mkdir d 0777",
    "a removed directory": "mkdir a 0755, chdir a, rmdir @/a, getcwd ., cwdlink ., mkdir b 0755, chdir ..",
    "names exchanged": "mkdir a 0755, mkfile b 0600, rename a b 2, rename a b/ 2, rename a c 2, rename a b 3",
}


@pytest.fixture(scope="session")
def program(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("pathcalls", "-static")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the sequences change owners")


@needs_root
@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("missing", [False, True], ids=["openat2", "one by one"])
def test_kept_sequence_gives_what_it_gives_on_the_host(
    program: Path, kept: str, missing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openat2(), "missing", missing or openat2().missing)
    assert difference(program, KEPT[kept].split(", "), tmp_path) is None


def with_default_acl(top: Path) -> None:
    """user::rwx, group::r-x, group 7:rwx, mask::rwx, other::--- for whatever is made in the directory."""
    entries = [(1, 7, -1), (4, 5, -1), (8, 7, 7), (16, 7, -1), (32, 0, -1)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(top, "system.posix_acl_default", value)
    except OSError:
        pytest.skip("the file system keeps no access lists")


@needs_root
@pytest.mark.parametrize(
    "prepare", [None, with_default_acl, lambda top: top.chmod(0o2775)], ids=["plain", "acl", "setgid"]
)
@pytest.mark.parametrize("mask", [0o022, 0o077, 0])
def test_what_is_made_has_the_hosts_permissions_whatever_the_masks(
    program: Path, prepare: Callable[[Path], object] | None, mask: int, tmp_path: Path
) -> None:
    lines = [f"umask {mask:o}"]
    for i, mode in enumerate(("0777", "0666", "0640", "02770", "04755", "01777", "0007")):
        for call in ("mkdir", "mknod", "mkfile"):
            lines += [f"{call} {call}{i} {mode}", f"lstat {call}{i}"]
        lines += [f"open open{i} 66 {mode}", f"open open{i} 0", f"open . {os.O_TMPFILE | os.O_RDWR} {mode}"]
    old = os.umask(0o027)  # of this process: the guest sets its own
    try:
        assert difference(program, lines, tmp_path, prepare) is None
    finally:
        os.umask(old)


@needs_root
@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(n, marks=pytest.mark.slow) for n in range(100, 400))])
def test_random_sequence_gives_what_it_gives_on_the_host(program: Path, seed: int, tmp_path: Path) -> None:
    lines = Sequence(seed).lines(200)
    if difference(program, lines, tmp_path) is not None:
        fewer, found = shorten(program, lines, tmp_path)
        pytest.fail("\n".join([*fewer, found]))
