"""Breakpoints, watchpoints and single steps: the same verbs for every engine.

    stop = engine.break_at(0x401000)
    seen = engine.watch(buffer, 8)                 # writes; or READ, WRITE | READ, EXECUTE
    exit = engine.run()                            # .kind "breakpoint", .points (stop,)
    exit = engine.run(step=True)                   # that instruction alone: "step"
    engine.forget(stop)

They belong to the space that is attached when they are set: whatever engine runs it comes out for them, a clone has
none, and they go with it. The program sees nothing of them in its memory, its files or another process; but on the
host's own CPU it reads a breakpoint's byte as `int3` from a page that it also executes, which no CPU of this kind can
hide.

A breakpoint's instruction has not been done. A run that begins there ends there at once, unless the resume flag (RF of
`rflags`) is set, which the exit does: so the next run passes. It is part of a saved context. A watched byte's
instruction has been done when the run ends, as on a CPU's own watchpoints; what a system call stores is not seen, as
there. A round of a repeated instruction counts as one.

Whoever touches a page with watched bytes pays for it, some tens of microseconds an access; other pages cost nothing.

Not here: what a CPU has instead of such pages (`_core.mm.points`), which bytes an instruction touches (`operands`).
"""

from __future__ import annotations

from _weakref import ref
from time import monotonic

from .._core.words.codes import PAGE_SIZE
from ..addr import checked_address, checked_size
from ..flags import EXECUTE, READ, WRITE, MappingFlags
from .exit import Exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._core.cpu.running import RawKind, Registers
    from ..mm.space import AddrSpace
    from .operands import Access

    Raw = tuple[RawKind, int, int, int, int]

ONE, BARE, OPEN = 1, 2, 4
"""STEP_* of `_core.cpu.running`."""
RESUME = 0x1_0000
_PAGE = ~(PAGE_SIZE - 1)


class Breakpoint:
    """address: of the instruction. owner: of use to whoever set it, who may tell its own from others' by it."""

    __slots__ = ("__weakref__", "address", "owner", "space")

    size = 1
    access = MappingFlags.EXECUTE

    def __init__(self, space: AddrSpace, address: int, owner: object = None) -> None:
        self.space = ref(space)
        self.address = address
        self.owner = owner

    def __repr__(self) -> str:
        return f"<Breakpoint at {self.address:#x}>"

    def __reduce__(self) -> str:
        raise TypeError("a breakpoint belongs to a space of this process")


class Watchpoint:
    """address, size: the bytes. access: READ, WRITE, EXECUTE, or several. owner: as of a `Breakpoint`."""

    __slots__ = ("__weakref__", "access", "address", "owner", "size", "space")

    def __init__(self, space: AddrSpace, address: int, size: int, access: MappingFlags, owner: object = None) -> None:
        self.space = ref(space)
        self.address = address
        self.size = size
        self.access = access
        self.owner = owner

    def touched(self, access: Access) -> tuple[int, MappingFlags] | None:
        """The first of its bytes that this access touches, and how; None if none, or not in a way that is watched."""
        first = max(access.address, self.address)
        if first >= min(access.address + access.size, self.address + self.size):
            return None
        if access.writes and self.access & WRITE:
            return first, MappingFlags.WRITE
        return (first, MappingFlags.READ) if access.reads and self.access & READ else None

    def __repr__(self) -> str:
        return f"<Watchpoint of {self.size} bytes at {self.address:#x}>"

    def __reduce__(self) -> str:
        raise TypeError("a watchpoint belongs to a space of this process")


Point = Breakpoint | Watchpoint


def points_of(space: AddrSpace) -> tuple[Point, ...]:
    """Those that are set in a space, in the order in which they were."""
    return space.stops or ()


def set_points(space: AddrSpace, points: Iterable[Point]) -> None:
    """Have these be the points of a space, and no others."""
    kept = tuple(points)
    pages: dict[int, tuple[int, int]] = {}
    for point in kept:
        for page in range(point.address & _PAGE, point.address + point.size, PAGE_SIZE):
            deny, breaks = pages.get(page, (0, 0))
            if not point.access & EXECUTE:
                deny |= int(point.access)
            elif point.size == 1:
                deny, breaks = deny | int(point.access & ~MappingFlags.EXECUTE), 1
            else:
                deny |= int(point.access)
            pages[page] = deny, breaks
    space._set_points(kept or None, _stretches(kept), pages)


def _stretches(points: Iterable[Point]) -> list[tuple[int, int]]:
    """Where instructions are not to be done without word of it. Those of one byte stay apart from what they touch."""
    found: list[tuple[int, int]] = []
    for first, last in sorted({(p.address, p.address + p.size - 1) for p in points if p.access & EXECUTE}):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found


def add(point: Point) -> None:
    space = point.space()
    if space is None:
        raise RuntimeError("its space is no more")
    set_points(space, (*points_of(space), point))


def remove(point: Point) -> None:
    space = point.space()
    if space is not None and any(one is point for one in points_of(space)):
        set_points(space, (one for one in points_of(space) if one is not point))


