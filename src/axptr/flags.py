"""Permissions and memory type of a mapping.

What an access needs is READ and WRITE alone; USER, DEVICE and UNCACHED are carried into page tables, a
pointer does not ask for them. `MappingFlags(0)` is a mapping that nobody may touch (`PROT_NONE`).
"""

from __future__ import annotations

from axptr._core.words import codes
from axptr.members import IntFlag


class MappingFlags(IntFlag):
    """What may be done with a mapping. Areas keep the flags as asked for."""

    READ = codes.READ
    WRITE = codes.WRITE
    EXECUTE = codes.EXECUTE
    USER = codes.USER
    DEVICE = codes.DEVICE
    UNCACHED = codes.UNCACHED

    def has_all(self, wanted: MappingFlags) -> bool:
        """Whether every flag of `wanted` is here."""
        return self & wanted == wanted

    @property
    def rwx(self) -> str:
        """As `/proc/pid/maps` writes it: `r-x`."""
        return rwx(self)


def rwx(flags: int) -> str:
    """`r-x` for READ | EXECUTE, and so on."""
    return (
        ("r" if flags & codes.READ else "-")
        + ("w" if flags & codes.WRITE else "-")
        + ("x" if flags & codes.EXECUTE else "-")
    )


READ = MappingFlags.READ
WRITE = MappingFlags.WRITE
EXECUTE = MappingFlags.EXECUTE
