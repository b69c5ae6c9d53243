"""Addresses and address ranges.

A virtual address is a plain `int`, unsigned and below 2**64; a physical one is a `PhysAddr`, so that the two
cannot be mixed up silently. Ranges are half open, `[start, end)`. No arithmetic wraps: what would pass
2**64 is an error here and belongs to nobody in a look-up.

Not here: permissions (`flags`), and who owns a range (`mm`).
"""

from __future__ import annotations

from axptr._core.words.codes import PAGE_SHIFT as PAGE_SHIFT
from axptr._core.words.codes import PAGE_SIZE as PAGE_SIZE

from .named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS_END = 1 << 64
"""One past the last address: the end that a range may reach but never pass."""


class PhysAddr(int):
    """A physical address in bytes: an offset into a `PhysMemory`."""

    __slots__ = ()

    def __new__(cls, value: int) -> PhysAddr:
        checked_address(value)
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return f"PhysAddr({int(self):#x})"

    def __add__(self, other: int) -> PhysAddr:
        return PhysAddr(int(self) + int(other))

    def __sub__(self, other: int) -> PhysAddr:
        return PhysAddr(int(self) - int(other))


def checked_address(value: object, what: str = "address") -> int:
    """`value` as an unsigned 64-bit number.

    Raises `TypeError` if it is no integer, `ValueError` if it is negative or above 2**64 - 1.
    """
    number = value if type(value) is int else _integer(value, what)
    if not 0 <= number < ADDRESS_END:
        raise ValueError(f"{what} {number:#x} is not an unsigned 64-bit number")
    return number


def checked_size(value: object, what: str = "size") -> int:
    """`value` as a count of bytes or elements, 0 or more; `TypeError` or `ValueError` otherwise."""
    number = value if type(value) is int else _integer(value, what)
    if number < 0:
        raise ValueError(f"{what} {number} is negative")
    return number


def _integer(value: object, what: str) -> int:
    index = getattr(type(value), "__index__", None)
    if index is None:
        raise TypeError(f"{what} must be an integer, not {type(value).__name__}")
    return int(index(value))


def align_down(value: int, align: int = PAGE_SIZE) -> int:
    """The largest multiple of `align` (a power of two) that is at most `value`."""
    return value & ~(_checked_align(align) - 1)


def align_up(value: int, align: int = PAGE_SIZE) -> int:
    """The smallest multiple of `align` (a power of two) that is at least `value`; may be 2**64, never wraps."""
    return align_down(value + align - 1, align)


def is_aligned(value: int, align: int = PAGE_SIZE) -> bool:
    """Whether `value` is a multiple of `align`, a power of two."""
    return value & (_checked_align(align) - 1) == 0


def _checked_align(align: int) -> int:
    if align <= 0 or align & (align - 1):
        raise ValueError(f"alignment {align} is not a power of two")
    return align


class _Bounds(NamedTuple):
    start: int
    end: int


class VirtAddrRange(_Bounds):
    """The bytes `[start, end)`; `end` may be 2**64. Raises `ValueError` if it would run backwards or past it.

    A tuple (start, end): immutable, ordered, hashable. (Not a dataclass: those cost the command a tenth of its start.)
    """

    __slots__ = ()

    def __new__(cls, start: int, end: int) -> VirtAddrRange:
        first = checked_address(start, "start")
        past = checked_size(end, "end")
        if past > ADDRESS_END:
            raise ValueError(f"end {past:#x} is past 2**64")
        if past < first:
            raise ValueError(f"range {first:#x}-{past:#x} runs backwards")
        return super().__new__(cls, first, past)

    @classmethod
    def from_start_size(cls, start: int, size: int) -> VirtAddrRange:
        """The range of `size` bytes at `start`."""
        return cls(start, start + checked_size(size))

    @property
    def size(self) -> int:
        """Bytes in the range."""
        return self.end - self.start

    @property
    def is_empty(self) -> bool:
        return self.start == self.end

    def __contains__(self, vaddr: object) -> bool:
        return isinstance(vaddr, int) and self.start <= vaddr < self.end

    def contains_range(self, other: VirtAddrRange) -> bool:
        """Whether every byte of `other` is in this range."""
        return self.start <= other.start and other.end <= self.end

    def overlaps(self, other: VirtAddrRange) -> bool:
        """Whether the two share a byte; an empty range shares none."""
        return max(self.start, other.start) < min(self.end, other.end)

    def pages(self) -> Iterator[int]:
        """The address of each page that holds a byte of the range."""
        if self.is_empty:
            return iter(())
        return iter(range(align_down(self.start), self.end, PAGE_SIZE))

    def __repr__(self) -> str:
        return f"VirtAddrRange({self.start:#x}, {self.end:#x})"
