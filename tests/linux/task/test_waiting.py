"""Calls that wait end at the deadline and for signals as on the host, and leave what they waited for as it was."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import socket
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from axptr.linux import create_process

from ..conftest import ENVIRONMENT, run_guest, run_host
from ..signals.test_signals import HEADERS

SENDFILE = "".join(f"#include <sys/{name}.h>\n" for name in ("sendfile", "stat", "file", "select", "uio"))
DEADLINE = 0.4


def build(compile_guest, body: str, before: str = ""):
    source = HEADERS + SENDFILE + before + "\nint main(int argc, char **argv) {\n" + body + "\nreturn 0; }"
    return compile_guest("waiting", "-static", source=source)


FOREVER = {
    "read of an empty pipe": "int p[2]; char c; pipe(p); read(p[0], &c, 1);",
    "readv of an empty pipe": "int p[2]; char c; pipe(p); struct iovec v = {&c, 1}; readv(p[0], &v, 1);",
    "write to a full pipe": "int p[2]; static char b[1 << 18]; pipe(p); for (;;) write(p[1], b, sizeof b);",
    "small writes to a full pipe": "int p[2]; char b[100]; pipe(p); for (;;) write(p[1], b, sizeof b);",
    "write beside a hole to a full pipe": """int p[2]; pipe(p); static char b[1 << 16]; write(p[1], b, sizeof b);
        char *m = mmap(0, 8192, 3, 34, -1, 0); munmap(m + 4096, 4096); for (;;) write(p[1], m, 8192);""",
    "sendfile into a full pipe": """int p[2], f = open("/bin/ls", 0); pipe(p);
        for (;;) { lseek(f, 0, 0); sendfile(p[1], f, 0, 1 << 20); }""",
    "open of a FIFO for reading": "open(argv[1], O_RDONLY);",
    "open of a FIFO for writing": "open(argv[1], O_WRONLY);",
    "poll": "poll(0, 0, -1);",
    "select": "select(0, 0, 0, 0, 0);",
    "pause": "pause();",
    "sigsuspend": "sigset_t s; sigfillset(&s); sigsuspend(&s);",
    "sigtimedwait": "sigset_t s; sigfillset(&s); siginfo_t i; sigwaitinfo(&s, &i);",
    "nanosleep": "sleep(1000);",
    "clock_nanosleep": "struct timespec t = {1000, 0}; clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &t, 0);",
    "futex": "int w = 0; syscall(SYS_futex, &w, FUTEX_WAIT, 0, 0, 0, 0);",
    "flock": """int a = open(argv[2], O_RDWR), b = open(argv[2], O_RDWR);
        flock(a, LOCK_EX); flock(b, LOCK_EX);""",
}


@pytest.mark.parametrize("what", FOREVER)
def test_a_call_that_waits_for_ever_ends_at_the_deadline(compile_guest, tmp_path: Path, what: str):
    program = build(compile_guest, FOREVER[what] + ' write(2, "came back", 9);', "#include <sys/mman.h>")
    fifo, file = tmp_path / "fifo", tmp_path / "file"
    os.mkfifo(fifo)
    file.write_bytes(b"")
    args = [os.fspath(a) for a in (program, fifo, file)]
    with create_process(args[0], args, env=ENVIRONMENT, allow_write=[tmp_path]) as process:
        for _ in range(2):  # and once more, run on
            begin = time.monotonic()
            assert process.run(DEADLINE).timed_out
            assert time.monotonic() - begin < 30  # and not for ever


@contextlib.contextmanager
def stuck(kind: str, tmp_path: Path) -> Iterator[tuple[int, int]]:
    """(a descriptor that is never ready for reading, one that takes no more): of others too, as a shell's are."""
    with contextlib.ExitStack() as stack:

        def keep(*fds: int) -> tuple[int, ...]:
            for fd in fds:
                stack.callback(os.close, fd)
            return fds

        if kind == "pipe":
            reader, _ = keep(*os.pipe())
            _, writer = keep(*os.pipe())
        elif kind == "fifo":
            paths = [tmp_path / "in", tmp_path / "out"]
            for path in paths:
                os.mkfifo(path)
            reader, writer = keep(*[os.open(path, os.O_RDWR) for path in paths])
        elif kind == "socket":
            pair = socket.socketpair()
            for end in pair:
                stack.enter_context(end)
            reader = writer = pair[0].fileno()
        else:
            _, reader = keep(*pty.openpty())
            writer = reader
            mode = termios.tcgetattr(reader)
            mode[3] &= ~termios.ECHO
            termios.tcsetattr(reader, termios.TCSANOW, mode)
        yield reader, writer


