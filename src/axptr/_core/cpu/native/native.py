"""The host's CPU over an address space: registers, system calls, faults, and the loop that runs the guest.

The guest runs in a stub (`stub`), which hands over whenever something happens that is not the guest's own to settle: a
system call, a missing page, an exception, somebody who asks. The loop settles what it can and lets the guest go on.
While it is our turn the general registers are here; the vector state (x87, SSE, AVX) lies in the frame of the signal that
handed over, where the host's kernel put it and takes it from, and is looked at there.

Not here: what an exit means to a kernel (`axptr.engine`), the stub's own code and calls.

Invariants: a stub is made when the guest is to run, and can be ended whenever it is our turn: registers and vector state
are taken out first. One thread at a time runs a CPU or uses its registers; `stop` is for every thread.

Locking: the loop runs without the GIL. A system call takes the GIL and holds no lock.
"""

import threading

import cython
from cython.cimports.axptr._core.cpu.metronome import (
    beat_end,
    beat_nudge,
    beat_start,
    clock_now,
)
from cython.cimports.axptr._core.cpu.native.native import (
    CAME_ASTRAY,
    CAME_DEAD,
    CAME_ERROR,
    CAME_EXCEPTION,
    CAME_FAULT,
    CAME_MOVED,
    CAME_PYTHON,
    CAME_SIGNALS,
    CAME_STOPPED,
    CAME_TIMEOUT,
)
from cython.cimports.axptr._core.cpu.native.nativepages import NativePages, many_waiting
from cython.cimports.axptr._core.cpu.native.nativestate import (
    G_CR2,
    G_ERROR,
    G_TRAP,
    R_R8,
    R_R9,
    R_R10,
    R_RAX,
    R_RDI,
    R_RDX,
    R_RIP,
    R_RSI,
    R_RSP,
    NativeRegisters,
)
from cython.cimports.axptr._core.cpu.native.stub import (
    NAT_SPAN,
    Stub,
    nat_calls,
    nat_ended,
    nat_kill,
    nat_wait,
)
from cython.cimports.axptr._core.cpu.native.stubcache import in_the_way
from cython.cimports.axptr._core.cpu.x86.x86regs import register_bits
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.words.codes import (
    EXECUTE,
    FAULT_OK,
    FAULT_PYTHON,
    FAULT_UNMAPPED,
    READ,
    WRITE,
)
from cython.cimports.axptr._core.words.lock import (
    axptr_lock_nogil,
    axptr_share,
    axptr_thread,
    axptr_unlock,
    axptr_unshare,
)
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t

_SIGUSR1 = cython.declare(uint64_t, 10)
_SIGSYS = cython.declare(uint64_t, 31)
_ARCH_I386 = cython.declare(uint64_t, 0x4000_0003)
_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)
_vsyscall = cython.declare(uint64_t, 0xFFFF_FFFF_FF60_0000)
_signal_period = cython.declare(int64_t, 100_000_000)  # nanoseconds between two looks for signals
_nap = cython.declare(int64_t, 50_000_000)  # the longest wait without a look at the stub's life
_patience = cython.declare(cython.int, 40)  # naps after a signal that a guest does not answer to: it keeps it out


@cython.cfunc
@cython.with_gil
@cython.exceptval(check=False)
def _with_gil(cpu: NativeCpu) -> cython.void:
    cpu.call_handler()


