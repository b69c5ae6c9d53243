"""Wording a fault: which page, which area, what it would have needed.

`describe` turns the core's code for a refused access into a `UserFault` that a person can act on. It looks and
changes nothing.
"""

from __future__ import annotations

from axptr._core.words import codes
from axptr.addr import ADDRESS_END, align_down
from axptr.errors import FaultReason, UserFault, verb_of
from axptr.flags import MappingFlags, rwx
from axptr.mm.area import MemoryArea

# The codes that are faults of an access.
REASONS = {
    codes.FAULT_UNMAPPED: FaultReason.UNMAPPED,
    codes.FAULT_PROTECTION: FaultReason.PROTECTION,
    codes.FAULT_RANGE: FaultReason.OUT_OF_RANGE,
    codes.FAULT_BACKING: FaultReason.BACKING_FAILED,
    codes.FAULT_NOT_MEMORY: FaultReason.NOT_MEMORY,
    codes.FAULT_MISALIGNED: FaultReason.MISALIGNED,
}


def describe(
    reason: FaultReason,
    address: int,
    access: int,
    size: int,
    completed: int,
    below: MemoryArea | None,
    above: MemoryArea | None,
) -> UserFault:
    """The `UserFault` for an access refused at `address`, of `size` bytes in all, `completed` of them done.

    A size of 0 is not known: only a CPU knows how much its instruction wanted.
    """
    inside = below if below is not None and address in below else None
    page = align_down(address)
    area = inside
    near: tuple[MemoryArea | None, MemoryArea | None] = (None, None)
    if reason is FaultReason.MISALIGNED:
        cause = "the address is misaligned"
    elif reason is FaultReason.OUT_OF_RANGE:
        cause = f"{address:#x} is outside the address space" if address < ADDRESS_END else "it would wrap past 2**64"
    elif inside is not None and reason is FaultReason.PROTECTION:
        kind = "s" if inside.backend.shared else "p"
        label = f" ({inside.name.rpartition('/')[2]})" if inside.name else ""
        cause = f"page {page:#x} is mapped {rwx(inside.flags)}{kind}{label}, {verb_of(access)} not permitted"
    elif inside is not None and reason is FaultReason.BACKING_FAILED:
        label = f" {inside.name}" if inside.name else ""
        cause = f"what backs page {page:#x} ({inside.backend.kind_name}{label}) cannot supply it"
    elif inside is not None and reason is FaultReason.NOT_MEMORY:
        cause = f"page {page:#x} ({inside.name or inside.backend.kind_name}) is not memory"
    else:
        near = below, above
        area, cause = _nearest(address, below, above)
        cause = f"page {page:#x} is not mapped{cause}"
    return UserFault(
        cause,
        address=address,
        access=MappingFlags(access & codes.ACCESS),
        size=size,
        completed=completed,
        reason=reason,
        area=area,
        below=near[0],
        above=near[1],
    )


def _nearest(address: int, below: MemoryArea | None, above: MemoryArea | None) -> tuple[MemoryArea | None, str]:
    """The nearer of the two, and both in words, the nearer first."""
    if below is None and above is None:
        return None, ", nothing is"
    told = []
    if below is not None:
        told.append((address - below.end + 1, below, f"{below}, ending {address - below.end + 1:#x} below"))
    if above is not None:
        told.append((above.start - address, above, f"{above}, starting {above.start - address:#x} above"))
    told.sort(key=lambda one: one[0])
    return told[0][1], f"; nearest {'is' if len(told) == 1 else 'are'} {', and '.join(one[2] for one in told)}"
