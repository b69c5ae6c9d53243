"""C's integer names for the annotations of handlers.

A handler annotated `fd: c_int` receives a plain `int`: the register converted as C would. At run time these say width
and sign, which is all that the framework asks; to a type checker they are `int`, which is what the handler gets. The
types of ctypes work just as well as annotations, without the help of the checker. They are not these: a start has no
time to load ctypes for a name. `UserPtr[c_int]` points at the one of the same name.
"""

from __future__ import annotations


class CInteger:
    """An integer of C's as a register has it. bits: its width."""

    __slots__ = ("__name__", "bits", "signed")

    def __init__(self, name: str, bits: int, signed: bool) -> None:
        self.__name__ = name
        self.bits = bits
        self.signed = signed

    def __repr__(self) -> str:
        return self.__name__

    @property
    def __ctype__(self) -> type:
        """The type of ctypes."""
        import ctypes  # not at a start

        return getattr(ctypes, self.__name__)  # type: ignore[no-any-return]


TYPE_CHECKING = False
if TYPE_CHECKING:
    c_int = int
    c_uint = int
    c_long = int
    c_ulong = int
    c_size_t = int
    c_ssize_t = int
    c_short = int
    c_ushort = int
    c_int64 = int
    c_uint64 = int
    c_int32 = int
    c_uint32 = int
    c_void_p = int
else:
    c_int = c_int32 = CInteger("c_int", 32, True)
    c_uint = c_uint32 = CInteger("c_uint", 32, False)
    c_long = c_ssize_t = c_int64 = CInteger("c_long", 64, True)
    c_ulong = c_size_t = c_uint64 = CInteger("c_ulong", 64, False)
    c_short = CInteger("c_short", 16, True)
    c_ushort = CInteger("c_ushort", 16, False)
    c_void_p = CInteger("c_void_p", 64, False)

__all__ = [
    "CInteger",
    "c_int",
    "c_int32",
    "c_int64",
    "c_long",
    "c_short",
    "c_size_t",
    "c_ssize_t",
    "c_uint",
    "c_uint32",
    "c_uint64",
    "c_ulong",
    "c_ushort",
    "c_void_p",
]
