"""Data models: how wide a pointer is and in which order bytes lie, for the program whose memory it is.

A space has one (`space.model`, LP64 unless told), and every provider of it the same. A pointer type by itself has
none: a verb reads and writes as the provider's model says. `under` fixes one for arithmetic, where no provider is at
hand (`argv + 1` is 4 bytes on in a 32-bit program), and then goes before the provider's; pointers that were read from
a space are fixed to its model.

What follows the model: user pointers and `c_void_p` (width and order), every ctypes number, `c_wchar`, array and
structure (order, alignment), struct codes with `@`, `=` or nothing before them (widths of `l`, `L`, `n`, `N`, `P`,
order, alignment). What says its own order keeps it: `c_uint32.__ctype_be__`, `BigEndianStructure`, `"<I"`, numpy's
dtypes, dissect's types.

Left out: `c_long` and `c_size_t`, which on this host are the very classes that `c_int64` and `c_uint64` are: use the
codes `"l"` and `"N"`. `c_longdouble`, which has no form where pointers have 4 bytes or the order is big: its bytes
differ from processor to processor. Arrays and members of `c_wchar` where the order is big: ctypes has none. Bit fields
that ctypes places otherwise than C does, as behind a number that leaves room.

Source of I386: System V ABI, Intel386 supplement, table 2.1: numbers of 8 bytes are aligned to 4, alone and in
structures.
"""

from __future__ import annotations

from .named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


class DataModel(NamedTuple):
    """name: for people. pointer: bytes of a pointer, of `long` and of `size_t`, 4 or 8. order: of the bytes.

    wide_align: alignment of numbers of 8 bytes (`long long`, `double`), 8 or 4. Models are equal if all four are.
    """

    name: str
    pointer: Literal[4, 8]
    order: Literal["little", "big"]
    wide_align: Literal[4, 8] = 8

    def __repr__(self) -> str:
        return self.name


LP64 = DataModel("LP64", 8, "little")
LP64_BIG = DataModel("LP64_BIG", 8, "big")
ILP32 = DataModel("ILP32", 4, "little")
ILP32_BIG = DataModel("ILP32_BIG", 4, "big")
I386 = DataModel("I386", 4, "little", 4)
"""ILP32 as programs of i386 lie in memory; 32-bit Arm, RISC-V and MIPS are `ILP32` and `ILP32_BIG`."""


def checked_model(model: object) -> DataModel:
    """`TypeError` unless it is a `DataModel`; `ValueError` for widths, alignments and orders that no program has."""
    if not isinstance(model, DataModel):
        raise TypeError(f"want a DataModel, such as ILP32, not {model!r}")
    if type(model.name) is not str or type(model.pointer) is not int or type(model.wide_align) is not int:
        raise TypeError(f"a DataModel is made of a str, an int, a str and an int, not of {tuple(model)}")
    if model.pointer not in (4, 8) or model.order not in ("little", "big"):
        raise ValueError(f"no data model has pointers of {model.pointer!r} bytes, {model.order!r}")
    if model.wide_align not in (4, 8) or model.wide_align < model.pointer:
        raise ValueError(f"no data model with pointers of {model.pointer} bytes aligns 8 bytes to {model.wide_align}")
    return model
