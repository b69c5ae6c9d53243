"""The process that makes new inputs: atheris, libFuzzer, and what of the library they see.

Python modules of axptr and the calls of this package are instrumented as they are imported; the compiled core is where
it was built for it (CONTRIBUTING.md). What libFuzzer cannot see it is told: which call came out how, with which T.

A worker tells its parent through `Shared` memory how far it is and what it is running: that outlives any death. It
leaves by `_exit` as soon as it has made its calls, so that nothing at the end of the process (libFuzzer's own handlers
too) can change its status. Run by `python -m tests.fuzz` alone.
"""

from __future__ import annotations

import gc
import io
import mmap
import os
import struct
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any

_HEAD = struct.Struct("<QQQQ")
_ROOM = 1 << 16
DONE = 0x444F4E45
OUTCOMES = [0, 220, 221, *range(200, 206), *range(230, 236), 7, 12, 13, 17, 22, 28, 35, 36, 40, 84]


class Shared:
    """calls, inputs: so far. done: `DONE` once a worker left in peace. input: the one that runs, or ran last."""

    def __init__(self, fd: int) -> None:
        os.ftruncate(fd, _ROOM)
        self.memory = mmap.mmap(fd, _ROOM)

    def begin(self, data: bytes) -> None:
        calls, inputs, done, _ = _HEAD.unpack_from(self.memory)
        data = data[: _ROOM - _HEAD.size]
        self.memory[_HEAD.size : _HEAD.size + len(data)] = data
        _HEAD.pack_into(self.memory, 0, calls, inputs + 1, done, len(data))

    def end(self, calls: int) -> int:
        """All calls so far."""
        before, inputs, done, size = _HEAD.unpack_from(self.memory)
        _HEAD.pack_into(self.memory, 0, before + calls, inputs, done, size)
        return int(before + calls)

    def finish(self, done: int = DONE) -> None:
        calls, inputs, _, size = _HEAD.unpack_from(self.memory)
        _HEAD.pack_into(self.memory, 0, calls, inputs, done, size)

    @property
    def calls(self) -> int:
        return int(_HEAD.unpack_from(self.memory)[0])

    @property
    def inputs(self) -> int:
        return int(_HEAD.unpack_from(self.memory)[1])

    @property
    def done(self) -> bool:
        return bool(_HEAD.unpack_from(self.memory)[2] == DONE)

    @property
    def input(self) -> bytes:
        size = _HEAD.unpack_from(self.memory)[3]
        return bytes(self.memory[_HEAD.size : _HEAD.size + size])


def work(fd: int, goal: int, arguments: list[str]) -> None:
    """Run inputs until `goal` calls are made (0: as long as libFuzzer likes); does not return.

    arguments: libFuzzer's, the first its own name. fd: of the memory that is shared with the parent.
    """
    import atheris

    with redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["axptr", "tests.fuzz"]):
        from . import program
    shared = Shared(fd)
    tell = _telling(atheris, program)
    gc.collect()
    gc.freeze()
    gc.disable()  # the end of an input collects, where frames are left

    def one(data: bytes) -> None:
        shared.begin(data)
        calls = program.run(data, None, tell)
        if shared.end(calls) >= goal > 0:
            shared.finish()
            sys.stderr.flush()
            os._exit(0)

    atheris.Setup(arguments, one)
    atheris.Fuzz()


def _telling(atheris: Any, program: Any) -> Callable[[int, int, int], None]:
    """Counters of libFuzzer's: one for each operation and outcome, one for each operation and T."""
    functions = list(dict.fromkeys(program.OPERATIONS))
    place = [functions.index(function) for function in program.OPERATIONS]
    outcomes = {outcome: number for number, outcome in enumerate(OUTCOMES)}
    results = [[atheris._reserve_counter() for _ in range(len(OUTCOMES) + 1)] for _ in functions]
    kinds = [[atheris._reserve_counter() for _ in range(program.NKINDS)] for _ in functions]
    count = atheris._trace_branch

    def tell(opcode: int, outcome: int, kind: int) -> None:
        at = place[opcode]
        count(results[at][outcomes.get(outcome, -1)])
        count(kinds[at][kind])

    return tell
