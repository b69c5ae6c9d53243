"""What a run may not leave on the host without permission: each attempt, and the host's object before and after."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from axptr.linux import create_process

from ..conftest import ENVIRONMENT, run_guest
from .test_opened import HEADERS

TRIES = (
    HEADERS
    + """
#include <signal.h>
#include <sys/file.h>
#include <termios.h>
#define F_SETLEASE 1024
#define F_NOTIFY 1026
int main(int argc, char **argv) {
    const char *what = argv[1];
    char *path = argv[2], b[4096];
    struct flock lock = {.l_type = F_RDLCK};
    long flags = 0x10;
    int fd = path ? open(path, O_RDONLY | O_NONBLOCK) : 0, out = 1;
    if (!strcmp(what, "lock")) {
        fcntl(fd, F_SETLK, &lock), fcntl(fd, F_OFD_SETLK, &lock), flock(fd, LOCK_EX);
    } else if (!strcmp(what, "lease")) {
        fcntl(fd, F_SETLEASE, F_RDLCK), fcntl(fd, F_NOTIFY, 0x8000003f);
    } else if (!strcmp(what, "atime")) {
        read(fd, b, 4096), pread(fd, b, 10, 5);
        volatile char c = *(char *)mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
        sendfile(out, fd, 0, 100);
    } else if (!strcmp(what, "directory")) {
        fd = open(path, O_RDONLY | O_DIRECTORY), syscall(217, fd, b, 4096);
    } else if (!strcmp(what, "attributes")) {
        ioctl(fd, FS_IOC_SETFLAGS, &flags), fchmod(fd, 0777), fsync(fd);
        ioctl(open("data", O_RDONLY), FICLONE, fd), fallocate(fd, 0, 0, 100), ftruncate(fd, 1);
    } else if (!strcmp(what, "fifo")) {
        read(fd, b, 5), splice(fd, 0, out, 0, 5, 0), write(open(path, O_RDWR | O_NONBLOCK), "zzz", 3);
    } else if (!strcmp(what, "flags")) {
        dup2(open("/proc/self/fd/0", O_RDONLY), 3), dup2(open("/proc/self/fd/1", O_WRONLY), 4);
        for (int i = 0; i < 5; i++) {
            fcntl(i, F_SETFL, O_NONBLOCK | O_APPEND | O_ASYNC | O_DIRECT), fcntl(i, F_SETOWN, getpid());
            fcntl(i, F_SETSIG, SIGIO), fcntl(i, F_SETPIPE_SZ, 1 << 17), fcntl(i, F_SETFD, FD_CLOEXEC);
            int one = 1;
            ioctl(i, FIONBIO, &one), ioctl(i, FIOASYNC, &one);
        }
        read(0, b, 1), write(1, "x", 1), write(4, "y", 1), readv(3, 0, 0);
    } else {
        struct termios t;
        struct winsize w = {11, 22};
        fd = 0;
        tcgetattr(fd, &t);
        cfmakeraw(&t);
        show("set", tcsetattr(fd, TCSADRAIN, &t)), show("size", ioctl(fd, TIOCSWINSZ, &w));
        tcgetattr(fd, &t);
        show("raw", !(t.c_lflag & (ICANON | ECHO)));
        ioctl(fd, TIOCSTI, "x");
        fcntl(fd, F_SETFL, O_NONBLOCK | O_RDWR), read(fd, b, 1), write(fd, "x", 1);
        if (!strcmp(what, "terminal dies"))
            raise(SIGSEGV);
        if (!strcmp(what, "terminal waits"))
            for (;;)
                pause();
        if (!strcmp(what, "terminal loops"))
            for (;;)
                ;
    }
    return 0;
}
"""
)


@pytest.fixture
def tries(compile_guest):
    return compile_guest("tries", source=TRIES)


def locks_of(path: Path) -> list[str]:
    inode = f":{path.stat().st_ino} "
    return [line.split(":", 1)[1] for line in Path("/proc/locks").read_text().splitlines() if inode in line]


def attributes(path: Path) -> list[int]:
    raw = bytearray(8)
    with path.open("rb") as file, suppress(OSError):
        fcntl.ioctl(file, 0x80086601, raw)
    status = path.stat()
    return [status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_blocks, *raw]


def lease_of(path: Path) -> int:
    with path.open("rb") as file:
        return fcntl.fcntl(file, 1025)


FILE_TRIES: dict[str, Callable[[Path], Any]] = {
    "lock": locks_of,
    "lease": lambda path: (lease_of(path), locks_of(path)),
    "atime": lambda path: path.stat().st_atime_ns,
    "attributes": attributes,
}


@pytest.mark.parametrize("what", FILE_TRIES)
def test_a_file_of_the_host_is_as_it_was(tries, tmp_path, what):
    path = tmp_path / "data"
    path.write_bytes(b"y" * 5000)
    os.utime(path, ns=(10**18, 2 * 10**18))  # older than its change: reading it would set it
    seen: list[Any] = [FILE_TRIES[what](path)]

    def watch(process: Any) -> None:
        process.kernel.on_call = lambda *call: seen.append(FILE_TRIES[what](path))

    outcome = run_guest(tries, what, path, cwd=tmp_path, watch=watch)
    seen.append(FILE_TRIES[what](path))
    assert outcome.status == 0
    assert len(seen) > 5
    assert all(state == seen[0] for state in seen), "changed, during the run at least"


def test_a_directory_keeps_its_time_of_access(tries, tmp_path):
    os.utime(tmp_path, ns=(10**18, 2 * 10**18))
    run_guest(tries, "directory", tmp_path)
    assert tmp_path.stat().st_atime_ns == 10**18


def test_a_program_keeps_its_time_of_access(tries, tmp_path):
    program = tmp_path / "prog"
    program.write_bytes(tries.read_bytes())
    program.chmod(0o755)
    os.utime(program, ns=(10**18, 2 * 10**18))
    run_guest(program, "none")
    assert program.stat().st_atime_ns == 10**18


@pytest.mark.parametrize("allowed", [False, True])
def test_no_byte_is_taken_from_a_fifo_that_may_not_be_changed(tries, tmp_path, allowed):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    os.write(held, b"0123456789")
    run_guest(tries, "fifo", path, allow_write=[tmp_path] if allowed else [])
    left = os.read(held, 100)
    os.close(held)
    assert (left == b"0123456789") == (not allowed)


def state_of(fd: int, kind: str) -> tuple[int, ...]:
    """Flags, close-on-exec, owner and signal, and the size of a pipe."""
    commands = [fcntl.F_GETFL, fcntl.F_GETFD, fcntl.F_GETOWN, 11, *([1032] if kind == "pipe" else [])]
    return tuple(fcntl.fcntl(fd, command) for command in commands)


@pytest.mark.parametrize("kind", ["pipe", "file", "socket"])
def test_the_users_descriptors_keep_their_flags_owner_and_size(tries, tmp_path, kind):
    if kind == "pipe":
        ends = [*os.pipe(), *os.pipe()]
        streams = (ends[0], ends[1], ends[3])
        fcntl.fcntl(ends[1], 1031, 8192)
    elif kind == "file":
        ends = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in "abc"]
        streams = (ends[0], ends[1], ends[2])
    else:
        ends = [end.detach() for end in socket.socketpair()]
        streams = (ends[0], ends[1], ends[1])

    def look() -> list[tuple[int, ...]]:
        return [state_of(fd, kind) for fd in streams]

    seen = [look()]
    with create_process(tries, [str(tries), "flags"], ENVIRONMENT, stdio=streams) as process:
        process.kernel.on_call = lambda *call: seen.append(look())
        assert process.run(30).exit_code == 0
    seen.append(look())
    for fd in ends:
        os.close(fd)
    assert len(seen) > 20
    assert all(one == seen[0] for one in seen)


def terminal_state(fd: int) -> tuple[Any, ...]:
    modes = termios.tcgetattr(fd)
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    return *modes[:6], tuple(modes[6]), fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)), flags


ENDS = {
    "terminal": 0,
    "terminal dies": 139,
    "terminal waits": 124,
    "terminal loops": 124,
}


@pytest.mark.parametrize("what", ENDS)
def test_a_terminal_has_its_modes_and_size_again_after_the_run(tries, what):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 33, 44, 0, 0))
    before = terminal_state(slave)
    reader, writer = os.pipe()
    with create_process(tries, [str(tries), what], ENVIRONMENT, stdio=(slave, writer, writer)) as process:
        result = process.run(0.7)
        after = terminal_state(slave)
    said = os.read(reader, 4096)
    assert result.status == ENDS[what]
    assert b"set: 0 \nsize: 0 \nraw: 1 \n" in said
    assert after == before
    os.set_blocking(slave, False)
    with pytest.raises(BlockingIOError):
        os.read(slave, 1)  # no byte was put into its input
    for fd in (master, slave, reader, writer):
        os.close(fd)


def test_a_program_that_is_run_on_finds_the_terminal_as_it_left_it(tries):
    master, slave = pty.openpty()
    before = terminal_state(slave)
    seen = []
    null = os.open("/dev/null", os.O_WRONLY)
    with create_process(tries, [str(tries), "terminal loops"], ENVIRONMENT, stdio=(slave, null, null)) as process:
        for _ in range(2):
            watcher = threading.Timer(0.4, lambda: seen.append(terminal_state(slave)))
            watcher.start()
            assert process.run(0.8).timed_out
            watcher.join()
            assert terminal_state(slave) == before
    assert len(seen) == 2
    assert seen[0] == seen[1] != before
    for fd in (master, slave, null):
        os.close(fd)


@pytest.mark.parametrize("flag", ["O_APPEND", "0"])
def test_a_program_that_asks_for_it_appends_to_a_stream_of_the_users(compile_guest, tmp_path, flag):
    body = """
    int main(int argc, char **argv) {
        fcntl(1, F_SETFL, FLAG);
        write(1, "one", 3), write(1, "two", 3);
        dprintf(1, "%ld", (long)lseek(1, 0, SEEK_CUR));
        return fcntl(1, F_GETFL) & O_APPEND ? 5 : 6;
    }"""
    program = compile_guest(f"append{flag}", f"-DFLAG={flag}", source=HEADERS + body)
    seen = []
    for side in ("host", "ours"):
        path = tmp_path / side
        path.write_bytes(b"-" * 30)
        fd = os.open(path, os.O_RDWR)
        os.lseek(fd, 10, os.SEEK_SET)
        if side == "host":
            status = subprocess.run([program], stdout=fd).returncode
        else:
            with create_process(program, [str(program)], ENVIRONMENT, stdio=(0, fd, 2)) as process:
                status = process.run(30).status
            assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
        os.close(fd)
        seen.append((status, path.read_bytes()))
    assert seen[1] == seen[0]
