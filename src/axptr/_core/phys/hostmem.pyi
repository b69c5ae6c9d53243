from typing import Any

class HostMemory:
    fd: int
    size: int
    def _spaces(self) -> list[Any]: ...
