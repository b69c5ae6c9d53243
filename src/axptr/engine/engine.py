"""What a CPU is to a kernel: the `Engine` protocol.

An engine runs user code over one `AddrSpace` at a time. What the program sees of memory is what the space's
page tables say, page by page; a missing page that an area allows is brought in without anybody noticing.

Contract of every engine:

- The guest is in user mode. Memory that changes (unmapped, protected, copied, written by Python) has changed
  before the guest's next instruction, code included; from another thread, as soon as it can be stopped.
- A fault tells the exact byte, and registers are as before the instruction: they can be restarted.
- What a handler or a page's function raises comes out of `run`, KeyboardInterrupt too. The GIL is free while
  the guest runs.
- One thread at a time runs an engine or touches its registers (`RuntimeError` for others); `stop` is for all.

Not here: how a run ended (`exit`), any particular CPU (`unicorn`), what to do about an exit (`axptr.kernel`). No run
needs this file, and it loads `typing`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from ..flags import MappingFlags
from .exit import Exit

if TYPE_CHECKING:
    from .._core.cpu.running import Registers
    from ..mm.space import AddrSpace
    from .arch import Architecture
    from .context import Context
    from .points import Breakpoint, Watchpoint

ExitKind = Literal["stopped", "fault", "exception", "timeout", "breakpoint", "watchpoint", "step", "lost"]
SyscallHandler = Callable[[int, int, int, int, int, int, int], "int | None"]

__all__ = ["Engine", "Exit", "ExitKind", "SyscallHandler"]


class Engine(Protocol):
    """A CPU that runs user code over an `AddrSpace`. See the module's contract."""

    arch: ClassVar[Architecture]
    """The architecture of the programs that it runs."""
    name: ClassVar[str]
    """What `create_process(engine=)` calls it."""

    @property
    def space(self) -> AddrSpace | None:
        """The space the CPU sees."""

    @property
    def regs(self) -> Registers:
        """The registers by name, and by the parts that some play on every architecture: `pc`, `sp`, `flags`, `tls`,
        `number` and `result`. In a system call's handler `pc` is the instruction after the call.
        """

    def attach(self, space: AddrSpace) -> None:
        """The CPU sees `space` from its next instruction on. `ValueError` if it lies in another memory."""

    def on_syscall(self, handler: SyscallHandler) -> None:
        """`handler(nr, a0, a1, a2, a3, a4, a5)`, all unsigned, answers system calls.

        What it returns goes to the result register; None leaves all registers as the handler set them. It may
        attach another space, change registers, `restore`, and `stop`.
        """

    def run(self, timeout: float | None = None, *, step: bool = False) -> Exit:
        """Run until something happens that is not the engine's to settle; at most `timeout` seconds. step: one
        instruction, or one round of a repeated one; the exit is of kind "step" if nothing else came of it.

        Raises what a handler raised, or Ctrl-C; the engine can run on afterwards, after the call in question.
        """

    def stop(self) -> None:
        """End the run under way before the guest's next instruction, or the next run at once. From any thread."""

    def preempt(self) -> None:
        """As `stop`, but the run ends as if its time were over: for whoever shares the CPU out."""

    def shorten(self, timeout: float) -> None:
        """In a handler: have the run under way end in `timeout` seconds at the latest. The guest is not disturbed
        before."""

    def break_at(self, address: int) -> Breakpoint:
        """Have runs of the space that is attached end before the instruction at `address` (`engine.points`)."""

    def watch(self, address: int, size: int = 1, access: MappingFlags = MappingFlags.WRITE) -> Watchpoint:
        """Have them end behind an instruction that touches any of `size` bytes, or before one that lies there."""

    def forget(self, point: Breakpoint | Watchpoint) -> None:
        """Undo one of these; nothing happens if it was undone."""

    def save(self) -> Context:
        """All registers at this moment, for `restore` of any engine of this architecture; it can be pickled."""

    def restore(self, context: Context) -> None:
        """Put back what `save` took. `ValueError`, and nothing changed, for what no program on this CPU can be in."""

    def keep_in_calls(self) -> None:
        """Have a program between two runs stay where it is, as far as the engine can: `save` still has it all."""

    def park(self) -> Any:
        """The registers of the program in the CPU, for `resume` of this engine: cheaper than `save` where they can stay
        where they are. The CPU has no program then."""

    def resume(self, parked: Any, space: AddrSpace) -> None:
        """Put back what `park` or `save` gave, over its space. Of a program that was lost meanwhile the next run
        tells."""

    def saved(self, parked: Any) -> Context:
        """What `park` gave, as a context; it stays parked. `RuntimeError` where it was lost."""

    def reset(self) -> None:
        """All registers as a kernel hands them to a new program."""

    def close(self) -> None:
        """Give the CPU back now rather than with the last reference. Idempotent; `RuntimeError` while it runs."""
