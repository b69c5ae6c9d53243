"""The bytes of an input as numbers and choices; once they are spent, all is 0 and the program ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Source:
    """data: the input. at: the next byte of it."""

    __slots__ = ("at", "data", "size")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.at = 0

    @property
    def more(self) -> bool:
        return self.at < self.size

    def byte(self) -> int:
        at = self.at
        self.at = at + 1
        return self.data[at] if at < self.size else 0

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.byte() % len(choices)]

    def word(self, size: int = 8) -> int:
        """An unsigned number of `size` bytes."""
        at = self.at
        self.at = at + size
        return int.from_bytes(self.data[at : at + size], "little")
