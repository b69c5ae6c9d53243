from axptr._core.mm.frames import Backend
from axptr._core.mm.space import Released, SpaceCore
from axptr.flags import MappingFlags

class MappedSpace(SpaceCore):
    def _map(
        self,
        start: int,
        size: int,
        flags: MappingFlags,
        backend: Backend,
        name: str,
        replace: bool,
        grows_down: int,
    ) -> list[Released]: ...
    def _unmap(self, start: int, size: int) -> list[Released]: ...
    def _protect(self, start: int, size: int, flags: MappingFlags) -> None: ...
    def _set_traits(self, start: int, size: int, on: int, off: int) -> None: ...
