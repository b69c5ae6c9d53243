"""What a guest on the host's CPU sees of memory: an address space, through a stub that caches its page table.

A stub is made when the guest is to run, and can be ended whenever it is our turn: the registers are taken out first. One
that lies where the space has an area by now, or that has died, is replaced. Each space has its own (`stubcache`): to run
another space is to put the registers into another stub, which has its pages still.

Not here: the stub's side of it (`stub`), running (`native`).

Locking: fills run without the GIL, under the memory's lock.
"""

import cython
from cython.cimports.axptr._core.cpu.metronome import beat_end, beat_start
from cython.cimports.axptr._core.cpu.native.nativestate import R_RSP, NativeState, extent_of, first_image, put_vectors
from cython.cimports.axptr._core.cpu.native.parked import Parked
from cython.cimports.axptr._core.cpu.native.stub import R_RIP, WINDOW, Stub
from cython.cimports.axptr._core.cpu.native.stubcache import StubCache, in_the_way
from cython.cimports.axptr._core.cpu.running import STEP_BARE, STEP_OPEN
from cython.cimports.axptr._core.mm.areas import AreaRec, index_find
from cython.cimports.axptr._core.mm.guest import Shown
from cython.cimports.axptr._core.mm.points import Watched
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.codes import (
    EXECUTE,
    FAULT_FORKED,
    FAULT_NOMEM,
    FAULT_OK,
    FAULT_RANGE,
    FAULT_WATCHED,
    KIND_ALLOC,
    KIND_STORE,
    READ,
    WRITE,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_lock_nogil, axptr_unlock
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy

_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)
_little_data = cython.declare(uint64_t, 16 << 12)  # bytes: that of most libraries
_longest = cython.declare(uint64_t, 15)  # bytes of the longest instruction

_most_stubs = cython.declare(cython.int, 64)
many_waiting = 512  # frames that wait for stubs whose turn it is not


@cython.cfunc
@cython.with_gil
@cython.exceptval(check=False)
def _settle(pages: NativePages) -> cython.void:
    pages.cache.settle(pages.stub)


