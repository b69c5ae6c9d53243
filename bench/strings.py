"""Strings and byte runs copied out of user memory, against the same done by hand on an mmap."""

from __future__ import annotations

import functools
import mmap
import random
from ctypes import c_char
from typing import Any

from axptr import PAGE_SIZE, UserConstPtr, read_string_array

from .harness import Benchmark, Mode, Pair, work
from .memory import BASE, SEED, Twin, make_task

MIB = 1 << 20


def benchmarks() -> list[Benchmark]:
    found = []
    for length, bar in ((32, 2.0), (4096, 1.3), (64 * PAGE_SIZE, 1.5)):
        for provider in ("space", "task"):
            found.append(
                Benchmark(
                    f"str.{length}.{provider}",
                    f"pointer.get_as_str({provider}), {length} bytes, over many pages",
                    "mmap.find(0), slice, decode",
                    bar,
                    functools.partial(_prepare_string, length, provider),
                )
            )
    found.append(
        Benchmark(
            "argv.100",
            "read_string_array(space, address), 100 strings of 20 bytes",
            'blob.split(b"\\0") of the same bytes',
            5.0,
            _prepare_argv,
        )
    )
    found.append(
        Benchmark(
            "slice.1MiB.space",
            "pointer.read_slice(space, 1 MiB)",
            "bytes(mmap_view[a:b])",
            1.05,
            _prepare_slice,
        )
    )
    return found


def _prepare_string(length: int, provider_name: str, mode: Mode) -> Pair:
    draw = random.Random(SEED)
    stride = length + 1 + length // 7  # so that strings start anywhere in a page and straddle two
    count = min(512, (8 << 20) // stride)
    text = bytearray()
    for _ in range(count):
        text += draw.randbytes(length).hex()[:length].encode() + bytes(stride - length)
    twin = Twin.filled(-(-len(text) // PAGE_SIZE) * PAGE_SIZE, data=bytes(text))
    provider = twin.space if provider_name == "space" else make_task(twin.space)
    offsets = [number * stride for number in range(count)]
    draw.shuffle(offsets)
    pointers = [UserConstPtr[c_char](BASE + offset) for offset in offsets]
    for pointer, offset in zip(pointers, offsets, strict=True):
        assert pointer.get_as_str(provider) == twin.host[offset : offset + length].decode()
    return Pair(
        work(_get_strings, pointers, provider),
        work(_find_and_decode, offsets, twin.host),
        operations=count,
        close=twin.close,
    )


def _get_strings(pointers: list[Any], provider: Any) -> None:
    for pointer in pointers:
        pointer.get_as_str(provider)


def _find_and_decode(offsets: list[int], host: mmap.mmap) -> None:
    for offset in offsets:
        host[offset : host.find(b"\0", offset)].decode()


def _prepare_argv(mode: Mode) -> Pair:
    texts = [text.encode() for text in random.Random(SEED).randbytes(1000).hex(":", 10).split(":")]
    blob = b"\0".join(texts)
    array = b"".join((BASE + PAGE_SIZE + 21 * i).to_bytes(8, "little") for i in range(len(texts)))
    twin = Twin.filled(4 * PAGE_SIZE, data=array.ljust(PAGE_SIZE, b"\0") + blob)
    assert read_string_array(twin.space, BASE) == texts == blob.split(b"\0")
    return Pair(
        work(functools.partial(read_string_array, twin.space, BASE)),
        work(functools.partial(blob.split, b"\0")),
        close=twin.close,
    )


def _prepare_slice(mode: Mode) -> Pair:
    twin = Twin.filled(16 * MIB)
    view = memoryview(twin.host)
    draw = random.Random(SEED)
    offsets = [draw.randrange(0, 15 * MIB) for _ in range(8)]
    pointers = [UserConstPtr[c_char](BASE + offset) for offset in offsets]
    for pointer, offset in zip(pointers, offsets, strict=True):
        assert pointer.read_slice(twin.space, MIB) == view[offset : offset + MIB]

    def close() -> None:
        view.release()
        twin.close()

    return Pair(
        work(_read_slices, pointers, twin.space),
        work(_copy_views, offsets, view),
        operations=len(offsets),
        close=close,
    )


def _read_slices(pointers: list[Any], provider: Any) -> None:
    for pointer in pointers:
        pointer.read_slice(provider, MIB)


def _copy_views(offsets: list[int], view: memoryview) -> None:
    for offset in offsets:
        bytes(view[offset : offset + MIB])
