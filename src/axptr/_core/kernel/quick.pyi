from collections.abc import Callable
from typing import Any

Call = Callable[[Any, int, int, int, int, int, int], int | None]

class Quick:
    def __init__(self, plain: Call) -> None: ...
    def __call__(self, task: Any, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int, /) -> int | None: ...

class Reading(Quick):
    def __init__(self, plain: Call, again: Callable[..., Any], interrupted: Callable[..., Any]) -> None: ...

class Writing(Quick): ...

class Receiving(Quick):
    def __init__(
        self,
        plain: Call,
        again: Callable[..., Any],
        interrupted: Callable[..., Any],
        end: tuple[Callable[..., Any], Any],
    ) -> None: ...

class Sending(Quick): ...

class AtWord(Quick):
    def __init__(self, plain: Call, awake: Callable[..., Any], bits: int) -> None: ...
