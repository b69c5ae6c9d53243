"""The journal of a space: which pages and ranges changed since a snapshot was taken or restored.

Written on the slow path only, by page faults and by calls that change areas, without the GIL; read by `restore`. So
a restore costs what changed. Notes may repeat; a full list is sorted and its repeats dropped before it grows, so that
it holds at most twice as many notes as there are pages that changed.

Not here: what a restore does with it (`history`), and the bit of an entry that says "written" (`mmu`).

Locking: the owner's. Failure: a note that finds no room sets `lost`, which means "anything may have changed".
"""

import cython
from cython.cimports.axptr._core.mm.journal import Span
from cython.cimports.axptr._core.words.codes import IN_PAGE, page_start
from cython.cimports.libc.stdint import uint64_t
from cython.cimports.libc.stdlib import free, qsort, realloc


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _by_first(a: cython.pointer(cython.const[cython.void]), b: cython.pointer(cython.const[cython.void])) -> cython.int:
    x: uint64_t = cython.cast(cython.pointer(uint64_t), a)[0]
    y: uint64_t = cython.cast(cython.pointer(uint64_t), b)[0]
    return (x > y) - (x < y)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _unique(numbers: cython.pointer(uint64_t), count: uint64_t) -> uint64_t:
    """Sort, and drop repeats; how many are left."""
    i: uint64_t
    kept: uint64_t = 0
    if count == 0:
        return 0
    qsort(numbers, count, 8, _by_first)
    for i in range(1, count):
        if numbers[i] != numbers[kept]:
            kept += 1
            numbers[kept] = numbers[i]
    return kept + 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _merged(ranges: cython.pointer(Span), count: uint64_t) -> uint64_t:
    """Sort ranges and make one of those that overlap or meet; how many are left."""
    i: uint64_t
    kept: cython.pointer(Span) = ranges
    if count == 0:
        return 0
    qsort(ranges, count, cython.sizeof(Span), _by_first)
    for i in range(1, count):
        if ranges[i].first <= kept.last or ranges[i].first == kept.last + 1:
            if ranges[i].last > kept.last:
                kept.last = ranges[i].last
        else:
            kept += 1
            kept[0] = ranges[i]
    return kept - ranges + 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _room(
    numbers: cython.pointer(cython.pointer(uint64_t)), capacity: cython.pointer(uint64_t), size: uint64_t
) -> cython.bint:
    """Make room for twice as many notes of `size` bytes."""
    wanted: uint64_t = capacity[0] * 2 + 64
    grown: cython.p_void = realloc(numbers[0], wanted * size)
    if grown == cython.NULL:
        return False
    numbers[0] = cython.cast(cython.pointer(uint64_t), grown)
    capacity[0] = wanted
    return True


def journal_page(journal, vaddr):
    """Note that the page of `vaddr` has another frame or other bytes."""
    page: uint64_t = page_start(vaddr)
    if not journal.on or (journal.npages and journal.pages[journal.npages - 1] == page):
        return
    if journal.npages == journal.page_capacity:
        journal.npages = _unique(journal.pages, journal.npages)
        if journal.npages * 2 >= journal.page_capacity and not _room(
            cython.address(journal.pages), cython.address(journal.page_capacity), 8
        ):
            journal.lost = 1
            return
    journal.pages[journal.npages] = page
    journal.npages += 1


def journal_range(journal, first, last):
    """Note that areas, or all pages, of [first, last] changed."""
    if not journal.on:
        return
    if journal.nranges == journal.range_capacity:
        journal.nranges = _merged(journal.ranges, journal.nranges)
        if journal.nranges * 2 >= journal.range_capacity and not _room(
            cython.cast(cython.pointer(cython.pointer(uint64_t)), cython.address(journal.ranges)),
            cython.address(journal.range_capacity),
            cython.sizeof(Span),
        ):
            journal.lost = 1
            return
    journal.ranges[journal.nranges] = Span(first, last)
    journal.nranges += 1


