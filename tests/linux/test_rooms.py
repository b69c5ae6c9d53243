"""The rooms that a system call passes: a guest's write of a few bytes, from the engine's hook to the host's own write.

Counted are directories, as CONTRIBUTING's tables have them: a room is passed if a function of one of its modules is
called, Python's or compiled (`_core/X` is the room of X). Two are counted without being seen, as Python
calls nothing of them: the engine, whose hook makes the call, and `mm`, through whose page tables the bytes are copied.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import axptr
from axptr.linux import create_process

SOURCE = "#include <unistd.h>\nstatic char b[40000];\nint main() { for (int i = 0; i < 3; i++) write(1, b, sizeof b); }"
"""So much that the handler does it, and not the compiled call for what is small."""
WRITE = 1
ROOT = str(Path(axptr.__file__).parent)
MOST = 9
CORE = {"cpu": "engine"}
WRAPPER = "axptr._core.words.conversion"
"""The wrapper of a handler, compiled: a part of `kernel/convert`, which makes it."""
WORDS = {"addr", "errors", "explain", "flags", "layout", "model", "named", "forms"}


def room_of(module: str) -> str:
    """The room of a module: `linux.fs.host` of `axptr.linux.fs.host.file`, `mm` of `axptr._core.mm.frames`."""
    if module == WRAPPER:
        return "kernel"
    first, *rest = module.removeprefix("axptr.").split(".")
    if first == "_core":
        return CORE.get(rest[0], rest[0])
    if first == "linux":
        return ".".join(["linux", *rest[:-1]])
    return "words" if first in WORDS else first


class Trail:
    """The rooms of what is called while it is set as the profiler, in order of their first call."""

    def __init__(self) -> None:
        self.rooms: dict[str, list[str]] = {"engine": [], "mm": []}
        self.host = False

    def note(self, module: str, what: str) -> None:
        names = self.rooms.setdefault(room_of(module), [])
        if what not in names:
            names.append(what)

    def __call__(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            file = frame.f_code.co_filename
            if file.startswith(ROOT):
                module = "axptr." + file[len(ROOT) + 1 :].removesuffix(".py").replace("/", ".")
                self.note(module, f"{module}:{frame.f_code.co_name}")
            elif file == "<axptr system call wrapper>":
                self.note("axptr.kernel.convert", "wrapper")
        elif event == "c_call":
            self.host = self.host or called is os.write
            kinds = type(getattr(called, "__self__", None)).__mro__
            own = [kind.__module__ for kind in kinds if called.__name__ in kind.__dict__]
            module = str(getattr(called, "__module__", None) or (own[0] if own else ""))
            if module.startswith("axptr._core"):
                self.note(module, f"{module}:{called.__name__}")


def trails(program: Path, output: int) -> list[Trail]:
    """Of each write of the program."""
    made: list[Trail] = []
    with create_process(program, stdio=(0, output, 2)) as process:
        dispatcher = process.kernel.dispatcher

        def watched(task: Any) -> Any:
            dispatch = dispatcher(task)

            def call(nr: int, *args: int) -> int | None:
                if nr != WRITE:
                    return dispatch(nr, *args)
                made.append(Trail())
                sys.setprofile(made[-1])
                try:
                    return dispatch(nr, *args)
                finally:
                    sys.setprofile(None)

            return call

        process.kernel.dispatcher = watched  # type: ignore[method-assign]
        assert process.run(timeout=30).exit_code is not None
    return made


def test_a_write_passes_few_rooms(compile_guest, tmp_path):
    program = compile_guest("writer", "-static", source=SOURCE)
    with open(tmp_path / "out", "wb") as file:
        first, *_, last = trails(program, file.fileno())
    assert (tmp_path / "out").read_bytes() == bytes(120_000)
    assert first.host
    assert last.host
    assert {"kernel", "linux.calls", "linux.task", "linux.fs.host", "pointers"} <= set(last.rooms)  # it sees something
    assert len(last.rooms) <= MOST, "\n".join(f"{room}: {', '.join(names)}" for room, names in last.rooms.items())


def test_a_write_to_a_device_passes_no_more(compile_guest):
    program = compile_guest("writer", "-static", source=SOURCE)
    with open("/dev/null", "wb") as file:
        *_, last = trails(program, file.fileno())
    assert len(last.rooms) <= MOST


def test_rooms_of_modules():
    modules = ["linux.fs.host.file", "linux.uaccess", "_core.mm.frames", "_core.cpu.x86.state", "addr", "mm.space"]
    assert [room_of(f"axptr.{module}") for module in modules] == [
        "linux.fs.host", "linux", "mm", "engine", "words", "mm",
    ]  # fmt: skip
