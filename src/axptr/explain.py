"""The long form of a `UserFault`: a line for each thing that is known, coloured on a terminal.

Only what the fault carries is told; the space it came from may have changed since, or be gone.

Not here: finding out why (`mm.fault`), the one-line message (`errors`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import UserFault

_WIDTH = 32  # cells of the picture
_STYLES = {"title": "1;31", "label": "2", "good": "32", "bad": "31", "plain": ""}


def explained(fault: UserFault, color: bool | None) -> str:
    """See `UserFault.explain`."""
    if color is None:
        color = _colors()

    def dyed(style: str, text: str) -> str:
        return f"\033[{_STYLES[style]}m{text}\033[0m" if color and _STYLES[style] else text

    lines = [dyed("title", f"{fault.name} ({fault.reason.value})") + f": {fault.attempt}"]
    for label, style, text in _rows(fault):
        lines.append(f"  {dyed('label', f'{label:<9}')} {dyed(style, text)}")
    if picture := _picture(fault):
        good, bad = picture
        lines.append(f"  {dyed('label', 'bytes'.ljust(9))} [{dyed('good', good)}{dyed('bad', bad)}] {_counts(fault)}")
    return "\n".join(lines)


def _rows(fault: UserFault) -> Iterator[tuple[str, str, str]]:
    """Label, style and text of each line."""
    if fault.object:
        yield "object", "plain", fault.object
    if fault.reason.name != "MISALIGNED":
        yield "bad byte", "bad", f"{fault.address:#x}"
    why, *_ = fault.cause.partition("; nearest")
    yield "why", "plain", why
    if fault.area is not None and fault.area not in (fault.below, fault.above):
        yield "area", "plain", f"{fault.area}, backed by {fault.area.backend.kind_name}"
    if fault.above is not None:
        yield "above", "plain", f"{fault.above}, starting {fault.above.start - fault.address:#x} above the bad byte"
    if fault.below is not None:
        yield "below", "plain", f"{fault.below}, ending {fault.address - fault.below.end + 1:#x} below the bad byte"
    cause = fault.__cause__
    while cause is not None:
        yield "because", "plain", f"{type(cause).__name__}: {cause}"
        cause = cause.__cause__


def _counts(fault: UserFault) -> str:
    if fault.is_text:
        return f"{fault.completed} good, and no terminator among them"
    return f"{fault.completed} of {fault.size} are good"


def _picture(fault: UserFault) -> tuple[str, str] | None:
    """The good and the other bytes of the access, to scale; neither rounds to nothing. None where no byte was good."""
    if not fault.completed or fault.reason.name == "MISALIGNED" or not (fault.is_text or fault.size):
        return None
    if fault.is_text:
        return "=" * (_WIDTH - 1), "x"
    cells = min(max(fault.completed * _WIDTH // fault.size, 1), _WIDTH - 1)
    return "=" * cells, "x" * (_WIDTH - cells)


def _colors() -> bool:
    """Whether standard output shows colours (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return sys.stdout.isatty()
    except (AttributeError, ValueError):  # none, or closed
        return False
