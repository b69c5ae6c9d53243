"""Who is charged for a frame: accounts, one for each machine, and what each may hold.

Several machines lie in one memory where they are branches of a snapshot. A frame is charged to the account that the thread
acts for which takes it, until nobody holds it any more; a frame that many use, to whoever came first. (So do the memory control
groups of Linux.) What no account acts for is charged to nobody.

What a machine holds when a snapshot of it is taken is the snapshot's from then on, with the account; the machine goes on with
a new one that has nothing yet, and so does each branch. Accounts make a tree: above each is that of the snapshot that it came
of. Nobody escapes by that:

| an account that nobody has any more | its frames are charged to |
| --- | --- |
| and nothing below it | the one above it, or nobody |
| and one machine below it, which is the one it was of | that machine, as before the snapshot |
| and others below it | it alone, until one of these holds |

Not here: what has a machine take a frame, what becomes of it when there is none (`axptr.linux`).

Invariants, checked by `_check_accounts`: `used` is the number of frames in use whose account is charged to it; `frames` that of
those with its number; `children` that of those known whose parent it is.

Locking: all under `lock`, but whom a thread acts for, which is the thread's own. Failure: `LinuxError(ENOMEM)` for the 65,536th
account; a frame past its limit there is not (`PhysMemory.has_room`).
"""

import errno

import cython
from cython.cimports.axptr._core.phys.acting import axptr_acts_for, axptr_acts_in, axptr_set_acting
from cython.cimports.axptr._core.phys.charges import Charges
from cython.cimports.axptr._core.phys.hostmem import lazy
from cython.cimports.axptr._core.phys.runs import FrameRuns
from cython.cimports.axptr._core.words.codes import PAGE_SHIFT, PAGE_SIZE
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import uint16_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.libc.string import memset
from cython.cimports.posix.mman import munmap

from axptr.addr import checked_size
from axptr.errors import LinuxError

_ENDLESS = cython.declare(uint64_t, cython.cast(uint64_t, -1))
_MOST = cython.declare(uint32_t, 65535)


