"""Which tests of pointers run over each page-table format: those of a module that says `EVERY_FORMAT = True`.

A pointer meets a format in one place only, where an address is resolved for an access; so `test_pointer`, which reads,
writes and is refused in every way, runs over all of them, and what pointers do besides runs over x86-64. Spaces and
tables run over all formats in `tests/mm` and `tests/core`.
"""

from __future__ import annotations

import pytest

from formats import FORMATS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fmt" in metafunc.fixturenames and getattr(metafunc.module, "EVERY_FORMAT", False):
        metafunc.parametrize("fmt", FORMATS, ids=str)
