from collections.abc import Callable, Sequence
from typing import Any

from axptr._core.kernel.filecalls import FileCall
from axptr._core.mm.frames import Backend
from axptr._core.mm.space import Released, SpaceCore
from axptr._core.words.conversion import Bound
from axptr.flags import MappingFlags

MAX_MAP_COUNT: int
AREA_COST: int
MMAP_MIN_ADDR: int
BYTES_AT_ONCE: int

def more_areas(space: SpaceCore, start: int, end: int, removed: bool) -> int: ...
def book(machine: Any, areas: int, pipes: int, strictly: bool) -> bool: ...

class MemoryCall(FileCall):
    def __init__(
        self, plain: Bound, rights: Sequence[MappingFlags], mend: Callable[[list[Released]], None]
    ) -> None: ...

class MapCall(MemoryCall):
    def __init__(
        self,
        plain: Bound,
        rights: Sequence[MappingFlags],
        mend: Callable[[list[Released]], None],
        fresh: Backend,
        opened: type,
        made: Callable[[Any, Any, Any], tuple[Backend, str]],
    ) -> None: ...

class UnmapCall(MemoryCall): ...
class ProtectCall(MemoryCall): ...

class BreakCall(MemoryCall):
    def __init__(
        self,
        plain: Bound,
        rights: Sequence[MappingFlags],
        mend: Callable[[list[Released]], None],
        fresh: Backend,
    ) -> None: ...
