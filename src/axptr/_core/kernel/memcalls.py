"""mmap, munmap, mprotect and brk, where they are done in one step: of fresh memory and of files of the host's that are seen
privately, of no more pages than are given up at once, for a process without limits of its own, sealed ranges and promises to
keep memory.

Each of these is made of the wrapper of its handler, which alone says what the call does: whatever is not so plain is left
to it, before anything has been changed. So is what is refused.

What the books of areas cost is taken off what a machine may hold (`book`), by these and by all other calls.

Not here: how an area comes, goes and is changed (`axptr._core.mm.mapping`), all other cases (`axptr.linux.calls.memory`).

Source: mmap(2), mprotect(2), brk(2); mm/mmap.c of Linux 6.18.
"""

import cython
from cython.cimports.axptr._core.host.places import axptr_dev, axptr_tell, axptr_told
from cython.cimports.axptr._core.kernel.filecalls import FileCall
from cython.cimports.axptr._core.kernel.memcalls import Books
from cython.cimports.axptr._core.kernel.waiting import Waiting
from cython.cimports.axptr._core.mm.areas import (
    AreaRec,
    index_find,
    index_first,
    index_gap_down,
    index_gap_up,
)
from cython.cimports.axptr._core.mm.frames import Backend
from cython.cimports.axptr._core.mm.mapping import MappedSpace
from cython.cimports.axptr._core.mm.space import retire
from cython.cimports.axptr._core.phys.charges import Account
from cython.cimports.axptr._core.words.codes import (
    EXECUTE,
    GUARD_GAP,
    IN_PAGE,
    KIND_STORE,
    PAGE_SHIFT,
    PAGE_SIZE,
    TRAIT_LOCKED,
    TRAIT_ON_FAULT,
    TRAIT_SEALED,
    TRAIT_UNASKED,
    WRITE,
    page_start,
)
from cython.cimports.axptr._core.words.conversion import Bound
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t

MAX_MAP_COUNT = 65_530
"""Areas that a process may have (max_map_count)."""
AREA_COST = 512
"""Bytes of books for an area: its record, what backs it, its name."""
MMAP_MIN_ADDR = 65536
"""Below it a program may map something by its rights only (mmap_min_addr)."""
BYTES_AT_ONCE = 16 << 20
"""What is given up before anybody looks at the clock and at signals."""

_most_areas = cython.declare(uint64_t, MAX_MAP_COUNT)
_area_cost = cython.declare(int64_t, AREA_COST)
_boundless = cython.declare(int64_t, 1 << 60)
_user_end = cython.declare(uint64_t, 0x7FFF_FFFF_F000)
_lowest = cython.declare(uint64_t, MMAP_MIN_ADDR)
_at_once = cython.declare(uint64_t, BYTES_AT_ONCE)
_sure_size = cython.declare(uint64_t, 1 << 40)
"""What a file of any file system may reach; beyond it handlers ask the host (`linux.fs.host.file`)."""
_kind = cython.declare(cython.uint, 0o170000)
_regular = cython.declare(cython.uint, 0o100000)
_accmode = cython.declare(cython.int, 3)
_wronly = cython.declare(cython.int, 1)
_path = cython.declare(cython.int, 0o10000000)
_private = cython.declare(uint64_t, 0x02)
_fixed = cython.declare(uint64_t, 0x10)
_anonymous = cython.declare(uint64_t, 0x20)
_plain_flags = cython.declare(uint64_t, 0x25832)
"""MAP_PRIVATE, FIXED, ANONYMOUS, and what changes nothing: DENYWRITE, EXECUTABLE, NORESERVE, STACK."""
_prot_exec = cython.declare(uint64_t, 4)
_rights = cython.declare(uint64_t, 7)
_own_traits = cython.declare(uint32_t, TRAIT_LOCKED | TRAIT_ON_FAULT | TRAIT_UNASKED)
_rlimit_data = cython.declare(object, 2)
_rlimit_as = cython.declare(object, 9)
_infinity = cython.declare(object, (1 << 64) - 1)
_billion = cython.declare(object, 1_000_000_000)


