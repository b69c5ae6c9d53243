"""The memory that a row is tried in, and which rows are whose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from axptr import PAGE_SIZE, AddrSpace

from .table import AT, RO, TESTS, R, W


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The rows whose tests stand in a module are the cases of its `test_the_row_is_true`."""
    if "theirs" in metafunc.fixturenames:
        mine = [key for key, test in TESTS.items() if test.__module__ == metafunc.module.__name__]
        metafunc.parametrize(("section", "theirs"), mine, ids=map(": ".join, mine))


@pytest.fixture
def room(space: AddrSpace) -> AddrSpace:
    space.map_alloc(AT, 3 * PAGE_SIZE, R | W, name="data")
    space.map_alloc(RO, PAGE_SIZE, R, name="const")
    return space


@pytest.fixture(autouse=True)
def lets_go(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    request.node.funcargs.clear()  # pytest would keep the space beyond the count of frames
