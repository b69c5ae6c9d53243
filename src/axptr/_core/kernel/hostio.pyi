from collections.abc import Callable
from typing import Any

from axptr._core.kernel.filecalls import FileCall
from axptr._core.words.conversion import Bound

NEXT: int
PLACED: int
NEXT_PARTS: int

_Others = Callable[[Any, int, int, int, int, int, int], int | None]

class TransferCall(FileCall):
    def __init__(self, plain: Bound, form: int, opened: type, others: _Others) -> None: ...

class ReadCall(TransferCall): ...

class WriteCall(TransferCall):
    def __init__(
        self,
        plain: Bound,
        form: int,
        opened: type,
        others: _Others,
        written: Callable[[Any, Any], None],
        rest: Callable[[Any, Any, tuple[tuple[int, int], ...], int], int | None],
    ) -> None: ...
