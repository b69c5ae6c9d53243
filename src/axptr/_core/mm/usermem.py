"""A space as the `UserMemory` of pointers and kernels: checked access from Python, pagers and devices served.

`UserSpace` puts `Transfer`'s codes into words and exceptions. Where an area's pages come from a user's function, it
asks for them with no lock held and goes on; where a device stands behind an area, it has the device answer.

Not here: the checks and copies themselves (`transfer`), whom a pager or device is asked of (`mm.pager`), changing areas
(`space`).

Failure: as `transfer`; `UserFault` says why, `LinuxError(ENOMEM)` when frames or host memory run out.
"""

import errno

import cython
from cython.cimports.axptr._core.mm.transfer import Transfer
from cython.cimports.axptr._core.mm.usermem import axptr_bytes_of, axptr_grow, axptr_room
from cython.cimports.axptr._core.phys.hostmem import MADV_POPULATE_WRITE
from cython.cimports.axptr._core.words.buffers import borrow
from cython.cimports.axptr._core.words.codes import (
    ACCESS,
    EXECUTE,
    FAULT_MISALIGNED,
    FAULT_NOMEM,
    FAULT_NOT_MEMORY,
    FAULT_OK,
    FAULT_PROTECTION,
    FAULT_PYTHON,
    FAULT_RANGE,
    FAULT_TOOLONG,
    GROWN_AT_ONCE,
    IN_PAGE,
    PAGE_SHIFT,
    PAGE_SIZE,
    READ,
    WRITE,
)
from cython.cimports.axptr._core.words.lock import (
    axptr_lock_gil,
    axptr_lock_nogil,
    axptr_share,
    axptr_unlock,
    axptr_unshare,
)
from cython.cimports.cpython.buffer import PyBuffer_Release
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_XDECREF
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy
from cython.cimports.posix.mman import madvise

from axptr._core.mm.provider import is_accessing_user_memory
from axptr._core.words.budget import require_room
from axptr.addr import (
    ADDRESS_END,
    VirtAddrRange,
    checked_address,
    checked_size,
)
from axptr.errors import KernelFault, LinuxError, UserFault
from axptr.flags import MappingFlags

_LEAST_TOUCHED = cython.declare(uint64_t, 16 << PAGE_SHIFT)
_MOST_TOUCHED = cython.declare(uint64_t, 512 << PAGE_SHIFT)
_NO_LIMIT = cython.declare(uint64_t, cython.cast(uint64_t, -1))


