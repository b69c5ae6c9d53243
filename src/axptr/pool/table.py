"""How a pool gets on, in a terminal: a line for each worker and one for all, drawn over as it goes on.

Not here: who tells it (`campaign`).
"""

from __future__ import annotations

import sys
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from .campaign import Turn

_EVERY = 0.25
"""Seconds between two drawings."""


class Row:
    __slots__ = ("begun", "done", "failed", "item", "lost")

    def __init__(self) -> None:
        self.done = self.failed = self.lost = 0
        self.item = ""
        self.begun = 0.0


class Table:
    """rows: by the worker's name, what it did. `note` is what a campaign tells."""

    def __init__(self, names: list[str], stream: TextIO | None = None) -> None:
        """stream: where it is drawn; None for nowhere, so that it only counts."""
        self.rows = {name: Row() for name in names}
        self.begun = monotonic()
        self._stream = stream
        self._drawn = 0
        self._next = 0.0

    def note(self, what: str, turn: Turn) -> None:
        assert turn.worker is not None
        row = self.rows.setdefault(turn.worker.name, Row())
        if what == "begun":
            row.item, row.begun = repr(turn.item)[:40], turn.begun
        else:
            row.item = ""
            setattr(row, what, getattr(row, what) + 1)
        if self._stream is not None and monotonic() >= self._next:
            self.draw()

    def lines(self) -> list[str]:
        """The table as text."""
        now = monotonic()
        found = [f"{'worker':<12} {'done':>7} {'failed':>7} {'lost':>5}  {'now':<40} {'for':>7}"]
        for name, row in self.rows.items():
            since = f"{now - row.begun:6.1f}s" if row.item else ""
            found.append(f"{name:<12} {row.done:>7} {row.failed:>7} {row.lost:>5}  {row.item:<40} {since:>7}")
        rows = self.rows.values()
        done, failed, lost = (sum(getattr(row, what) for row in rows) for what in ("done", "failed", "lost"))
        rate = (done + failed) / max(now - self.begun, 1e-9)
        found.append(f"{'all':<12} {done:>7} {failed:>7} {lost:>5}  {rate:.1f} a second")
        return found

    def draw(self) -> None:
        if self._stream is None:
            return
        lines = self.lines()
        over = f"\x1b[{self._drawn}A" if self._drawn and self._stream.isatty() else ""
        self._stream.write(over + "".join(f"\x1b[2K{line}\n" if over else f"{line}\n" for line in lines))
        self._stream.flush()
        self._drawn = len(lines)
        self._next = monotonic() + (_EVERY if self._stream.isatty() else 10.0)


def for_terminal(names: list[str], show: bool) -> Table:
    """show: whether to draw at all, to standard error."""
    return Table(names, sys.stderr if show else None)