# As of `PhysMemory`: not for the collector, and no objects here.
@cython.no_gc
@cython.cclass
class FrameAccounts(FrameRuns):
    def __dealloc__(self):
        free(self.charges)
        if self.payers:
            munmap(self.payers, self.nframes * cython.sizeof(uint16_t))

    def acting(self):
        """The number of the account that this thread acts for; 0 for none."""
        return axptr_acts_for() if axptr_acts_in() == cython.cast(cython.p_void, self) else 0

    def may_charge(self, count):
        """Whether whoever acts may have so many frames more."""
        number: uint16_t = self.acting()
        return number == 0 or self.charges[number].used + count <= self.charges[number].limit

    def is_short(self, count):
        """Whether fewer than so many frames are left within the limits: nothing is brought in then that was not asked for."""
        return self.ndata + self.ntable - self.nshelved + count > self.limit_frames or not self.may_charge(count)

    def note_peak(self):
        if self.ndata + self.ntable - self.nshelved > self.peak:
            self.peak = self.ndata + self.ntable - self.nshelved

    def count_in(self, first, count):
        """So many frames side by side are in use from now on; `ndata` or `ntable` says so."""
        self.note_peak()
        self.charge(first, count)

    def charge(self, first, count):
        """Whoever acts is charged for frames that nobody was."""
        pfn: uint64_t
        at: cython.pointer(Charges)
        number: uint16_t = self.acting()
        if number == 0:
            return
        at = self.charges + number
        for pfn in range(first, first + count):
            self.payers[pfn] = number
        at.frames += count
        at = self.charges + at.into
        at.used += count
        if at.used > at.peak:
            at.peak = at.used

    def discharge(self, pfn):
        """Nobody is charged for a frame any more."""
        number: uint16_t
        at: cython.pointer(Charges)
        if self.payers == cython.NULL or self.payers[pfn] == 0:
            return
        number = self.payers[pfn]
        self.payers[pfn] = 0
        at = self.charges + number
        at.frames -= 1
        if at.into:
            self.charges[at.into].used -= 1
        if at.frames == 0 and at.into != number:
            at.known = 0

    def fold(self, number, into):
        """An account is over: another is charged for what it was, or nobody (0)."""
        other: uint32_t
        at: cython.pointer(Charges) = self.charges + number
        heir: cython.pointer(Charges) = self.charges + into
        if into:
            heir.used += at.used
            heir.peak = max(heir.peak, heir.used)
            heir.base -= min(heir.base, at.used)
        at.used = at.children = 0
        for other in range(1, self.naccounts):
            if self.charges[other].into == number:
                self.charges[other].into = into
        at.known = at.frames != 0

    def only_child(self, number):
        other: uint32_t
        for other in range(1, self.naccounts):
            if self.charges[other].known and self.charges[other].into == other and self.charges[other].parent == number:
                return cython.cast(uint16_t, other)
        return 0

    def settle(self, number):
        """Something changed at an account: if it is over, whoever is then charged is."""
        at: cython.pointer(Charges)
        child: uint16_t
        while number and not self.charges[number].held:
            at = self.charges + number
            if at.children == 0:
                self.fold(number, at.parent)
                number = at.parent
                if number:
                    self.charges[number].children -= 1
            elif at.children == 1:
                child = self.only_child(number)
                if self.charges[child].machine == at.machine:
                    self.charges[child].parent = at.parent
                    self.fold(number, child)
                return
            else:
                return

    def open_account(self, limit, parent, machine):
        """The number of a new one. machine: whose it is; 0 for one of its own. Lock held, and the GIL."""
        number: uint32_t = 1
        grown: cython.p_void
        at: cython.pointer(Charges)
        if self.payers == cython.NULL:
            self.payers = cython.cast(cython.pointer(uint16_t), lazy(self.nframes * cython.sizeof(uint16_t)))
            if self.payers == cython.NULL:
                raise LinuxError(errno.ENOMEM, "the host has no room for who is charged for a frame")
        while number < self.naccounts and self.charges[number].known:
            number += 1
        if number >= self.naccounts:
            if number > _MOST:
                raise LinuxError(errno.ENOMEM, f"this memory has {_MOST} accounts")
            grown = realloc(self.charges, (number * 2 + 2) * cython.sizeof(Charges))
            if grown == cython.NULL:
                raise MemoryError
            self.charges = cython.cast(cython.pointer(Charges), grown)
            memset(self.charges + self.naccounts, 0, (number * 2 + 2 - self.naccounts) * cython.sizeof(Charges))
            self.naccounts = min(number * 2 + 2, _MOST + 1)
        at = self.charges + number
        memset(at, 0, cython.sizeof(Charges))
        at.known = at.held = 1
        at.into = cython.cast(uint16_t, number)
        at.limit = limit
        at.parent = parent
        if machine == 0:
            self.machines += 1
            machine = self.machines
        at.machine = machine
        if parent:
            self.charges[parent].children += 1
            at.base = self.charges[parent].base + self.charges[parent].used
        return number

    def _check_accounts(self):
        """Raise `AssertionError` if an invariant of this module does not hold. Lock held."""
        pfn: uint64_t
        number: uint32_t
        used: dict = {}
        frames: dict = {}
        children: dict = {}
        if self.payers == cython.NULL:
            return
        for pfn in range(1, self.nframes):
            if pfn == self.next_fresh and pfn < self.floor:
                continue
            if self.next_fresh <= pfn < self.floor or self.payers[pfn] == 0:
                continue
            number = self.payers[pfn]
            frames[number] = frames.get(number, 0) + 1
            number = self.charges[number].into
            used[number] = used.get(number, 0) + 1
        for number in range(1, self.naccounts):
            if self.charges[number].known and self.charges[number].into == number:
                parent = self.charges[number].parent
                children[parent] = children.get(parent, 0) + 1
        for number in range(1, self.naccounts):
            at: cython.pointer(Charges) = self.charges + number
            said: tuple = (at.used, at.frames, at.children)
            found: tuple = (used.get(number, 0), frames.get(number, 0), children.get(number, 0))
            if found != (said if at.known else (0, 0, 0)):
                raise AssertionError(f"account {number} has used, frames, children {found}, noted {said}")


@cython.final
@cython.cclass
class Acting:
    """`with account.acting():`: frames that this thread takes are charged to it. Several may be nested."""

    account: Account
    memory: cython.p_void
    number: uint16_t

    def __cinit__(self, account: Account):
        self.account = account

    def __enter__(self):
        self.memory, self.number = axptr_acts_in(), axptr_acts_for()
        axptr_set_acting(cython.cast(cython.p_void, self.account.memory), self.account.number)

    def __exit__(self, kind, error, trace):
        axptr_set_acting(self.memory, self.number)


