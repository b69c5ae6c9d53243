"""The machine's own tree as root arranges it: mount, umount2, pivot_root, unshare and setns of mounts and names. Nobody
mounts anything on the host for a test; what is expected is what Linux gives, call by call (fs/namespace.c).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from axptr.linux import PIPE, HostDir, Linux, MachineSnapshot, Policy, Rules, Tmpfs
from axptr.linux.fs import mounting
from axptr.linux.fs.host.tree import HostNode

from ..conftest import run_guest

EXPECTED = """\
mount("none", "a", "tmpfs", 0, "mode=750,size=1m") = 0
40750
mount("none", "a", "tmpfs", 0, "mode=9") = -1 EINVAL
mount("none", "a", "tmpfs", 0, "nosuch=9") = -1 EINVAL
mount("none", "a", "nosuch", 0, NULL) = -1 ENODEV
mount("none", "a", NULL, 0, NULL) = -1 EINVAL
mount("nosuch", "a", "ext4", 0, NULL) = -1 ENOENT
mount("a", "a", "ext4", 0, NULL) = -1 ENOTBLK
mount("none", "nosuch", "tmpfs", 0, NULL) = -1 ENOENT
mount("none", "file", "tmpfs", 0, NULL) = -1 ENOTDIR
mount("a", "b", NULL, MS_BIND, NULL) = 0
mount("a", "file", NULL, MS_BIND, NULL) = -1 ENOTDIR
mount("file", "b", NULL, MS_BIND, NULL) = -1 ENOTDIR
mount(NULL, "b", NULL, MS_BIND, NULL) = -1 EINVAL
mount("nosuch", "b", NULL, MS_BIND, NULL) = -1 ENOENT
b/f: first
mount("a/s", "c", NULL, MS_BIND, NULL) = 0
c/g: below
a/s/new: made there
rename("b/s/new", "b/moved") = 0
a/moved: made there
rename("b/moved", "a/again") = -1 EXDEV
link("b/f", "b/l") = 0
link("b/f", "a/l2") = -1 EXDEV
rmdir("c") = -1 EBUSY
rename("c", "d") = -1 EBUSY
at /c 1
at /here 1
at /s 1
at /b 1
mount("a/f", "file", NULL, MS_BIND, NULL) = 0
file: first
unlink("file") = -1 EBUSY
/f /file rw,relatime - tmpfs none rw,size=1024k,mode=750
umount2("file", 0) = 0
file: plain file
mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) = 0
put b/f: EROFS
mkdir("b/x", 0755) = -1 EROFS
b/f: second
mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND, NULL) = 0
a/f: third
statfs("b/f", &told) = 0
flags 2: 1022
statfs("b/f", &told) = 0
flags 4: 1024
statfs("b/f", &told) = 0
flags 8: 1028
statfs("b/f", &told) = 0
flags 400: 420
statfs("b/f", &told) = 0
flags 800: 1820
mount(NULL, "b/s", NULL, MS_REMOUNT, NULL) = -1 EINVAL
mount(NULL, "b", NULL, MS_PRIVATE | MS_REC, NULL) = 0
mount(NULL, "b", NULL, MS_PRIVATE | MS_SHARED, NULL) = -1 EINVAL
mount(NULL, "b/s", NULL, MS_SLAVE, NULL) = -1 EINVAL
/ /a rw,relatime - tmpfs none rw,size=1024k,mode=750
/ /b rw,relatime - tmpfs none rw,size=1024k,mode=750
/s /c rw,relatime - tmpfs none rw,size=1024k,mode=750
mount("none", "a", "tmpfs", MS_NOSUID | MS_NOEXEC, NULL) = 0
a/f: ENOENT
umount2("a", 0) = 0
a/f: third
umount2("b/s", 0) = -1 EINVAL
umount2("a", 16) = -1 EINVAL
umount2("a", MNT_EXPIRE | MNT_DETACH) = -1 EINVAL
umount2("a", 0) = -1 EBUSY
umount2("a", MNT_EXPIRE) = -1 EAGAIN
umount2("a", MNT_EXPIRE) = 0
umount2("a", 0) = -1 EINVAL
mount("b", "d", NULL, MS_MOVE, NULL) = 0
b/f: ENOENT
d/f: third
mount("b", "a", NULL, MS_MOVE, NULL) = -1 EINVAL
mount("d", "d/s", NULL, MS_MOVE, NULL) = -1 ELOOP
mount("in", "d/mp", "tmpfs", 0, NULL) = 0
umount2("d", 0) = -1 EBUSY
mount("d", "b", NULL, MS_BIND | MS_REC, NULL) = 0
d/mp/deep: recursive
umount2("b", MNT_DETACH) = 0
umount2("d", MNT_DETACH) = 0
umount2("c", 0) = 0
umount2("c", 0) = -1 EINVAL
rmdir("c") = 0
mount("plain", "b", NULL, MS_BIND, NULL) = 0
b/in: in a plain directory
plain/in: changed
plain/other: made
at /sub 1
at /b 1
at /here 1
mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) = 0
put b/in: EROFS
chmod("b/in", 0600) = -1 EROFS
umount2("b", 0) = 0
mount("proc", "b", "proc", 0, NULL) = 0
access("b/self/status", F_OK) = 0
umount2("b", 0) = 0
unshare(CLONE_NEWNS) = 0
mount("none", "a", "tmpfs", 0, NULL) = 0
a/mine: mine alone
a/mine: ENOENT
unshare(CLONE_NEWNS) = 0
PIVOT("a", "a") = -1 EBUSY
mount("none", "a", "tmpfs", 0, NULL) = 0
PIVOT("a", "b") = -1 EBUSY
PIVOT("a/old", "a/old") = -1 EINVAL
PIVOT(".", "old") = 0
chdir("/") = 0
/file: of the new root
access("/old/proc", F_OK) = 0
umount2("/old", 0) = -1 EBUSY
umount2("/old", MNT_DETACH) = 0
access("/old/proc", F_OK) = -1 ENOENT
access("/..", F_OK) = 0
access("/../proc", F_OK) = -1 ENOENT
unshare(CLONE_NEWNS) = 0
mount("none", "a", "tmpfs", 0, NULL) = 0
PIVOT(".", ".") = 0
umount2(".", MNT_DETACH) = 0
chdir("/") = 0
file: of the new root
sethostname("other-name", 10) = 0
setdomainname("a.domain", 8) = 0
sethostname("x", 65) = -1 EINVAL
sethostname("x", -1) = -1 EINVAL
sethostname(NULL, 4) = -1 EFAULT
other-name a.domain
/proc/sys/kernel/hostname: other-name

