"""Areas that come, go and get other rights: what `mm.space.AddrSpace` is asked for, and calls of programs that are made in
compiled code.

Not here: the areas themselves (`space`), what backs them (`backing`), what a system says of where one goes and how many there
may be (`axptr._core.kernel.memcalls`, `axptr.linux.mem`).

Failure: what raises has changed nothing.
"""

import errno

import cython
from cython.cimports.axptr._core.mm.areas import (
    AreaRec,
    Records,
    index_first,
    index_insert,
    index_moved,
    index_reserve,
    next_record,
    record_new,
    records_in,
)
from cython.cimports.axptr._core.mm.frames import Backend
from cython.cimports.axptr._core.mm.journal import journal_range
from cython.cimports.axptr._core.mm.mmu import leaves_of
from cython.cimports.axptr._core.mm.space import SpaceCore, retire
from cython.cimports.axptr._core.paging.walk import Leaves, next_leaf
from cython.cimports.axptr._core.words.codes import EXECUTE, IN_PAGE, KIND_ALLOC, PAGE_SIZE, WRITE
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import uint32_t, uint64_t

from axptr.errors import LinuxError


@cython.no_gc_clear
@cython.cclass
class MappedSpace(SpaceCore):
    # -- lock held -----------------------------------------------------------------------------------------

    def enter_area(self, first, last, flags, backend, offset, name, grow_limit, gone):
        """Enter an area in the place of what is in [first, last]. offset: into what backs it, at `first`. `MemoryError`."""
        rec: cython.pointer(AreaRec)
        index_reserve(cython.address(self.areas), 3)
        rec = record_new(first, last, backend, name)
        rec.flags = flags
        rec.grow_limit = grow_limit
        rec.offset = offset
        if flags & EXECUTE and backend.store is not None:
            backend.store.body.program = True
        if index_first(cython.address(self.areas), first, last) != cython.NULL:
            self.split_ends(first, last, 1)
            gone[0] = self.carve(first, last)
        index_insert(cython.address(self.areas), rec)
        journal_range(cython.address(self.journal), first, last)
        if last < self.last:
            self.join_around(last + 1)
        self.join_around(first)
        return 0

    def take_out(self, first, last):
        """Take out all that is in [first, last]; NULL, or a chain for `retire`. `MemoryError`."""
        self.split_ends(first, last, 0)
        return self.carve(first, last)

    def allow(self, first, last, flags):
        """Give all areas in [first, last], which leave no hole there, other flags. `MemoryError`."""
        said: cython.bint = False
        records: Records
        walk: Leaves
        self.split_ends(first, last, 0)
        journal_range(cython.address(self.journal), first, last)
        records = records_in(cython.address(self.areas), first, last)
        while next_record(cython.address(records)):
            records.rec.flags = flags
            index_moved(cython.address(self.areas), records.pos)
        walk = leaves_of(self, first, last)
        while next_leaf(cython.address(walk)):
            if not said:
                self.notify(walk.at, last)
                said = True
            self.guard_leaf(walk.slot, flags)
        self.tlb_drop(first, last)
        self.join_within(first, last)
        return 0

    # -- lock not held -------------------------------------------------------------------------------------

    def _map(self, start, size, flags, backend: Backend, name, replace, grows_down):
        """Enter an area.

        Nothing has changed when it raises EINVAL (also for another kind than fresh memory that is to grow), ENOMEM
        (outside), EEXIST (over another without `replace`), EACCES (writable over a backing that is not).
        """
        first: uint64_t = 0
        last: uint64_t = 0
        limit: uint64_t = 0
        there: cython.pointer(AreaRec)
        gone: cython.pointer(AreaRec) = cython.NULL
        released = []
        self.span_of(start, size, cython.address(first), cython.address(last))
        bits: uint32_t = int(flags)
        if backend.store is not None and backend.store.phys is not self.phys:
            raise ValueError("the backend's frames belong to another memory")
        if grows_down and backend.kind != KIND_ALLOC:
            raise LinuxError(errno.EINVAL, "only fresh memory can grow")
        if backend.kind != KIND_ALLOC and backend.offset + (last - first) < backend.offset:
            raise LinuxError(errno.EOVERFLOW, "the area would run past the end of what backs it")
        if backend.sealed and bits & WRITE:
            raise LinuxError(errno.EACCES, "what backs the area may not be written")
        if grows_down:
            limit = max(int(self.first), int(last) + 1 - int(grows_down), PAGE_SIZE) & ~IN_PAGE
        axptr_lock_gil(self.lock)
        try:
            there = index_first(cython.address(self.areas), first, last)
            if there != cython.NULL and not replace:
                raise LinuxError(errno.EEXIST, f"{first:#x}-{last + 1:#x} overlaps the area at {there.start:#x}")
            self.enter_area(first, last, bits, backend, backend.offset, name, limit, cython.address(gone))
        finally:
            axptr_unlock(self.lock)
        retire(gone, released)
        return released

    def _unmap(self, start, size):
        first: uint64_t = 0
        last: uint64_t = 0
        gone: cython.pointer(AreaRec) = cython.NULL
        released = []
        self.span_of(start, size, cython.address(first), cython.address(last))
        axptr_lock_gil(self.lock)
        try:
            gone = self.take_out(first, last)
        finally:
            axptr_unlock(self.lock)
        retire(gone, released)
        return released

    def _protect(self, start, size, flags):
        """Change the flags of every area in the range. ENOMEM over a hole, EACCES where writing is not to be had; nothing
        has changed then."""
        first: uint64_t = 0
        last: uint64_t = 0
        bits: uint32_t = int(flags)
        self.span_of(start, size, cython.address(first), cython.address(last))
        axptr_lock_gil(self.lock)
        try:
            self.require_covered(first, last)
            if bits & WRITE:
                self.require_unsealed(first, last)
            self.allow(first, last, bits)
        finally:
            axptr_unlock(self.lock)

    def _set_traits(self, start, size, on, off):
        """Change the traits of every area in the range. ENOMEM over a hole, nothing changed then."""
        first: uint64_t = 0
        last: uint64_t = 0
        walk: Records
        self.span_of(start, size, cython.address(first), cython.address(last))
        axptr_lock_gil(self.lock)
        try:
            self.require_covered(first, last)
            self.split_ends(first, last, 0)
            journal_range(cython.address(self.journal), first, last)
            walk = records_in(cython.address(self.areas), first, last)
            while next_record(cython.address(walk)):
                walk.rec.traits = (walk.rec.traits & ~cython.cast(uint32_t, off)) | cython.cast(uint32_t, on)
            self.join_within(first, last)
        finally:
            axptr_unlock(self.lock)
