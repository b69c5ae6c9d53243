"""The stubs of one engine: one for each space that it has run and that lives, or some if several guests take turns in it;
the least used of them ended when there are many.

A stub is a cache. It goes with its space, unless another that may have it (`SpaceCore.kin`) comes soon, when the space's
place for it is taken, when it has died, or for want of room; nothing is lost but time. While its space is not the one that runs, what was taken away from it waits to be carried out
until it is its turn again. Frames that were given up wait with it: `settle` has all of them do it now.

Not here: what a stub is (`stub`), what becomes of the guest's registers (`nativepages`).

Locking: the GIL. Each stub is used by the thread that runs the engine; one whose space has died by whoever dropped it.
"""

from _weakref import ref

import cython
from cython.cimports.axptr._core.cpu.native.habits import Habits
from cython.cimports.axptr._core.cpu.native.parked import Parked
from cython.cimports.axptr._core.cpu.native.stub import NAT_SPAN, Stub, nat_cpu_time, nat_ended, nat_ours
from cython.cimports.axptr._core.mm.areas import AreaRec, index_at, index_seek
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_lock_nogil, axptr_unlock
from cython.cimports.cpython.ref import PyObject
from cython.cimports.libc.stdint import int64_t, uint64_t

# Where stubs may lie: the first place where the space has no area. Far from where programs and their mappings are.
_BASES = tuple(0x6FFF_0000_0000 - (i << 40) for i in range(64)) + tuple(0x2_4000_0000 + (i << 33) for i in range(64))

_turns = cython.declare(uint64_t, 8)  # taken in one stub, before a second is worth its start
_most_of_space = cython.declare(cython.int, 4)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def in_the_way(space: SpaceCore, base: uint64_t) -> cython.bint:
    """Whether the space has an area where a stub at `base` lies."""
    rec: cython.pointer(AreaRec)
    axptr_lock_nogil(space.phys.lock)
    rec = index_at(cython.address(space.areas), index_seek(cython.address(space.areas), base))
    axptr_unlock(space.phys.lock)
    return rec != cython.NULL and rec.start < base + NAT_SPAN


