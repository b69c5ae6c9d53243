"""A CPU of the Unicorn library over an address space: callbacks, and the loop that runs the guest.

The CPU's translations are those of the space: on a miss the library calls `_on_fill`, which asks
`SpaceCore.engine_fill`. Permissions, copy-on-write and dirty bits are therefore the page table's; the
library's own are never used.

What the guest may have cached goes stale when a space changes. Whoever changes it leaves a request in
`EngineLink`; `enter` applies it before each instruction that follows a stay outside. Guest code runs between
`enter` and the return of `emu_start`, except inside a system call's handler: `link.running` says so.

Not here: the CPU without memory (`usercpu`), what an exit means to a kernel (`axptr.engine`).

Locking: the loop and the fill callback run without the GIL; they take the memory's lock and give it back
before they call anything that may want the GIL. A system call takes the GIL and holds no lock.

Invariants: `pc` is the guest's next instruction whenever Python can look. One thread at a time runs a CPU or
uses its registers; `stop` is for every thread.

Source of the library's behaviour: found by trial with version 2.1.4; `tests/engine/test_unicorn_facts.py`
asserts it.
"""

import threading

import cython
from cython.cimports.axptr._core.codes import (
    EXECUTE,
    FAULT_NOT_MEMORY,
    FAULT_OK,
    FAULT_PYTHON,
    FAULT_RETRY,
    READ,
    WRITE,
)
from cython.cimports.axptr._core.lock import (
    axptr_lock_gil,
    axptr_lock_nogil,
    axptr_share,
    axptr_thread,
    axptr_unlock,
    axptr_unshare,
)
from cython.cimports.axptr._core.metronome import beat_add, beat_end, beat_nudge, beat_remove, beat_start, clock_now
from cython.cimports.axptr._core.phys import PhysMemory
from cython.cimports.axptr._core.space import SpaceCore
from cython.cimports.axptr._core.uclib import (
    CTL_EXITS,
    CTL_REMOVE_CACHE,
    CTL_TB_FLUSH,
    CTL_TLB_FLUSH,
    UC_ERR_EXCEPTION,
    UC_ERR_INSN_INVALID,
    UC_ERR_OK,
    UC_HOOK_INSN,
    UC_HOOK_INTR,
    UC_HOOK_TLB_FILL,
    UC_MEM_FETCH,
    UC_MEM_WRITE,
    UC_PROT_ALL,
    UC_X86_INS_IN,
    UC_X86_INS_OUT,
    UC_X86_INS_SYSCALL,
    UC_X86_INS_SYSENTER,
    UC_X86_REG_EFLAGS,
    UC_X86_REG_R8,
    UC_X86_REG_RAX,
    UC_X86_REG_RCX,
    UC_X86_REG_RDI,
    UC_X86_REG_RDX,
    UC_X86_REG_RIP,
    UC_X86_REG_RSI,
    TlbAnswer,
)
from cython.cimports.axptr._core.unicorn import (
    CAME_BROKEN,
    CAME_ERROR,
    CAME_EXCEPTION,
    CAME_FAULT,
    CAME_PYTHON,
    CAME_SIGNALS,
    CAME_STOPPED,
    CAME_TIMEOUT,
    NO_VECTOR,
    Ask,
)
from cython.cimports.axptr._core.usercpu import Context, Registers, UserCpu
from cython.cimports.axptr._core.x86regs import calm_registers, read_register, register_bits, write_register
from cython.cimports.cpython.exc import PyErr_CheckSignals
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import free

# A window onto all frames that no guest has: the fill hook answers for it only while the guest is outside.
_probe_va = cython.declare(uint64_t, 0x8000_0000_0000_0000)
_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)

_first_growth = cython.declare(uint64_t, 256)  # entries of the library's table at the start
_last_growth = cython.declare(uint64_t, 1 << 22)  # and at most
_many_frames = cython.declare(uint32_t, 256)  # from here on dropping all code is cheaper than frame by frame
_signal_period = cython.declare(int64_t, 100_000_000)  # nanoseconds between two looks for signals
_longest_step = cython.declare(cython.int, 15)  # bytes of the longest instruction
_stubborn = cython.declare(cython.int, 4)  # refusals in a row at one instruction before it is let through

