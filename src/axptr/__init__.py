"""axptr: checked user pointers over real page tables, and a kernel that runs Linux programs on them.

This module hands out the public names and nothing else; each is documented where it stands. Names that need an extra
(`UnicornEngine`), cost time to import (`Kernel`) or are seldom wanted (`enum_type`) are loaded at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._core.budget import Budget
from ._core.frames import Backend
from ._core.mmu import Provider
from ._core.paging import PageTable
from ._core.phys import PhysMemory, default_memory
from ._core.pointer import Copied, UserConstPtr, UserPtr
from .access import access_user_memory, is_accessing_user_memory
from .addr import (
    PAGE_SIZE,
    PhysAddr,
    VirtAddrRange,
    align_down,
    align_up,
    is_aligned,
)
from .check import check_null_terminated, check_region, check_region_with
from .errors import (
    AlreadyMapped,
    FaultReason,
    KernelFault,
    LinuxError,
    MappedToHugePage,
    NotAligned,
    NotMapped,
    PagingError,
    SnapshotError,
    UserFault,
)
from .flags import MappingFlags
from .layout import Layout
from .mm.area import MemoryArea
from .mm.backend import AllocBackend, FileBackend, LinearBackend, SharedBackend, SharedObject
from .mm.pager import MmioBackend, PagerBackend
from .mm.snapshot import Snapshot
from .mm.space import AddrSpace
from .model import I386, ILP32, ILP32_BIG, LP64, LP64_BIG, DataModel
from .paging import AARCH64, SV39, SV48, X86_64, PagingFormat
from .provider import AddrSpaceProvider, Locked, UserMemory
from .walking import container_of

if TYPE_CHECKING:
    from ._core.atomic import UserAtomic
    from ._core.iovec import IoStream, IoVec
    from .copying import (
        check_zeroed,
        clear,
        copy_between,
        copy_in_nofault,
        copy_out_nofault,
        copy_struct,
        copy_struct_out,
    )
    from .engine.engine import Engine, Exit
    from .engine.unicorn import UnicornEngine
    from .forms.enums import enum_type
    from .kernel import Kernel, Task
    from .searching import RegexMatch, search, search_any, search_regex, search_value
    from .strings import read_string_array, read_terminated, read_text
    from .userfile import UserFile
    from .userslice import UserSlice, UserSliceReader, UserSliceWriter

__version__ = "0.1.0"

_LATER = {
    "Engine": "axptr.engine.engine",
    "Exit": "axptr.engine.engine",
    "UnicornEngine": "axptr.engine.unicorn",
    "Kernel": "axptr.kernel",
    "Task": "axptr.kernel",
    "IoStream": "axptr._core.iovec",
    "IoVec": "axptr._core.iovec",
    "UserAtomic": "axptr._core.atomic",
    "UserFile": "axptr.userfile",
    "UserSlice": "axptr.userslice",
    "UserSliceReader": "axptr.userslice",
    "UserSliceWriter": "axptr.userslice",
    "check_zeroed": "axptr.copying",
    "clear": "axptr.copying",
    "copy_between": "axptr.copying",
    "copy_in_nofault": "axptr.copying",
    "copy_out_nofault": "axptr.copying",
    "copy_struct": "axptr.copying",
    "copy_struct_out": "axptr.copying",
    "read_string_array": "axptr.strings",
    "read_terminated": "axptr.strings",
    "read_text": "axptr.strings",
    "enum_type": "axptr.forms.enums",
    "RegexMatch": "axptr.searching",
    "search": "axptr.searching",
    "search_any": "axptr.searching",
    "search_regex": "axptr.searching",
    "search_value": "axptr.searching",
}


_ROOMS = ("engine", "kernel", "linux")
"""Packages with public names of their own, loaded at first use: `axptr.linux.create_process`."""


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _ROOMS:
        return import_module(f"axptr.{name}")
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module 'axptr' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_ROOMS})


__all__ = [
    "AARCH64",
    "I386",
    "ILP32",
    "ILP32_BIG",
    "LP64",
    "LP64_BIG",
    "PAGE_SIZE",
    "SV39",
    "SV48",
    "X86_64",
    "AddrSpace",
    "AddrSpaceProvider",
    "AllocBackend",
    "AlreadyMapped",
    "Backend",
    "Budget",
    "Copied",
    "DataModel",
    "Engine",
    "Exit",
    "FaultReason",
    "FileBackend",
    "IoStream",
    "IoVec",
    "Kernel",
    "KernelFault",
    "Layout",
    "LinearBackend",
    "LinuxError",
    "Locked",
    "MappedToHugePage",
    "MappingFlags",
    "MemoryArea",
    "MmioBackend",
    "NotAligned",
    "NotMapped",
    "PageTable",
    "PagerBackend",
    "PagingError",
    "PagingFormat",
    "PhysAddr",
    "PhysMemory",
    "Provider",
    "RegexMatch",
    "SharedBackend",
    "SharedObject",
    "Snapshot",
    "SnapshotError",
    "Task",
    "UnicornEngine",
    "UserAtomic",
    "UserConstPtr",
    "UserFault",
    "UserFile",
    "UserMemory",
    "UserPtr",
    "UserSlice",
    "UserSliceReader",
    "UserSliceWriter",
    "VirtAddrRange",
    "access_user_memory",
    "align_down",
    "align_up",
    "check_null_terminated",
    "check_region",
    "check_region_with",
    "check_zeroed",
    "clear",
    "container_of",
    "copy_between",
    "copy_in_nofault",
    "copy_out_nofault",
    "copy_struct",
    "copy_struct_out",
    "default_memory",
    "enum_type",
    "is_accessing_user_memory",
    "is_aligned",
    "read_string_array",
    "read_terminated",
    "read_text",
    "search",
    "search_any",
    "search_regex",
    "search_value",
]
