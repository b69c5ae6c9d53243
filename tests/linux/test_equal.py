"""Tables of calls with odd arguments: each program of `guests/equal` prints here what it prints on the host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import GUESTS, run_guest, run_host

PROGRAMS = sorted(path.stem for path in (GUESTS / "equal").glob("*.c"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_line_is_the_hosts(name: str, compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    program = compile_guest(f"equal/{name}", "-lm")
    directories = tmp_path / "host" / "work", tmp_path / "ours" / "work"  # beside which nothing of the test's lies
    for directory in directories:
        directory.mkdir(parents=True)
    host = run_host(program, cwd=directories[0])
    ours = run_guest(program, cwd=directories[1], allow_write=[directories[1]])
    assert ours.lines == host.lines
    assert ours.status == host.status


def test_giving_much_memory_back_looks_at_the_clock_between_pieces(
    compile_guest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from axptr.linux.calls import advice

    program = compile_guest(
        "discards",
        source="""
        #include <sys/mman.h>
        #include <string.h>
        int main(void) {
            unsigned long size = 96UL << 20;
            char *m = mmap(0, size, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
            memset(m, 1, size);
            return madvise(m, size, MADV_DONTNEED) || m[0] || m[size - 1];
        }
        """,
    )
    looks = []
    breathe = advice.waiting.breathe
    monkeypatch.setattr(advice.waiting, "breathe", lambda task: looks.append(task) or breathe(task))
    assert run_guest(program).status == 0
    assert len(looks) >= 96 // 16
