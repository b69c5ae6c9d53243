"""Page tables: real entries, in frames of a `PhysMemory` or wherever somebody else wrote them.

`PageTable` is the public one, with pages of every size the format has. There is one walker for every format: all
that differs between architectures is data (`axptr.paging`, made ready for C in `format`).

Not here: whose frames the entries name. A `PageTable` neither holds nor frees the frames it maps, only the
frames of its own tables. Nor the walks that serve address spaces (`walk`).

Invariant, checked by `_check`: every table entry leads to a frame of kind table, referenced once.

Failure: a typed error (`errors.PagingError`) or `LinuxError(ENOMEM)`, and the table is as before. A table that
somebody else wrote is not trusted: what the CPU would not translate is not mapped, and every walk ends.
"""

import errno
import struct

import cython
from cython.cimports.axptr._core.paging.format import (
    RESERVED,
    entry_at,
    entry_memory,
    entry_paddr,
    entry_page,
    entry_permissions,
    entry_table,
    entry_valid,
    format_code,
    narrow,
    translatable,
)
from cython.cimports.axptr._core.paging.walk import free_tables, prune, slots
from cython.cimports.axptr._core.phys.coherence import FRAME_TABLE
from cython.cimports.axptr._core.words.codes import ACCESS, PAGE_SHIFT, PAGE_SIZE, WRITE
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import uint32_t, uint64_t

from axptr._core.phys.phys import default_memory
from axptr._core.words.buffers import plain
from axptr.addr import ADDRESS_END, PhysAddr, checked_address, checked_size
from axptr.errors import (
    AlreadyMapped,
    LinuxError,
    MappedToHugePage,
    NotAligned,
    NotMapped,
    PagingError,
)
from axptr.flags import MappingFlags
from axptr.paging import X86_64

# How often `leaves` comes back to tables that it has been through at that level. A table mapped into itself once, as
# many kernels have it, needs none; those that are made of loops would have no end in a lifetime.
_MOST_REPEATS = 4096


