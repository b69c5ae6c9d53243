"""Walks over the bytes of a space that are there now, for searches: brings nothing in, calls nobody.

A `Seeker` goes upwards from window to window. A window is a run of bytes side by side in the space, from pages that
have a frame; frames that lie side by side in the host are looked at in place, others by way of a copy of at most
`SCRATCH` bytes. An absent page of private anonymous memory is zeros: as many of them as a match can reach into belong
to a window before and after pages that are there, and there are no windows of zeros alone. What is absent otherwise
(files, pagers, shared memory) ends a window.

Not here: what a caller looks for beyond bytes, and how it is told (`searching`). Locking: taken here, for a window at a
time and without the GIL; between two calls the space may change, and is then seen as it is.
"""

import cython
from cython.cimports.axptr._core.mm.areas import AreaRec, index_find
from cython.cimports.axptr._core.mm.mmu import leaves_of
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.paging.format import entry_paddr
from cython.cimports.axptr._core.paging.walk import Leaves, leaf_slot, next_leaf
from cython.cimports.axptr._core.pointers.codec import axptr_swapped
from cython.cimports.axptr._core.pointers.seeker import Want, axptr_word_at, memmem
from cython.cimports.axptr._core.words.codes import IN_PAGE, KIND_ALLOC, PAGE_SIZE, page_start
from cython.cimports.axptr._core.words.lock import (
    axptr_lock_nogil,
    axptr_share,
    axptr_unlock,
    axptr_unshare,
)
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cython.cimports.libc.stdint import uint8_t, uint64_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcpy, memset

_IN_PLACE = cython.declare(uint64_t, 16 << 20)
_SCRATCH = cython.declare(uint64_t, 256 << 10)
_MOST = cython.declare(cython.int, 512)


