"""Random sequences of path calls, for the host's kernel and for ours: `guests/pathcalls.c` makes them in twin trees.

What each call gives (result, errno, status, names) and the trees at the end must be equal. A sequence that differs is
made shorter by leaving calls out. The trees lie deep in a directory of the test's own, so that no `..` that a sequence
can put together leads out of it.
"""

from __future__ import annotations

import os
import random
import re
import stat
from collections.abc import Callable
from pathlib import Path

from ..conftest import run_guest, run_host

DEPTH = 12
NAMES = ["a", "b", "c", "d"]
FLAGS = [
    os.O_RDONLY,
    os.O_WRONLY,
    os.O_RDWR,
    os.O_RDONLY | os.O_DIRECTORY,
    os.O_RDONLY | os.O_NOFOLLOW,
    os.O_PATH,
    os.O_PATH | os.O_NOFOLLOW,
    os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW,
    os.O_CREAT | os.O_RDWR,
    os.O_CREAT | os.O_RDONLY,
    os.O_CREAT | os.O_WRONLY | os.O_TRUNC,
    os.O_CREAT | os.O_EXCL | os.O_RDWR,
    os.O_CREAT | os.O_NOFOLLOW | os.O_WRONLY,
    os.O_CREAT | os.O_DIRECTORY,
    os.O_TRUNC | os.O_WRONLY,
    os.O_RDWR | os.O_APPEND,
    os.O_TMPFILE | os.O_RDWR,
    os.O_TMPFILE | os.O_RDONLY,
]
MODES = ["0777", "0666", "0700", "0640", "01755", "0000", "04711", "02750"]


def _off_proc(path: str) -> str:
    """For calls whose effect on the links of /proc is nobody's concern."""
    return path if path[0] != "!" else "@"