@cython.no_gc_clear
@cython.cclass
class PageTable:
    """A page table of one format, in frames of `phys` (by default the process-wide memory).

    `PageTable.at(source, root, fmt)` walks a table that somebody else wrote; the source is anything with
    `read(paddr, size) -> bytes`, and such a table can be queried and iterated, not changed.
    Raises `LinuxError(ENOMEM)` if there is no frame for the root.
    """

    def __cinit__(self, phys=None, fmt=X86_64, *, source=None, root=None):
        self.code = format_code(fmt)
        if source is not None and not hasattr(source, "read"):
            raise TypeError(f"want something with read(paddr, size), not {type(source).__name__}")
        self.format = fmt
        self.fmt = cython.address(self.code.c)
        if source is not None:
            self.source = source
            self.root_paddr = checked_address(root, "root")
            if self.root_paddr % PAGE_SIZE:
                raise NotAligned("root", root, PAGE_SIZE)
            return
        self.phys = default_memory() if phys is None else phys
        self.phys.alive()
        axptr_lock_gil(self.phys.lock)
        self.root_paddr = self.phys.alloc_frame(True, True) << PAGE_SHIFT
        axptr_unlock(self.phys.lock)
        if self.root_paddr == 0:
            raise LinuxError(errno.ENOMEM, "no frame left for the root of a page table")
        self.owned = True

    def __dealloc__(self):
        if self.owned and not self.phys.forked:
            axptr_lock_gil(self.phys.lock)
            free_tables(self.phys, self.fmt, self.root_paddr, 0)
            axptr_unlock(self.phys.lock)

    @classmethod
    def at(cls, source, root, fmt=X86_64):
        """The table whose root lies at `root` (page aligned, `NotAligned` otherwise) in `source`.

        source: anything with `read(paddr, size) -> bytes`; what it raises comes out of the walk.
        """
        return cls(None, fmt, source=source, root=root)

    def load(self, paddr):
        return slots(self.phys, paddr)[0] if self.source is None else self._entries(paddr, 1)[0]

    def _entries(self, paddr, count):
        """So many entries from `paddr` on. Raises what the source does, `PagingError(EIO)` if it gives too little."""
        found = plain((self.phys if self.source is None else self.source).read(PhysAddr(paddr), 8 * count)).tobytes()
        if len(found) != 8 * count:
            raise PagingError(
                errno.EIO, f"the source gave {len(found)} of {8 * count} bytes of the table at {paddr:#x}"
            )
        return struct.unpack(f"<{count}Q", found)

    @property
    def root(self):
        """Physical address of the top table: what goes into CR3, TTBR0 or satp."""
        return PhysAddr(self.root_paddr)

    # -- look ---------------------------------------------------------------------------------------------

    def _canonical(self, vaddr):
        return translatable(self.fmt, checked_address(vaddr, "vaddr"))

    def _flags(self, entry: uint64_t):
        if not entry_valid(self.fmt, entry) or entry_permissions(self.fmt, entry) == RESERVED:
            return MappingFlags(0)
        return MappingFlags(entry_permissions(self.fmt, entry) | entry_memory(self.fmt, entry))

    def query(self, vaddr):
        """`(paddr, flags, page_size)` of the page that `vaddr` lies in, `paddr` being that of the very byte.

        flags: what the table grants, all levels taken together; none for a page that is mapped without rights. None
        where nothing is mapped, also for an address that the format cannot translate and where bits are set that
        the format reserves. Accessed and dirty bits do not matter.
        """
        if not self._canonical(vaddr):
            return None
        if self.source is not None:
            return self._query(vaddr)
        axptr_lock_gil(self.phys.lock)
        try:
            return self._query(vaddr)
        finally:
            axptr_unlock(self.phys.lock)

    def _query(self, at: uint64_t):
        level: uint32_t
        entry: uint64_t
        inside: uint64_t
        sets: uint64_t = 0
        clears: uint64_t = 0
        table: uint64_t = self.root_paddr
        for level in range(self.fmt.nlevels):
            entry = self.load(table + (((at >> self.fmt.levels[level].shift) & self.fmt.levels[level].mask) << 3))
            if level + 1 < self.fmt.nlevels and entry_table(self.fmt, entry):
                narrow(self.fmt, entry, cython.address(sets), cython.address(clears))
                table = entry_paddr(self.fmt, entry)
                continue
            if not self._maps(entry, level):
                return None
            inside = (cython.cast(uint64_t, 1) << self.fmt.levels[level].shift) - 1
            table = entry_paddr(self.fmt, entry)
            flags = self._flags((entry | sets) & ~clears)
            return PhysAddr((table & ~inside) | (at & inside)), flags, int(inside) + 1
        return None

    def _maps(self, entry: uint64_t, level: uint32_t):
        """Whether an entry that leads to no table maps a page; one not present may, but only in a table of ours."""
        if entry_valid(self.fmt, entry):
            return entry_page(self.fmt, level, entry)
        return self.source is None and (entry & self.fmt.kept) != 0

    def leaves(self):
        """Every page mapped, in order of address: `(vaddr, paddr, flags, page_size)`.

        Raises `PagingError(ELOOP)` when the same tables come again and again: a table of somebody else's that leads
        back to itself in many places.
        """
        base = int(self.fmt.low_first)
        yield from self._leaves(self.root_paddr, 0, base, 0, 0, set(), [0])

    def _leaves(self, table, level, base, sets: uint64_t, clears: uint64_t, seen, repeats):
        """The pages below one table; those above it set and clear so many bits in them."""
        lvl: uint32_t = level
        entry: uint64_t
        more: uint64_t
        less: uint64_t
        # Numbers of Python's: those of C would not hold 1 << 48.
        size: object = 1 << self.format.levels[level].shift
        count: object = 1 << self.format.levels[level].bits
        index: object
        if (table, level) in seen:
            repeats[0] += 1
            if repeats[0] > _MOST_REPEATS:
                raise PagingError(errno.ELOOP, f"the table at {table:#x} leads to the same tables again and again")
        seen.add((table, level))
        for index, entry in enumerate(self._entries(table, count)):
            if entry == 0:
                continue
            at = base + index * size
            if lvl == 0 and at > self.fmt.low_last:
                at += self.fmt.high_first - (int(self.fmt.low_last) + 1)
            paddr = int(entry_paddr(self.fmt, entry))
            if lvl + 1 < self.fmt.nlevels and entry_table(self.fmt, entry):
                more = sets
                less = clears
                narrow(self.fmt, entry, cython.address(more), cython.address(less))
                yield from self._leaves(paddr, level + 1, at, more, less, seen, repeats)
            elif self._maps(entry, lvl):
                yield at, PhysAddr(paddr & -size), self._flags((entry | sets) & ~clears), size

    # -- change -------------------------------------------------------------------------------------------

    def find(self, vaddr, level):
        """The leaf entry or the empty slot that ends the walk for `vaddr`, with its level."""
        at: uint32_t
        slot: cython.pointer(uint64_t) = cython.NULL
        table: uint64_t = self.root_paddr
        for at in range(self.fmt.nlevels):
            slot = slots(self.phys, table) + ((vaddr >> self.fmt.levels[at].shift) & self.fmt.levels[at].mask)
            level[0] = at
            if at + 1 == self.fmt.nlevels or not entry_table(self.fmt, slot[0]):
                break
            table = entry_paddr(self.fmt, slot[0])
        return slot

    def _leaf(self, paddr: uint64_t, flags: uint32_t, level: uint32_t):
        """The entry for a page; one without rights is not present and keeps its frame."""
        entry: uint64_t = entry_at(self.fmt, paddr)
        if not flags & ACCESS:
            return entry | self.fmt.kept
        if flags & WRITE:
            entry |= self.fmt.write_bits
        return entry | self.fmt.levels[level].leaf_bits | self.fmt.attributes[flags]

    def _nameable(self, paddr: uint64_t):
        if entry_paddr(self.fmt, entry_at(self.fmt, paddr)) != paddr:
            raise LinuxError(errno.ENOMEM, f"{self.format.name} cannot name the frame {paddr:#x}")

    def _level_of(self, size):
        checked_size(size, "page size")
        for i in range(len(self.format.levels)):
            if self.format.levels[i].leaf_mask and 1 << self.format.levels[i].shift == size:
                return i
        raise NotAligned("page size", size, PAGE_SIZE)

    def _writable(self):
        if self.source is not None:
            if self.of_space:
                raise TypeError(
                    "this is the page table of an AddrSpace, which owns it: it can be read here, and is changed by the "
                    "space's own methods (map_alloc, map_linear, unmap, protect)"
                )
            raise TypeError("a table that somebody else wrote can be read, not changed")
        self.phys.alive()

    def map(self, vaddr, paddr, flags, size=PAGE_SIZE):
        """Map the page of `size` bytes (one of the format's) at `vaddr` to the frame(s) at `paddr`.

        Raises `AlreadyMapped` (or `MappedToHugePage`) if something of it is mapped, `NotAligned` if an address is
        no multiple of `size` or the format has no such page, `LinuxError(ENOMEM)` without frames for tables
        or for an address that the format cannot translate.
        """
        self._writable()
        wanted: uint32_t = self._level_of(size)
        at: uint64_t = checked_address(vaddr, "vaddr")
        to: uint64_t = checked_address(paddr, "paddr")
        bits: uint32_t = int(MappingFlags(flags))
        level: uint32_t = 0
        slot: cython.pointer(uint64_t)
        fresh: uint64_t
        if vaddr % size:
            raise NotAligned("vaddr", vaddr, size)
        if paddr % size:
            raise NotAligned("paddr", paddr, size)
        if not self._canonical(vaddr):
            raise LinuxError(errno.ENOMEM, f"{self.format.name} cannot translate {vaddr:#x}")
        self._nameable(to)
        axptr_lock_gil(self.phys.lock)
        try:
            slot = self.find(at, cython.address(level))
            if slot[0] and level < wanted:
                raise MappedToHugePage(vaddr, 1 << self.fmt.levels[level].shift)
            if slot[0] or level > wanted:  # a table in the way maps something: empty ones are pruned
                raise AlreadyMapped(vaddr)
            while level < wanted:
                fresh = self.phys.alloc_frame(True, True)
                if fresh == 0:
                    prune(self.phys, self.fmt, self.root_paddr, at, at)
                    raise LinuxError(errno.ENOMEM, "no frame left for a page table")
                slot[0] = entry_at(self.fmt, fresh << PAGE_SHIFT) | self.fmt.table_bits
                slot = self.find(at, cython.address(level))
            slot[0] = self._leaf(to, bits, level)
        finally:
            axptr_unlock(self.phys.lock)

    def mapped(self, vaddr, level):
        """The leaf entry of the page that starts at `vaddr`; raises the typed error if there is none."""
        at: uint64_t = checked_address(vaddr, "vaddr")
        slot: cython.pointer(uint64_t) = self.find(at, level) if self._canonical(vaddr) else cython.NULL
        if slot == cython.NULL or not self._maps(slot[0], level[0]):
            raise NotMapped(vaddr)
        size: uint64_t = cython.cast(uint64_t, 1) << self.fmt.levels[level[0]].shift
        if at & (size - 1):
            if size > PAGE_SIZE:
                raise MappedToHugePage(vaddr, size)
            raise NotAligned("vaddr", vaddr, size)
        return slot

    def unmap(self, vaddr):
        """Remove the page that starts at `vaddr`; `(paddr, flags, page_size)` of what was there.

        Raises `NotMapped`; `NotAligned` or `MappedToHugePage` for an address inside a page. Tables left empty are freed.
        """
        level: uint32_t = 0
        self._writable()
        axptr_lock_gil(self.phys.lock)
        try:
            slot: cython.pointer(uint64_t) = self.mapped(vaddr, cython.address(level))
            was = self._describe(slot[0], level)
            slot[0] = 0
            prune(self.phys, self.fmt, self.root_paddr, vaddr, vaddr)
        finally:
            axptr_unlock(self.phys.lock)
        return was

    def _describe(self, entry: uint64_t, level: uint32_t):
        size = 1 << self.fmt.levels[level].shift
        return PhysAddr(entry_paddr(self.fmt, entry) & ~(size - 1)), self._flags(entry), size

    def remap(self, vaddr, paddr, flags):
        """Let the page that starts at `vaddr` show other frames with other flags; its size in bytes. Raises as `unmap`."""
        return self._change(vaddr, checked_address(paddr, "paddr"), flags)

    def protect(self, vaddr, flags):
        """Change the flags of the page that starts at `vaddr`; its size in bytes. Raises as `unmap`."""
        return self._change(vaddr, None, flags)

    def _change(self, vaddr, paddr, flags):
        level: uint32_t = 0
        bits: uint32_t = int(MappingFlags(flags))
        to: uint64_t
        self._writable()
        axptr_lock_gil(self.phys.lock)
        try:
            slot: cython.pointer(uint64_t) = self.mapped(vaddr, cython.address(level))
            size = 1 << self.fmt.levels[level].shift
            to = entry_paddr(self.fmt, slot[0]) & ~(size - 1) if paddr is None else paddr
            if to & (size - 1):
                raise NotAligned("paddr", to, size)
            self._nameable(to)
            slot[0] = self._leaf(to, bits, level)
        finally:
            axptr_unlock(self.phys.lock)
        return size

    def map_region(self, vaddr, paddr, size, flags, *, huge=True):
        """Map `size` bytes at `vaddr` to those at `paddr`, each time with the largest page that fits; bytes.

        `huge=False` keeps to 4 KiB. All or nothing: what was mapped before a failure is unmapped again. Raises as `map`.
        """
        total = checked_size(size)
        checked_address(vaddr, "vaddr")
        checked_address(paddr, "paddr")
        for what, value in (("vaddr", vaddr), ("paddr", paddr), ("size", total)):
            if value % PAGE_SIZE:
                raise NotAligned(what, value, PAGE_SIZE)
        if total == 0 or vaddr + total > ADDRESS_END:
            raise LinuxError(errno.EINVAL, f"{total:#x} bytes at {vaddr:#x} are no region")
        sizes = [1 << lv.shift for lv in self.format.levels if lv.leaf_mask and (huge or 1 << lv.shift == PAGE_SIZE)]
        done = []
        offset = 0
        try:
            while offset < total:
                for page in sizes:
                    if (vaddr + offset) % page == 0 and (paddr + offset) % page == 0 and offset + page <= total:
                        break
                self.map(vaddr + offset, paddr + offset, flags, page)
                done.append(vaddr + offset)
                offset += page
        except LinuxError:
            for at in done:
                self.unmap(at)
            raise
        return total

    def unmap_region(self, vaddr, size):
        """Unmap every page from `vaddr` on for `size` bytes. Raises as `unmap`, before anything is changed."""
        at = checked_address(vaddr, "vaddr")
        end = at + checked_size(size)
        self._writable()
        for what, value in (("vaddr", at), ("size", end - at)):
            if value % PAGE_SIZE:
                raise NotAligned(what, value, PAGE_SIZE)
        if end == at or end > ADDRESS_END:
            raise LinuxError(errno.EINVAL, f"{end - at:#x} bytes at {at:#x} are no region")
        starts = []
        while at < end:
            found = self.query(at)
            if found is None:
                raise NotMapped(at)
            if at % found[2] or at + found[2] > end:
                raise MappedToHugePage(at, found[2])
            starts.append(at)
            at += found[2]
        for at in starts:
            self.unmap(at)

    def __reduce__(self):
        raise TypeError("a PageTable cannot be pickled")

    def _check(self):
        """Raise `AssertionError` if a table entry does not lead to a table frame held once."""
        self._check_table(self.root_paddr, 0, set())

    def _check_table(self, table, level, seen):
        lvl: uint32_t = level
        pfn: uint64_t = table >> PAGE_SHIFT
        if table in seen:
            raise AssertionError(f"table {table:#x} is used twice")
        seen.add(table)
        if self.phys.refs[pfn] != 1 or not self.phys.flags[pfn] & FRAME_TABLE:
            raise AssertionError(
                f"table {table:#x} has {self.phys.refs[pfn]} references, flags {self.phys.flags[pfn]:#x}"
            )
        if lvl + 1 == self.fmt.nlevels:
            return
        for index in range(self.fmt.levels[lvl].mask + 1):
            entry: uint64_t = self.load(table + index * 8)
            if entry_table(self.fmt, entry):
                self._check_table(int(entry_paddr(self.fmt, entry)), level + 1, seen)
