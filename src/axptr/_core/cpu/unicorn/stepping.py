"""A CPU of Unicorn that can take single steps, invisibly to the guest.

Three things are done step by step: code that the library must not translate as it comes (`codescan`), an instruction
that writes to the frame it runs from (which can never be cached as both), and the last instructions before a page that
may not be executed (a block that runs on into it is refused while it is being translated, nothing of it has run).

Each instruction is looked at when it is translated (`forbids`). Where the library must not have it the run ends, and
what it is can be told at leisure: it is done in the library's stead (`corrections`), refused as a CPU refuses it, or run
alone. A block that leaks too much is cut in the same way.

A step is the CPU's own trap flag: with it the library translates one instruction to a block and raises exception 1
behind it; blocks translated with it are never used without. What the guest could see of the flag is put right:
`pushf` has it taken out of what it stored, `popf` and `iret` set the guest's, a system call finds the guest's. A guest
that sets the flag itself gets its exception 1 all the same.

Not here: when a run ends (`unicorn`).

Invariant: outside of guest code, and inside system calls, the trap flag is the guest's.
"""

import cython
from cython.cimports.axptr._core.cpu.unicorn.cpudevices import DeviceCpu
from cython.cimports.axptr._core.cpu.unicorn.stepping import (
    DONE,
    INVALID,
    NO_VECTOR,
    PROTECTED,
    STEP,
)
from cython.cimports.axptr._core.cpu.unicorn.uclib import (
    UC_HOOK_INTR,
    UC_X86_REG_EFLAGS,
    UC_X86_REG_RIP,
    UC_X86_REG_RSP,
)
from cython.cimports.axptr._core.cpu.x86.codescan import (
    EXCHANGE,
    LONGEST,
    NOTHING,
    PAUSE,
    PLAIN,
    READS_FLAGS,
    SETS_FLAGS,
    UNDEFINED,
    UNFINISHED,
    chance_in,
    is_dull,
    is_in_memory,
    is_misaligned,
    kind_of,
    leak_of,
    narrows_rax,
)
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.codes import EXECUTE, FAULT_OK, WRITE
from cython.cimports.axptr._core.words.lock import axptr_lock_nogil, axptr_unlock
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy

_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)
_trap = cython.declare(uint64_t, 0x100)
_no_frame = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_FFFF)
_most_leaked = cython.declare(cython.int, 380)  # temporaries, of 464; the rest is for what an instruction uses


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_interrupt(uc: cython.p_void, number: uint32_t, cpu: SteppedCpu) -> cython.void:
    cpu.leave(number)