@pytest.mark.parametrize("kind", ["pipe", "fifo", "socket", "terminal"])
@pytest.mark.parametrize("what", ["read(0, b, 10);", "write(1, b, sizeof b);", "for (;;) write(1, b, 1000);"])
def test_the_users_own_descriptors_do_not_outlast_the_deadline_and_keep_their_flags(
    compile_guest, tmp_path: Path, kind: str, what: str
):
    program = build(compile_guest, "static char b[1 << 20]; " + what)
    with stuck(kind, tmp_path) as (reader, writer):
        flags = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (reader, writer)]
        with create_process(program, [program], env=ENVIRONMENT, stdio=(reader, writer, 2)) as process:
            begin = time.monotonic()
            assert process.run(DEADLINE).timed_out
            assert time.monotonic() - begin < 30  # and not for ever
            assert [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (reader, writer)] == flags


@pytest.mark.parametrize("kind", ["pipe", "fifo", "socket", "terminal"])
def test_a_large_write_arrives_whole_and_in_order_at_a_slow_reader(compile_guest, tmp_path: Path, kind: str):
    program = build(
        compile_guest,
        "static unsigned b[1 << 16]; for (unsigned i = 0; i < 1 << 16; i++) b[i] = (i * 2654435761u) | 0x80808080u;"
        'fprintf(stderr, "%zd\\n", write(1, b, sizeof b));',
    )
    wanted = b"".join((i * 2654435761 & 0xFFFFFFFF | 0x80808080).to_bytes(4, "little") for i in range(1 << 16))
    with contextlib.ExitStack() as stack:
        if kind == "pipe":
            near, far = os.pipe()
        elif kind == "fifo":
            os.mkfifo(tmp_path / "out")
            near = os.open(tmp_path / "out", os.O_RDONLY | os.O_NONBLOCK)
            far = os.open(tmp_path / "out", os.O_WRONLY)
            os.set_blocking(near, True)
        elif kind == "socket":
            near, far = (s.detach() for s in socket.socketpair())
        else:
            near, far = pty.openpty()
            mode = termios.tcgetattr(far)
            mode[1] &= ~termios.OPOST
            termios.tcsetattr(far, termios.TCSANOW, mode)
        stack.callback(os.close, near)
        stack.callback(os.close, far)
        got = bytearray()

        def drain() -> None:
            while len(got) < len(wanted):
                if len(got) < 100_000:
                    time.sleep(0.002)
                got.extend(os.read(near, 7000))

        thread = threading.Thread(target=drain)
        thread.start()
        with open(tmp_path / "err", "w+b") as err:
            with create_process(program, [program], env=ENVIRONMENT, stdio=(0, far, err.fileno())) as process:
                assert process.run(60).exit_code == 0
            thread.join(60)
            err.seek(0)
            assert err.read() == b"%d\n" % len(wanted)
        assert bytes(got) == wanted


def test_a_signal_ends_a_wait_with_what_was_done_or_eintr_as_on_the_host(compile_guest, tmp_path: Path):
    program = build(
        compile_guest,
        """
        struct itimerval soon = {{0, 0}, {0, 60000}}; int p[2]; static char b[1 << 18]; char c;
        mkfifo(argv[1], 0600);
        for (int again = 0; again < 2; again++) {
            struct sigaction a = {.sa_handler = again ? help : note, .sa_flags = again ? SA_RESTART : 0};
            sigaction(SIGALRM, &a, 0);
            #define T(call) setitimer(ITIMER_REAL, &soon, 0); R(call)
            pipe(p); in = p[0]; out = -1;
            T(write(p[1], b, sizeof b));
            T(write(p[1], b, 100));
            int f = open("/bin/ls", O_RDONLY);
            T(sendfile(p[1], f, 0, 1 << 17) > 0);
            R(lseek(f, 0, SEEK_CUR) >= 0);
            pipe(p); in = -1; out = p[1];
            T(read(p[0], &c, 1));
            if (!again) { T(open(argv[1], O_RDONLY)); T(open(argv[1], O_WRONLY));
            T(open(argv[1], O_WRONLY | O_NONBLOCK)); }
        }
        T(open(argv[1], O_RDWR) > 0); T(open(argv[1], O_RDONLY | O_NONBLOCK) > 0);
        """,
        """static int in, out; static char hb[1 << 16];
        static void help(int n) { if (in >= 0) read(in, hb, sizeof hb); if (out >= 0) write(out, "x", 1); }""",
    )
    host = run_host(program, tmp_path / "one")
    ours = run_guest(program, tmp_path / "two", allow_write=[tmp_path])
    assert ours.lines == host.lines
    assert ours.status == host.status


