from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from axptr._core.words.budget import Budget
from axptr.mm.space import AddrSpace
from axptr.model import DataModel

R = TypeVar("R")

class access_user_memory:
    def __enter__(self) -> None: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

def is_accessing_user_memory() -> bool: ...

class Provider:
    budget: Budget | None
    _space: Any
    @property
    def model(self) -> DataModel: ...
    def _set_space(self, space: AddrSpace) -> None: ...
    def with_addr_space(self, f: Callable[[AddrSpace], R]) -> R: ...
