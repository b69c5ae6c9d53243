"""Running a program to a place: `Process.run(until=, count=)`; and `Stop`, where that came to.

A place is an address, a function by its name, or a system call. An address is a point in the program's space
(`engine.points`), which its other threads come to as well; a call is watched as a tracer does. What the machine's other
processes do meanwhile is done.

Not here: what to look at there (`axptr.debug`), a tracer that is a program of the machine (`task.trace`).
"""

from __future__ import annotations

from struct import iter_unpack

from ..engine import points
from .arguments import times
from .ends import Result
from .host import wall as now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..errors import LinuxError
    from .process import Process
    from .task.task import LinuxTask

    Place = str | int

CALL = "call:"
_AT_ENTRY = 9


class Stop:
    """task: the thread that came there. place: what was asked for. address: its next instruction.
    call, arguments, result: of a system call, which has just been made: its name, the arguments as its handler takes
    them, and what it gave (an int, a `LinuxError`, or None for one that does not return); else None.
    """

    __slots__ = ("address", "arguments", "call", "place", "result", "task")

    def __init__(self, task: LinuxTask, place: Place, address: int) -> None:
        self.task = task
        self.place = place
        self.address = address
        self.call: str | None = None
        self.arguments: tuple[Any, ...] | None = None
        self.result: int | LinuxError | None = None

    def __repr__(self) -> str:
        return f"<Stop at {self.place if isinstance(self.place, str) else hex(self.place)}: task {self.task.tid}>"


def run_until(process: Process, until: Place, count: int, timeout: float | None) -> Result:
    """See `Process.run`."""
    if not isinstance(until, (str, int)) or isinstance(until, bool):
        raise TypeError(f"want a symbol, an address or 'call:NAME', not {type(until).__name__}")
    times("times", count)
    begin = now()
    if isinstance(until, str) and until.startswith(CALL):
        result = _to_call(process, until, count, timeout)
    else:
        result = _to_symbol(process, until, count, timeout)
    result.wall = now() - begin
    return result


def _to_symbol(process: Process, until: Place, count: int, timeout: float | None) -> Result:
    if isinstance(until, int):
        return _to_address(process, until, until, count, timeout)
    from ..debug.symbols import Symbols

    symbols = Symbols(process.space)
    try:
        address = symbols.address_of(until)
    except LookupError:
        if _has_begun(process):
            raise
        begin = now()  # of a library, which is there when the program itself begins
        reached = _to_address(process, until, _entry(process), 1, timeout)
        if reached.stopped is None:
            return reached
        address = symbols.address_of(until)
        timeout = None if timeout is None else max(timeout - (now() - begin), 0.0)
    return _to_address(process, until, address, count, timeout)


def _entry(process: Process) -> int:
    """Where the program itself begins, once its interpreter has loaded what it needs."""
    vector = dict(iter_unpack("<QQ", process.task.mm.auxv))
    return int(vector[_AT_ENTRY])


def _has_begun(process: Process) -> bool:
    """Whether the program itself runs, and not its interpreter only: then some frame of its stack is in its file."""
    from ..debug.unwind import backtrace

    def store(address: int) -> object:
        area = process.space.find_area(address)
        return None if area is None else area.backend.store

    own = store(_entry(process))
    return any(store(frame.pc) is own for frame in backtrace(process))


def _to_address(process: Process, place: Place, address: int, count: int, timeout: float | None) -> Result:
    loop, space = process.machine.loop, process.space
    point = points.Breakpoint(space, address)
    end = None if timeout is None else now() + timeout
    points.add(point)
    try:
        while True:
            result = process.wait(None if end is None else max(end - now(), 0.0))
            exit = loop.stopped_at
            if not result.timed_out or exit is None:
                return result
            count -= point in exit.points
            if count == 0 or point not in exit.points:  # of another's point it is told, too
                stopped: Any = loop.stopped
                return Result(stopped=Stop(stopped, place, exit.pc))
    finally:
        points.remove(point)


def _to_call(process: Process, place: str, count: int, timeout: float | None) -> Result:
    kernel, loop, group = process.kernel, process.machine.loop, process.task.group
    wanted = place[len(CALL) :]
    if wanted not in {call.name for call in kernel.syscalls.values()}:
        raise LookupError(f"there is no system call {wanted!r}")
    before, left = kernel.on_call, count
    found: list[Stop] = []

    def watch(task: Any, call: Any, arguments: tuple[Any, ...], result: int | LinuxError | None) -> None:
        nonlocal left
        if before is not None:
            before(task, call, arguments, result)
        if call.name == wanted and task.group is group and not found:
            left -= 1
            if not left:
                stop = Stop(task, place, 0)
                stop.call, stop.arguments, stop.result = call.name, arguments, result
                found.append(stop)
                loop.leave()

    kernel.on_call = watch
    try:
        result = process.wait(timeout)
    finally:
        kernel.on_call = before
    if not found or not result.timed_out:
        return result
    [stop] = found
    stop.address = loop.registers(stop.task).pc
    return Result(stopped=stop)
