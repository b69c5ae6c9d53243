"""A space as a guest CPU sees it: which page an access finds, and what the CPU may cache of it.

Not here: translation (`mmu`), what the CPU must drop again (`phys.coherence`), the CPU (`cpu`).

Invariant: no engine caches a frame as writable and as executable at once; what it may have cached is marked in the frame's
flags, so that whoever changes the frame knows whom to tell.

Locking: the lock of the PhysMemory, taken here. Failure: codes, as of `bring_in`.
"""

import cython
from cython.cimports.axptr._core.mm.areas import (
    AreaPos,
    AreaRec,
    index_at,
    index_before,
    index_find,
    index_next,
    index_seek,
)
from cython.cimports.axptr._core.mm.guest import GuestMmu, Shown
from cython.cimports.axptr._core.mm.mmu import Mmu, leaves_of
from cython.cimports.axptr._core.mm.points import Points, Watched
from cython.cimports.axptr._core.mm.store import store_fill_row, store_get
from cython.cimports.axptr._core.paging.format import entry_clean, entry_paddr, entry_permissions, entry_valid
from cython.cimports.axptr._core.paging.walk import Leaves, leaf_slot, make_slot, next_leaf
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE, FRAME_WCACHED, EngineLink
from cython.cimports.axptr._core.words.codes import (
    ACCESS,
    EXECUTE,
    FAULT_FORKED,
    FAULT_NOT_MEMORY,
    FAULT_OK,
    FAULT_RANGE,
    FAULT_RETRY,
    KIND_ALLOC,
    KIND_STORE,
    PAGE_SHIFT,
    PAGE_SIZE,
    READ,
    WRITE,
    page_start,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_lock_nogil, axptr_unlock
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import realloc
from cython.cimports.libc.string import memset

from axptr.errors import LinuxError

_SHORT_OF_FRAMES = cython.declare(uint64_t, 4096)  # fewer are left: nothing is brought in that was not asked for
# As Linux (fault_around_bytes): a write beyond is a fault, of which the times of the file tell.
_AROUND_SHARED = cython.declare(cython.int, 16)
_BESIDE = cython.declare(cython.int, 32)  # pages of a file at most that are read where one of them is touched
_SHOWN = cython.declare(uint64_t, 128)  # and so many around it at most are shown if they were read before
_LARGE = cython.declare(uint64_t, (32 << PAGE_SHIFT) - 1)  # in smaller areas what is there is what was touched
_FEW = cython.declare(uint64_t, 16)  # pages of a program's file that come as a whole
_OF_STACK = cython.declare(uint64_t, 8)  # pages
_MUCH = cython.declare(uint64_t, 128)  # pages of the 2 MiB
_NEAR = cython.declare(uint64_t, 128 << PAGE_SHIFT)
_TABLE = cython.declare(uint64_t, (512 << PAGE_SHIFT) - 1)  # what the entries of one table translate


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _is_program_data(rec: cython.pointer(AreaRec)) -> cython.bint:
    """Whether an area is a program's own copy of a part of its file. Lock held."""
    return rec.kind == KIND_STORE and not rec.shared and rec.store.program


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _is_behind_data(mmu: GuestMmu, rec: cython.pointer(AreaRec)) -> cython.bint:
    """Whether a small area of memory lies behind a program's data: the zeros that belong to it (bss). Lock held."""
    before: cython.pointer(AreaRec)
    if rec.shared or rec.last - rec.start >= _LARGE:
        return False
    before = index_before(cython.address(mmu.areas), index_seek(cython.address(mmu.areas), rec.start))
    if before == cython.NULL or before.last + 1 != rec.start:
        return False
    return _is_program_data(before) and mmu.granted(before.flags) & WRITE


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _goes_on(mmu: GuestMmu, rec: cython.pointer(AreaRec), vaddr: uint64_t) -> cython.bint:
    """Whether the 16 pages below those that the page at `vaddr` is one of are in use: who fills memory has come so far. Lock
    held."""
    slot: cython.pointer(uint64_t)
    size: uint64_t = cython.cast(uint64_t, 16) << PAGE_SHIFT
    block: uint64_t = vaddr & ~(size - 1)
    if block < size or block - size < max(rec.start, mmu.first):
        return False
    slot = leaf_slot(mmu.phys, mmu.fmt, mmu.root, block - size)
    return slot != cython.NULL and _in_use(slot, block - size, 16) == 16


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _in_use(slot: cython.pointer(uint64_t), vaddr: uint64_t, count: uint64_t) -> uint64_t:
    """How many entries are in use of the `count`, a power of two, of which that of `vaddr` is one. Lock held."""
    i: uint64_t
    used: uint64_t = 0
    slot -= (vaddr >> PAGE_SHIFT) & (count - 1)
    for i in range(count):
        used += slot[i] != 0
    return used


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _block_of(
    mmu: GuestMmu,
    rec: cython.pointer(AreaRec),
    vaddr: uint64_t,
    size: uint64_t,
    at: cython.pointer(uint64_t),
    end: cython.pointer(uint64_t),
) -> cython.void:
    """[*at, *end]: of an area, what comes with the page at `vaddr`: all of one that is no larger than `size` bytes, else
    the block of that size; the entries of it lie in one table."""
    at[0] = max(page_start(rec.start), mmu.first, vaddr & ~_TABLE)
    end[0] = min(rec.last, vaddr | _TABLE)
    if rec.last - rec.start >= size:
        at[0] = max(at[0], vaddr & ~(size - 1))
        end[0] = min(end[0], vaddr | (size - 1))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _bring_shown(
    mmu: GuestMmu,
    rec: cython.pointer(AreaRec),
    at: uint64_t,
    end: uint64_t,
    first: cython.pointer(uint64_t),
    last: cython.pointer(uint64_t),
) -> cython.void:
    """Bring in what the store of an area has already of [at, end], whose entries lie in one table. Lock held. What was
    brought in lies in [*first, *last] then, pages."""
    slot: cython.pointer(uint64_t) = make_slot(mmu.phys, mmu.fmt, mmu.root, at)
    if slot != cython.NULL:
        mmu.bring_row(rec, slot, at, end, False, first, last)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _is_part(
    mmu: GuestMmu, rec: cython.pointer(AreaRec), other: cython.pointer(AreaRec), edge: uint64_t
) -> cython.bint:
    """Whether another area shows the same file, is only read, and has no page at its edge yet. Lock held."""
    slot: cython.pointer(uint64_t)
    if other.kind != KIND_STORE or other.store != rec.store or other.shared or not mmu.first <= edge <= mmu.last:
        return False
    if not mmu.granted(other.flags) or mmu.granted(other.flags) & WRITE:
        return False
    slot = leaf_slot(mmu.phys, mmu.fmt, mmu.root, edge)
    return slot == cython.NULL or slot[0] == 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _bring_parts(
    mmu: GuestMmu,
    rec: cython.pointer(AreaRec),
    at: uint64_t,
    end: uint64_t,
    first: cython.pointer(uint64_t),
    last: cython.pointer(uint64_t),
) -> cython.void:
    """The parts of a program's file that lie right before and behind an area of it, of which [at, end] was brought in, and
    are not written: text beside what it reads. Lock held. Not if the edge is far; and once: where the page behind it is
    there it is over."""
    pos: AreaPos = index_seek(cython.address(mmu.areas), rec.start)
    other: cython.pointer(AreaRec) = index_before(cython.address(mmu.areas), pos)
    above: cython.bint = rec.last - end < _NEAR
    if at - rec.start >= _NEAR:
        other = cython.NULL
    if other != cython.NULL and other.last + 1 == rec.start and _is_part(mmu, rec, other, other.last):
        _block_of(mmu, other, other.last, _SHOWN << PAGE_SHIFT, cython.address(at), cython.address(end))
        _bring_shown(mmu, other, at, end, first, last)
    other = index_at(cython.address(mmu.areas), index_next(cython.address(mmu.areas), pos))
    if above and other != cython.NULL and rec.last + 1 == other.start and _is_part(mmu, rec, other, other.start):
        _block_of(mmu, other, other.start, _SHOWN << PAGE_SHIFT, cython.address(at), cython.address(end))
        _bring_shown(mmu, other, at, end, first, last)


@cython.no_gc_clear
@cython.cclass
class GuestMmu(Mmu):
    def __dealloc__(self):
        i: uint32_t
        if self.has_points and not self.phys.forked:  # the copies go before the pages that they are of
            axptr_lock_gil(self.lock)
            for i in range(self.nengines):
                self.phys.request_range(self.engines[i], self.first, self.last)
            axptr_unlock(self.lock)

    def engine_fill(self, vaddr, access, paddr, perms):
        code: cython.int
        entry: uint64_t
        pfn: uint64_t
        slot: cython.pointer(uint64_t)
        i: uint32_t
        marks: cython.pointer(uint8_t)
        code = FAULT_OK
        axptr_lock_nogil(self.lock)
        if self.phys.forked or vaddr < self.first or vaddr > self.last:
            axptr_unlock(self.lock)
            return FAULT_FORKED if self.phys.forked else FAULT_RANGE
        slot = leaf_slot(self.phys, self.fmt, self.root, vaddr)
        if slot == cython.NULL or not self.entry_allows(slot[0], access):
            code = self.bring_in(vaddr, access, cython.address(slot))
            if code != FAULT_OK:
                if code == FAULT_NOT_MEMORY:
                    perms[0] = self.granted(index_find(cython.address(self.areas), vaddr).flags) & (READ | WRITE)
                axptr_unlock(self.lock)
                return code
        entry = slot[0]
        paddr[0] = entry_paddr(self.fmt, entry)
        pfn = paddr[0] >> PAGE_SHIFT
        marks = self.phys.flags + pfn
        perms[0] = READ if self.entry_allows(entry, READ) else 0
        if access == EXECUTE:
            # From here on the CPU may translate this frame. A frame is never cached as writable and as
            # executable at once, whatever its mappings grant: engines look at code before they translate it,
            # and do not see writes to what they have translated.
            perms[0] |= EXECUTE
            if not marks[0] & FRAME_CODE:
                marks[0] |= FRAME_CODE
                if marks[0] & FRAME_WCACHED:
                    marks[0] &= ~cython.cast(uint8_t, FRAME_WCACHED)
                    for i in range(self.phys.nengines):
                        self.phys.request_flush(self.phys.engines[i])
                if self.phys.pins[pfn]:
                    self.phys.watch(pfn)
        elif self.entry_allows(entry, WRITE):
            if marks[0] & FRAME_CODE:
                if access == WRITE:
                    self.phys.code_changed(pfn)
                    code = FAULT_RETRY
            else:
                marks[0] |= FRAME_WCACHED
                perms[0] |= WRITE
        axptr_unlock(self.lock)
        return code

    def window(self, first, count, out):
        """What a CPU would find of `count` pages from the page at `first` on, without a fault. Lock held."""
        seen: cython.pointer(Shown)
        walk: Leaves
        memset(out, 0, count * cython.sizeof(Shown))
        if self.phys.forked or count == 0 or first < self.first or first > self.last:
            return
        if count - 1 > (self.last - first) >> PAGE_SHIFT:
            count = ((self.last - first) >> PAGE_SHIFT) + 1
        walk = leaves_of(self, first, first + (count << PAGE_SHIFT) - 1)
        while next_leaf(cython.address(walk)):
            if not entry_valid(self.fmt, walk.slot[0]):
                continue
            seen = out + ((walk.at - first) >> PAGE_SHIFT)
            seen.pfn = cython.cast(uint32_t, entry_paddr(self.fmt, walk.slot[0]) >> PAGE_SHIFT)
            seen.perms = entry_permissions(self.fmt, walk.slot[0]) & ACCESS
            if walk.slot[0] & self.fmt.noread:
                seen.perms &= ~cython.cast(uint32_t, READ)
            else:
                seen.perms |= READ
            if not walk.slot[0] & self.fmt.dirty:
                seen.perms &= ~cython.cast(uint32_t, WRITE)

    def _set_points(self, stops: object, code: list, pages: dict):
        """Have CPUs come out at these places from now on (`Points.prepare`); `stops` is what `self.stops` gives back."""
        if self.points is None:
            self.points = Points(self.phys)
        self.points.prepare(code, pages)
        axptr_lock_gil(self.lock)
        self.tell_of_points()
        self.points.swap()
        self.has_points = self.points.npages != 0
        self.tell_of_points()
        axptr_unlock(self.lock)
        self.stops = stops

    def tell_of_points(self):
        """CPUs are to look again at the pages that are different. Lock held."""
        i: uint32_t
        page: uint64_t
        seen: Shown
        for i in range(self.points.npages):
            page = self.points.pages[i].page
            self.notify(page, page + (PAGE_SIZE - 1))
            self.window(page, 1, cython.address(seen))
            if seen.perms and self.phys.flags[seen.pfn] & FRAME_CODE:  # what was made of its code asks nobody
                self.phys.code_changed(seen.pfn)

    def _breaks_at(self, vaddr: uint64_t):
        """Whether CPUs come out before the instruction there."""
        return self.has_points and bool(self.points.breaks_at(vaddr))

    def renew_copies(self):
        i: uint32_t
        seen: Shown
        watched: cython.pointer(Watched)
        for i in range(self.points.npages):
            watched = self.points.pages + i
            if watched.copy:
                self.window(watched.page, 1, cython.address(seen))
                if seen.perms and seen.pfn == watched.of:
                    self.points.fill_copy(watched)

    def bring_around(self, vaddr, first, last):
        """A guest has written a page: bring in what is missing beside it, ready to be written. Lock held.

        As much as `around` says; of memory, in large areas alone and where an eighth of the 2 MiB is in use already, or all
        that lies right below, or a quarter of 16 pages: programs see what is there (mincore(2), pagemap), and one that uses
        little of much has few pages that it never touched. Of stacks less. Of files, only the data of programs, with the zeros
        behind it: elsewhere a page that was not written shows what others write to the file. What was brought in lies in
        [*first, *last] then, pages.
        """
        slot: cython.pointer(uint64_t) = leaf_slot(self.phys, self.fmt, self.root, vaddr)
        rec: cython.pointer(AreaRec) = index_find(cython.address(self.areas), vaddr)
        used: uint32_t
        size: uint64_t
        at: uint64_t
        end: uint64_t
        if slot == cython.NULL or rec == cython.NULL or not self.granted(rec.flags) & WRITE:
            return
        if rec.kind != KIND_ALLOC and not _is_program_data(rec):
            return
        size = _FEW
        if rec.kind == KIND_ALLOC and rec.grow_limit:
            size = _OF_STACK
        elif rec.kind == KIND_ALLOC and not _is_behind_data(self, rec):
            if rec.last - rec.start < _LARGE:
                return
            used = self.phys.used_in_run(slot)
            if used >= 256 or _goes_on(self, rec, vaddr):
                size = 64
            elif used < 64 and _in_use(slot, vaddr, 16) < 4:
                return
        size = cython.cast(uint64_t, min(size, self.around)) << PAGE_SHIFT
        if self.phys.is_short(_SHORT_OF_FRAMES):
            return
        _block_of(self, rec, vaddr, size, cython.address(at), cython.address(end))
        slot -= (page_start(vaddr) - at) >> PAGE_SHIFT
        if rec.kind == KIND_ALLOC:
            self.bring_row(rec, slot, at, end, True, first, last)
        else:
            self.bring_data(rec, slot, at, end, first, last)

    def bring_data(self, rec, slot, at, end, first, last):
        """Have the pages of [at, end) of a program's data, whose entries begin at `slot`, be the space's own. Lock held."""
        page: uint64_t = (rec.offset + (at - rec.start)) >> PAGE_SHIFT
        store_fill_row(rec.store, self.phys, page, page + ((end - at) >> PAGE_SHIFT))
        first[0] = min(first[0], at)
        last[0] = max(last[0], page_start(end))
        while at < end:
            if slot[0] == 0:
                if not store_get(rec.store, page) or self.supply(rec, at, True, slot) != FAULT_OK:
                    return
            elif entry_valid(self.fmt, slot[0]) and not self.entry_allows(slot[0], WRITE):
                if self.make_private(rec, at, slot) != FAULT_OK:
                    return
            page += 1
            slot += 1
            at += PAGE_SIZE

    def bring_row(self, rec, slot, at, end, own, first, last):
        """Bring in what is missing of [at, end), whose entries begin at `slot`: pages of its own, else those that the store
        has already. Lock held. What was brought in lies in [*first, *last] then, pages."""
        page: uint64_t = (rec.offset + (at - rec.start)) >> PAGE_SHIFT
        first[0] = min(first[0], at)
        last[0] = max(last[0], page_start(end))
        while at < end:
            if slot[0] == 0 and (own or store_get(rec.store, page)) and self.supply(rec, at, own, slot) != FAULT_OK:
                return
            page += 1
            slot += 1
            at += PAGE_SIZE

    def bring_own(self, vaddr):
        """Have a page of memory that is its own, which is there, ready to be written; whether it is. Lock held."""
        slot: cython.pointer(uint64_t)
        rec: cython.pointer(AreaRec) = index_find(cython.address(self.areas), vaddr)
        if rec == cython.NULL or rec.kind != KIND_ALLOC or rec.shared or not self.granted(rec.flags) & WRITE:
            return False
        if self.at_once(vaddr, WRITE) != cython.NULL:
            return True
        return (
            self.at_once(vaddr, READ) != cython.NULL and self.bring_in(vaddr, WRITE, cython.address(slot)) == FAULT_OK
        )

    def bring_beside(self, vaddr, first, last):
        """A guest is about to read a page of a file, or to run it: bring in what lies beside it, as far as `around` says.
        Lock held. What was brought in lies in [*first, *last] then, pages.

        As on Linux (`do_fault_around`), where the pages are those that the file's cache has already; of these more than of
        those that are to be read, and of a program those of its other parts beside this one, too.
        """
        rec: cython.pointer(AreaRec) = index_find(cython.address(self.areas), vaddr)
        size: uint64_t = cython.cast(uint64_t, min(self.around, _BESIDE)) << PAGE_SHIFT
        at: uint64_t
        end: uint64_t
        page: uint64_t
        if rec == cython.NULL or rec.kind != KIND_STORE or not self.granted(rec.flags):
            return
        if self.phys.is_short(_SHORT_OF_FRAMES):
            return
        _block_of(self, rec, vaddr, size, cython.address(at), cython.address(end))
        page = (rec.offset + (at - rec.start)) >> PAGE_SHIFT
        store_fill_row(rec.store, self.phys, page, page + ((end - at) >> PAGE_SHIFT))
        if rec.shared:
            size = cython.cast(uint64_t, _AROUND_SHARED) << PAGE_SHIFT
            _bring_shown(self, rec, max(vaddr & ~(size - 1), at), min(vaddr | (size - 1), end), first, last)
            return
        slot: cython.pointer(uint64_t) = make_slot(self.phys, self.fmt, self.root, vaddr)
        if slot == cython.NULL:
            return
        size = _SHOWN if _in_use(slot, vaddr, 512) < _MUCH else 512  # who uses much of it comes for the rest, too
        _block_of(self, rec, vaddr, size << PAGE_SHIFT, cython.address(at), cython.address(end))
        _bring_shown(self, rec, at, end, first, last)
        if rec.store.program:
            _bring_parts(self, rec, at, end, first, last)

    def clear_dirty(self):
        """Pages that were written count as unwritten from now on; CPUs have been told of each. Lock held."""
        self.phys.fence()  # who writes from here on is noticed
        walk: Leaves = leaves_of(self, self.first, self.last)
        while next_leaf(cython.address(walk)):
            if walk.slot[0] & self.fmt.dirty:
                walk.slot[0] = entry_clean(self.fmt, walk.slot[0])
        self.tlb_drop(self.first, self.last)
        return 0

    def fault_python(self, vaddr, access):
        try:
            self._page_in(vaddr, access)
        except LinuxError as fault:
            raise (fault.__cause__ or fault) from None
        return 0

    def attach_engine(self, link):
        grown: cython.p_void
        axptr_lock_gil(self.lock)
        grown = realloc(self.engines, (self.nengines + 1) * cython.sizeof(cython.p_void))
        if grown == cython.NULL:
            axptr_unlock(self.lock)
            raise MemoryError
        self.engines = cython.cast(cython.pointer(cython.pointer(EngineLink)), grown)
        self.engines[self.nengines] = link
        self.nengines += 1
        link.gone = 0
        link.kin = self.kin
        link.all = 1
        self.phys.mark_stale(link)
        axptr_unlock(self.lock)
        return 0

    def detach_engine(self, link):
        i: uint32_t
        axptr_lock_gil(self.lock)
        for i in range(self.nengines):
            if self.engines[i] == link:
                self.nengines -= 1
                self.engines[i] = self.engines[self.nengines]
                break
        link.all = 1
        self.phys.mark_stale(link)
        axptr_unlock(self.lock)
