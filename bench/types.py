"""Every kind of T, copied out of user memory and into it, against `struct`, ctypes and numpy on an mmap.

The pointers exist; each access has another address, out of 256 on 16 pages. A scalar's peer is the `struct` code of the
same bytes, a structure's `from_buffer_copy`, that of 1,000 elements one `unpack_from` or one copied `np.frombuffer`.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import struct
from collections.abc import Callable
from typing import Any

from axptr import PAGE_SIZE, AddrSpace, UserPtr

from .harness import Benchmark, Mode, Pair, Skip, work
from .memory import BASE, Twin, word_offsets

SCALARS: dict[str, tuple[Any, str]] = {
    "char": (ctypes.c_char, "c"),
    "bool": (ctypes.c_bool, "?"),
    "i8": (ctypes.c_int8, "b"),
    "u8": (ctypes.c_uint8, "B"),
    "i16": (ctypes.c_int16, "<h"),
    "u16": (ctypes.c_uint16, "<H"),
    "i32": (ctypes.c_int32, "<i"),
    "u32": (ctypes.c_uint32, "<I"),
    "i64": (ctypes.c_int64, "<q"),
    "u64": (ctypes.c_uint64, "<Q"),
    "f32": (ctypes.c_float, "<f"),
    "f64": (ctypes.c_double, "<d"),
    "voidp": (ctypes.c_void_p, "<Q"),
    "ptr": (UserPtr[ctypes.c_char], "<Q"),
    "code": ("<I", "<I"),
    "i16be": (ctypes.c_int16.__ctype_be__, ">h"),
    "u32be": (ctypes.c_uint32.__ctype_be__, ">I"),
    "u64be": (ctypes.c_uint64.__ctype_be__, ">Q"),
    "f64be": (ctypes.c_double.__ctype_be__, ">d"),
}
ELEMENTS = 1000


class Record(ctypes.Structure):
    """64 bytes of the kinds that kernels' structures are made of."""

    _fields_ = [
        ("kind", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("size", ctypes.c_uint64),
        ("time", ctypes.c_int64 * 2),
        ("name", ctypes.c_char * 16),
        ("at", ctypes.c_void_p),
        ("next", ctypes.c_uint64),
    ]


def benchmarks() -> list[Benchmark]:
    found = []
    for name, (T, code) in SCALARS.items():
        for verb, floor in (("read", f'Struct("{code}").unpack_from(mmap, offset)[0]'), ("write", "pack_into")):
            prepare = functools.partial(_prepare_scalar, T, struct.Struct(code), verb)
            found.append(Benchmark(f"scalar.{verb}.{name}", f"pointer.{verb}(space)", floor, 1.0, prepare))
    found.append(
        Benchmark(
            "struct.64",
            "pointer.read(space), a Structure of 64 bytes",
            "T.from_buffer_copy(mmap, offset)",
            1.3,
            _prepare_structure,
        )
    )
    for name, T, code in (("u32", ctypes.c_uint32, "I"), ("i16", ctypes.c_int16, "h"), ("f64", ctypes.c_double, "d")):
        found.append(
            Benchmark(
                f"slice.1000.{name}",
                f"pointer.read_slice(space, {ELEMENTS})",
                f'Struct("<{ELEMENTS}{code}").unpack_from(mmap, offset)',
                1.2,
                functools.partial(_prepare_slice, T, code),
            )
        )
    found.append(
        Benchmark(
            "slice.1000.ndarray",
            f"pointer.read_slice(space, {ELEMENTS}), T a dtype",
            f'np.frombuffer(mmap, "<u4", {ELEMENTS}, offset).copy()',
            1.2,
            _prepare_ndarray,
        )
    )
    return found


def _prepare_scalar(T: Any, code: struct.Struct, verb: str, mode: Mode) -> Pair:
    twin = Twin.filled(16 * PAGE_SIZE, data=None if code.format != "?" else b"\1\0\0\0" * (4 * PAGE_SIZE))
    offsets = [offset & -code.size for offset in word_offsets(256, 16)]
    kind: Any = UserPtr.of(T)
    pointers = [kind(BASE + offset) for offset in offsets]
    values = [code.unpack_from(twin.host, offset)[0] for offset in offsets]
    ours = [pointer.read(twin.space) for pointer in pointers]
    assert all(mine == theirs or mine != mine for mine, theirs in zip(map(_plain, ours), values, strict=True))
    if verb == "read":
        return _pair(twin, work(_read, pointers, twin.space), work(_unpack, offsets, code, twin.host), len(offsets))
    return _pair(
        twin,
        work(_write, pointers, ours[0], twin.space),
        work(_pack, offsets, code, values[0], twin.host),
        len(offsets),
    )


def _plain(value: Any) -> Any:
    return getattr(value, "address", value)


def _prepare_structure(mode: Mode) -> Pair:
    assert ctypes.sizeof(Record) == 64
    twin = Twin.filled(16 * PAGE_SIZE)
    offsets = [offset & -8 for offset in word_offsets(256, 16)]
    offsets = [offset for offset in offsets if offset % PAGE_SIZE <= PAGE_SIZE - 64]
    pointers = [UserPtr[Record](BASE + offset) for offset in offsets]
    for pointer, offset in zip(pointers, offsets, strict=True):
        assert bytes(pointer.read(twin.space)) == twin.host[offset : offset + 64]
    return _pair(
        twin,
        work(_read, pointers, twin.space),
        work(_copied, offsets, Record.from_buffer_copy, twin.host),
        len(offsets),
    )


def _prepare_slice(T: Any, letter: str, mode: Mode) -> Pair:
    code = struct.Struct(f"<{ELEMENTS}{letter}")
    twin = Twin.filled(32 * PAGE_SIZE)
    offsets = [offset & -8 for offset in word_offsets(32, 16)]
    pointers = [UserPtr[T](BASE + offset) for offset in offsets]
    for pointer, offset in zip(pointers, offsets, strict=True):
        theirs = code.unpack_from(twin.host, offset)
        assert all(a == b or a != a for a, b in zip(pointer.read_slice(twin.space, ELEMENTS), theirs, strict=True))
    return _pair(
        twin,
        work(_read_slices, pointers, twin.space),
        work(_unpack_all, offsets, code, twin.host),
        len(offsets),
    )


def _prepare_ndarray(mode: Mode) -> Pair:
    try:
        import numpy as np
    except ModuleNotFoundError:
        raise Skip("needs numpy: pip install 'axptr[numpy]'") from None
    twin = Twin.filled(32 * PAGE_SIZE)
    offsets = word_offsets(32, 16)
    dtype = np.dtype("<u4")
    pointers = [UserPtr.of(dtype)(BASE + offset) for offset in offsets]
    for pointer, offset in zip(pointers, offsets, strict=True):
        assert (pointer.read_slice(twin.space, ELEMENTS) == np.frombuffer(twin.host, dtype, ELEMENTS, offset)).all()
    return _pair(
        twin,
        work(_read_slices, pointers, twin.space),
        work(_copied_arrays, offsets, np.frombuffer, dtype, twin.host),
        len(offsets),
    )


def _pair(twin: Twin, subject: Any, peer: Any, operations: int) -> Pair:
    return Pair(subject, peer, operations=operations, close=twin.close)


def _read(pointers: list[Any], provider: AddrSpace) -> None:
    for pointer in pointers:
        pointer.read(provider)


def _unpack(offsets: list[int], code: struct.Struct, host: mmap.mmap) -> None:
    for offset in offsets:
        code.unpack_from(host, offset)[0]


def _write(pointers: list[Any], value: Any, provider: AddrSpace) -> None:
    for pointer in pointers:
        pointer.write(provider, value)


def _pack(offsets: list[int], code: struct.Struct, value: Any, host: mmap.mmap) -> None:
    for offset in offsets:
        code.pack_into(host, offset, value)


def _copied(offsets: list[int], copied: Callable[..., Any], host: mmap.mmap) -> None:
    for offset in offsets:
        copied(host, offset)


def _read_slices(pointers: list[Any], provider: AddrSpace) -> None:
    for pointer in pointers:
        pointer.read_slice(provider, ELEMENTS)


def _unpack_all(offsets: list[int], code: struct.Struct, host: mmap.mmap) -> None:
    for offset in offsets:
        code.unpack_from(host, offset)


def _copied_arrays(offsets: list[int], frombuffer: Callable[..., Any], dtype: Any, host: mmap.mmap) -> None:
    for offset in offsets:
        frombuffer(host, dtype, ELEMENTS, offset).copy()
