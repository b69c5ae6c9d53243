"""The areas of a space and all that changes them; the last compiled layer under `mm.space.AddrSpace`.

`SpaceCore` maps, unmaps and protects under the lock, keeps page table and TLB in step, and lists what is there.

Not here: what the public calls accept and say (`mm.space`), translation (`mmu`), copies (`transfer`).

Invariants: those of `mmu` and `areas`, and: neighbours that could be one area are one.
"""

import errno

import cython
from cython.cimports.axptr._core.mm.areas import (
    AreaPos,
    AreaRec,
    Records,
    index_at,
    index_before,
    index_check,
    index_find,
    index_first,
    index_gap_down,
    index_gap_up,
    index_insert,
    index_moved,
    index_next,
    index_remove,
    index_reserve,
    index_seek,
    next_record,
    record_copy,
    record_free,
    records_in,
    records_join,
    records_of,
)
from cython.cimports.axptr._core.mm.frames import Backend, FrameStore
from cython.cimports.axptr._core.mm.journal import journal_check, journal_range
from cython.cimports.axptr._core.mm.mmu import leaves_of
from cython.cimports.axptr._core.paging.format import entry_paddr
from cython.cimports.axptr._core.paging.paging import PageTable
from cython.cimports.axptr._core.paging.walk import Leaves, leaf_slot, next_leaf
from cython.cimports.axptr._core.words.codes import (
    EXECUTE,
    IN_PAGE,
    KIND_ALLOC,
    KIND_LINEAR,
    KIND_STORE,
    PAGE_SHIFT,
    PAGE_SIZE,
    READ,
    TRAIT_SEALED,
    WRITE,
    page_start,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.stdint import uint64_t

from axptr.addr import checked_address, checked_size
from axptr.errors import LinuxError
from axptr.flags import MappingFlags

_PAGES_AT_ONCE = cython.declare(uint64_t, 4096)  # given up under one hold of the lock: a few milliseconds


@cython.cfunc
def _tuple(rec: cython.pointer(AreaRec)):
    """What `mm.area.MemoryArea` is made of."""
    return (
        rec.start,
        int(rec.last) + 1,
        rec.flags,
        cython.cast(object, rec.backend),
        0 if rec.kind == KIND_ALLOC else rec.offset,
        cython.cast(object, rec.name),
        bool(rec.grow_limit),
        rec.traits,
    )


def note_released(rec, released):
    store: FrameStore
    if rec.shared and rec.kind == KIND_STORE and rec.store.out_fd >= 0:
        store = cython.cast(Backend, cython.cast(object, rec.backend)).store
        released.append((store, rec.offset >> PAGE_SHIFT, (rec.offset + (rec.last - rec.start)) >> PAGE_SHIFT))
    return 0


def retire(gone, released):
    """Free a chain that `carve` made, when the lock is not held: the end of a backend may run code that uses the space.

    Shared stores whose pages may have to be written back go to the list `released`: `(store, first, last page)`.
    """
    rec: cython.pointer(AreaRec) = gone
    rest: cython.pointer(AreaRec)
    while rec != cython.NULL:
        rest = cython.cast(cython.pointer(AreaRec), rec.grow_limit)
        note_released(rec, released)
        record_free(rec)
        rec = rest
    return 0


@cython.no_gc_clear
@cython.cclass
class SpaceCore(UserSpace):
    def __cinit__(self, *args, **kwargs):
        # A whole space: from here on pointers may use it (`Mmu` and `Transfer` alone are none).
        self.space_ptr = cython.cast(cython.pointer(PyObject), self)

    # -- areas, GIL and lock held --------------------------------------------------------------------------

    def span_of(self, start, size, first, last):
        """Check the arguments of a mapping call: aligned and not empty (EINVAL), inside the space (ENOMEM)."""
        low = checked_address(start, "start")
        nbytes = checked_size(size)
        if low % PAGE_SIZE or nbytes % PAGE_SIZE or nbytes == 0:
            raise LinuxError(errno.EINVAL, f"{nbytes:#x} bytes at {low:#x} are no run of pages")
        if low < self.first or low + nbytes - 1 > self.last:
            raise LinuxError(errno.ENOMEM, f"{low:#x}-{low + nbytes:#x} is outside the space")
        self.phys.alive()
        first[0] = low
        last[0] = low + nbytes - 1
        return 0

    def split(self, at):
        """Let an area start at `at` if one runs across it."""
        pos: AreaPos = index_seek(cython.address(self.areas), at)
        rec: cython.pointer(AreaRec) = index_at(cython.address(self.areas), pos)
        upper: cython.pointer(AreaRec)
        if rec == cython.NULL or rec.start >= at:
            return 0
        upper = record_copy(rec)
        upper.start = at
        if rec.kind != KIND_ALLOC:
            upper.offset = rec.offset + (at - rec.start)
        rec.last = at - 1
        index_moved(cython.address(self.areas), pos)
        index_insert(cython.address(self.areas), upper)
        return 0

    def carve(self, first, last):
        """Remove the areas in [first, last], which were split at both ends before; NULL, or a chain for `retire`."""
        pos: AreaPos
        rec: cython.pointer(AreaRec)
        gone: cython.pointer(AreaRec) = cython.NULL
        while True:
            pos = index_seek(cython.address(self.areas), first)
            rec = index_at(cython.address(self.areas), pos)
            if rec == cython.NULL or rec.start > last:
                return gone
            if gone == cython.NULL:
                journal_range(cython.address(self.journal), first, last)
                self.zap(first, last)
            rec = index_remove(cython.address(self.areas), pos)
            rec.grow_limit = cython.cast(uint64_t, gone)
            gone = rec

    def join_around(self, at):
        """Make one area of two alike that meet at `at`."""
        pos: AreaPos = index_seek(cython.address(self.areas), at)
        rec: cython.pointer(AreaRec) = index_at(cython.address(self.areas), pos)
        low: cython.pointer(AreaRec)
        if rec == cython.NULL or rec.start != at:
            return
        low = index_before(cython.address(self.areas), pos)
        if low == cython.NULL or low.last + 1 != at or not records_join(low, rec):
            return
        low.last = rec.last
        record_free(index_remove(cython.address(self.areas), pos))
        index_moved(cython.address(self.areas), index_seek(cython.address(self.areas), low.start))

    def join_within(self, first, last):
        """Join what could be one at every border in [first, last + 1]."""
        at: uint64_t = first
        rec: cython.pointer(AreaRec) = index_first(cython.address(self.areas), at, last)
        while rec != cython.NULL:
            at = rec.last
            self.join_around(rec.start)
            if at >= last:
                break
            rec = index_first(cython.address(self.areas), at + 1, last)
        if last < self.last:
            self.join_around(last + 1)

    def require_covered(self, first, last):
        """ENOMEM unless areas hold all of [first, last]."""
        at: uint64_t = first
        pos: AreaPos = index_seek(cython.address(self.areas), first)
        rec: cython.pointer(AreaRec)
        while True:
            rec = index_at(cython.address(self.areas), pos)
            if rec == cython.NULL or rec.start > at:
                raise LinuxError(errno.ENOMEM, f"nothing is mapped at {at:#x}")
            if rec.last >= last:
                return 0
            at = rec.last + 1
            pos = index_next(cython.address(self.areas), pos)

    def split_ends(self, first, last, more):
        """Let areas start at `first` and end at `last`, with room for `more` inserts after that."""
        index_reserve(cython.address(self.areas), more + 2)
        self.split(first)
        if last < self.last:
            self.split(last + 1)
        return 0

    def count_areas(self, first, last):
        """How many areas have a byte in [first, last]."""
        count: uint64_t = 0
        walk: Records = records_in(cython.address(self.areas), first, last)
        while next_record(cython.address(walk)):
            count += 1
        return count

    def require_unsealed(self, first, last):
        """EACCES if something of [first, last] may never be written."""
        walk: Records = records_in(cython.address(self.areas), first, last)
        while next_record(cython.address(walk)):
            if walk.rec.traits & TRAIT_SEALED:
                raise LinuxError(errno.EACCES, f"what backs the area at {walk.rec.start:#x} may not be written")
        return 0

    def guard_leaf(self, slot, flags):
        """Let an entry grant what `flags` do but WRITE: the next write finds out whether the frame is this page's alone."""
        entry: uint64_t = slot[0]
        self.set_leaf(slot, flags, entry_paddr(self.fmt, entry) >> PAGE_SHIFT, False, entry & self.fmt.dirty)

    def _gap(self, first, last, size, align, topdown):
        """The lowest or highest free place for `size` bytes in [first, last], or None."""
        low: uint64_t = max(first, self.first)
        high: uint64_t = min(last, self.last)
        found: uint64_t = 0
        ok: cython.int
        if low > high:
            return None
        axptr_lock_gil(self.lock)
        if topdown:
            ok = index_gap_down(cython.address(self.areas), low, high, size, align, cython.address(found))
        else:
            ok = index_gap_up(cython.address(self.areas), low, high, size, align, cython.address(found))
        axptr_unlock(self.lock)
        return found if ok else None

    def _area(self, vaddr):
        """The fields of the area that holds `vaddr`, or None."""
        at: uint64_t = checked_address(vaddr, "vaddr")
        axptr_lock_gil(self.lock)
        try:
            rec: cython.pointer(AreaRec) = index_find(cython.address(self.areas), at)
            found = None if rec == cython.NULL else _tuple(rec)
        finally:
            axptr_unlock(self.lock)
        return found

    def _neighbours(self, vaddr):
        """The fields of the last area that starts at or below `vaddr` and of the first above; None for none."""
        at: uint64_t = checked_address(vaddr, "vaddr")
        axptr_lock_gil(self.lock)
        try:
            pos: AreaPos = index_seek(cython.address(self.areas), at)
            above: cython.pointer(AreaRec) = index_at(cython.address(self.areas), pos)
            below: cython.pointer(AreaRec) = index_before(cython.address(self.areas), pos)
            if above != cython.NULL and above.start <= at:
                below = above
            low = None if below == cython.NULL else _tuple(below)
            # Building a tuple may run a finalizer, and that may change the areas: look again.
            pos = index_seek(cython.address(self.areas), at)
            above = index_at(cython.address(self.areas), pos)
            if above != cython.NULL and above.start <= at:
                above = index_at(cython.address(self.areas), index_next(cython.address(self.areas), pos))
            high = None if above == cython.NULL else _tuple(above)
        finally:
            axptr_unlock(self.lock)
        return low, high

    def _all_areas(self):
        # By address, not by position: building a tuple may run a finalizer, and that may change the areas.
        at: uint64_t = 0
        rec: cython.pointer(AreaRec)
        found = []
        axptr_lock_gil(self.lock)
        try:
            while True:
                rec = index_first(cython.address(self.areas), at, self.last)
                if rec == cython.NULL:
                    break
                at = rec.last + 1
                found.append(_tuple(rec))
                if at == 0:
                    break
        finally:
            axptr_unlock(self.lock)
        return found

    def _mapped_bytes(self):
        """Bytes of all areas, and of those that are data: private, writable, not growing."""
        total: uint64_t = 0
        data: uint64_t = 0
        size: uint64_t
        axptr_lock_gil(self.lock)
        walk: Records = records_of(cython.address(self.areas))
        while next_record(cython.address(walk)):
            size = walk.rec.last - walk.rec.start + 1
            total += size
            if walk.rec.flags & WRITE and not walk.rec.shared and walk.rec.grow_limit == 0:
                data += size
        axptr_unlock(self.lock)
        return int(total), int(data)

    def _set_growth(self, size):
        """Let every area that grows reach `size` bytes in all from now on."""
        rec: cython.pointer(AreaRec)
        most: uint64_t = min(int(size), (1 << 63) - 1)
        low: uint64_t
        axptr_lock_gil(self.lock)
        walk: Records = records_of(cython.address(self.areas))
        while next_record(cython.address(walk)):
            rec = walk.rec
            if rec.grow_limit:
                low = rec.last - most + 1 if rec.last >= most else 0
                low = max(low, self.first, PAGE_SIZE)
                rec.grow_limit = min(page_start(low + IN_PAGE), rec.start)
        axptr_unlock(self.lock)

    @property
    def area_count(self):
        """How many areas there are."""
        return self.areas.count

    def query(self, vaddr):
        """`(PhysAddr, MappingFlags, page_size)` of a page that has a frame, with what the page table grants now; or None.

        A page that is not yet written may lack WRITE, one of an area without rights grants nothing.
        """
        slot: cython.pointer(uint64_t)
        entry: uint64_t = 0
        axptr_lock_gil(self.lock)
        try:
            found = self.table.query(vaddr)
            if found is not None:
                slot = leaf_slot(self.phys, self.fmt, self.root, vaddr)
                entry = slot[0] if slot != cython.NULL else 0
        finally:
            axptr_unlock(self.lock)
        if found is None:
            return None
        paddr, flags, size = found
        return (paddr, flags & ~MappingFlags.READ, size) if entry & self.fmt.noread else found

    @property
    def page_table(self):
        """The `PageTable` of the space, to look at: the space is changed through its own methods."""
        seen: PageTable = PageTable.at(self.phys, self.root, self.table.format)
        seen.of_space = True
        return seen

    @property
    def format(self):
        """The `PagingFormat` of the page table."""
        return self.table.format

    @property
    def base(self):
        """The first address of the space."""
        return self.first

    @property
    def size(self):
        """Bytes from the first address of the space to its end."""
        return int(self.last) - int(self.first) + 1

    def stats(self):
        """Counts since the space was made: pages populated, page faults served by kind, copies on write, growths."""
        return {
            "populated": self.npopulated,
            "faults_read": self.nread,
            "faults_write": self.nwrite,
            "faults_fetch": self.nfetch,
            "copy_on_write": self.ncow,
            "grown": self.ngrown,
        }

    def reach(self, first, pages):
        """The last byte from `first` on before which no more than so many pages have a frame."""
        walk: Leaves = leaves_of(self, first, self.last)
        while next_leaf(cython.address(walk)):
            if pages == 0:
                return walk.at - 1
            pages -= 1
        return self.last

    def _clear_from(self, start):
        """Unmap a bounded number of pages from an address on: what is to be written back, and where to go on, or None."""
        first: uint64_t = start
        last: uint64_t
        gone: cython.pointer(AreaRec)
        released = []
        self.phys.alive()
        axptr_lock_gil(self.lock)
        try:
            last = self.reach(first, _PAGES_AT_ONCE)
            if last < self.last:
                self.split_ends(first, last, 0)
            gone = self.carve(first, last)
        finally:
            axptr_unlock(self.lock)
        retire(gone, released)
        return released, None if last == self.last else last + 1

    def give_up_areas(self):
        """Unmap everything; what is to be written back, as `_unmap` gives it."""
        gone: cython.pointer(AreaRec)
        released = []
        axptr_lock_gil(self.lock)
        gone = self.carve(self.first, self.last)
        axptr_unlock(self.lock)
        retire(gone, released)
        return released

    def _demand_alive(self):
        """Raises `RuntimeError` after a fork."""
        self.phys.alive()

    def _check(self):
        """Raise `AssertionError` if an invariant of this module does not hold."""
        axptr_lock_gil(self.lock)
        try:
            index_check(cython.address(self.areas))
            self.table._check()
            journal_check(cython.address(self.journal), self.first, self.last)
            self._check_areas()
            self._check_pages()
            self._check_tlb()
        finally:
            axptr_unlock(self.lock)

    def _check_areas(self):
        rec: cython.pointer(AreaRec)
        low: cython.pointer(AreaRec) = cython.NULL
        walk: Records = records_of(cython.address(self.areas))
        while next_record(cython.address(walk)):
            rec = walk.rec
            if rec.start < self.first or rec.last > self.last:
                raise AssertionError(f"area at {rec.start:#x} leaves the space")
            # Those that grow may have grown together in a fault, which cannot join them: it has no GIL.
            alike = low != cython.NULL and low.last + 1 == rec.start and records_join(low, rec)
            if alike and not rec.grow_limit:
                raise AssertionError(f"areas at {low.start:#x} and {rec.start:#x} should be one")
            low = rec

    def _check_pages(self):
        rec: cython.pointer(AreaRec)
        entry: uint64_t
        pfn: uint64_t
        walk: Leaves = leaves_of(self, self.first, self.last)
        while next_leaf(cython.address(walk)):
            rec = index_find(cython.address(self.areas), walk.at)
            if rec == cython.NULL:
                raise AssertionError(f"page {walk.at:#x} has a frame and no area")
            entry = walk.slot[0]
            pfn = entry_paddr(self.fmt, entry) >> PAGE_SHIFT
            if self.phys.refs[pfn] == 0 and (rec.kind != KIND_LINEAR or self.phys.pins[pfn] == 0):
                raise AssertionError(f"page {walk.at:#x} shows frame {pfn:#x}, which nobody holds")
            for bit in (READ, WRITE, EXECUTE):
                if self.entry_allows(entry, bit) and not self.granted(rec.flags) & bit:
                    raise AssertionError(f"page {walk.at:#x} grants {bit}, its area does not")
            alone = rec.shared or rec.kind == KIND_LINEAR or self.phys.refs[pfn] == 1
            if self.entry_allows(entry, WRITE) and not alone:
                raise AssertionError(f"page {walk.at:#x} is writable and its frame has other holders")

    def _check_tlb(self):
        i: uint64_t
        page: uint64_t
        entry: uint64_t
        slot: cython.pointer(uint64_t)
        for i in range(self.tlb_mask + 1):
            page = self.tlb[i].page
            if self.tlb[i].what == 0:
                continue
            slot = leaf_slot(self.phys, self.fmt, self.root, page << PAGE_SHIFT)
            entry = slot[0] if slot != cython.NULL else 0
            if page_start(self.tlb[i].what) != cython.cast(uint64_t, self.phys.base + entry_paddr(self.fmt, entry)):
                raise AssertionError(f"the TLB shows another frame for page {page << PAGE_SHIFT:#x}")
            for bit in (READ, WRITE):
                if self.tlb[i].what & bit and not self.entry_allows(entry, bit):
                    raise AssertionError(f"the TLB grants {bit} for page {page << PAGE_SHIFT:#x}, its entry does not")
