"""Machines: two of them in two threads give what each gives alone."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from axptr.linux import create_process

from .conftest import ENVIRONMENT

ROUNDS = 6


def run_with_pipe(words: Sequence[str | Path], root: Path) -> tuple[int, bytes]:
    """Status and what came out of a pipe, drained by a thread."""
    reader, writer = os.pipe()
    got = bytearray()

    def drain() -> None:
        while block := os.read(reader, 1 << 16):
            got.extend(block)

    drainer = threading.Thread(target=drain)
    drainer.start()
    null = os.open("/dev/null", os.O_RDWR)
    try:
        args = [os.fspath(word) for word in words]
        with create_process(
            args[0], args, ENVIRONMENT, cwd=root, allow_write=[root], stdio=(null, writer, null)
        ) as process:
            result = process.run(timeout=100)
    finally:
        os.close(writer)
        drainer.join()
        os.close(reader)
        os.close(null)
    return result.status, bytes(got)


@pytest.fixture
def programs(compile_guest, tmp_path):
    """Programs by name for a side: each copies, hashes or lists that side's own bytes."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox-static")
    holes = compile_guest("holes")

    def of(side: str) -> list[tuple[list[str | Path], Path]]:
        root = tmp_path / side
        root.mkdir(exist_ok=True)
        big = root / "big"
        big.write_bytes(side.encode() * (3 << 20))
        return [
            (["/bin/cat", big], root),
            ([holes, big], root),
            ([busybox, "sh", "-c", f"while read -r n; do echo {side} $n; done < names; pwd; echo *"], root),
            ([busybox, "md5sum", big], root),
            ([busybox, "cp", big, root / "copied"], root),
            ([busybox, "head", "-c", "300000", big], root),
            ([busybox, "ls", root], root),
            ([busybox, "dd", f"if={big}", "bs=70001", "count=20"], root),
        ]

    for side in "AB":
        (tmp_path / side).mkdir()
        (tmp_path / side / "names").write_text("".join(f"{side}{i}\n" for i in range(50)))
        (tmp_path / side / "copied").write_bytes(side.encode() * (3 << 20))
    return of


def test_two_machines_in_two_threads_give_what_each_gives_alone(programs):
    sides = {side: programs(side) for side in "AB"}
    alone = {side: [run_with_pipe(words, root) for words, root in sides[side]] for side in "AB"}
    assert all(status == 0 for side in "AB" for status, _ in alone[side])
    wrong: list[object] = []

    def repeat(side: str, first: int) -> None:
        count = len(sides[side])
        for i in range(first, first + ROUNDS * count):
            words, root = sides[side][i % count]
            found = run_with_pipe(words, root)
            if found != alone[side][i % count]:
                wrong.append((side, words, found[0], len(found[1]), found[1][:200]))

    threads = [threading.Thread(target=repeat, args=(side, i * 3)) for i, side in enumerate("AB")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
