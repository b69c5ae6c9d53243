"""`NativeEngine`: user code run by the host's own CPU, in a confined process.

The CPU itself, with everything that happens between two exits, is compiled: `axptr._core.cpu.native.native`. See there
for how the guest is kept; `axptr.engine.Engine` has the contract.
"""

from __future__ import annotations

from .._core.cpu.native.crew import NativeCrew
from .._core.cpu.native.parked import Parked
from .._core.words.codes import FAULT_NOT_MEMORY
from ..flags import MappingFlags
from .arch import X86_64
from .context import Context, SavesContexts
from .exit import Exit
from .faults import ReportsFaults
from .points import ONE, StopsAtPoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, Self

    from .._core.phys.phys import PhysMemory
    from ..mm.space import AddrSpace
    from .arch import Architecture
    from .handover import Handover
    from .points import Raw

_TRAP_FLAG = 0x100
_SYSCALL, _PUSHF, _SETS_FLAGS = 0x0F05, 0x9C, (0x9D, 0xCF)  # opcodes; popf, iret
_RDTSC, _RDTSCP = 0x0F31, 0xF9
_PROTECTION = 13


class NativeEngine(SavesContexts, ReportsFaults, StopsAtPoints, NativeCrew):
    """The host's x86-64 CPU over `phys`, in user mode, registers as a new program finds them.

    ahead: how many pages a guest that writes one after the other gets at once, at most; by default none but those it
    touches.
    counter: what the time stamp counter is for the guest, where that is not the host's: a function, called for each
    `rdtsc`, which traps then.
    """

    arch: ClassVar[Architecture] = X86_64
    name: ClassVar[str] = "native"
    _handover: Handover | None = None
    _counter: Callable[[], int] | None = None

    def __new__(cls, phys: PhysMemory, *, ahead: int = 0, counter: Callable[[], int] | None = None) -> Self:
        made = super().__new__(cls, phys, ahead=ahead, traps_counter=counter is not None)
        made._counter = counter
        return made

    def run(self, timeout: float | None = None, *, step: bool = False) -> Exit:
        """Run the guest until it faults, raises an exception of the CPU, comes to a point that was set, is stopped or
        `timeout` seconds have passed; or for one instruction.

        Raises `RuntimeError` without a space or a handler, or if it is running already; `ValueError` for a
        negative timeout; `OSError` where the host does not allow a confined process; and what a handler, a page's
        function or a signal's handler raised.
        """
        return self._stopping(timeout, None, step)

    def _go(self, timeout: float | None, count: int | None, single: int) -> Raw:
        return self._run(timeout, single)

    def _settled(self, raw: Raw) -> Exit | None:
        """The exit for what the CPU came out with; None if that is settled."""
        kind, rip, what, access, code = raw
        if kind == "exception":
            if what == _PROTECTION and self._counter is not None and self._tell_counter(rip, self._counter):
                return None
            return self._excepted(rip, what, access)
        if kind != "fault":
            return Exit(kind, rip)
        wanted = MappingFlags(access)
        if code == FAULT_NOT_MEMORY and wanted != MappingFlags.EXECUTE and not self.narrow:
            done = self._step_at_device()
            if done is None or done.vector != 6:  # 6: one that the emulated CPU lacks
                return done
        return self._refused(rip, what, wanted, 14, code)

    def _one(self, timeout: float | None, count: int | None, single: int) -> Raw:
        """By the trap flag, which is taken out of what the program can see of it. A system call needs none."""
        from .instructions import decode  # which few runs need

        regs, code = self.regs, self._peek(self.reg_read("rip"), 15)
        opcode = decode(code).opcode
        if opcode == _SYSCALL and not self.narrow:
            return self._run(timeout, ONE | single)
        own = regs.rflags & _TRAP_FLAG
        regs.rflags |= _TRAP_FLAG
        raw: Raw | None = None
        try:
            raw = self._run(timeout, ONE | single)
        finally:
            if (raw is None or raw[0] != "step" or opcode not in _SETS_FLAGS) and not self.lost:
                regs.rflags = regs.rflags & ~_TRAP_FLAG | own
        if raw[0] != "step":
            return raw
        if opcode == _PUSHF and not own:
            self._hide_trap_flag(self.reg_read("rsp") + 1)
        if own or code[:1] == b"\xf1":  # the program has set it itself, or traps by itself
            return "exception", raw[1], 1, 0, 0
        return raw

    def _hide_trap_flag(self, at: int) -> None:
        """In what `pushf` has stored, its second byte being `at`."""
        space = self.space
        assert space is not None
        stored = self._peek(at, 1)
        if stored and stored[0] & 1:
            space.write(at, bytes((stored[0] & 0xFE,)))

    def _tell_counter(self, rip: int, counter: Callable[[], int]) -> bool:
        """Whether the instruction that was refused reads the time stamp counter; it is done then."""
        from .instructions import decode

        i = decode(self._peek(rip, 15))
        if i.opcode == _RDTSC:
            size = i.at
        elif i.opcode == 0x0F01 and i.modrm == _RDTSCP:
            size = i.at + 1
            self.regs.rcx = 0
        else:
            return False
        value, self.regs.rip = counter(), rip + size
        self.regs.rax, self.regs.rdx = value & 0xFFFF_FFFF, value >> 32 & 0xFFFF_FFFF
        return True

    def _step_at_device(self) -> Exit | None:
        """The next instruction touches a device: it is done elsewhere. None if it is; else what came of it."""
        if self._handover is None:
            from .handover import Handover

            self._handover = Handover(self)
        return self._handover.step(self)

    def keep_in_calls(self) -> None:
        """Have a guest between two runs stay in its call. One whose process is ended from outside meanwhile is lost."""
        self._keep_in_calls()

    def park(self) -> Parked:
        """The registers of the guest, which stay where they are: in its process, in the call that it waits in."""
        return self._park()

    def resume(self, parked: Parked | Context, space: AddrSpace) -> None:
        """Put back what `park` or `save` gave, over its space."""
        if isinstance(parked, Parked):
            self._resume(parked, space)
        else:
            super().resume(parked, space)

    def saved(self, parked: Parked | Context) -> Context:
        """What `park` gave, as a context; it stays parked. `GuestLost` if its process was ended from outside."""
        return Context(self.arch, *parked._take()) if isinstance(parked, Parked) else parked

    # -- several guests at once

    def join(self, tag: object) -> Parked:
        """The guest in the CPU is to run beside others, on a core of its own: as one of the crew, parked. Its calls go
        where they do now."""
        return self._join(tag)

    def withdraw(self, parked: Parked) -> None:
        """Bring one of the crew back: it is parked as others are from now on."""
        self._withdraw(parked)

    def fence(self, parked: Parked) -> None:
        """Have one of the crew come out, if it runs: all that it did is done when this returns. It goes on then."""
        self._fence_of(parked)

    def nudge(self, parked: Parked) -> None:
        """One of the crew is to be seen: `run_all` ends with it, as if its time were over, when it is back."""
        self._nudge(parked)

    def run_all(self, timeout: float | None = None) -> tuple[Exit, Any]:
        """Let the crew run until one of them comes out, as `run` does: the exit, and its tag. It has left the crew, and
        is what the CPU has; the others run on. The tag is None if the time was over, or somebody stopped the run."""
        exit = self._settled(self._run_all(timeout))
        return Exit("timeout", self.regs.pc) if exit is None else exit, self._tag

    @property
    def tag(self) -> Any:
        """Of the guest that the CPU has after `run_all`, however that ended; None if it has none."""
        return self._tag

    def settle(self) -> None:
        """Between two runs: have its processes lose now, not when they run again, what was taken from them.

        Until then frames that others of the same memory give up wait for them."""
        self._settle_now()

    def close(self) -> None:
        """Give the CPU back now rather than with the last reference. Idempotent; `RuntimeError` while it runs."""
        super().close()
        if self._handover is not None:
            self._handover.close()
            self._handover = None

    def _excepted(self, rip: int, vector: int, error: int) -> Exit:
        """An exception of the CPU; a fault where it was for an address that no CPU can form, which it does not tell."""
        if vector in (12, 13) and error == 0 and not self.narrow:
            from .operands import accesses, branch_target  # which few runs need

            code = self._peek(rip, 15)
            target = branch_target(code, rip, self.reg_read, self._peek)
            if target is not None and not X86_64.is_canonical(target):
                return self._refused(rip, target, MappingFlags.EXECUTE, vector)
            for access in accesses(code, rip, self.reg_read):
                if not X86_64.is_canonical(access.address):
                    wanted = MappingFlags.WRITE if access.writes else MappingFlags.READ
                    return self._refused(rip, access.address, wanted, vector)
        return Exit("exception", rip, trap=X86_64.traps.get(vector), vector=vector, error=error)
