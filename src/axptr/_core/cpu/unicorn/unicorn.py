"""A CPU of the Unicorn library over an address space: system calls, and the loop that runs the guest.

What ends a stay in guest code is a callback (a system call, an exception), a refused access, or somebody who asks.
The loop settles what it can and goes on.

Not here: memory (`cpumem`), single steps (`stepping`), the CPU alone (`usercpu`), what an exit means to a kernel
(`axptr.engine`).

Locking: the loop runs without the GIL. A system call takes the GIL and holds no lock.

Invariants: `pc` is the guest's next instruction whenever Python can look. One thread at a time runs a CPU or
uses its registers; `stop` is for every thread.

Source of the library's behaviour: found by trial with version 2.1.4; `tests/core/cpu/unicorn/test_unicorn_facts.py`
asserts it.
"""

import cython
from cython.cimports.axptr._core.cpu.running import (
    CAME_BREAK,
    CAME_BROKEN,
    CAME_ERROR,
    CAME_EXCEPTION,
    CAME_FAULT,
    CAME_PYTHON,
    CAME_STEP,
    CAME_STOPPED,
    CAME_TIMEOUT,
    CAME_WATCH,
    STEP_OPEN,
    RunningCpu,
)
from cython.cimports.axptr._core.cpu.unicorn.corrections import CorrectedCpu
from cython.cimports.axptr._core.cpu.unicorn.cpumem import TRAIL
from cython.cimports.axptr._core.cpu.unicorn.stepping import (
    INVALID,
    NO_VECTOR,
    PROTECTED,
    REFUSED,
    STEP,
)
from cython.cimports.axptr._core.cpu.unicorn.uclib import (
    UC_ERR_EXCEPTION,
    UC_ERR_INSN_INVALID,
    UC_ERR_OK,
    UC_HOOK_BLOCK,
    UC_HOOK_INSN,
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
)
from cython.cimports.axptr._core.cpu.x86.state import (
    RFLAGS,
    RIP,
    general_word,
    put_extended,
    put_general,
    require_state,
    take_extended,
    take_general,
)
from cython.cimports.axptr._core.cpu.x86.x86regs import (
    FIXED_FLAGS,
    POPF_FLAGS,
    read_register,
    register_bits,
    write_register,
)
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.codes import (
    EXECUTE,
    FAULT_OK,
    FAULT_PYTHON,
    FAULT_RETRY,
    FAULT_WATCHED,
    WRITE,
)
from cython.cimports.axptr._core.words.lock import (
    axptr_lock_gil,
    axptr_lock_nogil,
    axptr_unlock,
)
from cython.cimports.libc.stdint import int64_t, uint8_t, uint32_t, uint64_t

_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)
_resume_flag = cython.declare(uint64_t, 0x1_0000)
_no_page = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_FFFF)
_most_work = cython.declare(uint64_t, 1 << 62)
_longest = cython.declare(uint64_t, 15)  # bytes of the longest instruction

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
def _on_syscall(uc: cython.p_void, cpu: UnicornCpu) -> cython.void:
    if cpu.vector == NO_VECTOR:  # else the block ran on after an exception that could not end it
        cpu.serve()


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_port_in(uc: cython.p_void, port: uint32_t, size: cython.int, cpu: UnicornCpu) -> uint32_t:
    value: uint64_t = 0
    cpu.leave(13)  # the library lets user code use ports
    cpu.api.reg_read(uc, UC_X86_REG_RAX, cython.address(value))
    return cython.cast(uint32_t, value)  # what goes to al, ax or eax: nothing changes


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_port_out(uc: cython.p_void, port: uint32_t, size: cython.int, value: uint32_t, cpu: UnicornCpu) -> cython.void:
    cpu.leave(13)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_sysenter(uc: cython.p_void, cpu: UnicornCpu) -> cython.void:
    cpu.leave(6)  # as on a CPU without that call in 64-bit mode


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_block(uc: cython.p_void, address: uint64_t, size: uint32_t, cpu: UnicornCpu) -> cython.void:
    """A block is about to run. The library looks right behind this whether to stop: then it has not, and is asked again.

    A stop from another thread could fall between the two, and the block be counted twice: so all are made here.
    """
    if cpu.beat.kicked or (cpu.work_limit and cpu.work >= cpu.work_limit):
        cpu.asked_out = True
        cpu.api.emu_stop(uc)
    else:
        cpu.work += size


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _no_kick(uc: cython.p_void) -> cython.void:
    """The note that the CPU is to come out is enough: it is looked at at every block."""