class Sequence:
    """Makes lines for the program; seeded."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def path(self, ups: int = 2) -> str:
        rng = self.rng
        count = rng.choice([1, 1, 1, 2, 2, 3, 4])
        words = [rng.choice(NAMES) for _ in range(count)]
        for i in range(count):
            chance = rng.random()
            if chance < 0.07 and ups:
                words[i], ups = "..", ups - 1
            elif chance < 0.14:
                words[i] = "."
        text = "/".join(words)
        chance = rng.random()
        if chance < 0.12:
            text += "/"
        elif chance < 0.15:
            text = text.replace("/", "//")
        if rng.random() < 0.2:
            text = "@/" + text
        elif rng.random() < 0.02:
            text = rng.choice(["@", "@/", "EMPTY", "n" * 256, "n" * 255, "."])
        elif rng.random() < 0.06:
            text = f"!{rng.randrange(4)}" + rng.choice(["", "", "/" + rng.choice(NAMES), "/.."])
        return text

    def line(self) -> str:
        rng = self.rng
        held = f"H{rng.randrange(4)} " if rng.random() < 0.2 else ""
        mode, path = rng.choice(MODES), self.path()
        kinds: list[tuple[int, Callable[[], str]]] = [
            (8, lambda: f"mkdir {held}{path} {mode}"),
            (5, lambda: f"rmdir {held}{path}"),
            (5, lambda: f"unlink {held}{path}"),
            (2, lambda: f"mknod {held}{path} {mode}"),
            (2, lambda: f"mkfile {held}{path} {mode}"),
            (9, lambda: f"rename {path} {_off_proc(self.path())} {rng.choice([0, 0, 0, 1, 2, 2, 3, 4, 8])}"),
            (2, lambda: f"renameto H{rng.randrange(4)} {path} {_off_proc(self.path())}"),
            (5, lambda: f"link {path} {self.path()} {rng.choice([0, 0, 0x400, 1])}"),
            (2, lambda: f"linkheld H{rng.randrange(4)} {path}"),
            (9, lambda: f"symlink {self.path(1)} {path}"),
            (10, lambda: f"open {held}{path} {rng.choice(FLAGS)} {mode}"),
            (4, lambda: f"hold {held}{path} {rng.choice(FLAGS)} {rng.randrange(4)}"),
            (3, lambda: f"stat {held}{path}"),
            (3, lambda: f"lstat {held}{path}"),
            (1, lambda: f"fstat H{rng.randrange(4)}"),
            (1, lambda: f"access {held}{path} {rng.randrange(8)}" if not held else f"stat {held}{path}"),
            (3, lambda: f"readlink {held}{path}"),
            (2, lambda: f"chmod {held}{path} {mode}"),
            (1, lambda: f"chown {held}{_off_proc(path)} 7"),
            (1, lambda: f"fchmod H{rng.randrange(4)} {int(mode, 8)}"),
            (1, lambda: f"truncate {path} {rng.randrange(9)}"),
            (1, lambda: f"ftruncate H{rng.randrange(4)} {rng.randrange(9)}"),
            (1, lambda: f"utime {_off_proc(path)} {rng.randrange(10**9)}"),
            (1, lambda: f"umask {rng.choice(['022', '0', '077', '0277', '0777'])}"),
            (3, lambda: f"chdir {self.path(0)}"),
            (1, lambda: "chdir @"),
            (1, lambda: f"fchdir H{rng.randrange(4)}"),
            (2, lambda: "getcwd ."),
            (1, lambda: "cwdlink ."),
        ]
        return rng.choices([make for _, make in kinds], [weight for weight, _ in kinds])[0]()

    def lines(self, count: int) -> list[str]:
        start = ["mkdir a 0755", "mkdir a/b 0777", "symlink a/b c", "open a/d 0101 0644"]
        return start + [self.line() for _ in range(count)]


def tree(root: Path) -> list[tuple[str, str, int, str | bytes]]:
    """Everything below: name, kind and mode, links, content."""
    found: list[tuple[str, str, int, str | bytes]] = []
    for at, directories, files in os.walk(root):
        for name in sorted(directories + files):
            path = os.path.join(at, name)
            status = os.lstat(path)
            content: str | bytes = ""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path).replace(str(root), "@")
            elif stat.S_ISREG(status.st_mode):
                content = Path(path).read_bytes()
            links = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
            times = status.st_mtime_ns if status.st_mtime < 10**9 else 0
            words = f"{status.st_mode:o} {status.st_uid} {status.st_gid} {times}"
            found.append((path.replace(str(root), ""), words, links, content))
    return sorted(found)


def _plain(line: str) -> str:
    """Without the inode number that the name of an unnamed file holds."""
    return re.sub(r"#\d+", "#", line)


def difference(
    program: Path, lines: list[str], work: Path, prepare: Callable[[Path], object] | None = None
) -> str | None:
    """Run a sequence on both sides in fresh trees, which `prepare` may change before; what differs first."""
    data = "".join(line + "\n" for line in lines).encode()
    outcomes, trees = [], []
    for side in ("host", "ours"):
        base = work / f"{side}-{len(os.listdir(work))}"
        top = base.joinpath(*map(str, range(DEPTH)))
        top.mkdir(parents=True)
        if prepare is not None:
            prepare(top)
        if side == "host":
            outcomes.append(run_host(program, top, base, input=data, cwd=top))
        else:
            outcomes.append(run_guest(program, top, base, input=data, cwd=top, allow_write=[base]))
        trees.append(tree(base))
    host, ours = outcomes
    if host.status or ours.status:
        return f"ended with {host.status} and {ours.status}: {ours.stderr!r}"
    for line, (theirs, mine) in enumerate(zip(host.lines, ours.lines, strict=True)):
        if _plain(theirs) != _plain(mine):
            return f"{lines[line]!r}: host {theirs!r}, ours {mine!r}"
    for theirs, mine in zip(*trees, strict=False):
        if theirs != mine:
            return f"trees: host {theirs!r}, ours {mine!r}"
    return None if len(trees[0]) == len(trees[1]) else "one tree has more"


def shorten(program: Path, lines: list[str], work: Path) -> tuple[list[str], str]:
    """A shorter sequence that differs too, and how."""
    found = difference(program, lines, work)
    assert found is not None
    step = len(lines) // 2
    while step:
        at = 0
        while at < len(lines):
            fewer = lines[:at] + lines[at + step :]
            differs = difference(program, fewer, work) if fewer else None
            if differs:
                lines, found = fewer, differs
            else:
                at += step
        step //= 2
    return lines, found
