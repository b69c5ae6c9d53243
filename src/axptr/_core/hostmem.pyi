from typing import Any

class HostMemory:
    fd: int
    size: int
    spaces: Any
    def _spaces(self) -> list[Any]: ...
