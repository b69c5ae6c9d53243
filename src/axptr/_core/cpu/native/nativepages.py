"""What a guest on the host's CPU sees of memory: an address space, through a stub that caches its page table.

A stub is made when the guest is to run, and can be ended whenever it is our turn: the registers are taken out first. One
that lies where the space has an area by now, or that has died, is replaced.

Not here: the stub's side of it (`stub`), running (`native`).

Locking: fills run without the GIL, under the memory's lock.
"""

import cython
from cython.cimports.axptr._core.cpu.metronome import beat_end, beat_start
from cython.cimports.axptr._core.cpu.native.nativestate import NativeState, extent_of, first_image, put_vectors
from cython.cimports.axptr._core.cpu.native.stub import NAT_SPAN, Stub, nat_cpu_time, nat_ended
from cython.cimports.axptr._core.mm.areas import AreaRec, index_at, index_seek
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.codes import FAULT_FORKED, FAULT_OK, FAULT_RANGE, READ, WRITE
from cython.cimports.axptr._core.words.lock import axptr_lock_nogil, axptr_unlock
from cython.cimports.libc.stdint import uint64_t

_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)

# Where stubs may lie: the first place where the space has no area. Far from where programs and their mappings are.
_BASES = tuple(0x6FFF_0000_0000 - (i << 40) for i in range(64)) + tuple(0x2_4000_0000 + (i << 33) for i in range(64))


@cython.no_gc_clear
@cython.cclass
class NativePages(NativeState):
    """Registers and memory. `NativeCpu` derives from it; nobody else should."""

    def __cinit__(self, phys: PhysMemory, *, ahead: cython.int = 0):
        phys.alive()
        self.phys = phys
        self.around = 16
        self.ahead = max(0, min(ahead, 64))

    def __dealloc__(self):
        self.stub = None

    def need_stub(self):
        """There is a stub for the space, the guest's state in it."""
        if self.stub is not None:
            if not nat_ended(cython.address(self.stub.s)) and not self.in_the_way(self.stub.s.base):
                return 0
            self.drop_stub()
        for base in _BASES:
            if not self.in_the_way(base):
                break
        else:
            raise RuntimeError("the space leaves no room for the native engine")
        stub: Stub = Stub()
        stub.start(self.phys, self.mmu, base)
        self.stub = stub
        self.stubs += 1
        put_vectors(stub, self.image if self.image is not None else first_image())
        if self.busy:
            beat_start(cython.address(stub.beat), self.deadline)
            stub.link.owner = self.owner
        return 0

    def in_the_way(self, base):
        """Whether the space has an area where a stub at `base` lies."""
        rec: cython.pointer(AreaRec)
        axptr_lock_nogil(self.phys.lock)
        rec = index_at(cython.address(self.mmu.areas), index_seek(cython.address(self.mmu.areas), base))
        axptr_unlock(self.phys.lock)
        return rec != cython.NULL and rec.start < base + NAT_SPAN

    def drop_stub(self):
        """End the stub; what the guest had in it is kept."""
        stub: Stub = self.stub
        if stub is None:
            return 0
        if stub.vectors != cython.NULL:
            self.image = cython.cast(cython.p_char, stub.vectors)[: extent_of(stub)]
        self.spent += nat_cpu_time(cython.address(stub.s))
        if self.busy:
            beat_end(cython.address(stub.beat))
        self.stub = None
        stub.end()
        return 0

    def fill(self, vaddr, access):
        """Have the stub map the page at `vaddr`, brought in if an area allows this access; FAULT_OK or why not."""
        page: uint64_t = vaddr & _page_mask
        code: cython.int = FAULT_OK
        slot: cython.pointer(uint64_t)
        asked: cython.bint
        self.fills += 1
        axptr_lock_nogil(self.phys.lock)
        if self.phys.forked or page < self.mmu.first or page > self.mmu.last:
            code = FAULT_FORKED if self.phys.forked else FAULT_RANGE
        elif self.mmu.at_once(page, access) == cython.NULL:
            asked = self.stub.asked()
            code = self.mmu.bring_in(page, access, cython.address(slot))
            if not asked:
                # What this very fill asked for: a copy of the page was made, and is mapped over it now.
                self.stub.link.need_flush = 0
                self.stub.link.ndrop = 0
                self.stub.link.drop_all = 0
        if code == FAULT_OK:
            self.stub.give_present(page)
            if self.around > 1:
                self.fill_around(page)
            if self.ahead and access == WRITE:
                self.fill_ahead(page)
        axptr_unlock(self.phys.lock)
        return code

    def fill_ahead(self, page):
        """A guest that writes page after page finds the next ones there. Lock held."""
        asked: cython.bint
        slot: cython.pointer(uint64_t)
        left: cython.int
        at: uint64_t = page + 4096
        if page != self.next_page:
            self.window = 0
            self.next_page = at
            return
        self.window = min(self.window * 2, self.ahead) if self.window else 4
        left = self.window
        if self.phys.limit_frames and self.phys.ndata + self.phys.ntable + 4096 > self.phys.limit_frames:
            left = 0  # what it may have is short: nothing that was not asked for
        while left and at <= self.mmu.last and self.mmu.at_once(at, READ) == cython.NULL:
            asked = self.stub.asked()
            if self.mmu.bring_in(at, WRITE, cython.address(slot)) != FAULT_OK:
                break
            if not asked:
                self.stub.link.need_flush = 0
                self.stub.link.ndrop = 0
                self.stub.link.drop_all = 0
            self.stub.give_present(at)
            at += 4096
            left -= 1
        self.next_page = at

    def fill_around(self, page):
        """What is there already around a page is given with it. Lock held."""
        at: uint64_t = page & ~cython.cast(uint64_t, self.around * 4096 - 1)
        end: uint64_t = at + self.around * 4096
        while at < end:
            if at != page and not self.stub.slot(at >> 12).perms:
                self.stub.give_present(at)
            at += 4096

    def prepare(self):
        """Start the guest's process now rather than with the first run. `OSError` where the host does not allow it."""
        self.check_mine()
        if self.mmu is None:
            raise RuntimeError("attach a space before starting its process")
        self.need_stub()

    @property
    def guest_cpu_ns(self):
        """CPU time of the guest so far, nanoseconds: it is no time of any thread of this process."""
        if self.stub is None:
            return self.spent
        return self.spent + nat_cpu_time(cython.address(self.stub.s))

    @property
    def guest_pid(self):
        """The process in which the guest runs; None while there is none."""
        return self.stub.s.pid or None if self.stub is not None else None
