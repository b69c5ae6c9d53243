"""What the areas of a space show, where that is more than fresh memory: moving and discarding pages, stores that other
spaces show too, pages that a user's function supplies.

Not here: the areas themselves (`space`), frames by page number (`frames`), whose function it is (`mm.pager`).

Invariants: those of `mmu` and `areas`. Failure: what raises has changed nothing.
"""

import errno

import cython
from cython.cimports.axptr._core.mm.areas import (
    AreaRec,
    Records,
    index_find,
    index_first,
    index_insert,
    index_remove,
    index_seek,
    next_record,
    record_copy,
    records_of,
)
from cython.cimports.axptr._core.mm.frames import Backend, FrameStore
from cython.cimports.axptr._core.mm.journal import journal_moved, journal_page, journal_range
from cython.cimports.axptr._core.mm.mapping import MappedSpace
from cython.cimports.axptr._core.mm.mmu import leaves_of
from cython.cimports.axptr._core.mm.store import store_get
from cython.cimports.axptr._core.paging.format import entry_paddr
from cython.cimports.axptr._core.paging.walk import Leaves, leaf_slot, make_slot, next_leaf, prune
from cython.cimports.axptr._core.words.buffers import borrow
from cython.cimports.axptr._core.words.codes import (
    FAULT_NOMEM,
    FAULT_OK,
    IN_PAGE,
    KIND_MMIO,
    KIND_PAGER,
    KIND_STORE,
    PAGE_SHIFT,
    PAGE_SIZE,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.cpython.buffer import PyBuffer_Release
from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_DECREF, Py_INCREF
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset

from axptr.addr import checked_address, checked_size
from axptr.errors import LinuxError


@cython.final
@cython.cclass
class Flight:
    """`with Flight(book, key, mine) as whose: ...`: the entry at `key` of a dict, `mine` unless somebody was there before.

    mine: `(thread, lock)`, the lock held. At the end an entry of ours is taken out, and its lock let go, for those who wait.
    Compiled, so that no handler of a signal can raise in between.
    """

    book: dict
    key: object
    mine: tuple

    def __cinit__(self, book: dict, key, mine: tuple):
        self.book = book
        self.key = key
        self.mine = mine

    def __enter__(self):
        return self.book.setdefault(self.key, self.mine)

    def __exit__(self, kind, error, trace):
        if self.book.get(self.key) is self.mine:
            del self.book[self.key]
            self.mine[1].release()


@cython.no_gc_clear
@cython.cclass
class BackedSpace(MappedSpace):
    # -- moving and discarding -----------------------------------------------------------------------------

    def _move(self, start, size, to, keep):
        """Move areas with their pages to a free place. EINVAL, ENOMEM as `_map`, EEXIST where something is there, nothing changed then.

        keep: the areas stay, without their pages; shared ones keep those too, since they are the backing's.
        """
        first: uint64_t = 0
        last: uint64_t = 0
        target: uint64_t = 0
        target_last: uint64_t = 0
        there: cython.pointer(AreaRec)
        self.span_of(start, size, cython.address(first), cython.address(last))
        self.span_of(to, size, cython.address(target), cython.address(target_last))
        if target <= last and first <= target_last:
            raise LinuxError(errno.EINVAL, "areas cannot move onto themselves")
        axptr_lock_gil(self.lock)
        try:
            there = index_first(cython.address(self.areas), target, target_last)
            if there != cython.NULL:
                raise LinuxError(
                    errno.EEXIST, f"{target:#x}-{target_last + 1:#x} overlaps the area at {there.start:#x}"
                )
            # All that can fail comes first: the records, and tables for the pages that will come.
            self.split_ends(first, last, self.count_areas(first, last))
            if self.make_tables(first, last, target) != FAULT_OK:
                prune(self.phys, self.fmt, self.root, target, target_last)
                self.join_within(first, last)
                raise LinuxError(errno.ENOMEM, "no frames left for the page tables of the new place")
            journal_range(cython.address(self.journal), first, last)
            journal_range(cython.address(self.journal), target, target_last)
            self.notify(first, last)
            self.move_pages(first, last, target)
            self.move_areas(first, last, target, keep)
            prune(self.phys, self.fmt, self.root, first, last)
            self.join_within(target, target_last)
            self.join_within(first, last)
        finally:
            axptr_unlock(self.lock)

    def make_tables(self, first, last, target):
        """Tables at `target` and on for the pages of [first, last]. FAULT_OK or FAULT_NOMEM."""
        walk: Leaves = leaves_of(self, first, last)
        while next_leaf(cython.address(walk)):
            if make_slot(self.phys, self.fmt, self.root, walk.at - first + target) == cython.NULL:
                return FAULT_NOMEM
        return FAULT_OK

    def move_pages(self, first, last, target):
        """The entries of [first, last] go to `target` and on, where tables are."""
        entry: uint64_t
        to: uint64_t
        walk: Leaves = leaves_of(self, first, last)
        while next_leaf(cython.address(walk)):
            entry = walk.slot[0]
            to = walk.at - first + target
            leaf_slot(self.phys, self.fmt, self.root, to)[0] = entry
            walk.slot[0] = 0
            if self.phys.pins[entry_paddr(self.fmt, entry) >> PAGE_SHIFT]:
                journal_moved(cython.address(self.journal), walk.at, to)
        self.tlb_drop(first, last)
        self.tlb_drop(target, target + (last - first))

    def move_areas(self, first, last, target, keep):
        """The records of [first, last], split at both ends, go to `target` and on, or copies of them if `keep`."""
        at: uint64_t = first
        reach: uint64_t
        rec: cython.pointer(AreaRec)
        twin: cython.pointer(AreaRec)
        while True:
            rec = index_first(cython.address(self.areas), at, last)
            if rec == cython.NULL:
                return 0
            at = rec.last
            if keep:
                twin = record_copy(rec)
            else:
                twin = index_remove(cython.address(self.areas), index_seek(cython.address(self.areas), rec.start))
            twin.start = twin.start - first + target
            twin.last = at - first + target
            if twin.grow_limit:
                reach = at - (twin.last - twin.start) - twin.grow_limit
                twin.grow_limit = self.first if twin.start - self.first < reach else twin.start - reach
            index_insert(cython.address(self.areas), twin)
            if at >= last:
                return 0
            at += 1

    def _discard(self, start, size):
        """Give up the pages of a range and keep its areas."""
        first: uint64_t = 0
        last: uint64_t = 0
        self.span_of(start, size, cython.address(first), cython.address(last))
        axptr_lock_gil(self.lock)
        journal_range(cython.address(self.journal), first, last)
        self.zap(first, last)
        axptr_unlock(self.lock)

    # -- what is there ----------------------------------------------------------------------------------------

    def resident_pages(self, start=None, size=None):
        """Addresses of the pages that have a frame, in order."""
        first: uint64_t = self.first
        last: uint64_t = self.last
        if start is not None:
            self.span_of(start, size, cython.address(first), cython.address(last))
        found = []
        axptr_lock_gil(self.lock)
        try:
            walk: Leaves = leaves_of(self, first, last)
            while next_leaf(cython.address(walk)):
                found.append(walk.at)
        finally:
            axptr_unlock(self.lock)
        return found

    def presence(self, start, size):
        """One byte for each page of a range: 1 where it has a frame, else 0 (mincore(2)). Raises as `resident_pages`."""
        first: uint64_t = 0
        last: uint64_t = 0
        self.span_of(start, size, cython.address(first), cython.address(last))
        found = bytearray(size // PAGE_SIZE)
        out: cython.p_char = found
        axptr_lock_gil(self.lock)
        walk: Leaves = leaves_of(self, first, last)
        while next_leaf(cython.address(walk)):
            out[(walk.at - first) >> PAGE_SHIFT] = 1
        axptr_unlock(self.lock)
        return found

    @property
    def fault_around(self):
        """How many pages a guest's write may bring in at once: of fresh memory where much around it is there, of a stack, of a
        program's data and the zeros behind it.

        1, as it is at first: each page when it is touched. A power of two, 64 at most; clones have it too. Only engines for
        which a fault is dear make use of it.
        """
        return self.around

    @fault_around.setter
    def fault_around(self, pages):
        count = checked_size(pages, "pages")
        if not 1 <= count <= 64 or count & (count - 1):
            raise ValueError(f"{count} pages: want a power of two, 64 at most")
        self.around = count

    @property
    def is_kin(self):
        """Whether an engine may run programs of this space where those of another such ran before: they may do to each other
        what they like. False at first; clones have it too."""
        return bool(self.kin)

    @is_kin.setter
    def is_kin(self, value):
        i: uint32_t
        self.kin = bool(value)
        for i in range(self.nengines):
            self.engines[i].kin = self.kin

    # -- for stores that several spaces show -------------------------------------------------------------------

    def _guard_store(self, store: FrameStore, first_page, last_page):
        """Take the right to write unseen from every shared mapping of a store's pages: the next write is noticed."""
        self.each_of_store(store, first_page, last_page, False)

    def _drop_store(self, store: FrameStore, first_page):
        """The backing lost its pages from `first_page` on: so do its mappings, and their private copies too (truncate(2))."""
        self.each_of_store(store, first_page, 0xFFFF_FFFF_FFFF_FFFF, True)

    def each_of_store(self, store, first_page, last_page, drop):
        low: uint64_t
        high: uint64_t
        first: uint64_t
        rec: cython.pointer(AreaRec)
        if self.phys.forked:
            return
        axptr_lock_gil(self.lock)
        walk: Records = records_of(cython.address(self.areas))
        while next_record(cython.address(walk)):
            rec = walk.rec
            if rec.store != cython.address(store.body) or not (rec.shared or drop):
                continue
            low = rec.offset >> PAGE_SHIFT
            high = low + ((rec.last - rec.start) >> PAGE_SHIFT)
            if high < first_page or low > last_page:
                continue
            first = rec.start if low >= first_page else rec.start + ((first_page - low) << PAGE_SHIFT)
            high = rec.last if high <= last_page else rec.start + ((last_page - low) << PAGE_SHIFT) + IN_PAGE
            if drop:
                journal_range(cython.address(self.journal), first, high)
                self.zap(first, high)
            else:
                self.guard_range(rec.flags, first, high)
        axptr_unlock(self.lock)

    def _swap_backends(self, behind: dict):
        """What backs areas is another from here on: `behind` has it, by the number (`id`) of what did.

        A store in place of another has the same bytes. Pages that were written in private stay; those that show the old
        store are brought in anew. The journal hears nothing of it: for whoever goes back it is the same memory.
        """
        rec: cython.pointer(AreaRec)
        old: Backend
        fresh: Backend
        axptr_lock_gil(self.lock)
        walk: Records = records_of(cython.address(self.areas))
        while next_record(cython.address(walk)):
            rec = walk.rec
            found: object = behind.get(cython.cast(uint64_t, rec.backend))
            if found is None:
                continue
            old = cython.cast(object, rec.backend)
            fresh = found
            Py_INCREF(fresh)
            rec.backend = cython.cast(cython.pointer(PyObject), fresh)
            if fresh.store is not old.store:
                rec.store = cython.address(fresh.store.body)
                self.show_store(rec, old.store, fresh.store)
            Py_DECREF(old)
        axptr_unlock(self.lock)

    def show_store(self, rec, old, fresh):
        """The area shows another store: drop the pages that are the old one's alone."""
        page: uint64_t
        pfn: uint64_t
        if rec.shared:
            self.zap(rec.start, rec.last)
            return
        walk: Leaves = leaves_of(self, rec.start, rec.last)
        while next_leaf(cython.address(walk)):
            page = (rec.offset + (walk.at - rec.start)) >> PAGE_SHIFT
            pfn = entry_paddr(self.fmt, walk.slot[0]) >> PAGE_SHIFT
            if pfn == store_get(cython.address(old.body), page) and pfn != store_get(cython.address(fresh.body), page):
                self.zap(walk.at, walk.at + IN_PAGE)

    def guard_range(self, flags, first, last):
        """Take the right to write unseen from the pages of [first, last], which lie in an area with these flags."""
        walk: Leaves = leaves_of(self, first, last)
        self.notify(first, last)
        self.tlb_drop(first, last)
        while next_leaf(cython.address(walk)):
            self.guard_leaf(walk.slot, flags)

    def _shared_files(self, start, size):
        """`(store, first, last page)` for every area of a range that shares a file it may write."""
        first: uint64_t = 0
        last: uint64_t = 0
        at: uint64_t
        low: uint64_t
        high: uint64_t
        rec: cython.pointer(AreaRec)
        found = []
        self.span_of(start, size, cython.address(first), cython.address(last))
        axptr_lock_gil(self.lock)
        try:
            at = first
            while True:  # by address, as in `_all_areas`
                rec = index_first(cython.address(self.areas), at, last)
                if rec == cython.NULL:
                    break
                low = first if rec.start < first else rec.start
                high = last if rec.last > last else rec.last
                at = rec.last + 1
                if rec.shared and rec.kind == KIND_STORE and rec.store.out_fd >= 0:
                    found.append(
                        (
                            cython.cast(Backend, cython.cast(object, rec.backend)).store,
                            (rec.offset + (low - rec.start)) >> PAGE_SHIFT,
                            (rec.offset + (high - rec.start)) >> PAGE_SHIFT,
                        )
                    )
                if high >= last:
                    break
        finally:
            axptr_unlock(self.lock)
        return found

    def _shared_memory(self):
        """The stores of the shared anonymous memory that areas show, each once."""
        rec: cython.pointer(AreaRec)
        found = {}
        axptr_lock_gil(self.lock)
        try:
            walk: Records = records_of(cython.address(self.areas))
            while next_record(cython.address(walk)):
                rec = walk.rec
                if rec.shared and rec.kind == KIND_STORE and (rec.store.fd < 0 or rec.store.memory):
                    found[cython.cast(uint64_t, rec.store)] = cython.cast(
                        Backend, cython.cast(object, rec.backend)
                    ).store
        finally:
            axptr_unlock(self.lock)
        return list(found.values())

    # -- for pagers and devices ---------------------------------------------------------------------------------

    def _wanted(self, page):
        """`(backend, offset)` of a page that a pager must supply now; None where nothing is to be done."""
        return self._behind(page, KIND_PAGER)

    def _device_at(self, vaddr):
        """`(backend, offset, bytes to the end of its area)` of a byte that a device answers for, or None."""
        at: uint64_t = checked_address(vaddr, "vaddr")
        found = self._behind(at, KIND_MMIO)
        if found is None:
            return None
        backend, offset = found
        area = self._area(at)
        return None if area is None else (backend, offset, area[1] - at)

    def _behind(self, at: uint64_t, kind: uint32_t):
        slot: cython.pointer(uint64_t)
        rec: cython.pointer(AreaRec)
        found = None
        axptr_lock_gil(self.lock)
        try:
            rec = index_find(cython.address(self.areas), at)
            slot = leaf_slot(self.phys, self.fmt, self.root, at)
            if rec != cython.NULL and rec.kind == kind and (slot == cython.NULL or slot[0] == 0):
                found = (cython.cast(object, rec.backend), int(rec.offset + (at - rec.start)))
        finally:
            axptr_unlock(self.lock)
        return found

    def wants(self, at, backend, offset):
        """Whether this backend is what must supply the page of `at`, from this byte on, still. Lock held."""
        rec: cython.pointer(AreaRec) = index_find(cython.address(self.areas), at)
        slot: cython.pointer(uint64_t) = leaf_slot(self.phys, self.fmt, self.root, at)
        return (
            rec != cython.NULL
            and rec.kind == KIND_PAGER
            and (slot == cython.NULL or slot[0] == 0)
            and cython.cast(object, rec.backend) is backend
            and rec.offset + (at - rec.start) == offset
        )

    def _install(self, page, backend, offset, data):
        """Give a page the bytes that its pager supplied, if it still wants them. Raises `LinuxError(ENOMEM)`."""
        view: Py_buffer
        at: uint64_t = page
        fresh: uint64_t = 0
        slot: cython.pointer(uint64_t) = cython.NULL
        self.phys.alive()
        borrow(data, cython.address(view), False)
        axptr_lock_gil(self.lock)
        try:
            wanted = view.len <= PAGE_SIZE and self.wants(at, backend, offset)
            if wanted:
                slot = make_slot(self.phys, self.fmt, self.root, at)
            if slot != cython.NULL:
                fresh = self.phys.alloc_frame(False, False)
                if fresh == 0:
                    prune(self.phys, self.fmt, self.root, at, at)
                else:
                    memcpy(self.phys.base + (fresh << PAGE_SHIFT), view.buf, view.len)
                    memset(self.phys.base + (fresh << PAGE_SHIFT) + view.len, 0, PAGE_SIZE - view.len)
                    journal_page(cython.address(self.journal), at)
                    self.set_leaf(slot, index_find(cython.address(self.areas), at).flags, fresh, True, 0)
                    self.npopulated += 1
        finally:
            axptr_unlock(self.lock)
            PyBuffer_Release(cython.address(view))
        if wanted and fresh == 0:
            raise LinuxError(errno.ENOMEM, f"no frame left for the page of {page:#x}")
