"""Arguments that were read from a program's memory before its call: what a handler is given in the place of a pointer.

A handler that reads through one of these gets the bytes that were read then, whatever is in the memory by now. They
have the address, for what is written back, and the verbs that handlers use of pointers to what they read.
"""

from __future__ import annotations

import errno

from ..errors import LinuxError


class _Address(int):
    """The address of what is known. data: that."""

    data: bytes
    strings: list[bytes]


class KnownString:
    """A string, in the place of a pointer to one."""

    __slots__ = ("address", "data")

    def __init__(self, data: bytes, address: int) -> None:
        self.data = data
        self.address = address

    @property
    def is_null(self) -> bool:
        return False

    def read_cstr(self, provider: object, most: int) -> bytes:
        if len(self.data) > most:
            raise LinuxError(errno.ENAMETOOLONG)
        return self.data


class KnownBytes:
    """A structure, in the place of a pointer to one."""

    __slots__ = ("address", "data")

    def __init__(self, data: bytes, address: int) -> None:
        self.data = data
        self.address = _Address(address)
        self.address.data = data

    @property
    def is_null(self) -> bool:
        return False


class KnownStrings:
    """An array of strings, in the place of a pointer to one."""

    __slots__ = ("address", "strings")

    def __init__(self, strings: list[bytes], address: int) -> None:
        self.strings = strings
        self.address = _Address(address)
        self.address.strings = strings

    @property
    def is_null(self) -> bool:
        return not self.address


def known_bytes(address: int, size: int) -> bytes | None:
    """The bytes at an address, if they are known; None if not, or not so many."""
    data: bytes | None = getattr(address, "data", None)
    return None if data is None or len(data) < size else data[:size]
