"""Devices that programs make in trees in memory: what they are, who may, and that none becomes one of the host's.

What is expected is what Linux 6.18 gave to the same program on a tmpfs.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux import PIPE, Linux, MachineSnapshot, Overlay, Tmpfs, create_process

from ..conftest import run_guest

DEVICES = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#define R(call) do { errno = 0; long r = (long)(call); printf("%s %ld %d\n", #call, r, errno); } while (0)
int main(void) {
    char b[64]; struct stat st; int f;
    umask(0);
    chdir("/t");
    R(mknod("null", S_IFCHR | 0640, makedev(1, 3)));
    R(f = open("null", O_RDWR | O_CREAT | O_TRUNC, 0600));
    R(write(f, "abc", 3)); R(read(f, b, 9)); R(ftruncate(f, 3)); R(fchmod(f, 0600)); R(fchown(f, 3, 4));
    fstat(f, &st); printf("%o %d %lx\n", st.st_mode, st.st_uid, st.st_rdev);
    R(rename("null", "moved")); R(unlink("moved")); R(write(f, "x", 1)); close(f);
    R(mknod("zero", S_IFCHR | 0666, makedev(1, 5))); R(f = open("zero", O_RDWR)); R(read(f, b, 9));
    R(mmap(0, 4096, 3, MAP_SHARED, f, 0) != MAP_FAILED); close(f);
    R(mknod("full", S_IFCHR | 0666, makedev(1, 7))); R(f = open("full", O_RDWR)); R(write(f, "a", 1)); close(f);
    R(mknod("random", S_IFCHR | 0666, makedev(1, 9))); R(f = open("random", O_RDWR)); R(read(f, b, 9)); close(f);
    R(mknod("none", S_IFCHR | 0666, makedev(240, 3))); R(open("none", 0));
    R(mknod("disk", S_IFBLK | 0666, makedev(1, 3))); R(open("disk", 0));
    R(mknod("big", S_IFCHR | 0666, makedev(0x123, 0x45678))); stat("big", &st);
    printf("%x %x\n", major(st.st_rdev), minor(st.st_rdev));
    mkdir("m", 0755);
    R(mount("x", "m", "tmpfs", MS_NODEV, 0)); R(mknod("m/n", S_IFCHR | 0666, makedev(1, 3))); R(open("m/n", 0));
    R(setresuid(65534, 65534, 65534)); R(mknod("no", S_IFCHR | 0666, makedev(1, 3)));
    R(mknod("no", S_IFBLK | 0666, 0));
    return 0;
}
"""


def test_what_mknod_makes_in_memory_is_the_device_of_its_number(compile_guest: Callable[..., Path]) -> None:
    program = compile_guest("devices", "-static", source=DEVICES)
    lines = run_guest(program, mounts={"/t": Tmpfs()}, user="0:0").lines
    assert [line.split(")")[-1].strip() for line in lines if ")" in line] == [
        "0 0", "3 0", "3 0", "0 0", "-1 22", "0 0", "0 0", "0 0", "0 0", "1 0",  # null
        "0 0", "3 0", "9 0", "!= MAP_FAILED 1 0",  # zero
        "0 0", "3 0", "-1 28", "0 0", "3 0", "9 0",  # full, random
        "0 0", "-1 6", "0 0", "-1 6", "0 0",  # that are not here
        "0 0", "0 0", "-1 13", "0 0", "-1 1", "-1 1",  # nodev; nobody
    ]  # fmt: skip
    assert [line for line in lines if ")" not in line] == ["20600 3 103", "123 45678"]


def test_an_open_device_that_was_made_is_in_a_saved_snapshot(tmp_path: Path) -> None:
    script = "mknod /tmp/made c 1 5; exec 5</tmp/made; echo there; read x; head -c 3 <&5 | od -An -tx1"
    with Linux(overlay=True) as machine:
        process = machine.spawn(["sh", "-c", script], stdin=PIPE, stdout=PIPE, stderr=2, user="0:0")
        assert machine.run_until(lambda: process.stdout.total > 0 and process.task.blocked is not None)
        assert process.stdout.take() == b"there\n"
        machine.snapshot().save(tmp_path / "saved")
    with Linux.from_snapshot(MachineSnapshot.load(tmp_path / "saved")) as machine:
        process = machine.process()
        process.stdin.feed(b"\n", last=True)
        assert process.wait().exit_code == 0
        assert process.stdout.take() == b" 00 00 00\n"


def test_no_device_of_a_program_is_made_on_the_host(tmp_path: Path) -> None:
    done = run_guest("/bin/sh", "-c", "mknod n c 1 3", cwd=tmp_path, allow_write=[tmp_path], user="0:0")
    assert b"not permitted" in done.stderr
    overlay = Overlay()
    script = f"cd {tmp_path}; echo new > file; mknod null c 1 3; mknod disk b 8 0"
    with create_process("/bin/sh", ["sh", "-c", script], overlay=overlay, user="0:0") as process:
        assert process.run(30).exit_code == 0
        with pytest.raises(OSError, match=r"disk.*host") as caught:
            overlay.commit()
        assert caught.value.errno == errno.EPERM
    assert os.listdir(tmp_path) == []
