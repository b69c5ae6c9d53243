"""Transfers where the call counts: an iovec array copied in and used, against the same bytes flat and that many Python
calls; a byte by a partial verb against the same by a strict one, which takes the same road.
"""

from __future__ import annotations

import ctypes
import random
import struct
from typing import Any

from axptr import PAGE_SIZE, AddrSpace, IoVec, UserPtr

from .harness import Benchmark, Mode, Pair, work
from .memory import BASE, SEED, Twin

SEGMENTS = 1024
EACH = 64


def benchmarks() -> list[Benchmark]:
    return [
        Benchmark(
            "iovec.1024",
            f"IoVec.read of {SEGMENTS} segments of {EACH} bytes, then stream().copy_in of them all",
            f"a flat copy of the same bytes, and {SEGMENTS} empty Python calls",
            2.0,
            _prepare,
        ),
        Benchmark(
            "partial.1",
            "a byte by pointer.copy_in and another by copy_out",
            "the same by read_slice and write_slice",
            1.5,
            _prepare_partial,
        ),
    ]


def _prepare(mode: Mode) -> Pair:
    twin = Twin.filled(256 * PAGE_SIZE)
    draw = random.Random(SEED)
    places = [BASE + draw.randrange(8 * PAGE_SIZE, 256 * PAGE_SIZE - EACH) for _ in range(SEGMENTS)]
    twin.space.write(BASE, b"".join(struct.pack("<QQ", place, EACH) for place in places))
    buffer = bytearray(SEGMENTS * EACH)
    assert IoVec.read(twin.space, BASE, SEGMENTS).stream(twin.space).copy_in(buffer) == len(buffer)
    assert buffer == b"".join(twin.host[place - BASE : place - BASE + EACH] for place in places)
    view = memoryview(twin.host)

    def close() -> None:
        view.release()
        twin.close()

    return Pair(
        work(_scattered, twin.space, buffer),
        work(_flat, view, buffer),
        close=close,
    )


def _scattered(space: AddrSpace, buffer: bytearray) -> None:
    IoVec.read(space, BASE, SEGMENTS).stream(space).copy_in(buffer)


def _flat(view: memoryview, buffer: bytearray) -> None:
    buffer[:] = view[: len(buffer)]
    for _ in range(SEGMENTS):
        _nothing()


def _nothing() -> None:
    pass


def _prepare_partial(mode: Mode) -> Pair:
    twin = Twin.filled(16 * PAGE_SIZE)
    pointers = [UserPtr[ctypes.c_char](BASE + random.Random(SEED + i).randrange(16 * PAGE_SIZE)) for i in range(256)]
    return Pair(
        work(_partial, pointers, twin.space, bytearray(1)),
        work(_strict, pointers, twin.space),
        close=twin.close,
        operations=2 * len(pointers),
    )


def _partial(pointers: list[Any], space: AddrSpace, buffer: bytearray) -> None:
    for pointer in pointers:
        pointer.copy_in(space, buffer)
        pointer.copy_out(space, buffer)


def _strict(pointers: list[Any], space: AddrSpace) -> None:
    for pointer in pointers:
        pointer.write_slice(space, pointer.read_slice(space, 1))
