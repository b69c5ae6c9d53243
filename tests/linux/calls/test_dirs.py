"""Directories read: sizes of the buffer, positions, what is no directory, entries as the host packs them."""

from __future__ import annotations

import os
from pathlib import Path

from ..caller import AT_FDCWD, BAD, READ_ONLY, Script

O_PATH = 0o10000000


def tree(root: Path) -> None:
    (root / "dir").mkdir()
    (root / "file").write_text("x")
    (root / "one").mkdir()
    (root / "one" / "a-name-of-some-length").write_text("")
    os.mkfifo(root / "fifo")


def test_what_is_no_directory_and_buffers_of_no_use(answers) -> None:
    script = Script()
    room = script.room(512)
    for name, flags in (("one", 0), ("one", O_PATH), ("file", 0), ("fifo", os.O_RDWR), ("/dev/null", 0)):
        script.call("openat", AT_FDCWD, script.text(name), flags)
    for fd in (4, 5, 6, 7, -1, 99):
        script.call("getdents64", fd, room, 512)
    for size in (0, 1, 19, 20, 23):
        script.call("getdents64", 3, room, size)
    for bad in (*BAD, READ_ONLY):
        script.call("getdents64", 3, bad, 512)
    got = answers(script, tree)
    assert {answer.error for answer in got} == {"", "EBADF", "ENOTDIR", "EINVAL", "EFAULT"}


def test_a_directory_that_is_gone_has_no_entries(answers) -> None:
    script = Script()
    room = script.room(512)
    script.call("openat", AT_FDCWD, script.text("dir"), 0)
    script.call("rmdir", script.text("dir"))
    script.call("getdents64", 3, room, 512)
    got = answers(script, tree)
    assert got[-1].error == "ENOENT"


def test_every_entry_comes_once_whatever_the_buffer(compile_guest, tmp_path: Path) -> None:
    """Name, type, record length, order of positions; and again from each position."""
    from ..conftest import run_guest, run_host

    source = """
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
struct entry { unsigned long ino, off; unsigned short len; unsigned char type; char name[]; };
int main(int argc, char **argv) {
    int fd = open(argv[1], O_RDONLY | O_DIRECTORY), size = atoi(argv[2]);
    long got, last = 0;
    char *buffer = malloc(size);
    long places[4096];
    int count = 0;
    while ((got = syscall(SYS_getdents64, fd, buffer, size)) > 0)
        for (long at = 0; at < got;) {
            struct entry *e = (void *)(buffer + at);
            printf("%s type %d length %d\\n", e->name, e->type, e->len);
            at += e->len;
            places[count++] = e->off;
        }
    printf("end %ld\\n", got);
    lseek(fd, places[0], SEEK_SET);
    got = syscall(SYS_getdents64, fd, buffer, size);
    printf("second %s\\n", got > 0 ? ((struct entry *)buffer)->name : "none");
    lseek(fd, 0, SEEK_SET);
    got = syscall(SYS_getdents64, fd, buffer, size);
    printf("first %s\\n", got > 0 ? ((struct entry *)buffer)->name : "none");
    return 0;
}
"""
    program = compile_guest("entries", "-static", source=source.replace("\\\\n", "\\n"))
    root = tmp_path / "many"
    root.mkdir()
    for number in range(300):
        (root / f"{'n' * (number % 40)}{number}").write_text("")
    (root / "link").symlink_to("x")
    (root / "sub").mkdir()
    os.mkfifo(root / "fifo")
    for size in (80, 300, 32768):
        host, ours = run_host(program, root, str(size)), run_guest(program, root, str(size))
        assert ours.lines == host.lines
        assert len(host.lines) == 300 + 3 + 2 + 3
