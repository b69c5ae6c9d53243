"""`NativeEngine`: user code run by the host's own CPU, in a confined process.

The CPU itself, with everything that happens between two exits, is compiled: `axptr._core.cpu.native.native`. See there
for how the guest is kept; `axptr.engine.Engine` has the contract.
"""

from __future__ import annotations

from time import monotonic

from .._core.cpu.native.native import NativeCpu
from .._core.cpu.native.parked import Parked
from .._core.words.codes import FAULT_NOT_MEMORY
from ..flags import MappingFlags
from .arch import X86_64
from .context import Context, SavesContexts
from .exit import Exit
from .faults import ReportsFaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from ..mm.space import AddrSpace
    from .arch import Architecture
    from .handover import Handover


class NativeEngine(SavesContexts, ReportsFaults, NativeCpu):
    """The host's x86-64 CPU over `phys`, in user mode, registers as a new program finds them.

    ahead: how many pages a guest that writes one after the other gets at once, at most; by default none but those it
    touches.
    """

    arch: ClassVar[Architecture] = X86_64
    name: ClassVar[str] = "native"
    _handover: Handover | None = None

    def run(self, timeout: float | None = None) -> Exit:
        """Run the guest until it faults, raises an exception of the CPU, is stopped or `timeout` seconds have
        passed.

        Raises `RuntimeError` without a space or a handler, or if it is running already; `ValueError` for a
        negative timeout; `OSError` where the host does not allow a confined process; and what a handler, a page's
        function or a signal's handler raised.
        """
        ends = None if timeout is None else monotonic() + timeout
        while True:
            kind, rip, what, access, code = self._run(timeout)
            if kind == "exception":
                return self._excepted(rip, what, access)
            if kind != "fault":
                return Exit(kind, rip)
            wanted = MappingFlags(access)
            if code == FAULT_NOT_MEMORY and wanted != MappingFlags.EXECUTE:
                done = self._step_at_device()
                if done is None:
                    timeout = None if ends is None else max(ends - monotonic(), 0.0)
                    continue
                if done.vector != 6:  # one that the emulated CPU lacks
                    return done
            return self._refused(rip, what, wanted, 14, code)

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
        """What `park` gave, as a context; it stays parked. `RuntimeError` if its process was ended from outside."""
        return Context(self.arch, *parked._take()) if isinstance(parked, Parked) else parked

    def close(self) -> None:
        """Give the CPU back now rather than with the last reference. Idempotent; `RuntimeError` while it runs."""
        super().close()
        if self._handover is not None:
            self._handover.close()
            self._handover = None

    def _excepted(self, rip: int, vector: int, error: int) -> Exit:
        """An exception of the CPU; a fault where it was for an address that no CPU can form, which it does not tell."""
        if vector in (12, 13) and error == 0:
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
