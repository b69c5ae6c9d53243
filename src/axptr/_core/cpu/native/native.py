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

import cython
from cython.cimports.axptr._core.cpu.metronome import clock_now
from cython.cimports.axptr._core.cpu.native.nativepages import NativePages, many_waiting
from cython.cimports.axptr._core.cpu.native.nativestate import G_CR2, G_ERROR, G_TRAP, R_RFLAGS, R_RSP
from cython.cimports.axptr._core.cpu.native.stub import (
    NAT_GUEST_CALL,
    NAT_NOTHING,
    NAT_SPAN,
    R_R8,
    R_R9,
    R_R10,
    R_RAX,
    R_RDI,
    R_RDX,
    R_RIP,
    R_RSI,
    nat_answer_guest,
    nat_cpu_time,
    nat_ended,
    nat_had_time,
    nat_interrupt,
    nat_listen,
    nat_next,
    nat_receipts_end,
    nat_say_receipts_end,
)
from cython.cimports.axptr._core.cpu.native.stubcache import in_the_way
from cython.cimports.axptr._core.cpu.running import (
    CAME_ASTRAY,
    CAME_BREAK,
    CAME_BROKEN,
    CAME_ERROR,
    CAME_EXCEPTION,
    CAME_FAULT,
    CAME_PYTHON,
    CAME_RENEW,
    CAME_STEP,
    CAME_STOPPED,
    CAME_TIMEOUT,
    CAME_WATCH,
    STEP_BARE,
    RunningCpu,
)
from cython.cimports.axptr._core.words.codes import (
    EXECUTE,
    FAULT_OK,
    FAULT_PROTECTION,
    FAULT_PYTHON,
    FAULT_UNMAPPED,
    FAULT_WATCHED,
    READ,
    WRITE,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_nogil, axptr_unlock
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t

_SIGILL = cython.declare(uint64_t, 4)
_SI_KERNEL = cython.declare(uint64_t, 0x80)
_URETPROBE = cython.declare(uint64_t, 335)
_SIGUSR1 = cython.declare(uint64_t, 10)
_SIGSYS = cython.declare(uint64_t, 31)
_ARCH_I386 = cython.declare(uint64_t, 0x4000_0003)
_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)
_vsyscall = cython.declare(uint64_t, 0xFFFF_FFFF_FF60_0000)
_resume_flag = cython.declare(uint64_t, 0x1_0000)
_nap = cython.declare(cython.int, 50)  # milliseconds: the longest wait without a look at the stub's life
_patience = cython.declare(cython.int, 40)  # naps in which a guest could have answered to a signal: it keeps it out


