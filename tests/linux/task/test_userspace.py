"""Name spaces of users: what a snapshot has of them, and the programs that people make them with. What each call gives
is compared with the host in `tests/linux/guests/equal/userspaces.c`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux import PIPE, Linux, MachineSnapshot, Process

from ..conftest import run_guest

WAITER = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void) {
    char line[64], there[64];
    sprintf(line, "7 %d 1", getuid());
    unshare(CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWNS);
    int fd = open("/proc/self/uid_map", O_RDWR), of = open("/proc/self/ns/user", O_RDONLY);
    int names = open("/proc/self/ns/uts", O_RDONLY);
    write(fd, line, strlen(line));
    sethostname("inner", 5);
    mount("none", "/mnt", "tmpfs", 0, 0);
    mkdir("/mnt/made", 0700);
    unshare(CLONE_NEWUTS);
    write(1, "there\n", 6);
    read(0, line, 1);
    struct stat made, mine;
    memset(there, 0, sizeof there);
    int got = pread(fd, there, 63, 0);
    stat("/mnt/made", &made);
    fstat(of, &mine);
    struct stat now;
    stat("/proc/self/ns/user", &now);
    printf("%d of %d, %.*s, same %d", getuid(), made.st_uid, got - 1, there, now.st_ino == mine.st_ino);
    gethostname(line, 64);
    sethostname("outer", 5);
    printf(", %s, entered %d", line, setns(names, CLONE_NEWUTS));
    gethostname(line, 64);
    printf(", %s, umount %d\n", line, umount("/mnt"));
    return 0;
}
"""


def test_a_snapshot_has_the_name_spaces_and_what_is_open_of_them(
    compile_guest: Callable[..., Path], tmp_path: Path
) -> None:
    program = compile_guest("spacewaiter", source=WAITER)
    expected = b"7 of 7,          7          0          1, same 1, inner, entered 0, inner, umount 0\n"
    with Linux(overlay=True) as machine:
        process = machine.spawn([program], stdin=PIPE, stdout=PIPE, stderr=2, user="0:0")
        assert machine.run_until(lambda: process.stdout.total > 0 and process.task.blocked is not None)
        assert process.stdout.take() == b"there\n"
        snap = machine.snapshot()
        process.stdin.feed(b"x", last=True)
        assert process.wait().exit_code == 0
        assert process.stdout.take() == expected
        machine.restore(snap)
        process = machine.process()
        process.stdin.feed(b"x", last=True)
        assert process.wait().exit_code == 0
        assert process.stdout.take() == expected
    snap.save(tmp_path / "saved")
    for kept in (snap, MachineSnapshot.load(tmp_path / "saved")):
        with Linux.from_snapshot(kept) as machine:
            process = machine.process()
            process.stdin.feed(b"x", last=True)
            assert process.wait().exit_code == 0
            assert process.stdout.take() == expected


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare of util-linux")
@pytest.mark.parametrize("user", ["0:0", "1000:1000"])
def test_unshare_makes_an_ordinary_user_root_of_what_is_its_own(user: str) -> None:
    script = (
        'unshare -Urmu sh -c "id -u; mount -t tmpfs none /mnt && echo made >/mnt/x && stat -c %u:%g /mnt/x &&'
        ' hostname inner && hostname; cat /etc/shadow >/dev/null; chown 1 /mnt/x"; hostname'
    )
    with Linux(overlay=True) as machine:
        process = machine.spawn(["sh", "-c", script], stdout=PIPE, stderr=PIPE, user=user)
        process.wait()
        name = machine.machine.uts.node
        assert process.stdout.take() == b"0\n0:0\ninner\n" + name + b"\n", process.stderr.take()
        told = process.stderr.take()
    assert (b"shadow: Permission denied" in told) == (user != "0:0")
    assert b"changing ownership of '/mnt/x': Invalid argument" in told


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_bubblewrap_runs_a_program_for_an_ordinary_user() -> None:
    outcome = run_guest(
        "/usr/bin/bwrap", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--dev", "/dev", "--uid", "5", "--gid", "6",
        "sh", "-c", "id -u; id -g; touch /tmp/x /x; stat -c %u:%g /tmp/x; echo y >/dev/null && ls /proc/self/ns/user",
        overlay=True, user="1000:1000",
    )  # fmt: skip
    assert outcome.lines == ["5", "6", "5:6", "/proc/self/ns/user"]
    assert b"/x': Read-only file system" in outcome.stderr


