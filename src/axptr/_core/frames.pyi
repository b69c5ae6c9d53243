from axptr._core.phys import PhysMemory

class FrameStore:
    phys: PhysMemory
    label: str
    def __init__(self, phys: PhysMemory, fd: int | None = None, label: str = "") -> None: ...
    @property
    def resident(self) -> int: ...
    def frames(self) -> list[int]: ...

class Backend:
    kind_name: str
    kind: int
    shared: bool
    offset: int
    store: FrameStore
    def _set(self, kind: int, *, shared: bool = False, offset: int = 0, store: FrameStore | None = None) -> None: ...
