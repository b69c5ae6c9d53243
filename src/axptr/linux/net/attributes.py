"""Attributes of netlink messages. Source: netlink(7), rtnetlink(3)."""

from __future__ import annotations

from struct import pack, unpack_from


def aligned(size: int) -> int:
    return (size + 3) & ~3


def attribute(kind: int, data: bytes) -> bytes:
    """A struct rtattr with what it holds."""
    return (pack("<HH", 4 + len(data), kind) + data).ljust(aligned(4 + len(data)), b"\0")


def attributes(data: bytes) -> dict[int, bytes]:
    """Those of a message, by type; what is malformed ends them."""
    found, at = {}, 0
    while at + 4 <= len(data):
        size, kind = unpack_from("<HH", data, at)
        if not 4 <= size <= len(data) - at:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + size]
        at += aligned(size)
    return found
