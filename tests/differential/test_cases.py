"""Every case behaves as on the host, with maps and contents compared after each operation."""

from __future__ import annotations

import pytest

from .cases import CASES
from .compare import Run
from .host import reason_to_skip
from .operations import Op

pytestmark = pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())


@pytest.mark.parametrize("name", CASES)
def test_the_host_agrees(name: str) -> None:
    ops: list[Op] = [made for op in CASES[name] for made in (op, ("check",))]
    run = Run(ops)
    assert run.difference is None, str(run.difference)
    assert run.skipped == 0, "a case must not depend on what Linux leaves open"
