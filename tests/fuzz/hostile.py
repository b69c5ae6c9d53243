"""What callers hand in that runs: numbers, pagers and devices whose functions change the memory that they are for."""

from __future__ import annotations

from typing import Any
from weakref import ref

from axptr import LinuxError, MappingFlags

from .shadow import PAGE

READ, WRITE = MappingFlags.READ, MappingFlags.WRITE


class Sly:
    """A number whose conversion changes the memory it is about: callers' code may run at any time."""

    def __init__(self, world: Any, value: int) -> None:
        self.world, self.value = world, value

    def __index__(self) -> int:
        for entry in self.world.entries:
            entry.shadow.sure = False
            if entry.real:
                try:
                    entry.memory.unmap(self.world.base, 2 * PAGE)
                    entry.memory.map_alloc(self.world.base, PAGE, READ)
                except LinuxError:
                    pass
        return self.value

    def __repr__(self) -> str:
        return f"Sly({self.value:#x})"


class Pager:
    """A pager's function, by quirk: tame, one that fails, gives no bytes, too many, comes back, takes its page away.

    It holds world and space weakly: a space that its own pager keeps alive would be there until the next collection.
    """

    def __init__(self, world: Any, entry: Any, start: int, quirk: int) -> None:
        self.world, self.entry, self.start, self.quirk = ref(world), ref(entry), start, quirk

    def __call__(self, offset: int) -> Any:
        called(self)
        if self.quirk == 0:
            return b"page"
        if self.quirk == 1:
            raise ZeroDivisionError("a pager fails")
        return mischief(self, offset, "x", b"z" * 5000, b"page")


class Device:
    """A device's functions, with the same quirks."""

    def __init__(self, world: Any, entry: Any, start: int, quirk: int) -> None:
        self.world, self.entry, self.start, self.quirk = ref(world), ref(entry), start, quirk

    def read(self, offset: int, size: int) -> Any:
        called(self)
        if self.quirk == 0:
            return offset & 0x7F
        if self.quirk == 1:
            raise ZeroDivisionError("a device fails")
        return mischief(self, offset, None, 1 << 64, 0x11)

    def write(self, offset: int, size: int, value: int) -> None:
        called(self)
        if self.quirk == 1:
            raise ZeroDivisionError("a device fails")
        if self.quirk:
            mischief(self, offset, None, None, None)


def called(who: Pager | Device) -> None:
    world = who.world()
    if world is not None:
        world.asked += 1


def mischief(who: Pager | Device, offset: int, strange: Any, large: Any, good: Any) -> Any:
    quirk = who.quirk
    if quirk == 2:
        return strange
    if quirk == 3:
        return large
    world, entry, at = who.world(), who.entry(), who.start + offset
    if world is None or entry is None or world.depth > 2:
        return good
    space = entry.memory
    world.depth += 1
    try:
        if quirk == 4:
            space.read(at, 8)  # itself, again
        elif quirk == 5:
            entry.shadow.sure = False
            space.unmap(at & -PAGE, PAGE)
        elif quirk == 6:
            entry.shadow.sure = False
            space.map_alloc(at & -PAGE, PAGE, READ | WRITE, replace=True)
        else:
            space.read(world.base, 64)
            world.phys._check()
    except LinuxError:
        pass
    finally:
        world.depth -= 1
    return good
