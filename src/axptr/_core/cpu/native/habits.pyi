from axptr._core.mm.space import SpaceCore

class Habits:
    def __init__(self, origin: SpaceCore) -> None: ...
