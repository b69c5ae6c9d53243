"""The unwinding rules of one file, an entry at a time: found by the table that linkers sort for the purpose.

`.eh_frame_hdr` (Linux Standard Base 5.0, section 10.6) is searched here, as the C++ runtime does; the one entry
that is meant is read by pyelftools. A file without such a table has all its entries read, once: a second for ten
thousand.

Not here: what rules do (`unwind`).
"""

from __future__ import annotations

import bisect
import io
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import BinaryIO

_HEADER = bytes([1, 0x1B, 0x03, 0x3B])
"""Version 1, and the encodings that linkers write: 4 bytes relative to the field, a count, relative to the table."""
_LARGEST = 1 << 24
"""Bytes read of a table or an entry at most."""


class EhFrame:
    """The rules of an open file; `segments` as `ElfFile` has them. Reads while it is asked."""

    def __init__(self, elf: Any) -> None:
        self._starts: list[int] = []
        self._entries: list[int] = []
        self._all: list[Any] | None = None
        for segment in elf.iter_segments():
            if segment["p_type"] == "PT_GNU_EH_FRAME":
                self._read_table(elf.stream, segment["p_offset"], segment["p_filesz"], segment["p_vaddr"])
        if not self._starts:
            self._all = _every_entry(elf)

    def _read_table(self, stream: BinaryIO, offset: int, size: int, address: int) -> None:
        stream.seek(offset)
        data = stream.read(min(size, _LARGEST))
        if data[:4] != _HEADER:
            return
        (count,) = struct.unpack_from("<I", data, 8)
        for start, entry in struct.iter_unpack("<ii", data[12 : 12 + 8 * min(count, (len(data) - 12) // 8)]):
            self._starts.append(address + start)
            self._entries.append(address + entry)

    def entry(self, stream: BinaryIO, segments: list[tuple[int, int, int]], address: int) -> Any | None:
        """The frame description entry for an address as linked, or None."""
        if self._all is None:
            at = bisect.bisect_right(self._starts, address) - 1
            found = _one_entry(stream, segments, self._entries[at]) if at >= 0 else None
        else:
            at = bisect.bisect_right(self._all, address, key=lambda entry: entry["initial_location"]) - 1
            found = self._all[at] if at >= 0 else None
        if found is None or not 0 <= address - found["initial_location"] < found["address_range"]:
            return None
        return found


def _one_entry(stream: BinaryIO, segments: list[tuple[int, int, int]], address: int) -> Any:
    """The entry at an address as linked: it and what it has in common with others, as a section of just these two."""
    from elftools.dwarf.callframe import FDE, CallFrameInfo
    from elftools.dwarf.structs import DWARFStructs

    at = next(address - start + offset for offset, size, start in segments if start <= address < start + size)
    own = _record(stream, at)
    common = _record(stream, at + 4 - struct.unpack_from("<I", own, 4)[0])
    section = common + own[:4] + struct.pack("<I", len(common) + 4) + own[8:]
    structs = DWARFStructs(little_endian=True, dwarf_format=32, address_size=8)
    info = CallFrameInfo(io.BytesIO(section), len(section), address - len(common), structs, for_eh_frame=True)
    return next(entry for entry in info.get_entries() if isinstance(entry, FDE))


def _record(stream: BinaryIO, offset: int) -> bytes:
    stream.seek(offset)
    (size,) = struct.unpack("<I", stream.read(4))
    if not 0 < size < _LARGEST:
        raise ValueError("no record of unwinding rules")
    stream.seek(offset)
    return stream.read(size + 4)


def _every_entry(elf: Any) -> list[Any]:
    from elftools.dwarf.callframe import FDE

    dwarf = elf.get_dwarf_info(False)
    entries = dwarf.EH_CFI_entries() if dwarf.has_EH_CFI() else []
    if dwarf.has_CFI():
        entries = [*entries, *dwarf.CFI_entries()]
    return sorted((e for e in entries if isinstance(e, FDE)), key=lambda entry: entry["initial_location"])
