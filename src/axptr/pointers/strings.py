"""Text in user memory beyond `read_cstr`: any encoding, wide terminators, arrays of strings.

`read_terminated` finds the terminator, one element of zeros, page by page and never looks past it; `read_text` decodes
what came before it; `text_of` does so for a pointer, whose type says what its characters are. `read_string_array` is
what execve does with argv. All go through the checked scan and copies of pointers, over any provider; an `address` is
an integer or a pointer (`p.address`), of any alignment.

Not here: UTF-8 text by itself, which pointers read fastest (`get_as_str`), and live views of it
(`get_as_null_terminated`).

Failure: `UserFault` where a page before the terminator cannot be read, ENAMETOOLONG over the caller's limit, EILSEQ for
what cannot be decoded, E2BIG for an array over its limits. Source: execve(2), fs/exec.c (copy_strings).
"""

from __future__ import annotations

import errno
import struct
import sys

from .._core.pointers.argv import gather
from .._core.pointers.pointer import CONST_BYTES
from .._core.words.budget import charge
from ..addr import ADDRESS_END, PAGE_SIZE, checked_address, checked_size
from ..errors import LinuxError, UserFault
from .text import decoded, terminated, unit_of
from .values import model_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from .provider import AddrSpaceProvider

WCHAR_ENCODING = f"utf-32-{'le' if sys.byteorder == 'little' else 'be'}"
"""What a string of the host's `wchar_t` is, on Linux."""
MAX_ARG_LEN = 32 * PAGE_SIZE - 1
"""Bytes of one argument without its terminator (MAX_ARG_STRLEN, execve(2))."""
MAX_ARG_TOTAL = 2 << 20
"""Bytes of all arguments: a quarter of the usual 8 MiB of stack."""

_WORDS = {4: "I", 8: "Q"}
_ORDERS = {"little": "<", "big": ">"}


def read_terminated(
    provider: AddrSpaceProvider, address: SupportsIndex, width: int = 1, max_len: int | None = None
) -> bytes:
    """The bytes before a terminator of `width` (1, 2, 4 or 8) zero bytes, a whole number of elements. Needs READ alone.

    max_len: elements without the terminator. Raises `UserFault`, or `LinuxError(ENAMETOOLONG)` if there are more.
    """
    start, size = checked_address(address), checked_size(width, "width")
    if size == 1:
        return CONST_BYTES(start).read_cstr(provider, max_len)
    if size not in (2, 4, 8):
        raise ValueError(f"elements are of 1, 2, 4 or 8 bytes, not {size}")
    return terminated(provider, start, size, 1, max_len)


def read_text(
    provider: AddrSpaceProvider,
    address: SupportsIndex,
    encoding: str = "utf-8",
    errors: str = "strict",
    *,
    max_len: int | None = None,
) -> str:
    """The text before its terminator: two zero bytes for UTF-16, four for UTF-32, one for all other encodings.

    encoding, errors: as of `bytes.decode`; `WCHAR_ENCODING` is that of `wchar_t`; "utf-16" and "utf-32" by themselves
    begin with a byte order mark or are in the order of the data model. max_len: code units (bytes, or pairs or fours of
    them) without the terminator. Needs READ alone. Raises as `read_terminated`, `LinuxError(EILSEQ)` for what cannot be
    decoded, `LookupError` for no encoding.
    """
    width = unit_of(encoding, errors)
    data = read_terminated(provider, address, width, max_len)
    return decoded(data, encoding, errors, model_at(provider, address))


def read_string_array(
    provider: AddrSpaceProvider,
    address: SupportsIndex,
    *,
    max_len: int = MAX_ARG_LEN,
    max_total: int = MAX_ARG_TOTAL,
    name: str = "argv",
) -> list[bytes]:
    """The strings that a NULL-terminated array of pointers points at, as execve reads argv. Needs READ alone.

    The array is read once, then the strings; its pointers are as the data model has them. max_len: bytes of each string
    without its terminator. max_total: bytes of all with their terminators and pointers. name: what faults call it, as
    in `argv[3]`.
    Raises `LinuxError(E2BIG)` over a limit, `UserFault` where the array, or a string, cannot be read to its end.
    """
    start = checked_address(address)
    most, total = checked_size(max_len, "max_len"), min(checked_size(max_total, "max_total"), ADDRESS_END - 2)
    model = model_at(provider, address)
    width = model.pointer
    try:
        array = read_terminated(provider, start, width, total // (width + 1))
    except UserFault as fault:
        fault.object, fault.is_text = name, False
        raise
    except LinuxError as error:
        raise _too_big(error, f"the array at {start:#x} has too many strings for {total} bytes") from None
    pointers = struct.unpack(f"{_ORDERS[model.order]}{len(array) // width}{_WORDS[width]}", array)
    left = total - len(pointers) * (width + 1)
    strings: list[bytes] = []
    limit = min(most, ADDRESS_END - 2)
    while len(strings) < len(pointers):
        taken = gather(provider, pointers, len(strings), limit, left, strings)
        charge(provider, taken)
        left -= taken
        if len(strings) == len(pointers):
            break
        try:
            text = CONST_BYTES(pointers[len(strings)]).read_cstr(provider, min(most, left))
        except UserFault as fault:
            fault.object = f"{name}[{len(strings)}]"
            raise
        except LinuxError as error:
            what = f"is over {most} bytes" if most < left else f"and those before it are over {total} bytes"
            raise _too_big(error, f"string {len(strings)} of the array at {start:#x} {what}") from None
        left -= len(text)
        strings.append(text)
    return strings


def _too_big(error: LinuxError, message: str) -> LinuxError:
    return LinuxError(errno.E2BIG, message) if error.errno == errno.ENAMETOOLONG else error


__all__ = [
    "MAX_ARG_LEN",
    "MAX_ARG_TOTAL",
    "WCHAR_ENCODING",
    "read_string_array",
    "read_terminated",
    "read_text",
]
