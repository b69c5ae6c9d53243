from collections.abc import Callable, Sequence
from typing import Any

def dispatcher(
    table: dict[int, Callable[[Any, int, int, int, int, int, int], int | None]], task: Any
) -> Callable[[int, int, int, int, int, int, int], int | None]: ...
def bound(
    handler: Callable[..., int | None], arguments: Sequence[tuple[int, bool, Callable[[int], Any] | None]]
) -> Callable[[Any, int, int, int, int, int, int], int | None]: ...
