"""No verb keeps or gives away a reference: counts of what it is handed stay, and on a debug build the sum of all.

The sum leaves out one thing: every closure that compiled code makes adds one to the count of Cython's function type,
and never takes it back (Cython 3.3), which costs no memory.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from axptr import (
    AddrSpace,
    IoVec,
    MappingFlags,
    PhysMemory,
    Provider,
    UserAtomic,
    UserFile,
    UserPtr,
    UserSlice,
    access_user_memory,
    search,
)
from fakes import PlainProvider

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x10000
TIMES = 50


class Node(ctypes.Structure):
    _fields_ = [("next", ctypes.c_void_p), ("value", ctypes.c_uint64)]


class TaskLike(Provider):
    pass


class Bench:
    def __init__(self) -> None:
        self.phys = PhysMemory(1 << 26)
        self.space = AddrSpace(0x1000, 1 << 40, self.phys)
        self.space.map_alloc(BASE, 0x10000, R | W)
        self.space.write(BASE, b"text\0" * 10 + bytes(100))
        self.task = TaskLike()
        self.task._set_space(self.space)
        self.plain = PlainProvider(self.space)
        self.buffer = bytearray(16)
        self.data = b"text\0"
        self.node = Node()
        self.numbers = (ctypes.c_int * 4)()
        self.texts = (ctypes.c_char_p * 2)()
        self.number = UserPtr[ctypes.c_uint32](BASE)
        self.wide = UserPtr[ctypes.c_uint64](BASE + 8)
        self.text = UserPtr[ctypes.c_char](BASE)
        self.nodes = UserPtr[Node](BASE + 0x80)
        self.pointers = UserPtr[UserPtr[ctypes.c_char]](BASE + 0x80)
        self.hole = UserPtr[ctypes.c_char](0x5000)
        self.atomic = UserAtomic(BASE, ctypes.c_uint32)

    def held(self) -> list[Any]:
        types = [type(each) for each in (self.number, self.space, self.task, self.plain)]
        kinds = [UserPtr[ctypes.c_uint32], UserPtr[ctypes.c_char], UserPtr[Node], type(UserPtr[Node])]
        return [*vars(self).values(), *types, *kinds, None, True, ctypes.c_uint32, MappingFlags]


def failing(call: Callable[[], object]) -> None:
    with pytest.raises((OSError, TypeError, ValueError, OverflowError)):
        call()


VERBS: dict[str, Callable[[Bench], object]] = {
    "a pointer": lambda b: UserPtr[ctypes.c_uint32](0x123456789),
    "a pointer by name": lambda b: failing(lambda: UserPtr[ctypes.c_uint32](-1)),
    "read": lambda b: (b.number.read(b.space), b.wide.read(b.space), b.pointers.read(b.space)),
    "read, task": lambda b: b.number.read(b.task),
    "read, plain": lambda b: b.number.read(b.plain),
    "read a structure": lambda b: b.nodes.read(b.space),
    "read_slice": lambda b: (b.number.read_slice(b.space, 4), b.text.read_slice(b.space, 9)),
    "read_slice of structures": lambda b: b.nodes.read_slice(b.space, 2),
    "write": lambda b: (b.number.write(b.space, 7), b.wide.write(b.space, 1 << 60), b.nodes.write(b.space, b.node)),
    "write, plain": lambda b: b.number.write(b.plain, 7),
    "write_slice": lambda b: (b.number.write_slice(b.space, [1, 2]), b.text.write_slice(b.space, b.data)),
    "text": lambda b: (b.text.read_cstr(b.space), b.text.get_as_str(b.space)),
    "copy_in": lambda b: (b.text.copy_in(b.space, b.buffer), b.text.copy_in(b.space, b.numbers)),
    "copy_out": lambda b: (b.text.copy_out(b.space, b.data), b.text.copy_out(b.space, memoryview(b.buffer))),
    "copy_in, plain": lambda b: b.text.copy_in(b.plain, b.buffer),
    "live views": lambda b: (b.number.get(b.space), b.number.get_as_slice(b.space, 2), b.nodes.get(b.space)),
    "a view of text": lambda b: b.text.get_as_null_terminated(b.space),
    "atomics": lambda b: b.atomic.fetch_add(b.space, 1),
    "streams": lambda b: IoVec([(BASE, 4)]).stream(b.space).copy_in(b.buffer),
    "slices": lambda b: UserSlice(BASE, 8).reader(b.space).read(8),
    "files": lambda b: UserFile(b.space, BASE, 8).readinto(b.buffer),
    "a fault": lambda b: failing(lambda: b.hole.read(b.space)),
    "a short count": lambda b: b.hole.copy_in(b.space, b.buffer),
    "a refused buffer": lambda b: failing(lambda: b.text.copy_in(b.space, b.texts)),
    "a value that does not fit": lambda b: failing(lambda: b.number.write(b.space, 1 << 40)),
    "arithmetic": lambda b: (b.number + 4, b.number.cast(ctypes.c_char), b.nodes.field("value")),
    "areas": lambda b: b.space.areas(),
    "snapshots": lambda b: (b.space.snapshot(), b.space.try_clone()),
    "mapping": lambda b: (b.space.map_alloc(0x100000, 0x1000, R), b.space.unmap(0x100000, 0x1000)),
    "pagers": lambda b: (
        b.space.map_pager(0x200000, 0x1000, R, lambda offset: b.data, replace=True),
        UserPtr[ctypes.c_char](0x200000).read(b.space),
    ),
    "search": lambda b: list(search(b.space, b.data, BASE, 100)),
    "each": lambda b: list(UserPtr[ctypes.c_uint32](BASE + 0x30).each(b.space, 30)),
    "the mark": lambda b: access_user_memory().__enter__() or access_user_memory().__exit__(None, None, None),
    "spaces": lambda b: AddrSpace(0x1000, 1 << 30, b.phys),
}


def _function_type() -> list[type]:
    kinds = [vars(module) for name, module in sys.modules.items() if name.startswith("_cython_")]
    return [found for names in kinds for name, found in names.items() if name == "cython_function_or_method"]


def _total() -> int:
    total: int = sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else 0
    return total - sum(map(sys.getrefcount, _function_type()))


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_leaves_every_count_as_it_was(verb: str) -> None:
    bench = Bench()
    call = VERBS[verb]
    drifts = []
    for _ in range(3):
        gc.collect()
        before, total = [sys.getrefcount(each) for each in bench.held()], _total()
        for _ in range(TIMES):
            call(bench)
        gc.collect()
        after = [sys.getrefcount(each) for each in bench.held()]
        drifts.append([b - a for a, b in zip(before, after, strict=True)])
        if hasattr(sys, "gettotalrefcount"):
            drifts[-1].append(_total() - total)
    # A cache may fill once; what is kept at each call is seen in all rounds.
    kept = [min(rounds) for rounds in zip(*drifts[1:], strict=True)]
    gone = [max(rounds) for rounds in zip(*drifts[1:], strict=True)]
    assert max(kept) < TIMES // 2, kept
    assert min(gone) > -TIMES // 2, gone
