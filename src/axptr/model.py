"""Data models: how wide a pointer is and in which order bytes lie, for the program whose memory it is.

A space has one (`space.model`, LP64 unless told), and every provider of it the same. A pointer type by itself has
none: a verb reads and writes as the provider's model says. `under` fixes one for arithmetic, where no provider is at
hand (`argv + 1` is 4 bytes on in a 32-bit program); pointers that were read from a space are fixed to its model.

What follows the model: user pointers and `c_void_p` (width and order), every ctypes number, array and structure
(order), struct codes with `@`, `=` or nothing before them (widths of `l`, `L`, `n`, `N`, `P`, and order). What says
its own order keeps it: `c_uint32.__ctype_be__`, `BigEndianStructure`, `"<I"`, numpy's dtypes, dissect's types.

Left out: `c_long` and `c_size_t`, which on this host are the very classes that `c_int64` and `c_uint64` are: use the
codes `"l"` and `"N"`. Alignment is natural: i386, which aligns 8 bytes to 4 inside structures, is not described.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class DataModel(NamedTuple):
    """name: for people. pointer: bytes of a pointer, of `long` and of `size_t`, 4 or 8. order: of the bytes."""

    name: str
    pointer: Literal[4, 8]
    order: Literal["little", "big"]

    def __repr__(self) -> str:
        return self.name


LP64 = DataModel("LP64", 8, "little")
LP64_BIG = DataModel("LP64_BIG", 8, "big")
ILP32 = DataModel("ILP32", 4, "little")
ILP32_BIG = DataModel("ILP32_BIG", 4, "big")


def checked_model(model: object) -> DataModel:
    """`TypeError` unless it is a `DataModel`; `ValueError` for widths and orders that no program has."""
    if not isinstance(model, DataModel):
        raise TypeError(f"want a DataModel, such as ILP32, not {model!r}")
    if model.pointer not in (4, 8) or model.order not in ("little", "big"):
        raise ValueError(f"no data model has pointers of {model.pointer!r} bytes, {model.order!r}")
    return model
