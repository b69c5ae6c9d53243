from collections.abc import Callable
from typing import Any

from .quick import Call, Quick

class EpollControl(Quick): ...

class EpollWaiting(Quick):
    def __init__(
        self, plain: Call, again: Callable[..., Any], interrupted: Callable[..., Any], masks: bool
    ) -> None: ...

class Polling(Quick):
    def __init__(self, plain: Call, limit: Callable[..., int]) -> None: ...