# -- what it costs


@cython.cfunc
def _open_books(machine: object, books: cython.pointer(Books)) -> Account:
    """What a machine may hold, and the account that it is charged to; none where there is no limit."""
    limit: object = machine.memory_limit
    books.limited = limit is not None
    if limit is None:
        return None
    books.limit = _boundless if limit > _boundless else limit
    books.besides = machine.pipe_bytes + machine.tree_bytes + machine.socket_bytes
    return machine.account


@cython.cfunc
@cython.exceptval(check=False)
def _book(books: cython.pointer(Books), of: object, areas: int64_t, strictly: cython.bint) -> cython.bint:
    """`book`, with what pipes cost more in `besides`. of: what `_open_books` gave."""
    cost: int64_t
    used: int64_t
    if not books.limited:
        return True
    account: Account = cython.cast(Account, of)
    cost = areas * _area_cost + books.besides
    used = account.memory.charges[account.number].used << PAGE_SHIFT
    if strictly and cost + used > books.limit - books.limit // 16:
        return False
    account.memory.charges[account.number].limit = max(books.limit - cost, 0) >> PAGE_SHIFT
    return True


def book(machine, areas: int64_t, pipes: int64_t, strictly: cython.bint):
    """Take what so many areas cost, and the machine's pipes, trees and sockets with so many bytes more, off the frames
    that it may hold. strictly: only where there is room for them, and more than next to none is left for pages. Whether it
    was done."""
    books: Books
    account: Account = _open_books(machine, cython.address(books))
    books.besides += pipes
    return _book(cython.address(books), account, areas, strictly)


@cython.cfunc
@cython.exceptval(-1)
def _names_alike(mount: object) -> cython.bint:
    """Whether maps call a file of a mount of the host's what the host does."""
    return mount is None or mount.names_alike


# -- what stands where. The memory's lock is held.


@cython.cfunc
@cython.exceptval(check=False)
def _near_stack(space: MappedSpace, end: uint64_t) -> cython.bint:
    """Whether the first area from an address on grows down, and what is there lies in the gap below it."""
    most: uint64_t = _user_end - end
    rec: cython.pointer(AreaRec)
    if end >= _user_end:
        return False
    rec = index_first(cython.address(space.areas), end, end + min(most, cython.cast(uint64_t, GUARD_GAP)) - 1)
    return rec != cython.NULL and rec.grow_limit != 0


@cython.cfunc
@cython.exceptval(check=False)
def _found(
    space: MappedSpace, hint: uint64_t, size: uint64_t, base: uint64_t, start: cython.pointer(uint64_t)
) -> cython.bint:
    """Where fresh room is, as `mem.vma.place` says: where the program would have it, or right below what is there. False
    where a stack is near, or it would be looked for elsewhere."""
    low: uint64_t = max(_lowest, space.first)
    high: uint64_t = min(base - 1, space.last)
    hint = page_start(hint)
    if hint:
        hint = max(hint, low)
        if (
            hint <= _user_end - size
            and hint + size - 1 <= space.last
            and index_gap_up(cython.address(space.areas), hint, hint + size - 1, size, PAGE_SIZE, start)
            and not _near_stack(space, hint + size)
        ):
            return True
    if high <= low or size > high - low:
        return False
    if not index_gap_down(cython.address(space.areas), low, high, size, PAGE_SIZE, start):
        return False
    return not _near_stack(space, start[0] + size)


@cython.cfunc
@cython.exceptval(check=False)
def _cut(space: MappedSpace, at: uint64_t) -> cython.pointer(AreaRec):
    """The area that a border there cuts in two; NULL for none."""
    rec: cython.pointer(AreaRec) = index_find(cython.address(space.areas), at)
    return rec if rec != cython.NULL and rec.start < at else cython.NULL


