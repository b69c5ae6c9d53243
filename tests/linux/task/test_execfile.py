"""Which file exec opens: by name, by descriptor, by `#!` line, always in the guest's own tree. The host is right."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux import ProgramError, create_process

from ..conftest import run_guest, run_host

SHOW = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
int main(int argc, char **argv) {
    char name[17] = {0};
    prctl(PR_GET_NAME, name);
    printf("execfn %s comm %s argc %d\n", (char *)getauxval(AT_EXECFN), name, argc);
    for (int i = 0; i < argc; i++) printf("[%s]\n", argv[i]);
    return 0;
}
"""

BY_DESCRIPTOR = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
extern char **environ;
/* argv: way, directory, name */
int main(int argc, char **argv) {
    char *args[] = {"zero", "one", 0}, full[4096];
    int dir = open(argv[2], O_RDONLY | O_DIRECTORY), flags = 0, kept = 0;
    const char *path = argv[3];
    sprintf(full, "%s/%s", argv[2], argv[3]);
    if (strstr(argv[1], "kept")) kept = 1;
    int how = (strstr(argv[1], "place") ? O_PATH : O_RDONLY) | (kept ? 0 : O_CLOEXEC);
    if (strstr(argv[1], "empty")) dir = open(full, how), path = "", flags = AT_EMPTY_PATH;
    else if (!kept) fcntl(dir, F_SETFD, FD_CLOEXEC);
    if (strstr(argv[1], "nofollow")) flags |= AT_SYMLINK_NOFOLLOW;
    if (strstr(argv[1], "check")) flags |= 0x10000;
    if (strstr(argv[1], "bad")) flags |= 0x8;
    if (strstr(argv[1], "absolute")) path = full;
    if (strstr(argv[1], "cwd")) dir = AT_FDCWD, chdir(argv[2]);
    long r = syscall(SYS_execveat, dir, path, args, environ, flags);
    printf("%ld %s\n", r, r < 0 ? strerrorname_np(errno) : "-");
    return 0;
}
"""


@pytest.fixture(scope="session")
def show(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("show", "-static", source=SHOW)


@pytest.fixture(scope="session")
def by_descriptor(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("bydescriptor", "-static", source=BY_DESCRIPTOR)


@pytest.fixture
def programs(tmp_path: Path, show: Path) -> Path:
    """A program, a link to it, a script, a directory, a file that may not be run."""
    root = tmp_path / "programs"
    (root / "sub").mkdir(parents=True)
    shutil.copy(show, root / "prog")
    (root / "link").symlink_to("prog")
    script(root / "script", f"#!{root}/prog word\n".encode())
    (root / "plain").write_text("x")
    return root


def script(path: Path, head: bytes) -> Path:
    path.write_bytes(head)
    path.chmod(0o755)
    return path


WAYS = ["at", "kept at", "empty", "kept empty", "empty place", "kept empty place", "cwd", "absolute", "nofollow",
        "check", "check empty", "bad", "empty nofollow"]  # fmt: skip


@pytest.mark.parametrize("name", ["prog", "link", "script", "sub", "plain", "missing", "plain/x"])
def test_execveat_gives_what_it_gives_on_the_host(programs: Path, by_descriptor: Path, name: str) -> None:
    for way in WAYS:
        host, ours = run_host(by_descriptor, way, programs, name), run_guest(by_descriptor, way, programs, name)
        assert (way, ours.stdout, ours.status) == (way, host.stdout, host.status)


def script_heads(interpreter: bytes) -> list[bytes]:
    """First lines of all sorts around the 256 bytes that Linux reads."""
    rng = random.Random(5)
    heads = [
        b"#!" + interpreter,
        b"#!" + interpreter + b" ",
        b"#!" + interpreter + b" \n",
        b"#! \t" + interpreter + b"\ta  b \t\nrest",
        b"#!" + interpreter + b"\0 arg\n",
        b"#!" + interpreter + b" a\0b\n",
        b"#!" + interpreter + b"\n\0",
        b"#!" + interpreter + b"\r\n",
        b"#!",
        b"#!\n",
        b"#! \t\n",
        b"#!" + b" " * 300,
        b"#!\0" + interpreter + b"\n",
        b"#" + interpreter,
    ]
    for size in (254, 255, 256, 257):
        rest = size - 2 - len(interpreter)
        heads.append(b"#!" + interpreter + b" " + b"x" * (rest - 1))
        heads.append(b"#!" + interpreter + b" " + b"x" * (rest - 2) + b"\n")
        heads.append(b"#!" + interpreter + b" " * rest)
        heads.append(b"#!" + interpreter + b" " * (rest - 1) + b"\n")
        heads.append(b"#!" + b"/" * rest + interpreter)
        heads.append(b"#!" + b"/" * (rest - 1) + interpreter + b" ")
        heads.append(b"#!" + b"/" * (rest - 1) + interpreter + b"\n")
        heads.append(b"#!" + b" " * rest + interpreter)
    for _ in range(6):
        heads.append(b"#!" + interpreter + bytes(rng.choice(b" \t\0\nab") for _ in range(rng.randrange(12))))
    return heads


def test_a_first_line_is_read_as_linux_reads_it(show: Path, by_descriptor: Path, tmp_path: Path) -> None:
    interpreter = tmp_path / "i"
    shutil.copy(show, interpreter)
    different = []
    for head in script_heads(os.fsencode(interpreter)):
        script(tmp_path / "s", head)
        host = run_host(by_descriptor, "cwd", tmp_path, "s")
        ours = run_guest(by_descriptor, "cwd", tmp_path, "s")
        if (ours.stdout, ours.status) != (host.stdout, host.status):
            different.append((head, host, ours))
    assert different == []


@pytest.mark.parametrize("depth", [1, 4, 5, 6])
def test_scripts_nest_as_deep_as_on_the_host(show: Path, by_descriptor: Path, tmp_path: Path, depth: int) -> None:
    name = show
    for i in range(depth):
        name = script(tmp_path / f"s{i}", b"#!%s %d\n" % (os.fsencode(name), i))
    host = run_host(by_descriptor, "cwd", tmp_path, name.name)
    ours = run_guest(by_descriptor, "cwd", tmp_path, name.name)
    assert (ours.stdout, ours.status) == (host.stdout, host.status)
    assert (b"ELOOP" in host.stdout) == (depth == 6)


def test_an_interpreter_is_found_in_the_tree_of_the_program(by_descriptor: Path, tmp_path: Path) -> None:
    """`/proc/self/exe` is what runs the script, not what runs axptr; nothing else of the host's /proc is there."""
    for line in (b"/proc/self/exe", b"/proc/thread-self/exe", b"/proc/self/root%s" % os.fsencode(by_descriptor)):
        script(tmp_path / "s", b"#!" + line + b" bad\n")
        host = run_host(by_descriptor, "cwd", tmp_path, "s")
        ours = run_guest(by_descriptor, "cwd", tmp_path, "s")
        assert (ours.stdout, ours.status) == (host.stdout, host.status)
    script(tmp_path / "s", b"#!/proc/%d/exe -V\n" % os.getppid())
    assert run_guest(by_descriptor, "cwd", tmp_path, "s").lines == ["-1 ENOENT"]
    script(tmp_path / "s", b"#!/proc/self/exe -V\n")
    with pytest.raises(ProgramError):  # there is no program yet that it could be
        create_process(tmp_path / "s")


def test_an_interpreter_that_is_relative_is_found_from_where_the_program_is(
    show: Path, by_descriptor: Path, tmp_path: Path
) -> None:
    shutil.copy(show, tmp_path / "here")
    script(tmp_path / "s", b"#!here\n")
    host, ours = run_host(by_descriptor, "cwd", tmp_path, "s"), run_guest(by_descriptor, "cwd", tmp_path, "s")
    assert ours.stdout == host.stdout
    assert b"[here]" in ours.stdout