@cython.no_gc_clear
@cython.cclass
class SteppedCpu(DeviceCpu):
    """A CPU that runs, and stops for exceptions. `UnicornCpu` derives from it; nobody else should."""

    def __cinit__(self, phys: PhysMemory, library: str):
        self.vector = NO_VECTOR
        self.step_page = _no_frame
        self.hook(UC_HOOK_INTR, cython.cast(cython.p_void, _on_interrupt), 0)

    def leave(self, number):
        """Inside a callback: the guest has raised this exception and comes out."""
        if self.vector == NO_VECTOR and not self.trapped:
            if not self.pc_set:  # by a device's function, during this very step
                self.api.reg_read(self.uc, UC_X86_REG_RIP, cython.address(self.pc))
            self.pc_set = True
            if number == 1 and self.trapping:
                self.trapped = True
            if number != 1 or not self.trapping or self.guest_trap:
                self.vector = number
        self.asked_out = True
        self.api.emu_stop(self.uc)

    def frame_at(self, vaddr):
        """The number of the frame that is executed at this address, if it can be."""
        perms: cython.int = 0
        paddr: uint64_t = 0
        if self.mmu.engine_fill(vaddr & _page_mask, EXECUTE, cython.address(paddr), cython.address(perms)) != FAULT_OK:
            return _no_frame
        return paddr >> 12

    def peek(self, vaddr, code, size):
        """Up to `size` bytes of code, as far as they lie in one page; how many."""
        pfn: uint64_t = self.frame_at(vaddr)
        if pfn == _no_frame:
            return 0
        size = min(size, 4096 - cython.cast(cython.int, vaddr & 0xFFF))
        memcpy(code, self.phys.base + (pfn << 12) + (vaddr & 0xFFF), size)
        return size

    def code_at(self, vaddr, code):
        """The bytes of the instruction there, also from the next page if it matters what they are; how many."""
        kind: cython.int
        size: cython.int = self.peek(vaddr, code, LONGEST)
        if 0 < size < LONGEST:
            kind = kind_of(code, size)
            if kind != UNFINISHED and kind <= UNDEFINED and is_misaligned(code, size, vaddr) >= 0:
                return size
            size += self.peek(vaddr + size, code + size, LONGEST - size)
        return size

    def forbids(self, vaddr):
        """Inside a translation: whether the run must end before this instruction."""
        code: uint8_t[15]
        host: cython.pointer(cython.const[uint8_t])
        kind: cython.int
        leak: cython.int
        size: cython.int = LONGEST
        if self.mmu is None:
            return DeviceCpu.forbids(self, vaddr)
        if self.stepping:
            return False
        if self.breaks_at(vaddr):
            return True
        host = self.translated_at(vaddr)
        if host == cython.NULL or vaddr & 0xFFF > 4096 - LONGEST:
            size = self.code_at(vaddr, code)
            host = code
            if size == 0:
                return True
        if vaddr - self.block_at - 1 >= LONGEST:  # a block begins: the library asks twice about its first instruction
            self.leaked = 0
            self.narrow = False
        self.block_at = vaddr
        kind = PLAIN if is_dull(host[0]) else kind_of(host, size)
        if kind == EXCHANGE and self.narrow and is_in_memory(host, size):
            kind = PLAIN
        self.narrow = narrows_rax(host, size, self.narrow)
        if self.metered and not is_dull(host[0]) and chance_in(host, size) != NOTHING:
            return True
        if kind == UNFINISHED or kind >= UNDEFINED:
            return True
        if not is_dull(host[0]) and is_misaligned(host, size, vaddr):
            return True
        leak = 0 if is_dull(host[0]) else leak_of(host, size)
        self.leaked += leak
        if self.leaked > _most_leaked:
            self.leaked = 0
            return True
        return False

    def begin_step(self):
        """Have the next instruction be the only one that runs. STEP: the CPU does it; else it is settled."""
        code: uint8_t[15]
        flags: uint64_t = 0
        size: cython.int = self.code_at(self.pc, code)
        done: cython.int = DONE
        self.step_kind = kind_of(code, size) if size > 0 else PLAIN
        self.step_chance = chance_in(code, size) if self.metered and size > 0 else NOTHING
        if self.step_kind == UNDEFINED:
            return INVALID
        if size > 0 and is_misaligned(code, size, self.pc) == 1:
            return PROTECTED
        self.api.reg_read(self.uc, UC_X86_REG_EFLAGS, cython.address(flags))
        self.guest_trap = flags & _trap
        if self.step_kind == PAUSE:  # the library does not trap behind it
            size = 1
            while code[size - 1] != 0x90:
                size += 1
            self.pc += size
        else:
            done = self.correct(code, size) if self.step_kind > UNDEFINED or self.step_chance != NOTHING else STEP
        if done == DONE:
            self.pc_set = True
            self.asked_out = True
            if self.guest_trap:
                self.vector = 1
        if done != STEP:
            return done
        self.trapping = True
        if not self.guest_trap:
            flags |= _trap
            self.api.reg_write(self.uc, UC_X86_REG_EFLAGS, cython.address(flags))
        return STEP

    def correct(self, code, size):
        """Do an instruction in the library's stead, or prepare that it does it (`corrections`)."""
        return STEP

    def corrected(self):
        """Outside again after a STEP of such an instruction."""

    def give_flags_back(self):
        """The trap flag is the guest's again."""
        flags: uint64_t = 0
        self.trapping = False
        if not self.guest_trap:
            self.api.reg_read(self.uc, UC_X86_REG_EFLAGS, cython.address(flags))
            flags &= ~_trap
            self.api.reg_write(self.uc, UC_X86_REG_EFLAGS, cython.address(flags))

    def end_step(self):
        """Outside again, the instruction done or not."""
        top: uint64_t = 0
        host: cython.pointer(uint8_t) = cython.NULL
        if self.step_kind > UNDEFINED:
            self.corrected()
        if self.ndevices:
            self.flush()
        if not self.trapping or (self.trapped and self.step_kind == SETS_FLAGS):
            self.trapping = False
            return
        self.give_flags_back()
        if self.trapped and self.step_kind == READS_FLAGS and not self.guest_trap:
            self.api.reg_read(self.uc, UC_X86_REG_RSP, cython.address(top))
            axptr_lock_nogil(self.phys.lock)
            if self.mmu.resolve(top + 1, WRITE, cython.address(host)) == FAULT_OK:
                host[0] &= 0xFE
            axptr_unlock(self.phys.lock)

    def keeps_stepping(self, last_pc):
        """After a step that began at `last_pc`: while no branch is taken, and while in a page that needs it."""
        if self._always_step:
            return True
        if self.step_once:
            return False
        return self.pc - last_pc <= cython.cast(uint64_t, LONGEST) or self.pc & _page_mask == self.step_page
