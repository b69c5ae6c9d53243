"""What of Linux differs from one architecture to another, a room for each; which one it is the task's engine says.

A room has the modules `sigframe` and `traps`, with what `Frames` and `Traps` ask for, and the calls that no other
architecture has. Numbers and the order of arguments are the registry's affair, registers' parts `axptr.engine.arch`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from ...engine import Exit
    from ...flags import MappingFlags
    from ...kernel.task import Task
    from ..abi.signals import Info

    class Frames(Protocol):
        """The frame of a signal handler on the program's stack, and the way back."""

        def push_frame(self, task: Any, info: Info, action: Any, mask: int) -> None:
            """Make the CPU enter the handler when it goes on. `mask`: what the way back restores.

            EFAULT if the frame cannot be written; registers are unchanged then.
            """

        def pop_frame(self, task: Any) -> None:
            """rt_sigreturn: registers, mask and alternate stack as the frame says. EFAULT if it cannot be read."""

    class Traps(Protocol):
        """What the CPU reports, as signals."""

        def exception(self, task: Any, exit: Exit) -> Info:
            """The signal that an exception is, or a fault at an address that cannot be formed."""

        def page_fault(self, task: Any, address: int, wanted: MappingFlags) -> tuple[int, int, int]:
            """What the frame of a handler tells about a fault: `Info.cpu`."""

        def registers(self, task: Any) -> dict[str, int]:
            """Those that are shown when a program dies: the general ones, and where it was."""


def frames(task: Task) -> Frames:
    found: Frames = _module(task, "sigframe")
    return found


def traps(task: Task) -> Traps:
    found: Traps = _module(task, "traps")
    return found


def _module(task: Task, name: str) -> Any:
    """A module of the architecture's room, loaded when it is first asked for: most runs deliver no signal."""
    full = f"{__name__}.{task.engine.arch.name}.{name}"
    if full not in sys.modules:
        __import__(full)
    return sys.modules[full]