@cython.no_gc_clear
@cython.cclass
class UnicornCpu(CorrectedCpu):
    """One CPU over `phys`. `axptr.engine.UnicornEngine` derives from it; nobody else should.

    fills, flushes: translations asked for, and how often all were thrown away. starts: entries into guest
    code.
    syscalls, code_drops: calls served; frames whose translated code was dropped on request.
    """

    def __cinit__(self, phys: PhysMemory, library: str):
        self.hook(UC_HOOK_INSN, cython.cast(cython.p_void, _on_syscall), UC_X86_INS_SYSCALL)
        self.hook(UC_HOOK_INSN, cython.cast(cython.p_void, _on_sysenter), UC_X86_INS_SYSENTER)
        self.hook(UC_HOOK_INSN, cython.cast(cython.p_void, _on_port_in), UC_X86_INS_IN)
        self.hook(UC_HOOK_INSN, cython.cast(cython.p_void, _on_port_out), UC_X86_INS_OUT)

    # -- what the library asks ----------------------------------------------------------------------------

    def serve(self):
        """A system call: registers in, the handler, and out again at once unless something must be done outside."""
        i: cython.int
        places: cython.p_void[9]
        leave: cython.bint
        self.link.running = 0
        self.resumes = False
        if self.trapping:
            self.give_flags_back()
        for i in range(7):
            places[i] = cython.address(self.args[i])
        places[7], places[8] = cython.address(self.entry[0]), cython.address(self.entry[1])
        self.api.reg_read_batch(self.uc, _call_regs, places, 9)
        self.pc = self.entry[0] + 2
        self.entry[0] = self.pc
        self.api.reg_write_batch(self.uc, _entry_regs, cython.address(places[7]), 2)
        self.serve_in_python()
        axptr_lock_nogil(self.phys.lock)
        self.link.running = 1
        leave = self.link.need_flush or self.link.ndrop or self.link.drop_all or self.phys.nwatched
        axptr_unlock(self.phys.lock)
        leave = leave or self.failed or self.pc_set or self.stop_inside or self.stop_asked or self.preempted
        if leave or self.stepping:
            self.asked_out = True
            self.api.emu_stop(self.uc)

    def put_result(self, value):
        self.api.reg_write(self.uc, UC_X86_REG_RAX, cython.address(value))

    # -- running ------------------------------------------------------------------------------------------

    def start(self):
        """Run guest code from `pc` until something ends it; gives the library's error code."""
        err: cython.int
        what: cython.int
        self.refused = FAULT_OK
        self.vector = NO_VECTOR
        self.pc_set = False
        self.asked_out = False
        self.trapped = False
        self.own_fault = False
        self.has_trail = False
        self.entered_at = self.pc
        self.jumped_from = self.stepped_from
        self.stepped_from = 0
        self.wants_device = False
        self.error_code = 0
        if self.stepping:
            what = self.begin_step()
            if what == INVALID:
                return UC_ERR_INSN_INVALID
            if what == PROTECTED:
                self.vector = 13
            if what == REFUSED:
                return UC_ERR_EXCEPTION
            if what != STEP:
                return UC_ERR_OK
        self.enter()
        self.starts += 1
        err = self.api.emu_start(self.uc, self.pc, 0, 0, 0)
        self.link.running = 0
        if not self.pc_set:
            self.api.reg_read(self.uc, UC_X86_REG_RIP, cython.address(self.pc))
        if self.stepping:
            self.end_step()
        return err

    def retry(self):
        """A page was refused for now: go on from `pc`, in steps if that is what it takes."""
        at: uint64_t = self.pc
        if self.wants_device:
            self.stepping = True
            self.step_once = True
        elif self.refused_access == WRITE:
            # A write to code. To its own code, or refused here before: the step lets it through.
            if self.frame_at(at) != self.refused_frame:
                at += _longest - 1
            if self.frame_at(at) != self.refused_frame:
                at = _no_page
                if self.pc != self.retry_pc:
                    self.retry_pc = self.pc
                    return
            self.step_on(at)

    def is_repeated(self, vaddr):
        """Whether the instruction there has a prefix that repeats it."""
        code: uint8_t[2]
        size: cython.int = self.peek(vaddr, code, 2)
        return size == 2 and (code[0] & 0xFE == 0xF2 or code[1] & 0xFE == 0xF2)

    def step_on(self, at):
        """Steps from here on, for as long as they stay in the page of `at`."""
        self.stepping = True
        self.step_once = False
        self.step_page = at & _page_mask

    def loop(self):
        """Run the guest until Python must look; one of the CAME_ codes."""
        err: cython.int
        code: cython.int
        idle: cython.int = 0
        last_pc: uint64_t
        calls: uint64_t
        while True:
            code = self.asked_to_stop()
            if code == 0 and self.work_limit and self.work >= self.work_limit:
                code = CAME_TIMEOUT
            if code == 0 and self.beat.kicked:
                code = self.beaten()
            if code:
                return code
            if self.breaks_at(self.pc):
                return CAME_BREAK
            last_pc = self.pc
            calls = self.syscalls
            err = self.start()
            if self.failed:
                return CAME_ERROR
            if self.trapped or (self.pc != last_pc and self.syscalls == calls):
                self.resumes = False
            if self.vector != NO_VECTOR:
                return CAME_EXCEPTION
            if err == UC_ERR_OK:
                if self.stepping:
                    if self.single and (self.trapped or self.pc != last_pc or self.syscalls != calls):
                        # A repeated instruction that is not over shows the flag, as on a CPU.
                        self.resumes = self.trapped and self.pc == last_pc and self.is_repeated(last_pc)
                        return CAME_STOPPED if self.stop_inside else CAME_STEP
                    self.stepped_from = last_pc
                    self.stepping = self.keeps_stepping(last_pc)
                elif not self.asked_out and not self.beat.kicked:  # an exit
                    self.stepping = True
                    self.step_once = True
                    continue
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
                self.retry()
                continue
            if not self.own_fault:
                self.fault_addr = self.invalid_addr()
            if self.refused_access == EXECUTE and not self.stepping and (self.fault_addr ^ self.pc) & _page_mask:
                # A block that runs on into a page it may not execute is refused while it is being translated:
                # nothing of it has run and `pc` is its start. The guest may never get there.
                self.step_on(_no_page)
                continue
            if self.refused == FAULT_WATCHED:
                return CAME_WATCH
            return CAME_PYTHON if self.refused == FAULT_PYTHON else CAME_FAULT

    # -- for Python ---------------------------------------------------------------------------------------

    def _meter(self):
        """From now on count the work that is done, before anything was run."""
        if not self.metered:
            self.hook(UC_HOOK_BLOCK, cython.cast(cython.p_void, _on_block), 0)
            self.beat.kick = _no_kick
            self.metered = True

    def _run(self, timeout, count, single: cython.int = 0):
        """Run until something happens: (kind, rip, address or vector, access or error code, FAULT_ code). single: STEP_*
        for a run of one instruction.

        Raises what a handler, a page's function or a signal's handler raised.
        """
        wait: int64_t = self.require_ready(timeout)
        if count is not None and (count < 0 or not self.metered):
            raise ValueError(f"a run of {count} bytes of code" if self.metered else "this engine counts no work")
        self.work_limit = 0 if count is None else self.work + min(count, _most_work)
        self.single = single
        try:
            return self.execute(wait)
        finally:
            self.single = 0
            if single & STEP_OPEN:  # what it may have cached is not for the next run
                self.flush()

    def _shorten(self, count):
        """In a handler: the run under way ends after so much more work, unless it does so before."""
        self.check_mine()
        limit: uint64_t = self.work + min(max(count, 1), _most_work)
        if self.metered and self.busy and (self.work_limit == 0 or limit < self.work_limit):
            self.work_limit = limit

    def take_over(self):
        self.link.owner = self.owner
        self.stepping = self._always_step or self.single != 0
        if self.single:
            self.step_once = True

    def end_run(self):
        axptr_lock_gil(self.phys.lock)
        if self.link.need_flush or self.link.ndrop or self.link.drop_all:
            self.apply()
        axptr_unlock(self.phys.lock)

    def next_instruction(self):
        return self.pc

    def came_out(self, code):
        if code == CAME_EXCEPTION:
            self.calm()
        elif code == CAME_BROKEN:
            raise RuntimeError(f"Unicorn failed at {self.pc:#x}: {self.api.strerror(self.uc_error).decode()}")
        return RunningCpu.came_out(self, code)

    def change_space(self, space):
        if space is not None:
            space.attach_engine(cython.address(self.link))
        if self.mmu is not None:
            self.mmu.detach_engine(cython.address(self.link))
        self.mmu = space
        return 0

    def get_register(self, name):
        self.check_mine()
        if name == "rip":
            return self.pc
        if name == "rflags":
            flags = read_register(self.api, self.uc, name)
            if self.trapping:  # a device's function looks
                flags = flags & ~0x100 | self.guest_trap
            return flags & ~0x1_0000 | (0x1_0000 if self.resumes else 0)
        return read_register(self.api, self.uc, name)

    def set_register(self, name, value):
        self.check_mine()
        if name == "rip":
            self.pc = register_bits(value)
            self.pc_set = True
            return 0
        if name == "rflags":
            bits: uint64_t = register_bits(value)
            self.resumes = bits & _resume_flag != 0
            if self.trapping:
                self.guest_trap = bits & 0x100
                bits |= 0x100
            value = bits & ~_resume_flag
        return write_register(self.api, self.uc, name, value)

    def _trail(self):
        """Where the guest was when it jumped to an address that is not canonical: (words of the thread's stack, or none,
        the address of the jump if they are none)."""
        i: cython.int
        if self.has_trail and self.entered_at != self.pc:
            return [self.trail[i] for i in range(TRAIL)], 0
        return [], self.jumped_from

    def calm(self):
        """Forget that the CPU raised an exception, keeping every register that a program can see.

        The library never delivers an exception itself, so its CPU believes that it is still handling the first
        when the second comes, and makes a double fault of it. What it remembers is in no register: putting all of them
        into a clean CPU takes it away.
        """
        pc_set: cython.bint = self.pc_set
        self._put(*self._take())
        self.pc_set = pc_set
        return 0

    def _take(self):
        """All registers, in the two parts of `x86.state`."""
        flags: uint64_t = 0
        self.check_mine()
        self.api.reg_read(self.uc, UC_X86_REG_EFLAGS, cython.address(flags))
        if self.trapping:
            flags = flags & ~cython.cast(uint64_t, 0x100) | self.guest_trap
        flags = flags & ~_resume_flag | (_resume_flag if self.resumes else 0)
        return take_general(self.api, self.uc, self.pc, flags), take_extended(self.api, self.uc)

    def _put(self, general: bytes, extended: bytes):
        """Put back what `_take` gave, of this engine or another. `ValueError` for what no program can have."""
        flags: uint64_t
        self.check_mine()
        require_state(general, extended)
        self.check(self.api.context_restore(self.uc, self.clean), "restore a context")
        put_extended(self.api, self.uc, extended)
        shown: cython.bint = self.segments
        if not shown:
            self.show_descriptors(True)
        put_general(self.api, self.uc, general)
        if not shown:
            self.show_descriptors(False)
        flags = general_word(general, RFLAGS)
        self.resumes = flags & _resume_flag != 0
        flags = flags & POPF_FLAGS & ~_resume_flag | FIXED_FLAGS
        if self.trapping:
            self.guest_trap = flags & 0x100
            flags |= 0x100
        self.api.reg_write(self.uc, UC_X86_REG_EFLAGS, cython.address(flags))
        self.pc = general_word(general, RIP)
        self.pc_set = True

    def reset(self):
        """All registers as the kernel hands them to a new program: zero, flags and control words at their defaults."""
        self.check_mine()
        self.check(self.api.context_restore(self.uc, self.clean), "restore a context")
        self.resumes = False
        self.pc = 0
        self.pc_set = True