other-name by.proc
unshare(CLONE_NEWUTS) = 0
another: 1
sethostname("inner", 5) = 0
inner by.proc
setns(fd, CLONE_NEWNS) = -1 EINVAL
setns(fd, CLONE_NEWUTS) = 0
other-name by.proc
setns(0, 0) = -1 EINVAL
unshare(CLONE_NEWUSER) = 0
unshare(1) = -1 EINVAL
"""


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def _place(tmp_path: Path) -> Path:
    here = tmp_path / "here"
    here.mkdir()
    return here


@pytest.mark.parametrize("options", [{}, {"overlay": True}], ids=["files of the host", "overlay"])
def test_what_root_makes_of_the_tree(
    compile_guest: Callable[..., Path], tmp_path: Path, options: dict[str, Any]
) -> None:
    here = _place(tmp_path)
    outcome = run_guest(compile_guest("mounts"), cwd=here, user="0:0", **(options or {"allow_write": [here]}))
    assert outcome.stderr == b""
    assert _lines(outcome.stdout.decode()) == _lines(EXPECTED)


def test_nobody_else_may(compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir(mode=0o755)
    Path(shutil.copy(compile_guest("mounts"), place / "mounts")).chmod(0o755)
    outcome = run_guest("/opt/mounts", "plain", cwd="/tmp", user="1000:1000", mounts={"/opt": place, "/tmp": Tmpfs()})
    assert [line.split(" = ")[1].strip() for line in outcome.lines] == [
        "-1 EPERM", "-1 ENOENT", "-1 EPERM", "-1 EPERM", "-1 EPERM", "-1 EPERM", "-1 EPERM",
    ]  # fmt: skip


def test_what_rules_say_of_a_place_cannot_be_had_elsewhere(compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    here = _place(tmp_path)
    policy = Policy(Rules({"paths": {"deny": ["/nosuch"]}}))
    outcome = run_guest(compile_guest("mounts"), cwd=here, user="0:0", overlay=True, policy=policy)
    made = [line.rstrip() for line in outcome.lines if line.startswith(("mount(", "PIVOT("))]
    bound = [line.split(" = ")[1] for line in made if "MS_BIND, NULL" in line or "MS_MOVE" in line]
    assert bound
    assert "0" not in bound
    turned = [line.split(" = ")[1] for line in made if line.startswith(("PIVOT(", 'mount("proc"'))]
    assert turned
    assert "0" not in turned


SCRIPT = (
    "mount -t tmpfs none a; echo kept > a/f; mkdir b; mount --bind a b; echo ready; read x; cat b/f; umount b; cat a/f"
)


def test_a_snapshot_has_its_mounts(tmp_path: Path) -> None:
    if shutil.which("mount") is None:
        pytest.skip("the host has no mount")
    (tmp_path / "a").mkdir()
    with Linux(overlay=True, env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}) as linux:
        process = linux.spawn(["sh", "-c", SCRIPT], stdin=PIPE, stdout=PIPE, stderr=2, cwd=tmp_path, user="0:0")
        linux.run_until(lambda: process.stdout.total > 0)  # type: ignore[union-attr]
        snap = linux.snapshot()
        for copy in (linux, Linux.from_snapshot(snap)):
            there: Any = copy.process()
            there.stdin.feed(b"go\n", last=True)
            assert there.wait().status == 0
            assert there.stdout.take().endswith(b"kept\nkept\n")
            if copy is not linux:
                copy.close()


LOCKED = """\
stat("hidden/secret", &found) = -1 ENOENT
umount2("hidden", 0) = -1 EINVAL
umount2("hidden", MNT_DETACH) = -1 EINVAL
mount("hidden", "open", 0, MS_MOVE, 0) = -1 EINVAL
mount(".", "open", 0, MS_BIND, 0) = 0
stat("open/hidden", &found) = 0
stat("open/hidden/secret", &found) = -1 ENOENT
umount2("open/hidden", MNT_DETACH) = -1 EINVAL
open("open/fixed/new", O_CREAT | O_WRONLY, 0644) = -1 EROFS
mount(0, "open/fixed", 0, MS_REMOUNT | MS_BIND, 0) = -1 EPERM
umount2("open", MNT_DETACH) = 0
fstatat(inside, "hidden/secret", &found, 0) = -1 ENOENT
unshare(CLONE_NEWNS) = 0
fstatat(inside, "hidden/secret", &found, 0) = -1 ENOENT
fchdir(inside) = 0
mount(".", "hidden", 0, MS_BIND, 0) = -1 EINVAL
stat("hidden/secret", &found) = -1 ENOENT
chdir(words[1]) = 0
mount(".", "open", 0, MS_BIND | MS_REC, 0) = 0
umount2("open", 0) = -1 EBUSY
umount2("open", MNT_DETACH) = 0
mount(".", "open", 0, MS_BIND, 0) = 0
umount2("open", 0) = 0
mount(0, "fixed", 0, MS_REMOUNT | MS_BIND, 0) = -1 EPERM
mount("fixed", "open", 0, MS_BIND, 0) = 0
mount(0, "open", 0, MS_REMOUNT | MS_BIND, 0) = -1 EPERM
open("open/new", O_CREAT | O_WRONLY, 0644) = -1 EROFS
umount2("open", 0) = 0
mount("none", "open", "tmpfs", 0, "uid=99999999999999999999") = -1 EINVAL
mount("none", "open", "tmpfs", 0, "gid=4294967295") = -1 EINVAL
deep 1, then ENOSPC
readlink("/proc/self/cwd", path, sizeof path) = 0
access("../../..", F_OK) = 0
chdir(words[1]) = 0
umount2("open", MNT_DETACH) = 0
mount("/", "open", 0, MS_BIND, 0) = 0
stat("open/usr/..", &found) = 0
chdir("open") = 0
syscall(SYS_pivot_root, ".", ".") = 0
umount2(".", MNT_DETACH) = 0
access("/proc/self/status", F_OK) = 0
fchdir(top) = 0
access("proc/self/status", F_OK) = 0
chdir(words[1]) = 0
stat("hidden/secret", &found) = -1 ENOENT
mount("none", "open", "tmpfs", 0, 0) = 0
umount2("open", 0) = 0
"""


def test_what_was_mounted_before_the_run_hides_what_is_below_it_whatever_root_mounts(
    compile_guest: Callable[..., Path], tmp_path: Path
) -> None:
    """Linux locks mounts that a more privileged name space made: neither taken off nor gone round."""
    for name in ("hidden", "fixed", "open"):
        (tmp_path / name).mkdir()
    (tmp_path / "hidden" / "secret").write_text("not to be seen")
    mounts = {str(tmp_path / "hidden"): Tmpfs(), str(tmp_path / "fixed"): HostDir(tmp_path / "fixed", readonly=True)}
    outcome = run_guest(compile_guest("lockedmounts"), tmp_path, user="0:0", mounts=mounts, allow_write=[tmp_path])
    assert outcome.stderr == b""
    assert [line.strip() for line in outcome.stdout.decode().splitlines()] == LOCKED.splitlines()
    assert list((tmp_path / "fixed").iterdir()) == []


def test_what_hides_comes_along_though_the_host_renames_directories_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time that a bind asks for a name, those of the host are others."""
    if shutil.which("mount") is None:
        pytest.skip("the host has no mount")
    one, other, hidden = tmp_path / "one", tmp_path / "other", Path("top", "hidden")
    (one / hidden).mkdir(parents=True)
    (one / hidden / "secret").write_text("not to be seen")
    (one / "top" / "seen").touch()
    (tmp_path / "shown").mkdir()
    asked: list[bytes] = []
    told, bind = HostNode.where, mounting.bind

    def where(node: HostNode) -> bytes:
        asked.append(found := told(node))
        (one if one.exists() else other).rename(other if one.exists() else one)
        return found

    def while_binding(*what: Any, **how: Any) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(HostNode, "where", where)
            bind(*what, **how)

    monkeypatch.setattr(mounting, "bind", while_binding)
    script = f"cd {tmp_path} && mount --bind {one}/top shown && ls shown shown/hidden"
    outcome = run_guest("/bin/sh", "-c", script, user="0:0", mounts={str(one / hidden): Tmpfs()})
    assert asked
    assert outcome.lines == ["shown:", "hidden", "seen", "", "shown/hidden:"], outcome


