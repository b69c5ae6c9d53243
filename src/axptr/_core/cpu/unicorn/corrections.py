"""Instructions that Unicorn gets wrong, done in its stead on the guest's registers and memory.

`codescan` names them. Some are done here from beginning to end, some are prepared, run by the library, and put right
behind it. Each is as on a CPU: a refused access leaves everything as it was, and the flags that the manual calls
undefined are as Intel's CPUs leave them where that is known.

Not here: devices, which only the library reaches: it does the instruction then, with its faults. No failure of its own.

Source: Intel's manual, volume 2; the host's CPU by tests/oracle.
"""

import cython
from cython.cimports.axptr._core.cpu.running import STEP_OPEN
from cython.cimports.axptr._core.cpu.unicorn.stepping import (
    DONE,
    PROTECTED,
    REFUSED,
    STEP,
    SteppedCpu,
)
from cython.cimports.axptr._core.cpu.unicorn.uclib import (
    UC_X86_REG_EFLAGS,
    UC_X86_REG_FP0,
    UC_X86_REG_FS_BASE,
    UC_X86_REG_GS_BASE,
    UC_X86_REG_R8,
    UC_X86_REG_RAX,
    UC_X86_REG_RBP,
    UC_X86_REG_RBX,
    UC_X86_REG_RCX,
    UC_X86_REG_RDI,
    UC_X86_REG_RDX,
    UC_X86_REG_RSI,
    UC_X86_REG_RSP,
    UC_X86_REG_ST0,
    UC_X86_REG_XMM0,
)
from cython.cimports.axptr._core.cpu.x86.codescan import (
    COMPARE,
    CONTROLS,
    ENTROPY,
    EXCHANGE,
    HORIZONTAL,
    NEGATE,
    PAIR,
    REWRITE,
    SELECTOR,
    STRINGS,
    TEST,
    TIMESTAMP,
    TRUNCATE,
    operand_size,
    read_prefixes,
    rewrite,
)
from cython.cimports.axptr._core.cpu.x86.strings import StringPair, compare_strings
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE
from cython.cimports.axptr._core.words.codes import (
    FAULT_NOT_MEMORY,
    FAULT_OK,
    FAULT_WATCHED,
    READ,
    WRITE,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_nogil, axptr_unlock
from cython.cimports.libc.stdint import int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy

_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)
_all = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_FFFF)
_half = cython.declare(uint64_t, 0xFFFF_FFFF)
_no_page = cython.declare(uint64_t, 1)
_arithmetic = cython.declare(uint64_t, 0x8D5)  # CF PF AF ZF SF OF
_mxcsr_bits = cython.declare(uint32_t, 0xFFFF)
_numbers = cython.declare(cython.int[16])
_numbers[0], _numbers[1], _numbers[2], _numbers[3] = UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX
_numbers[4], _numbers[5], _numbers[6], _numbers[7] = UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI
for _i in range(8):
    _numbers[8 + _i] = UC_X86_REG_R8 + _i


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _mask(width: cython.int) -> uint64_t:
    return _all >> cython.cast(uint64_t, 64 - 8 * width)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _result_flags(value: uint64_t, width: cython.int) -> uint64_t:
    """ZF, SF, PF of a result."""
    flags: uint64_t = 0
    low: uint64_t = value ^ (value >> 4)
    if value & _mask(width) == 0:
        flags |= 0x40
    if value >> cython.cast(uint64_t, 8 * width - 1) & 1:
        flags |= 0x80
    if (cython.cast(uint64_t, 0x6996) >> (low & 15)) & 1 == 0:
        flags |= 4
    return flags


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _difference_flags(a: uint64_t, b: uint64_t, width: cython.int) -> uint64_t:
    """All six flags of a - b."""
    result: uint64_t = (a - b) & _mask(width)
    flags: uint64_t = _result_flags(result, width) | ((a ^ b ^ result) & 0x10)
    if a & _mask(width) < b & _mask(width):
        flags |= 1
    if ((a ^ b) & (a ^ result)) >> cython.cast(uint64_t, 8 * width - 1) & 1:
        flags |= 0x800
    return flags


