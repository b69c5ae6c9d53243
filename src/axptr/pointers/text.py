"""Text at a pointer, in the encoding that T or the caller says; code units, terminators and byte order marks.

Not here: strings at an address, and arrays of them (`strings`); UTF-8 of bytes, which pointers read by themselves.
"""

from __future__ import annotations

import codecs
import errno

from .._core.pointers.codec import name_of
from ..addr import checked_size
from ..errors import LinuxError
from ..flags import MappingFlags
from ..forms.find import form_of, number_of
from ..model import LP64, DataModel
from .check import model_of, scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .provider import AddrSpaceProvider

_MARKS = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}


def terminated(provider: AddrSpaceProvider, start: int, size: int, align: int, max_len: int | None) -> bytes:
    limit = None if max_len is None else checked_size(max_len, "max_len")
    data = scan(provider, start, size, align, MappingFlags.READ, limit)
    # Found, then copied: what another thread has ended earlier meanwhile, ends there.
    at = data.find(bytes(size))
    while at >= 0 and at % size:
        at = data.find(bytes(size), at + 1)
    return data if at < 0 else data[:at]


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
    import ctypes  # not at every start

    kind, model = ptr.type, ptr.type.model or model_of(provider)
    if kind.model is None and model != LP64:
        kind = kind.under(model)
    number = number_of(kind.seen)
    order = model.order if number is None or kind.size == 1 else number[0]
    if not (kind.T is ctypes.c_wchar or _is_char(kind.seen) or (number is not None and kind.size in (1, 2, 4))):
        raise TypeError(f"text is made of characters, not of {name_of(ptr.T)}")
    if encoding is None:
        encoding = {1: "utf-8", 2: f"utf-16-{order[0]}e", 4: f"utf-32-{order[0]}e"}[kind.size]
    width = unit_of(encoding, errors)
    if kind.size not in (1, width):
        raise ValueError(f"{encoding!r} is made of units of {width} bytes, {name_of(ptr.T)} has {kind.size}")
    data = terminated(provider, ptr.address, width, kind.align, max_len)
    return decoded(data, encoding, errors, model)


def _is_char(T: Any) -> bool:
    import ctypes

    form = form_of(T)
    return (T if form is None else form.ctype) is ctypes.c_char


def decoded(data: bytes, encoding: str, errors: str, model: DataModel) -> str:
    name = codecs.lookup(encoding).name
    if name in _MARKS and not data.startswith(_MARKS[name]):
        encoding = f"{name}-{model.order[0]}e"
    try:
        return data.decode(encoding, errors)
    except UnicodeError as failure:
        place = f" at byte {failure.start}" if isinstance(failure, UnicodeDecodeError) else ""
        reason = failure.reason if isinstance(failure, UnicodeDecodeError) else str(failure)
        raise LinuxError(errno.EILSEQ, f"not {encoding}: {reason}{place}") from None


def unit_of(encoding: str, errors: str) -> int:
    """Bytes of a code unit. `LookupError` if the encoding, or what to do about errors, is not known or not for text."""
    if not isinstance(encoding, str) or not isinstance(errors, str):
        raise TypeError("an encoding and what to do about errors are given by name")
    codecs.lookup_error(errors)
    info = codecs.lookup(encoding)
    if not getattr(info, "_is_text_encoding", True):
        raise LookupError(f"{encoding!r} is not an encoding of text")
    return {"utf-16": 2, "utf-32": 4}.get(info.name[:6], 1)
