"""What the memory of an input holds when it begins, and the numbers that programs choose from."""

from __future__ import annotations

import os

from .shadow import END, PAGE

USUAL = 0x10_0000
NPAGES = 16
EDGES = (
    *(0, 1, 2, 3, 4, 7, 8, 15, 16, 24, 64, 0x100, 0x200, 0x800, 0xF00),
    *(0xFE0, 0xFF0, 0xFF8, 0xFFB, 0xFFC, 0xFFD, 0xFFE, 0xFFF),
)
"""Places in a page."""
FAR = [
    number + k
    for number in (0, 1 << 12, 1 << 31, 1 << 32, 1 << 38, 1 << 47, 1 << 48, 1 << 62, 1 << 63, END)
    for k in (-4096, -8, -1, 0, 1, 8)
    if 0 <= number + k < END
]
HUGE = [n + k for n in (*(1 << k for k in (12, 16, 20, 31, 32, 52, 61, 63)), END) for k in (-1, 0, 1)]
HUGE += [1 << 100]
TEXT = b"axptr \xc3\xa9\0wide\0t\0e\0x\0t\0\0\0" + bytes(range(200)) * 60
FILE_TEXT = bytes(range(1, 200)) * 41
MARKS = (0, 8, 0x100, 0x200, 0x2C0, 0x300, 0x400, 0x440, 0x800, 0xFF8, 0x1000, 0x2FFC)
"""Where something stands in the first three pages."""
_PREFABS: dict[int, bytes] = {}


def prefab(base: int) -> bytes:
    """Three pages: text, an argv, a linked list that is a ring, arrays of segments, for the verbs that want such."""
    found = _PREFABS.get(base)
    if found is None:
        found = _PREFABS[base] = _prefab(base)
    return found


def _prefab(base: int) -> bytes:
    made = bytearray(3 * PAGE)

    def words(at: int, *numbers: int) -> None:
        for i, number in enumerate(numbers):
            made[at + 8 * i : at + 8 * i + 8] = (number % END).to_bytes(8, "little")

    made[0:64] = TEXT[:64]
    words(0x100, base, base + 8, base + 0x800, base + 0xFF8, 0, base)  # argv
    words(0x200, base + 0x240, 7)  # nodes: a list that ends, and one that is a ring
    words(0x240, base + 0x280, 8)
    words(0x280, 0, 9)
    words(0x300, base + 0x340)
    words(0x340, base + 0x300)
    words(0x400, base, 16, base + 0x1000, 8, base + 0x3FFC, 8, base + 0x4000, 100)  # segments
    words(0x440, base, 1 << 63, 0, 0)
    words(0x2C0, END - 8, 1, base + 5 * PAGE)
    made[0x800:0x81E] = "wörld".encode("utf-16-le") + "wörld".encode("utf-32-le")
    made[0xFF8:0x1008] = b"crosses a page!\0"
    made[0x1800:0x2FFC] = (TEXT * 2)[0x100 : 0x100 + 0x17FC].replace(b"\0", b"#")
    assert len(made) == 3 * PAGE
    return bytes(made)


_text_fd = -1


_text_fd = -1


def file_of_text() -> int:
    """A file that all inputs map, as it was before the last one wrote to it."""
    global _text_fd
    if _text_fd < 0:
        _text_fd = os.memfd_create("fuzz", os.MFD_CLOEXEC)
    os.ftruncate(_text_fd, 0)
    os.pwrite(_text_fd, FILE_TEXT, 0)
    return _text_fd
