"""One ELF file that a program has mapped, as a debugger reads it: its symbols, and the rules for its stack.

Read with pyelftools, from the very file that is mapped: of the host, in memory, or given by Python; its name leads
nowhere from here. What a hostile file makes of its tables costs names, not a run: it then has none.

Not here: where files are mapped (`symbols`), what the rules do to registers (`unwind`), how programs are loaded
(`linux.load`).
"""

from __future__ import annotations

import bisect
import io
import os
import weakref
from typing import TYPE_CHECKING, Any

from ..addr import PAGE_SIZE
from .ehframe import EhFrame

if TYPE_CHECKING:
    from .._core.mm.frames import FrameStore

MOST = 1 << 20
"""Symbols read of a file: what is beyond has no names."""
_CODE = ("STT_FUNC", "STT_GNU_IFUNC", "STT_LOOS")
_NAMED = (*_CODE, "STT_OBJECT", "STT_NOTYPE")


class StoreFile(io.RawIOBase):
    """The bytes of a mapped file, written pages included. Brings nothing in."""

    def __init__(self, store: FrameStore) -> None:
        self._store = store
        self._reader = store.descriptors[0]
        resident = (max(store.frames() and store.pages(), default=-1) + 1) * PAGE_SIZE
        self._size = max(resident, os.fstat(self._reader).st_size) if self._reader >= 0 else resident
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"{base + offset} is before the file")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        inside = self._at % PAGE_SIZE
        count = min(len(view), PAGE_SIZE - inside, max(0, self._size - self._at))
        if count:
            page = self._store.peek(self._at // PAGE_SIZE)
            if page is not None:
                view[:count] = page[inside : inside + count]
            elif self._reader >= 0:
                data = os.pread(self._reader, count, self._at)
                view[:count] = data.ljust(count, b"\0")
            else:
                view[:count] = bytes(count)
        self._at += count
        return count


class ElfFile:
    """What a debugger wants of one file. Made from what is mapped; keeps nothing of it open.

    segments: `(offset in the file, bytes, address)` of what is loaded, as linked. Addresses here are all as linked: the
    program adds where it was put.
    """

    def __init__(self, store: FrameStore) -> None:
        """Raises `ModuleNotFoundError` without pyelftools; nothing else, whatever is in the file."""
        from elftools.elf.elffile import ELFFile

        self.segments: list[tuple[int, int, int]] = []
        self._functions: list[tuple[int, int, str]] = []
        self._names: dict[str, int] = {}
        self._store = weakref.ref(store)  # who keeps these tables does not keep the file
        self._rules: EhFrame | None = None
        try:
            elf = ELFFile(io.BufferedReader(StoreFile(store), 1 << 16))
            for segment in elf.iter_segments():
                if segment["p_type"] == "PT_LOAD":
                    self.segments.append((segment["p_offset"], segment["p_filesz"], segment["p_vaddr"]))
            self._read_symbols(elf)
        except Exception as error:  # a hostile file breaks the reader in more ways than it documents
            _pass_on(error)
        self._functions.sort()

    def _read_symbols(self, elf: Any) -> None:
        """Of both tables; a name that both have, or that has several places, is the first one's."""
        left = MOST
        for section in elf.iter_sections():
            if section["sh_type"] not in ("SHT_SYMTAB", "SHT_DYNSYM"):
                continue
            for symbol in section.iter_symbols():
                kind = symbol["st_info"]["type"]
                if not left or symbol["st_shndx"] == "SHN_UNDEF" or kind not in _NAMED or not symbol.name:
                    continue
                left -= 1
                self._names.setdefault(str(symbol.name), symbol["st_value"])
                if kind in _CODE:
                    self._functions.append((symbol["st_value"], symbol["st_size"], str(symbol.name)))

    def linked(self, offset: int) -> int | None:
        """The address, as linked, of a byte of the file; None for one that is not loaded."""
        for start, size, address in self.segments:
            if start <= offset < start + size:
                return offset - start + address
        return None

    def bias(self, start: int, offset: int) -> int | None:
        """What the program adds to addresses, of a mapping: it begins at `start`, with the file's byte `offset`."""
        for first, size, address in self.segments:
            if first - first % PAGE_SIZE <= offset < first + size:
                return start - (address - first + offset)
        return None

    def address_of(self, name: str) -> int | None:
        """Where a function or an object is, as linked."""
        return self._names.get(name)

    def function_at(self, address: int) -> tuple[str, int] | None:
        """The function that an address, as linked, lies in, and the distance from its beginning in bytes."""
        at = bisect.bisect_right(self._functions, (address, 1 << 64, ""))
        for start, size, name in reversed(self._functions[max(0, at - 16) : at]):
            if address < start + max(size, 1):
                return name, address - start
        return None

    def unwinding(self, address: int) -> Any | None:
        """The frame description entry (DWARF 5, 6.4; of `.eh_frame`) of the code at an address as linked, or None."""
        from elftools.elf.elffile import ELFFile

        store = self._store()
        if store is None:
            return None
        try:
            stream = io.BufferedReader(StoreFile(store), 1 << 12)
            if self._rules is None:
                self._rules = EhFrame(ELFFile(stream))
            return self._rules.entry(stream, self.segments, address)
        except Exception as error:
            _pass_on(error)
            return None


def _pass_on(error: Exception) -> None:
    if isinstance(error, ModuleNotFoundError):
        raise error