@cython.no_gc_clear
@cython.cclass
class CorrectedCpu(SteppedCpu):
    """A CPU without the library's mistakes. `UnicornCpu` derives from it; nobody else should."""

    # -- registers, addresses, memory

    def general(self, number):
        value: uint64_t = 0
        self.api.reg_read(self.uc, _numbers[number], cython.address(value))
        return value

    def set_general(self, number, value):
        self.api.reg_write(self.uc, _numbers[number], cython.address(value))

    def set_flags(self, flags):
        """Replace the six arithmetic flags."""
        old: uint64_t = 0
        self.api.reg_read(self.uc, UC_X86_REG_EFLAGS, cython.address(old))
        old = (old & ~_arithmetic) | flags
        self.api.reg_write(self.uc, UC_X86_REG_EFLAGS, cython.address(old))

    def address(self):
        """Where the operand in memory of the instruction in hand lies. `length` counts its immediate operands here."""
        modrm: uint8_t = self.bytes[self.insn.modrm]
        mode: cython.int = modrm >> 6
        base: cython.int = modrm & 7
        at: cython.int = self.insn.modrm + 1
        sib: uint8_t
        segment: uint64_t = 0
        result: uint64_t = 0
        near: int32_t = 0
        if base == 4:
            sib = self.bytes[at]
            at += 1
            base = sib & 7
            if sib & 0x38 != 0x20 or self.insn.rex & 2:
                result = self.general((sib >> 3 & 7) | (8 if self.insn.rex & 2 else 0)) << cython.cast(
                    uint64_t, sib >> 6
                )
            if mode != 0 or base != 5:
                result += self.general(base | (8 if self.insn.rex & 1 else 0))
            else:
                mode = 2
        elif mode == 0 and base == 5:
            result = self.pc + cython.cast(uint64_t, self.length)
            mode = 2
        else:
            result = self.general(base | (8 if self.insn.rex & 1 else 0))
        if mode == 1:
            near = cython.cast(int8_t, self.bytes[at])
        elif mode == 2:
            memcpy(cython.address(near), self.bytes + at, 4)
        result += cython.cast(uint64_t, cython.cast(int64_t, near))
        if self.insn.near:
            result &= _half
        if self.insn.segment:
            self.api.reg_read(
                self.uc,
                UC_X86_REG_FS_BASE if self.insn.segment == 0x64 else UC_X86_REG_GS_BASE,
                cython.address(segment),
            )
        return result + segment

    def reach(self, vaddr, size, access, hosts):
        """The host addresses of an operand's first byte and, if it lies in two pages, of the second's. The lock is held.

        DONE, REFUSED, or STEP for a device. hosts[1] is NULL if there is one page.
        """
        code: cython.int
        second: uint64_t = (vaddr & _page_mask) + 4096
        at: uint64_t = vaddr
        watched: uint32_t
        hosts[1] = cython.NULL
        code = self.mmu.resolve(vaddr, access, hosts)
        if code == FAULT_OK and vaddr + cython.cast(uint64_t, size) - 1 >= second > vaddr:
            at = second
            code = self.mmu.resolve(second, access, hosts + 1)
            if code == FAULT_OK:  # which may have moved the first
                code = self.mmu.resolve(vaddr, access, hosts)
        if code == FAULT_OK and self.mmu.has_points:
            open: cython.bint = self.single & STEP_OPEN != 0
            watched = self.mmu.points.denied(vaddr & _page_mask, open)
            if hosts[1]:
                watched |= self.mmu.points.denied(second, open)
            if watched & access:
                code = FAULT_WATCHED
        if code == FAULT_OK:
            return DONE
        if code == FAULT_NOT_MEMORY:
            return STEP
        self.refused = code
        self.refused_access = access
        self.refused_page = at & _page_mask
        self.fault_addr = at
        self.own_fault = True
        return REFUSED

    def load(self, vaddr, size, to):
        hosts: cython.pointer(uint8_t)[2]
        first: cython.int = min(size, 4096 - cython.cast(cython.int, vaddr & 0xFFF))
        done: cython.int
        axptr_lock_nogil(self.phys.lock)
        done = self.reach(vaddr, size, READ, hosts)
        if done == DONE:
            memcpy(to, hosts[0], first)
            if first < size:
                memcpy(to + first, hosts[1], size - first)
        axptr_unlock(self.phys.lock)
        return done

    def update(self, vaddr, width, kind, value, flags):
        """Read, change and write an operand in memory at once; `value` takes what was there.

        EXCHANGE: `value[1]` replaces what equals `value[0]`. NEGATE: of any width.
        """
        hosts: cython.pointer(uint8_t)[2]
        i: cython.int
        old: uint64_t = 0
        new: uint64_t
        pfn: uint64_t
        first: cython.int = min(width, 4096 - cython.cast(cython.int, vaddr & 0xFFF))
        done: cython.int
        axptr_lock_nogil(self.phys.lock)
        done = self.reach(vaddr, width, WRITE, hosts)
        if done == DONE:
            memcpy(cython.address(old), hosts[0], first)
            if first < width:
                memcpy(cython.cast(cython.pointer(uint8_t), cython.address(old)) + first, hosts[1], width - first)
            if kind == EXCHANGE:
                flags[0] = _difference_flags(value[0], old, width)
                new = value[1] if old == value[0] & _mask(width) else old
            else:
                flags[0] = _difference_flags(0, old, width)
                new = 0 - old
            memcpy(hosts[0], cython.address(new), first)
            if first < width:
                memcpy(hosts[1], cython.cast(cython.pointer(uint8_t), cython.address(new)) + first, width - first)
            for i in range(2 if first < width else 1):
                pfn = cython.cast(uint64_t, hosts[i] - self.phys.base) >> 12
                if self.phys.flags[pfn] & FRAME_CODE:
                    self.phys.code_changed(pfn)
            value[0] = old
        axptr_unlock(self.phys.lock)
        return done

    # -- instructions

    def correct(self, code, size):
        """Do the instruction at `pc`, or prepare that the library does it (STEP)."""
        more: cython.int
        self.bytes = code
        self.room = size
        read_prefixes(code, size, cython.address(self.insn))
        if self.step_chance == TIMESTAMP:
            return self.timestamp()
        if self.step_chance == ENTROPY:
            return self.random_number()
        if self.step_kind == SELECTOR:
            return self.selector()
        more = operand_size(code + self.insn.modrm, size - self.insn.modrm)
        if more < 0:
            return STEP  # longer than an instruction can be, or in a page that is not there: the library will find out
        self.length = self.insn.modrm + more
        if self.step_kind == EXCHANGE:
            return self.exchange()
        if self.step_kind == NEGATE:
            return self.negate()
        if self.step_kind == TEST:
            return self.test()
        if self.step_kind == STRINGS:
            return self.strings()
        if self.step_kind == CONTROLS:
            return self.controls()
        if self.step_kind == TRUNCATE:
            return self.truncate()
        if self.step_kind == PAIR:
            return self.pair()
        if self.step_kind == HORIZONTAL:
            self.lend()
            return STEP
        if self.step_kind == REWRITE:
            return self.detour()
        return STEP

    def corrected(self):
        flags: uint64_t = 0
        if self.segments:
            self.show_descriptors(False)
            self.flush()
        if self.step_kind == COMPARE and self.trapped:
            self.api.reg_read(self.uc, UC_X86_REG_EFLAGS, cython.address(flags))
            flags &= ~cython.cast(uint64_t, 0x890)  # OF SF AF
            self.api.reg_write(self.uc, UC_X86_REG_EFLAGS, cython.address(flags))

        if self.step_kind >= HORIZONTAL:
            self.end_detour()
        if self.step_kind == HORIZONTAL:
            self.api.reg_write(self.uc, self.lent, self.kept)

    def selector(self):
        """A segment register is loaded: null, what Linux has for programs, or exception 13 with the selector."""
        value: uint16_t = 0
        opcode: uint8_t = self.bytes[self.insn.at]
        second: uint8_t = self.bytes[self.insn.at + 1]
        modrm: uint8_t = self.bytes[self.insn.modrm]
        stack: cython.bint = second == 0xB2 if opcode == 0x0F else second >> 3 & 7 == 2
        more: cython.int = operand_size(self.bytes + self.insn.modrm, self.room - self.insn.modrm)
        at: uint64_t
        if opcode == 0x8E and modrm >= 0xC0:
            value = cython.cast(uint16_t, self.general((modrm & 7) | (8 if self.insn.rex & 1 else 0)))
        else:
            if opcode == 0x0F and second < 0xB0:
                at = self.general(4)
            else:
                if more < 0:
                    return STEP
                self.length = self.insn.modrm + more
                at = self.address()
                if opcode == 0x0F:
                    at += 8 if self.insn.rex & 8 else 2 if self.insn.short else 4
            if self.load(at, 2, cython.cast(cython.pointer(uint8_t), cython.address(value))) != DONE:
                self.own_fault = False
                return STEP  # the library finds the same fault
        if value < 4 and not stack:
            return STEP
        if value == 0x2B or (not stack and (value & 0xFFFC in (0x20, 0x28, 0x30, 0x78))):
            self.show_descriptors(True)
            return STEP
        self.error_code = value & 0xFFFC
        return PROTECTED

    def pair(self):
        """cmpxchg8b is right when it is alone; cmpxchg16b with a misaligned operand is exception 13."""
        return PROTECTED if self.insn.rex & 8 and self.address() & 15 else STEP

    def lend(self):
        """A detour on which the second operand is another register, which holds a copy of it for so long."""
        number: cython.int = self.bytes[self.insn.modrm] & 7
        first: cython.int = UC_X86_REG_FP0
        copy: uint64_t[2]
        if self.insn.short:
            first = UC_X86_REG_XMM0 + (8 if self.insn.rex & 1 else 0)
        self.lent = first + (number ^ 1)
        self.kept[0] = self.kept[1] = copy[0] = copy[1] = 0
        self.api.reg_read(self.uc, self.lent, self.kept)
        self.api.reg_read(self.uc, first + number, copy)
        self.api.reg_write(self.uc, self.lent, copy)
        self.detour()
        self.boot_page[(self.pc & 0xFFF) + cython.cast(uint64_t, self.insn.modrm)] ^= 1

    def detour(self):
        """Have the library translate another spelling of the instruction, on a page of ours at the same address."""
        at: uint64_t = self.pc & 0xFFF
        memcpy(self.boot_page + at, self.bytes, self.room)
        rewrite(self.boot_page + at, self.room)
        self.flush()
        self.detour_page = self.pc & _page_mask
        return STEP

    def finish(self, length):
        """Done: on to the next instruction."""
        self.pc += cython.cast(uint64_t, length)
        return DONE

    def width(self):
        """Bytes of the operand of an instruction that has one opcode for bytes and one for larger ones."""
        if not self.bytes[self.insn.modrm - 1] & 1:
            return 1
        return 8 if self.insn.rex & 8 else 2 if self.insn.short else 4

    def byte_register(self, number, width):
        """A general register's value; of one byte without REX, numbers 4 to 7 are ah, ch, dh, bh."""
        if width == 1 and not self.insn.rex and number & 12 == 4:
            return self.general(number & 3) >> 8
        return self.general(number)

    def exchange(self):
        """cmpxchg of 32 bits: rax changes only where the values differ, the destination only where they are equal."""
        modrm: uint8_t = self.bytes[self.insn.modrm]
        source: uint64_t = self.general((modrm >> 3 & 7) | (8 if self.insn.rex & 4 else 0)) & _half
        number: cython.int = (modrm & 7) | (8 if self.insn.rex & 1 else 0)
        wanted: uint64_t = self.general(0) & _half
        value: uint64_t[2]
        flags: uint64_t = 0
        done: cython.int
        if modrm >= 0xC0:
            value[0] = self.general(number) & _half
            flags = _difference_flags(wanted, value[0], 4)
            if value[0] == wanted:
                self.set_general(number, source)
        else:
            value[0] = wanted
            value[1] = source
            done = self.update(self.address(), 4, EXCHANGE, value, cython.address(flags))
            if done != DONE:
                return done
        if value[0] != wanted:
            self.set_general(0, value[0])
        self.set_flags(flags)
        return self.finish(self.length)

    def negate(self):
        value: uint64_t[2]
        flags: uint64_t = 0
        done: cython.int = self.update(self.address(), self.width(), NEGATE, value, cython.address(flags))
        if done == DONE:
            self.set_flags(flags)
            return self.finish(self.length)
        return done

    def timestamp(self):
        """rdtsc, rdtscp, where time is the work that was done; the processor's number is 0."""
        now: uint64_t = self.clock_base + self.work
        length: cython.int = self.insn.modrm
        self.set_general(0, now & _half)
        self.set_general(2, now >> 32)
        if self.bytes[self.insn.at + 1] == 0x01:
            self.set_general(1, 0)
            length += 1
        return self.finish(length)

    def random_number(self):
        """rdrand, where its numbers are to be the same each time: those of SplitMix64."""
        number: cython.int = (self.bytes[self.insn.modrm] & 7) | (8 if self.insn.rex & 1 else 0)
        value: uint64_t
        self.entropy += cython.cast(uint64_t, 0x9E37_79B9_7F4A_7C15)
        value = self.entropy
        value = (value ^ (value >> 30)) * cython.cast(uint64_t, 0xBF58_476D_1CE4_E5B9)
        value = (value ^ (value >> 27)) * cython.cast(uint64_t, 0x94D0_49BB_1331_11EB)
        value ^= value >> 31
        if not self.insn.rex & 8:
            value &= _half
            if self.insn.short:
                value = (self.general(number) & ~cython.cast(uint64_t, 0xFFFF)) | (value & 0xFFFF)
        self.set_general(number, value)
        self.set_flags(1)
        return self.finish(self.insn.modrm + 1)

    def test(self):
        modrm: uint8_t = self.bytes[self.insn.modrm]
        width: cython.int = self.width()
        more: cython.int = min(width, 4)
        value: uint64_t = 0
        mask: uint64_t = 0
        done: cython.int
        if self.room < self.length + more:
            return STEP
        memcpy(cython.address(mask), self.bytes + self.length, more)
        if width == 8:
            mask = cython.cast(uint64_t, cython.cast(int64_t, cython.cast(int32_t, cython.cast(uint32_t, mask))))
        self.length += more
        if modrm >= 0xC0:
            value = self.byte_register((modrm & 7) | (8 if self.insn.rex & 1 else 0), width)
        else:
            done = self.load(self.address(), width, cython.cast(cython.pointer(uint8_t), cython.address(value)))
            if done != DONE:
                return done
        self.set_flags(_result_flags(value & mask & _mask(width), width))
        return self.finish(self.length)

    def controls(self):
        """ldmxcsr and fxrstor: a reserved bit of MXCSR is exception 13, so is a misaligned operand of fxrstor."""
        value: uint32_t = 0
        at: uint64_t = self.address()
        done: cython.int
        if self.bytes[self.insn.modrm] >> 3 & 7 == 1:
            if at & 15:
                return PROTECTED
            at += 24
        done = self.load(at, 4, cython.cast(cython.pointer(uint8_t), cython.address(value)))
        if done != DONE:
            self.own_fault = False
            return STEP  # the library finds the same fault, of the whole operand
        return PROTECTED if value & ~_mxcsr_bits else STEP

    def truncate(self):
        """fisttp: what does not fit becomes the most negative integer, which is put in the register to be stored."""
        number: uint16_t[8]
        bits: cython.int = 31
        limit: cython.int
        opcode: uint8_t = self.bytes[self.insn.at]
        if opcode == 0xDF:
            bits = 15
        elif opcode == 0xDD:
            bits = 63
        self.api.reg_read(self.uc, UC_X86_REG_ST0, number)
        limit = (number[4] & 0x7FFF) - 0x3FFF
        if limit >= bits:
            number[0] = number[1] = number[2] = 0
            number[3] = 0x8000
            number[4] = cython.cast(uint16_t, 0x8000 | (0x3FFF + bits))
            self.api.reg_write(self.uc, UC_X86_REG_ST0, number)
        return STEP

    def strings(self):
        """The four comparisons of strings in SSE registers."""
        pair: StringPair
        modrm: uint8_t = self.bytes[self.insn.modrm]
        which: uint8_t = self.bytes[self.insn.at + 2]
        wide: cython.bint = self.insn.rex & 8 != 0
        done: cython.int
        if self.room < self.length + 1:
            return STEP
        pair.control = self.bytes[self.length]
        self.length += 1
        self.api.reg_read(self.uc, UC_X86_REG_XMM0 + ((modrm >> 3 & 7) | (8 if self.insn.rex & 4 else 0)), pair.first)
        if modrm >= 0xC0:
            self.api.reg_read(self.uc, UC_X86_REG_XMM0 + ((modrm & 7) | (8 if self.insn.rex & 1 else 0)), pair.second)
        else:
            done = self.load(self.address(), 16, cython.cast(cython.pointer(uint8_t), pair.second))
            if done != DONE:
                return done
        pair.counted = which < 0x62
        if pair.counted:
            pair.lengths[0] = cython.cast(int64_t, self.general(0))
            pair.lengths[1] = cython.cast(int64_t, self.general(2))
            if not wide:
                pair.lengths[0] = cython.cast(int32_t, cython.cast(uint32_t, pair.lengths[0]))
                pair.lengths[1] = cython.cast(int32_t, cython.cast(uint32_t, pair.lengths[1]))
        compare_strings(cython.address(pair))
        if which & 1:
            self.set_general(1, pair.index)
        else:
            self.api.reg_write(self.uc, UC_X86_REG_XMM0, pair.mask)
        self.set_flags(pair.flags)
        return self.finish(self.length)
