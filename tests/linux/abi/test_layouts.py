"""Structures by architecture: against Linux' own headers, and through calls of a task of another architecture."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from ctypes import c_char
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from axptr import UserConstPtr
from axptr.engine.arch import ARCHITECTURES
from axptr.errors import LinuxError
from axptr.linux import create_process
from axptr.linux.abi.layouts import LAYOUTS
from axptr.linux.calls import epoll, files, ipcsem, signals, stat
from axptr.linux.fs import opening
from axptr.linux.proc import process
from axptr.linux.strace import decode
from axptr.linux.task import seccomp

FIELDS = [
    "dev", "ino", "nlink", "mode", "uid", "gid", "rdev", "size", "blksize", "blocks",
    "atime", "atime_nsec", "mtime", "mtime_nsec", "ctime", "ctime_nsec",
]  # fmt: skip
HEADERS = {"x86_64": ("asm/stat.h", "asm/sembuf.h"), "aarch64": ("asm-generic/stat.h", "asm-generic/sembuf.h")}
HEADERS["riscv64"] = HEADERS["aarch64"]
SOURCE = """
#include <linux/types.h>
#include <asm/ipcbuf.h>
#include <stddef.h>
#include <{}>
#include <{}>
#define SIZE(type, field) sizeof ((struct type *)0)->field
#define PLACE(type, field) __builtin_printf("%zu %zu\\n", offsetof(struct type, field), SIZE(type, field))
int main(void) {{
    {}
    PLACE(semid64_ds, sem_otime); PLACE(semid64_ds, sem_ctime); PLACE(semid64_ds, sem_nsems);
    __builtin_printf("%zu %zu %zu\\n", sizeof(struct stat), sizeof(struct semid64_ds), sizeof(struct ipc64_perm));
}}
"""


class Status:
    """A number of its own in each field."""

    def __init__(self) -> None:
        self.numbers = {f"st_{name}": 1001 + i for i, name in enumerate(FIELDS)}
        for name, number in self.numbers.items():
            setattr(self, name, number)
        for name in ("atime", "mtime", "ctime"):
            setattr(self, f"st_{name}_ns", self.numbers[f"st_{name}"] * 10**9 + self.numbers[f"st_{name}_nsec"])


@pytest.mark.parametrize("name", LAYOUTS)
def test_fields_lie_where_the_headers_say(name: str, tmp_path: Path) -> None:
    places = "\n".join(f"PLACE(stat, st_{field});" for field in FIELDS)
    (tmp_path / "places.c").write_text(SOURCE.format(*HEADERS[name], places))
    subprocess.run(["gcc", "-o", "places", "places.c"], cwd=tmp_path, check=True, capture_output=True)
    lines = subprocess.run([tmp_path / "places"], check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [tuple(map(int, line.split())) for line in lines]
    layouts, status = LAYOUTS[name], Status()
    raw = layouts.stat(status)  # type: ignore[arg-type]
    stat_size, semid_size, perm_size = rows[-1]
    assert len(raw) == stat_size
    for number, (at, size) in zip(status.numbers.values(), rows, strict=False):
        assert int.from_bytes(raw[at : at + size], "little") == number
    told = layouts.semaphores.pack(1001, 1002, 1003)
    assert len(told) == semid_size - perm_size
    for number, (at, size) in zip((1001, 1002, 1003), rows[len(FIELDS) :], strict=False):
        assert int.from_bytes(told[at - perm_size : at - perm_size + size], "little") == number


@pytest.fixture(params=LAYOUTS)
def task(request: pytest.FixtureRequest) -> Iterator[Any]:
    """One of that architecture, as far as calls can see, with a page of memory at 0x10000."""
    with create_process("/bin/true", ["true"]) as process:
        task: Any = process.task
        mine = task.engine
        task.space.map_alloc(0x10000, 4096, 3)
        task.engine = SimpleNamespace(arch=ARCHITECTURES[request.param], regs=mine.regs)
        yield task
        task.engine = mine


AT, AGAIN = SimpleNamespace(address=0x10000, is_null=False), SimpleNamespace(address=0x10100, is_null=False)
NONE = SimpleNamespace(address=0, is_null=True)
PATH = UserConstPtr[c_char](0x10000)


def test_a_call_writes_what_its_programs_architecture_reads(task: Any) -> None:
    call: Any = stat
    call.sys_fstat(task, 0, AT)
    wanted = task.layouts.stat(task.files.get(0).stat(task))
    assert task.space.read(0x10000, len(wanted)) == wanted
    assert task.space.read(0x10000 + len(wanted), 144 - len(wanted)) == bytes(144 - len(wanted))


def test_an_action_has_a_restorer_where_there_is_one(task: Any) -> None:
    call: Any = signals
    with_restorer = task.engine.arch.name != "riscv64"
    words = (0x4000, 0x0400_0004, 0x5000, 1 << 9) if with_restorer else (0x4000, 0x0400_0004, 1 << 9)
    raw = b"".join(word.to_bytes(8, "little") for word in words)
    task.space.write(0x10000, raw + b"\xff" * 8)
    task.space.write(0x10100, b"\xee" * 40)
    call.sys_rt_sigaction(task, 10, AT, NONE, 8)
    action = task.signals.actions.get(10)
    assert (action.handler, action.restorer, action.mask) == (0x4000, 0x5000 if with_restorer else 0, 1 << 9)
    call.sys_rt_sigaction(task, 10, NONE, AGAIN, 8)
    assert task.space.read(0x10100, 40) == raw.ljust(40, b"\xee")


def test_an_event_is_packed_on_x86_alone(task: Any) -> None:
    call: Any = epoll
    poll, event = call.sys_epoll_create1(task, 0), call.sys_eventfd(task, 1)
    at = 4 if task.engine.arch.name == "x86_64" else 8
    task.space.write(0x10000, (1).to_bytes(4, "little").ljust(at, b"\xee") + b"datadata" + b"\xff" * 8)
    call.sys_epoll_ctl(task, poll, 1, event, AT)
    task.space.write(0x10100, b"\xee" * 32)
    assert call._tell(task, task.files.get(poll), 0x10100, 1) == 1
    assert task.space.read(0x10100, 32) == (b"\1\0\0\0".ljust(at, b"\xee") + b"datadata").ljust(32, b"\xee")


def test_semaphores_are_described_so(task: Any) -> None:
    call: Any = ipcsem
    number = call.sys_semget(task, 0, 3, 0o600)
    task.space.write(0x10000, b"\xee" * 200)
    call.sys_semctl(task, number, 0, 2, 0x10000)
    size = 48 + task.layouts.semaphores.size
    raw = task.space.read(0x10000, 200)
    assert task.layouts.semaphores.unpack(raw[48:size])[2] == 3
    assert raw[size:] == b"\xee" * (200 - size)


ARM = {"O_DIRECTORY": 0o40000, "O_NOFOLLOW": 0o100000, "O_DIRECT": 0o200000, "O_LARGEFILE": 0o400000}
GENERIC = {"O_DIRECTORY": 0o200000, "O_NOFOLLOW": 0o400000, "O_DIRECT": 0o40000, "O_LARGEFILE": 0o100000}


def test_flags_of_open_are_those_of_the_programs_architecture(task: Any, tmp_path: Path) -> None:
    call: Any = opening
    its_files: Any = files
    its = ARM if task.engine.arch.name == "aarch64" else GENERIC
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dir").mkdir()

    def opened(name: str, *flags: str) -> int | None:
        task.space.write(0x10000, bytes(tmp_path / name) + b"\0")
        wanted = sum(its[flag] for flag in flags)
        try:
            fd: int | None = call.sys_openat(task, -100, PATH, wanted, 0)
        except LinuxError as error:
            return -error.errno
        return fd

    assert opened("file", "O_DIRECTORY") == -errno.ENOTDIR
    assert opened("link", "O_NOFOLLOW") == -errno.ELOOP
    fd = opened("dir", "O_DIRECTORY", "O_NOFOLLOW", "O_LARGEFILE")
    assert fd is not None
    assert fd >= 0
    told = its["O_DIRECTORY"] | its["O_NOFOLLOW"] | its["O_LARGEFILE"]
    assert its_files.sys_fcntl(task, fd, 3, 0) & sum(its.values()) == told
    assert f"flags:\t0{told:o}\n".encode() in process.fdinfo(task, fd, task.files.get(fd))
    how = (its["O_DIRECTORY"] | os.O_CREAT).to_bytes(8, "little") + bytes(16)
    task.space.write(0x10100, how)
    with pytest.raises(LinuxError, match="22"):
        call.sys_openat2(task, -100, PATH, AGAIN, 24)
    its_files.sys_pipe2(task, AT, its["O_DIRECT"])
    writer = int.from_bytes(task.space.read(0x10004, 4), "little")
    assert task.files.get(writer).flags & os.O_DIRECT
    assert its_files.sys_fcntl(task, writer, 3, 0) == os.O_WRONLY | its["O_DIRECT"]
    its_files.sys_fcntl(task, writer, 4, 0)
    assert not task.files.get(writer).flags & os.O_DIRECT
    its_files.sys_fcntl(task, writer, 4, its["O_DIRECT"])
    assert task.files.get(writer).flags & os.O_DIRECT
    trace = decode.Call(task, (), None)
    assert decode.open_flags(trace, told) == "O_RDONLY|O_LARGEFILE|O_NOFOLLOW|O_DIRECTORY"
    assert decode.pipe_flags(trace, its["O_DIRECT"]) == "O_DIRECT"


def test_a_filter_of_calls_sees_the_programs_architecture(task: Any) -> None:
    tell = ((0x20, 0, 0, 4), (0x16, 0, 0, 0))  # A = data.arch; return A
    audit = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}[task.engine.arch.name]
    assert task.layouts.audit == audit
    assert seccomp.verdict((seccomp.Filter(tell),), task.layouts.audit, 1, 0, (0,) * 6)[0] == audit
