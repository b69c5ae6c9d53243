"""What a CPU is to a kernel: the `Engine` protocol, and `Exit`, how a run ended.

An engine runs user code over one `AddrSpace` at a time. What the program sees of memory is what the space's
page tables say, page by page; a missing page that an area allows is brought in without anybody noticing.

Contract of every engine:

- The guest is in user mode. Memory that changes (unmapped, protected, copied, written by Python) has changed
  before the guest's next instruction, code included; from another thread, as soon as it can be stopped.
- A fault tells the exact byte, and registers are as before the instruction: they can be restarted.
- What a handler or a page's function raises comes out of `run`, KeyboardInterrupt too. The GIL is free while
  the guest runs.
- One thread at a time runs an engine or touches its registers (`RuntimeError` for others); `stop` is for all.

Not here: any particular CPU (`unicorn`), what to do about an exit (`axptr.kernel`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..errors import LinuxError, UserFault
from ..flags import MappingFlags

if TYPE_CHECKING:
    from .._core.cpu.unicorn.usercpu import Registers
    from ..mm.space import AddrSpace

ExitKind = Literal["stopped", "fault", "exception", "timeout"]
SyscallHandler = Callable[[int, int, int, int, int, int, int], "int | None"]


class Exit:
    """Why a run ended.

    kind: "stopped" (somebody called `stop`), "fault", "exception" or "timeout".
    rip: the guest's next instruction; for a fault and for most exceptions the one that could not be done.
    address, access: of a fault, the first byte that could not be touched and what was wanted there. An instruction that
        updates its operand wants to write.
    vector: of an exception its number: 0 divide error, 1 debug, 3 breakpoint, 4 overflow, 6 invalid opcode,
        13 general protection, 16 x87, 19 SSE, 0x80 the 32-bit system call. Of a fault 14; where the address is none
        that a CPU can form (not canonical), 13, or 12 if the access went through the stack segment. -1 otherwise.
    error: the error code that the CPU gives with an exception: which selector or gate was meant; else 0.
    """

    __slots__ = ("_fault", "_find", "access", "address", "error", "kind", "rip", "vector")

    def __init__(
        self,
        kind: ExitKind,
        rip: int,
        *,
        address: int | None = None,
        access: MappingFlags | None = None,
        fault: UserFault | LinuxError | None = None,
        find: Callable[[], UserFault | LinuxError] | None = None,
        vector: int = -1,
        error: int = 0,
    ) -> None:
        self.kind = kind
        self.rip = rip
        self.address = address
        self.access = access
        self._fault = fault
        self._find = find
        self.vector = vector
        self.error = error

    @property
    def fault(self) -> UserFault | LinuxError | None:
        """Of a fault, what happened: a `UserFault`, or a `LinuxError` (ENOMEM) where there was no memory for the page.

        Its cause is looked for when it is first asked for, in the space as it is then.
        """
        if self._find is not None:
            self._fault, self._find = self._find(), None
        return self._fault

    def __repr__(self) -> str:
        detail = ""
        if self.fault is not None:
            detail = f", {self.fault.strerror}"
        elif self.vector >= 0:
            detail = f", exception {self.vector}"
        return f"<Exit {self.kind} at rip {self.rip:#x}{detail}>"


class Engine(Protocol):
    """A CPU that runs user code over an `AddrSpace`. See the module's contract."""

    @property
    def space(self) -> AddrSpace | None:
        """The space the CPU sees."""

    @property
    def regs(self) -> Registers:
        """The registers, by name. In a system call's handler `rip` is the instruction after the call."""

    def attach(self, space: AddrSpace) -> None:
        """The CPU sees `space` from its next instruction on. `ValueError` if it lies in another memory."""

    def on_syscall(self, handler: SyscallHandler) -> None:
        """`handler(nr, a0, a1, a2, a3, a4, a5)`, all unsigned, answers system calls.

        What it returns goes to the result register; None leaves all registers as the handler set them. It may
        attach another space, change registers, `restore`, and `stop`.
        """

    def run(self, timeout: float | None = None) -> Exit:
        """Run until something happens that is not the engine's to settle; at most `timeout` seconds.

        Raises what a handler raised, or Ctrl-C; the engine can run on afterwards, after the call in question.
        """

    def stop(self) -> None:
        """End the run under way before the guest's next instruction, or the next run at once. From any thread."""

    def save(self) -> Any:
        """All registers at this moment, for `restore`."""

    def restore(self, context: Any) -> None:
        """Put back what `save` of this engine took."""

    def reset(self) -> None:
        """All registers as a kernel hands them to a new program."""
