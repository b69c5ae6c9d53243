from collections.abc import Callable, Sequence
from typing import Any

class WatchedCall:
    task: Any
    result: int | None
    @property
    def kind(self) -> Any: ...
    def converted(self) -> list[Any]: ...
    def fetched(self, at: int, name: str) -> Any: ...
    def shown(self, value: Any) -> Any: ...
    def __getitem__(self, name: str) -> Any: ...

def finish(
    call: WatchedCall, afters: tuple[Callable[[Any], Any], ...], result: int | None, error: BaseException | None
) -> int | None: ...
def watched(
    made: type[WatchedCall],
    kind: Any,
    plain: Callable[..., int | None],
    handler: Callable[..., int | None],
    befores: Sequence[Callable[[Any], Any]],
    afters: Sequence[Callable[[Any], Any]],
    decided: Callable[[Any, Any], int | None],
    failure: type[BaseException],
    unfinished: type[BaseException],
) -> Callable[[Any, int, int, int, int, int, int], int | None]: ...
