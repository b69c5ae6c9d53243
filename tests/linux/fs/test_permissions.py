"""Who may do what with files: random calls of several users on files of others, on every kind of tree.

The long run, to make after a change to `fs/permissions.py` (each seed some thousand calls on three trees):
`AXPTR_PERMISSIONS=100 pytest tests/linux/fs/test_permissions.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux import Tmpfs
from axptr.linux.fs.permissions import granted
from axptr.linux.task.creds import Credentials

from ..conftest import Outcome, run_guest, run_host

CALLS = 700
SEEDS = range(1, 1 + int(os.environ.get("AXPTR_PERMISSIONS", "2")))
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def ours(tree: str, program: Path, words: tuple[str, str], place: Path) -> Outcome:
    if tree == "host":
        return run_guest(program, *words, cwd=place, allow_write=[place])
    if tree == "overlay":
        return run_guest(program, *words, cwd=place, overlay=True)
    command = f"cd {place} && exec {program} {words[0]} {words[1]}"
    return run_guest("/bin/sh", "-c", command, mounts={str(place): Tmpfs(0o755)})


@root_only
@pytest.mark.parametrize("tree", ["host", "overlay", "memory"])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_users_may_do_what_they_may_do_on_the_host(
    seed: int, tree: str, compile_guest: Callable[..., Path], tmp_path: Path
) -> None:
    program, words = compile_guest("permissions"), (str(seed), str(CALLS))
    places = tmp_path / "host", tmp_path / "ours"
    for place in places:
        place.mkdir()
    host, here = run_host(program, *words, cwd=places[0]), ours(tree, program, words, places[1])
    assert host.status == here.status == 0
    assert len(host.lines) > CALLS
    assert here.lines == host.lines
    if tree != "host":
        assert not os.listdir(places[1])
    else:
        found = {name: os.lstat(places[1] / name) for name in os.listdir(places[1])}
        for name, status in found.items():  # what was made is its maker's on the host, too
            like = os.lstat(places[0] / name)
            assert (status.st_mode, status.st_uid, status.st_gid) == (like.st_mode, like.st_uid, like.st_gid), name


def creds(uid: int, gid: int, *groups: int) -> Credentials:
    return Credentials((uid,) * 3, (gid,) * 3, groups)


def test_the_owner_has_the_owners_bits_alone() -> None:
    assert not granted(creds(5, 5), (0o100077, 5, 5), 4)
    assert granted(creds(5, 5), (0o100400, 5, 9), 4)
    assert not granted(creds(6, 5), (0o100707, 5, 5), 4)
    assert granted(creds(6, 7, 5), (0o100070, 5, 5), 7)


def test_root_may_run_only_what_somebody_may_run() -> None:
    assert not granted(creds(0, 0), (0o100666, 5, 5), 1)
    assert granted(creds(0, 0), (0o100001, 5, 5), 7)
    assert granted(creds(0, 0), (0o040000, 5, 5), 7)


def acl(*entries: tuple[int, int, int]) -> Callable[[], bytes]:
    return lambda: (
        b"\2\0\0\0"
        + b"".join(
            tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little")
            for tag, bits, who in entries
        )
    )


def test_an_access_list_names_users_and_groups_under_its_mask() -> None:
    some = acl((1, 6, 0), (2, 7, 6), (4, 4, 0), (8, 6, 77), (16, 6, 0), (32, 1, 0))
    rights = (0o100661, 5, 50)
    assert granted(creds(6, 1), rights, 6, some)
    assert not granted(creds(6, 1), rights, 1, some)  # the mask
    assert granted(creds(7, 50), rights, 4, some)
    assert not granted(creds(7, 50), rights, 2, some)
    assert granted(creds(7, 50, 77), rights, 6, some)
    assert not granted(creds(7, 50, 77), rights, 1, some)  # one of a group named is no other
    assert granted(creds(8, 8), rights, 1, some)
    assert not granted(creds(8, 8), rights, 4, some)


@root_only
def test_an_access_list_of_the_hosts_counts(compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    some = acl((1, 6, 0), (2, 4, 4242), (4, 0, 0), (16, 4, 0), (32, 0, 0))
    tmp_path.chmod(0o755)
    for name in ("listed", "plain"):
        (tmp_path / name).write_text("text")
        (tmp_path / name).chmod(0o600)
    try:
        os.setxattr(tmp_path / "listed", "system.posix_acl_access", some())
    except OSError:
        pytest.skip("the file system keeps no access lists")
    program = compile_guest(
        "aclreader",
        source="""
        #include <fcntl.h>
        #include <stdio.h>
        #include <unistd.h>
        int main(void) {
            for (int uid = 4242; uid < 4244; uid++) {
                if (seteuid(uid)) return 1;
                printf("%d ", open("listed", O_RDONLY) >= 0);
                printf("%d ", open("listed", O_RDWR) >= 0);
                printf("%d\\n", open("plain", O_RDONLY) >= 0);
                if (seteuid(0)) return 2;
            }
        }
        """,
    )
    host, here = run_host(program, cwd=tmp_path), run_guest(program, cwd=tmp_path, allow_write=[tmp_path])
    assert here.lines == host.lines == ["1 0 0", "0 0 0"]
