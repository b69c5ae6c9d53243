"""Searching a space: for bytes, for values, for a regular expression. Literal unless it is `search_regex`.

A search looks at what is there and changes nothing: no page is brought in, no pager or device is called, a stack does
not grow. What it sees: - pages with a frame in this space's table, also where an area's flags would refuse the CPU, if
the area grants `access`; - an absent page of private anonymous memory counts as zeros for a match that also has a byte
in a page that is there; a match in absent pages alone is not one (else every space would be full of zeros); - nothing
of other absent pages: a match neither lies in them nor crosses them.

Matches cross pages and areas. Generators are lazy: the space is looked at, a window at a time, when the next match is
asked for, as it then is. Only an `AddrSpace` knows what is there: other memories are a `TypeError`.

Failure: mistakes of the caller; no memory that a guest can make raises anything.
"""

from __future__ import annotations

import ctypes
import re
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, SupportsIndex, TypeVar

from .._core.mm.space import SpaceCore
from .._core.pointers.codec import name_of
from .._core.pointers.seeker import Seeker
from .._core.words.buffers import plain
from .._core.words.codes import ACCESS
from ..addr import ADDRESS_END, checked_address, checked_size
from ..flags import MappingFlags
from ..forms.find import number_of
from .check import visit
from .values import dumped, type_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .provider import AddrSpaceProvider

READ = MappingFlags.READ
F = TypeVar("F")
Progress = Callable[[int], object]
"""Called with the address that a search has come to, after every window of at most 16 MiB."""


class RegexMatch(NamedTuple):
    """address: of the first byte. data: the bytes. groups: as of `re.Match.groups`."""

    address: int
    data: bytes
    groups: tuple[bytes | None, ...]


def search(
    provider: AddrSpaceProvider,
    pattern: Any,
    start: SupportsIndex = 0,
    size: int | None = None,
    *,
    align: int = 1,
    access: MappingFlags = READ,
    progress: Progress | None = None,
) -> Iterator[int]:
    """The address of each occurrence of `pattern` (bytes-like, literal) in a range, overlapping ones too.

    start, size: the range in bytes; None for all up to the end of the space. A match lies in the range as a whole.
    align: addresses are multiples of it, a power of two. access: what an area must grant; `MappingFlags(0)` looks into
    all.
    """
    text = bytes(plain(pattern))
    if not text:
        raise ValueError("no bytes to search for")
    return _found(_seeker(provider, start, size, access, len(text), align, True), text, None, align, progress)


def search_value(
    provider: AddrSpaceProvider,
    T: Any,
    value: Any,
    start: SupportsIndex = 0,
    size: int | None = None,
    *,
    mask: int | None = None,
    align: int | None = None,
    access: MappingFlags = READ,
    progress: Progress | None = None,
) -> Iterator[int]:
    """The address of each T equal to `value`, which is what `UserPtr[T].write` takes, as the space's data model has it.

    T: any that a pointer can point at. Padding is compared too, with what `write` would store there: zeros, or what an
    instance has. mask: for integers, the bits that count, whatever `value` has elsewhere. align: as T's unless given.
    The rest is as of `search`.
    """
    ptype = type_at(provider, start, T)
    if align is None:
        align = ptype.align
    text = _bytes_of(ptype, value)
    bits: bytes | None = None
    if mask is not None:
        number = number_of(ptype.seen)
        if number is None:
            raise TypeError(f"a mask is for integers, not for {name_of(T)}")
        wanted = checked_size(mask, "mask")
        if wanted >> 8 * len(text):
            raise OverflowError(f"mask {wanted:#x} does not fit in {name_of(T)}")
        bits = wanted.to_bytes(len(text), number[0])
        text = bytes(a & b for a, b in zip(text, bits, strict=True))
        if bits == b"\xff" * len(text):
            bits = None
    return _found(_seeker(provider, start, size, access, len(text), align, True), text, bits, align, progress)


