from collections.abc import Callable
from typing import Any, TypeVar

from axptr._core.phys import PhysMemory
from axptr.mm.space import AddrSpace

R = TypeVar("R")

def _mark_enter() -> None: ...
def _mark_leave() -> None: ...
def is_accessing_user_memory() -> bool: ...

class Provider:
    _space: Any
    def _set_space(self, space: Mmu) -> None: ...
    def with_addr_space(self, f: Callable[[AddrSpace], R]) -> R: ...

class Mmu(Provider):
    phys: PhysMemory
