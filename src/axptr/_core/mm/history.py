"""Copy-on-write twins, the way back to a frozen one, and which pages were written.

A clone copies the entries of the page table and shares the frames; whoever writes first gets a copy (`mmu`). A snapshot
holds a clone that nobody runs. `_restore` makes every page and range of the journal again what it is in such a clone,
so it costs what changed.

A page that was put back is put back at the next restore too, as a rule: one that is found written a second time keeps its
frame and the right to be written, and gets its bytes of then. So a loop of restores has no page fault, and no CPU anything
to drop, for what it writes each time. Such a page counts as changed until it is found unchanged a few times.

Not here: which changes lie between two snapshots (`mm.snapshot`), files and formats (`mm.snapshots.file`).
Failure: a clone that fails leaves its half to be thrown away, this space as it was. `_restore` reserves all it needs
before it changes anything: ENOMEM leaves the space as it was.
"""

import errno

import cython
from cython.cimports.axptr._core.mm.areas import (
    AreaIndex,
    AreaRec,
    Records,
    index_find,
    index_first,
    index_insert,
    index_remove,
    index_reserve,
    index_seek,
    next_record,
    record_copy,
    record_free,
    records_in,
    records_of,
)
from cython.cimports.axptr._core.mm.backing import BackedSpace
from cython.cimports.axptr._core.mm.history import Restoration
from cython.cimports.axptr._core.mm.journal import (
    PutBack,
    Span,
    journal_cool,
    journal_has,
    journal_hot,
    journal_is_empty,
    journal_page,
    journal_range,
    journal_reset,
    journal_tidy,
)
from cython.cimports.axptr._core.mm.mmu import leaves_of
from cython.cimports.axptr._core.mm.space import SpaceCore, note_released
from cython.cimports.axptr._core.mm.store import store_fill
from cython.cimports.axptr._core.paging.format import entry_at, entry_paddr
from cython.cimports.axptr._core.paging.walk import Leaves, leaf_slot, make_slot, next_leaf, prune, skip_leaves
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE
from cython.cimports.axptr._core.words.codes import (
    FAULT_NOMEM,
    FAULT_OK,
    IN_PAGE,
    KIND_ALLOC,
    KIND_LINEAR,
    KIND_STORE,
    PAGE_SHIFT,
    PAGE_SIZE,
    TRAIT_LOCKED,
    TRAIT_OMIT,
    TRAIT_ON_FAULT,
    TRAIT_WIPE,
    WRITE,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.cpython.bytes import PyBytes_AS_STRING
from cython.cimports.cpython.object import PyTypeObject, traverseproc
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcmp, memcpy, memset

from axptr.errors import LinuxError

_MOST_IDLE = cython.declare(uint32_t, 4)  # so often a page may be found unchanged before it gives its frame back


@cython.no_gc_clear
@cython.cclass
class History(BackedSpace):
    # -- clones ------------------------------------------------------------------------------------------------

    def _clone_into(self, twin: SpaceCore, freeze):
        """Make the empty space `twin`, of the same memory, bounds and format, a copy-on-write copy of this one.

        freeze: for a snapshot: every area and page, whatever clones leave out; the journal begins anew and its
        notes so far are returned, as `_take` gives them.
        """
        code: cython.int
        whole: cython.bint = freeze
        notes = None
        twin.around = self.around
        twin.kin = self.kin
        axptr_lock_gil(self.lock)
        try:
            self.copy_areas(twin, whole)
            code = self.copy_pages(twin, whole)
            if code == FAULT_OK and whole:
                notes = self._take()
        finally:
            axptr_unlock(self.lock)
        if code != FAULT_OK:
            raise LinuxError(errno.ENOMEM, "no frames left for the copy of an address space")
        return notes

    def copy_areas(self, twin, whole):
        copy: cython.pointer(AreaRec)
        walk: Records = records_of(cython.address(self.areas))
        while next_record(cython.address(walk)):
            if not whole and walk.rec.traits & TRAIT_OMIT:
                continue
            index_reserve(cython.address(twin.areas), 1)
            copy = record_copy(walk.rec)
            if whole:
                index_insert(cython.address(twin.areas), copy)
            else:  # the clone asks for less, so more may be alike there
                copy.traits &= ~cython.cast(uint32_t, TRAIT_LOCKED | TRAIT_ON_FAULT)
                index_insert(cython.address(twin.areas), copy)
                twin.join_around(walk.rec.start)
        return 0

    def copy_pages(self, twin, whole):
        """Entries of the table, with one more reference to each frame; neither side may write a private one now."""
        base: uint64_t = 0
        entry: uint64_t
        pfn: uint64_t
        clean: uint64_t = 0
        dirty: uint64_t = 0
        mask: uint64_t = self.fmt.levels[self.fmt.nlevels - 1].mask
        shared: cython.bint = False
        table: cython.pointer(uint64_t) = cython.NULL
        rec: cython.pointer(AreaRec) = cython.NULL
        refs: cython.pointer(uint32_t) = self.phys.refs
        walk: Leaves = leaves_of(self, self.first, self.last)
        code: cython.int = FAULT_OK
        self.notify(self.first, self.last)
        while next_leaf(cython.address(walk)):
            if rec == cython.NULL or rec.last < walk.at:
                rec = index_find(cython.address(self.areas), walk.at)
                shared = rec.shared
                self.set_leaf(cython.address(clean), rec.flags, 0, False, 0)
                self.set_leaf(cython.address(dirty), rec.flags, 0, False, self.fmt.dirty)
                # A window's pages come back at the next touch.
                if rec.kind == KIND_LINEAR or (not whole and rec.traits & (TRAIT_OMIT | TRAIT_WIPE)):
                    if rec.last >= self.last:
                        break
                    skip_leaves(cython.address(walk), rec.last + 1)
                    continue
            if table == cython.NULL or walk.at - base > ((mask << PAGE_SHIFT) | IN_PAGE):
                table = make_slot(twin.phys, twin.fmt, twin.root, walk.at)
                if table == cython.NULL:
                    code = FAULT_NOMEM
                    break
                table -= (walk.at >> PAGE_SHIFT) & mask
                base = walk.at & ~((mask << PAGE_SHIFT) | IN_PAGE)
            entry = walk.slot[0]
            pfn = entry_paddr(self.fmt, entry) >> PAGE_SHIFT
            if shared:
                self.phys.incref(pfn)
            elif self.phys.pins[pfn]:
                entry = self.copy_pinned(walk.slot, dirty if entry & self.fmt.dirty else clean, whole)
                if entry == 0:
                    code = FAULT_NOMEM
                    break
            else:
                refs[pfn] += 1
                entry = (dirty if entry & self.fmt.dirty else clean) | (entry & self.fmt.paddr_mask)
                walk.slot[0] = entry
            table[(walk.at >> PAGE_SHIFT) & mask] = entry
        self.tlb_drop(self.first, self.last)
        return code

    def copy_pinned(self, slot, rights, whole):
        """The twin's entry for a page that a live view shows: it stays this space's alone, and the twin gets a copy. 0: no frame."""
        entry: uint64_t = slot[0]
        fresh: uint64_t = self.phys.alloc_frame(False, False)
        if fresh == 0:
            return 0
        memcpy(self.phys.base + (fresh << PAGE_SHIFT), self.phys.base + entry_paddr(self.fmt, entry), PAGE_SIZE)
        if whole:
            slot[0] = rights | (entry & self.fmt.paddr_mask)  # so that the journal hears of the next write
        return rights | entry_at(self.fmt, fresh << PAGE_SHIFT)

    # -- the journal -------------------------------------------------------------------------------------------

    def _take(self):
        """The journal's notes as `(pages, ranges)`, packed native 64-bit numbers, and begin it anew; None when they were lost."""
        self.note_views()
        journal_hot(cython.address(self.journal))
        journal_cool(cython.address(self.journal))  # all pages were closed to writes
        journal_tidy(cython.address(self.journal))
        notes = None
        if not self.journal.lost:
            pages = (
                cython.cast(cython.p_char, self.journal.pages)[: self.journal.npages * 8]
                if self.journal.npages
                else b""
            )
            ranges = (
                cython.cast(cython.p_char, self.journal.ranges)[: self.journal.nranges * cython.sizeof(Span)]
                if self.journal.nranges
                else b""
            )
            notes = (pages, ranges)
        journal_reset(cython.address(self.journal))
        self.journal.on = 1
        return notes

    def _add_notes(self, notes):
        """Enter notes that `_take` gave, of this space or of one with the same history; None is "anything"."""
        i: uint64_t
        pages: bytes
        ranges: bytes
        numbers: cython.pointer(uint64_t)
        spans: cython.pointer(Span)
        if notes is None:
            self.journal.lost = 1
            return
        pages, ranges = notes
        axptr_lock_gil(self.lock)
        numbers = cython.cast(cython.pointer(uint64_t), PyBytes_AS_STRING(pages))
        for i in range(len(pages) // cython.sizeof(uint64_t)):
            journal_page(cython.address(self.journal), numbers[i])
        spans = cython.cast(cython.pointer(Span), PyBytes_AS_STRING(ranges))
        for i in range(len(ranges) // cython.sizeof(Span)):
            journal_range(cython.address(self.journal), spans[i].first, spans[i].last)
        axptr_unlock(self.lock)

    def note_views(self):
        """Pages under writable live views may have changed unseen: note them.

        Those no view shows any more are noted this once, since the view may have written last, and then forgotten.
        """
        i: uint64_t
        kept: uint64_t = 0
        at: uint64_t
        slot: cython.pointer(uint64_t)
        rec: cython.pointer(AreaRec)
        for i in range(self.journal.nwatched):
            at = self.journal.watched[i]
            slot = leaf_slot(self.phys, self.fmt, self.root, at)
            if slot == cython.NULL or slot[0] == 0:
                continue
            if not slot[0] & self.fmt.dirty:
                rec = index_find(cython.address(self.areas), at)
                self.set_leaf(slot, rec.flags, entry_paddr(self.fmt, slot[0]) >> PAGE_SHIFT, False, self.fmt.dirty)
                self.tlb_drop(at, at)
            journal_page(cython.address(self.journal), at)
            if self.phys.pins[entry_paddr(self.fmt, slot[0]) >> PAGE_SHIFT]:
                self.journal.watched[kept] = at
                kept += 1
        self.journal.nwatched = kept

    # -- back to a frozen space --------------------------------------------------------------------------------

    def _is_untouched(self):
        """Whether nothing has changed since the snapshot that was taken or gone back to last."""
        axptr_lock_gil(self.lock)
        self.note_views()
        found: cython.bint = journal_is_empty(cython.address(self.journal))
        axptr_unlock(self.lock)
        return found

    def _restore(self, frozen: SpaceCore):
        """Make this space what `frozen` is, where the journal has notes. Raises `LinuxError(ENOMEM)`, nothing changed then.

        Returns what is to be written back, as `SpaceCore._unmap` does.
        """
        i: uint64_t
        plan: Restoration
        released = []
        memset(cython.address(plan), 0, cython.sizeof(Restoration))
        self.phys.alive()
        axptr_lock_gil(self.lock)
        try:
            self.settle_journal()
            self.plan_areas(frozen, cython.address(plan))
            # Windows are shut now: that frees empty tables, and must not free those that are reserved next. Should there
            # be no frames for these, a window's pages come back at the next touch.
            self.shut_windows()
            if self.reserve_tables(frozen) != FAULT_OK:
                self.prune_all()
                self.join_all()
                raise LinuxError(errno.ENOMEM, "no frames left for the page tables of what is restored")
            # From here on nothing fails.
            self.exchange_areas(cython.address(plan))
            self.revert_pages(frozen)
            self.prune_all()
            self.join_all()
            journal_reset(cython.address(self.journal))
            self.journal.on = 1
        finally:
            for i in range(plan.nentered, plan.ncopies):
                record_free(plan.copies[i])
            axptr_unlock(self.lock)
            for i in range(plan.ngone):
                note_released(plan.gone[i], released)
                record_free(plan.gone[i])
            free(plan.gone)
            free(plan.copies)
        return released

    def settle_journal(self):
        """Bring the journal into order, and up to date with what views may have written; all of the space if notes were lost."""
        self.note_views()
        journal_hot(cython.address(self.journal))
        if self.journal.lost:
            journal_reset(cython.address(self.journal))
            self.journal.on = 1  # it is off in a space that has never had a snapshot
            journal_range(cython.address(self.journal), self.first, self.last)
        journal_tidy(cython.address(self.journal))

    def plan_areas(self, frozen, plan):
        """Reserve what an exchange of records needs: copies of those of then, cut to the ranges, and room for all."""
        i: uint64_t
        count: uint64_t = 0
        span: Span
        for i in range(self.journal.nranges):
            span = self.journal.ranges[i]
            # Here and there: those at the ends are counted twice.
            count += self.count_areas(span.first, span.last) + frozen.count_areas(span.first, span.last)
        index_reserve(cython.address(self.areas), count + 2 * self.journal.nranges)
        plan.gone = cython.cast(
            cython.pointer(cython.pointer(AreaRec)), calloc(count + 1, cython.sizeof(cython.p_void))
        )
        plan.copies = cython.cast(
            cython.pointer(cython.pointer(AreaRec)), calloc(count + 1, cython.sizeof(cython.p_void))
        )
        if plan.gone == cython.NULL or plan.copies == cython.NULL:
            raise MemoryError
        for i in range(self.journal.nranges):
            self.split_ends(self.journal.ranges[i].first, self.journal.ranges[i].last, 0)
            self.copy_records(frozen, self.journal.ranges[i], plan)
        return 0

    def copy_records(self, frozen, span, plan):
        """Copies of the records of then that have a byte in a range, cut to it."""
        copy: cython.pointer(AreaRec)
        walk: Records = records_in(cython.address(frozen.areas), span.first, span.last)
        while next_record(cython.address(walk)):
            copy = record_copy(walk.rec)
            plan.copies[plan.ncopies] = copy
            plan.ncopies += 1
            if copy.start < span.first:
                if copy.kind != KIND_ALLOC:
                    copy.offset += span.first - copy.start
                copy.start = span.first
            if copy.last > span.last:
                copy.last = span.last
        return 0

    def shut_windows(self):
        """Take the pages of linear areas in the journal's ranges out of the table."""
        i: uint64_t
        walk: Records
        for i in range(self.journal.nranges):
            walk = records_in(cython.address(self.areas), self.journal.ranges[i].first, self.journal.ranges[i].last)
            while next_record(cython.address(walk)):
                if walk.rec.kind == KIND_LINEAR:
                    self.zap(walk.rec.start, walk.rec.last)

    def exchange_areas(self, plan):
        """In the journal's ranges, the records of then take the place of those of now, which go to `plan.gone`."""
        i: uint64_t
        rec: cython.pointer(AreaRec)
        for i in range(self.journal.nranges):
            while True:
                rec = index_first(cython.address(self.areas), self.journal.ranges[i].first, self.journal.ranges[i].last)
                if rec == cython.NULL:
                    break
                plan.gone[plan.ngone] = index_remove(
                    cython.address(self.areas), index_seek(cython.address(self.areas), rec.start)
                )
                plan.ngone += 1
        while plan.nentered < plan.ncopies:
            index_insert(cython.address(self.areas), plan.copies[plan.nentered])
            plan.nentered += 1

    def revert_pages(self, frozen):
        """Revert every page of the journal's ranges, here and there, and every page it has besides."""
        i: uint64_t
        at: uint64_t
        count: uint64_t = 0
        seen: uint64_t = 0
        same: cython.bint = False
        walk: Leaves
        before: cython.pointer(PutBack) = self.journal.back
        back: cython.pointer(PutBack) = cython.cast(
            cython.pointer(PutBack), calloc(self.journal.npages + 1, cython.sizeof(PutBack))
        )
        for i in range(self.journal.nranges):
            self.notify(self.journal.ranges[i].first, self.journal.ranges[i].last)
            walk = leaves_of(self, self.journal.ranges[i].first, self.journal.ranges[i].last)
            while next_leaf(cython.address(walk)):
                self.revert(frozen, walk.at)
            walk = leaves_of(frozen, self.journal.ranges[i].first, self.journal.ranges[i].last)
            while next_leaf(cython.address(walk)):
                self.revert(frozen, walk.at)
        for i in range(self.journal.npages):
            at = self.journal.pages[i]
            if journal_has(cython.address(self.journal), at):
                continue
            while seen < self.journal.nback and before[seen].page < at:
                seen += 1
            if back != cython.NULL:
                back[count].page = at
                if (
                    seen < self.journal.nback
                    and before[seen].page == at
                    and before[seen].idle < _MOST_IDLE
                    and self.revert_in_place(frozen, at, cython.address(same))
                ):
                    back[count].hot = True
                    back[count].idle = before[seen].idle + 1 if same else 0
                    count += 1
                    continue
                count += 1
            self.notify(at, at | IN_PAGE)
            self.revert(frozen, at)
        journal_cool(cython.address(self.journal))
        self.journal.back = back
        self.journal.nback = count

    def join_all(self):
        """Join what could be one at every border in the journal's ranges."""
        i: uint64_t
        for i in range(self.journal.nranges):
            self.join_within(self.journal.ranges[i].first, self.journal.ranges[i].last)

    def reserve_tables(self, frozen):
        """Page-table frames for every page that comes back. FAULT_OK or FAULT_NOMEM."""
        i: uint64_t
        at: uint64_t
        slot: cython.pointer(uint64_t)
        walk: Leaves
        for i in range(self.journal.npages):
            at = self.journal.pages[i]
            slot = leaf_slot(frozen.phys, frozen.fmt, frozen.root, at)
            if (
                slot != cython.NULL
                and slot[0]
                and leaf_slot(self.phys, self.fmt, self.root, at) == cython.NULL
                and make_slot(self.phys, self.fmt, self.root, at) == cython.NULL
            ):
                return FAULT_NOMEM
        for i in range(self.journal.nranges):
            walk = leaves_of(frozen, self.journal.ranges[i].first, self.journal.ranges[i].last)
            while next_leaf(cython.address(walk)):
                if make_slot(self.phys, self.fmt, self.root, walk.at) == cython.NULL:
                    return FAULT_NOMEM
        return FAULT_OK

    def prune_all(self):
        """Free tables that map nothing in the ranges and around the pages of the journal."""
        i: uint64_t
        slot: cython.pointer(uint64_t)
        for i in range(self.journal.nranges):
            prune(self.phys, self.fmt, self.root, self.journal.ranges[i].first, self.journal.ranges[i].last)
        for i in range(self.journal.npages):
            slot = leaf_slot(self.phys, self.fmt, self.root, self.journal.pages[i])
            if slot != cython.NULL and slot[0] == 0:
                prune(self.phys, self.fmt, self.root, self.journal.pages[i], self.journal.pages[i])

    def revert(self, frozen, at):
        """Make one page what it is in `frozen`; its area is right already, its table is there if it needs one."""
        rec: cython.pointer(AreaRec) = index_find(cython.address(self.areas), at)
        mine: cython.pointer(uint64_t) = leaf_slot(self.phys, self.fmt, self.root, at)
        theirs: cython.pointer(uint64_t) = leaf_slot(frozen.phys, frozen.fmt, frozen.root, at)
        have: uint64_t = mine[0] if mine != cython.NULL else 0
        want: uint64_t = theirs[0] if theirs != cython.NULL else 0
        pfn: uint64_t = entry_paddr(self.fmt, have) >> PAGE_SHIFT
        wanted: uint64_t = entry_paddr(self.fmt, want) >> PAGE_SHIFT
        self.tlb_drop(at, at)
        if rec != cython.NULL and rec.kind == KIND_LINEAR and not journal_has(cython.address(self.journal), at):
            return  # a window is no part of a snapshot; in a range, it was shut before
        if rec == cython.NULL or rec.kind == KIND_LINEAR or (rec.shared and pfn != wanted):
            want = wanted = 0  # what is shared comes from its backing, at the next touch
        if have and want and pfn == wanted:
            self.set_leaf(mine, rec.flags, pfn, False, (have | want) & self.fmt.dirty)
            return
        if have and self.phys.pins[pfn] and self.phys.refs[pfn] == 1 and rec != cython.NULL:
            if self.copy_in_place(frozen, rec, at, pfn, wanted) == FAULT_OK:
                self.set_leaf(mine, rec.flags, pfn, False, self.fmt.dirty)
                return
        if want:
            self.phys.incref(wanted)
            self.set_leaf(mine, rec.flags, wanted, False, self.fmt.dirty)
        elif have:
            mine[0] = 0
        if have:
            self.phys.decref(pfn)

    def revert_in_place(self, frozen, at, same):
        """Put the bytes of then into the frame that a page has, which stays open to writes; False if that cannot be.

        `*same`: they were there still.
        """
        rec: cython.pointer(AreaRec) = index_find(cython.address(self.areas), at)
        mine: cython.pointer(uint64_t) = leaf_slot(self.phys, self.fmt, self.root, at)
        theirs: cython.pointer(uint64_t) = leaf_slot(frozen.phys, frozen.fmt, frozen.root, at)
        pfn: uint64_t
        wanted: uint64_t
        if mine == cython.NULL or theirs == cython.NULL or theirs[0] == 0 or not self.entry_allows(mine[0], WRITE):
            return False
        if rec == cython.NULL or rec.shared or not (rec.kind == KIND_ALLOC or rec.kind == KIND_STORE):
            return False
        pfn = entry_paddr(self.fmt, mine[0]) >> PAGE_SHIFT
        wanted = entry_paddr(self.fmt, theirs[0]) >> PAGE_SHIFT
        if pfn == wanted or self.phys.refs[pfn] != 1 or self.phys.pins[pfn]:
            return False
        same[0] = memcmp(self.phys.base + (pfn << PAGE_SHIFT), self.phys.base + (wanted << PAGE_SHIFT), PAGE_SIZE) == 0
        if not same[0]:
            memcpy(self.phys.base + (pfn << PAGE_SHIFT), self.phys.base + (wanted << PAGE_SHIFT), PAGE_SIZE)
            if self.phys.flags[pfn] & FRAME_CODE:
                self.phys.code_changed(pfn)
        return True

    def copy_in_place(self, frozen, rec, at, pfn, wanted):
        """Put the bytes of then into a frame that a live view shows; `wanted` is the frame that has them, or 0."""
        supplied: uint64_t = 0
        if wanted == 0 and rec.kind == KIND_STORE and not rec.shared:
            if (
                store_fill(
                    rec.store, self.phys, (rec.offset + (at - rec.start)) >> PAGE_SHIFT, cython.address(supplied)
                )
                != FAULT_OK
            ):
                return FAULT_NOMEM
            wanted = supplied
        if wanted:
            memcpy(self.phys.base + (pfn << PAGE_SHIFT), self.phys.base + (wanted << PAGE_SHIFT), PAGE_SIZE)
        elif rec.kind == KIND_ALLOC:
            memset(self.phys.base + (pfn << PAGE_SHIFT), 0, PAGE_SIZE)
        else:
            return FAULT_NOMEM
        if self.phys.flags[pfn] & FRAME_CODE:
            self.phys.code_changed(pfn)
        return FAULT_OK

    # -- what was written --------------------------------------------------------------------------------------

    def dirty_pages(self, *, clear=False):
        """Addresses of the pages written since they were brought in, or since the last clearing; in order.

        By pointers, by a guest CPU, by a debugger's `write`; also populated for writing, put back by `restore`, or
        shown by a writable live view. `clear` begins anew. Costs one or two looks at every page that has a frame.
        """
        found = []
        self.phys.alive()
        axptr_lock_gil(self.lock)
        try:
            self.note_views()
            walk: Leaves = leaves_of(self, self.first, self.last)
            while next_leaf(cython.address(walk)):
                if walk.slot[0] & self.fmt.dirty:
                    found.append(walk.at)
                    if clear:
                        self.notify(walk.at, walk.at | IN_PAGE)
            if clear and found:
                self.clear_dirty()
        finally:
            axptr_unlock(self.lock)
        return found


# The collector of cycles: records of areas hold references in C that Cython knows nothing of. A pager whose function
# leads back to its space is a cycle through them, and without these two it would live for ever.
def areas_traverse(self, visit, arg):
    """tp_traverse: what Cython knows, then the backend of each area. With the GIL, areas stay as they are meanwhile."""
    i: uint32_t
    j: uint32_t
    code: cython.int = _traverse_fields(self, visit, arg)
    index: cython.pointer(AreaIndex) = cython.address(cython.cast(History, self).areas)
    for i in range(index.nchunks):
        for j in range(index.chunks[i].count):
            if code == 0:
                code = visit(index.chunks[i].recs[j].backend, arg)
    return code


def areas_clear(self):
    """tp_clear: nobody can reach this space any more, so it gives up its areas.

    Its class may have been cleared before it: nothing is looked up there.
    """
    space: History = self
    if space.phys is not None and space.lock != cython.NULL and not space.phys.forked:
        space.write_back(space.give_up_areas())
    return 0


_type = cython.declare(cython.pointer(PyTypeObject), cython.cast(cython.pointer(PyTypeObject), History))
_traverse_fields = cython.declare(traverseproc, _type.tp_traverse)
_type.tp_traverse = areas_traverse
_type.tp_clear = areas_clear