def search_any(
    provider: AddrSpaceProvider,
    T: Any,
    values: Iterable[Any],
    start: SupportsIndex = 0,
    size: int | None = None,
    *,
    align: int | None = None,
    access: MappingFlags = READ,
    progress: Progress | None = None,
) -> Iterator[tuple[int, int]]:
    """Address and value of each T that equals any of `values` or lies in one: a pair `(low, high)`, both included.

    T: an integer of 8, 16, 32 or 64 bits, as `search_value` takes it. Each word is told once; all are looked for at
    the same time. A pair that is empty is a `ValueError`, no values find nothing. The rest is as of `search_value`.
    """
    ptype = type_at(provider, start, T)
    number = number_of(ptype.seen)
    if number is None or ptype.size not in (1, 2, 4, 8):
        raise TypeError(f"search_any looks for integers of 8, 16, 32 or 64 bits, not for {name_of(T)}")
    order, signed = number
    over = 1 << 8 * ptype.size
    spans: list[tuple[int, int]] = []
    for value in values:
        pair = value if isinstance(value, tuple) else (value, value)
        if len(pair) != 2:
            raise TypeError(f"want a value or a pair (low, high), not {len(pair)} values")
        low, high = (int.from_bytes(_bytes_of(ptype, each), order, signed=signed) for each in pair)
        if low > high:
            raise ValueError(f"nothing lies from {low} to {high}")
        if low < 0 <= high:  # words are compared without a sign
            spans += [(low % over, over - 1), (0, high)]
        else:
            spans.append((low % over, high % over))
    flat: list[int] = []
    for low, high in sorted(spans):
        if flat and low <= flat[-1]:
            flat[-1] = max(flat[-1], high)
        else:
            flat += [low, high]
    step = ptype.align if align is None else align
    seeker = _seeker(provider, start, size, access, ptype.size, step, True)
    bounds = struct.pack(f"={len(flat)}Q", *flat)
    swapped = order != sys.byteorder
    found = _looked(seeker if flat else None, lambda s: s.find_between(bounds, ptype.size, swapped, step), progress)
    return ((at, word - over if signed and word >= over // 2 else word) for at, word in found)


def search_regex(
    provider: AddrSpaceProvider,
    pattern: Any,
    start: SupportsIndex = 0,
    size: int | None = None,
    *,
    max_match: int = 4096,
    access: MappingFlags = READ,
    progress: Progress | None = None,
) -> Iterator[RegexMatch]:
    """The matches of a regular expression over bytes (`bytes`, or compiled), as `re.finditer` gives them.

    max_match: bytes that a match may have: a longer one may be cut or missed. Empty matches are not told. Absent pages
    are not seen, zeros or not. Memory is looked at in pieces: what the expression says of a start (`^`, look-behind)
    holds of a piece, not of the space. The rest is as of `search`.
    """
    wanted = pattern if isinstance(pattern, re.Pattern) else None
    if wanted is None:
        if not isinstance(pattern, (bytes, bytearray)):
            raise TypeError(f"want a regular expression over bytes, not {type(pattern).__name__}")
        wanted = re.compile(bytes(pattern))
    if not isinstance(wanted.pattern, bytes):
        raise TypeError("want a regular expression over bytes, not str")
    reach = checked_size(max_match, "max_match")
    if reach == 0:
        raise ValueError("a match must have bytes")
    return _matched(_seeker(provider, start, size, access, reach, 1, False), wanted, progress)


def _seeker(
    provider: AddrSpaceProvider,
    start: SupportsIndex,
    size: int | None,
    access: MappingFlags,
    reach: int,
    align: int,
    zeros: bool,
) -> Seeker | None:
    """Over the range; None if it is empty. Checks the arguments that all have."""
    first = checked_address(start, "start")
    past = ADDRESS_END if size is None else min(first + checked_size(size), ADDRESS_END)
    step = checked_size(align, "align")
    if step == 0 or step & (step - 1) or step >= ADDRESS_END:
        raise ValueError(f"alignment {step} is not a power of two")
    wanted = MappingFlags(access)

    def work(memory: Any) -> Seeker | None:
        if not isinstance(memory, SpaceCore):
            raise TypeError(f"{type(memory).__name__} does not say which of its pages are there: read it instead")
        return Seeker(memory, first, past - 1, int(wanted) & ACCESS, reach, zeros) if past - first >= 1 else None

    seeker: Seeker | None = visit(provider, work)
    if seeker is not None and reach > past - first:
        return None
    return seeker


def _bytes_of(ptype: Any, value: Any) -> bytes:
    """The bytes that `write` stores, of an instance of a scalar T too."""
    if isinstance(value, ctypes._SimpleCData) and isinstance(ptype.T, type) and isinstance(value, ptype.T):
        value = value.value
    return dumped(ptype, value)


def _found(
    seeker: Seeker | None, text: bytes, bits: bytes | None, align: int, progress: Progress | None
) -> Iterator[int]:
    return _looked(seeker, lambda s: s.find(text, bits, align), progress)


def _looked(seeker: Seeker | None, look: Callable[[Seeker], list[F]], progress: Progress | None) -> Iterator[F]:
    while seeker is not None and not seeker.done:
        yield from look(seeker)
        if progress is not None:
            progress(seeker.at)


def _matched(seeker: Seeker | None, pattern: re.Pattern[bytes], progress: Progress | None) -> Iterator[RegexMatch]:
    while seeker is not None and (piece := seeker.window()) is not None:
        start, data, ahead = piece
        end = start
        for match in pattern.finditer(data):
            if ahead is not None and start + match.start() >= ahead:
                break
            if match.end() > match.start():
                yield RegexMatch(start + match.start(), match.group(), match.groups())
                end = start + match.end()
        if ahead is not None and end > ahead:
            seeker.skip_to(end)
        if progress is not None:
            progress(seeker.at)


__all__ = ["RegexMatch", "search", "search_any", "search_regex", "search_value"]
