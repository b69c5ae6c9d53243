"""Random short pieces of code leave what they leave on the host's CPU: `tests.oracle`, with fixed seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from .compare import build, differences, is_misaligned
from .generate import GROUPS, pieces


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("oracle"))


def compare(harness: Path, group: str, seed: int, count: int) -> None:
    for piece, found in differences(harness, pieces(group, seed, count)):
        if group != "integer" and is_misaligned(found):
            continue
        raise AssertionError(f"{piece.code.hex()} with seed {piece.seed:#x}: {found}")


@pytest.mark.parametrize("group", GROUPS)
def test_random_code_leaves_what_it_leaves_on_the_host(harness: Path, group: str) -> None:
    compare(harness, group, 1, 1500)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
@pytest.mark.parametrize("group", GROUPS)
def test_much_random_code_leaves_what_it_leaves_on_the_host(harness: Path, group: str, seed: int) -> None:
    compare(harness, group, seed, 5000)
