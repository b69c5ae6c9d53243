"""Several guests at once, each in its stub, on as many of the host's cores; what they come back with is served in turn, by
one thread.

A guest of the crew is let go and goes on by itself. One poll waits for all that are out. Whoever comes back gets the CPU's
registers, is served as a lone guest is, and let go again; or the run ends, with its registers in the CPU, and the others
stay out.

What is taken from a space while others run in it, or on its frames, is taken from all of them before the guest goes on for
which that was done (`let_go`): no guest ever sees another's call return before its effects. As with hardware, what happens
meanwhile on another core may still have been before.

Not here: who is let run, and for how long (`axptr.kernel.crew`), a lone guest (`native`).

Invariant: a member is out, or has an event to be looked at, or is the one that is `here`. While one is here, `who` is it.
Locking: poll and faults without the GIL; changing the guest takes it.
"""

import os

import cython
from cython.cimports.axptr._core.cpu.metronome import beat_add, beat_end, beat_remove, beat_start, clock_now
from cython.cimports.axptr._core.cpu.native.crew import (
    MOST,
    POLLIN,
    Member,
    close_fd,
    poll,
    pollfd,
    read_fd,
    sched_getcpu,
    write_fd,
)
from cython.cimports.axptr._core.cpu.native.native import NativeCpu
from cython.cimports.axptr._core.cpu.native.parked import ENDED, TO_GO, Parked
from cython.cimports.axptr._core.cpu.native.stub import (
    NAT_NOTHING,
    Stub,
    nat_ended,
    nat_interrupt,
    nat_next,
    nat_place,
    nat_receive,
)
from cython.cimports.axptr._core.cpu.running import CAME_ASTRAY, CAME_BROKEN, CAME_RENEW, CAME_TIMEOUT
from cython.cimports.axptr._core.words.lock import axptr_lock_nogil, axptr_unlock
from cython.cimports.libc.stdint import int64_t, uint64_t
from cython.cimports.libc.string import memcpy

_nap = cython.declare(cython.int, 500)  # milliseconds: the longest wait without a look at the guests' lives


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _ring(handle: cython.p_void) -> cython.void:
    """Have the thread that waits for the crew look up."""
    one: uint64_t = 1
    write_fd(cython.cast(cython.pointer(cython.int), handle)[0], cython.address(one), 8)


@cython.cfunc
@cython.exceptval(check=False)
def _hang_up(crew: NativeCrew) -> cython.void:
    """Nobody will be let run any more; nobody was, of a crew that is half made."""
    if crew.bell.kick is not cython.NULL:
        beat_remove(cython.address(crew.bell))
        close_fd(crew.bell_fd)
        crew.bell.kick = cython.NULL
        crew.bell_fd = -1


@cython.cfunc
@cython.with_gil
@cython.exceptval(check=False)
def _load(crew: NativeCrew, i: cython.int) -> cython.void:
    try:
        crew.load(i)
    except BaseException as error:
        crew.error = error
        crew.failed = True


@cython.cfunc
@cython.with_gil
@cython.exceptval(check=False)
def _recall_stale(crew: NativeCrew) -> cython.void:
    """Bring back those that may still use what was taken away."""
    parked: Parked
    stub: Stub
    for parked in crew.crew:
        stub = parked.stub
        if parked.out and stub is not None and stub.link.need_flush:
            parked.recall()


