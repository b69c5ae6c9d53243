"""Physical memory: frames of 4 KiB, who holds them, who looks at them.

A mapping of the host's memory, cut into frames. A frame has a count of references (entries of page tables, frame
stores, snapshots, callers of `alloc`) and a count of pins (live Python views, and the linear windows of spaces). It
is free when both are zero, so that a view never shows another owner's bytes. Frame 0 is never handed out: 0 means
"no frame" in this package.

Not here: frames that are free, and which lie side by side (`runs`); whose account one is charged to (`charges`); the mapping itself, and what a fork does to it
(`hostmem`); what a frame is used for (`space`, `frames`), and how tables are laid out (`paging`).

Invariants, checked by `_check`: those of `runs`; `ndata + ntable` is the number of frames with a reference or a pin, or waiting
in quarantine.

Locking: `lock` guards these books, and also every space and store over this memory. One lock, because a
fault, a copy-on-write, a clone and a truncation all touch several of them at once and in different orders.

Failure: `alloc` raises `LinuxError(ENOMEM)`; nothing else fails half-way.
"""

import errno
import os

import cython
from cython.cimports.axptr._core.phys.charges import FrameAccounts
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE, FRAME_OLD, FRAME_TABLE, FRAME_WAITING
from cython.cimports.axptr._core.phys.hostmem import lazy
from cython.cimports.axptr._core.phys.runs import RUN_FRAMES, in_a_run
from cython.cimports.axptr._core.words.codes import PAGE_SHIFT, PAGE_SIZE
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.posix.mman import munmap

from axptr._core.words.buffers import plain
from axptr.addr import PhysAddr, checked_address, checked_size
from axptr.errors import LinuxError
from axptr.weak import WeakSet, WeakTable

DEFAULT_SIZE = 64 << 30


@cython.final
@cython.cclass
class Held:
    """`with memory._held(): ...`: the lock of a memory, for several calls that must be one. Recursive.

    Compiled, so that no handler of a signal can raise between the taking of the lock and the block, or at its end.
    """

    memory: PhysMemory

    def __cinit__(self, memory: PhysMemory):
        self.memory = memory

    def __enter__(self):
        axptr_lock_gil(self.memory.lock)

    def __exit__(self, kind, error, trace):
        axptr_unlock(self.memory.lock)


