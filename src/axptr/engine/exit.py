"""`Exit`: how a run of an engine ended. What the fields of one mean is part of the contract of `engine`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import LinuxError, UserFault
    from ..flags import MappingFlags
    from .arch import Trap
    from .engine import ExitKind
    from .points import Breakpoint, Watchpoint


class Exit:
    """Why a run ended.

    kind: "stopped" (somebody called `stop`), "fault", "exception", "timeout"; "breakpoint", "watchpoint" or "step",
        where that was asked for (`engine.points`); or "lost": what ran the guest was ended from outside, a native one's
        process by a signal. Memory is as it was; the registers are gone until others are put in.
    pc: the guest's next instruction; for a fault and for most exceptions the one that could not be done. Also `rip`.
    address, access: of a fault, the first byte that could not be touched and what was wanted there. An instruction that
        updates its operand wants to write. Of a watchpoint the first watched byte that was touched, and how.
    points: of a breakpoint or a watchpoint those that it was, else none. A breakpoint's instruction is still to come; a
        watchpoint's has been done, and `by` is where it lies; if the program's own trap flag trapped it, `vector` is 1.
    trap: of a fault or an exception what happened, in words that mean the same on every architecture: "page", "divide",
        "debug", "breakpoint", "overflow", "undefined", "protection", "alignment", "float", "call". None otherwise.
    vector: of an exception its number, which is the architecture's; of x86-64: 0 divide error, 1 debug, 3 breakpoint,
        4 overflow, 6 invalid opcode, 13 general protection, 16 x87, 17 alignment check, 19 SSE, 0x80 the 32-bit system
        call. Of a fault 14; where the address is none that a CPU can form (not canonical), 13, or 12 if the access went
        through the stack segment. -1 otherwise.
    error: the error code that the CPU gives with an exception: which selector or gate was meant; else 0.
    """

    __slots__ = (
        "_fault", "_find", "access", "address", "by", "error", "kind", "pc", "points", "trap", "vector",
    )  # fmt: skip

    def __init__(
        self,
        kind: ExitKind,
        pc: int,
        *,
        address: int | None = None,
        access: MappingFlags | None = None,
        fault: UserFault | LinuxError | None = None,
        find: Callable[[], UserFault | LinuxError] | None = None,
        trap: Trap | None = None,
        vector: int = -1,
        error: int = 0,
        points: tuple[Breakpoint | Watchpoint, ...] = (),
        by: int | None = None,
    ) -> None:
        self.kind = kind
        self.pc = pc
        self.address = address
        self.access = access
        self._fault = fault
        self._find = find
        self.trap = trap
        self.vector = vector
        self.error = error
        self.points = points
        self.by = by

    @property
    def rip(self) -> int:
        """`pc`, as x86-64 calls it."""
        return self.pc

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
        return f"<Exit {self.kind} at {self.pc:#x}{detail}>"