@cython.no_gc_clear
@cython.cclass
class NativePages(NativeState):
    """Registers and memory. `NativeCpu` derives from it; nobody else should."""

    def __cinit__(self, phys: PhysMemory, *, ahead: cython.int = 0, traps_counter: cython.bint = False):
        phys.alive()
        self.phys = phys
        self.cache = StubCache(phys, _most_stubs, traps_counter)
        self.around = 16
        self.leave.first = 1
        self.ahead = max(0, min(ahead, 64))

    def __dealloc__(self):
        self.stub = None
        if self.cache is not None:
            self.cache.close()

    def need_stub(self):
        """There is a stub for the space, the guest's state in it."""
        stub: Stub = self.stub
        if stub is not None:
            if not stub.broken and not in_the_way(self.mmu, stub.s.base):
                return 0
            self.drop_stub()  # with what the guest has in it, before it is ended
        stub = self.cache.find(self.mmu)
        put_vectors(stub, self.image if self.image is not None else first_image())
        self.image = None
        return self.enter_stub(stub)

    def enter_stub(self, stub):
        """From now on it is the one that runs."""
        self.stub = stub
        stub.link.owner = self.owner
        self.review()
        if self.many:
            return 0
        self.clock = cython.address(stub.beat)
        if self.busy:
            beat_start(cython.address(stub.beat), self.deadline)
        return 0

    def leave_stub(self):
        """Run no stub for now; what the guest had in this one is kept."""
        stub: Stub = self.stub
        if stub is None:
            return 0
        self.bring_out()
        if self.lost:
            self.image = None
        elif stub.vectors != cython.NULL:
            self.image = cython.cast(cython.p_char, stub.vectors)[: extent_of(stub)]
        if not self.many:
            if self.busy:
                beat_end(cython.address(stub.beat))
            self.clock = cython.NULL
        self.stub = None
        self.cache.account(stub)
        return 0

    def drop_stub(self):
        """End the stub; what the guest had in it is kept."""
        stub: Stub = self.stub
        if stub is not None:
            self.leave_stub()
            self.cache.drop(stub)
        return 0

    def _park(self):
        """Take the guest off the CPU, between two runs; its registers stay where they are. What the CPU has is of no use then
        until `_resume`, `_put` or `reset`."""
        self.check_mine()
        if self.busy:
            raise RuntimeError("this engine is running: a guest is parked between two runs")
        return self.put_aside()

    def put_aside(self):
        """`_park`, in a run too: one in which another guest is put on the CPU before it goes on."""
        parked: Parked = Parked.__new__(Parked)
        stub: Stub = self.stub
        memcpy(parked.regs_, self.regs_, cython.sizeof(self.regs_))
        parked.segments = self.segments
        parked.in_call, parked.lost, parked.event = self.in_call, self.lost, self.pending
        parked.image = self.image
        if stub is not None:
            if self.busy:
                beat_end(cython.address(stub.beat))
                self.was_kicked |= stub.beat.kicked
            self.clock = cython.NULL
            self.stub = None
            parked.stay(stub)
            stub.unseen = self.cache.unseen = True
        self.in_call = self.lost = False
        self.pending = 0
        self.image = None
        return parked

    def _resume(self, parked: Parked, space: SpaceCore):
        """Put a guest that was parked here back on the CPU, over the space that is its own by now."""
        self.check_mine()
        if self.busy:
            raise RuntimeError("this engine is running: a guest goes on between two runs")
        self.put_on(parked, space)

    def put_on(self, parked, space):
        """`_resume`, in a run too."""
        parked.recall()
        parked.call_anew()  # a signal that it gets first must find it before the call
        stub: Stub = parked.stub
        if self.stub is not None:  # who was there is given up
            self.clock = cython.NULL
            self.cache.account(self.stub)
            self.stub = None
        self.in_call = False
        if stub is not None and stub.of() is not space:
            parked.leave()
            stub = None
        if space is not self.mmu:
            if space is None or space.phys is not self.phys:
                raise ValueError("the space lies in another PhysMemory than this engine's")
            self.leave_stub()
            self.mmu = space
        memcpy(self.regs_, parked.regs_, cython.sizeof(self.regs_))
        self.segments = parked.segments
        self.in_call, self.lost = parked.in_call, parked.lost
        self.pending = parked.event
        self.image = parked.image
        if stub is not None:
            self.enter_stub(parked.take_back())
            self.cache.used(stub)
        if self.busy:
            if self.stub is None:
                self.need_stub()
            self.clock.kicked = self.was_kicked
            self.was_kicked = 0
        return 0

    def _keep_in_calls(self):
        """Between two runs, too, a guest stays in its call, until somebody wants more of it than its result. One whose process
        is ended from outside meanwhile is lost."""
        self.stays = True

    def change_space(self, space):
        self.leave_stub()
        self.mmu = space
        if self.busy:
            self.need_stub()
        return 0

    def begin_run(self):
        self.need_stub()
        if self.lost:
            self.need_all()
        return 0

    def end_run(self):
        if not self.stays:
            self.bring_out()  # now: between two runs nothing can be lost

    def renew(self):
        self.drop_stub()
        self.need_stub()
        return 0

    def release(self):
        self.stub = None
        self.clock = cython.NULL
        self.cache.close()
        self.in_call = False
        self.mmu = None

    def settle(self):
        """Have stubs of other spaces lose what they lost, so that frames are free again. From code without the GIL."""
        if self.phys.nquarantine:
            _settle(self)

    def _settle_now(self):
        """Between two runs: have all stubs lose now what they lost. Until then frames that anybody gives up wait for them."""
        failed: cython.int
        self.check_mine()
        if self.busy:
            raise RuntimeError("this engine is running: its processes are settled between two runs")
        stub: Stub = self.stub
        if stub is not None and not stub.broken and stub.asked():
            self.bring_out()
            axptr_lock_gil(self.phys.lock)
            failed = stub.apply(self.mmu) if not stub.broken else -1
            axptr_unlock(self.phys.lock)
            if failed < 0:
                self.drop_stub()
        self.cache.settle(self.stub)

    def fill(self, vaddr, access):
        """Have the stub map the page at `vaddr`, brought in if an area allows this access; FAULT_OK or why not."""
        code: cython.int = self.try_fill(vaddr & _page_mask, access)
        if code == FAULT_NOMEM and self.phys.nquarantine:
            self.settle()
            code = self.try_fill(vaddr & _page_mask, access)
        return code

    def try_fill(self, page, access):
        code: cython.int = FAULT_OK
        slot: cython.pointer(uint64_t)
        first: uint64_t = page & ~cython.cast(
            uint64_t, self.around * 4096 - 1
        )  # what is there around it is given with it
        last: uint64_t = first + (self.around - 1) * 4096
        self.fills += 1
        axptr_lock_nogil(self.phys.lock)
        if self.phys.forked or page < self.mmu.first or page > self.mmu.last:
            code = FAULT_FORKED if self.phys.forked else FAULT_RANGE
        elif self.mmu.at_once(page, access) != cython.NULL:
            self.find_run(page, cython.address(first), cython.address(last))
        else:
            if access == READ and self.is_to_be_written(page):
                access = WRITE
            if access != WRITE and self.mmu.around > 1:
                self.mmu.bring_beside(page, cython.address(first), cython.address(last))
            # Should it make a copy of the page, that one page is stale: the copy is mapped over it, and `apply` sees that.
            code = self.mmu.bring_in(page, access, cython.address(slot))
        if code == FAULT_OK and self.mmu.has_points and self.must_tell(page, access):
            code = FAULT_WATCHED
        if code == FAULT_OK:
            if access == WRITE:
                if self.mmu.around > 1:
                    self.mmu.bring_around(page, cython.address(first), cython.address(last))
                if self.ahead:
                    self.bring_ahead(page, cython.address(first), cython.address(last))
            self.stub.give_window(self.mmu, max(first, self.mmu.first), last, page, access)
        axptr_unlock(self.phys.lock)
        return code

    def find_run(self, page, first, last):
        """A page is there already: so may be those beside it, whoever brought them in. As far as their frames lie side by
        side the stub maps them by one call. Lock held. They lie in [*first, *last] then."""
        shown: Shown[WINDOW]
        start: uint64_t = max(page & ~cython.cast(uint64_t, WINDOW * 4096 - 1), self.mmu.first)
        at: uint64_t = (page - start) >> 12
        low: uint64_t = at
        high: uint64_t = at
        self.mmu.window(start, WINDOW, shown)
        while low and shown[low - 1].perms == shown[at].perms and shown[low - 1].pfn + 1 == shown[low].pfn:
            low -= 1
        while (
            high + 1 < WINDOW
            and shown[high + 1].perms == shown[at].perms
            and shown[high].pfn + 1 == shown[high + 1].pfn
        ):
            high += 1
        first[0] = min(first[0], start + (low << 12))
        last[0] = max(last[0], start + (high << 12))

    def is_to_be_written(self, page):
        """Whether a page that is read for the first time is there to be written: memory of its own, of which all that can be
        read is zero, or a program's data, which has addresses put in. Lock held."""
        rec: cython.pointer(AreaRec) = index_find(cython.address(self.mmu.areas), page)
        if rec == cython.NULL or rec.shared or self.mmu.around <= 1 or self.mmu.has_points:
            return False
        if rec.kind != KIND_ALLOC and not (
            rec.kind == KIND_STORE and rec.store.program and rec.last - rec.start < _little_data
        ):
            return False
        return self.mmu.granted(rec.flags) & WRITE and self.mmu.at_once(page, READ) == cython.NULL

    def warm(self):
        """The stub has nothing yet: give it what the guest needs at once, its code, its stack and what is its thread's."""
        at: uint64_t
        i: cython.int
        ready: cython.bint
        if self.mmu.around <= 1 or self.mmu.has_points:
            return
        self.try_fill(self.regs_[R_RIP] & _page_mask, EXECUTE)
        for i in range(2):
            at = (self.regs_[R_RSP] if i == 0 else self.segments.fs_base) & _page_mask
            axptr_lock_nogil(self.phys.lock)
            ready = self.mmu.first <= at <= self.mmu.last and self.mmu.bring_own(at)
            axptr_unlock(self.phys.lock)
            if ready:
                self.try_fill(at, WRITE)

    def must_tell(self, page, access):
        """Whether an access that is allowed is one of which a debugger is to be told. Lock held.

        A write to a page with breakpoints by an instruction in it, too: the copy that it has may not be written, and what
        may be written has no breakpoints.
        """
        watched: cython.pointer(Watched) = self.mmu.points.find(page)
        at: uint64_t = self.regs_[R_RIP]
        if watched == cython.NULL:
            return False
        if self.mmu.points.denied(page, self.stub.leave.open) & access:
            return True
        if not watched.breaks or access != WRITE or self.stub.leave.first <= page <= self.stub.leave.last:
            return False
        return page == at & _page_mask or page == (at + _longest - 1) & _page_mask

    def begin_single(self, single):
        """Between two runs: what the stub may have of pages is that of a run of one instruction, or (0) is as ever."""
        at: uint64_t = self.regs_[R_RIP]
        self.single = single
        self.leave.open = single & STEP_OPEN != 0
        self.leave.first, self.leave.last = 1, 0
        if single & STEP_BARE:
            self.leave.first = at & _page_mask
            self.leave.last = (at + _longest - 1) & _page_mask
        if self.stub is not None:
            self.review()

    def review(self):
        """The stub is to look, before it goes on, whether it has more of pages than it may have in the run that begins, or
        after the one that ended."""
        i: uint32_t
        if self.mmu is None or not self.mmu.has_points:
            return
        axptr_lock_gil(self.phys.lock)
        self.stub.leave = self.leave
        for i in range(self.mmu.points.npages):
            self.phys.request_range(
                cython.address(self.stub.link), self.mmu.points.pages[i].page, self.mmu.points.pages[i].page + 4095
            )
        axptr_unlock(self.phys.lock)

    def bring_ahead(self, page, first, last):
        """A guest that writes page after page, up or down, finds the next ones there, also if it goes on here and there in
        turn. Lock held. They lie in [*first, *last] then.

        Not those of a file, which would be dated and written back as if it had written them; downwards none of another area.
        """
        slot: cython.pointer(uint64_t)
        left: cython.int
        i: uint32_t = 0
        walk: cython.pointer(Walk)
        while i < 4 and page != self.walks[i].up and page != self.walks[i].down:
            i += 1
        if i == 4:  # one more begins, perhaps: another page is to say where it goes
            walk = self.walks + self.next_walk
            self.next_walk = (self.next_walk + 1) & 3
            walk.up, walk.down, walk.window = page + 4096, page - 4096, 0
            return
        walk = self.walks + i
        rec: cython.pointer(AreaRec) = index_find(cython.address(self.mmu.areas), page)
        down: cython.bint = page == walk.down
        step: int64_t = -4096 if down else 4096
        at: uint64_t = page + cython.cast(uint64_t, step)
        bottom: uint64_t = self.mmu.first if rec == cython.NULL else max(rec.start & _page_mask, self.mmu.first)
        if self.mmu.keeps_times(page if down else at):
            walk.up, walk.down, walk.window = page + 4096, page - 4096, 0
            return
        walk.window = min(walk.window * 2, self.ahead) if walk.window else 4
        left = walk.window
        if self.phys.is_short(4096):
            left = 0  # what it may have is short: nothing that was not asked for
        while left and at <= self.mmu.last and self.mmu.at_once(at, READ) == cython.NULL:
            if down and at < bottom:
                break
            if self.mmu.bring_in(at, WRITE, cython.address(slot)) != FAULT_OK:
                break
            at += cython.cast(uint64_t, step)
            left -= 1
        if down:
            walk.up, walk.down = 1, at  # 1: no page
            first[0] = min(first[0], at + 4096)
        else:
            walk.up, walk.down = at, 1
            last[0] = max(last[0], at - 4096)

    def prepare(self):
        """Start the guest's process now rather than with the first run. `OSError` where the host does not allow it."""
        self.check_mine()
        if self.mmu is None:
            raise RuntimeError("attach a space before starting its process")
        self.need_stub()

    @property
    def guest_cpu_ns(self):
        """CPU time of the guest so far, nanoseconds: it is no time of any thread of this process."""
        if self.stub is not None:
            self.cache.account(self.stub)
        return self.cache.catch_up(None)

    @property
    def guest_spent_ns(self):
        """The same as far as it has been noted: of a guest that runs what it used before."""
        return self.cache.catch_up(self.stub)

    @property
    def guest_pid(self):
        """The process in which the guest runs; None while there is none."""
        return self.stub.s.pid or None if self.stub is not None else None

    @property
    def guest_pids(self):
        """The processes of all spaces that have one."""
        stub: Stub
        return [stub.s.pid for stub in self.cache.kept.values() if stub.s.pid]

    @property
    def stubs(self):
        """How many processes were started."""
        return self.cache.made
