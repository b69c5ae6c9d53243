"""Tables of calls with odd arguments: each program of `guests/equal` prints here what it prints on the host."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import engines

from .conftest import GUESTS, run_guest, run_host

PROGRAMS = sorted(path.stem for path in (GUESTS / "equal").glob("*.c"))


FORKS = re.compile(r"fork\(\)|pthread_create")
SEVERAL = [name for name in PROGRAMS if FORKS.search((GUESTS / f"equal/{name}.c").read_text())]


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_line_is_the_hosts(name: str, compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    check(name, compile_guest, tmp_path)


@pytest.mark.skipif(engines.missing("native") is not None, reason="needs the native engine")
@pytest.mark.parametrize("name", SEVERAL)
def test_they_are_where_several_tasks_run_at_once(
    name: str, compile_guest: Callable[..., Path], tmp_path: Path
) -> None:
    check(name, compile_guest, tmp_path, engine="native", engine_jobs=2)


def check(name: str, compile_guest: Callable[..., Path], tmp_path: Path, **options: Any) -> None:
    program = compile_guest(f"equal/{name}", "-lm")
    directories = tmp_path / "host" / "work", tmp_path / "ours" / "work"  # beside which nothing of the test's lies
    for directory in directories:
        directory.mkdir(parents=True)
    host = run_host(program, cwd=directories[0])
    ours = run_guest(program, cwd=directories[1], allow_write=[directories[1]], **options)
    assert host.lines
    assert ours.lines == host.lines
    assert ours.status == host.status


@pytest.mark.parametrize("how", ["madvise(m, size, MADV_DONTNEED) || m[0] || m[size - 1]", "munmap(m, size)"])
@pytest.mark.parametrize("reserved", [96 << 20, 1 << 44])
def test_giving_much_memory_back_looks_at_the_clock_between_pieces(
    compile_guest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, how: str, reserved: int
) -> None:
    """As often as there are pages to give back, not as many as there could be."""
    from axptr.linux.mem import vma

    program = compile_guest(
        f"discards{reserved}{how[:2]}",
        source=f"""
        #include <sys/mman.h>
        #include <string.h>
        int main(void) {{
            unsigned long size = {reserved}UL, there = 96UL << 20;
            char *m = mmap(0, size, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (madvise(m + size - there, there, 23 /* MADV_POPULATE_WRITE */)) return 2;
            memset(m + size - there, 1, 100);
            return {how};
        }}
        """,
    )
    looks: list[object] = []
    breathe = vma.waiting.breathe
    monkeypatch.setattr(vma.waiting, "breathe", lambda task: looks.append(task) or breathe(task))
    given = vma.in_parts
    parts: list[tuple[int, int]] = []

    def watched(task: object, start: int, end: int) -> object:
        for part in given(task, start, end):  # type: ignore[arg-type]
            parts.append(part)
            yield part

    for module in ("advice", "memory"):
        monkeypatch.setattr(f"axptr.linux.calls.{module}.in_parts", watched)
    assert run_guest(program).status == 0
    assert 96 // 16 <= len(parts) <= 60
    assert reserved <= sum(size for _, size in parts) < reserved + (1 << 20)  # the loader gives some back, too
    assert len(looks) >= len(parts) - 1


def test_bringing_pages_of_a_file_in_memory_in_looks_at_the_clock_between_pieces(
    compile_guest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from axptr.linux.fs import inode

    program = compile_guest(
        "reserves",
        source="""
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <sys/mman.h>
        #include <unistd.h>
        int main(void) {
            int file = memfd_create("f", 0);
            return fallocate(file, 0, 0, 96L << 20) || lseek(file, 0, SEEK_HOLE);
        }
        """,
    )
    looks: list[object] = []
    breathe = inode.waiting.breathe
    monkeypatch.setattr(inode.waiting, "breathe", lambda task: looks.append(task) or breathe(task))
    assert run_guest(program).status == 0
    assert len(looks) >= 6
