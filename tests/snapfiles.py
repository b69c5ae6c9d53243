"""Files of snapshots, of spaces and of machines, with descriptions that no writer makes."""

from __future__ import annotations

import struct
import zlib

from axptr import PAGE_SIZE

HEADER = 64


def resealed(whole: bytes, meta: bytes) -> bytes:
    """The file with another description and right checksums: made up, not damaged."""
    size = struct.unpack_from("<Q", whole, 24)[0]
    pages = whole[-(-(HEADER + size) // PAGE_SIZE) * PAGE_SIZE :]
    start = -(-(HEADER + len(meta)) // PAGE_SIZE) * PAGE_SIZE
    head = bytearray(whole[:HEADER])
    struct.pack_into("<QQ", head, 16, start + len(pages), len(meta))
    struct.pack_into("<I", head, 44, zlib.crc32(meta))
    struct.pack_into("<I", head, 60, zlib.crc32(bytes(head[:60])))
    return (bytes(head) + meta).ljust(start, b"\0") + pages


def description(whole: bytes) -> bytes:
    return whole[HEADER : HEADER + struct.unpack_from("<Q", whole, 24)[0]]
