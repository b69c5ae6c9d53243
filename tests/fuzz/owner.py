"""What the owner of a space does meanwhile: maps, unmaps, clones, goes back to snapshots, dies; frames that run out."""

from __future__ import annotations

import errno
from collections.abc import Callable

from axptr import AddrSpace, MappingFlags, VirtAddrRange

from .hostile import READ
from .judge import Broken, Entry
from .shadow import END, PAGE, Page
from .single import touch_all
from .things import NPAGES
from .world import World


def real_entry(w: World) -> Entry | None:
    entry = w.entry()
    return entry if entry.real else None


def errno_of(w: World) -> int | None:
    return w.error.errno if isinstance(w.error, OSError) else None


def place(w: World) -> tuple[int, int]:
    """Mostly pages of those that programs look at; sometimes no pages at all."""
    choice = w.source.byte()
    npages = 1 + (choice >> 4) % 5
    start = w.base + (choice & 15) * PAGE
    if choice >= 0xF0:
        return w.address(), w.count()
    return start, npages * PAGE


def map_some(w: World) -> None:
    entry = real_entry(w)
    start, size = place(w)
    choice = w.source.byte()
    flags = w.flags()
    replace = bool(choice & 8)
    if entry is None:
        return
    space, shadow = entry.memory, entry.shadow
    npages = size // PAGE
    there = (
        any(number in shadow.pages for number in range(start // PAGE, min(start + size, END) // PAGE))
        if size < 1 << 30
        else True
    )
    if choice & 7 < 5 and 0 < npages < 64 and not start % PAGE and not size % PAGE:
        before = dict(shadow.pages) if replace else None
        if replace:
            shadow.remove(start, size)
        w.call(w.map_special, entry, choice & 7, start, npages, flags, replace=replace)
        if w.error is not None:
            if before is not None:
                shadow.pages = before
            return
    elif choice & 0x70 == 0x70:
        w.call(space.map_alloc, start, size, flags, replace=replace, grows_down=w.count())
        if w.error is not None:
            return
        shadow.sure = False
    elif choice & 0x70 == 0x60:
        w.call(space.map_alloc, (w.base + (NPAGES + 4) * PAGE) % END, 1 << 24 + (choice & 7) * 2, flags)
        if w.error is not None:
            return
        w.huge, shadow.sure = True, False
    else:
        populate = bool(choice & 0x10)
        w.call(space.map_alloc, start, size, flags, replace=replace, populate=populate)
        if w.error is not None:
            if w.injected and replace and populate:
                shadow.sure = False  # it counts the frames first, and injected failures are none that it can count
            return
        if size < 1 << 20:
            shadow.remove(start, size)
            shadow.add(start, npages, int(flags) & 7, bytes(PAGE))
        else:
            w.huge, shadow.sure = True, False
    if shadow.sure and there and not replace:
        raise Broken(f"{size:#x} bytes at {start:#x} are mapped over what was there")


def unmap(w: World) -> None:
    entry = real_entry(w)
    start, size = place(w)
    if entry is not None:
        w.call(entry.memory.unmap, start, size)
        if w.error is None:
            if size < 1 << 30:
                entry.shadow.remove(start, size)
            else:
                entry.shadow.sure = False


def protect(w: World) -> None:
    entry = real_entry(w)
    start, size = place(w)
    flags = w.flags()
    if entry is None:
        return
    shadow = entry.shadow
    w.call(entry.memory.protect, start, size, flags)
    if size >= 1 << 30:
        shadow.sure = shadow.sure and w.error is not None
        return
    pages = [shadow.pages.get(number) for number in range(start // PAGE, (start + size) // PAGE)]
    whole = None not in pages
    if shadow.sure and not start % PAGE and not size % PAGE and size:
        if w.error is None and not whole:
            raise Broken(f"{size:#x} bytes at {start:#x} have a hole, and protect changes them")
        if w.error is not None and whole and errno_of(w) != errno.EACCES and not w.scarce:
            raise Broken(f"protect of {size:#x} bytes at {start:#x}: {w.error}")
    if w.error is None:
        for page in pages:
            if page is not None:
                page.flags = shadow.granted(int(flags) & 7)


def discard(w: World) -> None:
    entry = real_entry(w)
    start, size = place(w)
    if entry is None:
        return
    w.call(entry.memory.discard, start, size)
    if w.error is None:
        if size >= 1 << 30:
            entry.shadow.sure = False
        else:
            renew(entry, start, size)


def renew(entry: Entry, start: int, size: int) -> None:
    """The private pages of a range were given up; views keep the old ones."""
    for number in range(start // PAGE, (start + size) // PAGE):
        page = entry.shadow.pages.get(number)
        if page is not None and not page.shared:
            fresh = None if page.fresh is None else bytearray(page.fresh)
            entry.shadow.pages[number] = Page(page.flags, fresh, solid=page.solid, fresh=page.fresh)


def move(w: World) -> None:
    entry = real_entry(w)
    start, size = place(w)
    to, _ = place(w)
    keep = bool(w.source.byte() & 1)
    if entry is None:
        return
    if to % PAGE == 0 and w.source.byte() & 1:
        to += NPAGES * PAGE
        to %= END
    w.call(entry.memory.move, start, size, to, keep=keep)
    if w.error is not None:
        return
    if size >= 1 << 30:
        entry.shadow.sure = False
        return
    pages = entry.shadow.pages
    found = {number: pages.pop(number) for number in range(start // PAGE, (start + size) // PAGE) if number in pages}
    for number, page in found.items():
        pages[number - start // PAGE + to // PAGE] = page
        if keep:
            fresh = None if page.fresh is None else bytearray(page.fresh)
            pages[number] = Page(page.flags, fresh, solid=page.solid, shared=page.shared, fresh=page.fresh)


def clone(w: World) -> None:
    entry = real_entry(w)
    if entry is None or len(w.entries) >= 5:
        return
    twin = w.call(entry.memory.try_clone)
    if twin is not None:
        found = w.enter(twin, type(entry.shadow)(entry.shadow.write_reads), entry.model)
        found.shadow.pages = entry.shadow.copied()
        found.shadow.sure = entry.shadow.sure and not w.rules


def snapshot(w: World) -> None:
    entry = real_entry(w)
    if entry is None:
        return
    snap = w.call(entry.memory.snapshot)
    if snap is not None:
        if len(w.snaps) >= 4:
            del w.snaps[w.source.byte() % 4]
        saved = {number: (page, page.twin()) for number, page in entry.shadow.pages.items()}
        w.snaps.append((snap, saved, entry.shadow.sure))


def restore(w: World) -> None:
    entry = real_entry(w)
    if entry is None or not w.snaps:
        return
    snap, saved, sure = w.snaps[w.source.byte() % len(w.snaps)]
    shadow = entry.shadow
    w.call(entry.memory.restore, snap)
    if w.error is not None:
        if not w.scarce or errno_of(w) != errno.ENOMEM:
            raise Broken(f"restore: {w.error}")
        return
    pages: dict[int, Page] = {}
    for number, (page, then) in saved.items():
        if shadow.sure and sure and shadow.pages.get(number) is page and not page.shared:
            # The very page of then: its bytes are put back in place, under views too.
            page.flags, page.solid = then.flags, then.solid
            page.data = None if then.data is None else bytearray(then.data)
            pages[number] = page
        else:
            pages[number] = then.twin()
    same = {id(page) for page in pages.values()}
    before = {id(page) for page in shadow.pages.values()}
    for held in w.views:
        if held.pages is not None and any(id(page) in before and id(page) not in same for page in held.pages):
            held.pages = None
    shadow.pages, shadow.sure = pages, sure


def from_snapshot(w: World) -> None:
    if not w.snaps or len(w.entries) >= 5:
        return
    snap, saved, sure = w.snaps[w.source.byte() % len(w.snaps)]
    space = w.call(AddrSpace.from_snapshot, snap)
    if space is not None:
        found = w.enter(space, type(w.entries[0].shadow)(w.write_reads), space.model)
        found.shadow.pages = {number: then.twin() for number, (_, then) in saved.items()}
        found.shadow.sure = sure


def drop(w: World) -> None:
    """A space dies, or a snapshot: what looks at their frames stays."""
    choice = w.source.byte()
    if choice & 1 and w.snaps:
        del w.snaps[(choice >> 1) % len(w.snaps)]
        return
    entry = w.entry()
    if len(w.entries) < 2 or not entry.real:
        return
    w.entries.remove(entry)
    w.calls += 1
    if choice & 2:
        w.streams = [(made, other) for made, other in w.streams if other is not entry]
        w.walks.clear()
    w.error = None
    del entry
    touch_all(w)


def dirty(w: World) -> None:
    entry = real_entry(w)
    if entry is None:
        return
    choice = w.source.byte()
    space = entry.memory
    if choice & 3 == 0:
        pages = w.call(space.dirty_pages, clear=bool(choice & 4))
        if any(page % PAGE for page in pages):
            raise Broken(f"dirty pages {pages}")
    elif choice & 3 == 1:
        start, size = place(w)
        w.call(space.sync, start, size)
    elif choice & 3 == 2:
        start, size = place(w)
        w.call(space.set_clone_rule, start, size, ("copy", "omit", "wipe")[choice >> 2 & 1])
        w.rules = w.rules or w.error is None
    else:
        start, size = place(w)
        w.call(space.set_locked, start, size, bool(choice & 4), on_fault=bool(choice & 8))


def look_around(w: World) -> None:
    entry = real_entry(w)
    if entry is None:
        return
    choice = w.source.byte()
    space = entry.memory
    if choice & 7 == 0:
        w.call(space._check)
        w.call(w.phys._check)
    elif choice & 7 == 1:
        w.call(space.format_maps)
    elif choice & 7 == 2 and choice & 64:
        w.call(space.format_svg)
    elif choice & 7 < 5:
        limit = VirtAddrRange(*sorted((w.address(), w.address())))
        n = w.count() or 1
        found = w.call(space.find_free_area, w.address(), n, limit, 1 << 12 + (choice >> 4), topdown=bool(choice & 8))
        if found is not None and (found < limit.start or found + n > limit.end):
            raise Broken(f"a free area at {found:#x} outside {limit}")
    elif choice & 7 == 5:
        w.call(space.resident_pages, *place(w))
    else:
        w.call(space.stats)


def linear(w: World) -> None:
    """A window on the physical memory: on a frame of ours, and on what is somebody's or nobody's."""
    entry = real_entry(w)
    start, size = place(w)
    choice = w.source.byte()
    if entry is None or size > 1 << 20:
        return
    paddr = (choice >> 2) * PAGE if choice & 2 else w.count()
    if paddr >= END or (choice & 2 == 0 and choice & 4):
        paddr = PAGE
    w.call(entry.memory.map_linear, start, paddr, size, MappingFlags(READ), replace=bool(choice & 1))
    if w.error is None:
        for other in w.entries:
            other.shadow.sure = False


def fail_soon(w: World) -> None:
    """One allocation of a frame fails, some calls from here."""
    choice = w.source.byte()
    w.scarce = w.injected = True
    w.call(w.phys._inject_failure, None if choice & 1 else choice >> 4)


def clear_all(w: World) -> None:
    entry = real_entry(w)
    if entry is not None and w.source.byte() & 7 == 0:
        w.call(entry.memory.clear)
        entry.shadow.pages.clear()


OPERATIONS: list[Callable[[World], None]] = [
    map_some, map_some, unmap, unmap, protect, protect, discard, move, clone, snapshot, restore, restore, from_snapshot,
    drop, dirty, look_around, linear, fail_soon, clear_all,
]  # fmt: skip
