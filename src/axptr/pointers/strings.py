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

import codecs
import ctypes
import errno
import struct
import sys

from .._core.pointers.argv import gather
from .._core.pointers.codec import name_of
from .._core.pointers.pointer import UserConstPtr
from .._core.words.budget import charge
from ..addr import ADDRESS_END, PAGE_SIZE, checked_address, checked_size
from ..errors import LinuxError, UserFault
from ..flags import MappingFlags
from ..forms.find import form_of, number_of
from ..model import DataModel
from .check import scan
from .values import model_at, type_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, SupportsIndex

    from .provider import AddrSpaceProvider

WCHAR_ENCODING = f"utf-{8 * ctypes.sizeof(ctypes.c_wchar)}-{'le' if sys.byteorder == 'little' else 'be'}"
"""What a string of the host's `wchar_t` is: UTF-32 on Linux, UTF-16 on Windows."""
MAX_ARG_LEN = 32 * PAGE_SIZE - 1
"""Bytes of one argument without its terminator (MAX_ARG_STRLEN, execve(2))."""
MAX_ARG_TOTAL = 2 << 20
"""Bytes of all arguments: a quarter of the usual 8 MiB of stack."""

_Bytes = UserConstPtr[ctypes.c_char]
_WORDS = {4: "I", 8: "Q"}
_ORDERS = {"little": "<", "big": ">"}
_MARKS = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}


def read_terminated(
    provider: AddrSpaceProvider, address: SupportsIndex, width: int = 1, max_len: int | None = None
) -> bytes:
    """The bytes before a terminator of `width` (1, 2, 4 or 8) zero bytes, a whole number of elements. Needs READ alone.

    max_len: elements without the terminator. Raises `UserFault`, or `LinuxError(ENAMETOOLONG)` if there are more.
    """
    start, size = checked_address(address), checked_size(width, "width")
    if size == 1:
        return _Bytes(start).read_cstr(provider, max_len)
    if size not in (2, 4, 8):
        raise ValueError(f"elements are of 1, 2, 4 or 8 bytes, not {size}")
    return _terminated(provider, start, size, 1, max_len)


def _terminated(provider: AddrSpaceProvider, start: int, size: int, align: int, max_len: int | None) -> bytes:
    limit = None if max_len is None else checked_size(max_len, "max_len")
    data = scan(provider, start, size, align, MappingFlags.READ, limit)
    # Found, then copied: what another thread has ended earlier meanwhile, ends there.
    at = data.find(bytes(size))
    while at >= 0 and at % size:
        at = data.find(bytes(size), at + 1)
    return data if at < 0 else data[:at]


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
    width = _unit_of(encoding, errors)
    data = read_terminated(provider, address, width, max_len)
    return _decoded(data, encoding, errors, model_at(provider, address))


def text_of(
    ptr: Any,
    provider: AddrSpaceProvider,
    max_len: int | None = None,
    encoding: str | None = None,
    errors: str = "strict",
) -> str:
    """The text at a pointer before its terminator: see `UserPtr.get_as_str`.

    encoding: None for what T says: UTF-8 of bytes, UTF-16 and UTF-32 of `c_wchar` and of integers of 2 and 4 bytes, in
    T's byte order, which the data model may say. Pointers to bytes take any encoding, others one with units of their
    size. max_len: code units without the terminator. Raises `UserFault` for a misaligned pointer too, the rest as
    `read_text`; `TypeError` if T is nothing that text is made of, `ValueError` if the encoding has other units.
    """
    kind = type_at(provider, ptr, ptr.T)
    number = number_of(kind.seen)
    order = model_at(provider, ptr).order if number is None or kind.size == 1 else number[0]
    if not (kind.T is ctypes.c_wchar or _is_char(kind.seen) or (number is not None and kind.size in (1, 2, 4))):
        raise TypeError(f"text is made of characters, not of {name_of(ptr.T)}")
    if encoding is None:
        encoding = {1: "utf-8", 2: f"utf-16-{order[0]}e", 4: f"utf-32-{order[0]}e"}[kind.size]
    width = _unit_of(encoding, errors)
    if kind.size not in (1, width):
        raise ValueError(f"{encoding!r} is made of units of {width} bytes, {name_of(ptr.T)} has {kind.size}")
    data = _terminated(provider, ptr.address, width, kind.align, max_len)
    return _decoded(data, encoding, errors, model_at(provider, ptr))


def _is_char(T: Any) -> bool:
    form = form_of(T)
    return (T if form is None else form.ctype) is ctypes.c_char


def _decoded(data: bytes, encoding: str, errors: str, model: DataModel) -> str:
    name = codecs.lookup(encoding).name
    if name in _MARKS and not data.startswith(_MARKS[name]):
        encoding = f"{name}-{model.order[0]}e"
    try:
        return data.decode(encoding, errors)
    except UnicodeError as failure:
        place = f" at byte {failure.start}" if isinstance(failure, UnicodeDecodeError) else ""
        reason = failure.reason if isinstance(failure, UnicodeDecodeError) else str(failure)
        raise LinuxError(errno.EILSEQ, f"not {encoding}: {reason}{place}") from None


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
            text = _Bytes(pointers[len(strings)]).read_cstr(provider, min(most, left))
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


def _unit_of(encoding: str, errors: str) -> int:
    """Bytes of a code unit. `LookupError` if the encoding, or what to do about errors, is not known or not for text."""
    if not isinstance(encoding, str) or not isinstance(errors, str):
        raise TypeError("an encoding and what to do about errors are given by name")
    codecs.lookup_error(errors)
    info = codecs.lookup(encoding)
    if not getattr(info, "_is_text_encoding", True):
        raise LookupError(f"{encoding!r} is not an encoding of text")
    return {"utf-16": 2, "utf-32": 4}.get(info.name[:6], 1)


__all__ = [
    "MAX_ARG_LEN",
    "MAX_ARG_TOTAL",
    "WCHAR_ENCODING",
    "read_string_array",
    "read_terminated",
    "read_text",
    "text_of",
]