@cython.cfunc
@cython.exceptval(check=False)
def _more_areas(space: MappedSpace, start: uint64_t, end: uint64_t, removed: cython.bint) -> int64_t:
    """`more_areas`, with the lock held."""
    low: cython.pointer(AreaRec) = _cut(space, start)
    high: cython.pointer(AreaRec) = _cut(space, end)
    if removed:
        return low != cython.NULL and low == high
    return (low != cython.NULL) + (high != cython.NULL)


def more_areas(space: MappedSpace, start: uint64_t, end: uint64_t, removed: cython.bint):
    """How many areas more there are once what lies in [start, end) is other than what it was cut from. removed: nothing
    of it stays, so that only a hole inside an area makes one more. The memory's lock is taken here."""
    axptr_lock_gil(space.lock)
    try:
        return _more_areas(space, start, end, removed)
    finally:
        axptr_unlock(space.lock)


@cython.cfunc
@cython.exceptval(check=False)
def _are_pages(space: MappedSpace, start: uint64_t, size: uint64_t) -> cython.bint:
    """Whether [start, start + size), some whole pages that a program may have at most, lies where it may have them."""
    return not start & IN_PAGE and start >= space.first and start <= _user_end - size and start + size - 1 <= space.last


@cython.cfunc
@cython.exceptval(check=False)
def _has_room(space: MappedSpace) -> cython.bint:
    """Whether there may be two areas more, as a hole in one makes and what comes into it."""
    return space.areas.count < _most_areas - 2


# -- calls


@cython.cclass
class MemoryCall(FileCall):
    """rights: what an area gets, by PROT_READ, WRITE and EXEC. mend: writes back what shared mappings that are gone had
    written."""

    def __init__(self, plain: Bound, rights, mend):
        FileCall.__init__(self, plain, 0)
        self.mend = mend
        for at in range(8):
            self.rights[at] = int(rights[at])

    def ordinary(self, task):
        """Whether the memory of its process is under no rule but the machine's."""
        mm: object = task.mm
        limits: object = task.group.limits
        if mm.deny_gain or mm.sealed or mm.lock_future:
            return False
        room, _ = limits.get(_rlimit_as)  # unpacked, not indexed: a machine's file may say that they are shorter
        data, _ = limits.get(_rlimit_data)
        return room == _infinity and data == _infinity


