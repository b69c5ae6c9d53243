"""No way out: what a program may not change stays bit for bit as it is, by name, by descriptor, by link and in a race.

The ways are in `guests/escapes.c`. Each DIRECT one is seen to change the outside on the host, where nothing forbids it;
each SWAP one must do here what it does on the host, to what was open and not to what has its name.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux import HostDir, create_process
from axptr.linux.fs.host.fd import openat2

from ..conftest import GUESTS, run_guest, run_host

SOURCE = (GUESTS / "escapes.c").read_text()


def ways(macro: str) -> list[str]:
    text = SOURCE.partition(f"#define {macro} ")[2].partition("\n\n")[0]
    return re.findall(r"W\((\w+),", text)


def everything(root: Path) -> list[object]:
    """All that can be told of a tree: kind, mode, owners, links, times, attributes, content."""
    found: list[object] = []
    for path in [root, *sorted(root.rglob("*"))]:
        s = path.lstat()
        if path.is_symlink():
            content: object = os.readlink(path)
        else:
            content = path.read_bytes() if path.is_file() else None
        attributes = {n: os.getxattr(path, n, follow_symlinks=False) for n in os.listxattr(path, follow_symlinks=False)}
        status = (
            s.st_dev,
            s.st_ino,
            s.st_mode,
            s.st_nlink,
            s.st_uid,
            s.st_gid,
            s.st_size,
            s.st_mtime_ns,
            s.st_ctime_ns,
        )
        found.append((str(path), status, content, attributes))
    return found


class Scene:
    """A directory that may be changed, and one beside it that may not, with the program in it."""

    def __init__(self, base: Path, program: Path) -> None:
        self.allowed, self.outside = base / "allowed", base / "outside"
        (self.allowed / "sub").mkdir(parents=True)
        (self.allowed / "own").write_text("own")
        (self.outside / "empty").mkdir(parents=True)
        (self.outside / "file").write_text("untouched")
        (self.outside / "link").symlink_to("file")
        self.program = Path(shutil.copy(program, self.outside / "program"))
        try:
            os.setxattr(self.outside / "file", "user.mark", b"1")
        except OSError:
            pytest.skip("needs extended attributes")
        self.before = everything(self.outside)

    @property
    def untouched(self) -> bool:
        return everything(self.outside) == self.before


@pytest.fixture(scope="session")
def program(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("escapes", "-static")


@pytest.fixture(params=["openat2", "one by one"])
def host_call(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the host's openat2, and as if it had none."""
    if request.param == "one by one":
        monkeypatch.setattr(openat2(), "missing", True)


def test_the_table_of_escapes_is_whole(program: Path) -> None:
    listed = [line.split() for line in run_host(program).lines]
    assert [name for kind, name in listed if kind == "direct"] == ways("DIRECT")
    assert [name for kind, name in listed if kind == "swap"] == ways("SWAP")
    assert len(listed) > 100


@pytest.mark.usefixtures("host_call")
@pytest.mark.parametrize("way", ways("DIRECT"))
def test_what_is_outside_stays_as_it_is(program: Path, way: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path / "ours", program)
    ours = run_guest(scene.program, way, scene.outside, cwd=scene.allowed, allow_write=[scene.allowed])
    assert ours.status == 0
    assert ours.lines
    assert scene.untouched, ours.lines


@pytest.mark.parametrize("way", ways("DIRECT"))
def test_in_an_overlay_everything_stays_as_it_is(program: Path, way: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path / "ours", program)
    inside = everything(scene.allowed)
    ours = run_guest(scene.program, way, scene.outside, cwd=scene.allowed, overlay=True)
    assert ours.lines
    assert scene.untouched, ours.lines
    assert everything(scene.allowed) == inside


@pytest.mark.parametrize("way", ways("DIRECT"))
def test_a_mount_leads_no_further_than_its_directory(program: Path, way: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path / "ours", program)
    mounts = {str(scene.allowed): HostDir(scene.allowed)}
    ours = run_guest(scene.program, way, scene.outside, cwd=scene.allowed, mounts=mounts)
    assert ours.lines
    assert scene.untouched, ours.lines


@pytest.mark.parametrize("way", ways("DIRECT"))
def test_a_root_of_its_own_keeps_what_is_outside_out_of_reach(program: Path, way: str, tmp_path: Path) -> None:
    """The way out is asked for by its path on the host, where a link in the root leads to, too."""
    scene = Scene(tmp_path / "ours", program)
    shutil.copy(program, scene.allowed / "program")
    (scene.allowed / "way").symlink_to(scene.outside)
    for target in (str(scene.outside), "/way", "/../outside", "/proc/self/root/../outside"):
        ours = run_guest("/program", way, target, root=scene.allowed, allow_write=[scene.allowed])
        assert ours.lines, ours
        assert scene.untouched, ours.lines


@pytest.mark.parametrize("way", ways("DIRECT"))
def test_each_way_leads_out_where_nothing_forbids_it(program: Path, way: str, tmp_path: Path) -> None:
    if way.startswith(("chown", "lchown", "fchown")) and os.geteuid() != 0:
        pytest.skip("needs root")
    scene = Scene(tmp_path / "host", program)
    host = run_host(scene.program, way, scene.outside, cwd=scene.allowed)
    if any(word in host.lines[-1] for word in ("ENOTTY", "EOPNOTSUPP")):
        pytest.skip("the file system has no such thing")
    assert host.status == 0
    assert not scene.untouched, host.lines