class StopsAtPoints:
    """The verbs of an engine, over what its CPU has compiled (`_go`) and one instruction of it (`_one`)."""

    if TYPE_CHECKING:

        @property
        def space(self) -> AddrSpace | None: ...
        @property
        def regs(self) -> Registers: ...
        def reg_read(self, name: str) -> int: ...
        def _peek(self, vaddr: int, size: int) -> bytes: ...
        def _go(self, timeout: float | None, count: int | None, single: int) -> Raw: ...
        def _settled(self, raw: Raw) -> Exit | None: ...

    # -- setting them

    def break_at(self, address: int) -> Breakpoint:
        """Have runs end before the instruction that begins at `address`. `RuntimeError` without a space."""
        point = Breakpoint(self._own_space(), checked_address(address, "address"))
        add(point)
        return point

    def watch(self, address: int, size: int = 1, access: MappingFlags = MappingFlags.WRITE) -> Watchpoint:
        """Have runs end behind an instruction that reads or writes any of `size` bytes at `address`, and before one
        that begins there if `access` has EXECUTE. `ValueError` for no byte, or no access."""
        start, count, wanted = checked_address(address, "address"), checked_size(size, "size"), MappingFlags(access)
        if not count or not wanted & (READ | WRITE | EXECUTE) or start + count > 1 << 64:
            raise ValueError("a watchpoint watches some bytes for some access")
        point = Watchpoint(self._own_space(), start, count, wanted & (READ | WRITE | EXECUTE))
        add(point)
        return point

    def forget(self, point: Point) -> None:
        """Undo one that was set, by whatever engine. Nothing happens if it is undone already."""
        remove(point)

    @property
    def points(self) -> tuple[Point, ...]:
        """Those of the space that is attached."""
        return points_of(self._own_space())

    def _own_space(self) -> AddrSpace:
        space = self.space
        if space is None:
            raise RuntimeError("attach a space before setting points in it")
        return space

    # -- running

    def _stopping(self, timeout: float | None, count: int | None, step: bool, raw: Raw | None = None) -> Exit:
        """A run that ends at points, or after one instruction. raw: what its first piece came to, if there was one."""
        ends = None
        while True:
            space = self.space
            if raw is not None:
                pass
            elif space is None or (space.stops is None and not step):
                raw = self._go(timeout, count, 0)
                if raw[0] == "stopped" or raw[0] == "timeout":  # as nearly all
                    return Exit(raw[0], raw[1])
            elif space._breaks_at(self.regs.pc):
                if not self.regs.rflags & RESUME and (hit := self._broke(space, self.regs.pc)) is not None:
                    return hit
                raw = self._one(timeout, count, BARE)
            else:
                raw = self._one(timeout, count, 0) if step else self._go(timeout, count, 0)
            if timeout is not None and ends is None:
                ends = monotonic() + timeout
            done = self._ended(raw, timeout, count, step)
            if done is not None:
                return done
            raw = None
            if ends is not None:
                timeout = max(ends - monotonic(), 0.0)

    def _ended(self, raw: Raw, timeout: float | None, count: int | None, step: bool) -> Exit | None:
        """What a piece of a run ended with; None where it goes on."""
        kind, pc, address, access, _ = raw
        space = self.space
        if kind == "breakpoint" and space is not None:
            return self._broke(space, pc)
        if kind == "watchpoint" and space is not None:
            return self._watched(space, pc, address, MappingFlags(access), timeout, count, step)
        if kind == "step":
            return Exit("step", pc) if step else None
        return self._settled(raw)

    def _broke(self, space: AddrSpace, pc: int) -> Exit | None:
        """None if whoever set it has just undone it."""
        hit = tuple(p for p in points_of(space) if p.access & EXECUTE and p.address <= pc < p.address + p.size)
        if not hit:
            return None
        self.regs.rflags |= RESUME
        return Exit("breakpoint", pc, address=pc, access=MappingFlags.EXECUTE, points=hit)

    def _watched(
        self,
        space: AddrSpace,
        pc: int,
        address: int,
        access: MappingFlags,
        timeout: float | None,
        count: int | None,
        step: bool,
    ) -> Exit | None:
        """An access to a page of which a debugger wants to know: the instruction is done, what it touched is told."""
        from .operands import accesses  # which few runs need

        if access == MappingFlags.EXECUTE and space._breaks_at(pc) and not self.regs.rflags & RESUME:
            return self._broke(space, pc)
        touched = accesses(self._peek(pc, 15), pc, self.reg_read)
        if access != MappingFlags.EXECUTE and not any(a.address <= address < a.address + a.size for a in touched):
            touched.append(_unknown(address, access))
        watched = [p for p in points_of(space) if isinstance(p, Watchpoint) and p.access & (READ | WRITE)]
        hits = [(p, found) for p in watched for found in [next(filter(None, map(p.touched, touched)), None)] if found]
        before = [(p, self._peek(p.address, p.size)) for p in watched if p.access & WRITE]
        raw = self._one(timeout, count, BARE | OPEN)
        trapped = raw[0] == "exception" and raw[2] == 1
        if raw[0] != "step" and not trapped:
            return self._settled(raw)
        known = [p for p, _ in hits]
        for point, was in before:  # by one whose operands are not told from its bytes
            now = self._peek(point.address, point.size)
            if now != was and point not in known:
                at = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), 0)
                hits.append((point, (point.address + at, MappingFlags.WRITE)))
        if not hits and trapped:
            return self._settled(raw)
        if not hits:
            return Exit("step", raw[1]) if step else None
        first, how = hits[0][1]
        points, vector = tuple(p for p, _ in hits), 1 if trapped else -1
        return Exit("watchpoint", raw[1], address=first, access=how, points=points, by=pc, vector=vector)

    def _one(self, timeout: float | None, count: int | None, single: int) -> Raw:
        """One instruction alone, without the program seeing that."""
        return self._go(timeout, count, ONE | single)


def _unknown(address: int, access: MappingFlags) -> Access:
    from .operands import Access

    return Access(address, access == MappingFlags.WRITE, 1, access != MappingFlags.WRITE)