@cython.no_gc_clear
@cython.cclass
class StubCache:
    """Stubs by the space that they serve. limit: how many there may be. made: how many were started."""

    def __cinit__(self, phys: PhysMemory, limit: cython.int, traps_counter: cython.bint):
        self.phys = phys
        self.traps_counter = traps_counter
        self.limit = limit
        self.most_spares = 1  # as many as run at once
        self.kept = {}
        self.dying = []
        self.spares = []

    def bury(self, stub):
        """Its space is no more, or about to go: the collector tells of it before, and the space still points to the
        stub's link then. Such a one is kept until the space has let go of it."""
        self.oust(stub)
        if stub.link.gone:
            self.end(stub)
        else:
            self.account(stub)
            self.remember(stub)
            stub.die()
            self.dying.append(stub)
        return 0

    def clean_up(self):
        """End those whose space has let go of them by now."""
        stub: Stub
        for stub in self.dying:
            if stub.link.gone:
                stub.end()
        self.dying = [stub for stub in self.dying if not cython.cast(Stub, stub).link.gone]
        return 0

    def find(self, space):
        """A stub of a space, fit to run it and with nobody in it; a new one if need be. `OSError` where the host does not
        allow it, `RuntimeError` where the space leaves no room."""
        if self.dying:
            self.clean_up()
        stub: Stub = self.of_space(space)
        if stub is not None:
            self.used(stub)
            self.oust(stub)
            self.bring_out(stub)
            if self.fit(stub):
                return stub
            self.drop(stub)
        while len(self.kept) >= self.limit:
            self.end_oldest()
        for base in _BASES:
            if not in_the_way(space, base):
                break
        else:
            raise RuntimeError("the space leaves no room for the native engine")
        stub = self.take_spare(space)
        while stub is None:
            stub = Stub()
            try:
                stub.prepare(self.phys, space)
                habits: Habits = getattr(space, "habits", None)
                if habits is not None:
                    habits.prepare(stub, space)
                stub.start(base, self.traps_counter)
            except OSError:
                stub = None
                if not self.kept:
                    raise
                self.end_oldest()  # a limit of the host's, on processes or descriptors
            else:
                self.made += 1
        self.keep(stub, space)
        return stub

    def of_space(self, space):
        """The stub of a space to be taken next: one that nobody is in, else that which was not used for longest. None for
        a new one: where threads take turns often enough, it is cheaper that each stays in its own."""
        stub: Stub
        best: Stub = None
        many: cython.int = 0
        for stub in list(self.kept.values()):
            if stub.of() is not space:
                continue
            if not self.fit(stub) or in_the_way(space, stub.s.base):
                self.drop(stub)
                continue
            many += 1
            if stub.occupant == cython.NULL:
                return stub
            if best is None and not self.goes_on(stub):
                best = stub
        if best is None:
            return None
        best.evictions += 1
        if best.evictions > _turns and many < _most_of_space:
            best.evictions = 0
            return None
        return best

    def used(self, stub):
        """It is the last to be ended."""
        key: object = id(stub)
        del self.kept[key]
        self.kept[key] = stub
        return 0

    def oust(self, stub):
        """Have whoever is in it leave, with all that is theirs."""
        if stub.occupant != cython.NULL:
            cython.cast(Parked, cython.cast(cython.pointer(PyObject), stub.occupant)).leave()
        return 0

    def bring_out(self, stub):
        """Have it out of the call that it waits in, whosever that is. `broken`, if it is dead now."""
        if stub.occupant != cython.NULL:
            cython.cast(Parked, cython.cast(cython.pointer(PyObject), stub.occupant)).surface()
        if stub.waiting:  # in a call of one who is no more
            with cython.nogil:
                stub.surface(cython.NULL, cython.NULL)
        return 0

    def keep(self, stub, space):
        """Take a stub of this space into the table, until the space is no more."""
        key: object = id(stub)
        kept: dict = self.kept

        def lost(reference):
            gone: Stub = kept.get(key)
            if gone is not None and gone.of is reference:
                del kept[key]
                self.lay_aside(gone)

        stub.of = ref(space, lost)
        stub.place = cython.cast(cython.p_void, space)
        kept[key] = stub
        return 0

    def may_serve(self, stub):
        """Whether a stub whose space goes may have another: it has had nothing of it, or the programs of both may do to
        each other what they like. It has nothing of it then."""
        if not stub.link.at_rest or not self.fit(stub) or self.goes_on(stub) or (stub.maps and not stub.link.kin):
            return False
        self.account(stub)
        self.oust(stub)
        self.bring_out(stub)
        return not stub.broken and stub.strip() == 0

    def lay_aside(self, stub):
        """The space of a stub has gone, or is about to: then it lets go of the stub a moment later. Few are kept: what a
        machine has does not depend on its past."""
        self.remember(stub)
        if len(self.spares) < self.most_spares and self.may_serve(stub):
            self.spares.append(stub)
        else:
            self.bury(stub)
        return 0

    def take_spare(self, space):
        """A stub that was laid aside, if there is one for this space that fits where that has no area; None otherwise."""
        stub: Stub
        for stub in list(self.spares):
            if not stub.link.gone or (stub.maps and not space.kin) or in_the_way(space, stub.s.base):
                continue
            self.spares.remove(stub)
            if not self.fit(stub):
                self.end(stub)
                continue
            space.attach_engine(cython.address(stub.link))
            return stub
        return None

    def fit(self, stub):
        """Whether a stub can be used."""
        return not stub.broken and nat_ours(cython.address(stub.s)) and not nat_ended(cython.address(stub.s))

    def end(self, stub):
        """End a stub that is not in the table. Who is in it takes along what is theirs."""
        self.oust(stub)
        self.account(stub)
        self.remember(stub)
        stub.end()
        return 0

    def remember(self, stub):
        """Have others of its origin begin with what it has."""
        if stub.habits is not None:
            cython.cast(Habits, stub.habits).learn(stub)
            stub.habits = None
        return 0

    def end_oldest(self):
        stub: Stub
        oldest: Stub = None
        for stub in self.kept.values():
            if oldest is None or not self.goes_on(stub):
                oldest = stub
                if not self.goes_on(stub):
                    break
        self.drop(oldest)
        return 0

    def goes_on(self, stub):
        """Whether there is a guest in it that runs, or has come back with something."""
        if stub.occupant == cython.NULL:
            return False
        return cython.cast(Parked, cython.cast(cython.pointer(PyObject), stub.occupant)).goes_on()

    def drop(self, stub):
        """End a stub."""
        self.kept.pop(id(stub), None)
        self.end(stub)
        return 0

    def close(self):
        """End them all. Idempotent."""
        while self.kept:
            stub: Stub = self.kept.popitem()[1]
            if stub.occupant != cython.NULL:  # nobody will go on with it
                cython.cast(Parked, cython.cast(cython.pointer(PyObject), stub.occupant)).give_up()
            self.end(stub)
        while self.spares:
            self.bury(self.spares.pop())
        self.clean_up()

    def settle(self, busy):
        """Have every stub but `busy` lose what its page table does not allow any more; frames that waited for that are
        free then."""
        stub: Stub
        space: SpaceCore
        failed: cython.int
        for stub in list(self.kept.values()):
            if stub is busy or not stub.asked():
                continue
            space = stub.of()
            if space is None or stub.link.gone:
                continue  # it is ended in a moment
            self.bring_out(stub)
            if stub.broken:
                self.drop(stub)
                continue
            axptr_lock_gil(self.phys.lock)
            failed = stub.apply(space)
            axptr_unlock(self.phys.lock)
            if failed < 0:
                self.drop(stub)
        return 0

    def account(self, stub):
        """Take note of the CPU time that a stub has used."""
        now: int64_t = nat_cpu_time(cython.address(stub.s))
        self.spent += now - stub.seen
        stub.seen = now
        stub.unseen = False
        return self.spent

    def catch_up(self, but):
        """The same for all that have run since that was done, but for one."""
        stub: Stub
        left: cython.bint = False
        if self.unseen:
            for stub in self.kept.values():
                if stub.unseen and stub is not but:
                    self.account(stub)
                left = left or stub.unseen
            self.unseen = left
        return self.spent
