"""Every call that is served can be traced, whatever stands in its registers and however it ends."""

from __future__ import annotations

import errno
import itertools
from ctypes import c_char, c_int
from typing import Any

import pytest

from axptr import AddrSpace, Kernel, LinuxError, MappingFlags, Task, UserConstPtr, UserPtr
from axptr._core.phys.phys import PhysMemory
from axptr.cli.strace import Tracer
from axptr.kernel.kernel import Syscall
from axptr.linux.personality import LinuxKernel
from axptr.linux.registry import table

R, W = MappingFlags.READ, MappingFlags.WRITE
TABLE = table("x86_64")
PAGE = 0x10_0000
GARBAGE = bytes(range(256)) * 16
HOSTILE = {
    "NULL": 0,
    "one": 1,
    "unmapped": 0x5000,
    "kernel": 0xFFFF_8000_0000_0000,
    "the last byte": (1 << 64) - 1,
    "the last word": (1 << 64) - 8,
    "negative int": 0xFFFF_FF9C,
    "mapped zeroes": PAGE,
    "mapped garbage": PAGE + 4096,
    "misaligned garbage": PAGE + 4097,
    "ones": PAGE + 2 * 4096,
    "without access": PAGE + 3 * 4096,
    "before a hole": PAGE + 4 * 4096 - 3,
    "huge": 1 << 62,
    "sign bit": 1 << 63,
}
OUTCOMES: tuple[int | LinuxError | None, ...] = (
    *(None, 0, 1, 1 << 31, (1 << 63) - 1, -errno.ENOENT, -4096),
    *(LinuxError(errno.EFAULT), LinuxError(524), LinuxError(errno.EINVAL, "a text of its own")),
)


@pytest.fixture(scope="module")
def task():
    space = AddrSpace(0, 1 << 47, PhysMemory(1 << 26))
    space.map_alloc(PAGE, 4 * 4096, R | W)
    space.write(PAGE + 4096, GARBAGE)
    space.write(PAGE + 2 * 4096, b"\xff" * 4096)
    space.protect(PAGE + 3 * 4096, 4096, MappingFlags(0))
    made = Task(space)
    made.kernel = LinuxKernel()
    yield made
    space.clear()


def traced(task: Task, syscall: Syscall, registers: tuple[int, ...], outcome: int | LinuxError | None) -> str:
    written: list[str] = []
    tracer = Tracer(written.append)
    arguments = syscall.convert(*registers)
    tracer.enter(task, syscall, arguments)
    tracer.leave(task, syscall, arguments, outcome)
    (line,) = written
    return line


def registers_of(value: int) -> list[tuple[int, ...]]:
    """The value everywhere, and in each register among counts that make the others' buffers be shown."""
    return [(value,) * 6] + [
        tuple(value if i == place else count for i in range(6)) for place in range(6) for count in (0, 8, PAGE + 4096)
    ]


@pytest.mark.parametrize("nr", sorted(TABLE), ids=lambda nr: TABLE[nr].name)
def test_every_call_is_traced_in_one_line_with_hostile_arguments(task, nr):
    syscall = TABLE[nr]
    outcomes = itertools.cycle(OUTCOMES)
    for name, value in HOSTILE.items():
        for registers in registers_of(value):
            outcome = next(outcomes)
            line = traced(task, syscall, registers, outcome)
            assert line.startswith(f"{syscall.name}("), (name, registers)
            assert line.endswith("\n"), (name, registers)
            assert line.count("\n") == 1, (name, registers)
            assert line.isascii(), (name, registers)


def test_text_is_shown_where_a_name_is_meant_and_an_address_where_a_structure_is(task):
    task.space.write(PAGE, b"abc\0")
    shown = {TABLE[nr].name: traced(task, TABLE[nr], (PAGE,) * 6, 0) for nr in (161, 27, 99, 188)}
    task.space.write(PAGE, bytes(4))
    assert shown["chroot"].startswith('chroot("abc")')
    assert shown["mincore"].startswith(f"mincore({PAGE:#x}, ")
    assert shown["sysinfo"].startswith(f"sysinfo({PAGE:#x}")
    assert shown["setxattr"].startswith('setxattr("abc", "abc", "abc\\0')


def test_calls_of_other_kernels_are_traced_though_they_take_fewer_arguments_than_linux(task):
    kernel = Kernel()

    @kernel.syscall(1000, "readv")
    def sys_readv(task: Any, fd: c_int, vec: UserPtr[c_char]) -> int:
        return 0

    @kernel.syscall(1001, "openat")
    def sys_openat(task: Any, name: UserConstPtr[c_char]) -> int:
        return 0

    for value in HOSTILE.values():
        for nr in (1000, 1001):
            assert traced(task, kernel.syscalls[nr], (value,) * 6, 3).endswith("= 3\n")


def test_unknown_calls_are_traced_with_hostile_registers(task):
    for nr in (56, 165, 999):
        syscall = Syscall(nr, f"syscall_{nr}", lambda task: 0)
        for value in HOSTILE.values():
            written: list[str] = []
            tracer = Tracer(written.append)
            tracer.leave(task, syscall, (value,) * 6, LinuxError(errno.ENOSYS))
            assert written[0].endswith("= -1 ENOSYS (Function not implemented)\n")