@cython.no_gc_clear
@cython.cclass
class Seeker:
    """The bytes of [first, last] in areas that grant `access`. at: how far it has come. done: nothing is left.

    reach: bytes of the longest match; windows overlap by one less. zeros: whether windows have absent zeros.
    """

    space: SpaceCore
    access: cython.int
    last: uint64_t
    reach: uint64_t
    border: uint64_t
    most: uint64_t
    at = cython.declare(uint64_t, visibility="readonly")
    done = cython.declare(cython.bint, visibility="readonly")
    # the window in hand: its first byte, its bytes, where they are; and the address that the next one starts at
    start: uint64_t
    size: uint64_t
    host: cython.pointer(uint8_t)
    scratch: cython.pointer(uint8_t)
    room: uint64_t
    ahead: uint64_t
    final: cython.bint

    def __cinit__(
        self,
        space: SpaceCore,
        first: uint64_t,
        last: uint64_t,
        access: cython.int,
        reach: uint64_t,
        zeros: cython.bint,
    ):
        self.space = space
        self.access = access
        self.at = first if first > space.first else space.first
        self.last = last if last < space.last else space.last
        self.done = self.at > self.last or reach == 0
        self.reach = reach
        self.border = reach - 1 if zeros and reach else 0
        self.most = _IN_PLACE if zeros else _SCRATCH
        self.room = _SCRATCH + reach
        self.scratch = cython.cast(cython.pointer(uint8_t), malloc(self.room))
        if self.scratch == cython.NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.scratch)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def open_area(self, vaddr: uint64_t) -> cython.pointer(AreaRec):
        """The area of an address, if it may be looked at."""
        rec: cython.pointer(AreaRec) = index_find(cython.address(self.space.areas), vaddr)
        if rec == cython.NULL or (self.access and (self.space.granted(rec.flags) & self.access) != self.access):
            return cython.NULL
        return rec

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def page(self, vaddr: uint64_t, zeros: cython.pointer(cython.bint)) -> cython.pointer(uint8_t):
        """The host's copy of a page, NULL if it has none; then `*zeros` says whether it is known to be zero."""
        slot: cython.pointer(uint64_t)
        rec: cython.pointer(AreaRec) = self.open_area(vaddr)
        zeros[0] = False
        if rec == cython.NULL:
            return cython.NULL
        slot = leaf_slot(self.space.phys, self.space.fmt, self.space.root, vaddr)
        if slot != cython.NULL and slot[0]:
            return self.space.phys.base + entry_paddr(self.space.fmt, slot[0])
        zeros[0] = rec.kind == KIND_ALLOC and not rec.shared
        return cython.NULL

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def next_window(self) -> cython.bint:
        """The next window from `at` on; false if there is none. Lock held."""
        found: uint64_t = 0
        if not self.find_page(cython.address(found)):
            return False
        self.start = self.at if found <= self.at else found - self.zeros_before(found)
        self.gather(found)
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def find_page(self, found: cython.pointer(uint64_t)) -> cython.bint:
        """The first page from `at` on that is there and may be looked at."""
        walk: Leaves = leaves_of(self.space, page_start(self.at), self.last)
        while next_leaf(cython.address(walk)):
            if self.open_area(walk.at) != cython.NULL:
                found[0] = walk.at
                return True
        return False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def zeros_before(self, found: uint64_t) -> uint64_t:
        """Bytes known to be zero before a page, as many as a match that reaches into it can have."""
        step: uint64_t
        zeros: cython.bint = False
        here: uint64_t = found
        back: uint64_t = found - self.at
        if back > self.border:
            back = self.border
        while back:
            if self.page(here - 1, cython.address(zeros)) != cython.NULL or not zeros:
                break
            step = back if back < PAGE_SIZE else PAGE_SIZE
            here -= step
            back -= step
        return found - here

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def gather(self, found: uint64_t) -> cython.void:
        """The window's bytes from `start` on, with the page `found` among them."""
        step: uint64_t
        here: uint64_t = self.start
        tail: uint64_t = 0
        host: cython.pointer(uint8_t)
        zeros: cython.bint = False
        placed: cython.bint = True
        self.size = 0
        self.final = True
        self.host = cython.NULL
        while True:
            step = PAGE_SIZE - (here & IN_PAGE)
            if step - 1 > self.last - here:
                step = self.last - here + 1
            host = self.page(here, cython.address(zeros))
            if host == cython.NULL:
                if not zeros:
                    break
                if here > found:
                    # Zeros behind what is there: no more of them than a match can reach into.
                    if tail >= self.border:
                        break
                    if step > self.border - tail:
                        step = self.border - tail
                    tail += step
                elif step > found - here:
                    step = found - here
            else:
                tail = 0
                host += here & IN_PAGE
            if self.size == 0:
                self.host = host
                placed = host != cython.NULL
            elif placed and host != self.host + self.size:
                # No longer side by side. A long run is looked at where it is, and the rest in the next window.
                if self.size >= _SCRATCH + self.reach:
                    self.final = False
                    break
                memcpy(self.scratch, self.host, self.size)
                placed = False
            if not placed:
                if self.size + step > self.room:
                    self.final = False
                    break
                if host != cython.NULL:
                    memcpy(self.scratch + self.size, host, step)
                else:
                    memset(self.scratch + self.size, 0, step)
            self.size += step
            if self.last - here < step:
                break
            here += step
            if placed and self.size >= self.most + self.reach:
                self.final = False
                break
        if not placed:
            self.host = self.scratch
        # Where the next window starts: behind what is there, or where a match may begin that goes on in it.
        self.ahead = self.start + self.size - (tail if self.final else self.reach - 1)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def leave(self) -> cython.void:
        """The window is done with: on to the next one."""
        if self.ahead == 0 or self.ahead > self.last:
            self.done = True
            self.at = self.last
        else:
            self.at = self.ahead

    def find(self, pattern: bytes, mask, align: uint64_t):
        """Addresses (multiples of `align`) in the next window at which `pattern` stands, at most some hundreds.

        mask: None, or as many bytes: the bits that count; the pattern has no others.
        """
        want: Want
        found: uint64_t[512]
        count: cython.int
        i: cython.int
        want.length = len(pattern)
        want.align = align
        want.text = cython.cast(cython.pointer(uint8_t), PyBytes_AS_STRING(pattern))
        want.bits = cython.NULL
        want.bounds = cython.NULL
        if mask is not None:
            if len(mask) != len(pattern):
                raise ValueError("a mask is as long as the pattern")
            want.bits = cython.cast(cython.pointer(uint8_t), PyBytes_AS_STRING(mask))
        count = self.hits(cython.address(want), cython.address(found[0]), cython.NULL)
        return [found[i] for i in range(count)]

    def find_between(self, bounds: bytes, size: uint64_t, swapped: cython.bint, align: uint64_t):
        """Addresses and values, unsigned, of the words in the next window that lie in any of some ranges.

        bounds: pairs of 64 bits in the host's order, both ends included, that go upwards and do not overlap. size: of a
        word, 1, 2, 4 or 8 bytes. swapped: in the other byte order than the host's. The rest is as of `find`.
        """
        want: Want
        found: uint64_t[512]
        words: uint64_t[512]
        count: cython.int
        i: cython.int
        want.length = size
        want.align = align
        want.bounds = cython.cast(cython.pointer(uint64_t), PyBytes_AS_STRING(bounds))
        want.pairs = len(bounds) // 16
        want.swapped = swapped
        if want.pairs == 0 or size not in (1, 2, 4, 8):
            raise ValueError("words are of 1, 2, 4 or 8 bytes, and in some range")
        count = self.hits(cython.address(want), cython.address(found[0]), cython.address(words[0]))
        return [(found[i], words[i]) for i in range(count)]

    @cython.cfunc
    @cython.exceptval(-1)
    def hits(
        self, want: cython.pointer(Want), found: cython.pointer(uint64_t), words: cython.pointer(uint64_t)
    ) -> cython.int:
        """What there is in the next window, and on behind it; how many."""
        count: cython.int = 0
        if want.length == 0 or want.length > self.reach:
            raise ValueError("a pattern must have bytes, and no more than was said")
        self.space.phys.alive()
        axptr_share(self.space.lock)
        with cython.nogil:
            axptr_lock_nogil(self.space.lock)
            if not self.done:
                if self.next_window():
                    if want.bounds == cython.NULL:
                        count = self.search(want, found)
                    else:
                        count = self.search_between(want, found, words)
                else:
                    self.done = True
                    self.at = self.last
            axptr_unlock(self.space.lock)
        axptr_unshare(self.space.lock)
        return count

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def search_between(
        self, want: cython.pointer(Want), found: cython.pointer(uint64_t), words: cython.pointer(uint64_t)
    ) -> cython.int:
        count: cython.int = 0
        length: uint64_t = want.length
        align: uint64_t = want.align
        i: uint64_t = (align - (self.start & (align - 1))) & (align - 1)
        least: uint64_t = want.bounds[0]
        most: uint64_t = want.bounds[2 * want.pairs - 1]
        word: uint64_t
        low: uint64_t
        high: uint64_t
        middle: uint64_t
        while i < self.size and self.size - i >= length:
            word = axptr_word_at(self.host + i, length)
            if want.swapped:
                word = axptr_swapped(word, length)
            if least <= word <= most:
                low, high = 0, want.pairs - 1  # the first range that does not end before the word
                while low < high:
                    middle = (low + high) // 2
                    if want.bounds[2 * middle + 1] < word:
                        low = middle + 1
                    else:
                        high = middle
                if want.bounds[2 * low] <= word:
                    if count == _MOST:
                        self.at = self.start + i
                        return count
                    found[count] = self.start + i
                    words[count] = word
                    count += 1
            i += align
        self.leave()
        return count

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def search(self, want: cython.pointer(Want), found: cython.pointer(uint64_t)) -> cython.int:
        text: cython.pointer(cython.const[uint8_t]) = want.text
        bits: cython.pointer(cython.const[uint8_t]) = want.bits
        length: uint64_t = want.length
        align: uint64_t = want.align
        count: cython.int = 0
        i: uint64_t = 0
        k: uint64_t
        hit: cython.pointer(uint8_t)
        if bits != cython.NULL:
            i = (align - (self.start & (align - 1))) & (align - 1)
        while i < self.size and self.size - i >= length:
            if bits == cython.NULL:
                hit = cython.cast(cython.pointer(uint8_t), memmem(self.host + i, self.size - i, text, length))
                if hit == cython.NULL:
                    break
                i = hit - self.host
                if (self.start + i) & (align - 1):
                    i += 1
                    continue
                k = length
            else:
                k = 0
                while k < length and (self.host[i + k] & bits[k]) == text[k]:
                    k += 1
            if k == length:
                if count == _MOST:
                    # Enough for one call: the next one goes on from here.
                    self.at = self.start + i
                    return count
                found[count] = self.start + i
                count += 1
            i += 1 if bits == cython.NULL else align
        self.leave()
        return count

    def window(self):
        """A copy of the next window, at most 256 KiB and `reach`: `(address, bytes, next address or None)`, or None at the end.

        The next address is given where more follows at once; then matches that start there or later are not for this
        window.
        """
        made: bytes
        there: cython.bint = False
        self.space.phys.alive()
        made = PyBytes_FromStringAndSize(cython.NULL, self.room)
        out: cython.p_char = PyBytes_AS_STRING(made)
        axptr_share(self.space.lock)
        with cython.nogil:
            axptr_lock_nogil(self.space.lock)
            if not self.done:
                there = self.next_window()
                if there:
                    if self.size > self.room:
                        self.size = self.room
                        self.final = False
                        self.ahead = self.start + self.size - (self.reach - 1)
                    memcpy(out, self.host, self.size)
            axptr_unlock(self.space.lock)
        axptr_unshare(self.space.lock)
        if not there:
            self.done = True
            self.at = self.last
            return None
        self.leave()
        return self.start, made[: self.size], None if self.final else self.ahead

    def skip_to(self, address: uint64_t):
        """Go on from a later address."""
        if address > self.last:
            self.done = True
            self.at = self.last
        elif address > self.at:
            self.at = address

    def __reduce__(self):
        raise TypeError("a search cannot be pickled")
