"""A guest that has not got the CPU, and whose registers stay where they are: in its stub, in the call that it waits in.

Nothing of it is moved until somebody wants to see it, or another guest wants the stub. So a guest that blocks and is woken
costs the answer to its call, and no more.

Not here: the registers of the guest that has the CPU (`nativestate`), which stub is whose (`stubcache`).

Invariant: `stub.occupant` is the one whose `stub` it is. Locking: the GIL.
"""

import cython
from cython.cimports.axptr._core.cpu.native.nativestate import extent_of, first_image, user_regs
from cython.cimports.axptr._core.cpu.native.stub import Stub


@cython.no_gc_clear
@cython.cclass
class Parked:
    """Made by `NativePages.park` alone. lost: its stub was ended from outside while it waited in a call."""

    def __dealloc__(self):
        if self.stub is not None and self.stub.occupant == cython.cast(cython.p_void, self):
            self.stub.occupant = cython.NULL

    def stay(self, stub):
        """What the guest has in a stub is this one's."""
        self.stub = stub
        stub.occupant = cython.cast(cython.p_void, self)
        return 0

    def take_back(self):
        """The stub, which nobody occupies any more: who takes it has the registers in it."""
        stub: Stub = self.stub
        self.stub = None
        stub.occupant = cython.NULL
        return stub

    def surface(self):
        """Out of the call that it waits in; it stays in the stub. The turn there is ours."""
        failed: cython.int
        if self.in_call:
            self.in_call = False
            with cython.nogil:
                failed = self.stub.surface(self.regs_, cython.address(self.segments))
            if failed < 0:
                self.lost = True
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
        if self.in_call:
            self.in_call = False
            self.lost = True
        return self.leave()

    def _take(self):
        """All registers, as `NativeState._take` has them. `RuntimeError` if they are lost."""
        self.surface()
        if self.lost:
            raise RuntimeError("the guest's process was ended from outside: its registers are lost")
        if self.stub is not None and self.stub.vectors != cython.NULL:
            image: bytes = cython.cast(cython.p_char, self.stub.vectors)[: extent_of(self.stub)]
        else:
            image = self.image if self.image is not None else first_image()
        return user_regs(self.regs_, cython.address(self.segments)), image

    def __reduce__(self):
        raise TypeError("what is parked in an engine cannot be pickled: its `saved` gives a context")
