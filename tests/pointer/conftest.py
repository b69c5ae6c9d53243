"""Every test of pointers that asks for `space` runs once over each page-table format."""

from __future__ import annotations

import pytest

from axptr import PagingFormat
from formats import FORMATS


@pytest.fixture(params=FORMATS, ids=str)
def fmt(request: pytest.FixtureRequest) -> PagingFormat:
    return request.param  # type: ignore[no-any-return]
