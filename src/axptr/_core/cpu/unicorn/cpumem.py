"""What a CPU of the Unicorn library sees of memory: an address space, through the library's table of translations.

The CPU's translations are those of the space: on a miss the library calls `_on_fill`, which asks
`SpaceCore.engine_fill`. Permissions, copy-on-write and dirty bits are therefore the page table's; the library's
own are never used.

What the guest may have cached goes stale when a space changes. Whoever changes it leaves a request in
`EngineLink`; `enter` applies it before each instruction that follows a stay outside. Guest code runs between
`enter` and the return of `emu_start`, except inside a system call's handler: `link.running` says so.

Which frames the library has for execution is kept beside its table, until it is flushed: what it translates is looked
at there (`stepping`). A frame is never executable and writable at once, so its code is looked at again after each change.

Not here: running (`stepping`, `unicorn`), the CPU without memory (`usercpu`).

Locking: fills run without the GIL; they take the memory's lock and give it back before they call anything that may
want the GIL. A writable live view (`view`) writes without any lock: a thread that puts forbidden code through one
into a page that runs at that moment can still hurt the library.
"""

import cython
from cython.cimports.axptr._core.cpu.running import STEP_BARE, STEP_OPEN, join, leave
from cython.cimports.axptr._core.cpu.unicorn.cpumem import (
    CODE_PAGES,
    Ask,
    CodePage,
    frame_address,
)
from cython.cimports.axptr._core.cpu.unicorn.uclib import (
    CTL_REMOVE_CACHE,
    CTL_TB_FLUSH,
    CTL_TLB_FLUSH,
    UC_HOOK_TLB_FILL,
    UC_MEM_FETCH,
    UC_MEM_WRITE,
    UC_PROT_ALL,
    TlbAnswer,
)
from cython.cimports.axptr._core.cpu.unicorn.usercpu import UserCpu, descriptor_page
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.codes import (
    EXECUTE,
    FAULT_NOT_MEMORY,
    FAULT_OK,
    FAULT_RETRY,
    FAULT_WATCHED,
    READ,
    WRITE,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_nogil, axptr_unlock
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset

# A window onto all frames that no guest has: the fill hook answers for it only while the guest is outside.
_probe_va = cython.declare(uint64_t, 0x8000_0000_0000_0000)

_first_growth = cython.declare(uint64_t, 256)  # entries of the library's table at the start
_last_growth = cython.declare(uint64_t, 1 << 22)  # and at most
_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)
_half = cython.declare(uint64_t, 1 << 47)  # of the canonical addresses
_no_page = cython.declare(uint64_t, 1)
_many_frames = cython.declare(uint32_t, 256)  # from here on dropping all code is cheaper than frame by frame


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_fill(
    uc: cython.p_void, vaddr: uint64_t, kind: cython.int, entry: cython.pointer(TlbAnswer), cpu: MappedCpu
) -> cython.bint:
    return cpu.answer(vaddr, kind, entry)


