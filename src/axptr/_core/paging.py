"""Page tables: real entries, in frames of a `PhysMemory` or wherever somebody else wrote them.

One walker for every format: `CFormat` is a `PagingFormat` ready for C, and all that differs between
architectures is in it. The functions without a class serve address spaces: 4 KiB leaves, lock held, no GIL.
`PageTable` is the public one, with pages of every size the format has.

Not here: whose frames the entries name. A `PageTable` neither holds nor frees the frames it maps, only the
frames of its own tables.

Invariant, checked by `_check`: every table entry leads to a frame of kind table, referenced once.

Failure: a typed error (`errors.PagingError`) or `LinuxError(ENOMEM)`, and the table is as before.
"""

import errno

import cython
from cython.cimports.axptr._core.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.axptr._core.paging import CFormat, CLevel, entry_at, entry_paddr, entry_valid
from cython.cimports.axptr._core.phys import PhysMemory
from cython.cimports.libc.stdint import uint32_t, uint64_t

from axptr._core.phys import default_memory
from axptr.addr import ADDRESS_END, PAGE_SIZE, PhysAddr, checked_address, checked_size
from axptr.errors import AlreadyMapped, LinuxError, MappedToHugePage, NotAligned, NotMapped
from axptr.flags import MappingFlags
from axptr.paging import X86_64, PagingFormat

_FLAGS = tuple(MappingFlags(1 << i) for i in range(6))


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _slots(phys: PhysMemory, table: uint64_t) -> cython.pointer(uint64_t):
    return cython.cast(cython.pointer(uint64_t), phys.base + table)


def leaf_slot(phys, fmt, root, vaddr):
    """The last-level entry for `vaddr`, or NULL where no table leads there. The space maps 4 KiB leaves only."""
    level: uint32_t
    entry: uint64_t
    table: uint64_t = root
    for level in range(fmt.nlevels - 1):
        entry = _slots(phys, table)[(vaddr >> fmt.levels[level].shift) & fmt.levels[level].mask]
        if entry == 0:
            return cython.NULL
        table = entry_paddr(fmt, entry)
    return _slots(phys, table) + ((vaddr >> 12) & fmt.levels[fmt.nlevels - 1].mask)


def make_slot(phys, fmt, root, vaddr):
    """The last-level entry for `vaddr`, its tables made as needed; NULL, and no table made, if frames run out."""
    level: uint32_t
    slot: cython.pointer(uint64_t)
    table: uint64_t = root
    fresh: uint64_t
    for level in range(fmt.nlevels - 1):
        slot = _slots(phys, table) + ((vaddr >> fmt.levels[level].shift) & fmt.levels[level].mask)
        if slot[0] == 0:
            fresh = phys.alloc_frame(True, True)
            if fresh == 0:
                prune(phys, fmt, root, vaddr, vaddr)
                return cython.NULL
            slot[0] = entry_at(fmt, fresh << 12) | fmt.table_bits
        table = entry_paddr(fmt, slot[0])
    return _slots(phys, table) + ((vaddr >> 12) & fmt.levels[fmt.nlevels - 1].mask)


