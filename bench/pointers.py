"""Typed reads and writes of a 32-bit word through a checked pointer, against `struct` on an mmap.

Every loop takes a new address each time: from 256 words on 16 pages where the bar is about the call itself,
from 4,096 words on 4,096 pages where it is about the look-up. "built" makes the pointer inside the loop.
"""

from __future__ import annotations

import functools
import mmap
import struct
from ctypes import c_uint32
from typing import Any

from axptr import PAGE_SIZE, UserConstPtr, UserPtr

from .harness import Benchmark, Mode, Pair, Side, work
from .memory import BASE, Twin, make_task, word_offsets

WORD = struct.Struct("<I")
VALUE = 0xDEADBEEF
FEW = (256, 16)
MANY = (4096, 4096)


def benchmarks() -> list[Benchmark]:
    found = []
    for verb, floor in (("read", 'Struct("<I").unpack_from(mmap, offset)[0]'), ("write", "pack_into")):
        for provider in ("space", "task"):
            for shape, bar, how in (
                ("existing", 0.6, f"pointer.{verb}({provider}), 256 existing pointers on 16 pages"),
                ("pages", 1.0, f"pointer.{verb}({provider}), existing pointers over 4,096 random pages"),
                ("built", 1.0, f"P(address).{verb}({provider}), over 4,096 random pages"),
            ):
                prepare = functools.partial(_prepare, verb, provider, shape)
                found.append(Benchmark(f"u32.{verb}.{shape}.{provider}", how, floor, bar, prepare))
    return found


def _prepare(verb: str, provider_name: str, shape: str, mode: Mode) -> Pair:
    count, npages = FEW if shape == "existing" else MANY
    twin = Twin.filled(npages * PAGE_SIZE)
    provider = twin.space if provider_name == "space" else make_task(twin.space)
    offsets = word_offsets(count, npages)
    addresses = [BASE + offset for offset in offsets]
    pointer_type: Any = (UserConstPtr if verb == "read" else UserPtr)[c_uint32]
    pointers = [pointer_type(address) for address in addresses]
    subject: Side
    if verb == "read":
        assert [p.read(provider) for p in pointers] == [WORD.unpack_from(twin.host, o)[0] for o in offsets]
        peer = work(_unpack, offsets, twin.host)
        subject = (
            work(_read_built, addresses, pointer_type, provider)
            if shape == "built"
            else work(_read_existing, pointers, provider)
        )
    else:
        peer = work(_pack, offsets, VALUE, twin.host)
        subject = (
            work(_write_built, addresses, VALUE, pointer_type, provider)
            if shape == "built"
            else work(_write_existing, pointers, VALUE, provider)
        )
    return Pair(subject, peer, operations=count, close=twin.close)


def _read_existing(pointers: list[Any], provider: Any) -> None:
    for pointer in pointers:
        pointer.read(provider)


def _read_built(addresses: list[int], pointer_type: Any, provider: Any) -> None:
    for address in addresses:
        pointer_type(address).read(provider)


def _unpack(offsets: list[int], host: mmap.mmap) -> None:
    word = WORD
    for offset in offsets:
        word.unpack_from(host, offset)[0]


def _write_existing(pointers: list[Any], value: int, provider: Any) -> None:
    for pointer in pointers:
        pointer.write(provider, value)


def _write_built(addresses: list[int], value: int, pointer_type: Any, provider: Any) -> None:
    for address in addresses:
        pointer_type(address).write(provider, value)


def _pack(offsets: list[int], value: int, host: mmap.mmap) -> None:
    word = WORD
    for offset in offsets:
        word.pack_into(host, offset, value)
