from collections.abc import Callable, Sequence
from typing import Any

class Bound:
    def __call__(self, task: Any, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int, /) -> int | None: ...

def bound(
    handler: Callable[..., int | None], arguments: Sequence[tuple[int, bool, Callable[[int], Any] | None]]
) -> Bound: ...