def next_leaf(phys, fmt, root, cursor, vaddr, last):
    """The first entry in use at or after `*vaddr` and not past `last`; `*vaddr` becomes its page. NULL at the end."""
    level: uint32_t
    index: uint64_t
    mask: uint64_t
    covers: uint64_t
    entry: uint64_t
    table: uint64_t
    at: uint64_t = vaddr[0]
    leaf_level: uint32_t = fmt.nlevels - 1
    mask = fmt.levels[leaf_level].mask
    if cursor.table != cython.NULL and at - cursor.table_base > ((mask << 12) | 0xFFF):
        cursor.table = cython.NULL  # the caller stepped out of the table in hand
    while True:
        if cursor.table == cython.NULL:
            table = root
            for level in range(leaf_level):
                entry = _slots(phys, table)[(at >> fmt.levels[level].shift) & fmt.levels[level].mask]
                if entry == 0:
                    # Nothing below: step to the next entry of this level.
                    covers = cython.cast(uint64_t, 1) << fmt.levels[level].shift
                    at = (at | (covers - 1)) + 1
                    if at == 0 or at > last:
                        return cython.NULL
                    break
                table = entry_paddr(fmt, entry)
            else:
                cursor.table = _slots(phys, table)
                cursor.table_base = at & ~((mask << 12) | 0xFFF)
            continue
        index = (at >> 12) & mask
        while index <= mask:
            if cursor.table[index]:
                at = cursor.table_base + (index << 12)
                if at > last:
                    return cython.NULL
                vaddr[0] = at
                return cursor.table + index
            index += 1
        at = cursor.table_base + ((mask + 1) << 12)
        cursor.table = cython.NULL
        if at == 0 or at > last:
            return cython.NULL


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _is_empty(phys: PhysMemory, table: uint64_t, entries: uint32_t) -> cython.bint:
    i: uint32_t
    seen: uint64_t = 0
    slots: cython.pointer(uint64_t) = _slots(phys, table)
    for i in range(entries):
        seen |= slots[i]
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
            slot = _slots(phys, table) + index
            if slot[0] == 0 or not entry_valid(fmt, slot[0]) or (slot[0] & fmt.table_mask) != fmt.table_value:
                continue
            low = base + (cython.cast(uint64_t, index) << shift)
            high = low + ((cython.cast(uint64_t, 1) << shift) - 1)
            low = first if first > low else low
            high = last if last < high else high
            if _prune(phys, fmt, entry_paddr(fmt, slot[0]), level + 1, low, high):
                phys.decref(entry_paddr(fmt, slot[0]) >> 12)
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
            entry = _slots(phys, table)[index]
            if entry and entry_valid(fmt, entry) and (entry & fmt.table_mask) == fmt.table_value:
                free_tables(phys, fmt, entry_paddr(fmt, entry), level + 1)
    phys.decref(table >> 12)