@cython.no_gc_clear
@cython.cclass
class MappedCpu(UserCpu):
    """A CPU and its memory. `DeviceCpu` derives from it; nobody else should."""

    def __cinit__(self, phys: PhysMemory, library: str):
        self.grow_at = _first_growth
        self.detour_page = _no_page
        self.hook(UC_HOOK_TLB_FILL, cython.cast(cython.p_void, _on_fill), 0)
        self.beat.kick = cython.cast(Ask, self.api.emu_stop)
        self.beat.handle = self.uc
        self.clock = cython.address(self.beat)
        join(phys, cython.address(self.link), self.clock)

    def __dealloc__(self):
        # Half-made, where a base class has failed: no object is in its field then, nor a method in the table.
        if self.beat.handle != cython.NULL:
            MappedCpu.release(self)

    def release(self):
        """Give everything back. Idempotent; the guest is not running."""
        if self.mmu is not None:
            self.mmu.detach_engine(cython.address(self.link))
            self.mmu = None
        leave(self.phys, cython.address(self.link), cython.address(self.beat))
        UserCpu.shut(self)

    # -- what the library asks ----------------------------------------------------------------------------

    def answer(self, vaddr, kind, entry):
        """A translation for the page at `vaddr`, or False: then the access faults, all registers as before it."""
        code: cython.int = FAULT_NOT_MEMORY
        access: cython.int = READ
        perms: cython.int = 0
        denied: cython.int
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
        if kind == UC_MEM_FETCH and (vaddr == self.detour_page or vaddr == self.detour_page + 4096):
            entry.paddr = self.phys.size + (vaddr - self.detour_page)
            entry.perms = UC_PROT_ALL
            return True
        if kind == UC_MEM_FETCH and vaddr + _half > 2 * _half - 1:
            memcpy(self.trail, frame_address(0), cython.sizeof(self.trail))
            self.has_trail = True
        if self.segments and kind != UC_MEM_FETCH and vaddr == descriptor_page:
            entry.paddr = self.phys.size + 4096
            entry.perms = READ
            return True
        if self.mmu is not None:
            if self.fresh >= self.grow_at:
                # The library's table doubles at a flush when most of it was in use. A guest that keeps
                # missing needs that.
                self.flush()
                if self.grow_at < _last_growth:
                    self.grow_at *= 2
            code = self.mmu.engine_fill(vaddr, access, cython.address(entry.paddr), cython.address(perms))
            if code == FAULT_NOT_MEMORY and access != EXECUTE and not self.stepping:
                self.wants_device = True
                code = FAULT_RETRY
            elif code == FAULT_NOT_MEMORY and access != EXECUTE:
                if self.device(vaddr, cython.address(entry.paddr)):
                    entry.perms = perms
                    return True
                self.flush()  # no translation is left that leads to the window: its pages are free again
                if self.device(vaddr, cython.address(entry.paddr)):
                    entry.perms = perms
                    return True
            if code == FAULT_OK and self.mmu.has_points:
                denied = self.denied(vaddr)
                if access & denied & ~EXECUTE:
                    code = FAULT_WATCHED
                perms &= ~denied | EXECUTE
            if code == FAULT_OK and access == EXECUTE and not self.may_translate():
                code = FAULT_RETRY
            if code == FAULT_OK and self.link.need_flush:
                # This very fill, or another thread, made translations stale.
                if self.link.ndrop or self.link.drop_all or access == EXECUTE:
                    code = FAULT_RETRY
                else:
                    self.flush_inside()
            elif code == FAULT_RETRY and access == WRITE and self.stepping:
                # The instruction writes to code: perhaps its own, so both can never be cached. It has been
                # translated, alone: let it write. What was asked for is applied behind it.
                perms |= WRITE
                code = FAULT_OK
            if code == FAULT_OK:
                entry.perms = perms
                if access == EXECUTE:
                    self.note_code(vaddr, entry.paddr)
                return True
        self.refused = code
        self.refused_access = access
        self.refused_page = vaddr
        self.refused_frame = entry.paddr >> 12
        return False

    def denied(self, vaddr):
        """What a debugger wants to be told of before it is done to the page there."""
        result: cython.int
        axptr_lock_nogil(self.phys.lock)
        result = self.mmu.points.denied(vaddr & _page_mask, self.single & STEP_OPEN != 0)
        axptr_unlock(self.phys.lock)
        return result

    def breaks_at(self, vaddr):
        """Whether the guest is to come out before the instruction there."""
        result: cython.bint
        if self.mmu is None or not self.mmu.has_points or self.single & STEP_BARE:
            return False
        axptr_lock_nogil(self.phys.lock)
        result = self.mmu.points.breaks_at(vaddr)
        axptr_unlock(self.phys.lock)
        return result

    def device(self, vaddr, paddr):
        """The place of a device's page (`cpudevices`)."""
        return False

    def may_translate(self):
        """Not while a frame is being changed: a request to drop its code waits, or another CPU may still write."""
        result: cython.bint
        axptr_lock_nogil(self.phys.lock)
        result = not self.phys.others_stale(cython.address(self.link))
        axptr_unlock(self.phys.lock)
        return result

    def note_code(self, vaddr, paddr):
        """The library has this page for execution."""
        slot: cython.pointer(CodePage) = cython.address(self.code[(vaddr >> 12) % CODE_PAGES])
        slot.page = vaddr
        slot.host = self.phys.base + paddr
        self.has_code = True

    def translated_at(self, vaddr):
        """The bytes at an address that the library has for execution, as far as is known; NULL otherwise."""
        slot: cython.pointer(CodePage) = cython.address(self.code[(vaddr >> 12) % CODE_PAGES])
        if slot.host == cython.NULL or slot.page != vaddr & _page_mask:
            return cython.NULL
        return slot.host + (vaddr & 0xFFF)

    def end_detour(self):
        """Outside: our pages are not executed any more, and what was translated from them is dropped."""
        self.api.ctl(self.uc, CTL_REMOVE_CACHE, self.detour_page, self.detour_page + 4096)
        self.detour_page = _no_page
        self.flush()

    # -- what others ask ----------------------------------------------------------------------------------

    def flush(self):
        self.api.ctl(self.uc, CTL_TLB_FLUSH)
        self.flushes += 1
        self.fresh = 0
        if self.has_code:
            memset(self.code, 0, cython.sizeof(self.code))
            self.has_code = False

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
