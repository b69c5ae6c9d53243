from collections.abc import Callable, Iterable
from typing import Any

from axptr._core.mm.provider import Provider
from axptr.kernel.kernel import Syscall
from axptr.kernel.run import RunLoop
from axptr.kernel.task import Task
from axptr.kernel.timers import Timer
from axptr.kernel.wait import Awaited, Resume, Waitable

EVERY: int
KEPT: tuple[str, ...]

class Watch:
    exclusive: bool
    blocked: None
    loop: RunLoop | None
    def __init__(self, loop: RunLoop | None) -> None: ...
    def wake(self, events: int) -> bool: ...
    def goes_outside(self, loop: RunLoop | None) -> None: ...

class WaitQueue:
    _waiters: dict[Task, int]
    _watches: dict[Watch, int]
    def __len__(self) -> int: ...
    def add(self, task: Task | Watch, mask: int) -> None: ...
    def remove(self, task: Task | Watch) -> None: ...
    def change(self, watch: Watch, mask: int) -> None: ...
    def wake(self, mask: int = ..., n: int | None = None) -> int: ...
    def first(self) -> Task | None: ...
    def move(self, goal: Waitable, n: int | None = None) -> int: ...
    def _check(self) -> None: ...

class Blocked:
    on: Awaited
    until: float | None
    again: Resume | None
    restart: Any
    interrupted: Callable[..., Any] | None
    call: tuple[int, int]
    held: tuple[Any, ...]
    deaf: bool
    woken: int | None
    timer: Timer | None
    def __init__(
        self,
        on: Awaited = (),
        until: float | None = None,
        again: Resume | None = None,
        restart: Any = None,
        interrupted: Callable[..., Any] | None = None,
    ) -> None: ...
    def requeued(self) -> None: ...
    @property
    def data(self) -> tuple[Any, ...]: ...

class Waiting(Provider):
    blocked: Blocked | None
    woken: int
    context: Any
    result: int | None
    loop: RunLoop | None
    voluntary: int
    involuntary: int
    calling: tuple[Syscall, tuple[Any, ...]] | None
    def wake(self, events: int = 0) -> None: ...
    going_on: Blocked | None
    def _begin_wait(
        self,
        on: Iterable[tuple[Waitable, int]],
        until: float | None,
        again: Resume | None,
        restart: Any,
        interrupted: Callable[..., Any] | None,
    ) -> Blocked: ...
    def _ask_again(self) -> None: ...