@cython.final
@cython.cclass
class Account:
    """Bytes of frames that somebody may hold, and holds. limit: None for as many as there are.

    It is over with the last reference to this object: see above. `LinuxError(ENOMEM)`.
    """

    def __cinit__(self, memory: FrameAccounts, limit=None, *, of: Account = None):
        """of: the account of the snapshot that its owner is made of."""
        most: uint64_t = _frames(limit)
        axptr_lock_gil(memory.lock)
        try:
            self.number = memory.open_account(most, of.number if of is not None else 0, 0)
        finally:
            axptr_unlock(memory.lock)
        self.memory = memory

    def __dealloc__(self):
        if cython.cast(cython.p_void, self.memory) == cython.cast(cython.p_void, None) or self.memory.forked:
            return  # after a fork the lock may be held for ever
        axptr_lock_gil(self.memory.lock)
        self.memory.charges[self.number].held = 0
        self.memory.settle(self.number)
        axptr_unlock(self.memory.lock)

    def acting(self):
        """A context in which this thread takes frames for it."""
        return Acting(self)

    def hand_over(self):
        """What is charged is another's from now on, whose account is given back: a snapshot's, without a limit. Here it begins
        anew, below that one."""
        memory: FrameAccounts = self.memory
        other: Account = Account.__new__(Account, memory)
        spare: uint16_t = other.number
        axptr_lock_gil(memory.lock)
        try:
            at: cython.pointer(Charges) = memory.charges + self.number
            fresh: cython.pointer(Charges) = memory.charges + spare
            fresh.limit, fresh.machine, fresh.parent = at.limit, at.machine, self.number
            fresh.base = at.base + at.used
            at.children += 1
            at.limit = _ENDLESS
            other.number, self.number = self.number, spare
            if memory.acting() == other.number:
                axptr_set_acting(cython.cast(cython.p_void, memory), spare)
        finally:
            axptr_unlock(memory.lock)
        return other

    def take_back(self, other: Account):
        """Undo `hand_over`: the snapshot could not be taken."""
        memory: FrameAccounts = self.memory
        axptr_lock_gil(memory.lock)
        memory.charges[other.number].limit = memory.charges[self.number].limit
        other.number, self.number = self.number, other.number
        axptr_unlock(memory.lock)

    def go_below(self, other: Account):
        """Its owner was put back to the snapshot that `other` is of."""
        memory: FrameAccounts = self.memory
        before: uint16_t
        axptr_lock_gil(memory.lock)
        at: cython.pointer(Charges) = memory.charges + self.number
        before = at.parent
        if before != other.number:
            memory.charges[other.number].children += 1
            at.parent = other.number
            if before:
                memory.charges[before].children -= 1
                memory.settle(before)
        at.base = memory.charges[other.number].base + memory.charges[other.number].used
        axptr_unlock(memory.lock)

    @property
    def used(self):
        """Bytes that are charged to it."""
        return self.memory.charges[self.number].used << PAGE_SHIFT

    @property
    def shown(self):
        """The same, and what its owner shares with those that it came of."""
        at: cython.pointer(Charges) = self.memory.charges + self.number
        return (at.base + at.used) << PAGE_SHIFT

    @property
    def peak(self):
        """The most that `shown` was, as long as it came of the same."""
        at: cython.pointer(Charges) = self.memory.charges + self.number
        return (at.base + at.peak) << PAGE_SHIFT

    @property
    def limit(self):
        """Bytes that it may hold; None for any."""
        most: uint64_t = self.memory.charges[self.number].limit
        return None if most == _ENDLESS else most << PAGE_SHIFT

    @limit.setter
    def limit(self, size):
        self.memory.charges[self.number].limit = _frames(size)

    def __reduce__(self):
        raise TypeError("an account cannot be pickled: it is of this process's memory")

    def __repr__(self):
        return f"<Account {self.used >> 10} KiB of {'any' if self.limit is None else f'{self.limit >> 10} KiB'}>"


@cython.cfunc
@cython.exceptval(check=True)
def _frames(size: object) -> uint64_t:
    return _ENDLESS if size is None else min(checked_size(size, "limit") // PAGE_SIZE, _ENDLESS >> PAGE_SHIFT)
