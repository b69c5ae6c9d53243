"""What every CPU has that runs guests for Python: who runs it, how it is asked to come out, the handler of system calls,
and what follows a run.

Not here: guest code (`unicorn`, `native`), what an exit means to a kernel (`axptr.engine`).

Locking: `loop` runs without the GIL. A system call takes the GIL and holds no lock. One thread at a time runs a CPU or uses
its registers; `stop` and `preempt` are for every thread.
"""

import cython
from cython.cimports.axptr._core.cpu.metronome import (
    Beat,
    beat_add,
    beat_end,
    beat_hasten,
    beat_nudge,
    beat_remove,
    beat_start,
    clock_now,
)
from cython.cimports.axptr._core.cpu.running import (
    CALL_DONE,
    CALL_OPEN,
    CALL_WAITS,
    CAME_BREAK,
    CAME_BROKEN,
    CAME_ERROR,
    CAME_EXCEPTION,
    CAME_FAULT,
    CAME_PYTHON,
    CAME_RENEW,
    CAME_SIGNALS,
    CAME_STEP,
    CAME_STOPPED,
    CAME_TIMEOUT,
    CAME_WATCH,
    gettid,
)
from cython.cimports.axptr._core.cpu.x86.x86regs import register_bits
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.phys.coherence import EngineLink
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.lock import (
    axptr_lock_gil,
    axptr_share,
    axptr_thread,
    axptr_unlock,
    axptr_unshare,
)
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.cpython.object import PyObject_GenericGetAttr
from cython.cimports.libc.stdint import int64_t, uint64_t
from cython.cimports.libc.stdlib import free
from cython.cimports.posix.unistd import getpid

from axptr._core.cpu.x86 import x86regs
from axptr.errors import GuestLost

signal_period = 100_000_000  # nanoseconds between two looks for signals
_names = cython.declare(dict, {name: name for name in x86regs.names} | x86regs.parts)


@cython.cfunc
@cython.exceptval(-1, check=False)
def join(phys: PhysMemory, link: cython.pointer(EngineLink), beat: cython.pointer(Beat)) -> cython.int:
    link.stop = beat_nudge
    link.handle = beat
    beat_add(beat)
    axptr_lock_gil(phys.lock)
    try:
        phys.add_engine(link)
    finally:
        axptr_unlock(phys.lock)
    return 0


@cython.cfunc
@cython.exceptval(check=False)
def leave(phys: PhysMemory, link: cython.pointer(EngineLink), beat: cython.pointer(Beat)) -> cython.void:
    if link.handle == cython.NULL:
        return
    link.handle = cython.NULL
    beat_remove(beat)
    axptr_lock_gil(phys.lock)
    phys.remove_engine(link)
    axptr_unlock(phys.lock)
    free(link.drop)
    link.drop = cython.NULL


@cython.cfunc
@cython.with_gil
@cython.exceptval(check=False)
def _with_gil(cpu: RunningCpu) -> cython.void:
    cpu.call_handler()


@cython.cclass
class Answers:
    """What a kernel answers calls with: a handler as any other (`on_syscall`), that is called without Python's numbers too."""

    def at_once(self, call, result):
        """What it does itself of a number and six registers: a CALL_ code; nothing has changed if that is CALL_OPEN."""
        return CALL_OPEN

    def answer(self, call):
        """The rest of it: an int for the result, or None to leave all registers."""
        return self(call[0], call[1], call[2], call[3], call[4], call[5], call[6])


@cython.cclass
class Exchange:
    """Who may put another guest on the CPU while a run is under way."""

    def exchange(self):
        """The guest whose call was served is not to go on: another may, in the same run. True if the CPU has one that is to."""
        return False


