"""What a kernel runs: a user program's memory and CPU, and whatever a kernel adds by deriving from it."""

from __future__ import annotations

from .._core.mm.mmu import Provider
from .._core.words.budget import MAX_RW_COUNT, Budget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..engine import Engine, Exit
    from ..mm.space import AddrSpace
    from .kernel import Kernel


class Task(Provider):
    """A program in an address space. A provider: `ptr.read(task)` costs no more than `ptr.read(task.space)`.

    space: the task's memory; replaced through `set_space` only (exec). kernel, engine: set while it runs.
    budget: what the program's counts may make the host copy; until another is set, what Linux transfers at most a call.
    """

    kernel: Kernel
    engine: Engine

    def __init__(self, space: AddrSpace) -> None:
        self.set_space(space)
        self.budget = Budget(per_call=MAX_RW_COUNT)

    @property
    def space(self) -> AddrSpace:
        return self._space  # type: ignore[no-any-return]

    def set_space(self, space: AddrSpace) -> None:
        """Give the task another memory. Pointers used with this task see it at once, the CPU at its next run."""
        self._set_space(space)

    def on_exit(self, exit: Exit) -> bool:
        """The CPU came out: stopped by a handler, a fault, an exception. True to run on, False to end the run.

        By default the run ends. A kernel that delivers signals, or loads another program, overrides this.
        """
        return False
