from collections.abc import Callable, Sequence
from typing import Any

def bound(
    handler: Callable[..., int | None], arguments: Sequence[tuple[int, bool, Callable[[int], Any] | None]]
) -> Callable[[Any, int, int, int, int, int, int], int | None]: ...