@cython.no_gc_clear
@cython.cclass
class RunningCpu:
    """A CPU that can be run. `UserCpu` and `NativeState` derive from it; nobody else should."""

    # -- what each kind has of its own --------------------------------------------------------------------

    def loop(self):
        """Run the guest until Python must look; one of the CAME_ codes."""
        return CAME_BROKEN

    def next_instruction(self):
        return 0

    def put_result(self, value):
        """What a system call gives."""

    def begin_run(self):
        """Before a run, where something may still be refused."""
        return 0

    def take_over(self):
        """The run begins: by this thread."""

    def end_run(self):
        """Whatever came of it."""

    def renew(self):
        """After CAME_RENEW."""
        return 0

    def change_space(self, space):
        """`space` has been judged."""
        return 0

    def release(self):
        """Give everything back. Idempotent; the guest is not running."""

    def get_register(self, name):
        raise AttributeError(name)

    def set_register(self, name, value):
        raise AttributeError(name)

    # -- system calls -------------------------------------------------------------------------------------

    def serve_in_python(self):
        """`args` holds the call."""
        self.syscalls += 1
        _with_gil(self)

    def call_handler(self):
        """The Python part. Until it is done nobody runs without the GIL on this engine's account."""
        a: cython.pointer(uint64_t) = self.args
        value: int64_t = 0
        code: cython.int = CALL_OPEN
        axptr_unshare(self.phys.lock)
        self.serving = True
        try:
            compiled: cython.bint = isinstance(self.handler, Answers)
            if compiled:
                code = cython.cast(Answers, self.handler).at_once(a, cython.address(value))
            if code == CALL_DONE:
                self.put_result(value)
            elif code == CALL_OPEN:
                self.answered += 1
                if compiled:
                    result = cython.cast(Answers, self.handler).answer(a)
                else:
                    result = self.handler(a[0], a[1], a[2], a[3], a[4], a[5], a[6])
                if result is not None:
                    self.put_result(register_bits(result))
                elif self.preempted:
                    code = CALL_WAITS
            if code == CALL_WAITS:
                self.serving = False
                self.preempted = 0  # before the look at what others have posted: who posts asks for it afterwards
                if self.single or self.successor is None or not self.successor.exchange():
                    self.preempted = 1
        except BaseException as error:
            self.error = error
            self.failed = True
        finally:
            self.serving = False
            axptr_share(self.phys.lock)

    # -- running ------------------------------------------------------------------------------------------

    def asked_to_stop(self):
        """Before the guest goes on: a CAME_ code if it is not to, else 0."""
        if self.failed:
            return CAME_ERROR
        if self.stop_inside or self.stop_asked:
            return CAME_STOPPED
        return CAME_TIMEOUT if self.preempted else 0

    def goes_on_for(self, wait):
        """In a handler: the run under way ends in so many nanoseconds (-1: it does not), whatever was said before."""
        kicked: cython.int = self.clock.kicked
        self.deadline = clock_now() + wait if wait >= 0 else 0
        beat_start(self.clock, self.deadline)
        self.clock.kicked = kicked

    def beaten(self):
        """The clock has asked the CPU to come out: a CAME_ code if that was for something, else 0."""
        now: int64_t
        self.clock.kicked = 0
        now = clock_now()
        if self.deadline and now >= self.deadline:
            return CAME_TIMEOUT
        if self.signals_due and now >= self.signals_due:
            self.signals_due = now + signal_period
            return CAME_SIGNALS
        return 0

    def check_mine(self):
        """Raise `RuntimeError` if the CPU is closed, or runs in another thread."""
        if self.closed:
            raise RuntimeError("this engine is closed")
        if self.busy and self.owner != axptr_thread():
            raise RuntimeError("this engine is running in another thread")
        return 0

    def require_ready(self, timeout):
        """Raise unless it can be run now; `timeout` in nanoseconds, -1 for none."""
        self.check_mine()
        if self.busy:
            raise RuntimeError("this engine is running: run() is not for system call handlers")
        if self.mmu is None:
            raise RuntimeError("attach a space before running")
        if self.handler is None:
            raise RuntimeError("set a handler with on_syscall() before running")
        self.phys.alive()
        if timeout is None:
            return -1
        if not timeout >= 0:
            raise ValueError(f"a timeout of {timeout} seconds")
        return cython.cast(int64_t, min(timeout, 1e9) * 1e9)

    def execute(self, wait):
        """Run until something happens, as `_run` has it."""
        code: cython.int
        self.begin_run()
        # From here to the `finally` nothing may raise but in the loop: neither Python code, nor so a signal's handler.
        self.signals_due = gettid() == getpid()  # the main thread, to which Python gives them
        self.busy = True
        self.owner = axptr_thread()
        self.stop_inside = 0
        self.deadline = clock_now() + wait if wait >= 0 else 0
        self.take_over()
        beat_start(self.clock, self.deadline)
        axptr_share(self.phys.lock)
        try:
            while True:
                with cython.nogil:
                    code = self.loop()
                if code == CAME_PYTHON:
                    self.mmu.fault_python(self.refused_page, self.refused_access)
                elif code == CAME_SIGNALS:
                    PyErr_CheckSignals()
                elif code == CAME_RENEW:
                    self.renew()
                else:
                    break
            if code == CAME_ERROR:
                error = self.error
                self.error = None
                self.failed = False
                if not self.lost or not isinstance(error, GuestLost):  # else a handler asked for what is lost
                    raise error
            if code == CAME_STOPPED:
                self.stop_asked = 0
            elif code == CAME_TIMEOUT:
                self.preempted = 0
        finally:
            if self.clock != cython.NULL:
                beat_end(self.clock)
            axptr_unshare(self.phys.lock)
            self.end_run()
            self.busy = False
        return self.came_out(code)

    def came_out(self, code):
        """(kind, rip, address or vector, access or error code, FAULT_ code)."""
        if self.lost:
            return "lost", self.next_instruction(), 0, 0, 0
        if code == CAME_FAULT:
            self.phys.alive()  # a handler may have forked
            return "fault", self.next_instruction(), self.fault_addr, self.refused_access, self.refused
        if code == CAME_EXCEPTION:
            return "exception", self.next_instruction(), self.vector, self.error_code, 0
        if code == CAME_WATCH:
            return "watchpoint", self.next_instruction(), self.fault_addr, self.refused_access, 0
        if code == CAME_BREAK or code == CAME_STEP:
            return "breakpoint" if code == CAME_BREAK else "step", self.next_instruction(), 0, 0, 0
        return "timeout" if code == CAME_TIMEOUT else "stopped", self.next_instruction(), 0, 0, 0

    # -- for Python ---------------------------------------------------------------------------------------

    def stop(self):
        """Have the run under way end before the guest's next instruction, or the next run at once. From any
        thread.

        From a handler: the run ends after the call it serves, whose result the program gets.
        """
        if self.busy and self.owner == axptr_thread():
            self.stop_inside = 1
            return
        self.stop_asked = 1
        if self.busy and self.clock != cython.NULL:
            beat_nudge(self.clock)

    def preempt(self):
        """Have the run under way, or the next one, end as if its time were over. From any thread."""
        self.preempted = 1
        if self.busy and self.clock != cython.NULL and self.owner != axptr_thread():
            beat_nudge(self.clock)

    def shorten(self, timeout):
        """In a handler: the run under way ends in so many seconds, unless it does so before. Elsewhere nothing
        happens."""
        self.check_mine()
        if not timeout >= 0:
            raise ValueError(f"a timeout of {timeout} seconds")
        self.hasten(cython.cast(int64_t, min(timeout, 1e9) * 1e9))

    def hasten(self, wait):
        """`shorten`, in nanoseconds."""
        ends: int64_t = clock_now() + wait
        if self.busy and self.clock != cython.NULL and (self.deadline == 0 or ends < self.deadline):
            self.deadline = ends
            beat_hasten(self.clock, ends)

    def _call_in_hand(self):
        """In a handler: the number and the first argument of the call, as it was made; None elsewhere."""
        return (self.args[0], self.args[1]) if self.serving else None

    def attach(self, space: SpaceCore):
        """The CPU sees `space` from its next instruction on; None takes its memory away.

        Allowed from a handler. Raises `ValueError` for a space over another memory, `RuntimeError` while it
        runs elsewhere.
        """
        self.check_mine()
        if space is self.mmu:
            return
        if space is None and self.busy:
            raise RuntimeError("a running engine needs a space")
        if space is not None and space.phys is not self.phys:
            raise ValueError("the space lies in another PhysMemory than this engine's")
        self.change_space(space)

    @property
    def space(self):
        """The space the CPU sees, or None."""
        return self.mmu

    def on_syscall(self, handler):
        """`handler(nr, a0, a1, a2, a3, a4, a5)` answers system calls: an int for rax, or None to leave all registers."""
        self.check_mine()
        if not callable(handler):
            raise TypeError(f"a system call handler is callable, not {type(handler).__name__}")
        self.handle(handler)

    def handle(self, handler):
        """`on_syscall`, for those who know that it is callable."""
        self.handler = handler
        return 0

    @property
    def regs(self):
        """The registers by name: `engine.regs.rip`. In a system call's handler `rip` is the instruction after the call."""
        return Registers(self)

    def reg_read(self, name: str):
        """One register by its name, as `regs` has it."""
        return self.get_register(name)

    def reg_write(self, name: str, value):
        """Set one register by its name."""
        self.set_register(name, value)

    def close(self):
        """Give the CPU back now rather than with the last reference. Idempotent; `RuntimeError` while it runs."""
        if self.busy:
            raise RuntimeError("this engine is running")
        self.release()
        self.closed = True

    def __reduce__(self):
        raise TypeError("an engine cannot be pickled")


@cython.freelist(4)
@cython.cclass
class Registers:
    """The registers of a CPU as attributes, read and set at once: unsigned ints.

    A negative value stands for its two's complement. Raises `AttributeError` for an unknown name,
    `OverflowError` for a value that does not fit, `TypeError` for no int, `RuntimeError` while the CPU runs
    in another thread. Some have a second name, the part that they play on every architecture: `pc`, `sp`, `result`.
    """

    def __cinit__(self, cpu: RunningCpu):
        self.cpu = cpu

    def __getattribute__(self, name):
        known = _names.get(name)  # first: a failed look-up in the class costs more than the rest
        if known is not None:
            return self.cpu.get_register(known)
        return PyObject_GenericGetAttr(self, name)

    def __setattr__(self, name, value):
        self.cpu.set_register(_names.get(name, name), value)

    def __dir__(self):
        return x86regs.names

    def __repr__(self):
        names = [name for name in x86regs.names if not name.startswith(("xmm", "fp", "st"))]
        return f"<Registers {' '.join(f'{name}={getattr(self, name):#x}' for name in names)}>"

    def __reduce__(self):
        raise TypeError("registers cannot be pickled")
