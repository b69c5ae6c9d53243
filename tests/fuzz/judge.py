"""What must hold of every call, and what the model says of it: the fuzzer's rules.

* Whatever a guest may control raises `LinuxError` alone. An argument that only a Python caller can get wrong (the
  choosers note it in `wrong`) may also raise `TypeError` and its kin.
* A `UserFault` lies where the access lies, says how much was done before it, and why.
* No byte of a freed frame is ever seen: those are poisoned.
* Where the model (`shadow`) is sure, an access works or fails as it says, and moves the bytes that it says.

`Broken` is raised where a rule does not hold.
"""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Callable
from typing import Any

from axptr import LP64, AddrSpace, Copied, FaultReason, LinuxError, Locked, MappingFlags, UserFault
from axptr.kernel import Task
from fakes import PlainProvider

from .shadow import END, Shadow

POISON = b"\xdb" * 16
"""What freed frames are filled with, often enough that nothing else is."""
MISTAKES = (TypeError, ValueError, OverflowError, AttributeError, IndexError, BufferError, LookupError, MemoryError)
REASONS = {reason: number for number, reason in enumerate(FaultReason)}


class Broken(AssertionError):
    """A rule of the fuzzer does not hold."""


class Entry:
    """One memory: its shadow, its data model, and whether it is a real space, that can pin."""

    def __init__(self, memory: Any, shadow: Shadow, model: Any, name: str) -> None:
        self.memory, self.shadow, self.model, self.name = memory, shadow, model, name
        self.real = isinstance(memory, AddrSpace)
        plain = PlainProvider(memory)
        self.providers: list[Any] = [memory, memory, Locked(memory), plain] if self.real else [plain, Locked(memory)]
        if self.real:
            self.providers.append(Task(memory))
        self.native = model is LP64
        self.budgets = False  # whether one was ever set

    def room(self, provider: Any) -> int | None:
        """What its budget leaves a call of that provider; None if it has none."""
        budget = getattr(provider, "budget", None) or getattr(self.memory, "budget", None)
        return None if budget is None else budget.room