def _receipts_end(told: object = None) -> bool:
    """Whether the host ends a receipt with the guest's process, so that none is polled for. told: what a test says of it."""
    before: cython.bint = nat_receipts_end()
    if told is not None:
        nat_say_receipts_end(bool(told))
    return before


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
        code: cython.int = self.set_off()
        return self.wait() if code == 0 else code

    def set_off(self):
        """Let the guest run; 0, or a CAME_ code. One whose registers are lost never runs on with what is left of them."""
        if self.lost:
            return CAME_BROKEN
        if self.phys.nquarantine > many_waiting:
            self.settle()
        if in_the_way(self.mmu, self.stub.s.base):
            return CAME_RENEW
        if self.in_call:
            if self.sets_out():
                self.in_call = self.stub.waiting = False
                self.stub.s.channel.awake = 1
                if nat_answer_guest(cython.address(self.stub.s), self.regs_[R_RAX]) == 0:
                    if self.stub.beat.kicked:  # that was before it was the guest's turn
                        nat_interrupt(cython.address(self.stub.s), 0)
                    return 0
                self.in_call = self.stub.waiting = True  # a signal was faster: it comes out
            if self.surface() < 0:
                return CAME_BROKEN
        axptr_lock_nogil(self.phys.lock)
        if self.stub.asked() and self.stub.apply(self.mmu) < 0:
            axptr_unlock(self.phys.lock)
            return CAME_RENEW
        self.stub.link.at_rest = 0
        if self.mmu.has_points:
            self.mmu.renew_copies()
        if self.clock_page is not None:
            self.clock_page.renew()
        axptr_unlock(self.phys.lock)
        if self.stub.nused == 0:
            self.warm()
        self.bring_in()
        return CAME_RENEW if self.stub.resume() < 0 else 0

    def sets_out(self):
        """Whether the guest may go on with what it has mapped; from here on it may be doing so."""
        axptr_lock_nogil(self.phys.lock)
        ready: cython.bint = not self.stub.asked()
        if self.mmu.has_points:
            self.mmu.renew_copies()
        if self.clock_page is not None:
            self.clock_page.renew()
        if ready:
            self.stub.link.at_rest = 0
        axptr_unlock(self.phys.lock)
        return ready

    def wait(self):
        """Until the guest makes a call or hands over. 0, or a CAME_ code."""
        naps: cython.int = 0
        used: int64_t = -1
        event: cython.int = nat_listen(cython.address(self.stub.s))
        while event == NAT_NOTHING:
            if nat_ended(cython.address(self.stub.s)):
                self.stub.lose()
                if self.stub.s.overdue:
                    return CAME_ASTRAY
                # One that had not woken yet has not let the guest run.
                return CAME_BROKEN if self.stub.s.channel.awake else CAME_RENEW
            if not self.clock.kicked:
                naps = 0
                used = -1
            elif used < 0:
                nat_interrupt(cython.address(self.stub.s), 0)  # the clock's own may have come before the turn
                used = nat_cpu_time(cython.address(self.stub.s))
            else:
                naps += nat_had_time(cython.address(self.stub.s), cython.address(used))
            if naps > _patience:
                self.stub.lose()
                return CAME_ASTRAY
            event = nat_next(cython.address(self.stub.s), _nap)
        return self.arrive(event)

    def arrive(self, event):
        """The guest has come back with this event: its registers are here. 0, or a CAME_ code."""
        self.exits += 1
        if self.stub.take(event, self.regs_, cython.address(self.segments)) < 0:
            return CAME_ASTRAY
        self.in_call = event == NAT_GUEST_CALL
        self.pending = event
        return 0

    def serve(self):
        r: cython.pointer(uint64_t) = self.regs_
        a: cython.pointer(uint64_t) = self.args
        a[0], a[1], a[2], a[3] = r[R_RAX], r[R_RDI], r[R_RSI], r[R_RDX]
        a[4], a[5], a[6] = r[R_R10], r[R_R8], r[R_R9]
        self.serve_in_python()

    def put_result(self, value):
        self.regs_[R_RAX] = value

    def sort_out(self):
        """What the guest came back for: 0 if that is settled, a CAME_ code otherwise."""
        event: cython.int = self.pending
        self.pending = 0
        if event == NAT_GUEST_CALL:
            return self.served()
        return self.sort_signal()

    def served(self):
        """A system call is to be answered, and then?"""
        self.serve()
        if self.failed:
            return CAME_ERROR
        if not self.single:
            return 0
        return CAME_STOPPED if self.stop_inside else CAME_STEP

    def sort_signal(self):
        signal: uint64_t = self.stub.s.channel.signal
        trap: uint64_t = self.stub.frame[G_TRAP]
        error: uint64_t = self.stub.frame[G_ERROR]
        code: cython.int
        if signal == _SIGILL:
            if self.stub.s.channel.code == _SI_KERNEL:  # uretprobe, which no filter of the host's kernel sees (6.14)
                self.regs_[R_RAX] = _URETPROBE
                return self.served()
            trap, error = 6, 0  # where the CPU was to be asked for a part of it (XFD) the last trap stands there
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
                self.refused_access = EXECUTE
                self.refused = 1
                return CAME_FAULT
            return self.served()
        if self.stub.s.base <= self.regs_[R_RIP] < self.stub.s.base + NAT_SPAN:
            self.stub.lose()
            return CAME_ASTRAY
        if trap == 14:
            self.fault_addr = self.stub.frame[G_CR2]
            self.refused_access = EXECUTE if error & 16 else (WRITE if error & 2 else READ)
            self.refused_page = self.fault_addr & _page_mask
            if error & 32:  # by a protection key, which the guest has taken rights from: the page is as it should be
                self.refused = FAULT_PROTECTION
                return CAME_FAULT
            code = self.fill(self.fault_addr, self.refused_access)
            if code == FAULT_OK:
                if error & 16:  # it has not begun: a breakpoint there is still to come
                    self.regs_[R_RFLAGS] &= ~_resume_flag
                return 0
            if code == FAULT_WATCHED:
                return CAME_WATCH
            self.refused = code
            return CAME_PYTHON if code == FAULT_PYTHON else CAME_FAULT
        if trap == 1 and self.single:
            return CAME_STEP
        if trap == 3 and self.mmu.has_points and self.at_breakpoint(self.regs_[R_RIP] - 1):
            self.regs_[R_RIP] -= 1
            return CAME_BREAK
        self.vector = cython.cast(cython.int, trap)
        self.error_code = error
        return CAME_EXCEPTION

    def at_breakpoint(self, vaddr):
        """Whether an `int3` there is a debugger's."""
        result: cython.bint
        axptr_lock_nogil(self.phys.lock)
        result = self.mmu.points.breaks_at(vaddr) and not self.single & STEP_BARE
        axptr_unlock(self.phys.lock)
        return result

    def loop(self):
        """Run the guest until Python must look; one of the CAME_ codes."""
        code: cython.int
        while True:
            code = self.asked_to_stop()
            if code:
                return code
            if cython.cast(cython.p_void, self.stub) == cython.cast(cython.p_void, None) or self.stub.broken:
                return CAME_RENEW
            if self.deadline and clock_now() >= self.deadline:  # the guest does much until the next beat
                return CAME_TIMEOUT
            if self.stub.beat.kicked:
                code = self.beaten()
                if code:
                    return code
            code = 0 if self.pending else self.go()
            if code == 0:
                code = self.sort_out()
            if code:
                return code

    def _run(self, timeout, single: cython.int = 0):
        """Run until something happens: (kind, rip, address or vector, access or error code, FAULT_ code).

        single: STEP_* for a run of one instruction, for which the caller has set the trap flag unless it is a system call.

        Raises what a handler, a page's function or a signal's handler raised; `RuntimeError` if the guest's process was
        ended by somebody while it ran.
        """
        wait: int64_t = self.require_ready(timeout)
        if not single:
            return self.execute(wait)
        self.begin_single(single)
        try:
            return self.execute(wait)
        finally:
            self.begin_single(0)

    def keep_clock(self, page: object):
        """Have this page tell the guest the time, right each time that it goes on; None for no page."""
        self.clock_page = page

    def take_over(self):
        self.stub.link.owner = self.owner

    def next_instruction(self):
        return self.regs_[R_RIP]

    def came_out(self, code):
        if code == CAME_BROKEN:
            self.lost = True
            self.drop_stub()
        elif code == CAME_ASTRAY and not self.lost:
            base: object = self.stub.s.base
            self.drop_stub()
            return "fault", self.regs_[R_RIP], base, EXECUTE, FAULT_UNMAPPED
        return RunningCpu.came_out(self, code)