@cython.final
@cython.cclass
class MapCall(MemoryCall):
    """fresh: what backs fresh memory. opened: the class of an open file of the host's. made: called with the memory, an open
    file and the one of the host's beneath it, has it mapped from its begin on: what backs that, and its name."""

    def __init__(self, plain: Bound, rights, mend, fresh, opened, made):
        MemoryCall.__init__(self, plain, rights, mend)
        self.fresh = fresh
        self.opened = opened
        self.made = made

    def shown(self, task, fd, end, executes):
        """What backs a mapping of an open file, and the name of that; None where that is the handler's to say."""
        told: axptr_told
        file: object = cython.cast(dict, task.files._files, typecheck=True).get(fd)
        if file is None or end > _sure_size:
            return None
        flags: cython.int = file.flags
        if flags & _path or flags & _accmode == _wronly:
            return None
        below: object = file
        if type(file) is not self.opened:
            below = file.beneath
            if type(below) is not self.opened:
                return None
        kind: cython.uint = below.kind
        if kind != _regular or axptr_tell(below.host_fd, cython.address(told)) < 0:
            return None
        shown: tuple = below.shown
        backend: object = None
        if shown is not None:
            still, _ = shown
            backend = still()
        if backend is not None:
            store: object = backend.store
            if (
                cython.cast(Backend, backend).store.phys is not cython.cast(MappedSpace, task._space).phys
                or store.inode != told.ino
                or store.device != axptr_dev(told.dev_major, told.dev_minor)
                or store._stamp != (told.size, told.mtime.sec * _billion + told.mtime.nsec)
                or (below is file and (backend.named is None) != _names_alike(below.mount))
            ):
                backend = None
        if backend is None:
            shown = self.made(cython.cast(MappedSpace, task._space).phys, file, below)
            backend = shown[0]
        if executes and backend.no_exec:
            return None
        return backend, shown[1]

    def serve(self, task, registers):
        start: uint64_t
        books: Books
        gone: cython.pointer(AreaRec) = cython.NULL
        done: cython.bint = False
        caller: Waiting = task
        space: MappedSpace = caller._space
        length: uint64_t = registers[1]
        prot: uint64_t = registers[2] & _rights
        flags: uint64_t = registers[3]
        offset: uint64_t = registers[5]
        size: uint64_t = page_start(length + IN_PAGE)
        fixed: cython.bint = flags & _fixed != 0
        start = registers[0]
        if (
            flags & ~_plain_flags
            or not flags & _private
            or offset & IN_PAGE
            or length == 0
            or size > _user_end
            or length > _user_end
            or prot == _prot_exec
            or not _has_room(space)
            or not self.ordinary(caller)
            or (fixed and (start < _lowest or not _are_pages(space, start, size)))
        ):
            return self.plain.serve(task, registers)
        backend: Backend = self.fresh
        name: str = ""
        if flags & _anonymous:
            offset = 0
        else:
            if offset > _sure_size:
                return self.plain.serve(task, registers)
            shown: tuple = self.shown(caller, registers[4] & 0xFFFF_FFFF, offset + size, prot & _prot_exec != 0)
            if shown is None:
                return self.plain.serve(task, registers)
            backend, name = shown
        base: uint64_t = task.mm.mmap_base
        account: Account = _open_books(task.machine, cython.address(books))
        axptr_lock_gil(space.lock)
        try:
            if fixed or _found(space, start, size, base, cython.address(start)):
                done = _book(cython.address(books), account, space.areas.count + 1, True)
                if done and fixed:
                    more: int64_t = _more_areas(space, start, start + size, True)
                    done = _book(cython.address(books), account, space.areas.count + more, more != 0)
                if done:
                    space.enter_area(
                        start, start + size - 1, self.rights[prot], backend, offset, name, 0, cython.address(gone)
                    )
        finally:
            axptr_unlock(space.lock)
        if not done:
            return self.plain.serve(task, registers)
        _retire(self, gone)
        return start


@cython.cfunc
def _retire(call: MemoryCall, gone: cython.pointer(AreaRec)) -> object:
    """Free what an area took the place of."""
    if gone != cython.NULL:
        released: list = []
        retire(gone, released)
        if released:
            call.mend(released)
    return None


@cython.final
@cython.cclass
class UnmapCall(MemoryCall):
    """Of no more than is given up at once."""

    def serve(self, task, registers):
        books: Books
        gone: cython.pointer(AreaRec) = cython.NULL
        done: cython.bint
        more: int64_t
        caller: Waiting = task
        space: MappedSpace = caller._space
        start: uint64_t = registers[0]
        size: uint64_t = page_start(registers[1] + IN_PAGE)
        if (
            registers[1] == 0
            or registers[1] > _at_once
            or not _are_pages(space, start, size)
            or not _has_room(space)
            or task.mm.sealed
        ):
            return self.plain.serve(task, registers)
        account: Account = _open_books(task.machine, cython.address(books))
        axptr_lock_gil(space.lock)
        try:
            more = _more_areas(space, start, start + size, True)
            done = _book(cython.address(books), account, space.areas.count + more, more != 0)
            if done:
                gone = space.take_out(start, start + size - 1)
                _book(cython.address(books), account, space.areas.count, False)
        finally:
            axptr_unlock(space.lock)
        if not done:
            return self.plain.serve(task, registers)
        _retire(self, gone)
        return 0


