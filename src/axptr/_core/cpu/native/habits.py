"""What stubs of one origin had of their spaces: the next one is born with it.

Copies of a machine begin at the same instruction, and most of what they touch first is the same. So the stub of a copy gets
at its start, by a few calls that nobody judges, what the one before it had in the end: pages that it read as the table has
them, pages that it wrote with a frame of their own already. What that turns out not to touch costs it a copy of some
pages, and is no more than a guess: nothing that a guest can see depends on it but its time. A page counts as written if
the guest came out for it, or its bytes are not what they were: many come to be writable beside one that is written.

Not here: what is held (`stub`), which space comes from where (`axptr.linux.snapshots.memory`).

Invariant: only what an area allows is brought in, as a fault of the guest would have it; and not what a write would date.

Locking: the GIL, and the memory's lock over what stubs have, which may be running, and over `pages`.
"""

from _weakref import ref

import cython
from cython.cimports.axptr._core.cpu.native.stub import Stub, by_number
from cython.cimports.axptr._core.mm.areas import AreaRec, index_find
from cython.cimports.axptr._core.mm.guest import Shown
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.words.codes import EXECUTE, KIND_ALLOC, KIND_STORE, PAGE_SHIFT, PAGE_SIZE, READ, WRITE
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import free, malloc, qsort
from cython.cimports.libc.string import memcmp

_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)
_most = cython.declare(uint64_t, 8192)  # pages that are worth to be remembered; more are a program that does much
_most_written = cython.declare(uint64_t, 512)  # each is a copy, wanted or not
_news = cython.declare(uint64_t, 8)  # commands that say that there is something to learn
_short_of_frames = cython.declare(uint64_t, 4096)


@cython.no_gc_clear  # stubs ask it while a collector ends them
@cython.final
@cython.cclass
class Habits:
    """Those of the spaces that were made of one frozen one, `origin`. Nothing is known at first."""

    def __cinit__(self, origin: SpaceCore):
        self.origin = ref(origin)

    def __dealloc__(self):
        free(self.pages)

    def __len__(self):
        return self.count

    def prepare(self, stub, space):
        """What a stub that is not started yet is to be born with."""
        self.look_at_latest()
        self.latest = ref(stub)
        stub.habits = self
        if not self.count:
            return 0
        stub.begin_list()
        axptr_lock_gil(stub.phys.lock)
        if not space.has_points and space.around > 1 and not stub.phys.forked:
            self.bring(stub, space)
            stub.phys.flushed(cython.address(stub.link))  # what it is given is as the table has it now
        axptr_unlock(stub.phys.lock)
        return 0

    def bring(self, stub, space):
        i: uint64_t
        at: uint64_t
        first: uint64_t = 1
        last: uint64_t = 0
        perms: uint32_t
        access: cython.int
        slot: cython.pointer(uint64_t)
        rec: cython.pointer(AreaRec)
        for i in range(self.count):
            at = self.pages[i] & _page_mask
            perms = cython.cast(uint32_t, self.pages[i] & (READ | WRITE | EXECUTE))
            rec = index_find(cython.address(space.areas), at)
            if rec == cython.NULL or not (rec.kind == KIND_ALLOC or rec.kind == KIND_STORE):
                continue
            access = EXECUTE if perms & EXECUTE else READ
            if perms & WRITE and not rec.shared and space.granted(rec.flags) & WRITE:
                access = WRITE
            if stub.phys.is_short(_short_of_frames):
                break
            if space.at_once(at, access) == cython.NULL:
                if access == READ and rec.kind == KIND_ALLOC:
                    continue  # zeros that nobody has written come at their touch
                space.bring_in(at, access, cython.address(slot))
            if first <= last and at == last + 4096:
                last = at
                continue
            if first <= last:
                stub.give_window(space, first, last, first, READ)
                if stub.list_is_full():
                    return
            first = last = at
        if first <= last:
            stub.give_window(space, first, last, first, READ)
        for i in range(self.count):
            if self.pages[i] & WRITE and stub.slot(self.pages[i] >> PAGE_SHIFT).perms & WRITE:
                stub.slot(self.pages[i] >> PAGE_SHIFT).wanted = 1  # as one of them came out for it once

    def look_at_latest(self):
        """Learn of the stub that was born last, if it lives."""
        stub: Stub = self.latest() if self.latest is not None else None
        return self.learn(stub) if stub is not None else 0

    def learn(self, stub):
        """What a stub has come to have is what the next is born with, if that is much more than it was born with itself.

        It may be running, for another thread: what it has changes under the memory's lock.
        """
        origin: SpaceCore = self.origin()
        if origin is None or origin.phys is not stub.phys:
            return 0
        axptr_lock_gil(stub.phys.lock)
        if stub.maps >= stub.born + _news and stub.nused <= _most and stub.held != cython.NULL:
            self.take(stub, origin)
        axptr_unlock(stub.phys.lock)
        return 0

    def is_written(self, origin, stub, note):
        """Whether a guest wrote a page that it may write: it came out for that, or the bytes are not those of the origin."""
        there: Shown
        if note.wanted:
            return True
        origin.window(note.page << PAGE_SHIFT, 1, cython.address(there))
        if there.perms == 0:
            return True
        if there.pfn == note.pfn:
            return False
        base: cython.pointer(uint8_t) = stub.phys.base
        return (
            memcmp(
                base + (cython.cast(uint64_t, there.pfn) << PAGE_SHIFT),
                base + (cython.cast(uint64_t, note.pfn) << PAGE_SHIFT),
                PAGE_SIZE,
            )
            != 0
        )

    def take(self, stub, origin):
        """Note what it has. Lock held."""
        i: uint64_t
        count: uint64_t = 0
        written: uint64_t = 0
        perms: uint32_t
        pages: cython.pointer(uint64_t) = cython.cast(cython.pointer(uint64_t), malloc(stub.nused * 8 + 8))
        if pages == cython.NULL:
            return
        for i in range(stub.nslots):
            perms = stub.held[i].perms
            if perms & WRITE:
                if written < _most_written and self.is_written(origin, stub, stub.held + i):
                    written += 1
                else:
                    perms &= ~cython.cast(uint32_t, WRITE)
            if perms:
                pages[count] = (stub.held[i].page << PAGE_SHIFT) | perms
                count += 1
        qsort(pages, count, 8, by_number)
        free(self.pages)
        self.pages = pages
        self.count = count
        stub.born = stub.maps

    def __reduce__(self):
        raise TypeError("what stubs had of memory is no state of a machine")