def test_both_ends_of_a_fifo_meet_programs_of_the_host(compile_guest, tmp_path: Path):
    reads = build(
        compile_guest,
        "char b[99]; int f = open(argv[1], O_RDONLY); R(f > 2); R(read(f, b, 99)); R(read(f, b, 99));",
    )
    writes = build(compile_guest, 'int f = open(argv[1], O_WRONLY); R(f > 2); R(write(f, "hello", 5));')
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = subprocess.Popen(["sh", "-c", 'sleep 0.3; exec > "$0"; sleep 0.3; printf abcdefg', fifo])
    assert [line.split("= ")[1] for line in run_guest(reads, fifo, allow_write=[tmp_path]).lines] == ["1 ", "7 ", "0 "]
    assert writer.wait(10) == 0
    with subprocess.Popen(["sh", "-c", 'sleep 0.3; cat "$0"', fifo], stdout=subprocess.PIPE) as reader:
        ours = run_guest(writes, fifo, allow_write=[tmp_path])
        assert [line.split("= ")[1] for line in ours.lines] == ["1 ", "5 "]
        assert reader.stdout is not None
        assert reader.stdout.read() == b"hello"


def test_a_writer_that_came_and_went_lets_a_reader_in(compile_guest, tmp_path: Path):
    program = build(compile_guest, "char c; int f = open(argv[1], O_RDONLY); R(f > 2); R(read(f, &c, 1));")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["sh", "-c", 'sleep 0.3; : > "$0"', fifo]):
        assert [line.split("= ")[1] for line in run_guest(program, fifo, allow_write=[tmp_path]).lines] == ["1 ", "0 "]


def test_opening_a_fifo_takes_nothing_from_it(compile_guest, tmp_path: Path):
    program = build(compile_guest, "int f = open(argv[1], O_RDONLY); R(f > 2);")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    fd = os.open(fifo, os.O_RDWR)
    try:
        os.write(fd, b"all of it")
        assert len(run_guest(program, fifo).lines) == 1
        assert os.read(fd, 100) == b"all of it"
    finally:
        os.close(fd)


def test_a_sleep_goes_on_with_what_is_left_when_the_process_is_run_on(compile_guest):
    program = build(compile_guest, "usleep(900000); struct pollfd f = {-1}; poll(&f, 1, 900);")
    begin = time.monotonic()
    with create_process(program, [program], env=ENVIRONMENT) as process:
        runs = 0
        while process.run(0.25).timed_out:
            runs += 1
    assert runs >= 5
    assert time.monotonic() - begin >= 1.8


@pytest.mark.parametrize("ends", ["nobody", "the other"])
def test_who_ends_in_a_wait_gives_back_the_memory_that_it_waits_on(compile_guest, ends: str):
    """`run_guest` holds the process, whose task this is."""
    before = """#include <sys/syscall.h>
#include <linux/futex.h>
#include <sched.h>
static int word; static char stack[65536] __attribute__((aligned(16)));
static int other(void *code) { usleep(20000); syscall(SYS_exit_group, 3); return 0; }"""
    wait = "syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, 0, 0, 0);"
    second = "clone(other, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, 0);"
    body = (second if ends == "the other" else "") + wait
    source = "#define _GNU_SOURCE\n" + HEADERS + before + "\nint main(void) {" + body + "}"
    ours = run_guest(compile_guest("waitends", "-static", source=source), timeout=0.3 if ends == "nobody" else 60)
    assert ours.result.exit_code == (3 if ends == "the other" else None)
