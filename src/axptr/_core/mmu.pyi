from collections.abc import Callable
from typing import Any, TypeVar

from axptr._core.budget import Budget
from axptr._core.phys import PhysMemory
from axptr.mm.space import AddrSpace
from axptr.model import DataModel

R = TypeVar("R")

def _mark_enter() -> None: ...
def _mark_leave() -> None: ...
def is_accessing_user_memory() -> bool: ...

class Provider:
    budget: Budget | None
    _space: Any
    @property
    def model(self) -> DataModel: ...
    def _set_space(self, space: Mmu) -> None: ...
    def with_addr_space(self, f: Callable[[AddrSpace], R]) -> R: ...

class Mmu(Provider):
    def _set_model(self, model: DataModel) -> None: ...
    phys: PhysMemory