@cython.final
@cython.cclass
class ProtectCall(MemoryCall):
    """Of a part of one area."""

    def serve(self, task, registers):
        books: Books
        rec: cython.pointer(AreaRec)
        more: int64_t
        done: cython.bint = False
        caller: Waiting = task
        space: MappedSpace = caller._space
        start: uint64_t = registers[0]
        size: uint64_t = page_start(registers[1] + IN_PAGE)
        prot: uint64_t = registers[2]
        last: uint64_t = start + size - 1
        if (
            registers[1] == 0
            or registers[1] > _user_end
            or not _are_pages(space, start, size)
            or prot & ~_rights
            or prot == _prot_exec
            or not _has_room(space)
            or not self.ordinary(caller)
        ):
            return self.plain.serve(task, registers)
        flags: uint32_t = self.rights[prot]
        account: Account = _open_books(task.machine, cython.address(books))
        axptr_lock_gil(space.lock)
        try:
            rec = index_find(cython.address(space.areas), start)
            if (
                rec != cython.NULL
                and rec.last >= last
                and not rec.traits & _own_traits
                and not (flags & WRITE and rec.traits & TRAIT_SEALED)
                and not (flags & EXECUTE and rec.kind == KIND_STORE and _never_executed(rec))
            ):
                done = True
                if rec.flags != flags:
                    more = _more_areas(space, start, start + size, False)
                    done = _book(cython.address(books), account, space.areas.count + more, more != 0)
                if done:
                    space.allow(start, last, flags)
        finally:
            axptr_unlock(space.lock)
        return 0 if done else self.plain.serve(task, registers)


@cython.cfunc
@cython.exceptval(-1)
def _never_executed(rec: cython.pointer(AreaRec)) -> cython.bint:
    """Whether it shows a file of which nothing may be executed."""
    return getattr(cython.cast(object, rec.backend), "no_exec", False)


@cython.final
@cython.cclass
class BreakCall(MemoryCall):
    """fresh: what backs fresh memory."""

    def __init__(self, plain: Bound, rights, mend, fresh):
        MemoryCall.__init__(self, plain, rights, mend)
        self.fresh = fresh

    def serve(self, task, registers):
        caller: Waiting = task
        bounds: dict = caller._space.bounds
        wanted: uint64_t = registers[0]
        first: uint64_t = bounds.get("start_brk", 0)
        end: uint64_t = bounds.get("brk", 0)
        if wanted < first or wanted > _user_end:
            return end
        if not self.ordinary(caller):
            return self.plain.serve(task, registers)
        if not self.moved(caller, page_start(end + IN_PAGE), page_start(wanted + IN_PAGE)):
            return self.plain.serve(task, registers)
        bounds["brk"] = wanted
        return wanted

    def moved(self, task, old, new):
        """The heap ends at the page `new` and no more at `old`; whether that was so plain."""
        books: Books
        above: cython.pointer(AreaRec)
        gone: cython.pointer(AreaRec) = cython.NULL
        done: cython.bint = False
        space: MappedSpace = task._space
        if old == new:
            return True
        if old < space.first or new > _user_end - PAGE_SIZE - GUARD_GAP or max(old, new) - 1 > space.last:
            return False
        if not _has_room(space) or (new < old and old - new > _at_once):
            return False
        account: Account = _open_books(task.machine, cython.address(books))
        axptr_lock_gil(space.lock)
        try:
            if new < old:
                done = index_first(cython.address(space.areas), new, old - 1) != cython.NULL
                if done:
                    gone = space.take_out(new, old - 1)
                    _book(cython.address(books), account, space.areas.count, False)
            else:
                # a page below what comes next stays free, and the gap below a stack
                above = index_first(cython.address(space.areas), old, new + PAGE_SIZE + GUARD_GAP - 1)
                if above == cython.NULL or (above.start >= new + PAGE_SIZE and not above.grow_limit):
                    done = _book(cython.address(books), account, space.areas.count + 1, True)
                    if done:
                        space.enter_area(old, new - 1, self.rights[3], self.fresh, 0, "", 0, cython.address(gone))
        finally:
            axptr_unlock(space.lock)
        _retire(self, gone)
        return done
