"""Which engine a run gets: the one that was asked for, or, by default, the one that is right for it.

The host's own CPU, where it is an x86-64 one and the host lets us confine a process to it (seccomp with
notifications, memory files); the emulated one otherwise, and for a run that repeats: clocks, `cpuid` and counts are the
host's own there.

Failure: `OSError` for a native engine that was asked for and cannot be had; `ImportError` without the Unicorn library,
saying why it would be needed.
"""

from __future__ import annotations

import os

from ..named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core.phys.phys import PhysMemory
    from ..mm.space import AddrSpace
    from .engine import Engine

ENGINES = ("auto", "native", "unicorn")
_NATIVE = "the host's own CPU"


class Choice(NamedTuple):
    """engine: made. why: in a few words, for statistics. lack: why it is not the host's CPU, if that is to blame."""

    engine: Engine
    why: str
    lack: str = ""


def choose(
    wanted: str,
    phys: PhysMemory,
    space: AddrSpace,
    emulated: Callable[[PhysMemory], Engine],
    *,
    repeats: bool = False,
    ahead: int = 0,
    counter: Callable[[], int] | None = None,
) -> Choice:
    """An engine over `phys`; a native one has its process for `space` already.

    wanted: one of ENGINES. emulated: makes one of Unicorn. repeats: whether the run must be the same each time.
    ahead, counter: as of `NativeEngine`.
    """
    if wanted == "unicorn":
        return Choice(emulated(phys), "as asked")
    if wanted == "native":
        return Choice(_native(phys, space, ahead, counter), "as asked")
    if repeats:
        return Choice(emulated(phys), "auto: it makes a run repeat")
    machine = os.uname().machine
    if machine != "x86_64":
        lack = f"the host's CPU is {machine}"
    else:
        try:
            return Choice(_native(phys, space, ahead, counter), f"auto: {_NATIVE}")
        except OSError as error:
            lack = error.strerror or str(error)
    try:
        return Choice(emulated(phys), f"auto: {lack}", lack)
    except ImportError as error:
        raise ImportError(f"{error} ({lack})", name=error.name, path=error.path) from None


def _native(phys: PhysMemory, space: AddrSpace, ahead: int, counter: Callable[[], int] | None) -> Engine:
    from .native import NativeEngine

    engine = NativeEngine(phys, ahead=ahead, counter=counter)
    engine.attach(space)
    try:
        engine.prepare()
    except OSError:
        engine.close()
        raise
    return engine
