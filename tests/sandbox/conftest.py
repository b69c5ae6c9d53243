"""Sandboxes over the engine of the test, with times that no load makes too short."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from axptr import Sandbox


@pytest.fixture
def engine(engine_name: str) -> str:
    return "unicorn" if engine_name == "unicorn" else "auto"


@pytest.fixture
def make(engine: str) -> Iterator[Callable[..., Sandbox]]:
    """Makes sandboxes, and closes them."""
    made: list[Sandbox] = []

    def one(**options: Any) -> Sandbox:
        made.append(Sandbox(**{"engine": engine, **options}))
        return made[-1]

    yield one
    for sandbox in made:
        sandbox.close()


@pytest.fixture
def box(make: Callable[..., Sandbox]) -> Sandbox:
    return make()
