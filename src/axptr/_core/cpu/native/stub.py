"""A stub: the process in which a guest runs, as a cache of one space's page table.

What it has mapped is kept here (`Held`), and only what a page table allowed is ever given to it. Whatever changes is
put right by commands that the stub carries out, each judged by the host's kernel asking us: the registers of its mmap,
munmap and mprotect are compared with our own copy of the command, so that a guest that takes the stub over maps nothing
else. What it lost is lost when a later call of it has been seen (the fence): it has one thread.

A stub may die at any time, or be ended: nothing is lost then but the cache, and, while it is the guest's turn, the
guest's registers. After anything that it was not told to do it is ended, and `broken`.

Not here: the guest's registers and what becomes of a fault (`native`), the system calls (`host.h`), the code of the
stub (`stub.c`).

Locking: `apply` is called under the memory's lock, and waits there for the stub, whose calls take microseconds.
"""

import errno
import os
from _weakref import ref

import cython
from cython.cimports.axptr._core.cpu.native.stub import (
    GENERAL,
    MAX_COMMANDS,
    NAT_COMMANDS,
    NAT_CONTROL,
    NAT_CONTROL_SIZE,
    NAT_GUEST_CALL,
    NAT_MMAP,
    NAT_MOST_AT_BIRTH,
    NAT_MPROTECT,
    NAT_MUNMAP,
    NAT_SPAN,
    NAT_STACK,
    NAT_TURN,
    NAT_USER_END,
    R_R8,
    R_R9,
    R_R10,
    R_RAX,
    R_RDI,
    R_RDX,
    R_RIP,
    R_RSI,
    R_SEGMENTS,
    WINDOW,
    Held,
    nat_again,
    nat_beat,
    nat_command,
    nat_free,
    nat_go,
    nat_interrupt,
    nat_judge,
    nat_kill,
    nat_ours,
    nat_set_turn,
    nat_start,
    nat_stub,
    nat_text,
    nat_text_size,
    nat_turn,
)
from cython.cimports.axptr._core.cpu.running import join, leave
from cython.cimports.axptr._core.mm.guest import Shown
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE, FRAME_WCACHED
from cython.cimports.axptr._core.words.codes import WRITE
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_thread, axptr_unlock
from cython.cimports.cpython.ref import PyObject
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free, malloc, qsort
from cython.cimports.libc.string import memcpy, memset

from axptr.errors import EngineError

_MAP_FLAGS = cython.declare(uint32_t, 0x01 | 0x10 | 0x8000)  # shared, fixed, populated: its tables are filled at once
_POPULATE = cython.declare(uint32_t, 0x8000)
_code_of_32_bits = cython.declare(uint64_t, 0x23)  # cs in the CPU's mode of 32 bits
_filled_at_once = cython.declare(uint64_t, 0x1_0000)
_first_slots = cython.declare(uint64_t, 1024)
_most_runs = cython.declare(uint64_t, 50_000)  # a process has 65,530 mappings at most

_STAGES = {
    1: "memory for its control block",
    2: "another process",
    3: "a seccomp filter with notifications",
    4: "to execute it from memory",
    5: "it to live",
}


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _come_out(handle: cython.p_void) -> cython.void:
    """Ask the guest to come out, from any thread."""
    nat_beat(cython.cast(cython.pointer(nat_stub), handle))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def by_number(a: cython.pointer(cython.const[cython.void]), b: cython.pointer(cython.const[cython.void])) -> cython.int:
    """For qsort of numbers of 64 bits."""
    x: uint64_t = cython.cast(cython.pointer(uint64_t), a)[0]
    y: uint64_t = cython.cast(cython.pointer(uint64_t), b)[0]
    return (x > y) - (x < y)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _nobody(handle: cython.p_void) -> cython.void:
    """There is no guest to ask."""


