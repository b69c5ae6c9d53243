"""Copy-on-write twins, the way back to a frozen one, and which pages were written.

A clone copies the entries of the page table and shares the frames; whoever writes first gets a copy (`mmu`). A snapshot
holds a clone that nobody runs. `_restore` makes every page and range of the journal again what it is in such a clone,
so it costs what changed.

Not here: which changes lie between two snapshots (`mm.snapshot`), files and formats (`mm.snapshots.file`).

Failure: a clone that fails leaves its half to be thrown away, this space as it was. `_restore` reserves all it needs
before it changes anything: ENOMEM leaves the space as it was.
"""

import errno

import cython
from cython.cimports.axptr._core.mm.areas import (
    AreaIndex,
    AreaPos,
    AreaRec,
    index_at,
    index_find,
    index_insert,
    index_next,
    index_remove,
    index_reserve,
    index_seek,
    record_copy,
    record_free,
)
from cython.cimports.axptr._core.mm.backing import BackedSpace
from cython.cimports.axptr._core.mm.frames import store_fill
from cython.cimports.axptr._core.mm.journal import (
    journal_has,
    journal_page,
    journal_range,
    journal_reset,
    journal_tidy,
)
from cython.cimports.axptr._core.mm.space import SpaceCore, note_released
from cython.cimports.axptr._core.paging.format import entry_at, entry_clean, entry_paddr
from cython.cimports.axptr._core.paging.walk import (
    Cursor,
    leaf_slot,
    make_slot,
    next_leaf,
    prune,
)
from cython.cimports.axptr._core.phys.phys import FRAME_CODE
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
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.cpython.bytes import PyBytes_AS_STRING
from cython.cimports.cpython.object import PyTypeObject, traverseproc
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcpy, memset

