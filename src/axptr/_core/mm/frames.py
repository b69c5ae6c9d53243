"""Frame stores: the frames of something that several mappings may show, by page number; and `Backend`.

A `FrameStore` holds one reference to each of its frames. A page it lacks is supplied at first touch: zeroed, or
read from a file. A page of a file that was written through a shared mapping is marked until it is written back; the
mark stays while a mapping may still write unseen, so whoever clears it takes that right away first. `Backend` says
what stands behind an area, in the few fields that a fault without the GIL needs; its kinds with names and arguments
stand in `mm.backend`.

Not here: which areas show a store, and copy-on-write (`space`).

Locking: the lock of the PhysMemory. A file's page is read with that lock held.

Failure: a page past the store's limit, or a file page that cannot be read or lies wholly past the end of the file, is
FAULT_BACKING.
"""

import errno as codes
import os

import cython
from cython.cimports.axptr._core.mm.shelf import shelf_put, shelf_take
from cython.cimports.axptr._core.mm.store import (
    STORE_WRITTEN,
    store_fill,
    store_flush,
    store_free,
    store_get,
    store_put,
    store_read,
    store_slot,
    store_written,
)
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE, FRAME_TABLE
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.buffers import borrow
from cython.cimports.axptr._core.words.codes import (
    FAULT_NOMEM,
    FAULT_OK,
    KIND_ALLOC,
    KIND_MMIO,
    KIND_STORE,
    PAGE_SHIFT,
    PAGE_SIZE,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.cpython.buffer import PyBuffer_Release
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.posix.unistd import close

from axptr._core.host import hostcalls
from axptr.addr import checked_size
from axptr.errors import LinuxError

_getfl = cython.declare(cython.int, 3)  # F_GETFL of fcntl(2)
_NO_LIMIT = cython.declare(uint64_t, cython.cast(uint64_t, -1))


@cython.no_gc_clear
@cython.cclass
class FrameStore:
    """Frames by page number. `fd`: a file that supplies missing pages, duplicated; without one they are zero.

    label: what it is, for messages and `/proc/pid/maps`. limit: pages there can be.
    supplied: the file has so many bytes for pages that nobody has written yet, and nothing is ever written back to it:
    the store is memory that begins as a copy of the file, taken page by page when it is wanted.
    """

    def __cinit__(self, phys: PhysMemory, fd=None, label="", limit=None, *, supplied=None):
        self.phys = phys
        self.label = label
        self.device = self.inode = 0
        self.body.fd = self.body.out_fd = -1
        self.body.clock = 1
        self.body.limit = _NO_LIMIT if limit is None else checked_size(limit, "limit")
        self.body.memory = supplied is not None
        self.body.file_end = 0 if supplied is None else checked_size(supplied, "supplied")
        if fd is not None and (supplied is None or self.body.file_end):
            self.body.fd = os.dup(fd)

    def __dealloc__(self):
        i: uint64_t
        if self.phys is None:  # half-made: 0 in `fd` says nothing yet
            return
        if self.body.fd >= 0:
            close(self.body.fd)
        if self.body.out_fd >= 0:
            close(self.body.out_fd)
        if self.body.count and not self.phys.forked:
            axptr_lock_gil(self.phys.lock)
            if shelf_put(self.phys, cython.address(self.key), cython.address(self.body)):
                axptr_unlock(self.phys.lock)
                return
            for i in range(self.body.capacity):
                if self.body.pfns[i]:
                    self.phys.decref(self.body.pfns[i])
            axptr_unlock(self.phys.lock)
        store_free(cython.address(self.body))

    def _know(self, device, inode, size, changed, touched):
        """It is new, and this is what the host says of its file, whose times are old: it begins with what is laid aside of that,
        and may be laid aside itself, unless the file changes."""
        self.key.device, self.key.inode, self.key.size = device, inode, size
        self.key.changed, self.key.touched = changed, touched
        self.key.known = True
        axptr_lock_gil(self.phys.lock)
        shelf_take(self.phys, cython.address(self.key), cython.address(self.body))
        axptr_unlock(self.phys.lock)

    def writable_through(self, fd):
        """From now on pages are written back through (a duplicate of) this descriptor. Raises `OSError`."""
        self.key.known = False
        if self.body.out_fd >= 0:
            return
        if hostcalls.fcntl(fd, _getfl) & os.O_APPEND:
            # There pwrite(2) appends, whatever its offset (BUGS in its man page): open the file again.
            self.body.out_fd = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
        else:
            self.body.out_fd = os.dup(fd)

    def host_stamp(self):
        """Size and time of the last change of the file, as the host has them now."""
        status = os.fstat(self.body.fd)
        return status.st_size, status.st_mtime_ns

    def is_written(self, first, last):
        """Whether a page of [first, last] is to be written back."""
        axptr_lock_gil(self.phys.lock)
        found: cython.bint = store_written(cython.address(self.body), first, last)
        axptr_unlock(self.phys.lock)
        return found

    @property
    def descriptors(self):
        """The host's descriptors of the file, borrowed: to read, and to write back; -1 for none."""
        return self.body.fd, self.body.out_fd

    def take_date(self):
        """When a mapping last began to write to a page, in nanoseconds since 1970; 0 if none did since this was asked."""
        axptr_lock_gil(self.phys.lock)
        when: uint64_t = self.body.dated
        self.body.dated = 0
        axptr_unlock(self.phys.lock)
        return when

    @property
    def is_file(self):
        """Whether it is the cache of a file, to which it belongs what is written here."""
        return self.body.fd >= 0 and not self.body.memory

    @property
    def supplied(self):
        """How many bytes at its beginning a file supplies as long as nobody has written them; 0 without one."""
        return self.body.file_end if self.body.memory and self.body.fd >= 0 else 0

    @property
    def limit(self):
        """Pages there can be."""
        return self.body.limit

    @property
    def resident(self):
        """Pages that have a frame."""
        return self.body.count

    def frames(self):
        """Physical addresses of the frames held, one for each page; for tests and accounts."""
        i: uint64_t
        found = []
        axptr_lock_gil(self.phys.lock)  # a fault without the GIL may let the table grow
        try:
            for i in range(self.body.capacity):
                if self.body.pfns[i]:
                    found.append(int(self.body.pfns[i]) << PAGE_SHIFT)
        finally:
            axptr_unlock(self.phys.lock)
        return found

    def pages(self, *, written=False):
        """Numbers of the pages that have a frame, in order; `written`: only those that are to be written back."""
        i: uint64_t
        found = []
        axptr_lock_gil(self.phys.lock)
        try:
            for i in range(self.body.capacity):
                if self.body.pfns[i] and (not written or self.body.marks[i] & STORE_WRITTEN):
                    found.append(self.body.keys[i] - 1)
        finally:
            axptr_unlock(self.phys.lock)
        found.sort()
        return found

    def peek(self, page):
        """The bytes of a page that has a frame, or None. Brings nothing in."""
        number: uint64_t = page
        found = None
        axptr_lock_gil(self.phys.lock)
        pfn: uint64_t = store_get(cython.address(self.body), number)
        if pfn:
            found = cython.cast(cython.p_char, self.phys.base + (pfn << PAGE_SHIFT))[:PAGE_SIZE]
        axptr_unlock(self.phys.lock)
        return found

    def poke(self, page, at, data):
        """Put bytes into a page that has a frame, at byte `at` of it; whether it has one. For writes that reached the file."""
        number: uint64_t = page
        into: uint64_t = at
        view: Py_buffer
        pfn: uint64_t
        self.phys.alive()
        borrow(data, cython.address(view), False)
        axptr_lock_gil(self.phys.lock)
        self.key.known = False
        pfn = store_get(cython.address(self.body), number)
        if pfn and into + view.len <= PAGE_SIZE:
            memcpy(self.phys.base + (pfn << PAGE_SHIFT) + into, view.buf, view.len)
            self.body.stamps[store_slot(cython.address(self.body), number)] = self.body.clock
            if self.phys.flags[pfn] & FRAME_CODE:
                self.phys.code_changed(pfn)
        axptr_unlock(self.phys.lock)
        PyBuffer_Release(cython.address(view))
        return pfn != 0

    def fill(self, page):
        """Bring a page in. Raises `LinuxError`: ENOMEM, or EFAULT where nothing supplies it."""
        number: uint64_t = page
        pfn: uint64_t = 0
        self.phys.alive()
        axptr_lock_gil(self.phys.lock)
        code: cython.int = store_fill(cython.address(self.body), self.phys, number, cython.address(pfn))
        axptr_unlock(self.phys.lock)
        if code != FAULT_OK:
            raise LinuxError(codes.ENOMEM if code == FAULT_NOMEM else codes.EFAULT, f"no page {page} of {self.label}")

    def forget(self, first, last=None):
        """Give up the frames of pages [first, last]; mappings that show them keep them."""
        i: uint64_t
        low: uint64_t = first
        high: uint64_t = _NO_LIMIT if last is None else last
        self.phys.alive()
        axptr_lock_gil(self.phys.lock)
        for i in range(self.body.capacity):
            if self.body.pfns[i] == 0 or not low <= self.body.keys[i] - 1 <= high:
                continue
            self.phys.decref(self.body.pfns[i])
            self.body.pfns[i] = 0
            self.body.count -= 1
        axptr_unlock(self.phys.lock)

    def reload(self):
        """The file was changed by others: read the pages again, in place, but for those not yet written back.

        What lies past its end now is given up; mappings that show it keep it.
        """
        i: uint64_t
        page: uint64_t
        self.phys.alive()
        axptr_lock_gil(self.phys.lock)
        self.key.known = False
        for i in range(self.body.capacity):
            if self.body.pfns[i] == 0 or self.body.marks[i] & STORE_WRITTEN:
                continue
            page = self.body.keys[i] - 1
            if store_read(cython.address(self.body), self.phys, page, self.body.pfns[i]):
                if self.phys.flags[self.body.pfns[i]] & FRAME_CODE:
                    self.phys.code_changed(self.body.pfns[i])
            else:
                self.phys.decref(self.body.pfns[i])
                self.body.pfns[i] = 0
                self.body.count -= 1
        axptr_unlock(self.phys.lock)

    def flush(self, first=0, last=None, *, clear=True):
        """Write back what was written to pages [first, last], never past the end of the file. Raises `LinuxError`.

        clear: every mapping has lost the right to write unseen before.
        """
        low: uint64_t = first
        high: uint64_t = _NO_LIMIT if last is None else last
        self.phys.alive()
        axptr_lock_gil(self.phys.lock)
        failed: cython.int = store_flush(cython.address(self.body), self.phys, low, high, clear)
        axptr_unlock(self.phys.lock)
        if failed:
            raise LinuxError(failed, os.strerror(failed))

    def _check(self):
        """Raise `AssertionError` if an invariant of this store does not hold."""
        i: uint64_t
        at: uint64_t
        used: uint64_t = 0
        count: uint64_t = 0
        pfn: uint64_t
        shown = set()
        axptr_lock_gil(self.phys.lock)
        try:
            for i in range(self.body.capacity):
                pfn = self.body.pfns[i]
                if self.body.keys[i] == 0:
                    if pfn:
                        raise AssertionError(f"slot {i} has frame {pfn:#x} and no page")
                    continue
                used += 1
                at = store_slot(cython.address(self.body), self.body.keys[i] - 1)
                if at != i:
                    raise AssertionError(f"page {self.body.keys[i] - 1} stands in slot {i} and is found in slot {at}")
                if pfn == 0:
                    continue
                count += 1
                if pfn in shown or self.phys.refs[pfn] == 0 or self.phys.flags[pfn] & FRAME_TABLE:
                    raise AssertionError(f"frame {pfn:#x} of page {self.body.keys[i] - 1} is not the store's to show")
                shown.add(pfn)
                if self.body.keys[i] - 1 >= self.body.limit:
                    raise AssertionError(f"page {self.body.keys[i] - 1} is past the limit of {self.body.limit}")
                if self.body.stamps[i] > self.body.clock:
                    raise AssertionError(f"page {self.body.keys[i] - 1} was changed after now")
                if self.body.marks[i] & STORE_WRITTEN and self.body.fd < 0:
                    raise AssertionError(f"page {self.body.keys[i] - 1} is to be written to no file")
            if (used, count) != (self.body.used, self.body.count):
                raise AssertionError(f"{used} keys and {count} pages, noted {self.body.used} and {self.body.count}")
            if self.body.capacity & (self.body.capacity - 1) or self.body.used * 2 > self.body.capacity:
                raise AssertionError(f"{self.body.used} keys in {self.body.capacity} slots")
        finally:
            axptr_unlock(self.phys.lock)

    # -- for snapshots -----------------------------------------------------------------------------------------

    def put_copy(self, page, source):
        """A frame of its own for a page, with the bytes at host address `source`. FAULT_OK or FAULT_NOMEM."""
        self.key.known = False
        fresh: uint64_t = self.phys.alloc_frame(False, False)
        if fresh == 0:
            return FAULT_NOMEM
        memcpy(self.phys.base + (fresh << PAGE_SHIFT), cython.cast(cython.p_void, source), PAGE_SIZE)
        if store_put(cython.address(self.body), page, fresh) < 0:
            self.phys.decref(fresh)
            return FAULT_NOMEM
        return FAULT_OK

    def capture(self):
        """`(copy, moment)`: a store with copies of all frames, and what `revert` needs to know what changed since.

        The caller takes from every mapping the right to write unseen, before. Raises `LinuxError(ENOMEM)`.
        """
        i: uint64_t
        code: cython.int = FAULT_OK
        page: uint64_t
        pfn: uint64_t = 0
        copy: FrameStore = FrameStore(self.phys, None, self.label, self.body.limit)
        axptr_lock_gil(self.phys.lock)
        for page in range((self.supplied + (PAGE_SIZE - 1)) >> PAGE_SHIFT):  # the copy has no file to supply them
            code = store_fill(cython.address(self.body), self.phys, page, cython.address(pfn))
            if code != FAULT_OK:
                break
        for i in range(self.body.capacity if code == FAULT_OK else 0):
            if self.body.pfns[i]:
                code = copy.put_copy(
                    self.body.keys[i] - 1,
                    cython.cast(uint64_t, self.phys.base) + (cython.cast(uint64_t, self.body.pfns[i]) << PAGE_SHIFT),
                )
                if code != FAULT_OK:
                    break
        if code == FAULT_OK:
            self.body.clock += 1
            # What a live view shows may change unseen from here on, and the view be gone when `revert` looks.
            for i in range(self.body.capacity):
                if self.body.pfns[i] and self.phys.pins[self.body.pfns[i]]:
                    self.body.stamps[i] = self.body.clock
        moment = self.body.clock
        axptr_unlock(self.phys.lock)
        if code != FAULT_OK:
            raise LinuxError(codes.ENOMEM, f"no frames left to keep the pages of {self.label or 'shared memory'}")
        return copy, moment

    def revert(self, copy: "FrameStore", moment):
        """Give every page that changed since a capture its bytes of then, in place: all mappings see it.

        `LinuxError(ENOMEM)` if there is no frame for one that was given up since.
        """
        i: uint64_t
        code: cython.int = FAULT_OK
        old: uint64_t
        since: uint32_t = moment
        self.phys.alive()
        axptr_lock_gil(self.phys.lock)
        self.key.known = False
        for i in range(self.body.capacity):
            if self.body.pfns[i] == 0 or (self.body.stamps[i] < since and self.phys.pins[self.body.pfns[i]] == 0):
                continue
            old = store_get(cython.address(copy.body), self.body.keys[i] - 1)
            if old:
                memcpy(
                    self.phys.base + (cython.cast(uint64_t, self.body.pfns[i]) << PAGE_SHIFT),
                    self.phys.base + (old << PAGE_SHIFT),
                    PAGE_SIZE,
                )
            else:
                memset(self.phys.base + (cython.cast(uint64_t, self.body.pfns[i]) << PAGE_SHIFT), 0, PAGE_SIZE)
            self.body.stamps[i] = self.body.clock
            if self.phys.flags[self.body.pfns[i]] & FRAME_CODE:
                self.phys.code_changed(self.body.pfns[i])
        for i in range(copy.body.capacity):
            if copy.body.pfns[i] and store_get(cython.address(self.body), copy.body.keys[i] - 1) == 0:
                code = self.put_copy(
                    copy.body.keys[i] - 1,
                    cython.cast(uint64_t, self.phys.base) + (cython.cast(uint64_t, copy.body.pfns[i]) << PAGE_SHIFT),
                )
                if code != FAULT_OK:
                    break
        self.body.limit = copy.body.limit
        axptr_unlock(self.phys.lock)
        if code != FAULT_OK:
            raise LinuxError(codes.ENOMEM, f"no frames left to restore the pages of {self.label or 'shared memory'}")


@cython.no_gc_clear  # records of areas point into its store as long as they hold it
@cython.cclass
class Backend:
    """What supplies the pages of an area. Immutable; several areas may name the same one."""

    kind_name = "backend"

    def __cinit__(self, *args, **kwargs):
        self.kind = 0

    def _set(self, kind, *, shared=False, sealed=False, offset=0, store=None):
        if (kind == KIND_STORE) != (store is not None) or not KIND_ALLOC <= kind <= KIND_MMIO:
            raise ValueError(f"no such kind of backend: {kind}")
        self.kind = kind
        self.shared = shared
        self.sealed = sealed
        self.offset = offset
        self.store = store
