"""What is different of a space for its CPUs because somebody debugs the program in it: breakpoints and watched bytes.

Every CPU over the space asks here what it may have of a page and whether it is to come out before an instruction. One
that can be asked about each instruction needs no more (`breaks_at`). For one that cannot, the host's own, a breakpoint
of one byte is an `int3` in a copy of the page which that CPU has in its place: executed only, and made anew from the
page's own bytes each time the CPU goes on. A page with other breakpoints is not executable for it at all; one with
watched bytes is not writable, or not there, whatever its table says. Nobody else sees any of this.

Not here: who wants to know, and what it is then told (`axptr.engine.points`); how a CPU does one instruction with all of
this aside (`Leave`).

Invariants: stretches are sorted and do not meet; pages are sorted. Locking: the memory's lock, but for `prepare`, which
wants the GIL. Failure: where there is no frame for a copy the page is not executable.
"""

import cython
from cython.cimports.axptr._core.mm.points import Stretch, Watched
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.codes import EXECUTE, IN_PAGE, PAGE_SHIFT, PAGE_SIZE, READ, WRITE
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcpy

_INT3 = cython.declare(uint8_t, 0xCC)


@cython.no_gc_clear
@cython.cclass
class Points:
    """Made by `GuestMmu.set_points` alone, and kept as long as the space: CPUs look at it without a reference."""

    def __cinit__(self, phys: PhysMemory):
        self.phys = phys

    def __dealloc__(self):
        i: uint32_t
        if not self.phys.forked:
            axptr_lock_gil(self.phys.lock)
            for i in range(self.npages):
                if self.pages[i].copy:
                    self.phys.decref(self.pages[i].copy)
            axptr_unlock(self.phys.lock)
        free(self.stretches)
        free(self.pages)
        free(self.next_stretches)
        free(self.next_pages)

    def prepare(self, code: list, pages: dict):
        """What is to be so from the next `swap` on: `code` has (first, last) of the stretches, sorted; `pages` a page's
        address -> (deny, breaks)."""
        i: uint32_t
        after = cython.cast(cython.pointer(Watched), calloc(len(pages) + 1, cython.sizeof(Watched)))
        stretches = cython.cast(cython.pointer(Stretch), calloc(len(code) + 1, cython.sizeof(Stretch)))
        if after == cython.NULL or stretches == cython.NULL:
            free(after)
            free(stretches)
            raise MemoryError
        for i in range(len(code)):
            stretches[i].first, stretches[i].last = code[i]
        ordered: list = sorted(pages)
        for i in range(len(ordered)):
            after[i].page = ordered[i]
            after[i].deny, after[i].breaks = pages[ordered[i]]
        self.next_pages, self.next_npages = after, len(ordered)
        self.next_stretches, self.next_nstretches = stretches, len(code)
        return 0

    def swap(self):
        """What was prepared is so. Engines have been told to ask again, and have not yet. Lock held."""
        i: uint32_t
        before: cython.pointer(Watched)
        for i in range(self.next_npages):
            before = self.find(self.next_pages[i].page)
            if before != cython.NULL and self.next_pages[i].breaks:
                self.next_pages[i].copy, self.next_pages[i].of = before.copy, before.of
                before.copy = 0
        for i in range(self.npages):
            if self.pages[i].copy:
                self.phys.decref(self.pages[i].copy)
        free(self.pages)
        free(self.stretches)
        self.pages, self.npages = self.next_pages, self.next_npages
        self.stretches, self.nstretches = self.next_stretches, self.next_nstretches
        self.next_pages, self.next_stretches = cython.NULL, cython.NULL

    def breaks_at(self, vaddr):
        """Whether somebody wants to know before the instruction there is done."""
        low: uint32_t = 0
        high: uint32_t = self.nstretches
        middle: uint32_t
        while low < high:
            middle = (low + high) // 2
            if self.stretches[middle].last < vaddr:
                low = middle + 1
            else:
                high = middle
        return low < self.nstretches and self.stretches[low].first <= vaddr

    def find(self, page):
        """What is different of a page; NULL if nothing is."""
        low: uint32_t = 0
        high: uint32_t = self.npages
        middle: uint32_t
        while low < high:
            middle = (low + high) // 2
            if self.pages[middle].page < page:
                low = middle + 1
            else:
                high = middle
        if low < self.npages and self.pages[low].page == page:
            return self.pages + low
        return cython.NULL

    def denied(self, page, open):
        """What a CPU must come out for: READ alone means all, for nothing can be taken from those who may write."""
        watched: cython.pointer(Watched) = self.find(page)
        if watched == cython.NULL or open:
            return 0
        return READ | WRITE | EXECUTE if watched.deny & READ else watched.deny

    def may_keep(self, page, pfn, shown_pfn, perms, leave):
        """What a CPU that has frame `pfn` for a page may keep of `perms`, which the table gives it on `shown_pfn`."""
        watched: cython.pointer(Watched) = self.find(page)
        bare: cython.bint = leave.first <= page <= leave.last
        if watched == cython.NULL:
            return perms if pfn == shown_pfn else 0
        perms &= ~self.denied(page, leave.open)
        if watched.breaks and not bare:
            if pfn == watched.copy and pfn:
                return perms & ~cython.cast(uint32_t, WRITE) if watched.of == shown_pfn else 0
            perms &= ~cython.cast(uint32_t, EXECUTE)
        return perms if pfn == shown_pfn else 0

    def may_have(self, page, pfn, perms, access, leave):
        """What a CPU may have of a page that its table shows on frame `pfn[0]` with `perms`, and in which frame. access: what
        it wants there, 0 if it wants nothing yet."""
        watched: cython.pointer(Watched) = self.find(page)
        bare: cython.bint = leave.first <= page <= leave.last
        if watched == cython.NULL:
            return perms
        perms &= ~self.denied(page, leave.open)
        if not watched.breaks or bare:
            return perms
        if access == 0:
            return 0
        if not perms & EXECUTE or (access != EXECUTE and perms & WRITE):
            return perms & ~cython.cast(uint32_t, EXECUTE)
        if not watched.copy:
            watched.copy = cython.cast(uint32_t, self.phys.alloc_frame(False, False))
            if not watched.copy:
                return perms & ~cython.cast(uint32_t, EXECUTE)
        watched.of = pfn[0]
        self.fill_copy(watched)
        pfn[0] = watched.copy
        return perms & ~cython.cast(uint32_t, WRITE)

    def fill_copy(self, watched):
        """The bytes that the page has by now, and its breakpoints."""
        host: cython.pointer(uint8_t) = self.phys.base + (cython.cast(uint64_t, watched.copy) << PAGE_SHIFT)
        i: uint32_t
        at: uint64_t
        memcpy(host, self.phys.base + (cython.cast(uint64_t, watched.of) << PAGE_SHIFT), PAGE_SIZE)
        for i in range(self.nstretches):
            at = self.stretches[i].first
            if at == self.stretches[i].last and at & ~cython.cast(uint64_t, IN_PAGE) == watched.page:
                host[at & IN_PAGE] = _INT3