# What a system call's callback reads, and what the CPU's own part of the call changes (rcx, r11).
_call_regs = cython.declare(cython.int[9])
_entry_regs = cython.declare(cython.int[2])
_call_regs[0], _call_regs[1], _call_regs[2] = UC_X86_REG_RAX, UC_X86_REG_RDI, UC_X86_REG_RSI
_call_regs[3], _call_regs[4], _call_regs[5] = UC_X86_REG_RDX, UC_X86_REG_R8 + 2, UC_X86_REG_R8
_call_regs[6], _call_regs[7], _call_regs[8] = UC_X86_REG_R8 + 1, UC_X86_REG_RIP, UC_X86_REG_EFLAGS
_entry_regs[0], _entry_regs[1] = UC_X86_REG_RCX, UC_X86_REG_R8 + 3


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_fill(
    uc: cython.p_void, vaddr: uint64_t, kind: cython.int, entry: cython.pointer(TlbAnswer), cpu: UnicornCpu
) -> cython.bint:
    return cpu.answer(vaddr, kind, entry)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_syscall(uc: cython.p_void, cpu: UnicornCpu) -> cython.void:
    if cpu.vector == NO_VECTOR:  # else the block ran on after an exception that could not end it
        cpu.serve()


@cython.cfunc
@cython.with_gil
@cython.exceptval(check=False)
def _with_gil(cpu: UnicornCpu) -> cython.void:
    cpu.call_handler()


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_interrupt(uc: cython.p_void, number: uint32_t, cpu: UnicornCpu) -> cython.void:
    if cpu.vector == NO_VECTOR:
        cpu.vector = number
        cpu.api.reg_read(uc, UC_X86_REG_RIP, cython.address(cpu.pc))
        cpu.pc_set = True
    cpu.asked_out = True
    cpu.api.emu_stop(uc)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_port_in(uc: cython.p_void, port: uint32_t, size: cython.int, cpu: UnicornCpu) -> uint32_t:
    value: uint64_t = 0
    _on_interrupt(uc, 13, cpu)  # the library lets user code use ports
    cpu.api.reg_read(uc, UC_X86_REG_RAX, cython.address(value))
    return cython.cast(uint32_t, value)  # what goes to al, ax or eax: nothing changes


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_port_out(uc: cython.p_void, port: uint32_t, size: cython.int, value: uint32_t, cpu: UnicornCpu) -> cython.void:
    _on_interrupt(uc, 13, cpu)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_sysenter(uc: cython.p_void, cpu: UnicornCpu) -> cython.void:
    _on_interrupt(uc, 6, cpu)  # as on a CPU without that call in 64-bit mode