@pytest.mark.usefixtures("host_call")
@pytest.mark.parametrize("way", ways("SWAP"))
def test_what_is_open_is_changed_and_not_what_took_its_name(program: Path, way: str, tmp_path: Path) -> None:
    theirs, mine = Scene(tmp_path / "host", program), Scene(tmp_path / "ours", program)
    host = run_host(theirs.program, way, theirs.outside, cwd=theirs.allowed)
    ours = run_guest(mine.program, way, mine.outside, cwd=mine.allowed, allow_write=[mine.allowed])
    assert mine.untouched
    assert theirs.untouched
    assert ours.lines == host.lines


def test_nothing_changes_without_an_allowed_directory(program: Path, tmp_path: Path) -> None:
    scene = Scene(tmp_path, program)
    inside = everything(scene.allowed)
    for way in ways("DIRECT"):
        run_guest(scene.program, way, scene.outside, cwd=scene.allowed)
    assert scene.untouched
    assert everything(scene.allowed) == inside


def test_a_stream_that_the_user_gave_keeps_what_may_not_be_changed(
    compile_guest: Callable[..., Path], tmp_path: Path
) -> None:
    """A standard stream is there to be read or written; mode, owner, times and attributes are not the program's."""
    body = r"""
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <linux/fs.h>
    #include <stdio.h>
    #include <sys/ioctl.h>
    #include <sys/stat.h>
    #include <sys/xattr.h>
    #include <unistd.h>
    int main(void) {
        struct timespec t[2] = {{5, 0}, {6, 0}};
        int flags = 0x40, found = 0;
        found |= !fchmod(0, 0123) | !fchown(0, 7, 8) | !futimens(0, t) | !fsetxattr(0, "user.new", "1", 1, 0);
        found |= !ioctl(0, FS_IOC_SETFLAGS, &flags) | !linkat(0, "", AT_FDCWD, "mine", AT_EMPTY_PATH);
        found |= open("/proc/self/fd/0", O_WRONLY) >= 0 | open("/dev/stdin", O_RDWR) >= 0;
        return found;
    }"""
    scene = Scene(tmp_path, compile_guest("stream", "-static", source=body))
    with open(scene.outside / "file", "rb") as given, open(os.devnull, "r+b") as null:
        streams = (given.fileno(), null.fileno(), null.fileno())
        words = [os.fspath(scene.program)]
        options = {"cwd": scene.allowed, "allow_write": [scene.allowed], "stdio": streams}
        with create_process(words[0], words, **options) as process:
            assert process.run(30).exit_code == 0
    assert scene.untouched


# -- races


def race_scene(base: Path, compile_guest: Callable[..., Path]) -> Scene:
    scene = Scene(base, compile_guest("race", "-static"))
    (scene.allowed / "a").mkdir()
    (scene.allowed / "a" / "file").write_text("mine")
    (scene.allowed / "b").symlink_to(scene.outside)
    return scene


def start(scene: Scene, action: str, seconds: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "axptr", "run", "--allow-write", scene.allowed, "--env", f"HOME={scene.allowed}"]
    words = ["--", scene.program, action, scene.outside, str(seconds)]
    return subprocess.Popen([*command, *words], cwd=scene.allowed, stdout=subprocess.PIPE)


SECONDS = [2, pytest.param(10, marks=pytest.mark.slow)]


@pytest.mark.parametrize("seconds", SECONDS)
def test_two_guests_race_in_vain(compile_guest: Callable[..., Path], tmp_path: Path, seconds: int) -> None:
    scene = race_scene(tmp_path, compile_guest)
    guests = [start(scene, action, seconds) for action in ("swap", "change")]
    outputs = [guest.communicate(timeout=60 + seconds)[0].split() for guest in guests]
    assert [guest.returncode for guest in guests] == [0, 0]
    assert all(int(words[1]) > 0 for words in outputs)  # how many turns there are is the machine's affair
    assert scene.untouched


@pytest.mark.parametrize("seconds", SECONDS)
def test_a_guest_races_a_host_that_swaps_names_in_vain(
    compile_guest: Callable[..., Path], tmp_path: Path, seconds: int
) -> None:
    scene = race_scene(tmp_path, compile_guest)
    exchange = ctypes.CDLL(None, use_errno=True).renameat2
    names = [os.fsencode(scene.allowed / name) for name in ("a", "b")]
    stop = threading.Event()
    swaps = 0

    def swap() -> None:
        nonlocal swaps
        while not stop.is_set():
            swaps += exchange(-100, names[0], -100, names[1], 2) == 0
            time.sleep(0.0001 * (swaps % 7))

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        guest = start(scene, "change", seconds)
        output = guest.communicate(timeout=60 + seconds)[0].split()
    finally:
        stop.set()
        thread.join()
    assert guest.returncode == 0
    assert int(output[1]) > 0
    assert swaps > 0
    assert scene.untouched
