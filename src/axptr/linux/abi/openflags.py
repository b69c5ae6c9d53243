"""Flags of open(2), which architectures do not number alike: what a program's mean here, and back.

In a run they are the host's, `os.O_*`, as the host's calls take them. Source: asm-generic/fcntl.h, and asm/fcntl.h of
arm64: O_DIRECTORY and O_NOFOLLOW have changed places there with O_DIRECT and O_LARGEFILE; all else is alike.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LOW, _HIGH, _APART = 0o140000, 0o600000, 2
_LIKE_ARM = frozenset({"aarch64"})
_HOST_IS_ARM = os.O_DIRECTORY == 0o40000
O_LARGEFILE = 0o400000 if _HOST_IS_ARM else 0o100000
"""The host's; `os` has none, as open gives it to every file."""


def of_program(arch: str) -> Callable[[int], int]:
    """What makes a program's flags the host's, and the host's a program's: it is one and the same."""
    return _turned if (arch in _LIKE_ARM) != _HOST_IS_ARM else _alike


def generic(arch: str, flags: int) -> int:
    """A program's flags as asm-generic numbers them."""
    return _turned(flags) if arch in _LIKE_ARM else flags


def _alike(flags: int) -> int:
    return flags


def _turned(flags: int) -> int:
    return flags & ~(_LOW | _HIGH) | (flags & _LOW) << _APART | (flags & _HIGH) >> _APART
