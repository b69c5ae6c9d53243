"""What engines have in common when a run ended with a refused access: the `Exit` of it, and a look at guest code.

Not here: which access it was (each engine), what a kernel makes of it.
"""

from __future__ import annotations

import errno

from .._core.words.codes import FAULT_NOMEM, FAULT_PROTECTION
from ..errors import FaultReason, LinuxError
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
        # Where the CPU refuses what the space allows, a protection key does.
        otherwise = FaultReason.PROTECTION if code == FAULT_PROTECTION else FaultReason.BACKING_FAILED
        return Exit(
            "fault",
            rip,
            address=address,
            access=wanted,
            find=lambda: space.fault(address, wanted, size=0, otherwise=otherwise),
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
