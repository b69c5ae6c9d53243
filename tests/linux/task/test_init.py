"""The process that was there before any program: number 1, whose children orphans become. What the host has there is
another on each machine, so what this one says of itself stands here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from axptr.linux import PIPE, Linux

from ..conftest import run_guest

ROOT = """\
kill(1, 0) = 0
kill(1, 65) = -1 EINVAL
kill(1, SIGKILL) = 0
kill(1, SIGSTOP) = 0
syscall(SYS_tkill, 1, SIGTERM) = 0
syscall(SYS_tgkill, 1, 1, SIGUSR1) = 0
syscall(SYS_tgkill, getpid(), 1, 0) = -1 ESRCH
getpgid(1) = 1
getsid(1) = 1
setpgid(1, 0) = -1 ESRCH
getpriority(PRIO_PROCESS, 1) = 0
sched_getscheduler(1) = 0
sched_getparam(1, &param) = 0
sched_getaffinity(1, sizeof cpus, &cpus) = 0
sched_rr_get_interval(1, &slice) = 0
syscall(SYS_sched_getattr, 1, words, 48, 0) = 0
syscall(SYS_ioprio_get, 1, 1) = 0
prlimit(1, RLIMIT_NOFILE, NULL, &limit) = 0
syscall(SYS_get_robust_list, 1, words, words + 1) = 0
syscall(SYS_kcmp, 1, 1, 1, 0, 0) = 0
syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) = 0
poll(&poll_fd, 1, 0) = 0
syscall(SYS_pidfd_getfd, fd, 0, 0) = -1 EBADF
waitpid(1, NULL, 0) = -1 ECHILD
ptrace(PTRACE_ATTACH, 1, 0, 0) = -1 EPERM
ptrace(PTRACE_SEIZE, 1, 0, 0) = -1 EPERM
stat("/proc/1", &about) = 0
stat("/proc/1/root/proc", &about) = 0
stat("/proc/1/exe", &about) = -1 ENOENT
readlink("/proc/1/exe", text, sizeof text) = -1 ENOENT
access("/proc/1/task/1/stat", R_OK) = 0
access("/proc/1/task/2/stat", R_OK) = -1 ENOENT
Name:	init
State:	S (sleeping)
Tgid:	1
Pid:	1
PPid:	0
Threads:	1
1 (init) S 0
orphan of 1
wait(NULL) = -1 ECHILD
""".splitlines()


def test_root_finds_it_and_can_do_nothing_to_it(compile_guest: Callable[..., Path]) -> None:
    outcome = run_guest(compile_guest("first"), user="0:0")
    assert [line.rstrip() for line in outcome.lines] == ROOT


def test_others_have_no_rights_over_it(compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir(mode=0o755)
    Path(shutil.copy(compile_guest("first"), place / "first")).chmod(0o755)
    outcome = run_guest("/opt/first", cwd="/", mounts={"/opt": place}, user="1000:1000")
    got = [line.rstrip() for line in outcome.lines]
    refused = {line.split(" = ")[0]: line.split()[-1] for line in got if line.endswith(("EPERM", "EACCES"))}
    assert refused == {
        "kill(1, 0)": "EPERM",
        "kill(1, SIGKILL)": "EPERM",
        "kill(1, SIGSTOP)": "EPERM",
        "syscall(SYS_tkill, 1, SIGTERM)": "EPERM",
        "syscall(SYS_tgkill, 1, 1, SIGUSR1)": "EPERM",
        "prlimit(1, RLIMIT_NOFILE, NULL, &limit)": "EPERM",
        "syscall(SYS_get_robust_list, 1, words, words + 1)": "EPERM",
        "syscall(SYS_kcmp, 1, 1, 1, 0, 0)": "EPERM",
        "syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0)": "EPERM",
        "syscall(SYS_pidfd_getfd, fd, 0, 0)": "EPERM",
        "ptrace(PTRACE_ATTACH, 1, 0, 0)": "EPERM",
        "ptrace(PTRACE_SEIZE, 1, 0, 0)": "EPERM",
        'stat("/proc/1/root/proc", &about)': "EACCES",
        'stat("/proc/1/exe", &about)': "EACCES",
        'readlink("/proc/1/exe", text, sizeof text)': "EACCES",
        "timers: EACCES": "EACCES",
    }


def test_a_snapshot_has_it_with_who_holds_it(compile_guest: Callable[..., Path]) -> None:
    with Linux() as linux:
        process = linux.spawn([str(compile_guest("first")), "save"], stdin=PIPE, stdout=PIPE, user="0:0")
        assert process.stdout is not None
        assert process.stdin is not None
        linux.run_until(lambda: process.stdout.total > 0)
        assert process.stdout.take() == b"ready\n"
        snap = linux.snapshot()
        for copy in (linux, Linux.from_snapshot(snap)):
            there = copy.process()
            assert there.stdin is not None
            assert there.stdout is not None
            there.stdin.feed(b"x", last=True)
            assert there.wait().status == 0
            assert [line.rstrip() for line in there.stdout.take().decode().splitlines()] == ROOT
            if copy is not linux:
                copy.close()
