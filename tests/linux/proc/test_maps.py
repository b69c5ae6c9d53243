"""/proc/self/maps: what Linux prints for the same mappings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from axptr.errors import LinuxError
from axptr.linux import Process, create_process

PAGE = 4096
AT = 0x10_0000_0000
SCRATCH = AT - (1 << 20)


@pytest.fixture
def process(tmp_path: Path):
    with create_process("/bin/true", allow_write=[str(tmp_path)]) as made:
        yield made


def call(process: Process, nr: int, *words: int) -> int:
    registers = [w % (1 << 64) for w in (*words, *[0] * (6 - len(words)))]
    try:
        return process.kernel._table[nr](process.task, *registers)
    except LinuxError as error:
        return -error.errno


def lines(process: Process) -> list[str]:
    """The file as a program reads it."""
    process.space.map_alloc(SCRATCH, 17 * PAGE, 11)
    process.space.write(SCRATCH, b"/proc/self/maps\0")
    fd = call(process, 2, SCRATCH, 0, 0)
    size = call(process, 0, fd, SCRATCH + PAGE, 16 * PAGE)
    call(process, 3, fd)
    text = process.space.read(SCRATCH + PAGE, size).decode()
    process.space.unmap(SCRATCH, 17 * PAGE)
    return text.splitlines()


def at(process: Process, start: int) -> str:
    return next(line for line in lines(process) if line.startswith(f"{start:08x}-"))


def test_heap_and_stack_are_named_by_where_they_are(process: Process) -> None:
    brk = process.task.mm.brk
    assert call(process, 12, brk + 3 * PAGE) == brk + 3 * PAGE
    heap = [line for line in lines(process) if line.endswith("[heap]")]
    assert len(heap) == 1
    assert heap[0].split()[1:5] == ["rw-p", "00000000", "00:00", "0"]
    start = int(heap[0].split("-")[0], 16)
    assert sum(line.endswith("[stack]") for line in lines(process)) == 1
    assert call(process, 25, start, PAGE, PAGE, 3, AT) == AT
    assert at(process, AT).split() == [f"{AT:08x}-{AT + PAGE:08x}", "rw-p", "00000000", "00:00", "0"]


def test_a_file_has_its_device_inode_and_the_name_it_has_now(process: Process, tmp_path: Path) -> None:
    path = tmp_path / "a file"
    path.write_bytes(bytes(3 * PAGE))
    process.space.map_alloc(AT, PAGE, 11)
    process.space.write(AT, os.fsencode(path) + b"\0")
    fd = call(process, 2, AT, os.O_RDWR, 0)
    assert call(process, 9, AT, 2 * PAGE, 1, 0x11, fd, PAGE) == AT
    status = path.stat()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    head = f"{AT:08x}-{AT + 2 * PAGE:08x} r--s 00001000 {device} {status.st_ino} "
    assert at(process, AT) == f"{head:<73}{path}"
    path = path.rename(tmp_path / "another")
    assert at(process, AT) == f"{head:<73}{path}"
    path.unlink()
    assert at(process, AT) == f"{head:<73}{path} (deleted)"


def test_shared_memory_is_a_deleted_file(process: Process) -> None:
    for n in (0, 1):
        assert call(process, 9, AT + n * PAGE, PAGE, 3, 0x31, -1, 0) == AT + n * PAGE
    first, second = (at(process, AT + n * PAGE).split(maxsplit=5) for n in (0, 1))
    assert first[1:4] == ["rw-s", "00000000", "00:01"]
    assert first[5] == "/dev/zero (deleted)"
    assert first[4] != second[4] != "0"


def test_the_host_prints_lines_like_ours(process: Process) -> None:
    theirs = Path("/proc/self/maps").read_text().splitlines()
    assert {len(line.split(" ")[0]) for line in theirs} >= {25}
    column = {line.index("/") for line in theirs if "/" in line}
    assert column == {line.index("/") for line in lines(process) if "/" in line}


def test_memory_locked_for_the_future_is_brought_in(process: Process) -> None:
    assert call(process, 151, 4) == -22
    assert call(process, 151, 2) == 0
    assert call(process, 9, AT, 4 * PAGE, 3, 0x32, -1, 0) == AT
    assert len(process.space.resident_pages(AT, 4 * PAGE)) == 4
    assert call(process, 28, AT, PAGE, 4) == -22
    assert call(process, 152) == 0
    assert call(process, 28, AT, PAGE, 4) == 0
    assert call(process, 9, AT, 4 * PAGE, 3, 0x32, -1, 0) == AT
    assert process.space.resident_pages(AT, 4 * PAGE) == []