class Judge:
    """trace: takes a line for each call, or None. calls: made so far. wrong: whether an argument of this one is.

    error: what it raised. outcome: the same as a number, for libFuzzer. scarce: whether frames may run out. poor:
    whether the budget was too small for the call.
    """

    def __init__(self, trace: Callable[[str], object] | None) -> None:
        self.trace = trace
        self.calls = 0
        self.wrong = self.scarce = self.poor = False
        self.error: BaseException | None = None
        self.outcome = 0
        self.names: dict[int, str] = {}

    def call(self, f: Callable[..., Any], *args: Any, also: tuple[type[BaseException], ...] = (), **kwargs: Any) -> Any:
        """Make one call: what it gives, or None with what it raised in `error`.

        also: what else it may raise, by its own contract. `Broken` if it raises anything that it may not.
        """
        self.calls += 1
        self.error = None
        self.poor = False
        try:
            result = f(*args, **kwargs)
        except LinuxError as failure:
            self.error = failure.with_traceback(None)
            failure.__context__ = None
            self.outcome = failure.errno
            if isinstance(failure, UserFault):
                self.judge(failure)
                self.outcome = 200 + REASONS[failure.reason]
            result = None
        except MISTAKES as failure:
            if not self.wrong and not isinstance(failure, also):
                self.describe(f, args, kwargs, failure)
                raise Broken(f"{type(failure).__name__}, but no argument was wrong: {failure}") from failure
            self.error = failure.with_traceback(None)
            failure.__context__ = failure.__cause__ = None
            self.outcome = 220
            result = None
        except also as failure:
            self.error = failure.with_traceback(None)
            self.outcome = 221
            result = None
        except BaseException as failure:
            self.describe(f, args, kwargs, failure)
            raise
        else:
            self.outcome = 0
            if isinstance(result, Copied):
                self.judge(result.fault)
                self.outcome = 230 + REASONS[result.fault.reason]
            elif isinstance(result, (bytes, bytearray)) and POISON in result:
                self.describe(f, args, kwargs, result)
                raise Broken("bytes of a freed frame were seen")
        if self.trace is not None:
            self.describe(f, args, kwargs, self.error if self.error is not None else result)
        return result

    def judge(self, fault: UserFault) -> None:
        """What holds of every fault."""
        if fault.errno != errno.EFAULT or not isinstance(fault.reason, FaultReason):
            raise Broken(f"a fault of {fault.errno}, {fault.reason!r}")
        if not 0 <= fault.address <= END or fault.completed < 0 or fault.size < 0:
            raise Broken(f"{fault}: at {fault.address:#x}, {fault.completed} of {fault.size} done")
        if fault.size and fault.completed >= fault.size:
            raise Broken(f"{fault}: {fault.completed} of {fault.size} bytes done, and yet a fault")
        if not isinstance(fault.access, MappingFlags):
            raise Broken(f"{fault}: access {fault.access!r}")
        if (fault.below and fault.below.end > fault.address) or (fault.above and fault.above.start <= fault.address):
            raise Broken(f"{fault}: below it is {fault.below}, above it {fault.above}")
        if not isinstance(fault.object, str | None):
            raise Broken(f"{fault}: of {fault.object!r}")
        message = str(fault)
        if message == "" or fault.name not in fault.explain() or str(pickle.loads(pickle.dumps(fault))) != message:
            raise Broken(f"a fault says {message!r}, {fault.explain()!r}")

    def same(self, what: str, got: Any, wanted: Any) -> None:
        if got != wanted and not (got != got and wanted != wanted):
            raise Broken(f"{what}: {_short(got)}, want {_short(wanted)}")

    def expect(self, entry: Entry, start: int, size: int, align: int, access: int) -> bool:
        """Whether the strict access that was just made went as the model says. True if it says that it had to work."""
        error = self.error
        if self.wrong or not entry.shadow.sure or isinstance(error, MISTAKES):
            return False
        if isinstance(error, LinuxError) and not isinstance(error, UserFault):
            if error.errno == errno.ENOMEM and (self.scarce or self.poor or size > 1 << 20):
                return False
            raise Broken(f"an access of {size} bytes at {start:#x}: {error}") from error
        if size >= END:
            self.fault_at(None, None, None)  # a count of which no memory has as many
            return False
        if align > 1 and start % align:
            self.fault_at(start, FaultReason.MISALIGNED, 0)
            return False
        if start + size > END:
            bad, solid = entry.shadow.first_bad(start, END - start, access)
            if solid and entry.real:
                bad = END if bad is None else bad
                self.fault_at(bad, FaultReason.OUT_OF_RANGE if bad == END else None, bad - start)
            else:
                self.fault_at(None, None, None)
            return False
        if size == 0:
            if error is not None:
                raise Broken(f"an empty access at {start:#x} fails: {error}") from error
            return True
        bad, solid = entry.shadow.first_bad(start, size, access)
        if bad is None:
            if solid and error is not None:
                raise Broken(f"an access of {size} bytes at {start:#x} is allowed, and fails: {error}") from error
            return solid
        if error is None:
            raise Broken(f"an access of {size} bytes at {start:#x} works, and {bad:#x} may not be accessed")
        if solid and entry.real:
            self.fault_at(bad, None, bad - start)
            there = bad >> 12 in entry.shadow.pages
            if isinstance(error, UserFault) and there != (error.reason is FaultReason.PROTECTION):
                raise Broken(f"{error}: {error.reason}, and the page is {'there' if there else 'not there'}")
        return False

    def afford(self, room: int | None, size: int) -> None:
        """Whether a call that copies `size` bytes kept to a budget that had `room`: it fails if and only if it must."""
        error = self.error
        self.poor = room is not None and room < size
        if self.poor and error is None:
            raise Broken(f"{size} bytes copied, and the budget had room for {room}")

    def fault_at(self, address: int | None, reason: FaultReason | None, completed: int | None) -> None:
        fault = self.error
        if not isinstance(fault, UserFault):
            raise Broken(f"want a fault at {address and hex(address)}, got {fault!r}")
        if address is not None and fault.address != address:
            raise Broken(f"{fault}: at {fault.address:#x}, want {address:#x}") from fault
        if reason is not None and fault.reason is not reason:
            raise Broken(f"{fault}: {fault.reason}, want {reason}") from fault
        if completed is not None and fault.completed != completed:
            raise Broken(f"{fault}: {fault.completed} done, want {completed}") from fault

    def partial(self, entry: Entry, start: int, size: int, access: int, done: int | None) -> None:
        """Whether a counted copy came as far as the model says."""
        if self.wrong or not entry.shadow.sure or done is None:
            return
        if not 0 <= done <= size:
            raise Broken(f"{done} of {size} bytes copied")
        if done < size and not isinstance(done, Copied):
            raise Broken(f"{done} of {size} bytes copied, and no fault")
        bad, solid = entry.shadow.first_bad(start, size, access)
        most = min(size, END - start) if bad is None else bad - start
        if done > most or (solid and done < most and not self.scarce):
            raise Broken(f"{done} of {size} bytes at {start:#x} copied, want {most}")
        if isinstance(done, Copied) and done.fault.completed != done:
            raise Broken(f"{int(done)} bytes copied, and the fault says {done.fault.completed}")
        if isinstance(done, Copied) and done.fault.address != start + done:
            raise Broken(f"{int(done)} bytes at {start:#x} copied, and a fault at {done.fault.address:#x}")

    def wrote(self, entry: Entry, start: int, size: int, raw: bytes | None = None) -> None:
        """`size` bytes were stored: the model takes them over, from memory itself if nobody knows them."""
        if raw is None:
            size = min(size, END - start)
            if not entry.shadow.sure or size <= 0:
                return
            if not entry.real or size > 1 << 16:
                entry.shadow.forget(start, size)
                return
            try:
                raw = entry.memory.read(start, size)
            except LinuxError:
                entry.shadow.forget(start, size)
                return
        entry.shadow.poke(start, raw)

    def spoiled(self, entry: Entry, start: int, size: int) -> None:
        """A strict write failed: nothing is stored, unless a device or a pager stood in the way and broke it off."""
        if self.error is None or self.wrong or not entry.shadow.sure or size >= 1 << 20:
            return
        if not entry.shadow.first_bad(start, size, 0)[1]:
            entry.shadow.forget(start, size)

    def describe(self, f: Any, args: Any, kwargs: Any, result: Any) -> None:
        """One call as a line of Python, and what it gave."""
        if self.trace is None:
            return
        owner = getattr(f, "__self__", None)
        name = getattr(f, "__name__", None) or repr(f)
        if owner is not None and not isinstance(owner, type(os)):
            name = f"{self.shown(owner)}.{name}"
        words = [self.shown(arg) for arg in args] + [f"{key}={self.shown(value)}" for key, value in kwargs.items()]
        outcome = f"{type(result).__name__}: {result}" if isinstance(result, BaseException) else _short(result)
        self.trace(f"{name}({', '.join(words)})  # {outcome}")

    def shown(self, value: Any) -> str:
        found = self.names.get(id(value))
        return found if found is not None else _short(value)


def _short(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and type(value).__name__ == "int" and abs(value) > 64:
        return hex(value)
    text = repr(value)
    return text if len(text) < 120 else f"{text[:90]}... ({len(text)} characters)"