# Not for the collector: the weak sets hold nobody, and a space that dies in a cycle with its memory still needs them to
# write files back. (So its base holds no objects.)
@cython.no_gc
@cython.cclass
class PhysMemory(FrameAccounts):
    """`size` bytes of physical memory (default 64 GiB of address, nothing resident).

    limit: at most so many bytes of frames, for data and page tables together, may be in use; past it `alloc`
    and every populate give `LinuxError(ENOMEM)`. `poison=True` fills freed frames with 0xDB, a debugging aid.

    `fd` is the memory file, -1 where the host gives none. Raises `ValueError` for a size that is no positive multiple of
    a page or holds more than 2**32 frames, `LinuxError(ENOMEM)` if the host cannot map it.
    """

    def __cinit__(self, size=None, *, limit=None, poison=None):
        nbytes = DEFAULT_SIZE if size is None else checked_size(size)
        if nbytes == 0 or nbytes % PAGE_SIZE or nbytes > (1 << 44) - PAGE_SIZE:
            raise ValueError(f"memory of {nbytes:#x} bytes: want a positive multiple of {PAGE_SIZE:#x} below 2**44")
        self.nframes = nbytes // PAGE_SIZE
        self.limit_frames = (
            self.nframes if limit is None else min(checked_size(limit, "limit") // PAGE_SIZE, self.nframes)
        )
        self.poison = bool(os.environ.get("AXPTR_POISON")) if poison is None else bool(poison)
        self.next_fresh = 1
        self.cache_limit = 16384
        self.fail_after = -1
        self.caches = WeakTable()
        self.spaces = WeakSet()  # and the views that show scattered frames: all with an `_after_fork`
        self.refs = cython.cast(cython.pointer(uint32_t), lazy(self.nframes * 4))
        self.pins = cython.cast(cython.pointer(uint32_t), lazy(self.nframes * 4))
        self.next_free = cython.cast(cython.pointer(uint32_t), lazy(self.nframes * 4))
        self.flags = cython.cast(cython.pointer(uint8_t), lazy(self.nframes))
        if not (self.refs and self.pins and self.next_free and self.flags):
            raise LinuxError(errno.ENOMEM, "the host has no room for the books of the frames")
        self.make_pieces()
        self.map_host(nbytes)

    def __dealloc__(self):
        give_up = self.shed  # a function, of C
        if self.shelf != cython.NULL:
            give_up(self, True)
        if self.refs:
            munmap(self.refs, self.nframes * 4)
        if self.pins:
            munmap(self.pins, self.nframes * 4)
        if self.next_free:
            munmap(self.next_free, self.nframes * 4)
        if self.flags:
            munmap(self.flags, self.nframes)

    # -- the books, without the GIL, lock held ------------------------------------------------------------

    def alloc_frame(self, table, zero):
        """A frame with one reference, zeroed if asked, or 0 if there is none."""
        pfn: uint64_t
        if not self.may_alloc():
            return 0
        if not self.cached_head and not self.clean_head and self.next_fresh == self.floor and not self.break_a_run():
            return 0
        if self.cached_head:
            pfn = self.cached_head
            self.cached_head = self.next_free[pfn]
            self.ncached -= 1
            if zero:
                memset(self.base + (pfn << PAGE_SHIFT), 0, PAGE_SIZE)
        elif self.clean_head:
            pfn = self.clean_head
            self.clean_head = self.next_free[pfn]
        else:
            pfn = self.next_fresh
            self.next_fresh += 1
        self.refs[pfn] = 1
        if table:
            self.flags[pfn] = FRAME_TABLE
            self.next_free[pfn] = 0
            self.ntable += 1
        else:
            self.flags[pfn] = 0
            self.ndata += 1
        self.count_in(pfn, 1)
        return pfn

    def may_alloc(self):
        """Whether one more frame is within the limit, and not to fail for a test."""
        if not self.has_room(1) or self.forked:
            return False
        if self.fail_after >= 0:
            if self.fail_after == 0:
                return False
            self.fail_after -= 1
        return True

    def has_room(self, count):
        """Whether so many more frames are within the limits, what is laid aside being given up for them."""
        if not self.may_charge(count):
            return False
        if self.ndata + self.ntable + count <= self.limit_frames:
            return True
        if self.nshelved == 0:
            return False
        self.shed(self, False)
        return self.ndata + self.ntable + count <= self.limit_frames

    def new_owner(self):
        """A number for one who wants runs, which is no page table's."""
        self.owners += 1
        return self.owners << 32

    def row_in_run(self, run, owner, index, count):
        """`count` data frames side by side in the owner's run, from number `index` on; 0 where one of them is not free, or
        they would not all be in it."""
        first: uint64_t
        if self.fail_after >= 0 or self.forked or not self.has_room(count):
            return 0
        first = self.take_row(run, owner, index, count)
        if first:
            self.ndata += count
            self.count_in(first, count)
        return first

    def alloc_in_a_row(self, count):
        """`count` data frames side by side that nobody ever had, each with one reference; 0 where single ones are to do:
        near the limit, and once a quarter of the memory was in use."""
        end: uint64_t = self.next_fresh + count
        if self.fail_after >= 0 or end > self.floor or end > self.nframes // 4:
            return 0
        return self.alloc_run(count, 1)

    def alloc_in_run(self, slot, zero):
        """A frame for the page of an entry of a last-level table, if possible that of its place in the table's run."""
        at: uint64_t = cython.cast(uint64_t, slot) - cython.cast(uint64_t, self.base)
        table: uint64_t = at >> PAGE_SHIFT
        # While a frame is held its place in `next_free` is not used: of a table, it is the run's number.
        return self.alloc_in(self.next_free + table, table, cython.cast(uint32_t, (at & (PAGE_SIZE - 1)) >> 3), zero)

    def used_in_run(self, slot):
        """How many frames of the run of that table are held; 0 where it has none."""
        table: uint64_t = (cython.cast(uint64_t, slot) - cython.cast(uint64_t, self.base)) >> PAGE_SHIFT
        run: uint32_t = self.next_free[table]
        return self.pieces[run].used if run and self.pieces[run].owner == table else 0

    def alloc_in(self, run, owner, index, zero):
        """A data frame with one reference, number `index` of the owner's run or from anywhere; 0 if there is none."""
        pfn: uint64_t
        if self.fail_after == 0 or self.forked or not self.has_room(1):
            return 0
        pfn = self.place_in_run(run, owner, index)
        if pfn == 0:
            return self.alloc_frame(False, zero)
        if self.fail_after > 0:
            self.fail_after -= 1
        if self.flags[pfn] & FRAME_OLD:
            self.pieces[pfn // RUN_FRAMES].old -= 1
            self.nold -= 1
            if zero:
                memset(self.base + (pfn << PAGE_SHIFT), 0, PAGE_SIZE)
        self.pieces[pfn // RUN_FRAMES].used += 1
        self.refs[pfn] = 1
        self.flags[pfn] = 0
        self.ndata += 1
        self.count_in(pfn, 1)
        return pfn

    def alloc_run(self, count, align):
        """`count` zeroed data frames side by side, the first a multiple of `align` frames, or 0."""
        pfn: uint64_t
        first: uint64_t
        if count > self.nframes or self.forked or not self.has_room(count):
            return 0
        if self.fail_after >= 0:
            if self.fail_after == 0:
                return 0
            self.fail_after -= 1
        first = (self.next_fresh + align - 1) // align * align
        if first + count <= self.floor:
            for pfn in range(self.next_fresh, first):
                self.next_free[pfn] = self.clean_head
                self.clean_head = cython.cast(uint32_t, pfn)
            self.next_fresh = first + count
        else:
            first = self.find_free_run(count, align)
            if first == 0:
                while self.break_a_run():
                    pass
                first = self.find_free_run(count, align)
            if first == 0:
                return 0
            memset(self.base + (first << PAGE_SHIFT), 0, count << PAGE_SHIFT)
        for pfn in range(first, first + count):
            self.refs[pfn] = 1
            self.flags[pfn] = 0
        self.ndata += count
        self.count_in(first, count)
        return first

    def incref(self, pfn):
        self.refs[pfn] += 1

    def decref(self, pfn):
        self.refs[pfn] -= 1
        if self.refs[pfn] == 0 and self.pins[pfn] == 0:
            self.release_frame(pfn)

    def pin_frame(self, pfn):
        if self.pins[pfn] == 0:
            self.npinned += 1
        self.pins[pfn] += 1

    def unpin_frame(self, pfn):
        self.pins[pfn] -= 1
        if self.pins[pfn] == 0:
            self.npinned -= 1
            if self.refs[pfn] == 0:
                self.release_frame(pfn)

    def next_pinned(self, first, last):
        if last[0] >= self.next_fresh and last[0] < self.floor:
            last[0] = self.floor
        while last[0] < self.nframes and self.pins[last[0]] == 0:
            last[0] += 1
            if last[0] == self.next_fresh:
                last[0] = self.floor
        first[0] = last[0]
        while last[0] < self.nframes and self.pins[last[0]]:
            last[0] += 1
        return first[0] < last[0]

    def release_frame(self, pfn):
        """Nobody holds this frame any more. An engine that runs may still have it cached: then it waits."""
        if self.flags[pfn] & FRAME_CODE:
            self.code_changed(pfn)
        if not self.quarantine_frame(pfn):
            self.free_frame(pfn)

    def free_frame(self, pfn):
        self.discharge(pfn)
        if self.flags[pfn] & FRAME_TABLE:
            self.ntable -= 1
        else:
            self.ndata -= 1
        self.flags[pfn] = 0
        self.reuse_frame(pfn)

    def reuse_frame(self, pfn):
        if self.poison:
            memset(self.base + (pfn << PAGE_SHIFT), 0xDB, PAGE_SIZE)
        if in_a_run(self, pfn):
            self.back_to_run(pfn)
            if self.nold > self.cache_limit:
                self.give_old_back(self.cache_limit // 2)
            return
        self.push_free(pfn, True)
        if self.ncached > self.cache_limit:
            self.trim(self.cache_limit // 2)

    def show_file(self, fd, offset, npages):
        """The number of the first of `npages` frames side by side that show a file's pages from `offset` on, copied when
        they are written: nobody gives up the reference that they have from here on. `LinuxError(ENOMEM)`, `OSError`."""
        first: uint64_t
        self.alive()
        axptr_lock_gil(self.lock)
        try:
            first = self.alloc_run(npages, 1)
            if first == 0:
                raise LinuxError(errno.ENOMEM, f"no frames left for {npages} pages of a file")
            self.show_file_at(first, npages, fd, offset)
        finally:
            axptr_unlock(self.lock)
        return first

    # -- for Python ---------------------------------------------------------------------------------------

    def alloc(self, npages=1, *, align=1):
        """`npages` zeroed frames side by side, the caller holding one reference to each; their `PhysAddr`.

        align: the first frame's number is a multiple of it (512 for a 2 MiB page). Raises `LinuxError(ENOMEM)`.
        """
        count = checked_size(npages, "npages")
        step = checked_size(align, "align")
        if count == 0 or step == 0:
            raise ValueError("a run of frames has at least one frame, and its alignment is at least one")
        if count >= self.nframes or step >= self.nframes:
            raise LinuxError(errno.ENOMEM, f"{count} frames do not fit in this memory")
        self.alive()
        pfn: uint64_t
        axptr_lock_gil(self.lock)
        if count == 1 and step == 1:
            pfn = self.alloc_frame(False, True)
        else:
            pfn = self.alloc_run(count, step)
        axptr_unlock(self.lock)
        if pfn == 0:
            raise LinuxError(errno.ENOMEM, f"no {count} frames left (limit {self.limit_frames} frames)")
        return PhysAddr(pfn << PAGE_SHIFT)

    def free(self, paddr, npages=1):
        """Give back one reference to each of `npages` frames at `paddr`.

        Raises `ValueError`, changing nothing, if a frame there has none.
        """
        first: uint64_t
        count: uint64_t
        first, count = self._frames_at(paddr, npages)
        pfn: uint64_t
        self.alive()
        axptr_lock_gil(self.lock)
        for pfn in range(first, first + count):
            if self.refs[pfn] == 0 or self.flags[pfn] & FRAME_TABLE:
                axptr_unlock(self.lock)
                raise ValueError(f"frame {pfn << PAGE_SHIFT:#x} is not allocated")
        for pfn in range(first, first + count):
            self.decref(pfn)
        axptr_unlock(self.lock)

    def _frames_at(self, paddr, npages):
        start = checked_address(paddr, "paddr")
        count = checked_size(npages, "npages")
        if start % PAGE_SIZE:
            raise ValueError(f"paddr {start:#x} is not a multiple of {PAGE_SIZE:#x}")
        if start // PAGE_SIZE + count > self.nframes:
            raise ValueError(f"{count} frames at {start:#x} do not lie in this memory")
        return start // PAGE_SIZE, count

    def _span(self, paddr, size):
        start = checked_address(paddr, "paddr")
        if start + size > self.size:
            raise ValueError(f"{size} bytes at {start:#x} do not lie in this memory")
        return start

    def read(self, paddr, size):
        """`size` bytes at `paddr`; `ValueError` outside the memory."""
        nbytes = checked_size(size)
        start: uint64_t = self._span(paddr, nbytes)
        self.alive()
        return cython.cast(cython.p_char, self.base)[start : start + nbytes]

    def write(self, paddr, data):
        """Store bytes at `paddr`. Code that an engine made of them is dropped.

        Raises `ValueError`, nothing stored, outside the memory or where a frame holds a page table.
        """
        blob = plain(data).tobytes()
        count: uint64_t = len(blob)
        start: uint64_t = self._span(paddr, len(blob))
        source: cython.p_char = blob
        pfn: uint64_t
        if count == 0:
            return
        self.alive()
        axptr_lock_gil(self.lock)
        for pfn in range(start >> PAGE_SHIFT, ((start + count - 1) >> PAGE_SHIFT) + 1):
            if self.flags[pfn] & FRAME_TABLE:
                axptr_unlock(self.lock)
                raise ValueError(f"frame {pfn << PAGE_SHIFT:#x} holds a page table")
        memcpy(self.base + start, source, count)
        for pfn in range(start >> PAGE_SHIFT, ((start + count - 1) >> PAGE_SHIFT) + 1):
            if self.flags[pfn] & FRAME_CODE:
                self.code_changed(pfn)
        axptr_unlock(self.lock)

    def refcount(self, paddr):
        """References held on the frame at `paddr`."""
        pfn: uint64_t = self._frames_at(paddr, 1)[0]
        return self.refs[pfn]

    def pincount(self, paddr):
        """Live views of the frame at `paddr`, and pages of linear areas that show it."""
        pfn: uint64_t = self._frames_at(paddr, 1)[0]
        return self.pins[pfn]

    @property
    def data_frames(self):
        """Frames in use for data."""
        return self.ndata - self.nshelved

    @property
    def table_frames(self):
        """Frames in use for page tables."""
        return self.ntable

    @property
    def frames_in_use(self):
        return self.ndata + self.ntable - self.nshelved

    @property
    def free_frames(self):
        """Frames that could still be had, for data or tables."""
        number: uint64_t = self.acting()
        free: uint64_t = min(self.limit_frames, self.nframes - 1) - min(self.limit_frames, self.frames_in_use)
        if number:
            limit: uint64_t = self.charges[number].limit
            return min(free, limit - min(limit, self.charges[number].used))
        return free

    @property
    def peak_frames(self):
        """The largest `frames_in_use` there has been."""
        return self.peak

    @property
    def pinned_frames(self):
        """Frames that a live view or a linear area shows."""
        return self.npinned

    def _set_limit(self, size):
        """Bytes of frames that may be in use from now on; those that are in use stay."""
        self.limit_frames = min(checked_size(size, "limit") // PAGE_SIZE, self.nframes)

    @property
    def limit(self):
        """Bytes of frames that may be in use."""
        return self.limit_frames * PAGE_SIZE

    def __reduce__(self):
        raise TypeError("a PhysMemory cannot be pickled: save a snapshot of a space instead")

    def __repr__(self):
        return f"<PhysMemory {self.size >> 20} MiB, {self.ndata} data and {self.ntable} table frames in use>"

    def _held(self):
        """The lock as a context, see `Held`. `RuntimeError` after a fork."""
        self.alive()
        return Held(self)

    def _inject_failure(self, after):
        """Tests: the allocation after the next `after` ones fails, and all that follow; None ends it."""
        self.fail_after = -1 if after is None else after

    def _check(self):
        """Raise `AssertionError` if an invariant of this module does not hold."""
        seen = bytearray(self.nframes)
        axptr_lock_gil(self.lock)
        try:
            cached = self._check_stack(self.cached_head, seen)
            clean = self._check_stack(self.clean_head, seen)
            if cached != self.ncached:
                raise AssertionError(f"{cached} frames are cached, counted {self.ncached}")
            self._check_held(cached + clean, self._check_runs())
            self._check_lists()
            self._check_accounts()
        finally:
            axptr_unlock(self.lock)

    def _check_held(self, free_frames, in_runs):
        """Every frame that was ever made is held, waits or is free, and is counted as what it is."""
        pfn: uint64_t
        tables: uint64_t = 0
        data: uint64_t = 0
        pinned: uint64_t = 0
        waiting: uint64_t = 0
        pfn = 0
        while pfn + 1 < self.nframes:
            pfn += 1
            if pfn == self.next_fresh and pfn < self.floor:
                pfn = self.floor - 1  # what lies between was never made
                continue
            pinned += self.pins[pfn] != 0
            if self.refs[pfn] == 0 and self.pins[pfn] == 0:
                if not self.flags[pfn] & FRAME_WAITING:
                    continue
                waiting += 1
            if self.flags[pfn] & FRAME_TABLE:
                tables += 1
            else:
                data += 1
        if (data, tables) != (self.ndata, self.ntable):
            raise AssertionError(f"{data} data and {tables} table frames, counted {self.ndata} and {self.ntable}")
        made: uint64_t = self.next_fresh - 1 + (self.nframes - self.floor)
        if data + tables + free_frames + in_runs != made:
            raise AssertionError(f"{made} frames made, {data + tables} in use, {free_frames} and {in_runs} free")
        if pinned != self.npinned:
            raise AssertionError(f"{pinned} frames are pinned, counted {self.npinned}")
        if waiting < self.nquarantine:
            raise AssertionError(f"{waiting} frames wait, {self.nquarantine} are noted")

    def _check_lists(self):
        """What is noted as waiting is marked so, and the peak is one."""
        i: uint64_t
        for i in range(self.quarantine_from, self.quarantine_from + self.nquarantine):
            if not self.flags[self.quarantine[i].pfn] & FRAME_WAITING:
                raise AssertionError(f"frame {self.quarantine[i].pfn:#x} is noted as waiting and does not")
        if self.peak < self.ndata + self.ntable - self.nshelved:
            raise AssertionError(f"{self.frames_in_use} frames in use, at most {self.peak} so far")

    def _spaces(self):
        """Those of `spaces` that live now. A weak set cannot be listed while another thread adds to it: then again."""
        while True:
            try:
                return list(self.spaces)
            except RuntimeError:
                pass


_default = None


def default_memory():
    """The process-wide memory that spaces use when they are given none; made at first use, anew after a fork."""
    global _default
    if _default is None:
        _default = PhysMemory()
    return _default


def _forget():
    global _default
    _default = None


os.register_at_fork(after_in_child=_forget)