@cython.no_gc_clear
@cython.cclass
class UnicornCpu(UserCpu):
    """One CPU over `phys`. `axptr.engine.UnicornEngine` derives from it; nobody else should.

    fills, flushes: translations asked for, and how often all were thrown away. starts: entries into guest
    code.
    syscalls, code_drops: calls served; frames whose translated code was dropped on request.
    """

    def __cinit__(self, phys: PhysMemory, library: str):
        self.grow_at = _first_growth
        self.vector = NO_VECTOR
        self.hook(UC_HOOK_TLB_FILL, cython.cast(cython.p_void, _on_fill), 0)
        self.hook(UC_HOOK_INTR, cython.cast(cython.p_void, _on_interrupt), 0)
        self.hook(UC_HOOK_INSN, cython.cast(cython.p_void, _on_syscall), UC_X86_INS_SYSCALL)
        self.hook(UC_HOOK_INSN, cython.cast(cython.p_void, _on_sysenter), UC_X86_INS_SYSENTER)
        self.hook(UC_HOOK_INSN, cython.cast(cython.p_void, _on_port_in), UC_X86_INS_IN)
        self.hook(UC_HOOK_INSN, cython.cast(cython.p_void, _on_port_out), UC_X86_INS_OUT)
        self.beat.kick = cython.cast(Ask, self.api.emu_stop)
        self.beat.handle = self.uc
        self.link.stop = beat_nudge
        self.link.handle = cython.address(self.beat)
        beat_add(cython.address(self.beat))
        axptr_lock_gil(phys.lock)
        try:
            phys.add_engine(cython.address(self.link))
        finally:
            axptr_unlock(phys.lock)
        self.linked = True

    def __dealloc__(self):
        self.release()

    def release(self):
        """Give everything back. Idempotent; the guest is not running."""
        beat_remove(cython.address(self.beat))
        if self.mmu is not None:
            self.mmu.detach_engine(cython.address(self.link))
            self.mmu = None
        if self.linked:
            self.linked = False
            axptr_lock_gil(self.phys.lock)
            self.phys.remove_engine(cython.address(self.link))
            axptr_unlock(self.phys.lock)
            free(self.link.drop)
            self.link.drop = cython.NULL
        self.shut()

    # -- what the library asks ----------------------------------------------------------------------------

    def answer(self, vaddr, kind, entry):
        """A translation for the page at `vaddr`, or False: then the access faults, all registers as before it."""
        code: cython.int = FAULT_NOT_MEMORY
        access: cython.int = READ
        perms: cython.int = 0
        if kind == UC_MEM_FETCH:
            access = EXECUTE
        elif kind == UC_MEM_WRITE:
            access = WRITE
        self.fills += 1
        self.fresh += 1
        if self.probing:
            entry.paddr = vaddr - _probe_va
            entry.perms = UC_PROT_ALL
            return entry.paddr < self.phys.size
        if self.mmu is not None:
            if self.fresh >= self.grow_at:
                # The library's table doubles at a flush when most of it was in use. A guest that keeps
                # missing needs that.
                self.flush()
                if self.grow_at < _last_growth:
                    self.grow_at *= 2
            code = self.mmu.engine_fill(vaddr, access, cython.address(entry.paddr), cython.address(perms))
            if code == FAULT_OK and self.link.need_flush:
                # This very fill, or another thread, made translations stale.
                if self.link.ndrop or self.link.drop_all or perms & EXECUTE:
                    code = FAULT_RETRY
                else:
                    self.flush_inside()
            elif code == FAULT_RETRY and self.retries >= _stubborn:
                # The instruction writes, through a mapping that is not executable, to the frame that it runs
                # from. With the execute bit in its own table the library sees by itself that code is
                # overwritten.
                perms |= EXECUTE
            if code == FAULT_RETRY and self.retries >= _stubborn:
                # Refused again and again at this instruction. Let it through; what is asked for is applied
                # when it next comes out, in 50 ms at the latest.
                self.retries = 0
                entry.perms = perms | access | READ
                return True
            if code == FAULT_OK:
                entry.perms = perms
                return True
        self.refused = code
        self.refused_access = access
        self.refused_page = vaddr
        return False

    def serve(self):
        """A system call: registers in, the handler, and out again at once unless something must be done outside."""
        i: cython.int
        places: cython.p_void[9]
        leave: cython.bint
        self.link.running = 0
        self.syscalls += 1
        for i in range(9):
            places[i] = cython.address(self.args[i])
        self.api.reg_read_batch(self.uc, _call_regs, places, 9)
        self.pc = self.args[7] + 2
        self.args[7] = self.pc
        self.api.reg_write_batch(self.uc, _entry_regs, cython.address(places[7]), 2)
        _with_gil(self)
        axptr_lock_nogil(self.phys.lock)
        self.link.running = 1
        leave = self.link.need_flush or self.link.ndrop or self.link.drop_all or self.phys.nwatched
        axptr_unlock(self.phys.lock)
        if leave or self.failed or self.pc_set or self.stop_inside or self.stop_asked:
            self.asked_out = True
            self.api.emu_stop(self.uc)

    def call_handler(self):
        """The Python part. Until it is done nobody runs without the GIL on this engine's account."""
        value: uint64_t
        a: cython.pointer(uint64_t) = self.args
        axptr_unshare(self.phys.lock)
        try:
            result = self.handler(a[0], a[1], a[2], a[3], a[4], a[5], a[6])
            if result is not None:
                value = register_bits(result)
                self.api.reg_write(self.uc, UC_X86_REG_RAX, cython.address(value))
        except BaseException as error:
            self.error = error
            self.failed = True
        finally:
            axptr_share(self.phys.lock)

    # -- running ------------------------------------------------------------------------------------------

    def flush(self):
        self.api.ctl(self.uc, CTL_TLB_FLUSH)
        self.flushes += 1
        self.fresh = 0

    def flush_inside(self):
        """Inside a fill: what was translated so far is stale, this fill's answer is not."""
        axptr_lock_nogil(self.phys.lock)
        if not self.link.ndrop and not self.link.drop_all:
            self.flush()
            self.phys.flushed(cython.address(self.link))
        axptr_unlock(self.phys.lock)

    def apply(self):
        """Do what was asked for. Lock held, guest outside."""
        i: uint32_t
        at: uint64_t
        used: uint64_t = self.fresh
        if self.link.drop_all or self.link.ndrop > _many_frames:
            self.api.ctl(self.uc, CTL_TB_FLUSH)
        elif self.link.ndrop:
            # By frame: the library drops code by an address that is executable at that moment. The probe
            # window is, for now.
            self.probing = True
            for i in range(self.link.ndrop):
                at = _probe_va + (cython.cast(uint64_t, self.link.drop[i]) << 12)
                self.api.ctl(self.uc, CTL_REMOVE_CACHE, at, at + 4096)
            self.probing = False
        self.code_drops += self.link.ndrop
        self.flush()
        # The library's table shrinks when it is little used.
        if used * 2 < self.grow_at and self.grow_at > _first_growth:
            self.grow_at //= 2
        self.phys.flushed(cython.address(self.link))

    def enter(self):
        """From here on the guest may run: nothing stale is left in the CPU."""
        axptr_lock_nogil(self.phys.lock)
        if self.phys.nwatched:
            self.phys.drop_watched(cython.address(self.link))
        if self.link.need_flush or self.link.ndrop or self.link.drop_all:
            self.apply()
        self.link.running = 1
        axptr_unlock(self.phys.lock)

    def start(self, has_exit, exit_at):
        """Run guest code from `pc` until something ends it; gives the library's error code."""
        err: cython.int
        self.enter()
        self.refused = FAULT_OK
        self.vector = NO_VECTOR
        self.pc_set = False
        self.asked_out = False
        if has_exit:
            self.api.ctl(self.uc, CTL_EXITS, cython.address(exit_at), cython.cast(cython.size_t, 1))
        self.starts += 1
        err = self.api.emu_start(self.uc, self.pc, 0, 0, 0)
        self.link.running = 0
        if has_exit:
            self.api.ctl(self.uc, CTL_EXITS, cython.address(exit_at), cython.cast(cython.size_t, 0))
        if not self.pc_set:
            self.api.reg_read(self.uc, UC_X86_REG_RIP, cython.address(self.pc))
        return err

    def loop(self):
        """Run the guest until Python must look; one of the CAME_ codes.

        A block that runs on into a page it may not execute is refused while it is being translated: nothing
        of it has run and `pc` is its start. So it is run up to the last instruction that begins before that
        page: exits are tried at page, page - 1, .. until the block can be translated; the fault is real when
        that is where we stand.
        """
        err: cython.int
        now: int64_t
        idle: cython.int = 0
        last_pc: uint64_t
        back: cython.int = -1  # bytes before `edge` where the exit stands; -1: no exit
        edge: uint64_t = 0  # the page that may not be executed
        edge_code: cython.int = FAULT_OK
        block: uint64_t = 0
        while True:
            if self.failed:
                return CAME_ERROR
            if self.stop_inside or self.stop_asked:
                return CAME_STOPPED
            if self.beat.kicked:
                self.beat.kicked = 0
                now = clock_now()
                if self.deadline and now >= self.deadline:
                    return CAME_TIMEOUT
                if self.signals_due and now >= self.signals_due:
                    self.signals_due = now + _signal_period
                    return CAME_SIGNALS
            last_pc = self.pc
            err = self.start(back >= 0, edge - back)
            if self.failed:
                return CAME_ERROR
            if self.vector != NO_VECTOR:
                return CAME_EXCEPTION
            if err == UC_ERR_OK:
                if back >= 0 and self.pc == block and self.pc == edge - back:
                    self.refused = edge_code
                    self.refused_access = EXECUTE
                    self.fault_addr = edge
                    return CAME_FAULT
                back = -1
                if self.asked_out or self.beat.kicked or self.pc != last_pc:
                    idle = 0
                    continue
                idle += 1
                if idle > 3:  # the library gave up: what a CPU calls a triple fault
                    self.vector = 8
                    return CAME_EXCEPTION
                continue
            if err == UC_ERR_INSN_INVALID:
                self.vector = 6
                return CAME_EXCEPTION
            if err != UC_ERR_EXCEPTION or self.refused == FAULT_OK:
                self.uc_error = err
                return CAME_BROKEN
            if self.refused == FAULT_RETRY:
                self.retries = self.retries + 1 if self.pc == self.retry_pc else 1
                self.retry_pc = self.pc
                back = -1
                continue
            self.retries = 0
            if self.refused == FAULT_PYTHON:
                return CAME_PYTHON
            self.fault_addr = self.invalid_addr()
            if self.refused_access != EXECUTE or self.fault_addr & _page_mask == self.pc & _page_mask:
                return CAME_FAULT
            if back >= 0 and self.pc == block and self.fault_addr & _page_mask == edge:
                back += 1
                if back > _longest_step:
                    return CAME_FAULT
            else:
                block = self.pc
                edge = self.fault_addr & _page_mask
                edge_code = self.refused
                back = 0

    # -- for Python ---------------------------------------------------------------------------------------

    def check_mine(self):
        """Raise `RuntimeError` if the CPU is closed, or runs in another thread."""
        if self.uc == cython.NULL:
            raise RuntimeError("this engine is closed")
        if self.busy and self.link.owner != axptr_thread():
            raise RuntimeError("this engine is running in another thread")
        return 0

    def _run(self, timeout):
        """Run until something happens: (kind, rip, address or vector, access, FAULT_ code).

        Raises what a handler, a page's function or a signal's handler raised.
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
        self.busy = True
        self.link.owner = axptr_thread()
        self.stop_inside = 0
        self.retries = 0
        self.deadline = clock_now() + wait if timeout is not None else 0
        self.signals_due = 1 if threading.current_thread() is threading.main_thread() else 0
        beat_start(cython.address(self.beat), self.deadline)
        axptr_share(self.phys.lock)
        try:
            while True:
                with cython.nogil:
                    code = self.loop()
                if code == CAME_PYTHON:
                    self.mmu.fault_python(self.refused_page, self.refused_access)
                elif code == CAME_SIGNALS:
                    PyErr_CheckSignals()
                else:
                    break
            if code == CAME_ERROR:
                error = self.error
                self.error = None
                self.failed = False
                raise error
            if code == CAME_STOPPED:
                self.stop_asked = 0
        finally:
            beat_end(cython.address(self.beat))
            axptr_unshare(self.phys.lock)
            axptr_lock_gil(self.phys.lock)
            if self.link.need_flush or self.link.ndrop or self.link.drop_all:
                self.apply()
            axptr_unlock(self.phys.lock)
            self.busy = False
        if code == CAME_FAULT:
            self.phys.alive()  # a handler may have forked
            return "fault", self.pc, self.fault_addr, self.refused_access, self.refused
        if code == CAME_EXCEPTION:
            calm_registers(self.api, self.uc, self.clean)
            return "exception", self.pc, self.vector, 0, 0
        if code == CAME_BROKEN:
            raise RuntimeError(f"Unicorn failed at {self.pc:#x}: {self.api.strerror(self.uc_error).decode()}")
        return "timeout" if code == CAME_TIMEOUT else "stopped", self.pc, 0, 0, 0

    def stop(self):
        """Have the run under way end before the guest's next instruction, or the next run at once. From any
        thread.

        From a handler: the run ends after the call it serves, whose result the program gets.
        """
        if self.busy and self.link.owner == axptr_thread():
            self.stop_inside = 1
            return
        self.stop_asked = 1
        if self.busy:
            beat_nudge(cython.address(self.beat))

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
        if space is not None:
            space.attach_engine(cython.address(self.link))
        if self.mmu is not None:
            self.mmu.detach_engine(cython.address(self.link))
        self.mmu = space
        self.link.need_flush = 1

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

    def get_register(self, name):
        self.check_mine()
        if name == "rip":
            return self.pc
        return read_register(self.api, self.uc, name)

    def set_register(self, name, value):
        self.check_mine()
        if name == "rip":
            self.pc = register_bits(value)
            self.pc_set = True
            return 0
        return write_register(self.api, self.uc, name, value)

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

    def save(self):
        """All registers, x87 and SSE state too, as a `Context`."""
        self.check_mine()
        context: Context = Context.__new__(Context)
        context.api = self.api
        context.serial = self.serial
        context.pc = self.pc
        self.check(self.api.context_alloc(self.uc, cython.address(context.data)), "keep a context")
        self.check(self.api.context_save(self.uc, context.data), "keep a context")
        return context

    def restore(self, context: Context):
        """Put back what `save` took; `ValueError` if that was another engine's. A handler then returns None."""
        self.check_mine()
        if context is None or context.serial != self.serial:
            raise ValueError("a context goes back to the engine that saved it")
        self.check(self.api.context_restore(self.uc, context.data), "restore a context")
        self.pc = context.pc
        self.pc_set = True

    def reset(self):
        """All registers as the kernel hands them to a new program: zero, flags and control words at their defaults."""
        self.check_mine()
        self.check(self.api.context_restore(self.uc, self.clean), "restore a context")
        self.pc = 0
        self.pc_set = True

    def close(self):
        """Give the CPU back now rather than with the last reference. Idempotent; `RuntimeError` while it runs."""
        if self.busy:
            raise RuntimeError("this engine is running")
        self.release()

    def __reduce__(self):
        raise TypeError("an engine cannot be pickled")
