# ruff: noqa: E501 - programs of one line
"""What a function was shown of a call is what is done, whoever writes to the memory meanwhile: the function itself, after it has
seen the arguments, or another thread on another CPU, at any moment."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import engines
from axptr.linux import PIPE, Linux, Policy, Refuse, Tmpfs

GOOD, EVIL = b"/tmp/good", b"/tmp/evil"

# One call of each kind that is shown text or a structure; argv: which. All of them name "/tmp/good".
ONE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <sys/mount.h>
#include <unistd.h>
static char a[64] = "/tmp/good", b[64] = "/tmp/to";
static long call(const char *what) {
    struct stat s; struct statfs f; char text[99] = ""; int fd;
    char *argv[] = {a, "word", 0}, *none[] = {0};
#define IS(name) if (!strcmp(what, name))
    IS("open") { fd = open(a, O_RDONLY); if (fd >= 0) read(fd, text, 9), printf("%s ", text); return fd < 0 ? -1 : 0; }
    IS("openat2") { struct { unsigned long flags, mode, resolve; } how = {0};
        fd = syscall(437, AT_FDCWD, a, &how, sizeof how); if (fd >= 0) read(fd, text, 9), printf("%s ", text); return fd < 0 ? -1 : 0; }
    IS("stat") { long r = syscall(SYS_stat, a, &s); printf("%o ", r ? 0 : s.st_mode & 0777); return r; }
    IS("statx") { struct statx x = {0}; long r = syscall(SYS_statx, AT_FDCWD, a, 0, 0xfff, &x); printf("%o ", r ? 0 : x.stx_mode & 0777); return r; }
    IS("access") return access(a, X_OK);
    IS("readlink") { long n = readlink(a, text, 99); return n < 0 ? -1 : n; }
    IS("statfs") return statfs(a, &f);
    IS("getxattr") return getxattr(a, "user.x", text, 9);
    IS("mkdir") return mkdir(a, 0700);
    IS("mknod") return mknod(a, S_IFIFO | 0600, 0);
    IS("unlink") return unlink(a);
    IS("rmdir") return rmdir(a);
    IS("rename") return rename(a, b);
    IS("link") return link(a, b);
    IS("symlink") return symlink("target", a);
    IS("chmod") return chmod(a, 0755);
    IS("chown") return chown(a, 5, 5);
    IS("truncate") return truncate(a, 1);
    IS("utimensat") return utimensat(AT_FDCWD, a, 0, 0);
    IS("setxattr") return setxattr(a, "user.y", "1", 1, 0);
    IS("chdir") { long r = chdir(a); printf("%s ", getcwd(text, 99)); return r; }
    IS("execve") { fflush(stdout); return execve(a, argv, none); }
    IS("execveat") { fflush(stdout); return syscall(SYS_execveat, AT_FDCWD, a, argv, none, 0); }
    IS("connect") { struct sockaddr_in to = {AF_INET, htons(80), {htonl(INADDR_LOOPBACK)}};
        memcpy(a, &to, sizeof to); return connect(socket(AF_INET, SOCK_STREAM, 0), (void *)a, sizeof to); }
    IS("bind") { struct sockaddr_un to = {AF_UNIX, "/tmp/good"}; memcpy(a, &to, sizeof a);
        return bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)a, 20); }
    IS("umount2") return umount2(a, 0);
    return 99;
}
int main(int argc, char **argv) {
    errno = 0;
    long r = call(argv[1]);
    printf("%ld %s\n", r, r < 0 ? strerrorname_np(errno) : "");
    fflush(stdout);
    execl("/bin/sh", "sh", "-c", "cd /tmp; for f in good evil to; do test -e $f -o -L $f && stat -c '%n %F %a %u %s' $f; done; true", (char *)0);
}
"""
ALONE = "echo the good > good"
FILE = "echo the good > good; echo the evil > evil; chmod 640 good; chmod 600 evil"
READY = {
    "mkdir": "true", "mknod": "true", "symlink": "true", "bind": "true", "connect": "true",
    "umount2": "touch good", "access": "touch good evil; chmod +x good", "rmdir": "mkdir good evil", "chdir": "mkdir good evil",
    "readlink": "ln -s abc good; ln -s abcdef evil",
    "execve": "cp /bin/echo good; cp /bin/pwd evil", "execveat": "cp /bin/echo good; cp /bin/pwd evil",
}  # fmt: skip
CALLS = [
    "open", "openat2", "stat", "statx", "access", "readlink", "statfs", "getxattr", "mkdir", "mknod", "unlink", "rmdir",
    "rename", "link", "symlink", "chmod", "chown", "truncate", "utimensat", "setxattr", "chdir", "execve", "execveat",
    "connect", "bind", "umount2",
]  # fmt: skip
KINDS = {
    "open": ("open", "openat"), "chmod": ("chmod", "fchmodat"), "chown": ("chown", "fchownat"), "mkdir": ("mkdir", "mkdirat"),
    "mknod": ("mknod", "mknodat"), "access": ("access", "faccessat"), "rename": ("rename", "renameat", "renameat2"),
    "readlink": ("readlink", "readlinkat"), "link": ("link", "linkat"), "symlink": ("symlink", "symlinkat"),
    "unlink": ("unlink", "unlinkat"),
}  # fmt: skip


