from typing import TypeVar

from axptr._core.mm.frames import FrameStore

S = TypeVar("S", bound=FrameStore)

def own(store: FrameStore) -> None: ...
def twin(store: S, shown: bool) -> S: ...