@cython.no_gc_clear
@cython.cclass
class NativeCpu(NativePages):
    """One CPU over `phys`. `axptr.engine.NativeEngine` derives from it; nobody else should.

    ahead: how many pages a guest that writes one after the other gets at once, at most; 0: each page when it is touched.
    syscalls, fills, exits: calls served, pages given, hand-overs. stubs: how many processes were started.
    """

    # -- running -------------------------------------------------------------------------------------------

    def go(self):
        """Let the guest run until it hands over; 0, or a CAME_ code."""
        if in_the_way(self.mmu, self.stub.s.base):
            return CAME_MOVED
        if self.phys.nquarantine > many_waiting:
            self.settle()
        if self.stub.asked():
            axptr_lock_nogil(self.phys.lock)
            if self.stub.apply(self.mmu) < 0:
                axptr_unlock(self.phys.lock)
                return CAME_MOVED
            axptr_unlock(self.phys.lock)
        self.bring_in()
        self.exits += 1
        if self.stub.resume() < 0:
            return CAME_MOVED
        return self.wait()

    def wait(self):
        """Until the guest hands over. Its registers are taken out."""
        naps: cython.int = 0
        while not nat_wait(self.stub.s.channel, _nap):
            if nat_ended(cython.address(self.stub.s)):
                self.stub.broken = True
                # One that never woke has not let the guest run.
                return CAME_MOVED if self.stub.s.channel.stub_sleeps else CAME_DEAD
            naps = naps + 1 if self.stub.beat.kicked else 0
            if naps > _patience or nat_calls(
                cython.address(self.stub.s), 0
            ):  # nobody told it to: the guest is in the stub's text
                nat_kill(cython.address(self.stub.s))
                self.stub.broken = True
                return CAME_ASTRAY
        self.stub.s.guest_turn = 0
        if self.stub.find_frame() < 0:
            nat_kill(cython.address(self.stub.s))
            self.stub.broken = True
            return CAME_ASTRAY
        self.take_out()
        return 0

    def serve(self):
        self.syscalls += 1
        _with_gil(self)

    def call_handler(self):
        r: cython.pointer(uint64_t) = self.regs_
        axptr_unshare(self.phys.lock)
        try:
            result = self.handler(r[R_RAX], r[R_RDI], r[R_RSI], r[R_RDX], r[R_R10], r[R_R8], r[R_R9])
            if result is not None:
                r[R_RAX] = register_bits(result)
        except BaseException as error:
            self.error = error
            self.failed = True
        finally:
            axptr_share(self.phys.lock)

    def sort_out(self):
        """What the guest handed over for: 0 if that is settled, a CAME_ code otherwise."""
        signal: uint64_t = self.stub.s.channel.signal
        trap: uint64_t = self.stub.frame[G_TRAP]
        error: uint64_t = self.stub.frame[G_ERROR]
        code: cython.int
        if signal == _SIGUSR1:
            return 0
        if signal == _SIGSYS:
            if cython.cast(uint32_t, self.stub.s.channel.arch) == _ARCH_I386:
                self.vector = 0x80
                self.error_code = 0
                return CAME_EXCEPTION
            if self.stub.s.channel.address & _page_mask == _vsyscall:
                # The host's kernel has done the return already: the guest jumped there, and finds nothing.
                self.regs_[R_RSP] -= 8
                self.regs_[R_RIP] = self.stub.s.channel.address
                self.fault_addr = self.stub.s.channel.address
                self.fault_access = EXECUTE
                self.fault_code = 1
                return CAME_FAULT
            self.serve()
            return CAME_ERROR if self.failed else 0
        if self.stub.s.base <= self.regs_[R_RIP] < self.stub.s.base + NAT_SPAN:
            nat_kill(cython.address(self.stub.s))
            self.stub.broken = True
            return CAME_ASTRAY
        if trap == 14:
            self.fault_addr = self.stub.frame[G_CR2]
            self.fault_access = EXECUTE if error & 16 else (WRITE if error & 2 else READ)
            code = self.fill(self.fault_addr, self.fault_access)
            if code == FAULT_OK:
                return 0
            self.fault_code = code
            return CAME_PYTHON if code == FAULT_PYTHON else CAME_FAULT
        self.vector = cython.cast(cython.int, trap)
        self.error_code = cython.cast(cython.int, error)
        return CAME_EXCEPTION

    def loop(self):
        """Run the guest until Python must look; one of the CAME_ codes."""
        code: cython.int
        now: int64_t
        while True:
            if self.failed:
                return CAME_ERROR
            if self.stop_inside or self.stop_asked:
                return CAME_STOPPED
            if self.preempted:
                return CAME_TIMEOUT
            if cython.cast(cython.p_void, self.stub) == cython.cast(cython.p_void, None) or self.stub.broken:
                return CAME_MOVED
            if self.deadline and clock_now() >= self.deadline:  # the guest does much until the next beat
                return CAME_TIMEOUT
            if self.stub.beat.kicked:
                self.stub.beat.kicked = 0
                now = clock_now()
                if self.signals_due and now >= self.signals_due:
                    self.signals_due = now + _signal_period
                    return CAME_SIGNALS
            code = self.go()
            if code == 0:
                code = self.sort_out()
            if code:
                return code

    def _run(self, timeout):
        """Run until something happens: (kind, rip, address or vector, access or error code, FAULT_ code).

        Raises what a handler, a page's function or a signal's handler raised; `RuntimeError` if the guest's process was
        ended by somebody while it ran.
        """
        code: cython.int
        wait: int64_t = 0
        self.check_mine()
        if self.busy:
            raise RuntimeError("this engine is running: run() is not for system call handlers")
        if self.mmu is None:
            raise RuntimeError("attach a space before running")
        if self.handler is None:
            raise RuntimeError("set a handler with on_syscall() before running")
        self.phys.alive()
        if timeout is not None:
            if not timeout >= 0:
                raise ValueError(f"a timeout of {timeout} seconds")
            wait = cython.cast(int64_t, min(timeout, 1e9) * 1e9)
        signals: cython.bint = threading.current_thread() is threading.main_thread()
        self.need_stub()
        # From here to the `finally` nothing may raise but in the loop: neither Python code, nor so a signal's handler.
        self.busy = True
        self.owner = self.stub.link.owner = axptr_thread()
        self.stop_inside = 0
        self.deadline = clock_now() + wait if timeout is not None else 0
        self.signals_due = signals
        beat_start(cython.address(self.stub.beat), self.deadline)
        axptr_share(self.phys.lock)
        try:
            while True:
                with cython.nogil:
                    code = self.loop()
                if code == CAME_PYTHON:
                    self.mmu.fault_python(self.fault_addr & _page_mask, self.fault_access)
                elif code == CAME_SIGNALS:
                    PyErr_CheckSignals()
                elif code == CAME_MOVED:
                    self.drop_stub()
                    self.need_stub()
                else:
                    break
            if code == CAME_ERROR:
                error = self.error
                self.error = None
                self.failed = False
                raise error
            if code == CAME_STOPPED:
                self.stop_asked = 0
            elif code == CAME_TIMEOUT:
                self.preempted = 0
        finally:
            if self.stub is not None:
                beat_end(cython.address(self.stub.beat))
            axptr_unshare(self.phys.lock)
            self.busy = False
        if code == CAME_DEAD:
            self.drop_stub()
            raise RuntimeError("the process in which the guest ran was ended from outside: its registers are lost")
        if code == CAME_ASTRAY:
            base: object = self.stub.s.base
            self.drop_stub()
            return "fault", self.regs_[R_RIP], base, EXECUTE, FAULT_UNMAPPED
        if code == CAME_FAULT:
            self.phys.alive()  # a handler may have forked
            return "fault", self.regs_[R_RIP], self.fault_addr, self.fault_access, self.fault_code
        if code == CAME_EXCEPTION:
            return "exception", self.regs_[R_RIP], self.vector, self.error_code, 0
        return "timeout" if code == CAME_TIMEOUT else "stopped", self.regs_[R_RIP], 0, 0, 0

    # -- for Python ---------------------------------------------------------------------------------------

    def stop(self):
        """Have the run under way end before the guest's next instruction, or the next run at once. From any
        thread.

        From a handler: the run ends after the call it serves, whose result the program gets.
        """
        stub: Stub = self.stub
        if self.busy and self.owner == axptr_thread():
            self.stop_inside = 1
            return
        self.stop_asked = 1
        if self.busy and stub is not None:
            beat_nudge(cython.address(stub.beat))

    def preempt(self):
        """Have the run under way, or the next one, end as if its time were over. From any thread."""
        stub: Stub = self.stub
        self.preempted = 1
        if self.busy and stub is not None and self.owner != axptr_thread():
            beat_nudge(cython.address(stub.beat))

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
        self.leave_stub()
        self.mmu = space
        if self.busy:
            self.need_stub()

    @property
    def space(self):
        """The space the CPU sees, or None."""
        return self.mmu

    def on_syscall(self, handler):
        """`handler(nr, a0, a1, a2, a3, a4, a5)` answers system calls: an int for rax, or None to leave all registers."""
        self.check_mine()
        if not callable(handler):
            raise TypeError(f"a system call handler is callable, not {type(handler).__name__}")
        self.handler = handler

    @property
    def regs(self):
        """The registers by name: `engine.regs.rip`. In a system call's handler `rip` is the instruction after the call."""
        return NativeRegisters(self)

    def close(self):
        """End the guest's process now rather than with the last reference. Idempotent; `RuntimeError` while it runs."""
        if self.busy:
            raise RuntimeError("this engine is running")
        self.leave_stub()
        self.cache.close()
        self.mmu = None
        self.closed = True

    def __reduce__(self):
        raise TypeError("an engine cannot be pickled")
