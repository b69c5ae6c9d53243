"""What engines have in common when a run ended with a refused access: the `Exit` of it, and a look at guest code.

Not here: which access it was (each engine), what a kernel makes of it.
"""

from __future__ import annotations

import errno

from .._core.words.codes import FAULT_NOMEM, FAULT_PROTECTION
from ..errors import FaultReason, LinuxError, UserFault
from .arch import X86_64
from .exit import Exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..flags import MappingFlags
    from ..mm.space import AddrSpace


class ReportsFaults:
    """Verbs of an engine, over its space."""

    if TYPE_CHECKING:

        @property
        def space(self) -> AddrSpace | None: ...

    def _refused(self, rip: int, address: int, wanted: MappingFlags, vector: int, code: int = 0) -> Exit:
        """The access at `rip` to `address` was refused; `code` says why, if that is known, or is looked for."""
        space = self.space
        assert space is not None
        trap = X86_64.traps[vector]
        if code == FAULT_NOMEM:
            fault = LinuxError(errno.ENOMEM, f"no memory for the page at {address:#x}")
            return Exit("fault", rip, address=address, access=wanted, fault=fault, trap=trap, vector=vector)
        return Exit(
            "fault",
            rip,
            address=address,
            access=wanted,
            find=lambda: _found(space, address, wanted, code),
            trap=trap,
            vector=vector,
        )

    def _peek(self, vaddr: int, size: int) -> bytes:
        """The bytes there, fewer or none at the end of a mapping."""
        buffer = bytearray(size)
        assert self.space is not None
        if not 0 <= vaddr < 1 << 64:
            return b""
        return bytes(buffer[: self.space.read_into(vaddr, buffer)])


def _found(space: AddrSpace, address: int, wanted: MappingFlags, code: int) -> UserFault:
    """Why an access was refused. What the CPU refuses though the space allows it, a protection key does."""
    fault = space.fault(address, wanted, size=0)
    if code == FAULT_PROTECTION and fault.reason is FaultReason.BACKING_FAILED:
        fault.reason = FaultReason.PROTECTION
        fault.cause = f"its protection key refuses page {address & -4096:#x}"
    return fault
