"""The areas of a program as /proc tells of them: maps, smaps, smaps_rollup, and what kind of page is where.

Sources: proc_pid_maps(5), proc_pid_smaps(5), fs/proc/task_mmu.c of Linux 6.18. One process: what it has of a file is
its own, as if nobody else had it mapped.
"""

from __future__ import annotations

import os

from ..._core.mm import pages
from ...flags import (
    EXECUTE,
    READ,
    WRITE,
    rwx,
)
from ...members import Enum
from ..mem.vma import PAGE, ZERO_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..._core.mm.frames import FrameStore
    from ...mm.area import MemoryArea
    from ...mm.space import AddrSpace
    from ..task.task import LinuxTask


def format_maps(task: LinuxTask, space: AddrSpace) -> str:
    """/proc/self/maps (proc_pid_maps(5)). `space`: the task's, or what is to become a child's.

    Heap and stack are what lies there now, whoever mapped it; a file has the name that it has now.
    """
    names: dict[int, str] = {}
    return "".join(_line(task, area, names) + "\n" for area in space.areas())


def _line(task: LinuxTask, area: MemoryArea, names: dict[int, str]) -> str:
    store = area.backend.store
    major, minor, inode, offset, name = 0, 0, 0, 0, area.name
    if store is not None:
        named = getattr(area.backend, "named", None)
        if named is not None:
            names[id(store)] = os.fsdecode(named()).replace("\n", "\\012")
        elif id(store) not in names:
            names[id(store)] = _file_name(store)
        major, minor, inode, offset = os.major(store.device), os.minor(store.device), store.inode, area.offset
        name = names[id(store)]
        if name == "[vdso]":  # the kernel's own, of no file
            name, offset = area.name, 0
    elif name == ZERO_NAME:
        status = os.stat(name)
        major, minor, inode = os.major(status.st_dev), os.minor(status.st_dev), status.st_ino
    else:
        name = area_name(task, area)
    kind = "s" if area.backend.shared else "p"
    head = f"{area.start:08x}-{area.end:08x} {rwx(area.asked)}{kind} {offset:08x} {major:02x}:{minor:02x} {inode} "
    return f"{head:<73}{name}" if name else head


def file_name(area: MemoryArea) -> str:
    """The file that an area shows, by the name that it has now."""
    store = area.backend.store
    if store is None:
        return area.name
    named = getattr(area.backend, "named", None)
    return os.fsdecode(named()) if named is not None else _file_name(store)


def area_name(task: LinuxTask, area: MemoryArea) -> str:
    """What an area is called: its file, `[heap]` and `[stack]` where they are now, "" for any other."""
    if area.backend.store is None and area.name != ZERO_NAME:
        if area.start < task.mm.brk and area.end > task.mm.start_brk:
            return "[heap]"
        if area.start <= task.mm.start_stack < area.end:
            return "[stack]"
        if area.name in ("[heap]", "[stack]"):
            return ""
    return area.name


def _file_name(store: FrameStore) -> str:
    reader, _ = store.descriptors
    if reader < 0:
        return store.label
    try:
        return os.readlink(f"/proc/self/fd/{reader}").replace("\n", "\\012")
    except OSError:
        return store.label


# -- pages


class PageKind(Enum):
    """What a page is: not there, the program's own copy, a file's, of shared memory."""

    ABSENT, OWN, FILE, SHARED = range(4)


def kind_of_page(task: LinuxTask, vaddr: int) -> PageKind:
    area = task.space.find_area(vaddr)
    if area is None:
        return PageKind.ABSENT
    return _kind(task.space, area, vaddr)


def _kind(space: AddrSpace, area: MemoryArea, vaddr: int) -> PageKind:
    found = space.query(vaddr)
    if found is None:
        return PageKind.ABSENT
    store = area.backend.store
    if store is None:
        return PageKind.OWN
    if not area.backend.shared and (found[1] & WRITE or space.phys.refcount(found[0] & -PAGE) == 1):
        return PageKind.OWN  # a frame that the file's cache does not hold
    return PageKind.FILE if store.is_file else PageKind.SHARED