def journal_watch(journal, vaddr):
    """Note that a writable view shows the page of `vaddr`; also while the journal is off."""
    if journal.nwatched == journal.watched_capacity:
        journal.nwatched = _unique(journal.watched, journal.nwatched)
        if journal.nwatched * 2 >= journal.watched_capacity and not _room(
            cython.address(journal.watched), cython.address(journal.watched_capacity), 8
        ):
            journal.lost = 1
            return
    journal.watched[journal.nwatched] = page_start(vaddr)
    journal.nwatched += 1


def journal_moved(journal, vaddr, to):
    """The page of `vaddr` stands at `to` now: if a view shows it, watch it there."""
    i: uint64_t
    for i in range(journal.nwatched):
        if journal.watched[i] == vaddr:
            journal_watch(journal, to)
            return


def journal_hot(journal):
    """Note the pages that the last restore left open to be written: they may have changed unseen."""
    i: uint64_t
    for i in range(journal.nback):
        if journal.back[i].hot:
            journal_page(journal, journal.back[i].page)


def journal_cool(journal):
    """No page may change unseen any more."""
    free(journal.back)
    journal.back = cython.NULL
    journal.nback = 0


def journal_tidy(journal):
    """Sort the notes and drop repeats."""
    journal.npages = _unique(journal.pages, journal.npages)
    journal.nranges = _merged(journal.ranges, journal.nranges)
    journal.nwatched = _unique(journal.watched, journal.nwatched)


def journal_has(journal, vaddr):
    """Whether a tidy journal's ranges hold `vaddr`."""
    low: uint64_t = 0
    high: uint64_t = journal.nranges
    middle: uint64_t
    while low < high:
        middle = (low + high) >> 1
        if journal.ranges[middle].last < vaddr:
            low = middle + 1
        else:
            high = middle
    return low < journal.nranges and journal.ranges[low].first <= vaddr


def journal_is_empty(journal):
    """Whether it has noted all and found nothing; nothing was put back either that may have changed unseen."""
    if not journal.on or journal.lost:
        return False
    return journal.npages == 0 and journal.nranges == 0 and journal.nback == 0


def journal_reset(journal):
    """Begin anew; what views show stays noted."""
    journal.npages = journal.nranges = 0
    journal.lost = 0


def journal_free(journal):
    free(journal.pages)
    free(journal.ranges)
    free(journal.watched)
    journal.pages = journal.watched = cython.NULL
    journal.ranges = cython.NULL
    journal.npages = journal.nranges = journal.nwatched = 0
    journal_cool(journal)
    journal.page_capacity = journal.range_capacity = journal.watched_capacity = 0


def journal_check(journal, first, last):
    """Raise `AssertionError` if a journal of the space [first, last] cannot be right."""
    i: uint64_t
    if journal.npages > journal.page_capacity or journal.nranges > journal.range_capacity:
        raise AssertionError("the journal has more notes than room")
    if journal.nwatched > journal.watched_capacity:
        raise AssertionError("the journal watches more pages than it has room for")
    if not journal.on and (journal.npages or journal.nranges):
        raise AssertionError("the journal is off and has notes")
    for i in range(journal.npages):
        if journal.pages[i] & IN_PAGE or not first <= journal.pages[i] <= last:
            raise AssertionError(f"the journal notes {journal.pages[i]:#x}, which is no page of the space")
    for i in range(journal.nwatched):
        if journal.watched[i] & IN_PAGE or not first <= journal.watched[i] <= last:
            raise AssertionError(f"the journal watches {journal.watched[i]:#x}, which is no page of the space")
    for i in range(journal.nranges):
        if not first <= journal.ranges[i].first <= journal.ranges[i].last <= last:
            raise AssertionError(f"the journal notes {journal.ranges[i].first:#x}..{journal.ranges[i].last:#x}")
    return 0
