from axptr._core.phys.phys import PhysMemory

def image() -> bytes: ...

class ClockPage:
    def __new__(
        cls, phys: PhysMemory, paddr: int, ahead: tuple[int, int] | tuple[int, int, int], one_cpu: bool
    ) -> ClockPage: ...
