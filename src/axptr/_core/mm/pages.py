"""Pages as frames, for those who carry a frozen space elsewhere: listed, shown as buffers, filled and taken in.

`private_pages` and `store_pages` list what has a frame. A `FrameSpan` shows frames without copying them, and keeps them
from changing: who would write one finds another holder, and copies. A `FramePool` gets bytes first; then its frames
become pages of a new space or of a store, so that bytes from elsewhere are copied once. One that `shows` files has frames
whose bytes are read when somebody looks at them.

Not here: what the bytes look like outside (`mm.snapshots.file`), and who is asked for a page at a fault (`mmu`).

Locking: taken here. Failure: a pool that cannot be had whole is not had at all; ENOMEM.
"""

import errno

import cython
from cython.cimports.axptr._core.mm.areas import AreaRec, Records, index_find, next_record, records_of
from cython.cimports.axptr._core.mm.frames import FrameStore
from cython.cimports.axptr._core.mm.mmu import leaves_of
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.mm.store import STORE_WRITTEN, store_get, store_put, store_slot
from cython.cimports.axptr._core.paging.format import entry_at, entry_paddr
from cython.cimports.axptr._core.paging.walk import Leaves, leaf_slot, make_slot, next_leaf
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.buffers import borrow
from cython.cimports.axptr._core.words.codes import (
    FAULT_OK,
    IN_PAGE,
    KIND_ALLOC,
    KIND_STORE,
    MARK_DIRTY,
    MARK_ZERO,
    PAGE_SHIFT,
    PAGE_SIZE,
    TRAIT_SEALED,
    WRITE,
    page_start,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.cpython.buffer import PyBuffer_FillInfo, PyBuffer_Release
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcmp, memcpy

from axptr.errors import LinuxError

ZEROS = (1 << 64) - 1
"""The index of the frame of zeros in any `FramePool`."""

_ZEROS = cython.declare(uint64_t, ZEROS)
_IN_TABLE = cython.declare(uint64_t, 511)  # the number of an entry in its last-level table


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _is_zero(page: cython.pointer(uint8_t)) -> cython.bint:
    """Whether 4096 bytes are zero; the first that is not ends the search."""
    return page[0] == 0 and memcmp(page, page + 1, IN_PAGE) == 0


def area_traits(space: SpaceCore):
    """`(lowest address it may grow down to or 0, traits but TRAIT_SEALED)` of every area, by address."""
    found = []
    axptr_lock_gil(space.lock)
    try:
        walk: Records = records_of(cython.address(space.areas))
        while next_record(cython.address(walk)):
            found.append((walk.rec.grow_limit, walk.rec.traits & ~cython.cast(uint32_t, TRAIT_SEALED)))
    finally:
        axptr_unlock(space.lock)
    return found


@cython.cfunc
def _private_pages(space: SpaceCore):
    """The pages of private areas that have a frame: packed native pairs (address with marks, physical address)."""
    count: uint64_t
    found: bytes = b""
    space.phys.alive()
    axptr_lock_gil(space.lock)
    try:
        count = _list_private(space, cython.NULL)
        if count:
            found = PyBytes_FromStringAndSize(cython.NULL, count * 16)
            _list_private(space, cython.cast(cython.pointer(uint64_t), PyBytes_AS_STRING(found)))
    finally:
        axptr_unlock(space.lock)
    return found


def private_rows(space: SpaceCore):
    """The pages of private areas that have a frame, by rows of pages side by side, in order: `(address, physical address,
    pages, marks)`. Their frames lie side by side, too, but for pages of zeros, whose physical address says nothing."""
    pairs: bytes = _private_pages(space)
    pair: cython.pointer(uint64_t) = cython.cast(cython.pointer(uint64_t), PyBytes_AS_STRING(pairs))
    end: cython.pointer(uint64_t) = pair + len(pairs) // 8
    count: uint64_t
    rows: list = []
    while pair < end:
        count = 1
        while (
            pair + 2 * count < end
            and pair[2 * count] == pair[0] + (count << PAGE_SHIFT)
            and (pair[0] & MARK_ZERO or pair[2 * count + 1] == pair[1] + (count << PAGE_SHIFT))
        ):
            count += 1
        rows.append((page_start(pair[0]), pair[1], count, pair[0] & IN_PAGE))
        pair += 2 * count
    return rows


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _list_private(space: SpaceCore, out: cython.pointer(uint64_t)) -> uint64_t:
    """How many such pages there are; their pairs go to `out`, if that is not NULL. Lock held."""
    paddr: uint64_t
    count: uint64_t = 0
    rec: cython.pointer(AreaRec) = cython.NULL
    walk: Leaves = leaves_of(space, space.first, space.last)
    while next_leaf(cython.address(walk)):
        if rec == cython.NULL or walk.at > rec.last:
            rec = index_find(cython.address(space.areas), walk.at)
        if rec.shared or not (rec.kind == KIND_ALLOC or rec.kind == KIND_STORE):
            continue
        if out != cython.NULL:
            paddr = entry_paddr(space.fmt, walk.slot[0])
            out[2 * count] = walk.at | (MARK_DIRTY if walk.slot[0] & space.fmt.dirty else 0)
            if _is_zero(space.phys.base + paddr):
                out[2 * count] |= MARK_ZERO
            out[2 * count + 1] = paddr
        count += 1
    return count


def count_pages(space: SpaceCore, start=None, size=None):
    """How many pages of a range, or of the space, have a frame, by what they are: `(own, file, shared, dirty)`.

    own: the program's alone, as a copy of a file's page is; file, shared: of a file's cache, of shared memory; dirty: those
    of shared areas that the file has yet to get, or that shared memory holds. One walk over the table.
    """
    counts: uint64_t[4]
    first: uint64_t = space.first
    last: uint64_t = space.last
    space.phys.alive()
    if start is not None:
        space.span_of(start, size, cython.address(first), cython.address(last))
    axptr_lock_gil(space.lock)
    _count_pages(space, first, last, counts)
    axptr_unlock(space.lock)
    return counts[0], counts[1], counts[2], counts[3]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _count_pages(space: SpaceCore, first: uint64_t, last: uint64_t, counts: cython.pointer(uint64_t)) -> cython.void:
    """`count_pages` into four numbers. Lock held."""
    page: uint64_t
    memory: cython.bint
    rec: cython.pointer(AreaRec) = cython.NULL
    walk: Leaves = leaves_of(space, first, last)
    counts[0] = counts[1] = counts[2] = counts[3] = 0
    while next_leaf(cython.address(walk)):
        if rec == cython.NULL or walk.at > rec.last:
            rec = index_find(cython.address(space.areas), walk.at)
        if rec.store == cython.NULL or (
            not rec.shared
            and (
                space.entry_allows(walk.slot[0], WRITE)
                or space.phys.refs[entry_paddr(space.fmt, walk.slot[0]) >> PAGE_SHIFT] == 1
            )
        ):
            counts[0] += 1  # a frame that no file's cache holds
            continue
        memory = rec.store.fd < 0 or rec.store.memory
        counts[2 if memory else 1] += 1
        page = (walk.at - rec.start + rec.offset) >> PAGE_SHIFT
        if rec.shared and store_get(rec.store, page):
            if memory or rec.store.marks[store_slot(rec.store, page)] & STORE_WRITTEN:
                counts[3] += 1


def store_pages(store: FrameStore):
    """`(number, physical address)` of the pages of a store that have a frame and are not zero, in order."""
    i: uint64_t
    pfn: uint64_t
    found = []
    store.phys.alive()
    axptr_lock_gil(store.phys.lock)
    try:
        for i in range(store.body.capacity):
            pfn = store.body.pfns[i]
            if pfn and not _is_zero(store.phys.base + (pfn << PAGE_SHIFT)):
                found.append((store.body.keys[i] - 1, pfn << PAGE_SHIFT))
    finally:
        axptr_unlock(store.phys.lock)
    return sorted(found)


@cython.no_gc_clear
@cython.cclass
class FrameSpan:
    """A read-only buffer over `npages` frames side by side from physical address `paddr` on, which somebody holds now."""

    def __cinit__(self, phys: PhysMemory, paddr: uint64_t, npages: uint64_t):
        i: uint64_t
        phys.alive()
        self.phys = phys
        self.npages = 0
        self.pfn = paddr >> PAGE_SHIFT
        axptr_lock_gil(phys.lock)
        try:
            if npages == 0 or self.pfn >= phys.nframes or npages > phys.nframes - self.pfn:
                raise ValueError(f"{npages} frames at {paddr:#x} do not lie in the memory")
            for i in range(self.pfn, self.pfn + npages):
                if phys.refs[i] == 0:
                    raise ValueError(f"nobody holds the frame at {i << PAGE_SHIFT:#x}")
            for i in range(self.pfn, self.pfn + npages):
                phys.incref(i)
            self.npages = npages
        finally:
            axptr_unlock(phys.lock)

    def __dealloc__(self):
        i: uint64_t
        if self.npages and not self.phys.forked:
            axptr_lock_gil(self.phys.lock)
            for i in range(self.pfn, self.pfn + self.npages):
                self.phys.decref(i)
            axptr_unlock(self.phys.lock)

    def __getbuffer__(self, buffer: cython.pointer(Py_buffer), flags: cython.int):
        PyBuffer_FillInfo(buffer, self, self.phys.base + (self.pfn << PAGE_SHIFT), self.npages << PAGE_SHIFT, 1, flags)

    def __len__(self):
        return self.npages << PAGE_SHIFT

    def __reduce__(self):
        raise TypeError("frames cannot be pickled")


@cython.no_gc_clear
@cython.cclass
class FramePool:
    """`count` frames of `phys`, to be filled and given away. Raises `LinuxError(ENOMEM)`.

    files: instead, descriptors, offsets and numbers of pages, one after the other: the frames are to show them. shown: where
    they do, as physical address, number of the first and how many.
    """

    def __cinit__(self, phys: PhysMemory, count: uint64_t, files: object = None):
        i: uint64_t
        phys.alive()
        self.phys = phys
        self.count = 0
        self.shown = []
        if count >= phys.nframes:
            raise LinuxError(errno.ENOMEM, f"{count} pages do not fit into the memory")
        if files is None or len(files) != 1:
            self.pfns = cython.cast(cython.pointer(cython.uint), calloc(count + 1, 4))
            if self.pfns == cython.NULL:
                raise MemoryError
        if files is not None:
            self.show(files, count)
            return
        axptr_lock_gil(phys.lock)
        for i in range(count):
            self.pfns[i] = cython.cast(cython.uint, phys.alloc_frame(False, False))
            if self.pfns[i] == 0:
                break
            self.count += 1
        axptr_unlock(phys.lock)
        if self.count < count:
            raise LinuxError(errno.ENOMEM, f"no frames left for {count} pages")

    def __dealloc__(self):
        i: uint64_t
        if self.phys is not None and not self.phys.forked:
            axptr_lock_gil(self.phys.lock)
            for i in range(0 if self.shows else self.count):
                if self.pfns[i]:
                    self.phys.decref(self.pfns[i])
            if self.zero:
                self.phys.decref(self.zero)
            axptr_unlock(self.phys.lock)
        free(self.pfns)

    def show(self, files, count):
        """Have the frames show these pages. The pages of an empty file need none."""
        i: uint64_t
        first: uint64_t
        npages: uint64_t
        self.shows = True
        for fd, offset, size in files:
            npages = size
            if npages > count - self.count:
                raise ValueError("more pages than were said")
            if npages:
                first = self.first = self.phys.show_file(fd, offset, npages)
                for i in range(npages if self.pfns != cython.NULL else 0):
                    self.pfns[self.count + i] = cython.cast(cython.uint, first + i)
                self.shown.append((first << PAGE_SHIFT, self.count, npages))
                self.count += npages
        if self.count < count:
            raise ValueError("fewer pages than were said")
        return 0

    def frame(self, index):
        """The frame of that number; 0 where a store has it."""
        return self.first + index if self.pfns == cython.NULL else self.pfns[index]

    def put(self, index: uint64_t, data):
        """Fill frames from number `index` on with the bytes of a buffer, whole pages. `ValueError` if it does not fit."""
        i: uint64_t
        view: Py_buffer
        npages: uint64_t
        self.phys.alive()
        borrow(data, cython.address(view), False)
        npages = cython.cast(uint64_t, view.len) >> PAGE_SHIFT
        fits: cython.bint = view.len & IN_PAGE == 0 and index <= self.count and npages <= self.count - index
        if fits:
            for i in range(npages):
                memcpy(
                    self.phys.base + (self.frame(index + i) << PAGE_SHIFT),
                    cython.cast(cython.pointer(uint8_t), view.buf) + (i << PAGE_SHIFT),
                    PAGE_SIZE,
                )
        PyBuffer_Release(cython.address(view))
        if not fits:
            raise ValueError("the bytes are no whole pages, or more than there are frames for")

    def into_space(self, space: SpaceCore, vaddr: uint64_t, npages: uint64_t, index: uint64_t, dirty: cython.bint):
        """Let `npages` pages from `vaddr` on, of private areas and without frames so far, show frames from `index` on.

        They are copied at the first write to them. index `ZEROS`: all show the frame of zeros. Raises `ValueError` where
        no such area is or a page has a frame, `LinuxError(ENOMEM)`; pages done so far stay.
        """
        i: uint64_t = 0
        k: uint64_t
        pfn: uint64_t
        count: uint64_t
        at: uint64_t
        entry: uint64_t = 0  # what all of an area have
        slot: cython.pointer(uint64_t)
        zeros: cython.bint = index == _ZEROS
        refs: cython.pointer(uint32_t) = self.phys.refs
        rec: cython.pointer(AreaRec) = cython.NULL
        self.phys.alive()
        if space.phys is not self.phys:
            raise ValueError("the frames are of another memory")
        if npages == 0 or vaddr & IN_PAGE or vaddr < space.first or vaddr > space.last:
            raise ValueError(f"no pages at {vaddr:#x}")
        if npages - 1 > (space.last - vaddr) >> PAGE_SHIFT:
            raise ValueError(f"{npages} pages at {vaddr:#x} leave the space")
        if index != _ZEROS and (index > self.count or npages > self.count - index):
            raise ValueError("more pages than there are bytes for")
        axptr_lock_gil(space.lock)
        try:
            if index == _ZEROS and self.zero == 0:
                self.zero = self.phys.alloc_frame(False, True)
                if self.zero == 0:
                    raise LinuxError(errno.ENOMEM, "no frame left for a page of zeros")
            while i < npages:
                at = vaddr + (i << PAGE_SHIFT)
                if rec == cython.NULL or at > rec.last:
                    rec = index_find(cython.address(space.areas), at)
                    if rec != cython.NULL:
                        space.set_leaf(cython.address(entry), rec.flags, 0, False, space.fmt.dirty if dirty else 0)
                if rec == cython.NULL or rec.shared or not (rec.kind == KIND_ALLOC or rec.kind == KIND_STORE):
                    raise ValueError(f"no private area is at {at:#x}")
                # As far as the area and this table of the last level go.
                count = min(
                    npages - i, ((rec.last - at) >> PAGE_SHIFT) + 1, _IN_TABLE + 1 - ((at >> PAGE_SHIFT) & _IN_TABLE)
                )
                slot = leaf_slot(space.phys, space.fmt, space.root, at)
                for k in range(count):
                    if slot != cython.NULL and slot[k]:
                        raise ValueError(f"page {at + (k << PAGE_SHIFT):#x} is there twice")
                    if not zeros and self.frame(index + i + k) == 0:
                        raise ValueError("bytes of shared memory are those of another page, too")
                if slot == cython.NULL:
                    slot = make_slot(space.phys, space.fmt, space.root, at)
                if slot == cython.NULL:
                    raise LinuxError(errno.ENOMEM, "no frames left for page tables")
                for k in range(count):
                    pfn = self.zero if zeros else self.frame(index + i + k)
                    refs[pfn] += 1
                    slot[k] = entry | entry_at(space.fmt, pfn << PAGE_SHIFT)
                i += count
        finally:
            axptr_unlock(space.lock)

    def copy_into(self, store, page, pfn):
        """A copy of what a frame shows as a page of a store, which may write it in place. Lock held."""
        if store_get(cython.address(store.body), page):
            raise ValueError(f"page {page} of {store.label} is there twice")
        if store.put_copy(page, cython.cast(uint64_t, self.phys.base) + (pfn << PAGE_SHIFT)) != FAULT_OK:
            raise LinuxError(errno.ENOMEM, f"no frames left for the pages of {store.label}")
        return 0

    def into_store(self, store: FrameStore, page: uint64_t, npages: uint64_t, index: uint64_t):
        """Give frames from `index` on, which nobody else has, to a store as its pages from number `page` on.

        Raises `ValueError` for frames that somebody has, and for pages that are past the limit or have a frame.
        """
        i: uint64_t
        failed: cython.int = 0
        self.phys.alive()
        if store.phys is not self.phys:
            raise ValueError("the frames are of another memory")
        if index > self.count or npages > self.count - index:
            raise ValueError("more pages than there are bytes for")
        if page > store.body.limit or npages > store.body.limit - page:
            raise ValueError(f"pages past the end of {store.label}")
        axptr_lock_gil(self.phys.lock)
        try:
            for i in range(npages):
                if self.shows:
                    self.copy_into(store, page + i, self.frame(index + i))
                    continue
                if self.pfns[index + i] == 0 or self.phys.refs[self.pfns[index + i]] != 1:
                    raise ValueError("bytes of shared memory are those of another page, too")
                if store_get(cython.address(store.body), page + i):
                    raise ValueError(f"page {page + i} of {store.label} is there twice")
                failed = store_put(cython.address(store.body), page + i, self.pfns[index + i])
                if failed < 0:
                    raise MemoryError
                self.pfns[index + i] = 0
        finally:
            axptr_unlock(self.phys.lock)

    def __reduce__(self):
        raise TypeError("frames cannot be pickled")
