"""Name spaces of a task's own go with the last task and descriptor of them, without the collector."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux import PIPE, Linux
from axptr.linux.fs.host.mount import HostMount
from axptr.linux.fs.mounts import MountTable
from axptr.linux.ipc.space import IpcSpace
from axptr.linux.net.network import Network

SOURCE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char page[8192];
static int use(int flags) {
    if (unshare(flags)) return 1;
    if (flags & CLONE_NEWNS) {
        if (mount("none", "/tmp", "tmpfs", 0, 0)) return 2;
        int fd = open("/tmp/file", O_CREAT | O_RDWR, 0600);
        if (write(fd, page, sizeof page) != sizeof page || mkdir("/tmp/inner", 0700)) return 3;
        close(fd);
    }
    if (flags & CLONE_NEWIPC) {
        char *there = shmat(shmget(1, 8192, IPC_CREAT | 0600), 0, 0), text[520] = {1};
        *there = 1;
        if (msgsnd(msgget(1, IPC_CREAT | 0600), text, 500, 0) || semget(1, 20, IPC_CREAT | 0600) < 0) return 4;
        mqd_t queue = mq_open("/some", O_CREAT | O_RDWR, 0600, NULL);
        if (mq_send(queue, text, 100, 1) || mq_close(queue) || shmdt(there)) return 5;
    }
    if (flags & CLONE_NEWNET) {
        struct sockaddr_in any = {AF_INET};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(fd, (void *)&any, sizeof any) || listen(fd, 3)) return 6;
        close(fd);
    }
    return 0;
}
int main(int count, char **words) {
    int flags = strtol(words[1], 0, 0), times = atoi(words[2]), apart = atoi(words[3]), status;
    while (times--)
        if (!apart) {
            if ((status = use(flags))) return status;
        } else {
            if (!fork()) _exit(use(flags));
            if (wait(&status) < 0 || status) return 99;
        }
    return 0;
}
"""
KINDS = {"mounts": 0x2_0000, "ipc": 0x800_0000, "networks": 0x4000_0000, "all": 0x4802_0000}
ROUNDS = 20


@pytest.fixture(scope="module")
def program(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("unshares", source=SOURCE)


@pytest.mark.parametrize("limit", [None, 64 << 20])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_of_name_spaces_that_nobody_is_in(
    program: Path, kind: str, apart: bool, limit: int | None, engine_name: str
) -> None:
    """Neither of the run's memory, nor of the host's descriptors, nor name spaces as objects."""

    def times(count: int) -> tuple[int, *tuple[object, ...]]:
        with linux.spawn([str(program), hex(KINDS[kind]), str(count), str(int(apart))]) as process:
            assert process.run().exit_code == 0
        alive = [
            sum(type(it) is made for it in gc.get_objects()) for made in (MountTable, HostMount, IpcSpace, Network)
        ]
        machine, mounts = linux.machine, linux.mounts
        held = machine.tree_bytes, machine.socket_bytes, machine.pipe_bytes, linux.phys.data_frames
        return len(os.listdir("/proc/self/fd")), held, len(mounts.every), len(mounts.going), alive

    with Linux(engine=engine_name, memory_limit=limit) as linux:
        gc.collect()
        gc.disable()
        try:
            times(1)
            once = times(1)
            many = times(ROUNDS)
        finally:
            gc.enable()
    assert many[0] < once[0] + ROUNDS // 4  # the host's, of which processes for later have some
    assert many[1:] == once[1:]


def test_a_snapshot_knows_who_has_a_name_space(tmp_path: Path, engine_name: str) -> None:
    """After each way back, and in a branch, it goes with the same process and not before."""
    script = "mount -t tmpfs none /tmp && echo kept >/tmp/file && echo there; read line; cat /tmp/file"
    with Linux(engine=engine_name, overlay=True) as linux:
        before = linux.machine.tree_bytes
        process = linux.spawn(["unshare", "-m", "sh", "-c", script], stdin=PIPE, stdout=PIPE, user="0:0")
        assert linux.run_until(lambda: process.stdout.total > 0 and process.task.blocked is not None)
        assert process.stdout.take() == b"there\n"
        assert linux.machine.tree_bytes > before
        snap = linux.snapshot()
        for _ in range(2):
            process.stdin.feed(b"\n", last=True)
            assert process.wait().exit_code == 0
            assert process.stdout.take() == b"kept\n"
            assert linux.machine.tree_bytes == before
            linux.restore(snap)
        with Linux.from_snapshot(snap) as other:
            for group in list(other.machine.tasks.values()):
                assert group.fs.mounts.holders >= 1
