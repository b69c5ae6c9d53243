"""How the bytes of an input become providers, addresses, counts, data and flags, hostile ones mostly.

A choice that only a Python caller can get wrong is noted in `wrong`; all others a guest could make.
"""

from __future__ import annotations

from typing import Any

from axptr import MappingFlags

from .hostile import Sly
from .judge import Entry, Judge
from .shadow import END, PAGE
from .source import Source
from .things import EDGES, FAR, HUGE, MARKS, TEXT, USUAL


class Chooser(Judge):
    """source: the input. entries: the memories. base: of the pages that programs look at. [first, end): the space.

    huge: whether a large area is mapped, so that no large count may be copied. last: the address chosen last.
    """

    def __init__(self, source: Source, trace: Any) -> None:
        super().__init__(trace)
        self.source = source
        self.entries: list[Entry] = []
        self.base = self.last = USUAL
        self.first, self.end = 0, END
        self.huge = False

    def entry(self) -> Entry:
        return self.entries[self.source.byte() % len(self.entries)]

    def target(self) -> tuple[Any, Entry]:
        """A provider and the memory that it leads to."""
        choice = self.source.byte()
        entry = self.entries[(choice >> 4) % len(self.entries)]
        if choice & 15 == 15:
            self.wrong = True
            return (None, 5, object(), b"")[choice >> 4 & 3], entry
        return entry.providers[(choice & 15) % len(entry.providers)], entry

    def address(self) -> int:
        """Mostly in the pages that are there, near their edges. Never one that no guest could have."""
        source = self.source
        choice = source.byte()
        if choice < 0xA0:
            at = self.base + (choice & 15) * PAGE + source.pick(EDGES)
        elif choice < 0xB0:
            at = self.base + source.word(2)
        elif choice < 0xC0:
            at = self.last
        elif choice < 0xD0:
            at = self.base + MARKS[choice % len(MARKS)]
        elif choice < 0xE8:
            at = FAR[source.byte() % len(FAR)]
        elif choice < 0xF0:
            at = (self.first, self.first - 1, self.end - 1, self.end, self.end - 8, self.end - PAGE, self.first + 4, 0)[
                choice & 7
            ]
        else:
            at = source.word(8) if choice < 0xF8 else source.word(4)
        self.last = at % END
        return self.last

    def any_address(self) -> Any:
        """An address that a Python caller gives: sometimes none, or one whose number runs code."""
        choice = self.source.byte()
        if choice == 0xFF:
            self.wrong = True
            return self.source.pick([-1, END, 1.5, "x", None, b"", [], 1 << 70])
        if choice == 0xFE:
            return Sly(self, self.address())
        return self.address()

    def count(self, most: int = 24) -> int:
        choice = self.source.byte()
        if choice < 0xC0:
            return choice % (most + 1)
        if choice < 0xE0:
            return self.source.word(2) & 0x7FFF
        huge = HUGE[self.source.byte() % len(HUGE)]
        return huge & 0xFFFF if self.huge and huge < 1 << 40 else huge  # what is there might be copied for ever

    def any_count(self, most: int = 24) -> Any:
        choice = self.source.byte()
        if choice == 0xFF:
            self.wrong = True
            return self.source.pick([-1, -(1 << 64), 1.5, "x", None, b""])
        if choice == 0xFE:
            return Sly(self, self.count(most) & 0xFFFF)
        return self.count(most)

    def data(self) -> bytes:
        """Bytes to write; no poison in them."""
        choice = self.source.byte()
        return TEXT[choice * 7 % 97 :][: (choice % 40 if choice < 0xD0 else (choice & 15) * 600)]

    def flags(self) -> MappingFlags:
        return MappingFlags(self.source.byte() & 7)
