from axptr._core.mm.provider import Provider
from axptr._core.phys.phys import PhysMemory
from axptr.model import DataModel

class Mmu(Provider):
    def _set_model(self, model: DataModel) -> None: ...
    phys: PhysMemory