@cython.no_gc_clear
@cython.cclass
class PageTable:
    """A page table of one format, in frames of `phys` (by default the process-wide memory).

    `PageTable.at(source, root, fmt)` walks a table that somebody else wrote; the source is anything with
    `read(paddr, size) -> bytes`, and such a table can be queried and iterated, not changed.
    Raises `LinuxError(ENOMEM)` if there is no frame for the root.
    """

    def __cinit__(self, phys=None, fmt=X86_64, *, source=None, root=None):
        i: uint32_t
        combination: uint32_t
        if not isinstance(fmt, PagingFormat):
            raise TypeError(f"want a PagingFormat, not {type(fmt).__name__}")
        if source is not None and not hasattr(source, "read"):
            raise TypeError(f"want something with read(paddr, size), not {type(source).__name__}")
        self.format = fmt
        self.fmt.nlevels = len(fmt.levels)
        for i in range(self.fmt.nlevels):
            level = fmt.levels[i]
            self.fmt.levels[i] = CLevel(level.shift, (1 << level.bits) - 1, level.leaf, level.leaf_bits)
        self.fmt.va_bits = fmt.va_bits
        self.fmt.sign_extended = fmt.sign_extended
        self.fmt.paddr_mask = fmt.paddr_mask
        self.fmt.paddr_shift = fmt.paddr_shift
        self.fmt.valid_mask = fmt.valid_mask
        self.fmt.valid_value = fmt.valid_value
        self.fmt.table_mask = fmt.table_mask
        self.fmt.table_value = fmt.table_value
        self.fmt.table_bits = fmt.table_bits
        self.fmt.accessed = fmt.accessed
        self.fmt.dirty = fmt.dirty
        self.fmt.kept = fmt.kept
        self.fmt.noread = fmt.noread
        self.fmt.write_bits = fmt.rules[MappingFlags.WRITE].on
        self.fmt.write_grants_read = fmt.write_grants_read
        for i in range(6):
            rule = fmt.rules[_FLAGS[i]]
            self.fmt.flag_mask[i] = rule.mask
            self.fmt.flag_value[i] = rule.value
            for combination in range(64):
                self.fmt.attributes[combination] |= rule.on if combination & (1 << i) else rule.off
        if source is not None:
            self.source = source
            self.root_paddr = checked_address(root, "root")
            if self.root_paddr % PAGE_SIZE:
                raise NotAligned("root", root, PAGE_SIZE)
            return
        self.phys = default_memory() if phys is None else phys
        self.phys.alive()
        axptr_lock_gil(self.phys.lock)
        self.root_paddr = self.phys.alloc_frame(True, True) << 12
        axptr_unlock(self.phys.lock)
        if self.root_paddr == 0:
            raise LinuxError(errno.ENOMEM, "no frame left for the root of a page table")
        self.owned = True

    def __dealloc__(self):
        if self.owned and not self.phys.forked:
            axptr_lock_gil(self.phys.lock)
            free_tables(self.phys, cython.address(self.fmt), self.root_paddr, 0)
            axptr_unlock(self.phys.lock)

    @classmethod
    def at(cls, source, root, fmt=X86_64):
        """The table whose root lies at `root` (page aligned, `NotAligned` otherwise) in `source`.

        source: anything with `read(paddr, size) -> bytes`; what it raises comes out of the walk.
        """
        return cls(None, fmt, source=source, root=root)

    def load(self, paddr):
        if self.source is None:
            return cython.cast(cython.pointer(uint64_t), self.phys.base + paddr)[0]
        return int.from_bytes(self.source.read(PhysAddr(paddr), 8), "little")

    @property
    def root(self):
        """Physical address of the top table: what goes into CR3, TTBR0 or satp."""
        return PhysAddr(self.root_paddr)

    # -- look ---------------------------------------------------------------------------------------------

    def _canonical(self, vaddr):
        at = checked_address(vaddr, "vaddr")
        top = at >> (self.fmt.va_bits - 1 if self.fmt.sign_extended else self.fmt.va_bits)
        every = (1 << (65 - self.fmt.va_bits)) - 1
        return top == 0 or bool(self.fmt.sign_extended and top == every)

    def _flags(self, entry: uint64_t):
        i: uint32_t
        found: cython.int = 0
        if not entry_valid(cython.address(self.fmt), entry):
            return MappingFlags(0)
        for i in range(6):
            if (entry & self.fmt.flag_mask[i]) == self.fmt.flag_value[i]:
                found |= 1 << i
        return MappingFlags(found)

    def query(self, vaddr):
        """`(paddr, flags, page_size)` of the page that `vaddr` lies in, `paddr` being that of the very byte.

        flags: what the table grants; none for a page that is mapped without rights. None where nothing is mapped,
        also for an address that the format cannot translate.
        """
        level: uint32_t
        at: uint64_t
        entry: uint64_t
        inside: uint64_t
        if not self._canonical(vaddr):
            return None
        at = vaddr
        table: uint64_t = self.root_paddr
        for level in range(self.fmt.nlevels):
            entry = self.load(table + (((at >> self.fmt.levels[level].shift) & self.fmt.levels[level].mask) << 3))
            if self._leads_on(entry, level):
                table = entry_paddr(cython.address(self.fmt), entry)
                continue
            if not self.fmt.levels[level].leaf or not self._maps(entry):
                return None
            inside = (cython.cast(uint64_t, 1) << self.fmt.levels[level].shift) - 1
            table = entry_paddr(cython.address(self.fmt), entry)
            return PhysAddr((table & ~inside) | (at & inside)), self._flags(entry), int(inside) + 1
        return None

    def _leads_on(self, entry: uint64_t, level: uint32_t):
        return (
            level + 1 < self.fmt.nlevels
            and entry_valid(cython.address(self.fmt), entry)
            and (entry & self.fmt.table_mask) == self.fmt.table_value
        )

    def _maps(self, entry: uint64_t):
        """Whether a leaf maps a page; one that is not present may, but only our own tables know the mark for it."""
        return entry_valid(cython.address(self.fmt), entry) or (self.source is None and (entry & self.fmt.kept) != 0)

    def leaves(self):
        """Every page mapped, in order of address: `(vaddr, paddr, flags, page_size)`."""
        yield from self._leaves(self.root_paddr, 0, 0)

    def _leaves(self, table, level, base):
        lvl: uint32_t = level
        # Numbers of Python's: those of C would not hold 1 << 48.
        shift: object = self.fmt.levels[lvl].shift
        one: object = 1
        index: object
        count: object = self.fmt.levels[lvl].mask + 1
        for index in range(count):
            entry: uint64_t = self.load(table + index * 8)
            if not self._maps(entry):
                continue
            at = base + (index << shift)
            if lvl == 0 and self.fmt.sign_extended and index >= count // 2:
                at += ADDRESS_END - (one << self.fmt.va_bits)
            paddr = int(entry_paddr(cython.address(self.fmt), entry))
            if self._leads_on(entry, lvl):
                yield from self._leaves(paddr, level + 1, at)
            elif self.fmt.levels[lvl].leaf:
                yield at, PhysAddr(paddr & -(one << shift)), self._flags(entry), one << shift

    # -- change -------------------------------------------------------------------------------------------

    def find(self, vaddr, level):
        """The leaf entry or the empty slot that ends the walk for `vaddr`, with its level."""
        at: uint32_t
        slot: cython.pointer(uint64_t) = cython.NULL
        table: uint64_t = self.root_paddr
        for at in range(self.fmt.nlevels):
            slot = _slots(self.phys, table) + ((vaddr >> self.fmt.levels[at].shift) & self.fmt.levels[at].mask)
            level[0] = at
            if not entry_valid(cython.address(self.fmt), slot[0]):
                break
            if at + 1 == self.fmt.nlevels or (slot[0] & self.fmt.table_mask) != self.fmt.table_value:
                break
            table = entry_paddr(cython.address(self.fmt), slot[0])
        return slot

    def _leaf(self, paddr: uint64_t, flags: uint32_t, level: uint32_t):
        """The entry for a page; one without rights is not present and keeps its frame."""
        if not flags & 7:
            return entry_at(cython.address(self.fmt), paddr) | self.fmt.kept
        return entry_at(cython.address(self.fmt), paddr) | self.fmt.levels[level].leaf_bits | self.fmt.attributes[flags]

    def _nameable(self, paddr: uint64_t):
        if entry_paddr(cython.address(self.fmt), entry_at(cython.address(self.fmt), paddr)) != paddr:
            raise LinuxError(errno.ENOMEM, f"{self.format.name} cannot name the frame {paddr:#x}")

    def _level_of(self, size):
        checked_size(size, "page size")
        for i in range(len(self.format.levels)):
            if self.format.levels[i].leaf and 1 << self.format.levels[i].shift == size:
                return i
        raise NotAligned("page size", size, PAGE_SIZE)

    def _writable(self):
        if self.source is not None:
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
                    prune(self.phys, cython.address(self.fmt), self.root_paddr, at, at)
                    raise LinuxError(errno.ENOMEM, "no frame left for a page table")
                slot[0] = entry_at(cython.address(self.fmt), fresh << 12) | self.fmt.table_bits
                slot = self.find(at, cython.address(level))
            slot[0] = self._leaf(to, bits, level)
        finally:
            axptr_unlock(self.phys.lock)

    def mapped(self, vaddr, level):
        """The leaf entry of the page that starts at `vaddr`; raises the typed error if there is none."""
        at: uint64_t = checked_address(vaddr, "vaddr")
        slot: cython.pointer(uint64_t) = self.find(at, level) if self._canonical(vaddr) else cython.NULL
        if slot == cython.NULL or not self.fmt.levels[level[0]].leaf or not self._maps(slot[0]):
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
            prune(self.phys, cython.address(self.fmt), self.root_paddr, vaddr, vaddr)
        finally:
            axptr_unlock(self.phys.lock)
        return was

    def _describe(self, entry: uint64_t, level: uint32_t):
        size = 1 << self.fmt.levels[level].shift
        return PhysAddr(entry_paddr(cython.address(self.fmt), entry) & ~(size - 1)), self._flags(entry), size

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
            to = entry_paddr(cython.address(self.fmt), slot[0]) & ~(size - 1) if paddr is None else paddr
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
        sizes = [1 << lv.shift for lv in self.format.levels if lv.leaf and (huge or 1 << lv.shift == PAGE_SIZE)]
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
        pfn: uint64_t = table >> 12
        if table in seen:
            raise AssertionError(f"table {table:#x} is used twice")
        seen.add(table)
        if self.phys.refs[pfn] != 1 or not self.phys.flags[pfn] & 1:
            raise AssertionError(
                f"table {table:#x} has {self.phys.refs[pfn]} references, flags {self.phys.flags[pfn]:#x}"
            )
        if lvl + 1 == self.fmt.nlevels:
            return
        for index in range(self.fmt.levels[lvl].mask + 1):
            entry: uint64_t = self.load(table + index * 8)
            if entry_valid(cython.address(self.fmt), entry) and self._leads_on(entry, lvl):
                self._check_table(int(entry_paddr(cython.address(self.fmt), entry)), level + 1, seen)