def test_a_second_mount_of_sys_and_proc_is_in_a_snapshot_as_it_was(tmp_path: Path) -> None:
    script = (
        "mkdir /tmp/axptr-second && mount --bind / /tmp/axptr-second && cd /tmp/axptr-second && umount -l . &&"
        " echo there\n"
        "read -r line; ls sys/devices/system/cpu/online && cat proc/self/comm"
    )
    with Linux(overlay=True) as machine:
        process = machine.spawn(["sh", "-c", script], stdin=PIPE, stdout=PIPE, stderr=2, user="0:0")
        tasks = machine.machine.tasks
        assert machine.run_until(lambda: process.stdout.total > 0 and all(task.blocked for task in tasks.values()))
        assert process.stdout.take() == b"there\n"
        snap = machine.snapshot()
    snap.save(tmp_path / "saved")
    for kept in (snap, MachineSnapshot.load(tmp_path / "saved")):
        with Linux.from_snapshot(kept) as machine:
            process = machine.process()
            process.stdin.feed(b"on\n", last=True)
            assert process.wait().exit_code == 0
            assert process.stdout.take() == b"sys/devices/system/cpu/online\ncat\n"


NOEXEC = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
static void show(const char *what, long result) {
    printf("%s: %s\n", what, result == -1 ? strerrorname_np(errno) : "ok");
    fflush(stdout);
}
int main(void) {
    mkdir("t", 0755), mkdir("a", 0755), mkdir("b", 0755);
    show("tmpfs", mount("none", "t", "tmpfs", MS_NOEXEC, 0));
    close(open("a/x", O_CREAT | O_WRONLY, 0755));
    show("bind", mount("a", "b", 0, MS_BIND, 0));
    show("remount", mount("none", "b", 0, MS_REMOUNT | MS_BIND | MS_NOEXEC, 0));
    for (int i = 0; i < 3; i++) {
        const char *names[] = {"t/x", "b/x", "a/x"};
        int fd = open(names[i], O_CREAT | O_RDWR, 0755);
        write(fd, "#!/bin/true\n", 12);
        show("access", access(names[i], X_OK));
        show("execute", mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
        void *map = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
        show("read", map == MAP_FAILED ? -1 : 0);
        show("later", mprotect(map, 4096, PROT_READ | PROT_EXEC));
        close(fd);
    }
    chdir("b");
    show("access", access("x", X_OK));
    chdir("..");
    char line[500];
    for (FILE *file = fopen("/proc/self/mounts", "r"); fgets(line, sizeof line, file);)
        if (strstr(line, "/b ")) puts(strstr(line, "noexec") ? "told" : "not told");
    show("run", execl("b/x", "x", (char *)0));
}
"""


def test_nothing_in_a_mount_that_forbids_it_is_executed_mapped_so_or_said_to_be_executable(compile_guest, tmp_path):
    program = compile_guest("noexecmount", source=NOEXEC)
    done = run_guest(program, cwd=tmp_path, allow_write=[tmp_path], user="0:0")
    refused = ["access: EACCES", "execute: EPERM", "read: ok", "later: EACCES"]
    taken = ["access: ok", "execute: ok", "read: ok", "later: ok"]
    assert done.lines == [
        "tmpfs: ok",
        "bind: ok",
        "remount: ok",
        *refused,
        *refused,
        *taken,
        "access: EACCES",
        "told",
        "run: EACCES",
    ]