@cython.no_gc_clear
@cython.cclass
class UserSpace(Transfer):
    # -- with user functions (pagers, devices) behind areas ---------------------------------------------------

    def moved(self, vaddr, buffer, size, align, access):
        """All of a copy, or an exception. What a pager must supply is asked for with no lock held, then it goes on."""
        bad: uint64_t = 0
        done: uint64_t = 0
        code: cython.int
        while True:
            axptr_lock_gil(self.lock)
            code = self.move(
                vaddr + done, buffer + done, size - done, 1 if done else align, access, cython.address(bad)
            )
            axptr_unlock(self.lock)
            if code == FAULT_OK:
                return 0
            if code == FAULT_PYTHON:
                self.supply_from(bad, access, vaddr, size)
                if access == READ:
                    done = bad - vaddr  # what was read so far need not be read again
            elif code == FAULT_NOT_MEMORY:
                # By way of a copy: user functions, and tracebacks that live on, must not see host memory of ours.
                middle: bytearray = bytearray(cython.cast(cython.p_char, buffer)[:size])
                self._device_move(vaddr, middle, access)
                if access == READ:
                    memcpy(buffer, cython.cast(cython.p_char, middle), size)
                return 0
            else:
                self.fail(code, bad, access, size, bad - vaddr)

    def supply_from(self, bad, access, vaddr, size):
        """Have pagers supply the page of `bad`, where the access of [vaddr, vaddr + size) stopped, and those after it.

        One after the other, so that the access need not begin anew for each. What else is wrong it finds out itself.
        """
        at: uint64_t = bad
        end: uint64_t = vaddr + (size - 1)
        code: cython.int
        while True:
            self._page_in(at, access, size, at - vaddr)
            if (at >> PAGE_SHIFT) == (end >> PAGE_SHIFT):
                return 0
            at = (at | IN_PAGE) + 1
            axptr_lock_gil(self.lock)
            code = self.demand(at, end - at + 1, 1, access, cython.address(at))
            axptr_unlock(self.lock)
            if code != FAULT_PYTHON:
                return 0

    def supply_scan(self, bad, vaddr, size, access, limit, length):
        """The same for a scan from `vaddr` that stopped at `bad` after `length` elements."""
        at: uint64_t = vaddr
        stop: uint64_t = bad
        seen: uint64_t = length
        left: uint64_t = limit
        while True:
            try:
                self._page_in(stop, access, stop - vaddr + 1, stop - vaddr)
            except UserFault as fault:
                fault.is_text = True
                raise
            at += seen * size
            left -= seen
            axptr_lock_gil(self.lock)
            code: cython.int = self.scan(at, size, 1, access, left, cython.address(seen), cython.address(stop))
            axptr_unlock(self.lock)
            if code != FAULT_PYTHON:
                return 0

    def device_piece(self, vaddr, buffer, size, access):
        """What the device at `vaddr` answers of a copy of at most a page; bytes done, 0 if there is none any more."""
        count: uint64_t
        if size > 8 and size > PAGE_SIZE - (vaddr & IN_PAGE):
            size = PAGE_SIZE - (vaddr & IN_PAGE)
        middle: bytearray = bytearray(cython.cast(cython.p_char, buffer)[:size])
        count = self._device_piece(vaddr, middle, access)
        if access == READ:
            memcpy(buffer, cython.cast(cython.p_char, middle), count)
        return count

    def require(self, vaddr, size, align, access):
        """Aligned, and every byte granted; brings nothing in."""
        bad: uint64_t = vaddr
        code: cython.int = FAULT_MISALIGNED
        if not vaddr & (align - 1):
            axptr_lock_gil(self.lock)
            code = self.check_span(vaddr, size, access, cython.address(bad))
            axptr_unlock(self.lock)
        if code != FAULT_OK:
            self.fail(code, bad, access, size, bad - vaddr)
        return 0

    # -- for `check` and for pointers over any provider --------------------------------------------------------

    def _demand(self, vaddr, nbytes, align, access):
        """`check_region`: raises `UserFault`, or what populating raises."""
        at: uint64_t = vaddr
        size: uint64_t
        bad: uint64_t = 0
        code: cython.int
        wanted: cython.int = int(access)
        if nbytes > 0xFFFF_FFFF_FFFF_FFFF:
            raise self._make_fault(FAULT_RANGE, vaddr, wanted, nbytes, 0)
        size = nbytes
        while True:
            axptr_lock_gil(self.lock)
            try:
                if (
                    wanted & ~ACCESS
                    and not vaddr & (align - 1)
                    and self.check_span(at, size, wanted & ACCESS, cython.address(bad)) == FAULT_OK
                ):
                    self._demand_memory_flags(vaddr, nbytes, wanted)
                code = self.demand(at, size, align, wanted & ACCESS, cython.address(bad))
            finally:
                axptr_unlock(self.lock)
            if code != FAULT_PYTHON:
                break
            self.supply_from(bad, wanted & ACCESS, at, size)
        if code != FAULT_OK:
            self.fail(code, bad, wanted, size, bad - at)

    def _demand_memory_flags(self, vaddr, nbytes, wanted):
        for area in self._all_areas():
            if area[0] < vaddr + nbytes and area[1] > vaddr and area[2] & wanted & ~ACCESS != wanted & ~ACCESS:
                bad = max(vaddr, area[0])
                raise self._make_fault(FAULT_PROTECTION, bad, wanted, nbytes, bad - vaddr)

    def _load(self, vaddr, nbytes, align):
        """Bytes at `vaddr`, all or a `UserFault`."""
        if nbytes > 0xFFFF_FFFF_FFFF_FFFF:
            raise self._make_fault(FAULT_RANGE, vaddr, READ, nbytes, 0)
        return self.load(vaddr, nbytes, align, False)

    def load(self, vaddr, size, align, mutable):
        """`size` bytes as `bytes`, or as a `bytearray` if `mutable`; all or a `UserFault`.

        Nothing is allocated before the range has passed the check, and a large result grows as it is read.
        """
        made: cython.pointer(PyObject) = cython.NULL
        done: uint64_t = 0
        room: uint64_t = size if size < GROWN_AT_ONCE else GROWN_AT_ONCE
        if size > PAGE_SIZE:
            self.require(vaddr, size, align, READ)
        try:
            if size > room:
                require_room(size)
            made = axptr_room(mutable, room)
            while True:
                self.moved(vaddr + done, axptr_bytes_of(made) + done, room - done, 1 if done else align, READ)
                done = room
                if done == size:
                    return cython.cast(object, made)
                room = size if size - done < done else 2 * done
                axptr_grow(cython.address(made), room)
        except (MemoryError, OverflowError):
            raise LinuxError(errno.ENOMEM, f"the host has no room for {size} bytes") from None
        except UserFault as fault:
            fault.completed, fault.size = fault.address - vaddr, size
            raise
        finally:
            Py_XDECREF(made)

    def _store(self, vaddr, data, align):
        """Store all of a buffer, or a `UserFault`."""
        view: Py_buffer
        borrow(data, cython.address(view), False)
        try:
            self.moved(vaddr, cython.cast(cython.pointer(uint8_t), view.buf), view.len, align, WRITE)
        finally:
            PyBuffer_Release(cython.address(view))

    def _scan(self, vaddr, size, align, access, limit):
        """Elements before the terminator; ENAMETOOLONG past `limit` of them."""
        at: uint64_t = vaddr
        most: uint64_t = _NO_LIMIT if limit is None or limit > 0xFFFF_FFFF_FFFF_FFFE else limit
        length: uint64_t = 0
        bad: uint64_t = 0
        code: cython.int
        while True:
            axptr_lock_gil(self.lock)
            code = self.scan(at, size, align, int(access), most, cython.address(length), cython.address(bad))
            axptr_unlock(self.lock)
            if code != FAULT_PYTHON:
                break
            self.supply_scan(bad, at, size, int(access), most, length)
        if code != FAULT_OK:
            self.fail_scan(code, at, size, int(access), length, bad)
        return length

    def fail_scan(self, code, vaddr, size, access, length, bad):
        if code == FAULT_TOOLONG:
            raise LinuxError(errno.ENAMETOOLONG, f"no terminator in the first {length} elements at {vaddr:#x}")
        try:
            self.fail(code, bad, access, bad - vaddr + 1, bad - vaddr)
        except UserFault as fault:
            fault.is_text = True
            raise
        return 0

    # -- the UserMemory interface ----------------------------------------------------------------------------

    def _permits(self, vaddr: uint64_t, size: uint64_t, access: cython.int):
        """`check_region_access` of plain numbers, for READ, WRITE and EXECUTE: no object is made for the question."""
        bad: uint64_t = 0
        code: cython.int
        if size == 0:
            return True
        axptr_lock_gil(self.lock)
        code = self.check_span(vaddr, size, access & ACCESS, cython.address(bad))
        axptr_unlock(self.lock)
        return code == FAULT_OK

    def check_region_access(self, range, flags):
        """Whether every byte of the `VirtAddrRange` is in an area that has all of `flags`. Populates nothing.

        An empty range is fine, mapped or not. An area that can grow down counts as far as it can grow. On
        formats where WRITE grants READ, it does here. O(log n).
        """
        if not isinstance(range, VirtAddrRange):
            raise TypeError(f"want a VirtAddrRange, not {type(range).__name__}")
        vaddr: uint64_t = range.start
        bad: uint64_t = 0
        code: cython.int
        size = range.end - range.start
        wanted: uint32_t = flags if type(flags) is MappingFlags else MappingFlags(flags)
        if size == 0:
            return True
        if size > 0xFFFF_FFFF_FFFF_FFFF:
            return False
        axptr_lock_gil(self.lock)
        code = self.check_span(vaddr, size, wanted & ACCESS, cython.address(bad))
        axptr_unlock(self.lock)
        if code == FAULT_OK and wanted & ~ACCESS:
            return self._has_memory_flags(range, wanted)
        return code == FAULT_OK

    def _has_memory_flags(self, range, wanted):
        return all(
            area[2] & wanted & ~ACCESS == wanted & ~ACCESS
            for area in self._all_areas()
            if area[0] < range.end and area[1] > range.start
        )

    def populate_area(self, start, size, access):
        """Bring in every page of `size` bytes at `start` for `access` (WRITE breaks copy-on-write).

        Raises `UserFault` where an area is missing or does not grant it, `LinuxError(ENOMEM)` when frames run
        out; the pages done before stay. A size of 0 does nothing.
        """
        low = checked_address(start, "start")
        nbytes = checked_size(size)
        wanted: cython.int = int(MappingFlags(access))
        at: uint64_t
        end: uint64_t
        host: cython.pointer(uint8_t)
        slot: cython.pointer(uint64_t)
        code: cython.int = FAULT_OK
        unused: uint64_t = self.phys.next_fresh
        run: cython.pointer(uint8_t) = cython.NULL  # frames side by side that were brought in last, and their bytes
        length: uint64_t = 0
        if nbytes == 0:
            return
        self.phys.alive()
        if low + nbytes > ADDRESS_END:
            raise self._make_fault(FAULT_RANGE, low, wanted, nbytes, 0)
        at = low
        end = low + nbytes - 1
        while True:
            axptr_share(self.lock)
            with cython.nogil:
                axptr_lock_nogil(self.lock)
                while True:
                    if wanted & READ or not wanted & ACCESS:
                        code = (
                            self.resolve(at, READ, cython.address(host))
                            if wanted & READ
                            else self.force(at, False, cython.address(host))
                        )
                    if code == FAULT_OK and wanted & WRITE:
                        code = self.resolve(at, WRITE, cython.address(host))
                    if code == FAULT_OK and wanted & EXECUTE:
                        code = self.bring_in(at, EXECUTE, cython.address(slot))
                    if code == FAULT_OK and wanted & WRITE:
                        host -= at & IN_PAGE
                        if run == cython.NULL or host != run + length or length == _MOST_TOUCHED:
                            self.touch(run, length, unused)
                            run = host
                            length = 0
                        length += PAGE_SIZE
                    if code != FAULT_OK or (at >> PAGE_SHIFT) == (end >> PAGE_SHIFT):
                        break
                    at = (at | IN_PAGE) + 1
                self.touch(run, length, unused)
                run = cython.NULL
                axptr_unlock(self.lock)
            axptr_unshare(self.lock)
            if code != FAULT_PYTHON:
                break
            self._page_in(at, wanted & ACCESS, nbytes, at - low)
            code = FAULT_OK
        if code != FAULT_OK:
            self.fail(code, at, wanted, nbytes, at - low)

    def touch(self, run, length, unused):
        """Have the host bring in frames that were never used before, many at a time: a third cheaper than one by one.

        With the lock given up meanwhile: it takes the host a millisecond for 1,000 pages.
        """
        if length >= _LEAST_TOUCHED and cython.cast(uint64_t, run - self.phys.base) >> PAGE_SHIFT >= unused:
            axptr_unlock(self.lock)
            madvise(run, length, MADV_POPULATE_WRITE)  # that a kernel before 5.14 refuses: then they come one by one
            axptr_lock_nogil(self.lock)

    def handle_page_fault(self, vaddr, access, *, user=True):
        """Bring in the page of `vaddr` if an area allows the access. False: a real fault.

        `user=False` is the kernel's own touch; outside `access_user_memory()` that is a bug in the kernel and
        raises `KernelFault`. Raises `LinuxError(ENOMEM)` when frames run out.
        """
        at: uint64_t = checked_address(vaddr, "vaddr")
        wanted: cython.int = int(MappingFlags(access))
        code: cython.int = FAULT_OK
        bit: cython.int
        slot: cython.pointer(uint64_t)
        self.phys.alive()
        if not user and not is_accessing_user_memory():
            raise KernelFault(f"the kernel touched {at:#x} outside access_user_memory()")
        if wanted & ~ACCESS or not wanted:
            raise ValueError("an access is made of READ, WRITE and EXECUTE")
        axptr_lock_gil(self.lock)
        bit = 1
        while bit <= 4 and code == FAULT_OK:
            if wanted & bit:
                code = self.bring_in(at, bit, cython.address(slot))
                if code == FAULT_PYTHON:
                    axptr_unlock(self.lock)
                    try:
                        self._page_in(at, bit)
                    except UserFault:
                        return False  # what backs the page has failed; `fault` says so
                    axptr_lock_gil(self.lock)
                    code = FAULT_OK
                    continue
            bit <<= 1
        axptr_unlock(self.lock)
        if code == FAULT_NOMEM:
            self.fail(code, at, wanted, 1, 0)
        return code == FAULT_OK

    def read_into(self, vaddr, buf):
        """Copy from user memory into a writable buffer until it is full or a byte cannot be read; the bytes done.

        Needs READ alone.
        """
        return self._transfer(vaddr, buf, READ)

    def write_from(self, vaddr, buf):
        """Copy a buffer to user memory until it is empty or a byte cannot be written; the bytes done. Needs WRITE alone."""
        return self._transfer(vaddr, buf, WRITE)

    def _transfer_at_once(self, vaddr, buf, wanted):
        """`read_into` (READ) or `write_from` (WRITE) as far as no page need be brought in; the bytes done."""
        view: Py_buffer
        at: uint64_t = checked_address(vaddr, "vaddr")
        access: cython.int = int(wanted)
        done: uint64_t
        self.phys.alive()
        borrow(buf, cython.address(view), access == READ)
        axptr_lock_gil(self.lock)
        done = self.copy_at_once(at, cython.cast(cython.pointer(uint8_t), view.buf), view.len, access)
        axptr_unlock(self.lock)
        PyBuffer_Release(cython.address(view))
        return done

    def _transfer(self, vaddr, buf, access: cython.int):
        view: Py_buffer
        at: uint64_t = checked_address(vaddr, "vaddr")
        borrow(buf, cython.address(view), access == READ)
        try:
            return self.counted(at, cython.cast(cython.pointer(uint8_t), view.buf), view.len, access)
        finally:
            PyBuffer_Release(cython.address(view))

    def counted(self, vaddr, buffer, size, access):
        """A copy that ends at the first byte that fails; the bytes done. `_fault_at` says why it ended."""
        done: uint64_t = 0
        step: uint64_t = 0
        code: cython.int
        self.phys.alive()
        self._stopped(None)
        while True:
            axptr_lock_gil(self.lock)
            code = self.copy(vaddr + done, buffer + done, size - done, access, cython.address(step))
            axptr_unlock(self.lock)
            done += step
            try:
                if code == FAULT_PYTHON:
                    self._page_in(vaddr + done, access)
                elif code == FAULT_NOT_MEMORY:
                    step = self.device_piece(vaddr + done, buffer + done, size - done, access)
                    if step == 0:
                        return done
                    done += step
                else:
                    return done
            except LinuxError as why:
                self._stopped(why)  # whoever wants to know asks for the fault
                return done

    def read(self, vaddr, size):
        """A debugger's read: `size` bytes at `vaddr` whatever the permissions, pages brought in.

        Raises `UserFault` if a byte is in no area, `LinuxError(ENOMEM)`.
        """
        at: uint64_t = checked_address(vaddr, "vaddr")
        nbytes = checked_size(size)
        self._mapped(at, nbytes, READ)
        try:
            blob: bytes = PyBytes_FromStringAndSize(cython.NULL, nbytes)
        except (MemoryError, OverflowError):
            raise LinuxError(errno.ENOMEM, f"the host has no room for {nbytes} bytes") from None
        self.debug_copy(at, cython.cast(cython.pointer(uint8_t), PyBytes_AS_STRING(blob)), nbytes, False)
        return blob

    def write(self, vaddr, data):
        """A debugger's write: all of `data` (bytes-like) at `vaddr` whatever the permissions.

        Copy-on-write is broken, pages are brought in, a file is not written. Raises as `read`, nothing written then; and
        `UserFault` where a device fails, which keeps what it took, as do the pages before it.
        """
        view: Py_buffer
        at: uint64_t = checked_address(vaddr, "vaddr")
        borrow(data, cython.address(view), False)
        try:
            self._mapped(at, view.len, WRITE)
            self.debug_copy(at, cython.cast(cython.pointer(uint8_t), view.buf), view.len, True)
        finally:
            PyBuffer_Release(cython.address(view))

    def _mapped(self, vaddr, nbytes, access):
        bad: uint64_t = 0
        code: cython.int
        self.phys.alive()
        if vaddr + nbytes > ADDRESS_END or nbytes == ADDRESS_END:
            raise self._make_fault(FAULT_RANGE, vaddr, access, nbytes, 0)
        axptr_lock_gil(self.lock)
        code = self.check_span(vaddr, nbytes, 0, cython.address(bad))
        axptr_unlock(self.lock)
        if code != FAULT_OK:
            raise self._make_fault(code, bad, access, nbytes, bad - vaddr)

    def debug_copy(self, vaddr, buffer, size, write):
        code: cython.int = FAULT_OK
        host: cython.pointer(uint8_t)
        at: uint64_t
        step: uint64_t
        done: uint64_t = 0
        access: cython.int = WRITE if write else READ
        axptr_lock_gil(self.lock)
        try:
            # A write brings every page in first: it is whole or nothing.
            while write and done < size:
                at = vaddr + done
                code = self.force(at, True, cython.address(host))
                if code == FAULT_PYTHON:
                    axptr_unlock(self.lock)
                    try:
                        self._page_in(at, access, size, done)
                    finally:
                        axptr_lock_gil(self.lock)
                    continue
                if code != FAULT_OK and code != FAULT_NOT_MEMORY:
                    self.fail(code, at, access, size, done)
                done += PAGE_SIZE - (at & IN_PAGE)
            done = 0
            while done < size:
                at = vaddr + done
                code = self.force(at, write, cython.address(host))
                step = PAGE_SIZE - (at & IN_PAGE)
                if step > size - done:
                    step = size - done
                if code == FAULT_PYTHON or code == FAULT_NOT_MEMORY:
                    axptr_unlock(self.lock)
                    try:
                        if code == FAULT_PYTHON:
                            self._page_in(at, access, size, done)
                            step = 0
                        else:
                            step = self.device_piece(at, buffer + done, size - done, access)
                            if step == 0:
                                self.fail(code, at, access, size, done)
                    finally:
                        axptr_lock_gil(self.lock)
                elif code != FAULT_OK:
                    self.fail(code, at, access, size, done)
                elif write:
                    self.stored(host)
                    memcpy(host, buffer + done, step)
                else:
                    memcpy(buffer + done, host, step)
                done += step
        finally:
            axptr_unlock(self.lock)
        return 0