from axptr.errors import LinuxError


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
        pos: AreaPos = index_seek(cython.address(self.areas), 0)
        rec: cython.pointer(AreaRec)
        copy: cython.pointer(AreaRec)
        while True:
            rec = index_at(cython.address(self.areas), pos)
            if rec == cython.NULL:
                return 0
            if whole or not rec.traits & TRAIT_OMIT:
                index_reserve(cython.address(twin.areas), 1)
                copy = record_copy(rec)
                if whole:
                    index_insert(cython.address(twin.areas), copy)
                else:  # the clone asks for less, so more may be alike there
                    copy.traits &= ~cython.cast(uint32_t, TRAIT_LOCKED | TRAIT_ON_FAULT)
                    index_insert(cython.address(twin.areas), copy)
                    twin.join_around(rec.start)
            pos = index_next(cython.address(self.areas), pos)

    def copy_pages(self, twin, whole):
        """Entries of the table, with one more reference to each frame; neither side may write a private one now."""
        at: uint64_t = self.first
        base: uint64_t = 0
        entry: uint64_t
        pfn: uint64_t
        fresh: uint64_t
        clean: uint64_t = 0
        dirty: uint64_t = 0
        rights: uint64_t
        mask: uint64_t = self.fmt.levels[self.fmt.nlevels - 1].mask
        shared: cython.bint = False
        slot: cython.pointer(uint64_t)
        table: cython.pointer(uint64_t) = cython.NULL
        rec: cython.pointer(AreaRec) = cython.NULL
        refs: cython.pointer(uint32_t) = self.phys.refs
        cursor: Cursor
        pos: AreaPos
        code: cython.int = FAULT_OK
        cursor.table = cython.NULL
        cursor.table_base = 0
        self.notify()
        while True:
            slot = next_leaf(self.phys, self.fmt, self.root, cython.address(cursor), cython.address(at), self.last)
            if slot == cython.NULL:
                break
            if rec == cython.NULL or rec.last < at:
                pos = index_seek(cython.address(self.areas), at)
                rec = index_at(cython.address(self.areas), pos)
                shared = rec.shared
                self.set_leaf(cython.address(clean), rec.flags, 0, False, 0)
                self.set_leaf(cython.address(dirty), rec.flags, 0, False, self.fmt.dirty)
                # A window's pages come back at the next touch.
                if rec.kind == KIND_LINEAR or (not whole and rec.traits & (TRAIT_OMIT | TRAIT_WIPE)):
                    if rec.last >= self.last:
                        break
                    at = rec.last + 1
                    continue
            if table == cython.NULL or at - base > ((mask << PAGE_SHIFT) | IN_PAGE):
                table = make_slot(twin.phys, twin.fmt, twin.root, at)
                if table == cython.NULL:
                    code = FAULT_NOMEM
                    break
                table -= (at >> PAGE_SHIFT) & mask
                base = at & ~((mask << PAGE_SHIFT) | IN_PAGE)
            entry = slot[0]
            pfn = entry_paddr(self.fmt, entry) >> PAGE_SHIFT
            if shared:
                self.phys.incref(pfn)
            elif self.phys.pins[pfn]:
                # A live view shows this frame: it stays this space's alone, and the twin gets a copy.
                fresh = self.phys.alloc_frame(False, False)
                if fresh == 0:
                    code = FAULT_NOMEM
                    break
                memcpy(self.phys.base + (fresh << PAGE_SHIFT), self.phys.base + (pfn << PAGE_SHIFT), PAGE_SIZE)
                rights = dirty if entry & self.fmt.dirty else clean
                if whole:
                    slot[0] = rights | (entry & self.fmt.paddr_mask)  # so that the journal hears of the next write
                entry = rights | entry_at(self.fmt, fresh << PAGE_SHIFT)
            else:
                refs[pfn] += 1
                entry = (dirty if entry & self.fmt.dirty else clean) | (entry & self.fmt.paddr_mask)
                slot[0] = entry
            table[(at >> PAGE_SHIFT) & mask] = entry
            if at + IN_PAGE >= self.last:
                break
            at += PAGE_SIZE
        self.tlb_drop(self.first, self.last)
        return code

    # -- the journal -------------------------------------------------------------------------------------------

    def _take(self):
        """The journal's notes as `(pages, ranges)`, packed native 64-bit numbers, and begin it anew; None when they were lost."""
        self.note_views()
        journal_tidy(cython.address(self.journal))
        notes = None
        if not self.journal.lost:
            pages = (
                cython.cast(cython.p_char, self.journal.pages)[: self.journal.npages * 8]
                if self.journal.npages
                else b""
            )
            ranges = (
                cython.cast(cython.p_char, self.journal.ranges)[: self.journal.nranges * 16]
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
        if notes is None:
            self.journal.lost = 1
            return
        pages, ranges = notes
        axptr_lock_gil(self.lock)
        numbers = cython.cast(cython.pointer(uint64_t), PyBytes_AS_STRING(pages))
        for i in range(len(pages) // 8):
            journal_page(cython.address(self.journal), numbers[i])
        numbers = cython.cast(cython.pointer(uint64_t), PyBytes_AS_STRING(ranges))
        for i in range(len(ranges) // 16):
            journal_range(cython.address(self.journal), numbers[2 * i], numbers[2 * i + 1])
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

    def _restore(self, frozen: SpaceCore):
        """Make this space what `frozen` is, where the journal has notes. Raises `LinuxError(ENOMEM)`, nothing changed then.

        Returns what is to be written back, as `SpaceCore._unmap` does.
        """
        i: uint64_t
        at: uint64_t
        first: uint64_t
        last: uint64_t
        ngone: uint64_t = 0
        ncopies: uint64_t = 0
        done: uint64_t = 0
        count: uint64_t = 0
        rec: cython.pointer(AreaRec)
        pos: AreaPos
        slot: cython.pointer(uint64_t)
        cursor: Cursor
        some: SpaceCore
        gone: cython.pointer(cython.pointer(AreaRec)) = cython.NULL
        copies: cython.pointer(cython.pointer(AreaRec)) = cython.NULL
        released = []
        self.phys.alive()
        axptr_lock_gil(self.lock)
        try:
            self.note_views()
            if self.journal.lost:
                journal_reset(cython.address(self.journal))
                self.journal.on = 1  # it is off in a space that has never had a snapshot
                journal_range(cython.address(self.journal), self.first, self.last)
            journal_tidy(cython.address(self.journal))
            # First what can fail. How many records the ranges have here and there, ends counted twice:
            for i in range(self.journal.nranges):
                first = self.journal.ranges[2 * i]
                last = self.journal.ranges[2 * i + 1]
                for some in (self, frozen):
                    pos = index_seek(cython.address(some.areas), first)
                    while True:
                        rec = index_at(cython.address(some.areas), pos)
                        if rec == cython.NULL or rec.start > last:
                            break
                        count += 1
                        pos = index_next(cython.address(some.areas), pos)
            index_reserve(cython.address(self.areas), count + 2 * self.journal.nranges)
            gone = cython.cast(
                cython.pointer(cython.pointer(AreaRec)), malloc((count + 1) * cython.sizeof(cython.p_void))
            )
            copies = cython.cast(
                cython.pointer(cython.pointer(AreaRec)), malloc((count + 1) * cython.sizeof(cython.p_void))
            )
            if gone == cython.NULL or copies == cython.NULL:
                raise MemoryError
            for i in range(self.journal.nranges):
                first = self.journal.ranges[2 * i]
                last = self.journal.ranges[2 * i + 1]
                self.split_ends(first, last, 0)
                pos = index_seek(cython.address(frozen.areas), first)
                while True:
                    rec = index_at(cython.address(frozen.areas), pos)
                    if rec == cython.NULL or rec.start > last:
                        break
                    copies[ncopies] = record_copy(rec)
                    rec = copies[ncopies]
                    ncopies += 1
                    if rec.start < first:
                        if rec.kind != KIND_ALLOC:
                            rec.offset += first - rec.start
                        rec.start = first
                    if rec.last > last:
                        rec.last = last
                    pos = index_next(cython.address(frozen.areas), pos)
            # Windows are shut now: that frees empty tables, and must not free those that are reserved next. Should there
            # be no frames for these, a window's pages come back at the next touch.
            for i in range(self.journal.nranges):
                last = self.journal.ranges[2 * i + 1]
                pos = index_seek(cython.address(self.areas), self.journal.ranges[2 * i])
                while True:
                    rec = index_at(cython.address(self.areas), pos)
                    if rec == cython.NULL or rec.start > last:
                        break
                    if rec.kind == KIND_LINEAR:
                        self.zap(rec.start, rec.last)
                    pos = index_next(cython.address(self.areas), pos)
            if self.reserve_tables(frozen) != FAULT_OK:
                self.prune_all()
                for i in range(self.journal.nranges):
                    self.join_within(self.journal.ranges[2 * i], self.journal.ranges[2 * i + 1])
                raise LinuxError(errno.ENOMEM, "no frames left for the page tables of what is restored")
            # From here on nothing fails.
            self.notify()
            for i in range(self.journal.nranges):
                first = self.journal.ranges[2 * i]
                last = self.journal.ranges[2 * i + 1]
                while True:
                    pos = index_seek(cython.address(self.areas), first)
                    rec = index_at(cython.address(self.areas), pos)
                    if rec == cython.NULL or rec.start > last:
                        break
                    gone[ngone] = index_remove(cython.address(self.areas), pos)
                    ngone += 1
            while done < ncopies:
                index_insert(cython.address(self.areas), copies[done])
                done += 1
            for i in range(self.journal.nranges):
                first = self.journal.ranges[2 * i]
                last = self.journal.ranges[2 * i + 1]
                for some in (self, frozen):
                    cursor.table = cython.NULL
                    cursor.table_base = 0
                    at = first
                    while True:
                        slot = next_leaf(
                            some.phys, some.fmt, some.root, cython.address(cursor), cython.address(at), last
                        )
                        if slot == cython.NULL:
                            break
                        self.revert(frozen, at)
                        if at + IN_PAGE >= last:
                            break
                        at += PAGE_SIZE
            for i in range(self.journal.npages):
                if not journal_has(cython.address(self.journal), self.journal.pages[i]):
                    self.revert(frozen, self.journal.pages[i])
            self.prune_all()
            for i in range(self.journal.nranges):
                self.join_within(self.journal.ranges[2 * i], self.journal.ranges[2 * i + 1])
            journal_reset(cython.address(self.journal))
            self.journal.on = 1
        finally:
            while done < ncopies:
                record_free(copies[done])
                done += 1
            axptr_unlock(self.lock)
            for i in range(ngone):
                note_released(gone[i], released)
                record_free(gone[i])
            free(gone)
            free(copies)
        return released

    def reserve_tables(self, frozen):
        """Page-table frames for every page that comes back. FAULT_OK or FAULT_NOMEM."""
        i: uint64_t
        at: uint64_t
        last: uint64_t
        slot: cython.pointer(uint64_t)
        cursor: Cursor
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
            at = self.journal.ranges[2 * i]
            last = self.journal.ranges[2 * i + 1]
            cursor.table = cython.NULL
            cursor.table_base = 0
            while True:
                slot = next_leaf(frozen.phys, frozen.fmt, frozen.root, cython.address(cursor), cython.address(at), last)
                if slot == cython.NULL:
                    break
                if make_slot(self.phys, self.fmt, self.root, at) == cython.NULL:
                    return FAULT_NOMEM
                if at + IN_PAGE >= last:
                    break
                at += PAGE_SIZE
        return FAULT_OK

    def prune_all(self):
        """Free tables that map nothing in the ranges and around the pages of the journal."""
        i: uint64_t
        slot: cython.pointer(uint64_t)
        for i in range(self.journal.nranges):
            prune(self.phys, self.fmt, self.root, self.journal.ranges[2 * i], self.journal.ranges[2 * i + 1])
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
        shown by a writable live view. `clear` begins anew. Costs one look at every page that has a frame.
        """
        cursor: Cursor
        at: uint64_t = self.first
        slot: cython.pointer(uint64_t)
        found = []
        self.phys.alive()
        axptr_lock_gil(self.lock)
        try:
            self.note_views()
            cursor.table = cython.NULL
            cursor.table_base = 0
            while True:
                slot = next_leaf(self.phys, self.fmt, self.root, cython.address(cursor), cython.address(at), self.last)
                if slot == cython.NULL:
                    break
                if slot[0] & self.fmt.dirty:
                    found.append(at)
                    if clear:
                        slot[0] = entry_clean(self.fmt, slot[0])
                if at + IN_PAGE >= self.last:
                    break
                at += PAGE_SIZE
            if clear and found:
                self.tlb_drop(self.first, self.last)
                self.notify()
        finally:
            axptr_unlock(self.lock)
        return found


# -- for the collector of cycles -------------------------------------------------------------------------------------
#
# The records of areas hold references in C that Cython knows nothing of. A pager whose function leads back to its space
# is a cycle through them, and without these two it would live for ever.


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
