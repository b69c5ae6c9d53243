"""Walks of our own tables for address spaces: 4 KiB leaves, lock held, no GIL.

A space knows its table: an entry of an upper level that is not zero leads to a table, and every entry of the last
level that is not zero is a page, present or kept. So nothing is checked on the way.

Not here: pages of other sizes and tables of others (`paging`), what an entry means (`format`).

Failure: NULL; `make_slot` leaves no table behind then.
"""

import cython
from cython.cimports.axptr._core.paging.format import (
    CFormat,
    entry_at,
    entry_paddr,
    entry_table,
)
from cython.cimports.axptr._core.paging.walk import slots
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.codes import IN_PAGE, PAGE_SHIFT
from cython.cimports.libc.stdint import uint32_t, uint64_t


def leaf_slot(phys, fmt, root, vaddr):
    """The last-level entry for `vaddr`, or NULL where no table leads there. The space maps 4 KiB leaves only."""
    level: uint32_t
    entry: uint64_t
    table: uint64_t = root
    for level in range(fmt.nlevels - 1):
        entry = slots(phys, table)[(vaddr >> fmt.levels[level].shift) & fmt.levels[level].mask]
        if entry == 0:
            return cython.NULL
        table = entry_paddr(fmt, entry)
    return slots(phys, table) + ((vaddr >> PAGE_SHIFT) & fmt.levels[fmt.nlevels - 1].mask)


def make_slot(phys, fmt, root, vaddr):
    """The last-level entry for `vaddr`, its tables made as needed; NULL, and no table made, if frames run out."""
    level: uint32_t
    slot: cython.pointer(uint64_t)
    table: uint64_t = root
    fresh: uint64_t
    for level in range(fmt.nlevels - 1):
        slot = slots(phys, table) + ((vaddr >> fmt.levels[level].shift) & fmt.levels[level].mask)
        if slot[0] == 0:
            fresh = phys.alloc_frame(True, True)
            if fresh == 0:
                prune(phys, fmt, root, vaddr, vaddr)
                return cython.NULL
            slot[0] = entry_at(fmt, fresh << PAGE_SHIFT) | fmt.table_bits
        table = entry_paddr(fmt, slot[0])
    return slots(phys, table) + ((vaddr >> PAGE_SHIFT) & fmt.levels[fmt.nlevels - 1].mask)


def open_table(walk):
    """Take the next last-level table of a walk in hand; False if there is none."""
    level: uint32_t
    entry: uint64_t
    table: uint64_t
    at: uint64_t = walk.next
    fmt: cython.pointer(cython.const[CFormat]) = walk.fmt
    leaf_level: uint32_t = fmt.nlevels - 1
    mask: uint64_t = fmt.levels[leaf_level].mask
    while not walk.over and at <= walk.last:
        table = walk.root
        for level in range(leaf_level):
            entry = cython.cast(cython.pointer(uint64_t), walk.memory + table)[
                (at >> fmt.levels[level].shift) & fmt.levels[level].mask
            ]
            if entry == 0:
                # Nothing below: step to the next entry of this level.
                at = (at | ((cython.cast(uint64_t, 1) << fmt.levels[level].shift) - 1)) + 1
                walk.over = at == 0
                break
            table = entry_paddr(fmt, entry)
        else:
            walk.table = cython.cast(cython.pointer(uint64_t), walk.memory + table)
            walk.base = at & ~((mask << PAGE_SHIFT) | IN_PAGE)
            walk.index = (at >> PAGE_SHIFT) & mask
            walk.count = (walk.last - walk.base) >> PAGE_SHIFT
            walk.count = (mask if walk.count > mask else walk.count) + 1
            walk.next = walk.base + ((mask + 1) << PAGE_SHIFT)
            walk.over = walk.next == 0
            return True
    return False


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _is_empty(phys: PhysMemory, table: uint64_t, entries: uint32_t) -> cython.bint:
    i: uint32_t
    seen: uint64_t = 0
    slot: cython.pointer(uint64_t) = slots(phys, table)
    for i in range(entries):
        seen |= slot[i]
    return seen == 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _prune(
    phys: PhysMemory,
    fmt: cython.pointer(cython.const[CFormat]),
    table: uint64_t,
    level: uint32_t,
    first: uint64_t,
    last: uint64_t,
) -> cython.bint:
    """Free the empty tables below `table` that cover [first, last]; whether `table` itself is empty now."""
    index: uint32_t
    shift: uint32_t = fmt.levels[level].shift
    mask: uint32_t = fmt.levels[level].mask
    low: uint64_t
    high: uint64_t
    end: uint32_t
    base: uint64_t
    slot: cython.pointer(uint64_t)
    if level < fmt.nlevels - 1:
        # Addresses above this level's reach are the same for the whole range here.
        end = (last >> shift) & mask
        base = first & ~((cython.cast(uint64_t, mask + 1) << shift) - 1)
        for index in range((first >> shift) & mask, end + 1):
            slot = slots(phys, table) + index
            if not entry_table(fmt, slot[0]):
                continue
            low = base + (cython.cast(uint64_t, index) << shift)
            high = low + ((cython.cast(uint64_t, 1) << shift) - 1)
            low = first if first > low else low
            high = last if last < high else high
            if _prune(phys, fmt, entry_paddr(fmt, slot[0]), level + 1, low, high):
                phys.decref(entry_paddr(fmt, slot[0]) >> PAGE_SHIFT)
                slot[0] = 0
    return level > 0 and _is_empty(phys, table, mask + 1)


def prune(phys, fmt, root, first, last):
    """Free the tables that map nothing any more in [first, last]."""
    _prune(phys, fmt, root, 0, first, last)


def free_tables(phys, fmt, table, level):
    """Free `table`, which stands at `level`, and all tables below; the frames they map are left alone."""
    index: uint32_t
    entry: uint64_t
    if level < fmt.nlevels - 1:
        for index in range(fmt.levels[level].mask + 1):
            entry = slots(phys, table)[index]
            if entry_table(fmt, entry):
                free_tables(phys, fmt, entry_paddr(fmt, entry), level + 1)
    phys.decref(table >> PAGE_SHIFT)
