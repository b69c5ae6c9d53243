"""What goes along besides memory: pipelines in flight, clocks, timers, and what cannot is named."""

from __future__ import annotations

import os
import re

import pytest

from axptr.errors import SnapshotError
from axptr.linux import PIPE, Linux, MachineSnapshot

from .test_branch import ask, linux  # noqa: F401

SHELL = {"PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize("engine", ["native", "unicorn"])
def test_a_pipeline_in_flight_ends_alike_in_every_copy(engine):
    script = "(echo one; read -r word; echo $word; echo three) | while read -r x; do echo got $x; done | cat"
    with Linux(engine=engine, env=SHELL) as machine:
        process = machine.spawn(["sh", "-c", script], stdin=PIPE, stdout=PIPE, stderr=2)
        machine.run_until(lambda: process.stdout.total > 0)
        snap = machine.snapshot()
        for copy in (machine, Linux.from_snapshot(snap), Linux.from_snapshot(snap)):
            there = copy.process()
            there.stdin.feed(b"two\n", last=True)
            assert there.wait().exit_code == 0
            assert there.stdout.take() == b"got one\ngot two\ngot three\n"
            if copy is not machine:
                copy.close()
        machine.restore(snap)
        process.stdin.feed(b"again\n", last=True)
        assert process.wait().exit_code == 0
        assert process.stdout.take() == b"got one\ngot again\ngot three\n"


def test_a_pipe_of_the_hosts_is_named_in_the_error():
    reader, writer = os.pipe()
    try:
        with Linux(engine="unicorn", env=SHELL) as machine:
            machine.spawn(["sh", "-c", "exec 3</proc/self/fd/0; read -r x <&3"], stdin=reader, stdout=PIPE, stderr=2)
            machine.run_until(lambda: machine.process().task.blocked is not None)
            with pytest.raises(SnapshotError, match=re.compile("pipe:|host")):
                machine.snapshot()
    finally:
        os.close(reader)
        os.close(writer)


def test_the_monotonic_clock_goes_on_where_it_was(linux):  # noqa: F811
    def uptime() -> float:
        return float(ask(linux, b"read -r up idle < /proc/uptime; echo $up\n"))

    before = uptime()
    snap = linux.snapshot()
    copy = Linux.from_snapshot(snap)
    assert float(ask(copy, b"read -r up idle < /proc/uptime; echo $up\n")) >= before
    copy.close()


def test_who_looked_at_proc_and_sys_is_copied_too(linux):  # noqa: F811
    """Their trees are made of functions; each copy makes its own, and a text that is open reads on."""
    look = b'echo "$(cat /proc/filesystems; ls /proc/sys /sys 2>&1; cat /proc/self/comm)"\n'
    shown = ask(linux, look)
    ask(linux, b"exec 4< /proc/filesystems; cd /proc/self; echo done\n")
    (copy,) = linux.branch()
    text = ask(copy, b'echo "$(cat <&4)"\n')
    assert text.startswith(b"nodev\tproc\n")
    assert shown.startswith(text)
    assert ask(copy, look) == shown
    copy.close()


HOLDS_ALL = """
import os, sys
held = []
for top in ("/proc", "/sys"):
    for where, names, files in os.walk(top):
        names[:] = [n for n in names if not (where == "/proc" and n.isdigit()) and n not in ("task", "map_files")]
        for name in files:
            try:
                fd = os.open(os.path.join(where, name), os.O_RDONLY | os.O_NONBLOCK)
                held.append(fd)
                os.read(fd, 1)
            except OSError:
                continue
print(len(held), flush=True)
for line in sys.stdin:
    told = []
    for fd in held:
        try:
            told.append(len(os.read(fd, 1 << 16)) > 0)
            os.lseek(fd, 0, 0)
            told.append(len(os.read(fd, 10)))
        except OSError as error:
            told.append(error.errno)
    print(told, flush=True)
"""


def test_every_open_file_of_proc_and_sys_goes_along(tmp_path):
    """Settings could not be kept: a machine in which strace had just started was not to be snapshotted."""
    with Linux(overlay=True, env=SHELL) as machine:
        machine.spawn(["python3", "-S", "-c", HOLDS_ALL], stdin=PIPE, stdout=PIPE, stderr=2)
        assert int(ask(machine)) > 200
        snap = machine.snapshot()
        snap.save(tmp_path / "saved")
        told = ask(machine, b"x\n")
        for one in (snap, MachineSnapshot.load(tmp_path / "saved")):
            with Linux.from_snapshot(one) as copy:
                assert ask(copy, b"x\n") == told
        machine.restore(snap)
        assert ask(machine, b"x\n") == told


def test_with_a_seed_every_copy_goes_on_alike():
    draw = b'echo "$(od -An -N8 -tx1 /dev/urandom; cat /proc/uptime)"\n'
    with Linux(seed=7, engine="unicorn", env=SHELL) as machine:
        script = 'echo ready; while read -r line; do eval "$line"; done'
        machine.spawn(["sh", "-c", script], stdin=PIPE, stdout=PIPE, stderr=2)
        ask(machine)
        snap = machine.snapshot()
        first = ask(machine, draw)
        for _ in range(2):
            copy = Linux.from_snapshot(snap)
            assert ask(copy, draw) == first
            copy.close()
            machine.restore(snap)
            assert ask(machine, draw) == first


POLLS = r"""
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
reader, writer = os.pipe()
context, event = ctypes.c_ulong(0), ctypes.create_string_buffer(32)
assert libc.syscall(206, 8, ctypes.byref(context)) == 0
block = ctypes.create_string_buffer(struct.pack("<QIIHhIQQqQII", 77, 0, 0, 5, 0, reader, 1, 0, 0, 0, 0, 0), 64)
blocks = (ctypes.c_void_p * 1)(ctypes.addressof(block))
assert libc.syscall(209, context, ctypes.c_long(1), blocks) == 1
print("ready", flush=True)
for line in sys.stdin:
    os.write(writer, line.strip().encode())
    count = libc.syscall(208, context, ctypes.c_long(0), ctypes.c_long(1), event, struct.pack("<qq", 0, 0))
    print(count, struct.unpack("<QQqq", event.raw)[::2] if count else None, flush=True)
"""


@pytest.mark.parametrize("engine", ["native", "unicorn"])
def test_a_poll_that_is_under_way_goes_on_in_each_copy(engine, tmp_path):
    with Linux(engine=engine, env=SHELL) as machine:
        machine.spawn(["python3", "-c", POLLS], stdin=PIPE, stdout=PIPE, stderr=2)
        assert ask(machine) == b"ready\n"
        snap = machine.snapshot()
        snap.save(tmp_path / "saved")
        for source in (snap, MachineSnapshot.load(tmp_path / "saved")):
            with Linux.from_snapshot(source) as copy:
                assert (ask(copy, b"\n"), ask(copy, b"x\n")) == (b"0 None\n", b"1 (77, 1)\n")
        for _ in range(2):
            assert (ask(machine, b"\n"), ask(machine, b"x\n")) == (b"0 None\n", b"1 (77, 1)\n")
            machine.restore(snap)


WAITS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static int first, second;
static struct timespec soon = {0, 300000000}, later = {0, 600000000};
static void *wait(void *unused) {
    long one = syscall(SYS_futex, &first, FUTEX_WAIT_PRIVATE, 0, &soon, 0, 0);
    long two = syscall(SYS_futex, &second, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
    printf("%ld %ld %d\n", one, two, two < 0 ? errno : 0);
    return unused;
}
int main(void) {
    pthread_t thread; char c;
    pthread_create(&thread, 0, wait, 0);
    if (write(1, "ready\n", 6) != 6 || read(0, &c, 1) != 1) return 1;
    syscall(SYS_futex, &first, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    nanosleep(&later, 0);
    second = 1;
    syscall(SYS_futex, &second, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    pthread_join(thread, 0);
    return 0;
}
"""


@pytest.mark.parametrize("engine", ["native", "unicorn"])
def test_the_time_of_a_wait_that_is_over_ends_no_other_wait_of_a_copy(engine, compile_guest):
    program = compile_guest("waits2", "-static", "-pthread", source=WAITS)
    with Linux(engine=engine) as machine:
        process = machine.spawn([str(program)], stdin=PIPE, stdout=PIPE)
        machine.run_until(lambda: process.stdout.total > 0 and len(machine.machine.loop._blocked) == 2)
        snap = machine.snapshot()
        copy = Linux.from_snapshot(snap)
        machine.restore(snap)
        for one in (copy, machine):
            one.machine.loop._check()
            one.process().stdin.feed(b"x", last=True)
            assert one.process().wait(100).status == 0
            assert one.process().stdout.take() == b"ready\n0 0 0\n"
        copy.close()


WOKEN = r"""
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static int word;
static struct timespec soon = {0, 10000000};
static void *wait(void *unused) { syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0); return unused; }
int main(void) {
    pthread_t threads[2]; char c;
    for (int i = 0; i < 2; i++) pthread_create(threads + i, 0, wait, 0);
    nanosleep(&soon, 0);
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    return read(0, &c, 1) != 1;
}
"""


def test_who_was_woken_takes_no_wake_of_another_in_a_copy(compile_guest):
    program = compile_guest("woken", "-static", "-pthread", source=WOKEN)
    with Linux(seed=1, engine="unicorn") as machine:
        machine.spawn([str(program)], stdin=PIPE)
        while not any(task.blocked.woken for task in machine.machine.loop._blocked):
            assert machine.step()
        snap = machine.snapshot()
        machine.restore(snap)
        with Linux.from_snapshot(snap) as copy:
            for one in (copy, machine):
                tasks = [task for task in one.machine.loop._blocked if task.tid != task.group.tgid]
                (other,) = (task for task in tasks if task.blocked.woken is None)
                ((word, _),) = other.blocked.on
                assert len(tasks) == 2
                assert word.queue.wake() == 1
                assert other.blocked.woken is not None
