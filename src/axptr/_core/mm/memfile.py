"""Memory that is a file: the pages of a file that lives here, by number, read and written by calls and shown by mappings.

A `FrameStore` whose contents are its own. Pages that nobody has written are zero, or what another file supplies
(`supplied` bytes of it), which is read page by page when it is wanted and never written to. How long the file is its
owner knows; here is only how many pages there can be.

Not here: taking pages from mappings when the file is cut (`SpaceCore._drop_store`).

Locking: the lock of the PhysMemory, held while bytes are copied.
"""

import errno as codes
import os

import cython
from cython.cimports.axptr._core.mm.frames import FrameStore
from cython.cimports.axptr._core.mm.sharing import store_own
from cython.cimports.axptr._core.mm.store import STORE_SHARED, store_fill, store_get, store_slot, store_supplied
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE
from cython.cimports.axptr._core.words.buffers import borrow
from cython.cimports.axptr._core.words.codes import FAULT_NOMEM, FAULT_OK, PAGE_SHIFT, PAGE_SIZE
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.cpython.buffer import PyBuffer_Release
from cython.cimports.libc.errno import EINTR, errno
from cython.cimports.libc.stdint import uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.posix.unistd import pread

from axptr.addr import checked_size
from axptr.errors import LinuxError


@cython.no_gc_clear
@cython.cclass
class MemoryFile(FrameStore):
    """The contents of a file in memory. `MemoryFile(phys, fd, label, limit, supplied=bytes)`; without `fd` it is empty."""

    def __cinit__(self, *args, **kwargs):
        self.body.memory = True

    def resize(self, size):
        """The file has so many bytes from now on: pages beyond are given up, and what is beyond in its last page is zero.

        Mappings that show pages beyond are the caller's affair. `LinuxError(ENOMEM)` if the last page is another
        store's too, and there is no frame for it; nothing has changed then."""
        i: uint64_t
        code: cython.int = FAULT_OK
        end: uint64_t = size
        last: uint64_t = end >> PAGE_SHIFT
        self.phys.alive()
        axptr_lock_gil(self.phys.lock)
        if end & (PAGE_SIZE - 1) and store_get(cython.address(self.body), last):
            i = store_slot(cython.address(self.body), last)
            if self.body.marks[i] & STORE_SHARED:
                code = store_own(cython.address(self.body), self.phys, i)
        for i in range(self.body.capacity if code == FAULT_OK else 0):
            if self.body.pfns[i] == 0 or self.body.keys[i] - 1 < last:
                continue
            if self.body.keys[i] - 1 == last and end & (PAGE_SIZE - 1):
                memset(
                    self.phys.base + (cython.cast(uint64_t, self.body.pfns[i]) << PAGE_SHIFT) + (end & (PAGE_SIZE - 1)),
                    0,
                    PAGE_SIZE - (end & (PAGE_SIZE - 1)),
                )
                self.body.stamps[i] = self.body.clock
                continue
            self.phys.decref(self.body.pfns[i])
            self.body.pfns[i] = 0
            self.body.count -= 1
        if code == FAULT_OK:
            self.body.limit = (end + (PAGE_SIZE - 1)) >> PAGE_SHIFT
            if self.body.file_end > end:
                self.body.file_end = end
        axptr_unlock(self.phys.lock)
        if code != FAULT_OK:
            raise LinuxError(codes.ENOMEM, f"no page of {self.label}")

    def grow(self, old, size):
        """The file had `old` bytes and has `size` now: what mappings wrote behind its end is zero."""
        self.resize(old)
        self.body.limit = (checked_size(size, "size") + (PAGE_SIZE - 1)) >> PAGE_SHIFT

    def read_into(self, offset, view):
        """Fill a writable buffer with the bytes from `offset` on; what nobody wrote and no file supplies is zero.

        Brings nothing in. Raises `OSError` if the file cannot be read.
        """
        at: uint64_t = offset
        done: uint64_t = 0
        count: uint64_t
        have: uint64_t
        pfn: uint64_t
        got: cython.Py_ssize_t
        failed: cython.int = 0
        buffer: Py_buffer
        self.phys.alive()
        borrow(view, cython.address(buffer), True)
        total: uint64_t = buffer.len
        into: cython.p_char = cython.cast(cython.p_char, buffer.buf)
        axptr_lock_gil(self.phys.lock)
        while done < total:
            count = PAGE_SIZE - (at & (PAGE_SIZE - 1))
            if count > total - done:
                count = total - done
            pfn = store_get(cython.address(self.body), at >> PAGE_SHIFT)
            if pfn:
                memcpy(into + done, self.phys.base + (pfn << PAGE_SHIFT) + (at & (PAGE_SIZE - 1)), count)
            else:
                memset(into + done, 0, count)
                have = store_supplied(cython.address(self.body), at >> PAGE_SHIFT)
                have = have - (at & (PAGE_SIZE - 1)) if have > (at & (PAGE_SIZE - 1)) else 0
                if have > count:
                    have = count
                while have:
                    got = pread(self.body.fd, into + done, have, at)
                    if got < 0 and errno == EINTR:
                        continue
                    if got < 0:
                        failed = errno
                    break
            if failed:
                break
            at += count
            done += count
        axptr_unlock(self.phys.lock)
        PyBuffer_Release(cython.address(buffer))
        if failed:
            raise LinuxError(failed, os.strerror(failed))

    def write(self, offset, data):
        """Put bytes at `offset`, within the limit; how many, which is fewer than all only if frames ran out. ENOMEM for none."""
        i: uint64_t
        at: uint64_t = offset
        done: uint64_t = 0
        count: uint64_t
        pfn: uint64_t = 0
        code: cython.int = FAULT_OK
        view: Py_buffer
        self.phys.alive()
        borrow(data, cython.address(view), False)
        total: uint64_t = view.len
        source: cython.p_char = cython.cast(cython.p_char, view.buf)
        axptr_lock_gil(self.phys.lock)
        while done < total:
            count = PAGE_SIZE - (at & (PAGE_SIZE - 1))
            if count > total - done:
                count = total - done
            code = store_fill(cython.address(self.body), self.phys, at >> PAGE_SHIFT, cython.address(pfn))
            if code != FAULT_OK:
                break
            i = store_slot(cython.address(self.body), at >> PAGE_SHIFT)
            if self.body.marks[i] & STORE_SHARED:
                code = store_own(cython.address(self.body), self.phys, i)
                if code != FAULT_OK:
                    break
                pfn = self.body.pfns[i]
            memcpy(self.phys.base + (pfn << PAGE_SHIFT) + (at & (PAGE_SIZE - 1)), source + done, count)
            self.body.stamps[i] = self.body.clock
            if self.phys.flags[pfn] & FRAME_CODE:
                self.phys.code_changed(pfn)
            at += count
            done += count
        axptr_unlock(self.phys.lock)
        PyBuffer_Release(cython.address(view))
        if code != FAULT_OK and not done:
            raise LinuxError(codes.ENOMEM if code == FAULT_NOMEM else codes.EFAULT, f"no page of {self.label}")
        return done

    def punch(self, first, last):
        """Make pages [first, last] zero: given up where nobody else shows them, else in place. Raises `LinuxError(ENOMEM)`."""
        i: uint64_t
        page: uint64_t
        low: uint64_t = first
        high: uint64_t = last
        pfn: uint64_t = 0
        code: cython.int = FAULT_OK
        self.phys.alive()
        axptr_lock_gil(self.phys.lock)
        for i in range(self.body.capacity):
            if self.body.pfns[i] == 0 or not low <= self.body.keys[i] - 1 <= high:
                continue
            pfn = self.body.pfns[i]
            shared: cython.bint = self.body.marks[i] & STORE_SHARED
            if (shared or self.phys.refs[pfn] == 1) and store_supplied(
                cython.address(self.body), self.body.keys[i] - 1
            ) == 0:
                self.phys.decref(pfn)
                self.body.pfns[i] = 0
                self.body.count -= 1
                continue
            if shared:
                code = store_own(cython.address(self.body), self.phys, i)
                if code != FAULT_OK:
                    break
                pfn = self.body.pfns[i]
            memset(self.phys.base + (pfn << PAGE_SHIFT), 0, PAGE_SIZE)
            self.body.stamps[i] = self.body.clock
            if self.phys.flags[pfn] & FRAME_CODE:
                self.phys.code_changed(pfn)
        page = low
        while code == FAULT_OK and page <= high and store_supplied(cython.address(self.body), page):
            if store_get(cython.address(self.body), page) == 0:
                code = store_fill(cython.address(self.body), self.phys, page, cython.address(pfn))
                if code != FAULT_OK:
                    break
                memset(self.phys.base + (pfn << PAGE_SHIFT), 0, PAGE_SIZE)
            page += 1
        axptr_unlock(self.phys.lock)
        if code != FAULT_OK:
            raise LinuxError(codes.ENOMEM, f"no frames left for {self.label}")
