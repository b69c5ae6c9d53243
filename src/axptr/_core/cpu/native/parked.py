"""A guest that has not got the CPU, and whose registers stay where they are: in its stub, in the call that it waits in.

Nothing of it is moved until somebody wants to see it, or another guest wants the stub. So a guest that blocks and is woken
costs the answer to its call, and no more.

One of a crew (`crew`) may also be out: running, on another core. It is brought back before anything of it is looked at.

Not here: the registers of the guest that has the CPU (`nativestate`), which stub is whose (`stubcache`).

Invariant: `stub.occupant` is the one whose `stub` it is. Locking: the GIL.
"""

import cython
from cython.cimports.axptr._core.cpu.metronome import beat_end
from cython.cimports.axptr._core.cpu.native.nativestate import extent_of, first_image, user_regs
from cython.cimports.axptr._core.cpu.native.parked import ENDED, TO_GO
from cython.cimports.axptr._core.cpu.native.stub import (
    NAT_GUEST_CALL,
    NAT_MAP_CALL,
    NAT_NOTHING,
    NAT_TURN,
    R_RIP,
    Stub,
    nat_await,
    nat_cpu_time,
    nat_ended,
    nat_interrupt,
)
from cython.cimports.cpython.ref import PyObject
from cython.cimports.libc.stdint import uint64_t

from axptr.errors import GuestLost

_SIGSYS = cython.declare(uint64_t, 31)
_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)
_vsyscall = cython.declare(uint64_t, 0xFFFF_FFFF_FF60_0000)


@cython.cfunc
@cython.exceptval(-1, check=False)
def _fence(runner: cython.p_void) -> cython.int:
    """Have the guest in a stub come out, if it runs beside what its owner does."""
    stub: Stub = cython.cast(Stub, cython.cast(cython.pointer(PyObject), runner))
    if stub.occupant != cython.NULL:
        cython.cast(Parked, cython.cast(cython.pointer(PyObject), stub.occupant)).recall()
    return 0


@cython.no_gc_clear
@cython.cclass
class Parked:
    """Made by `NativePages.park` alone. lost: its stub was ended from outside while it ran or waited in a call."""

    def __dealloc__(self):
        if self.stub is not None and self.stub.occupant == cython.cast(cython.p_void, self):
            self.stub.occupant = cython.NULL

    def stay(self, stub):
        """What the guest has in a stub is this one's."""
        self.stub = stub
        stub.occupant = cython.cast(cython.p_void, self)
        stub.link.runner = cython.cast(cython.p_void, stub)
        stub.link.fence = _fence
        return 0

    def take_back(self):
        """The stub, which nobody occupies any more: who takes it has the registers in it."""
        stub: Stub = self.stub
        self.stub = None
        stub.occupant = cython.NULL
        return stub

    def goes_on(self):
        """Whether it runs, or has come back with something that lies in its stub."""
        return self.out or self.event != 0

    def collect(self, event):
        """It has come back with this event."""
        stub: Stub = self.stub
        self.out = 0
        beat_end(cython.address(stub.beat))
        self.event = event
        if event == ENDED:  # what is here is from before it was let go: no more than that if it has run
            stub.lose()
            self.event = TO_GO
            self.lost = stub.s.channel.awake != 0
            return 0
        if stub.take(event, self.regs_, cython.address(self.segments)) < 0:
            self.event = NAT_MAP_CALL
        self.in_call = event == NAT_GUEST_CALL
        return 0

    def recall(self):
        """Have it come back, if it runs. What it came back with stays to be looked at."""
        event: cython.int
        ended: cython.bint
        if not self.out:
            return 0
        with cython.nogil:
            nat_interrupt(cython.address(self.stub.s), 1)
            event = nat_await(cython.address(self.stub.s))
            ended = nat_ended(cython.address(self.stub.s))
        if event != NAT_NOTHING:
            return self.collect(event)
        self.collect(ENDED)
        if not ended:  # it was let run and keeps signals out, whatever it says
            self.lost = True
        return 0

    @property
    def _used(self):
        """Nanoseconds of CPU time that it has used and that nobody has noted."""
        stub: Stub = self.stub
        return nat_cpu_time(cython.address(stub.s)) - stub.seen if stub is not None else 0

    def surface(self):
        """Out of the call that it waits in; it stays in the stub. The turn there is ours."""
        failed: cython.int
        self.recall()
        if self.in_call:
            self.in_call = False
            with cython.nogil:
                failed = self.stub.surface(self.regs_, cython.address(self.segments))
            if failed < 0:
                self.lost = True
        return 0

    def has_call(self):
        """Whether it came back with a call that nobody has served: one of those that come as a signal, too."""
        if self.event == NAT_GUEST_CALL:
            return True
        return (
            self.event == NAT_TURN
            and self.stub is not None
            and self.stub.s.channel.signal == _SIGSYS
            and (self.stub.s.channel.address & _page_mask != _vsyscall)
        )

    def call_anew(self):
        """A call that nobody has served has not been made: the guest stands before it, and makes it when it goes on."""
        if self.has_call():
            self.surface()
            self.event = 0
            if not self.lost:
                self.regs_[R_RIP] -= 2
        return 0

    def leave(self):
        """Out of the stub, with all that it has there."""
        if self.stub is None:
            return 0
        self.surface()
        if not self.lost and self.stub.vectors != cython.NULL:
            self.image = cython.cast(cython.p_char, self.stub.vectors)[: extent_of(self.stub)]
        self.take_back()
        return 0

    def give_up(self):
        """The stub is about to be ended, whatever is in it."""
        if self.out:
            self.out = 0
            beat_end(cython.address(self.stub.beat))
            self.lost = True
        if self.in_call:
            self.in_call = False
            self.lost = True
        return self.leave()

    def _take(self):
        """All registers, as `NativeState._take` has them. `GuestLost` if they are lost."""
        self.surface()
        if self.lost:
            raise GuestLost("the guest's process was ended from outside: its registers are lost")
        if self.has_call():  # as if it had not been made yet
            self.regs_[R_RIP] -= 2
            general = user_regs(self.regs_, cython.address(self.segments))
            self.regs_[R_RIP] += 2
        else:
            general = user_regs(self.regs_, cython.address(self.segments))
        if self.stub is not None and self.stub.vectors != cython.NULL:
            image: bytes = cython.cast(cython.p_char, self.stub.vectors)[: extent_of(self.stub)]
        else:
            image = self.image if self.image is not None else first_image()
        return general, image

    def __reduce__(self):
        raise TypeError("what is parked in an engine cannot be pickled: its `saved` gives a context")
