"""C's integer names for the annotations of handlers.

A handler annotated `fd: c_int` receives a plain `int`: the register converted as C would. At run time these are
the ctypes types, so that the framework knows width and sign; to a type checker they are `int`, which is what the
handler gets. `ctypes.c_int` itself works just as well as an annotation, without the help of the checker.
"""

from __future__ import annotations

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
    from ctypes import (
        c_int,
        c_int32,
        c_int64,
        c_long,
        c_short,
        c_size_t,
        c_ssize_t,
        c_uint,
        c_uint32,
        c_uint64,
        c_ulong,
        c_ushort,
        c_void_p,
    )

__all__ = [
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
