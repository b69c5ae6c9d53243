from collections.abc import Callable
from typing import Any

from axptr._core.cpu.running import Answers

Serves = Callable[[Any, int, int, int, int, int, int], int | None]
Dispatch = Callable[[int, int, int, int, int, int, int], int | None]

class Answering(Answers):
    def __init__(self, table: dict[int, Serves], task: Any) -> None: ...
    def __call__(self, nr: int, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int, /) -> int | None: ...

class CrewAnswering(Answers):
    def __init__(self, loop: Any, task: Any, answers: dict[Any, Dispatch]) -> None: ...
    def __call__(self, nr: int, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int, /) -> int | None: ...