def test_who_is_root_in_a_name_space_of_its_own_has_no_rights_over_the_machine(
    compile_guest: Callable[..., Path],
) -> None:
    """Root without a name space of its own has each of them."""
    source = r"""
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <sched.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/mount.h>
    #include <sys/resource.h>
    #include <sys/stat.h>
    #include <sys/xattr.h>
    #include <unistd.h>
    #define SHOW(call) printf("%d ", (call) < 0 ? errno : 0)
    int main(int count, char **words) {
        if (count > 1) {
            unshare(CLONE_NEWUSER);
            int fd = open("/proc/self/uid_map", O_WRONLY);
            write(fd, "0 0 1", 5);
        }
        SHOW(sethostname("x", 1)); SHOW(mount("none", "/mnt", "tmpfs", 0, 0)); SHOW(chown("/tmp/f", 1, 1));
        SHOW(setxattr("/tmp/f", "trusted.x", "y", 1, 0)); SHOW(setpriority(PRIO_PROCESS, 0, -3));
        SHOW(mknod("/tmp/n", S_IFCHR | 0600, 0x103)); SHOW(open("/tmp/closed", O_RDONLY));
        return 0;
    }
    """
    program = compile_guest("norights", source=source)
    with Linux(overlay=True) as machine:
        made = machine.spawn(
            ["sh", "-c", "touch /tmp/f; echo >/tmp/closed; chmod 0 /tmp/closed; chown 5:5 /tmp/closed"], user="0:0"
        )
        assert made.wait().exit_code == 0
        told = []
        for words in ([program, "own"], [program]):
            process = machine.spawn(words, stdout=PIPE, user="0:0")
            process.wait()
            told.append(process.stdout.take())
    assert told == [b"1 1 22 1 13 1 13 ", b"0 0 0 0 0 0 0 "]


APART = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    char c;
    struct sockaddr_in to = {AF_INET, htons(80), {htonl(INADDR_LOOPBACK)}};
    unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC);
    int heard = socket(AF_INET, SOCK_STREAM, 0), sem = semget(5, 1, IPC_CREAT | 0600);
    int net = open("/proc/self/ns/net", O_RDONLY);
    struct ifreq request = {"lo"};
    request.ifr_flags = IFF_UP;
    ioctl(heard, SIOCSIFFLAGS, &request);
    bind(heard, (void *)&to, sizeof to);
    listen(heard, 1);
    semctl(sem, 0, SETVAL, 4);
    unshare(CLONE_NEWNET);
    write(1, "there\n", 6);
    read(0, &c, 1);
    int one = socket(AF_INET, SOCK_STREAM, 0);
    printf("%d", connect(one, (void *)&to, sizeof to));
    printf(" %d", setns(net, CLONE_NEWNET));
    one = socket(AF_INET, SOCK_STREAM, 0);
    printf(" %d %d\n", connect(one, (void *)&to, sizeof to), semctl(semget(5, 1, 0), 0, GETVAL));
    return 0;
}
"""


def goes_on(program: Path, said: bytes, tmp_path: Path) -> None:
    """A program that has said that it is there says the same once it goes on: put back, in a copy, out of a file."""

    def end(process: Process) -> None:
        process.stdin.feed(b"x", last=True)
        assert process.wait().exit_code == 0
        assert process.stdout.take() == said

    with Linux(overlay=True) as machine:
        process = machine.spawn([program], stdin=PIPE, stdout=PIPE, stderr=2, user="0:0")
        assert machine.run_until(lambda: process.stdout.total > 0 and process.task.blocked is not None)
        assert process.stdout.take() == b"there\n"
        assert machine.machine.network.endpoints == {}
        snap = machine.snapshot()
        for _ in range(2):
            end(process)
            machine.restore(snap)
            process = machine.process()
    snap.save(tmp_path / "saved")
    for kept in (snap, MachineSnapshot.load(tmp_path / "saved")):
        with Linux.from_snapshot(kept) as machine:
            end(machine.process())


def test_a_snapshot_has_networks_and_objects_of_system_v_of_its_processes_own(
    compile_guest: Callable[..., Path], tmp_path: Path
) -> None:
    goes_on(compile_guest("apart", source=APART), b"-1 0 0 4\n", tmp_path)


STEPS = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    char c;
    int fs = syscall(430, "tmpfs", 0), other = syscall(430, "tmpfs", 0);
    syscall(431, fs, 6, 0, 0, 0);
    int mount = syscall(432, fs, 0, 0);
    mkdirat(mount, "made", 0700);
    syscall(431, other, 1, "mode", "711", 0);
    write(1, "there\n", 6);
    read(0, &c, 1);
    printf("%ld", syscall(429, mount, "", AT_FDCWD, "/mnt", 4));
    printf(" %d %ld", access("/mnt/made", 0), syscall(431, other, 6, 0, 0, 0));
    mount = syscall(432, other, 0, 1);
    struct stat about;
    fstat(mount, &about);
    printf(" %o %d\n", about.st_mode, mkdirat(mount, "x", 0700));
    return 0;
}
"""


def test_a_snapshot_has_what_is_to_be_mounted(compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    goes_on(compile_guest("steps", source=STEPS), b"0 0 0 40711 -1\n", tmp_path)
