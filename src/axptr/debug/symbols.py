"""Names for addresses and addresses for names, in a space where files are mapped: `Symbols`.

    symbols = Symbols(process.space)
    symbols.address_of("main")                  # or "libc.so.6!malloc"
    str(symbols.at(0x555555555149))             # "main+0x9 in /tmp/a.out"

Not here: how a file's tables are read (`elffile`).
"""

from __future__ import annotations

import os

from .elffile import ElfFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from weakref import WeakKeyDictionary

    from ..mm.area import MemoryArea
    from ..mm.space import AddrSpace


class Location:
    """What an address is in. file: what is mapped there, "" for nothing or fresh memory; offset: in the file, in bytes.

    symbol: the function, "" where none is known; distance: from the function's beginning in bytes. It prints as
    `main+0x9 in /tmp/a.out`, `/tmp/a.out+0x1149`, or `0x7ffff7dd1000`.
    """

    __slots__ = ("address", "distance", "file", "offset", "symbol")

    def __init__(self, address: int, file: str = "", offset: int = 0, symbol: str = "", distance: int = 0) -> None:
        self.address = address
        self.file = file
        self.offset = offset
        self.symbol = symbol
        self.distance = distance

    @property
    def function(self) -> str:
        """`main+0x9`, `main` at its beginning; "" where no function is known."""
        return self.symbol + (f"+{self.distance:#x}" if self.symbol and self.distance else "")

    def __str__(self) -> str:
        if self.symbol:
            return f"{self.function} in {self.file}"
        return f"{self.file}+{self.offset:#x}" if self.file else f"{self.address:#x}"

    def __repr__(self) -> str:
        return f"<Location {self.address:#x}: {self}>"


class Symbols:
    """The symbols of all files that a space has mapped now: a file that comes later is there at the next question.

    A file is read once for as long as it is mapped anywhere. Raises `ModuleNotFoundError` without pyelftools.
    """

    def __init__(self, space: AddrSpace) -> None:
        self.space = space

    def at(self, address: int) -> Location:
        """What lies at an address. Never fails."""
        area = self.space.find_area(address)
        if area is None or area.backend.store is None:
            return Location(address)
        offset = address - area.start + area.offset
        elf = file_of(area)
        linked = elf.linked(offset)
        found = elf.function_at(linked) if linked is not None else None
        symbol, distance = found or ("", 0)
        return Location(address, area.name, offset, symbol, distance)

    def address_of(self, name: str) -> int:
        """Where a function or an object is. `name` is of the first mapped file that has it, by address; `FILE!name` of
        one whose path ends with that. `LookupError` if nothing that is mapped has it.
        """
        wanted, _, symbol = name.rpartition("!")
        for area, elf in self._files():
            if wanted and os.path.basename(area.name) != wanted and area.name != wanted:
                continue
            linked, bias = elf.address_of(symbol), elf.bias(area.start, area.offset)
            if linked is not None and bias is not None:
                return (linked + bias) % (1 << 64)
        raise LookupError(f"nothing that is mapped has a symbol {name!r}")

    def file_at(self, address: int) -> tuple[ElfFile, int] | None:
        """The file mapped at an address, and what was added to its addresses; None where there is none."""
        area = self.space.find_area(address)
        if area is None or area.backend.store is None:
            return None
        elf = file_of(area)
        bias = elf.bias(area.start, area.offset)
        return None if bias is None else (elf, bias)

    def _files(self) -> list[tuple[MemoryArea, ElfFile]]:
        """Each mapped file once, with the first of its areas that is loaded."""
        found: dict[int, tuple[MemoryArea, ElfFile]] = {}
        for area in self.space.areas():
            if area.backend.store is not None and id(area.backend.store) not in found:
                elf = file_of(area)
                if elf.bias(area.start, area.offset) is not None:
                    found[id(area.backend.store)] = area, elf
        return list(found.values())


_read: WeakKeyDictionary[Any, ElfFile] | None = None


def file_of(area: MemoryArea) -> ElfFile:
    """The file of an area. Reading one costs milliseconds: it is kept as long as the file is mapped."""
    global _read
    if _read is None:
        from weakref import WeakKeyDictionary

        _read = WeakKeyDictionary()
    store = area.backend.store
    elf = _read.get(store)
    if elf is None:
        elf = _read[store] = ElfFile(store)
    return elf
