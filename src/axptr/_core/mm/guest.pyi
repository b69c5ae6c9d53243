from typing import Any

from axptr._core.mm.mmu import Mmu

class GuestMmu(Mmu):
    stops: Any
    def _set_points(self, stops: Any, code: list[tuple[int, int]], pages: dict[int, tuple[int, int]]) -> None: ...
    def _breaks_at(self, vaddr: int) -> bool: ...
