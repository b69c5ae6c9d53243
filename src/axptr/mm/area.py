"""`MemoryArea`: what one area of a space is, as a value.

A description, not a handle: it does not change when the space does. The space keeps its own records.
"""

from __future__ import annotations

from axptr._core.mm.frames import Backend
from axptr._core.words.codes import TRAIT_LOCKED, TRAIT_ON_FAULT, TRAIT_UNASKED, TRAITS_OF_CLONES
from axptr.addr import VirtAddrRange
from axptr.flags import READ, MappingFlags, rwx
from axptr.named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

AreaFields = tuple[int, int, int, Backend, int, str, bool, int]
"""start, end, flags, backend, offset, name, grows_down, traits (`TRAIT_...`)."""


CLONE_RULES = ("copy", "omit", "wipe", "omit")
"""By the two bits TRAIT_OMIT and TRAIT_WIPE."""


class MemoryArea(NamedTuple):
    """The run of pages [start, end) with the same flags and backing.

    locked: its owner asked that its pages stay (mlock); nothing is ever swapped out, so this only says so.
    lock_on_fault: asked so, but not that they be brought in (mlock2).
    read_unasked: its owner asked for EXECUTE alone, and has READ because its CPU cannot do without.
    clone_rule: what `try_clone` does with it: "copy", "omit" (no such area in the clone) or "wipe" (none of its pages).
    offset: bytes into the backing at `start` (a physical address for a linear one, 0 for fresh memory).
    """

    start: int
    end: int
    flags: MappingFlags
    backend: Backend
    offset: int
    name: str
    grows_down: bool = False
    clone_rule: str = "copy"
    locked: bool = False
    lock_on_fault: bool = False
    read_unasked: bool = False

    @classmethod
    def of(cls, fields: AreaFields) -> MemoryArea:
        start, end, flags, backend, offset, name, grows_down, traits = fields
        rule, locked, on_fault = (
            CLONE_RULES[traits & TRAITS_OF_CLONES],
            bool(traits & TRAIT_LOCKED),
            bool(traits & TRAIT_ON_FAULT),
        )
        flags, unasked = MappingFlags(flags), bool(traits & TRAIT_UNASKED)
        return cls(start, end, flags, backend, offset, name, grows_down, rule, locked, on_fault, unasked)

    @property
    def size(self) -> int:
        """Bytes in the area."""
        return self.end - self.start

    @property
    def range(self) -> VirtAddrRange:
        return VirtAddrRange(self.start, self.end)

    @property
    def asked(self) -> MappingFlags:
        """The flags that its owner asked for."""
        return self.flags & ~READ if self.read_unasked else self.flags

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"the area {self} ({self.backend.kind_name}) cannot be pickled: pickle a snapshot of its space")

    def __contains__(self, vaddr: object) -> bool:
        return isinstance(vaddr, int) and self.start <= vaddr < self.end

    def __str__(self) -> str:
        label = f" {self.name}" if self.name else ""
        return f"{self.start:#x}-{self.end:#x} {rwx(self.flags)}{'s' if self.backend.shared else 'p'}{label}"