def outcome(program: Path, what: str, engine: str, jobs: int, spoil: bool) -> tuple[bytes, list[Any]]:
    """What the program and a look at the files say; and what the function was shown of the call. spoil: whether it writes over
    all that it was shown, in the program's memory."""
    policy, shown = Policy(), []

    def look(call: Any) -> Refuse | None:
        if call.comm != program.name[:15]:
            return None
        if what == "connect":
            seen: Any = call.address()
        elif what == "bind":
            seen = call.bytes("address", 20)
        else:
            seen = call.args
        if what in ("connect", "bind") or GOOD in seen.values():
            shown.append(seen)
            if spoil:
                spoilt(call)
        return None

    def spoilt(call: Any) -> None:
        for register in call.registers:
            for good, evil in ((GOOD, EVIL), (b"word\0", b"EVIL\0"), (b"\2\0\0\x50\x7f", b"\x63\0\0\x51\x7f")):
                try:
                    pages = call.task.space.read(register, 64)
                except OSError:
                    continue
                for at in (0, 2):
                    if pages[at : at + len(good)] == good:
                        call.task.space.write(register + at, evil)
        if what.startswith("execve"):  # what the array points at
            space, argv = call.task.space, call.registers[1 if what == "execve" else 2]
            word = int.from_bytes(space.read(argv + 8, 8), "little")
            space.write(argv, bytes(16))
            assert space.read(word, 4) == b"word"

    policy.before(*KINDS.get(what, (what,)))(look)
    ready = READY.get(what, ALONE if what in ("statfs", "getxattr", "utimensat", "setxattr") else FILE)
    mounts = {"/tmp": Tmpfs(), "/mnt": program.parent}
    with Linux(engine=engine, engine_jobs=jobs, overlay=True, mounts=mounts, policy=policy) as linux:
        script = f"cd /tmp; {ready}; exec /mnt/{program.name} {what}"
        linux.spawn(["/bin/sh", "-c", script], cwd="/", stdin=0, stdout=PIPE, stderr=PIPE)
        process = linux.process()
        assert not process.wait(60).timed_out
        assert process.stdout is not None
        assert process.stderr is not None
        return process.stdout.take() + process.stderr.take(), shown


@pytest.mark.parametrize("what", CALLS)
def test_what_a_function_writes_over_after_it_was_shown_it_changes_nothing(
    compile_guest: Callable[..., Path], engine_name: str, what: str
) -> None:
    program = compile_guest("judgedone", "-static", source=ONE)
    native = engine_name == "native"
    wanted = outcome(program, what, engine_name, 1, False)
    assert wanted[1], "the function was shown nothing"
    for jobs in (1, 2) if native else (1,):
        assert outcome(program, what, engine_name, jobs, True) == wanted


@pytest.mark.skipif(engines.missing("native") is not None, reason="needs the native engine")
@pytest.mark.parametrize("times", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_thread_on_another_cpu_loses_each_race(compile_guest: Callable[..., Path], times: int) -> None:
    """The classic: a name that is changed while it is judged. Made until the judge often saw the other name."""
    program = compile_guest("doublefetch", "-static", "-pthread")
    policy, looked = Policy(), [0, 0]

    @policy.before("open", "openat")
    def judge(call: Any) -> Refuse | None:
        if call.comm != program.name[:15]:
            return None
        good = call["path"] == GOOD
        looked[good] += 1
        return None if good else Refuse(errno.EACCES)

    mounts = {"/tmp": Tmpfs(), "/mnt": program.parent}
    with Linux(engine="native", engine_jobs=2, overlay=True, mounts=mounts, policy=policy) as linux:
        script = (
            f"echo good > /tmp/good; echo evil > /tmp/evil; for i in $(seq 20); do /mnt/{program.name} {times}; done"
        )
        linux.spawn(["/bin/sh", "-c", script], cwd="/", stdin=0, stdout=PIPE, stderr=2)
        process, won = linux.process(), b""
        assert process.stdout is not None
        while min(looked) < 100 or sum(looked) < times:
            ended = not process.wait(0.5).timed_out
            won += process.stdout.take()
            if ended:
                break
        assert not any(int(line.split()[1]) for line in won.splitlines())
        assert looked[1] > 100, looked
        assert looked[0] > 100, f"the thread never changed what was judged: {looked}"
