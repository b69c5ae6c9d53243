"""A short run of random sequences; the long one is `python -m tests.differential`. And: differences are found."""

from __future__ import annotations

import pytest

from axptr.errors import LinuxError
from axptr.linux.mem import vma

from . import ours
from .compare import Run, shrink
from .host import reason_to_skip
from .operations import Generator, Op, P, encode, literal

pytestmark = pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())


@pytest.mark.parametrize("seed", range(8))
def test_random_sequences_give_what_the_host_gives(seed: int) -> None:
    ops = Generator(seed).sequence(1000)
    run = Run(ops)
    if run.difference is not None:
        small, difference = shrink(ops, run.difference)
        pytest.fail(f"{difference}\nadd to cases.py:\n{literal(small)}")
    assert run.skipped < 50


def test_the_same_seed_gives_the_same_sequence() -> None:
    assert Generator(3).sequence(300) == Generator(3).sequence(300)
    assert Generator(3).sequence(300) != Generator(4).sequence(300)


def test_what_is_printed_is_the_sequence_again() -> None:
    ops = Generator(5).sequence(300)
    assert eval(literal(ops), {"P": P}) == ops
    assert all(len(encode(op, 0x1000)) == 80 for op in ops)


@pytest.mark.parametrize("what", ["result", "contents", "maps"])
def test_a_wrong_answer_is_found_and_shrunk(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(task: object, nr: int, *words: int) -> int:
        if nr == 11 and what == "result":
            return -22
        result = right(task, nr, *words)
        if nr == 10 and result == 0 and words[2] == 1 and what == "maps":
            right(task, nr, words[0], words[1], 3)
        if nr == 28 and result == 0 and words[2] == 4 and what == "contents":
            ours.Bytes(words[0]).write_slice(task, b"!")
        return result

    def right(task: object, nr: int, *words: int) -> int:
        try:
            return kernel._table[nr](task, *words, *[0] * (6 - len(words)))
        except LinuxError as error:
            return -error.errno

    kernel = ours.LinuxKernel()
    monkeypatch.setattr(ours.LinuxKernel, "dispatcher", lambda self, task: lambda nr, *words: wrong(task, nr, *words))
    ops: list[Op] = [
        ("mmap", P(0), 4 * vma.PAGE, 3, 0x32, -1, 0, 0),
        ("store", P(1), 1, 1),
        ("munmap", P(3), vma.PAGE),
        ("mprotect", P(2), vma.PAGE, 1),
        ("madvise", P(0), vma.PAGE, 4),
        ("check",),
    ]
    found = Run(ops).difference
    assert found is not None
    small, again = shrink(ops, found)
    assert again is not None
    assert len(small) < len(ops) - 1
