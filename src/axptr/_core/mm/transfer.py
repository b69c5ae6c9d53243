"""Checked copies between a space and the host: the choke point of every verb that touches user memory.

`Transfer` adds to translation what works on ranges: `check_region`'s order (aligned, granted, then brought in), copies that
are whole or counted, the scan for a terminator. Check and copy happen under one hold of the lock, without the GIL.

Not here: what Python calls, and areas behind which a user's functions stand (`usermem`); typed values (`pointer`).

Failure: a strict copy that fails has copied nothing; a partial one says how much it did.
"""

import cython
from cython.cimports.axptr._core.mm.areas import (
    AreaPos,
    AreaRec,
    index_at,
    index_cover,
    index_next,
    index_seek,
)
from cython.cimports.axptr._core.mm.guest import GuestMmu
from cython.cimports.axptr._core.mm.mmu import tlb_hit
from cython.cimports.axptr._core.paging.format import entry_paddr
from cython.cimports.axptr._core.paging.walk import leaf_slot
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE
from cython.cimports.axptr._core.words.codes import (
    EXECUTE,
    FAULT_MISALIGNED,
    FAULT_OK,
    FAULT_PROTECTION,
    FAULT_RANGE,
    FAULT_TOOLONG,
    FAULT_UNMAPPED,
    IN_PAGE,
    PAGE_SHIFT,
    PAGE_SIZE,
    READ,
    WRITE,
)
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memchr, memcpy


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _all_zero(p: cython.pointer(uint8_t), size: uint64_t) -> cython.bint:
    i: uint64_t
    seen: uint8_t = 0
    for i in range(size):
        seen |= p[i]
    return seen == 0