@cython.no_gc_clear
@cython.cclass
class NativeCrew(NativeCpu):
    """`NativeEngine` derives from it; nobody else should."""

    def __cinit__(self, *args, **kwargs):
        self.crew = []
        self.bell_fd = -1

    def __dealloc__(self):
        _hang_up(self)

    # -- who belongs to it

    def _join(self, tag):
        """The guest in the CPU is to run beside the others, its calls going where they do now. What it is kept as."""
        if self.count == MOST:
            raise RuntimeError(f"{MOST} guests run already")
        self.cache.most_spares = 2
        if self.bell_fd < 0:
            self.bell_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self.bell.kick = _ring
            self.bell.handle = cython.address(self.bell_fd)
            beat_add(cython.address(self.bell))
        space: object = self.mmu
        parked: Parked = self._park()
        parked.tag, parked.handler, parked.space = tag, self.handler, space
        parked.look = False
        if not parked.event:
            parked.event = TO_GO
        member: cython.pointer(Member) = self.members + self.count
        member.s = cython.NULL
        member.out, member.event = cython.address(parked.out), cython.address(parked.event)
        self.crew.append(parked)
        self.count += 1
        return parked

    def leave_crew(self, parked):
        """It belongs to it no more. Who has it sees to the rest."""
        i: cython.int = self.crew.index(parked)
        j: cython.int
        del self.crew[i]
        self.count -= 1
        for j in range(i, self.count):
            self.members[j] = self.members[j + 1]
        if self.last >= self.count:
            self.last = 0
        if self.here and i < self.place:
            self.place -= 1
        parked.space = parked.tag = parked.handler = None
        if parked.event == TO_GO:
            parked.event = 0
        return 0

    def _withdraw(self, parked: Parked):
        """Bring one of the crew back: parked, as any other from now on. Nothing happens to one that is not of it."""
        self.check_mine()
        if parked in self.crew and not (self.here and self.who is parked):
            parked.recall()
            self.leave_crew(parked)
            if parked.stub is not None:
                parked.stub.unseen = self.cache.unseen = True

    def _fence_of(self, parked: Parked):
        """Have one of the crew come out, if it runs: what it did is done before this returns. It goes on by itself."""
        self.check_mine()
        parked.recall()

    def _nudge(self, parked: Parked):
        """One of the crew is to be seen: the run ends when it is back, which is soon."""
        parked.look = True
        if parked.out:
            nat_interrupt(cython.address(parked.stub.s), 0)

    @property
    def _tag(self):
        """Whose the guest is that the CPU has after a run of several; None: it has none."""
        return self.tag

    # -- the CPU's guest

    def stash(self):
        """Put what the CPU has of a guest back to it: all, or what it had when it was let go."""
        parked: Parked = self.who
        if parked is None:
            return 0
        stub: Stub = self.stub
        self.who = None
        self.here = False
        if not parked.out and not parked.event:
            parked.event = TO_GO
        memcpy(parked.regs_, self.regs_, cython.sizeof(self.regs_))
        parked.segments = self.segments
        parked.in_call, parked.lost, parked.image = self.in_call, self.lost, self.image
        parked.space, parked.handler = self.mmu, self.handler
        if stub is not None:
            parked.stay(stub)  # what it used meanwhile is noted when it is served: it is its own then
        elif parked.stub is not None:
            parked.take_back()
        self.stub = None
        self.image = None
        self.in_call = self.lost = False
        return 0

    def load(self, i):
        """Give the CPU one that is back, or is to be let go."""
        parked: Parked = self.crew[i]
        event: cython.int = parked.event
        stub: Stub
        if self.who is not parked:
            self.stash()
            memcpy(self.regs_, parked.regs_, cython.sizeof(self.regs_))
            self.segments = parked.segments
            self.in_call, self.lost, self.image = parked.in_call, parked.lost, parked.image
            self.mmu, self.handler, self.tag = parked.space, parked.handler, parked.tag
            self.who = parked
            stub = parked.stub
            if stub is not None:
                parked.take_back()
                self.enter_stub(stub)
        self.place = i
        self.here = True
        self.wanted, parked.look = parked.look, False
        parked.event = 0
        self.pending = 0 if event == TO_GO else event
        return 0

    # -- running

    def listen(self):
        """Wait for one that is out: its place, or -1 where there is something else to look at. `said`: it has said something."""
        fds: pollfd[49]
        places: cython.int[49]
        i: cython.int
        j: cython.int
        n: cython.int = 0
        spent: uint64_t
        left: int64_t = _nap
        for i in range(self.count):
            j = (self.last + 1 + i) % self.count
            if self.members[j].out[0]:
                fds[n].fd = self.members[j].s.listener
                fds[n].events = POLLIN
                fds[n].revents = 0
                places[n] = j
                n += 1
        fds[n].fd = self.bell_fd
        fds[n].events = POLLIN
        fds[n].revents = 0
        if poll(fds, n + 1, cython.cast(cython.int, left)) < 0:
            return -1
        if fds[n].revents:
            read_fd(self.bell_fd, cython.address(spent), 8)
        for i in range(n):
            if fds[i].revents:
                self.said = fds[i].revents & POLLIN != 0
                return places[i]
        return -1

    def pick(self):
        """Wait until one of the crew is to be looked at, and give it the CPU. 0, or a CAME_ code, and then it has none."""
        i: cython.int
        event: cython.int
        while True:
            code: cython.int = self.asked_to_stop()
            if code:
                return code
            if self.deadline and clock_now() >= self.deadline:
                return CAME_TIMEOUT
            if self.bell.kicked:
                code = self.beaten()
                if code:
                    return code
            for i in range(self.count):
                if self.members[i].event[0]:
                    _load(self, i)
                    return self.asked_to_stop() if self.failed else 0
            if self.count == 0:
                return CAME_TIMEOUT
            i = self.listen()
            if i < 0:
                continue
            event = nat_receive(self.members[i].s) if self.said else nat_next(self.members[i].s, 0)
            if event == NAT_NOTHING:
                if not nat_ended(self.members[i].s):
                    continue
                event = ENDED
            self.last = i
            self.exits += 1
            _collect(self, i, event)

    def let_go(self):
        """The guest in the CPU goes on by itself. 0, or a CAME_ code, and then it is still here."""
        code: cython.int
        stale: cython.bint
        if cython.cast(cython.p_void, self.stub) == cython.cast(cython.p_void, None) or self.stub.broken:
            return CAME_RENEW
        axptr_lock_nogil(self.phys.lock)
        stale = self.phys.others_stale(cython.address(self.stub.link))
        axptr_unlock(self.phys.lock)
        if stale:
            _recall_stale(self)
        self.members[self.place].s = cython.address(self.stub.s)
        self.find_core()
        beat_start(cython.address(self.stub.beat), 0)
        code = self.set_off()
        if code:
            beat_end(cython.address(self.stub.beat))
            return code
        self.members[self.place].out[0] = 1
        self.here = False
        return 0

    def find_core(self):
        """The guest in the CPU is about to go on: not on a core where another does."""
        core: cython.int = sched_getcpu()
        taken: cython.bint = False
        alone: cython.bint = True
        i: cython.int
        for i in range(self.count):
            if i != self.place and self.members[i].out[0]:
                alone = False
                taken = taken or self.members[i].s.core == core
        nat_place(self.members[self.place].s, core, taken, alone)

    def loop_many(self):
        code: cython.int
        while True:
            if not self.here:
                code = self.pick()
                if code:
                    return code
            code = 0
            if self.pending and cython.cast(cython.p_void, self.stub) == cython.cast(cython.p_void, None):
                self.pending = 0
                code = CAME_BROKEN
            elif self.pending and self.stub.broken:
                self.pending = 0
                code = CAME_ASTRAY
            elif self.pending:
                code = self.sort_out()
            if code == 0:
                code = self.asked_to_stop()
            if code == 0 and self.wanted:
                self.wanted = False
                code = CAME_TIMEOUT
            if code == 0:
                code = self.let_go()
            if code:
                return code

    def loop(self):
        return self.loop_many() if self.many else NativeCpu.loop(self)

    def begin_run(self):
        return 0 if self.many else NativeCpu.begin_run(self)

    def take_over(self):
        parked: Parked
        if not self.many:
            NativeCpu.take_over(self)
            return
        for parked in self.crew:
            if parked.stub is not None:
                parked.stub.link.owner = self.owner

    def end_run(self):
        if not self.many:
            NativeCpu.end_run(self)

    def _run_all(self, timeout):
        """Let the crew run until Python must look: as `_run`, for whoever of it came back for that. It belongs to it no more,
        and is what the CPU has; `_tag` says whose it is, None if nobody came back and the time was over. A guest that the CPU
        had is given up."""
        parked: Parked
        stub: Stub
        mmu: object = self.mmu
        self.check_mine()
        if self.stub is not None:
            self._park()
        self.mmu = None
        self.phys.alive()
        if self.busy:
            raise RuntimeError("this engine is running: run() is not for system call handlers")
        wait: int64_t = -1 if timeout is None else cython.cast(int64_t, min(timeout, 1e9) * 1e9)
        self.many = True
        self.tag = None
        self.clock = cython.address(self.bell)
        try:
            return self.execute(wait)
        finally:
            self.many = False
            self.clock = cython.NULL
            parked = self.who
            if not self.here:
                self.stash()
                self.tag = None
                self.mmu = mmu
            elif parked is not None:
                self.who = None
                self.here = False
                if parked.stub is not None:
                    parked.take_back()
                parked.event = self.pending
                self.leave_crew(parked)
                stub = self.stub
                if stub is not None:
                    self.clock = cython.address(stub.beat)

    def close(self):
        """Give the CPU back now rather than with the last reference. Idempotent; `RuntimeError` while it runs."""
        NativeCpu.close(self)
        self.crew = []
        self.count = 0
        _hang_up(self)


@cython.cfunc
@cython.with_gil
@cython.exceptval(check=False)
def _collect(crew: NativeCrew, i: cython.int, event: cython.int) -> cython.void:
    """One that was out is back."""
    parked: Parked = crew.crew[i]
    try:
        if crew.who is parked:
            crew.stash()
        parked.collect(event)
    except BaseException as error:
        crew.error = error
        crew.failed = True
