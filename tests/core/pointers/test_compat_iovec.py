"""IoVec.read of a 32-bit program's array against what the host makes of one: a real i386 process calls writev.

The process takes a count and the bytes of an array from its input, puts these at the end of its last page and writes
the segments to /dev/null, which counts and touches nothing: what comes back is what the kernel made of the array.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import ILP32, PAGE_SIZE, AddrSpace, IoVec, LinuxError, MappingFlags, PhysMemory

PROGRAM = r"""
static int call(int n, int a, int b, int c) {
    int r;
    __asm__ volatile("int $0x80" : "=a"(r) : "0"(n), "b"(a), "c"(b), "d"(c) : "memory");
    return r;
}
static char page[2][4096] __attribute__((aligned(4096)));
static struct { int count; unsigned size; } head;
void _start(void) {
    int null = call(5, (int)"/dev/null", 1, 0);
    call(91, (int)page[1], 4096, 0);
    while (call(3, 0, (int)&head, 8) == 8) {
        char *array = page[1] - head.size;
        for (unsigned got = 0; got < head.size;) got += call(3, 0, (int)array + got, head.size - got);
        int done = call(146, null, (int)array, head.count);
        call(4, 1, (int)&done, 4);
    }
    call(1, 0, 0, 0);
}
"""
BASE = 0x100000
TASK_SIZE_MAX = (1 << 47) - PAGE_SIZE  # what access_ok goes by, for 32-bit programs too


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    place: Path = tmp_path_factory.mktemp("compat")
    (place / "writev.c").write_text(PROGRAM)
    command = ["gcc", "-m32", "-O1", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-fomit-frame-pointer"]
    built = subprocess.run(
        [*command, "writev.c", "-o", "writev"], cwd=place, capture_output=True, text=True, timeout=60
    )
    if built.returncode:
        pytest.skip("needs a gcc that links for i386")
    try:
        running = subprocess.Popen([place / "writev"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError:
        pytest.skip("needs a kernel that runs i386 programs")
    with running:
        yield running
        running.stdin.close()  # type: ignore[union-attr]


SIZES = st.one_of(
    st.integers(0, 100),
    st.sampled_from([0x7FFF_EFFF, 0x7FFF_F000, 0x7FFF_F001, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 30]),
    st.integers(0, 0xFFFF_FFFF),
)
ENTRIES = st.lists(st.tuples(st.integers(0, 0xFFFF_FFFF), SIZES), max_size=6)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=ENTRIES, more=st.sampled_from([0, 0, 0, 1, 3, 1024, 1 << 31]), cut=st.integers(0, 7))
def test_an_array_is_judged_as_the_host_judges_a_32_bit_programs(
    phys: PhysMemory, process: Any, entries: list[tuple[int, int]], more: int, cut: int
) -> None:
    array = b"".join(struct.pack("<II", *entry) for entry in entries)
    array = array[: len(array) - cut] if more else array
    count = len(entries) + more
    process.stdin.write(struct.pack("<II", count % (1 << 32), len(array)) + array)
    process.stdin.flush()
    want = struct.unpack("<i", process.stdout.read(4))[0]
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.model = ILP32
    space.map_alloc(BASE, PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    at = BASE + PAGE_SIZE - len(array)
    space.write(at, array)
    try:
        found = IoVec.read(space, at, count, end=TASK_SIZE_MAX).total
    except LinuxError as error:
        found = -error.errno
    assert found == want, (entries, count, len(array))