@cython.no_gc_clear
@cython.cclass
class Transfer(GuestMmu):
    # -- checked access -----------------------------------------------------------------------------------

    def check_span(self, vaddr, size, access, bad):
        """Whether every byte lies in an area that grants `access` (any of the three bits, or 0); brings nothing in."""
        at: uint64_t = vaddr
        end: uint64_t
        pos: AreaPos
        rec: cython.pointer(AreaRec)
        low: cython.pointer(AreaRec)
        flags: uint32_t
        code: cython.int
        if size == 0:
            return FAULT_OK
        end = vaddr + (size - 1)
        bad[0] = vaddr
        if vaddr < self.first or vaddr > self.last:
            return FAULT_RANGE
        if end < vaddr:
            # Past the end of all addresses: what comes before it may be bad already, else the byte at 2**64 is.
            code = self.check_span(vaddr, ~vaddr + 1, access, bad)
            if code == FAULT_OK:
                bad[0] = 0
                code = FAULT_RANGE
            return code
        flags = index_cover(cython.address(self.areas), vaddr, end)
        if flags:
            return FAULT_OK if (self.granted(flags) & access) == cython.cast(uint32_t, access) else FAULT_PROTECTION
        pos = index_seek(cython.address(self.areas), vaddr)
        while True:
            bad[0] = at
            rec = index_at(cython.address(self.areas), pos)
            if rec == cython.NULL or rec.start > at:
                low = self.growable(at, cython.address(pos))
                if low == cython.NULL:
                    return FAULT_RANGE if at > self.last else FAULT_UNMAPPED
                rec = low
            if (self.granted(rec.flags) & access) != cython.cast(uint32_t, access):
                return FAULT_PROTECTION
            if rec.last >= end:
                return FAULT_OK
            at = rec.last + 1
            pos = index_next(cython.address(self.areas), pos)

    def demand(self, vaddr, size, align, access, bad):
        """check_region: aligned, every byte granted, then every page brought in for READ or WRITE."""
        code: cython.int
        host: cython.pointer(uint8_t)
        at: uint64_t
        end: uint64_t
        bad[0] = vaddr
        if vaddr & (align - 1):
            return FAULT_MISALIGNED
        code = self.check_span(vaddr, size, access, bad)
        if code != FAULT_OK or size == 0:
            return code
        at = vaddr
        end = vaddr + (size - 1)
        while True:
            bad[0] = at
            code = self.grant(at, access, cython.address(host))
            if code != FAULT_OK:
                return code
            if (at >> PAGE_SHIFT) == (end >> PAGE_SHIFT):
                return FAULT_OK
            at = (at | IN_PAGE) + 1

    def grant(self, vaddr, access, host):
        """`resolve` for any of READ, WRITE and EXECUTE, or none of them."""
        code: cython.int
        slot: cython.pointer(uint64_t)
        if access == 0:
            return self.force(vaddr, False, host)
        if access & EXECUTE:
            slot = leaf_slot(self.phys, self.fmt, self.root, vaddr)
            if slot == cython.NULL or not self.entry_allows(slot[0], EXECUTE):
                code = self.bring_in(vaddr, EXECUTE, cython.address(slot))
                if code != FAULT_OK:
                    return code
            if access == EXECUTE:
                host[0] = self.phys.base + entry_paddr(self.fmt, slot[0]) + (vaddr & IN_PAGE)
                return FAULT_OK
        if not access & WRITE:
            return self.resolve(vaddr, READ, host)
        if access & READ:
            code = self.resolve(vaddr, READ, host)
            if code != FAULT_OK:
                return code
        return self.resolve(vaddr, WRITE, host)

    def scan(self, vaddr, size, align, access, limit, length, bad):
        code: cython.int
        host: cython.pointer(uint8_t)
        other: cython.pointer(uint8_t)
        found: cython.pointer(uint8_t)
        at: uint64_t = vaddr
        room: uint64_t
        i: uint64_t
        zero: cython.bint
        length[0] = 0
        bad[0] = vaddr
        if vaddr & (align - 1):
            return FAULT_MISALIGNED
        while True:
            bad[0] = at
            code = self.grant(at, access, cython.address(host))
            if code != FAULT_OK:
                return code
            room = PAGE_SIZE - (at & IN_PAGE)
            if size == 1:
                if limit - length[0] < room - 1:
                    room = limit - length[0] + 1
                found = cython.cast(cython.pointer(uint8_t), memchr(host, 0, room))
                if found != cython.NULL:
                    length[0] += found - host
                    return FAULT_OK
                length[0] += room
                at += room
                if length[0] > limit:
                    return FAULT_TOOLONG
                if at == 0:
                    bad[0] = 0
                    return FAULT_RANGE
                continue
            while room >= size:
                if _all_zero(host, size):
                    return FAULT_OK
                length[0] += 1
                if length[0] > limit:
                    return FAULT_TOOLONG
                host += size
                at += size
                room -= size
            if at == 0:
                bad[0] = 0
                return FAULT_RANGE
            if room == 0:
                continue
            # An element across pages: every page of it is checked, then its bytes are looked at.
            zero = True
            i = 0
            while i < size:
                bad[0] = at + i
                if at + i < at:
                    return FAULT_RANGE
                code = self.grant(at + i, access, cython.address(other))
                if code != FAULT_OK:
                    return code
                room = PAGE_SIZE - ((at + i) & IN_PAGE)
                if room > size - i:
                    room = size - i
                zero = zero and _all_zero(other, room)
                i += room
            if zero:
                return FAULT_OK
            length[0] += 1
            if length[0] > limit:
                return FAULT_TOOLONG
            at += size
            if at < size:
                return FAULT_RANGE

    def stored(self, host):
        """Bytes were stored at a host address: code translated from that frame is stale."""
        pfn: uint64_t = cython.cast(uint64_t, host - self.phys.base) >> PAGE_SHIFT
        if self.phys.flags[pfn] & FRAME_CODE:
            self.phys.code_changed(pfn)

    def copy(self, vaddr, buffer, size, access, done):
        """Copy to (access WRITE) or from (READ) user memory page by page until a byte fails; `*done` bytes were copied.

        Runs of frames that lie side by side are one memcpy.
        """
        code: cython.int = FAULT_OK
        host: cython.pointer(uint8_t)
        run: cython.pointer(uint8_t) = cython.NULL
        length: uint64_t = 0
        step: uint64_t
        left: uint64_t = size
        at: uint64_t = vaddr
        done[0] = 0
        while left:
            code = self.resolve(at, access, cython.address(host))
            if code != FAULT_OK:
                break
            step = PAGE_SIZE - (at & IN_PAGE)
            if step > left:
                step = left
            if access == WRITE:
                self.stored(host)
            if run != cython.NULL and host == run + length:
                length += step
            else:
                if length:
                    if access == WRITE:
                        memcpy(run, buffer + done[0], length)
                    else:
                        memcpy(buffer + done[0], run, length)
                    done[0] += length
                run = host
                length = step
            left -= step
            at += step
            if at == 0 and left:
                code = FAULT_RANGE
                break
        if length:
            if access == WRITE:
                memcpy(run, buffer + done[0], length)
            else:
                memcpy(buffer + done[0], run, length)
            done[0] += length
        return code

    def copy_at_once(self, vaddr, buffer, size, access):
        """`copy` as far as no page need be brought in, nor made writable; the bytes done."""
        host: cython.pointer(uint8_t)
        step: uint64_t
        done: uint64_t = 0
        while done < size and vaddr + done >= vaddr:
            host = self.at_once(vaddr + done, access)
            if host == cython.NULL:
                break
            step = PAGE_SIZE - ((vaddr + done) & IN_PAGE)
            if step > size - done:
                step = size - done
            if access == WRITE:
                self.stored(host)
                memcpy(host, buffer + done, step)
            else:
                memcpy(buffer + done, host, step)
            done += step
        return done

    def side_by_side(self, vaddr, size):
        """The host address of user bytes that may be read now, if their frames lie side by side; else NULL."""
        start: cython.pointer(uint8_t)
        host: cython.pointer(uint8_t)
        step: uint64_t = PAGE_SIZE - (vaddr & IN_PAGE)
        if self.resolve(vaddr, READ, cython.address(start)) != FAULT_OK:
            return cython.NULL
        while step < size:
            if self.resolve(vaddr + step, READ, cython.address(host)) != FAULT_OK or host != start + step:
                return cython.NULL
            step += PAGE_SIZE
        return start

    def move(self, vaddr, buffer, size, align, access, bad):
        """All of the copy or nothing of it. A read needs no pass of its own to bring the pages in first."""
        done: uint64_t = 0
        code: cython.int = FAULT_OK
        if access == WRITE:
            code = self.demand(vaddr, size, align, access, bad)
        else:
            bad[0] = vaddr
            if vaddr & (align - 1):
                return FAULT_MISALIGNED
            if (vaddr & IN_PAGE) + size > PAGE_SIZE or tlb_hit(self, vaddr, READ) == cython.NULL:
                # Also for one page: bringing it in may grow a stack, which a refused access must not do here.
                code = self.check_span(vaddr, size, access, bad)
        if code != FAULT_OK:
            return code
        code = self.copy(vaddr, buffer, size, access, cython.address(done))
        bad[0] = vaddr + done
        return code
