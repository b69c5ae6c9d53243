"""The naive model of a space: a dict of pages, each with its flags and its bytes, and what an access must give there.

What it leaves out it does not guess: a page whose bytes nobody can know (a device, shared memory) has no `data`, one
that may fail although its flags allow the access is not `solid`, and after what it does not follow the whole shadow is
not `sure` any more. Then only the rules hold that hold for every call (`world`).
"""

from __future__ import annotations

PAGE = 4096
END = 1 << 64


class Page:
    """flags: READ 1, WRITE 2 as they are granted. data: its bytes, or None. solid: whether what the flags allow works.

    shared: whether clones and snapshots see the same page.
    """

    __slots__ = ("data", "flags", "fresh", "shared", "solid")

    def __init__(
        self,
        flags: int,
        data: bytearray | None,
        *,
        solid: bool = True,
        shared: bool = False,
        fresh: bytes | None = None,
    ) -> None:
        self.flags = flags
        self.data = data
        self.solid = solid
        self.shared = shared
        self.fresh = fresh
        """The bytes after the page was given up; None where nobody knows."""

    def twin(self) -> Page:
        data = None if self.data is None or self.shared else bytearray(self.data)
        return Page(self.flags, data, solid=self.solid, shared=self.shared, fresh=self.fresh)


class Shadow:
    """pages: by number. sure: whether it still knows what is there. write_reads: whether WRITE grants READ."""

    __slots__ = ("pages", "sure", "write_reads")

    def __init__(self, write_reads: bool) -> None:
        self.pages: dict[int, Page] = {}
        self.sure = True
        self.write_reads = write_reads

    def granted(self, flags: int) -> int:
        return flags | 1 if self.write_reads and flags & 2 else flags

    def add(self, start: int, npages: int, flags: int, fresh: bytes | None = None, **options: bool) -> None:
        for number in range(start // PAGE, start // PAGE + npages):
            data = None if fresh is None else bytearray(fresh)
            self.pages[number] = Page(self.granted(flags), data, fresh=fresh, **options)

    def remove(self, start: int, size: int) -> None:
        for number in range(start // PAGE, (start + size) // PAGE):
            self.pages.pop(number, None)

    def copied(self) -> dict[int, Page]:
        return {number: page.twin() for number, page in self.pages.items()}

    def first_bad(self, start: int, size: int, access: int) -> tuple[int | None, bool]:
        """The first byte that the flags refuse, and whether every page before it is solid."""
        at, end, solid = start, start + size, True
        pages = self.pages
        while at < end:
            page = pages.get(at >> 12)
            if page is None or page.flags & access != access:
                return at, solid
            solid = solid and page.solid
            at = (at | 0xFFF) + 1
        return None, solid

    def peek(self, start: int, size: int) -> bytes | None:
        """The bytes of a range, None if one of them is not known."""
        at, end = start, start + size
        parts = []
        while at < end:
            page = self.pages.get(at >> 12)
            if page is None or page.data is None:
                return None
            stop = min(end, (at | 0xFFF) + 1)
            parts.append(page.data[at & 0xFFF : (at & 0xFFF) + stop - at])
            at = stop
        return b"".join(parts)

    def poke(self, start: int, data: bytes | memoryview) -> None:
        at, done = start, 0
        while done < len(data):
            page = self.pages.get(at >> 12)
            step = min(PAGE - (at & 0xFFF), len(data) - done)
            if page is not None and page.data is not None:
                page.data[at & 0xFFF : (at & 0xFFF) + step] = data[done : done + step]
            at += step
            done += step

    def lose(self, start: int, size: int) -> None:
        """`forget`, past holes too."""
        for number, page in self.pages.items():
            if start >> 12 <= number < start + size + 4095 >> 12:
                page.data = None

    def forget(self, start: int, size: int) -> None:
        """Nobody knows the bytes of these pages any more."""
        at = start & -PAGE
        while at < start + size:
            page = self.pages.get(at >> 12)
            if page is None:
                return
            page.data = None
            at += PAGE
