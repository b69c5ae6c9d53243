"""Translation: page table, software TLB, page faults, and what a guest CPU may cache.

`Mmu` is the part of an address space that works without the GIL: given an address and an access it finds the
host's copy of the byte, bringing the page in if an area allows it.

Not here: copies and checks of ranges (`transfer`), changing areas (`space`), wording errors (`mm.fault`).

Invariants, checked by `SpaceCore._check`:
- Every entry of the table that is present, or kept (not present, its frame noted), lies in an area, grants at
  most what the area does, and holds one reference on its frame; in a linear area, a window on frames that others hold,
  a pin instead: so a window never makes a page of another space look shared.
- An entry is writable only if its frame is this page's alone, or the area shares its backing's frames. So a
  private frame with other holders is copied before the first write.
- The TLB holds only what an entry grants; write only once the page is dirty.

Locking: the lock of the PhysMemory around everything; see `lock.pxd`. Functions marked nogil never ask for the
GIL, so that a guest CPU's misses are served without it.

Failure: codes (`codes.pxd`), turned into exceptions by `fail` at the edge to Python.
"""

import errno
import sys

import cython
from cython.cimports.axptr._core.mm.areas import (
    AreaPos,
    AreaRec,
    Records,
    index_at,
    index_before,
    index_find,
    index_free,
    index_moved,
    index_seek,
    next_record,
    records_of,
)
from cython.cimports.axptr._core.mm.frames import Backend, FrameStore
from cython.cimports.axptr._core.mm.journal import journal_free, journal_page, journal_range
from cython.cimports.axptr._core.mm.mmu import TlbEntry, leaves_of, tlb_hit
from cython.cimports.axptr._core.mm.store import store_date, store_fill, store_flush, store_touch, store_written
from cython.cimports.axptr._core.paging.format import (
    entry_at,
    entry_clean,
    entry_paddr,
    entry_permissions,
    entry_valid,
)
from cython.cimports.axptr._core.paging.paging import PageTable
from cython.cimports.axptr._core.paging.walk import Leaves, leaf_slot, make_slot, next_leaf, prune
from cython.cimports.axptr._core.phys.coherence import FRAME_TABLE
from cython.cimports.axptr._core.words.codes import (
    ACCESS,
    FAULT_BACKING,
    FAULT_FORKED,
    FAULT_NOMEM,
    FAULT_NOT_MEMORY,
    FAULT_OK,
    FAULT_PROTECTION,
    FAULT_PYTHON,
    FAULT_RANGE,
    FAULT_UNMAPPED,
    GUARD_GAP,
    IN_PAGE,
    KIND_ALLOC,
    KIND_LINEAR,
    KIND_MMIO,
    KIND_PAGER,
    KIND_STORE,
    PAGE_SHIFT,
    PAGE_SIZE,
    READ,
    WRITE,
    page_start,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcpy, memset

from axptr._core.phys.phys import default_memory
from axptr.addr import ADDRESS_END, checked_address, checked_size
from axptr.errors import LinuxError
from axptr.model import LP64, checked_model
from axptr.paging import X86_64

_is_finalizing = cython.declare(object, sys.is_finalizing)  # in C, so that it outlives this module
_TLB_FIRST = cython.declare(uint64_t, 64)
_TLB_MOST = cython.declare(uint64_t, 8192)
_IN_A_RUN = cython.declare(uint64_t, (32 << PAGE_SHIFT) - 1)  # a smaller area is not worth a run of frames


@cython.no_gc_clear
@cython.cclass
class Mmu(Provider):
    def __cinit__(self, base, size, phys=None, fmt=X86_64, **kwargs):
        first = checked_address(base, "base")
        nbytes = checked_size(size)
        if nbytes == 0 or first % PAGE_SIZE or nbytes % PAGE_SIZE or first + nbytes > ADDRESS_END:
            raise ValueError(f"a space of {nbytes:#x} bytes at {first:#x} is no run of pages below 2**64")
        self.phys = default_memory() if phys is None else phys
        self.phys.alive()
        self.lock = self.phys.lock
        self.frame_base = self.phys.base
        self.frame_flags = self.phys.flags
        self.table = PageTable(self.phys, fmt)
        if not (self.table._canonical(first) and self.table._canonical(first + nbytes - 1)) or (
            fmt.sign_extended and first >> (fmt.va_bits - 1) != (first + nbytes - 1) >> (fmt.va_bits - 1)
        ):
            raise ValueError(f"{fmt.name} cannot translate all of {first:#x}-{first + nbytes:#x}")
        self.fmt = self.table.fmt
        self.root = self.table.root_paddr
        self.first = first
        self.last = first + nbytes - 1
        self.tlb_mask = _TLB_FIRST - 1
        self.tlb = cython.cast(cython.pointer(TlbEntry), calloc(_TLB_FIRST, cython.sizeof(TlbEntry)))
        if self.tlb == cython.NULL:
            raise MemoryError
        self.data_model = LP64
        self.around = 1
        self.phys.spaces.add(self)

    def _set_model(self, model):
        """From now on pointers are as wide, and numbers lie in the order, as `model` says. Nothing in memory changes."""
        self.data_model = checked_model(model)
        self.foreign = model != LP64

    def __dealloc__(self):
        i: uint32_t
        for i in range(self.nengines):
            self.engines[i].gone = 1
        try:
            if self.phys is not None and self.lock != cython.NULL and self.tlb != cython.NULL and not self.phys.forked:
                Mmu.give_back(self)
        finally:  # what a signal's handler raises meanwhile must not keep the areas
            index_free(cython.address(self.areas))
            journal_free(cython.address(self.journal))
            free(self.tlb)
            free(self.engines)

    def give_back(self):
        """At the end: give up every page, write files back."""
        axptr_lock_gil(self.lock)
        try:
            self.zap(self.first, self.last)
            files = self.written_files()
        finally:
            axptr_unlock(self.lock)
        return self.write_back(files)

    def write_back(self, files):
        """Write files back when nobody is there to hear of a failure: the pages stay marked then. Lock not held.

        What else is raised meanwhile, Ctrl-C, comes out after the last file.
        """
        raised = None
        first: uint64_t
        last: uint64_t
        behind: FrameStore
        over: cython.bint = _is_finalizing()
        for store, first, last in files:
            if over:  # the modules that `sync` needs may be gone
                behind = store
                axptr_lock_gil(self.lock)
                store_flush(cython.address(behind.body), self.phys, first, last, False)
                axptr_unlock(self.lock)
                continue
            try:
                store.sync(first, last)
            except LinuxError:
                pass
            except BaseException as error:
                raised = error
        if raised is not None:
            raise raised
        return 0

    def written_files(self):
        """`(store, first, last page)` for every area of a file that was written through shared mappings, at the end."""
        rec: cython.pointer(AreaRec)
        first: uint64_t
        last: uint64_t
        found = []
        walk: Records = records_of(cython.address(self.areas))
        while next_record(cython.address(walk)):
            rec = walk.rec
            if rec.shared and rec.kind == KIND_STORE and rec.store.out_fd >= 0:
                first = rec.offset >> PAGE_SHIFT
                last = (rec.offset + (rec.last - rec.start)) >> PAGE_SHIFT
                if store_written(rec.store, first, last):
                    found.append((cython.cast(Backend, cython.cast(object, rec.backend)).store, first, last))
        return found

    def __reduce__(self):
        raise TypeError("an address space cannot be pickled: save a snapshot of it instead")

    def _after_fork(self):
        """In a forked child: nothing that was proved before holds, every further access refuses."""
        memset(self.tlb, 0, (self.tlb_mask + 1) * cython.sizeof(TlbEntry))

    # -- what a whole space adds: wording, and areas behind which a user's functions stand -------------------------
    #
    # The core calls these by name; `mm.space.AddrSpace` has them. A space without them cannot go on there.

    def _make_fault(self, code, bad, access, size, completed):
        """The `UserFault` of a code that is no success, of an access of `size` bytes that stopped at `bad`."""
        raise self.no_hook("word a fault")

    def _fault_at(self, vaddr, access, size=1, completed=0):
        """The same of a counted copy of this thread that stopped at `vaddr`, the cause found by looking."""
        raise self.no_hook("word a fault")

    def _stopped(self, why):
        """Keep what stopped the counted copy that this thread makes, for `_fault_at`; None at its start."""
        if why is not None:
            raise self.no_hook("keep what stopped a copy")

    def _page_in(self, vaddr, access, size=1, completed=0):
        """Have a pager supply the page of `vaddr`."""
        raise self.no_hook("ask a pager")

    def _device_move(self, vaddr, buffer, access):
        """All of a copy in which a device has a part."""
        raise self.no_hook("ask a device")

    def _device_piece(self, vaddr, buffer, access):
        """The part of a copy that the device at `vaddr` answers; bytes done."""
        raise self.no_hook("ask a device")

    def no_hook(self, what):
        return NotImplementedError(f"a {type(self).__name__} cannot {what}: make an AddrSpace, which can")

    # -- the TLB ------------------------------------------------------------------------------------------

    def tlb_note(self, vaddr, entry):
        """Remember what the entry of a page grants."""
        page: uint64_t = vaddr >> PAGE_SHIFT
        what: uint64_t = 0
        note: cython.pointer(TlbEntry)
        bigger: cython.p_void
        if self.entry_allows(entry, READ):
            what |= READ
        if self.entry_allows(entry, WRITE):
            what |= WRITE
        self.tlb_misses += 1
        if self.tlb_misses > 2 * (self.tlb_mask + 1) and self.tlb_mask + 1 < _TLB_MOST:
            # A working set beyond the table: a larger, empty one. Without memory for it the old one stays.
            bigger = calloc((self.tlb_mask + 1) * 4, cython.sizeof(TlbEntry))
            if bigger != cython.NULL:
                free(self.tlb)
                self.tlb = cython.cast(cython.pointer(TlbEntry), bigger)
                self.tlb_mask = (self.tlb_mask + 1) * 4 - 1
            self.tlb_misses = 0
        note = self.tlb + ((page ^ (page >> 13)) & self.tlb_mask)
        note.page = page
        note.what = cython.cast(uint64_t, self.phys.base + entry_paddr(self.fmt, entry)) | what

    def tlb_drop(self, first, last):
        """Forget the pages of [first, last]."""
        page: uint64_t = first >> PAGE_SHIFT
        end: uint64_t = last >> PAGE_SHIFT
        note: cython.pointer(TlbEntry)
        if end - page > self.tlb_mask:
            memset(self.tlb, 0, (self.tlb_mask + 1) * cython.sizeof(TlbEntry))
            return
        while page <= end:
            note = self.tlb + ((page ^ (page >> 13)) & self.tlb_mask)
            if note.page == page:
                note.page = note.what = 0
            page += 1

    def notify(self, first, last):
        """Engines that run this space must drop what they cached of [first, last] before the guest's next instruction.

        Said before a frame is given up: see `coherence`.
        """
        i: uint32_t
        for i in range(self.nengines):
            self.phys.request_range(self.engines[i], first, last)

    # -- translation --------------------------------------------------------------------------------------

    def granted(self, flags):
        """What an area with these flags lets a program do."""
        if flags & WRITE and self.fmt.write_grants_read:
            return (flags | READ) & ACCESS
        return flags & ACCESS

    def entry_allows(self, entry, access):
        """Whether a present entry grants this access without a fault."""
        if not entry_valid(self.fmt, entry):
            return False
        if access == READ:
            return (entry & self.fmt.noread) == 0
        if access == WRITE and (entry & self.fmt.dirty) == 0:
            return False
        return (entry_permissions(self.fmt, entry) & access) != 0

    def set_leaf(self, slot, flags, pfn, writable, dirty):
        """Write an entry that grants what `flags` do, WRITE only if `writable`; kept if they grant nothing."""
        may: uint32_t = self.granted(flags)
        now: uint32_t = may if writable else may & ~WRITE
        entry: uint64_t = entry_at(self.fmt, pfn << PAGE_SHIFT) | dirty
        if now == 0:
            slot[0] = entry | self.fmt.kept
            return
        entry |= self.fmt.attributes[(flags & ~ACCESS) | now] | self.fmt.levels[self.fmt.nlevels - 1].leaf_bits
        if not dirty:
            entry |= self.fmt.clean_bits
        if not may & READ:
            entry |= self.fmt.noread
        slot[0] = entry

    def growable(self, vaddr, where):
        """The area above `vaddr` that may grow down to it, or NULL."""
        low: cython.pointer(AreaRec)
        rec: cython.pointer(AreaRec)
        page: uint64_t = page_start(vaddr)
        where[0] = index_seek(cython.address(self.areas), vaddr)
        rec = index_at(cython.address(self.areas), where[0])
        if rec == cython.NULL or rec.grow_limit == 0 or page < rec.grow_limit or page < self.first:
            return cython.NULL
        low = index_before(cython.address(self.areas), where[0])
        # Another stack below may come as near as it likes (expand_downwards in Linux).
        if low != cython.NULL and low.grow_limit == 0 and (low.flags & ACCESS) and page - low.last - 1 < GUARD_GAP:
            return cython.NULL
        return rec

    def bring_in(self, vaddr, access, slot):
        """Bring the page of `vaddr` in for one access (READ, WRITE or EXECUTE); on FAULT_OK `*slot` is its entry."""
        code: cython.int
        entry: uint64_t
        pfn: uint64_t
        where: AreaPos
        page: uint64_t = page_start(vaddr)
        rec: cython.pointer(AreaRec)
        if self.phys.forked:
            return FAULT_FORKED
        if vaddr < self.first or vaddr > self.last:
            return FAULT_RANGE
        rec = index_find(cython.address(self.areas), vaddr)
        if rec == cython.NULL:
            rec = self.growable(vaddr, cython.address(where))
            if rec == cython.NULL:
                return FAULT_UNMAPPED
            # As on Linux the area grows for any access, also one that it then refuses.
            journal_range(cython.address(self.journal), page, rec.start - 1)
            rec.start = page
            index_moved(cython.address(self.areas), where)
            self.ngrown += 1
        if not self.granted(rec.flags) & access:
            return FAULT_PROTECTION
        slot[0] = make_slot(self.phys, self.fmt, self.root, vaddr)
        if slot[0] == cython.NULL:
            return FAULT_NOMEM
        entry = slot[0][0]
        if entry == 0:
            code = self.supply(rec, page, access == WRITE, slot[0])
            if code != FAULT_OK:
                prune(self.phys, self.fmt, self.root, page, page)
                return code
        elif access == WRITE:
            code = self.make_private(rec, page, slot[0])
            if code != FAULT_OK:
                return code
        elif not entry_valid(self.fmt, entry):
            pfn = entry_paddr(self.fmt, entry) >> PAGE_SHIFT
            self.set_leaf(slot[0], rec.flags, pfn, False, entry & self.fmt.dirty)
        if access == READ:
            self.nread += 1
        elif access == WRITE:
            self.nwrite += 1
        else:
            self.nfetch += 1
        return FAULT_OK

    def keeps_times(self, vaddr):
        """Whether a write to this page is one to a file by a mapping that shares it: the file's times tell of it."""
        rec: cython.pointer(AreaRec) = index_find(cython.address(self.areas), vaddr)
        if rec == cython.NULL or not rec.shared or rec.kind != KIND_STORE:
            return False
        return rec.store.fd >= 0 or rec.store.memory

    def make_private(self, rec, vaddr, slot):
        """Let a page that has a frame be written: its own frame, or a copy where others hold that one."""
        fresh: uint64_t
        pfn: uint64_t = entry_paddr(self.fmt, slot[0]) >> PAGE_SHIFT
        journal_page(cython.address(self.journal), vaddr)
        if rec.shared:
            if rec.kind == KIND_STORE:
                store_touch(rec.store, (rec.offset + (vaddr - rec.start)) >> PAGE_SHIFT)
                # Of files in memory Linux sees the fault alone that finds no page.
                if rec.store.fd >= 0 and not rec.store.memory:
                    store_date(rec.store)
        elif rec.kind != KIND_LINEAR and self.phys.refs[pfn] > 1:
            fresh = self.new_frame(rec, slot, False)
            if fresh == 0:
                return FAULT_NOMEM
            memcpy(self.phys.base + (fresh << PAGE_SHIFT), self.phys.base + (pfn << PAGE_SHIFT), PAGE_SIZE)
            self.tlb_drop(vaddr, vaddr)
            self.notify(page_start(vaddr), vaddr | IN_PAGE)
            self.phys.decref(pfn)
            self.ncow += 1
            pfn = fresh
        self.set_leaf(slot, rec.flags, pfn, True, self.fmt.dirty)
        return FAULT_OK

    def new_frame(self, rec, slot, zero):
        """A frame for a page of its own in an area; 0 if there is none. In areas of some size they lie side by side; where
        guests get many at once in all."""
        if rec.last - rec.start >= (_IN_A_RUN if self.around <= 1 else PAGE_SIZE):
            return self.phys.alloc_in_run(slot, zero)
        return self.phys.alloc_frame(False, zero)

    def supply(self, rec, vaddr, write, slot):
        """Give a page that has no frame one, from what backs its area."""
        code: cython.int
        pfn: uint64_t = 0
        fresh: uint64_t
        writable: cython.bint = True
        offset: uint64_t = rec.offset + (vaddr - rec.start)
        if rec.kind == KIND_ALLOC:
            pfn = self.new_frame(rec, slot, True)
            if pfn == 0:
                return FAULT_NOMEM
        elif rec.kind == KIND_LINEAR:
            # A frame that nobody holds, or that holds a page table, is not for programs to see.
            pfn = offset >> PAGE_SHIFT
            if pfn >= self.phys.nframes or self.phys.refs[pfn] == 0 or self.phys.flags[pfn] & FRAME_TABLE:
                return FAULT_BACKING
            self.phys.pin_frame(pfn)
        elif rec.kind == KIND_PAGER:
            return FAULT_PYTHON
        elif rec.kind == KIND_MMIO:
            return FAULT_NOT_MEMORY
        else:
            code = store_fill(rec.store, self.phys, offset >> PAGE_SHIFT, cython.address(pfn))
            if code != FAULT_OK:
                return code
            if rec.shared or not write:
                writable = rec.shared and write
                if writable:
                    store_touch(rec.store, offset >> PAGE_SHIFT)
                    if rec.store.fd >= 0 or rec.store.memory:
                        store_date(rec.store)
                self.phys.incref(pfn)
            else:
                fresh = self.new_frame(rec, slot, False)
                if fresh == 0:
                    return FAULT_NOMEM
                memcpy(self.phys.base + (fresh << PAGE_SHIFT), self.phys.base + (pfn << PAGE_SHIFT), PAGE_SIZE)
                pfn = fresh
                self.ncow += 1
        self.npopulated += 1
        journal_page(cython.address(self.journal), vaddr)
        self.set_leaf(slot, rec.flags, pfn, writable, self.fmt.dirty if write else 0)
        return FAULT_OK

    def resolve(self, vaddr, access, host):
        """The host address of `vaddr`, its page brought in for READ or WRITE. A TLB hit first, then the table."""
        code: cython.int
        slot: cython.pointer(uint64_t)
        host[0] = tlb_hit(self, vaddr, access)
        if host[0] != cython.NULL:
            return FAULT_OK
        if self.phys.forked:
            return FAULT_FORKED
        if vaddr < self.first or vaddr > self.last:
            return FAULT_RANGE
        slot = leaf_slot(self.phys, self.fmt, self.root, vaddr)
        if slot == cython.NULL or not self.entry_allows(slot[0], access):
            code = self.bring_in(vaddr, access, cython.address(slot))
            if code != FAULT_OK:
                return code
        self.tlb_note(vaddr, slot[0])
        host[0] = self.phys.base + entry_paddr(self.fmt, slot[0]) + (vaddr & IN_PAGE)
        return FAULT_OK

    def at_once(self, vaddr, access):
        """The host address of `vaddr` if the CPU could make the access now, without a fault; else NULL."""
        host: cython.pointer(uint8_t) = tlb_hit(self, vaddr, access)
        slot: cython.pointer(uint64_t)
        if host != cython.NULL or self.phys.forked or vaddr < self.first or vaddr > self.last:
            return host
        slot = leaf_slot(self.phys, self.fmt, self.root, vaddr)
        if slot == cython.NULL or not self.entry_allows(slot[0], access):
            return cython.NULL
        return self.phys.base + entry_paddr(self.fmt, slot[0]) + (vaddr & IN_PAGE)

    def force(self, vaddr, write, host):
        """`resolve` for a debugger: any page of an area, whatever it grants."""
        code: cython.int
        slot: cython.pointer(uint64_t)
        page: uint64_t = page_start(vaddr)
        rec: cython.pointer(AreaRec)
        if self.phys.forked:
            return FAULT_FORKED
        if vaddr < self.first or vaddr > self.last:
            return FAULT_RANGE
        rec = index_find(cython.address(self.areas), vaddr)
        if rec == cython.NULL:
            return FAULT_UNMAPPED
        slot = make_slot(self.phys, self.fmt, self.root, vaddr)
        if slot == cython.NULL:
            return FAULT_NOMEM
        if slot[0] == 0:
            code = self.supply(rec, page, write, slot)
            if code != FAULT_OK:
                prune(self.phys, self.fmt, self.root, page, page)
                return code
        elif write:
            code = self.make_private(rec, page, slot)
            if code != FAULT_OK:
                return code
        host[0] = self.phys.base + entry_paddr(self.fmt, slot[0]) + (vaddr & IN_PAGE)
        return FAULT_OK

    def own(self, vaddr, pfn):
        """The frame of a page that is to be shown by a live view: this page's alone, and staying so while pinned."""
        code: cython.int
        dirty: uint64_t
        slot: cython.pointer(uint64_t)
        host: cython.pointer(uint8_t)
        page: uint64_t = page_start(vaddr)
        rec: cython.pointer(AreaRec) = index_find(cython.address(self.areas), vaddr)
        if rec == cython.NULL:
            return FAULT_UNMAPPED
        code = self.force(vaddr, False, cython.address(host))
        if code != FAULT_OK:
            return code
        slot = leaf_slot(self.phys, self.fmt, self.root, vaddr)
        if (
            not rec.shared
            and rec.kind != KIND_LINEAR
            and self.phys.refs[entry_paddr(self.fmt, slot[0]) >> PAGE_SHIFT] > 1
        ):
            dirty = slot[0] & self.fmt.dirty
            code = self.make_private(rec, page, slot)
            if code != FAULT_OK:
                return code
            if not dirty:
                slot[0] = entry_clean(self.fmt, slot[0])
        pfn[0] = entry_paddr(self.fmt, slot[0]) >> PAGE_SHIFT
        return FAULT_OK

    def zap(self, first, last):
        """Take every page of [first, last] out of the table and give up its frame. The caller notes the range.

        The areas are still there: they say whether the frame is held, or only looked at through a window.
        """
        rec: cython.pointer(AreaRec)
        said: cython.bint = False
        walk: Leaves = leaves_of(self, first, last)
        while next_leaf(cython.address(walk)):
            if not said:
                self.notify(walk.at, last)
                said = True
            rec = index_find(cython.address(self.areas), walk.at)
            if rec != cython.NULL and rec.kind == KIND_LINEAR:
                self.phys.unpin_frame(entry_paddr(self.fmt, walk.slot[0]) >> PAGE_SHIFT)
            else:
                self.phys.decref(entry_paddr(self.fmt, walk.slot[0]) >> PAGE_SHIFT)
            walk.slot[0] = 0
        self.tlb_drop(first, last)
        prune(self.phys, self.fmt, self.root, first, last)

    def fail(self, code, bad, access, size, completed):
        """Raise what a code other than FAULT_OK means."""
        if code == FAULT_FORKED:
            self.phys.alive()
        if code == FAULT_NOMEM:
            raise LinuxError(errno.ENOMEM, f"no frame left for the page of {bad:#x}")
        where = ADDRESS_END if completed and bad == 0 else bad  # 0 is what comes after the last address
        raise self._make_fault(code, where, access, size, completed)
