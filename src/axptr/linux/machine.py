"""What one run holds besides its processes: nothing of a run is module-wide, so that machines in several threads
share nothing but tables that never change.

Not here: memory and the CPU (`PhysMemory`, `Engine`), which a `Process` names.
"""

from __future__ import annotations

from functools import cached_property

from .hostio import HoleBuffer
from .locks import LockTable
from .uaccess import CHUNK


class Machine:
    """The tables and buffers of a run. A machine is used by one thread at a time.

    locks: file locks of all kinds.
    """

    def __init__(self) -> None:
        self.locks = LockTable()

    @cached_property
    def bounce(self) -> memoryview:
        """CHUNK bytes for whoever copies now; valid until the next call that copies."""
        return memoryview(bytearray(CHUNK))

    @cached_property
    def hole(self) -> HoleBuffer:
        """Host memory before a hole, for transfers whose user memory runs into one."""
        return HoleBuffer()
