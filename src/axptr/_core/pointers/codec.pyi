from typing import Any

def name_of(T: Any) -> str: ...

class Codec:
    T: Any
    size: int
    align: int
    def __init__(self, T: Any) -> None: ...
