"""The function that a program counter is in, by the symbol tables of the file mapped there.

Read with pyelftools, at a death only: importing it takes longer than starting a small program. A file that cannot
be read, or has no symbols, has no names; no error comes from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..mm.area import MemoryArea

NO_PYELFTOOLS = "function names need pyelftools: pip install 'axptr[run]'"


def function_at(area: MemoryArea, address: int) -> str | None:
    """`main+0x9` for an address in a file's area, or None. Raises `ModuleNotFoundError` without pyelftools."""
    if area.backend.kind_name != "file":
        return None
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    offset = address - area.start + area.offset
    try:
        with open(area.name, "rb") as file:
            return _nearest(ELFFile(file), offset)
    except (OSError, ELFError, ValueError, KeyError, AttributeError, AssertionError):
        return None  # a hostile file may break the reader in other ways than it documents


def _nearest(elf: Any, offset: int) -> str | None:
    """The function that holds the byte at a file offset; `name+distance`, the distance left out where it is 0."""
    vaddr = _vaddr(elf, offset)
    if vaddr is None:
        return None
    for section in elf.iter_sections():
        if section["sh_type"] not in ("SHT_SYMTAB", "SHT_DYNSYM"):
            continue
        for symbol in section.iter_symbols():
            start, size = symbol["st_value"], symbol["st_size"]
            if symbol["st_info"]["type"] == "STT_FUNC" and start <= vaddr < start + size and symbol.name:
                return str(symbol.name) + (f"+{vaddr - start:#x}" if vaddr > start else "")
    return None


def _vaddr(elf: Any, offset: int) -> int | None:
    for segment in elf.iter_segments():
        start = segment["p_offset"]
        if segment["p_type"] == "PT_LOAD" and start <= offset < start + segment["p_filesz"]:
            return int(offset - start + segment["p_vaddr"])
    return None
