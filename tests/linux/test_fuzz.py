"""Any call with any arguments gives a number or a LinuxError: nothing a guest passes raises anything else."""

from __future__ import annotations

import os
import random
import time

import pytest

from axptr.errors import LinuxError
from axptr.linux import create_process
from axptr.linux.personality import TABLE
from axptr.linux.waiting import TimeUp

SCRATCH = 0x1000_0000
ENDING = {15, 59, 60, 231, 322}  # sigreturn, execve, exit, exit_group, execveat
STRINGS = [
    b"/",
    b"/etc/passwd",
    b"/dev/null",
    b"/proc/self/maps",
    b"x",
    b"",
    b"..",
    b"/nope/x",
    b"\xff\xfe",
    b"a" * 300,
]


def interesting(rng: random.Random, buffers: list[int]) -> int:
    choice = rng.random()
    if choice < 0.35:
        return rng.choice(buffers) + rng.choice([0, 0, 0, 1, 7])
    if choice < 0.75:
        return rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 24, 32, 77, 100, 128, 4095, 4096, 8192])
    if choice < 0.9:
        near = rng.choice([0, 1 << 12, 1 << 31, 1 << 32, 1 << 47, 0x7FFF_FFFF_F000, 1 << 48, 1 << 62, 1 << 63, 1 << 64])
        return (near + rng.randint(-9, 9)) % (1 << 64)
    return rng.getrandbits(rng.choice([8, 16, 32, 64]))


@pytest.mark.parametrize("seed", range(4))
def test_random_calls_raise_nothing_but_linux_errors(seed):
    rng = random.Random(seed)
    reader, writer = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    file = os.open("/etc/passwd", os.O_RDONLY)
    numbers = sorted(set(TABLE) - ENDING)
    with create_process("/bin/true", stdio=(file, writer, null), memory_limit=64 << 20) as process:
        task, kernel = process.task, process.kernel
        task.kernel = kernel
        for name in (b"/etc/passwd", b"/dev/zero", b"/proc/self/status", b"/etc", b"/dev"):
            kernel.syscalls[257].handler(task, -100, _string(task, name), 0, 0)
        for i in range(4000):
            if i % 200 == 0:
                buffers = _buffers(task)
            nr = rng.choice(numbers)
            registers = [interesting(rng, buffers) for _ in range(6)]
            task.deadline = time.monotonic()  # whatever waits gives up at once
            try:
                result = kernel._table[nr](task, *registers)
            except (LinuxError, TimeUp):
                continue
            except BaseException as error:
                error.add_note(f"in {kernel.name_of(nr)}({', '.join(map(hex, registers))})")
                raise
            assert result is None or -4096 < result < 1 << 64, (kernel.name_of(nr), registers)
        task.space._check()
    for fd in (reader, writer, null, file):
        os.close(fd)


def _buffers(task) -> list[int]:
    """A page of zeroes, one of ones, one of random bytes, strings, one to read only, one without access, a hole."""
    from axptr.flags import MappingFlags as F

    space, at = task.space, SCRATCH
    space.map_alloc(at, 8 * 4096, F.READ | F.WRITE, replace=True)
    space.write(at + 4096, b"\xff" * 4096)
    space.write(at + 2 * 4096, os.urandom(4096))
    strings = []
    for i, text in enumerate(STRINGS):
        strings.append(at + 3 * 4096 + 400 * i)
        space.write(strings[-1], text + b"\0")
    space.protect(at + 5 * 4096, 4096, F.READ)
    space.protect(at + 6 * 4096, 4096, F(0))
    space.unmap(at + 8 * 4096, 4096)
    return [*strings, *(at + page * 4096 for page in range(9)), at + 8 * 4096 - 5, at + 3 * 4096 - 8]


def _string(task, text: bytes):
    from axptr.flags import MappingFlags as F
    from axptr.linux.uaccess import ConstBytes

    task.space.map_alloc(SCRATCH, 4096, F.READ | F.WRITE, replace=True)
    task.space.write(SCRATCH, text + b"\0")
    return ConstBytes(SCRATCH)