@cython.no_gc_clear
@cython.final
@cython.cclass
class Stub:
    """Made by `StubCache` alone. `of` is the space whose pages it holds, weakly."""

    def __cinit__(self):
        self.s.listener = -1
        self.leave.first = 1

    def __dealloc__(self):
        Stub.end(self)
        free(self.birth)
        free(self.held)

    def prepare(self, phys, space):
        """Let it be the cache of a space's table: from here on the memory tells it what changes."""
        if nat_text_size == 0:
            raise EngineError(errno.ENOSYS, "the native engine runs on hosts with an x86-64 CPU alone")
        if phys.fd < 0:
            raise EngineError(errno.ENOTSUP, "the host does not let the native engine have a memory file to share")
        self.phys = phys
        self.of = ref(space)
        self.place = cython.cast(cython.p_void, space)
        self.held = cython.cast(cython.pointer(Held), calloc(_first_slots, cython.sizeof(Held)))
        if self.held == cython.NULL:
            raise MemoryError
        self.nslots = _first_slots
        self.link.at_rest = 1
        self.link.owner = axptr_thread()  # nobody is asked out of one that is not started
        self.beat.kick = _nobody
        self.beat.handle = cython.address(self.s)
        join(phys, cython.address(self.link), cython.address(self.beat))
        space.attach_engine(cython.address(self.link))
        return 0

    def begin_list(self):
        """From here on what it is given is noted as what it is born with."""
        self.birth = cython.cast(cython.pointer(nat_command), calloc(NAT_MOST_AT_BIRTH, cython.sizeof(nat_command)))
        if self.birth == cython.NULL:
            raise MemoryError
        return 0

    def list_is_full(self):
        """Whether no more can be given to one that is not born."""
        return self.ncommands == NAT_MOST_AT_BIRTH

    def forget_list(self):
        """It is born with nothing."""
        free(self.birth)
        self.birth = cython.NULL
        self.ncommands = 0
        memset(self.held, 0, self.nslots * cython.sizeof(Held))
        self.nused = self.nruns = 0

    def start(self, base, traps_counter):
        """Start it, its span at `base`, with what was gathered for it. `EngineError` with the errno that the host gave."""
        error: cython.int
        count: uint32_t = self.ncommands
        error = nat_start(
            cython.address(self.s), self.phys.fd, base, traps_counter, nat_text, nat_text_size, self.birth, count
        )
        if error and count:  # perhaps the host did not let it have all that
            self.forget_list()
            count = 0
            error = nat_start(
                cython.address(self.s), self.phys.fd, base, traps_counter, nat_text, nat_text_size, cython.NULL, 0
            )
        free(self.birth)
        self.birth = cython.NULL
        self.ncommands = 0
        self.maps = self.born = count
        if error or self.find_frame() < 0:
            raise EngineError(
                error or errno.EPROTO,
                f"the host does not let the native engine have {_STAGES.get(self.s.failed, 'a frame')}: "
                f"{os.strerror(error or errno.EPROTO)}",
            )
        self.beat.kick = _come_out
        return 0

    def die(self):
        """End the process now, though the space still points to the link: `end` follows when it does so no more."""
        self.beat.kick = _nobody
        nat_free(cython.address(self.s))
        self.frame = cython.NULL
        self.vectors = cython.NULL
        self.broken = True
        if self.phys is not None:  # what it held is free: frames do not wait for one that is no more
            axptr_lock_gil(self.phys.lock)
            self.link.running = 0
            self.phys.flushed(cython.address(self.link))
            axptr_unlock(self.phys.lock)
        return 0

    def end(self):
        """End the process and let go of what it may have held. Idempotent."""
        nat_free(cython.address(self.s))
        self.frame = cython.NULL
        self.vectors = cython.NULL
        if self.phys is None or self.link.handle == cython.NULL:
            return
        if not self.link.gone and self.place != cython.NULL:  # `of` may know of it no more, and it of the link still
            cython.cast(SpaceCore, cython.cast(cython.pointer(PyObject), self.place)).detach_engine(
                cython.address(self.link)
            )
        self.place = cython.NULL
        leave(self.phys, cython.address(self.link), cython.address(self.beat))

    # -- the guest's frame ---------------------------------------------------------------------------------

    def find_frame(self):
        """Where the guest's registers lie, by what the stub says: -1 unless that is on its stack."""
        low: uint64_t = self.s.base + NAT_CONTROL + NAT_STACK
        high: uint64_t = self.s.base + NAT_CONTROL + NAT_CONTROL_SIZE
        frame: uint64_t = self.s.channel.frame
        vectors: uint64_t = self.s.channel.vectors
        block: cython.pointer(uint8_t) = cython.cast(cython.pointer(uint8_t), self.s.channel)
        if frame < low or frame > high - 512 or frame & 7 or vectors < low or vectors > high - 1024 or vectors & 63:
            return -1
        self.frame = cython.cast(cython.pointer(uint64_t), block + (frame - self.s.base - NAT_CONTROL) + 40)
        self.vectors = block + (vectors - self.s.base - NAT_CONTROL)
        self.vectors_size = high - vectors
        return 0

    def take(self, event, regs, segments):
        """It has come back with this event: a call, of which `regs` gets what a call needs, or a signal, of which it gets all.
        -1: it did what it was not told to do, and is dead now."""
        nat_set_turn(cython.address(self.s), 0)
        self.link.at_rest = 1
        if event == NAT_GUEST_CALL:
            regs[R_RAX], regs[R_RIP] = self.s.nr, self.s.ip
            regs[R_RDI], regs[R_RSI], regs[R_RDX] = self.s.args[0], self.s.args[1], self.s.args[2]
            regs[R_R10], regs[R_R8], regs[R_R9] = self.s.args[3], self.s.args[4], self.s.args[5]
            segments.narrow = 0  # 32 bits call otherwise
            self.waiting = True
            return 0
        if event != NAT_TURN or self.find_frame() < 0:  # nobody told it to: the guest is in the stub's text
            return self.lose()
        memcpy(regs, self.frame, GENERAL * 8)
        segments.fs_base, segments.gs_base = self.s.channel.fs_base, self.s.channel.gs_base
        segments.selectors = self.s.channel.selectors
        segments.narrow = (self.frame[R_SEGMENTS] & 0xFFFF) == _code_of_32_bits
        return 0

    def surface(self, regs, segments):
        """It waits in a guest's call: have it come out by a signal, as if the call were to be made again. It has been made: result and place stay as they are in `regs`, where the guest's registers go (NULL:
        nowhere). -1: they are lost, it is dead now."""
        result: uint64_t
        after: uint64_t
        self.waiting = False
        if not nat_ours(cython.address(self.s)):  # it is a parent's
            self.broken = True
            return -1
        nat_interrupt(cython.address(self.s), 1)
        nat_again(cython.address(self.s))
        if nat_turn(cython.address(self.s), 1) < 0 or self.find_frame() < 0:
            return self.lose()
        if regs != cython.NULL:
            result, after = regs[R_RAX], regs[R_RIP]
            memcpy(regs, self.frame, GENERAL * 8)
            regs[R_RAX], regs[R_RIP] = result, after
            segments.fs_base, segments.gs_base = self.s.channel.fs_base, self.s.channel.gs_base
            segments.selectors = self.s.channel.selectors
        return 0

    # -- what it holds -------------------------------------------------------------------------------------

    def slot(self, page):
        """Where the page of this number is noted, or would be: pages side by side are looked at together, and so are noted."""
        i: uint64_t = ((((page >> 3) * cython.cast(uint64_t, 0x9E3779B97F4A7C15)) >> 20) << 3) | (page & 7)
        while True:
            i &= self.nslots - 1
            if self.held[i].page == page or self.held[i].page == 0:
                return self.held + i
            i += 1

    def grow(self):
        """Make room in the table, leaving out what is not held any more. -1: the host has no memory for it."""
        old: cython.pointer(Held) = self.held
        count: uint64_t = self.nslots
        i: uint64_t
        live: uint64_t = 0
        for i in range(count):
            live += old[i].perms != 0
        size: uint64_t = _first_slots
        while size < 4 * live:
            size *= 2
        new: cython.pointer(Held) = cython.cast(cython.pointer(Held), calloc(size, cython.sizeof(Held)))
        if new == cython.NULL:
            return -1
        self.held = new
        self.nslots = size
        self.nused = live
        for i in range(count):
            if old[i].perms:
                self.slot(old[i].page)[0] = old[i]
        free(old)
        return 0

    def give(self, page, pfn, perms):
        """Have it map a page (an address) on a frame when it goes on. -1: no memory to note it."""
        number: uint64_t = page >> 12
        note: cython.pointer(Held)
        if self.nruns > _most_runs and self.forget() < 0:
            return -1
        if 2 * self.nused >= self.nslots and self.grow() < 0:
            return -1
        note = self.slot(number)
        if note.perms == perms and note.pfn == pfn:
            return 0
        if self.birth != cython.NULL and self.list_is_full():
            return -1
        if self.phys.nwindows and self.phys.bring(pfn) < 0:
            return -1
        if note.page == 0:
            self.nused += 1
        self.hold(note, number, pfn, perms)
        self.link.running = 1  # from now on, whoever's turn it is: only a proven unmap gives a frame back
        self.command(NAT_MMAP, page, 4096, perms, pfn << 12)
        return 0

    def goes_on(self, note):
        """Whether the page of a note, which is held, lies in one mapping of the host with the page before it."""
        side: cython.pointer(Held) = self.slot(note.page - 1)
        return side.perms == note.perms and side.pfn + 1 == note.pfn

    def hold(self, note, page, pfn, perms):
        """Note what is held of a page from now on (0: nothing), and how many mappings that makes.

        The host makes one of neighbours alike whose frames lie side by side, and two of one in whose middle a page goes. It
        has a limit, past which it refuses to take a page away, too: we must never come near.
        """
        after: cython.pointer(Held) = self.slot(page + 1)
        if note.perms:
            self.nruns -= not self.goes_on(note)
        if after.perms:
            self.nruns -= not self.goes_on(after)
        if note.page != page:
            note.wanted = 0
        note.page = page
        note.pfn = cython.cast(uint32_t, pfn)
        note.perms = cython.cast(uint16_t, perms)
        if perms:
            self.nruns += not self.goes_on(note)
        if after.perms:
            self.nruns += not self.goes_on(after)
        return 0

    def asked(self):
        """Whether something that it holds may have changed."""
        return self.link.need_flush or self.link.ndrop or self.link.drop_all

    def give_window(self, space, first, last, page, access):
        """Give the pages from `first` to `last` that are there, as the table has them now: for an access to `page`. Lock
        held.

        The host's CPU sees what is written to code at once; those that translate it must be told.
        """
        i: uint64_t
        count: uint64_t
        at: uint64_t
        perms: uint32_t
        pfn: uint32_t
        marks: cython.pointer(uint8_t)
        shown: Shown[WINDOW]
        while first <= last:
            count = ((last - first) >> 12) + 1
            if count > WINDOW:
                count = WINDOW
            space.window(first, count, shown)
            for i in range(count):
                at = first + (i << 12)
                perms = shown[i].perms
                pfn = shown[i].pfn
                if perms and space.has_points:
                    perms = space.points.may_have(
                        at, cython.address(pfn), perms, access if at == page else 0, cython.address(self.leave)
                    )
                if not perms:
                    continue
                if perms & WRITE:
                    marks = self.phys.flags + pfn
                    if marks[0] & FRAME_CODE:
                        self.phys.code_changed(pfn)
                    marks[0] |= FRAME_WCACHED
                self.give(at, pfn, perms)
            first += count << 12
        if access == WRITE and self.slot(page >> 12).perms & WRITE:
            self.slot(page >> 12).wanted = 1

    def forget(self):
        """Take everything from it; 0, or -1 if it is dead now."""
        i: uint64_t
        self.ncommands = 0
        self.command(NAT_MUNMAP, 0, self.s.base, 0, 0)
        self.command(NAT_MUNMAP, self.s.base + NAT_SPAN, NAT_USER_END - self.s.base - NAT_SPAN, 0, 0)
        for i in range(self.nslots):
            self.held[i].page = 0
            self.held[i].perms = 0
        self.nused = 0
        self.nruns = 0
        return self.carry_out()

    def strip(self):
        """Its space goes: take from it all that it has of that, and what the guest may have made of its alternate stack.
        0, or -1 if it is dead now. Whoever is in it has left."""
        self.ncommands = 0
        self.takes_away = False
        self.evictions = 0
        self.leave.open = False
        self.leave.first, self.leave.last = 1, 0
        if (self.nused and self.forget() < 0) or self.find_frame() < 0:
            return -1
        (self.frame - 3)[0] = self.s.base + NAT_CONTROL + NAT_STACK  # uc_stack, which the return from the signal sets
        (self.frame - 2)[0] = 0
        (self.frame - 1)[0] = NAT_CONTROL_SIZE - NAT_STACK
        axptr_lock_gil(self.phys.lock)
        self.link.running = 0
        self.phys.flushed(cython.address(self.link))
        axptr_unlock(self.phys.lock)
        return 0

    def apply(self, space):
        """Take back what the page table does not allow any more. Lock held, the turn is ours. -1: it is dead now."""
        i: uint32_t
        self.flushes += 1
        if self.nused:
            if self.link.all:
                if self.look_through(space, 0, NAT_USER_END) < 0:
                    return -1
            for i in range(self.link.nranges):
                if self.look_through(space, self.link.ranges[i].first >> 12, self.link.ranges[i].last >> 12) < 0:
                    return -1
            if self.takes_away and self.carry_out() < 0:
                return -1
        self.phys.flushed(cython.address(self.link))
        return 0

    def look_through(self, space, first, last):
        """Look at all that is held of the pages numbered [first, last], in order. -1: it is dead now."""
        i: uint64_t
        count: uint64_t = 0
        failed: cython.int = 0
        pages: cython.pointer(uint64_t)
        if last - first < self.nslots:
            for i in range(first, last + 1):
                if self.slot(i).perms and self.look_at(space, self.slot(i)) < 0:
                    return -1
            return 0
        pages = cython.cast(cython.pointer(uint64_t), malloc(self.nused * 8))
        if pages == cython.NULL:
            return self.forget()
        for i in range(self.nslots):
            if self.held[i].perms and first <= self.held[i].page <= last:
                pages[count] = self.held[i].page
                count += 1
        qsort(pages, count, 8, by_number)  # so that neighbours are taken away by one call
        for i in range(count):
            if failed == 0 and self.slot(pages[i]).perms:
                failed = self.look_at(space, self.slot(pages[i]))
        free(pages)
        return failed

    def look_at(self, space, note):
        """Take back a page of which more is held than the page table allows now, or only the rights that are too many. -1:
        it is dead now."""
        shown: Shown
        may: uint32_t
        space.window(note.page << 12, 1, cython.address(shown))
        may = shown.perms if shown.pfn == note.pfn else 0
        if space.has_points:
            may = space.points.may_keep(note.page << 12, note.pfn, shown.pfn, shown.perms, cython.address(self.leave))
        if may & WRITE and not self.phys.flags[note.pfn] & FRAME_WCACHED:
            may &= ~cython.cast(uint32_t, WRITE)
        may &= note.perms
        if note.perms != may:
            if may:
                self.command(NAT_MPROTECT, note.page << 12, 4096, may, 0)
            else:
                self.command(NAT_MUNMAP, note.page << 12, 4096, 0, 0)
            self.hold(note, note.page, note.pfn if may else 0, may)
            if self.nruns > _most_runs:  # of much that was one mapping, every other page
                return self.forget()
        return -1 if self.broken else 0

    # -- commands ------------------------------------------------------------------------------------------

    def command(self, op, addr, size, prot, off):
        """Note a call for it to make. One that goes on where the last ended becomes one with it."""
        last: cython.pointer(nat_command)
        row: cython.pointer(nat_command) = self.birth
        if row == cython.NULL:
            row = self.commands
        if self.ncommands:
            last = row + (self.ncommands - 1)
            if last.op == op and last.addr + last.len == addr and last.prot == prot:
                if op != NAT_MMAP or last.off + last.len == off:
                    last.len += size
                    return
        if self.birth == cython.NULL and self.ncommands == MAX_COMMANDS - 1 and self.carry_out() < 0:
            return  # one is kept for the fence
        last = row + self.ncommands
        last.op = op
        last.addr = addr
        last.len = size
        last.prot = prot
        last.flags = _MAP_FLAGS if op == NAT_MMAP else 0
        if self.birth != cython.NULL and not prot & WRITE:
            last.flags &= ~_POPULATE  # the host has its own way to guess what is read
        last.off = off
        self.ncommands += 1
        if op != NAT_MMAP:
            self.takes_away = True

    def send(self, resume):
        """Give it the turn with what is noted, and judge each call that it makes. -1: it did another, and is dead."""
        i: uint32_t
        n: uint32_t
        if self.takes_away:
            self.takes_away = False
            self.commands[self.ncommands].op = NAT_MUNMAP
            self.commands[self.ncommands].addr = 0
            self.commands[self.ncommands].len = 0
            self.ncommands += 1
        n = self.ncommands
        self.ncommands = 0
        for i in range(n):  # of much that is read the host has its own way to guess
            if self.commands[i].len > _filled_at_once and not self.commands[i].prot & WRITE:
                self.commands[i].flags &= ~_POPULATE
        memcpy(
            cython.cast(cython.pointer(uint8_t), self.s.channel) + NAT_COMMANDS,
            self.commands,
            n * cython.sizeof(nat_command),
        )
        self.s.channel.ncommands = n
        self.s.channel.resume = resume
        self.maps += n
        if nat_go(cython.address(self.s)) < 0:
            return self.lose()
        for i in range(n):
            if nat_judge(cython.address(self.s), self.commands + i) < 0:
                return self.lose()
            self.judged += 1
        return 0

    def lose(self):
        """It did what it was not told to do, or nothing, or is dead: from now on it is. -1."""
        self.broken = True
        self.waiting = False
        self.link.at_rest = 1
        nat_kill(cython.address(self.s))
        return -1

    def carry_out(self):
        """Have it make the calls that are noted and come back. -1: it is dead now."""
        if self.send(False) < 0:
            return -1
        return 0 if nat_turn(cython.address(self.s), 0) == 0 else self.lose()

    def resume(self):
        """Let the guest run."""
        return self.send(True)