class Pages:
    """How many pages of each kind there are, and of how many only the program's own were written."""

    __slots__ = ("dirty_shared", "file", "own", "shared")

    def __init__(self, own: int = 0, file: int = 0, shared: int = 0, dirty_shared: int = 0) -> None:
        self.own = own
        self.file = file
        self.shared = shared
        self.dirty_shared = dirty_shared

    @property
    def resident(self) -> int:
        return self.own + self.file + self.shared

    def add(self, other: Pages) -> None:
        self.own += other.own
        self.file += other.file
        self.shared += other.shared
        self.dirty_shared += other.dirty_shared


def count_pages(task: LinuxTask, area: MemoryArea) -> Pages:
    """The pages of an area. Costs a few nanoseconds for each that is there."""
    return Pages(*pages.count_pages(task.space, area.start, area.size))


def count_all(task: LinuxTask) -> Pages:
    """The pages of the whole program, at the same cost."""
    return Pages(*pages.count_pages(task.space))


# -- smaps


def _rows(found: Pages, locked: int) -> list[tuple[str, int]]:
    """The numbers that smaps and its sum have in common, in pages."""
    dirty = found.own + found.dirty_shared
    return [
        ("Shared_Clean", 0), ("Shared_Dirty", 0), ("Private_Clean", found.resident - dirty), ("Private_Dirty", dirty),
        ("Referenced", found.resident), ("Anonymous", found.own), ("KSM", 0), ("LazyFree", 0), ("AnonHugePages", 0),
        ("ShmemPmdMapped", 0), ("FilePmdMapped", 0), ("Shared_Hugetlb", 0), ("Private_Hugetlb", 0), ("Swap", 0),
        ("SwapPss", 0), ("Locked", locked),
    ]  # fmt: skip


def _text(rows: list[tuple[str, int]]) -> str:
    return "".join(f"{name + ':':<16}{npages * PAGE >> 10:8} kB\n" for name, npages in rows)


_SPECIAL = {"[vvar]": "mr pf io de dd ", "[vvar_vclock]": "mr pf io de dd ", "[vdso]": "mr mw me de "}


def _vm_flags(area: MemoryArea) -> str:
    if area.name in _SPECIAL and area.backend.store is not None:
        return ("rd " if area.asked & READ else "") + ("ex " if area.flags & EXECUTE else "") + _SPECIAL[area.name]
    shared, may_write = area.backend.shared, not area.backend.sealed
    told = [
        ("rd", area.asked & READ), ("wr", area.flags & WRITE), ("ex", area.flags & EXECUTE), ("sh", shared),
        ("mr", True), ("mw", may_write), ("me", True), ("ms", shared), ("gd", area.grows_down), ("lo", area.locked),
        ("lf", area.lock_on_fault), ("dc", area.clone_rule == "omit"), ("ac", not shared and area.flags & WRITE),
        ("wf", area.clone_rule == "wipe"),
    ]  # fmt: skip
    return "".join(name + " " for name, on in told if on)


def format_smaps(task: LinuxTask) -> str:
    """/proc/self/smaps (proc_pid_smaps(5))."""
    names: dict[int, str] = {}
    text = []
    key = f"ProtectionKey:  {0:8}\n" if task.machine.cpu.has("ospke") else ""  # there is none but the first
    for area in task.space.areas():
        found = count_pages(task, area)
        rows = [("Rss", found.resident), ("Pss", found.resident), ("Pss_Dirty", found.own + found.dirty_shared)]
        text += [
            _line(task, area, names) + "\n",
            _text([("Size", area.size // PAGE), ("KernelPageSize", 1), ("MMUPageSize", 1)]),
            _text(rows + _rows(found, found.resident if area.locked else 0)),
            f"THPeligible:           0\n{key}VmFlags: {_vm_flags(area)}\n",
        ]
    return "".join(text)


def format_rollup(task: LinuxTask) -> str:
    """/proc/self/smaps_rollup: the sum of smaps."""
    total, locked = Pages(), 0
    areas = task.space.areas()
    if not areas:
        return ""
    for area in areas:
        found = count_pages(task, area)
        total.add(found)
        locked += found.resident if area.locked else 0
    rows = [
        ("Rss", total.resident), ("Pss", total.resident), ("Pss_Dirty", total.own + total.dirty_shared),
        ("Pss_Anon", total.own), ("Pss_File", total.file), ("Pss_Shmem", total.shared),
    ]  # fmt: skip
    head = f"{areas[0].start:08x}-{areas[-1].end:08x} ---p 00000000 00:00 0 "
    return f"{head:<73}[rollup]\n" + _text(rows + _rows(total, locked))
