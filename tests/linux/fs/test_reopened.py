"""/dev/stdout, /dev/fd/N and /proc/self/fd/N opened anew: what the host gives, for each kind of stream."""

from __future__ import annotations

import os
import pty
import re
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux import create_process

from ..conftest import ENVIRONMENT
from .test_opened import HEADERS

OPENS = (
    HEADERS
    + """
#include <poll.h>
int main(int argc, char **argv) {
    const char *names[] = {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/7"};
    int modes[] = {O_WRONLY, O_RDWR, O_RDONLY, O_WRONLY | O_APPEND, O_WRONLY | O_CREAT, O_WRONLY | O_CREAT | O_EXCL,
                   O_RDONLY | O_DIRECTORY, O_WRONLY | O_NOFOLLOW, O_PATH, O_WRONLY | O_NONBLOCK};
    setvbuf(stderr, 0, _IONBF, 0);
    dup2(1, 2 + 5);
    if (write(1, "begin\\n", 6) < 0)
        fprintf(stderr, "begin: %s\\n", strerrorname_np(errno));
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 10; k++) {
            int only = modes[k] & O_ACCMODE;
            errno = 0;
            int fd = open(names[i], modes[k] | (only == O_RDONLY ? O_NONBLOCK : 0), 0600);
            fprintf(stderr, "%s %o: %d %s", names[i], modes[k], fd >= 0, fd < 0 ? strerrorname_np(errno) : "");
            if (fd >= 0) {
                char text[100];
                fprintf(stderr, " flags %o at %ld", fcntl(fd, F_GETFL), (long)lseek(fd, 0, SEEK_CUR));
                if (only != O_RDONLY) {
                    long n = write(fd, text, sprintf(text, "<%d,%d>", i, k));
                    fprintf(stderr, " wrote %ld %s", n, n < 0 ? strerrorname_np(errno) : "");
                    fprintf(stderr, " at %ld, 1 at %ld", (long)lseek(fd, 0, SEEK_CUR), (long)lseek(1, 0, SEEK_CUR));
                } else if (!(modes[k] & O_PATH) && i >= 3 && i < 5) {
                    long n = read(fd, text, 2);
                    fprintf(stderr, " read %ld %.*s", n, n > 0 ? (int)n : 0, text);
                    fprintf(stderr, ", 0 at %ld", (long)lseek(0, 0, SEEK_CUR));
                }
                close(fd);
            }
            fprintf(stderr, "\\n");
        }
    write(1, "end\\n", 4);
    return 0;
}
"""
)

Streams = Callable[[Path], tuple[int, int, list[int], Callable[[], bytes]]]
"""Standard input and output, what to close, and what came out at the end."""


def drained(fd: int) -> Callable[[], bytes]:
    """Reads all that comes, in a thread."""
    got = bytearray()

    def drain() -> None:
        try:
            while block := os.read(fd, 4096):
                got.extend(block)
        except OSError:
            pass

    thread = threading.Thread(target=drain)
    thread.start()

    def all_of_it() -> bytes:
        thread.join()
        os.close(fd)
        return bytes(got)

    return all_of_it


def files(root: Path, flags: int = os.O_RDWR) -> tuple[int, int, list[int], Callable[[], bytes]]:
    (root / "in").write_bytes(b"0123456789" * 10)
    (root / "out").write_bytes(b"-" * 200)
    source, goal = os.open(root / "in", os.O_RDONLY), os.open(root / "out", flags)
    os.lseek(source, 5, os.SEEK_SET)
    os.lseek(goal, 50, os.SEEK_SET)
    return source, goal, [source, goal], (root / "out").read_bytes


def pipes(root: Path) -> tuple[int, int, list[int], Callable[[], bytes]]:
    reader, writer = os.pipe()
    source, feed = os.pipe()
    os.write(feed, b"abcdefghij" * 10)
    return source, writer, [source, writer, feed], drained(reader)


def sockets(root: Path) -> tuple[int, int, list[int], Callable[[], bytes]]:
    ours, theirs = (end.detach() for end in socket.socketpair())
    return theirs, theirs, [theirs], drained(ours)


def terminal(root: Path) -> tuple[int, int, list[int], Callable[[], bytes]]:
    master, slave = pty.openpty()
    return slave, slave, [slave], drained(master)


def devices(root: Path) -> tuple[int, int, list[int], Callable[[], bytes]]:
    null, zero = os.open("/dev/null", os.O_RDWR), os.open("/dev/zero", os.O_RDWR)
    return zero, null, [null, zero], bytes


def removed(root: Path) -> tuple[int, int, list[int], Callable[[], bytes]]:
    source, goal, close, _ = files(root)
    os.unlink(root / "out")
    kept = os.dup(goal)

    def content() -> bytes:
        data = os.pread(kept, 10000, 0)
        os.close(kept)
        return data

    return source, goal, close, content


KINDS: dict[str, Streams] = {
    "files": files,
    "a file to append to": lambda root: files(root, os.O_WRONLY | os.O_APPEND),
    "files, the other way round": lambda root: (lambda s: (s[1], s[0], s[2], s[3]))(files(root)),
    "pipes": pipes,
    "sockets": sockets,
    "a terminal": terminal,
    "devices": devices,
    "removed files": removed,
}


@pytest.mark.parametrize("kind", KINDS)
def test_streams_opened_anew_are_what_they_are_on_the_host(compile_guest, tmp_path, kind):
    program = compile_guest("opens", source=OPENS)
    seen = []
    for side in ("host", "ours"):
        root = tmp_path / side
        root.mkdir()
        source, goal, close, content = KINDS[kind](root)
        with (root / "err").open("w+b") as err:
            if side == "host":
                done = subprocess.run([program], stdin=source, stdout=goal, stderr=err, env=ENVIRONMENT, timeout=30)
                status: int | None = done.returncode
            else:
                streams = (source, goal, err.fileno())
                with create_process(program, [str(program)], ENVIRONMENT, stdio=streams, allow_write=[root]) as process:
                    status = process.run(30).exit_code
            for fd in close:
                os.close(fd)
            err.seek(0)
            lines = [re.sub(rb"flags (\d+)", _plain, line).decode() for line in err.read().splitlines()]
        seen.append((status, lines, content()))
    assert [pair for pair in zip(seen[0][1], seen[1][1], strict=True) if pair[0] != pair[1]] == []
    assert seen[1] == seen[0]


def _plain(match: re.Match[bytes]) -> bytes:
    """Flags without O_LARGEFILE."""
    return b"flags %o" % (int(match[1], 8) & ~0o100000)
