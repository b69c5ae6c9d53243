"""axptr: checked user pointers over real page tables, and a kernel that runs Linux programs on them.

This module hands out the public names and nothing else; each is documented where it stands, and loaded from there at
first use: a program pays for what it names, and `axptr run` decides by itself what to load first.
"""

from __future__ import annotations

import sys as _sys

if "t" in _sys.abiflags:  # the core is guarded by the GIL; see `_core/lock.pxd`
    raise ImportError("axptr does not support a free-threaded Python yet: use one with the global interpreter lock")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._core.mm.frames import Backend
    from ._core.mm.provider import Provider
    from ._core.paging.paging import PageTable
    from ._core.phys.phys import PhysMemory, default_memory
    from ._core.pointers.atomic import UserAtomic
    from ._core.pointers.blocks import Copied
    from ._core.pointers.iovec import IoStream, IoVec
    from ._core.pointers.pointer import UserConstPtr, UserPtr
    from ._core.words.budget import Budget
    from .addr import (
        PAGE_SIZE,
        PhysAddr,
        VirtAddrRange,
        align_down,
        align_up,
        is_aligned,
    )
    from .engine.engine import Engine
    from .engine.exit import Exit
    from .engine.unicorn import UnicornEngine
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
    from .forms.enums import enum_type
    from .kernel import Kernel, Task
    from .layout import Layout
    from .mm.area import MemoryArea
    from .mm.backend import AllocBackend, FileBackend, LinearBackend, SharedBackend, SharedObject
    from .mm.pager import MmioBackend, PagerBackend
    from .mm.space import AddrSpace, Snapshot
    from .model import I386, ILP32, ILP32_BIG, LP64, LP64_BIG, DataModel
    from .paging import AARCH64, SV39, SV48, X86_64, PagingFormat
    from .pointers.access import access_user_memory, is_accessing_user_memory
    from .pointers.check import check_null_terminated, check_region, check_region_with
    from .pointers.copying import (
        check_zeroed,
        clear,
        copy_between,
        copy_in_nofault,
        copy_out_nofault,
        copy_struct,
        copy_struct_out,
    )
    from .pointers.provider import AddrSpaceProvider, Locked, UserMemory
    from .pointers.searching import (
        RegexMatch,
        search,
        search_any,
        search_regex,
        search_value,
    )
    from .pointers.strings import read_string_array, read_terminated, read_text
    from .pointers.userfile import UserFile
    from .pointers.userslice import UserSlice, UserSliceReader, UserSliceWriter
    from .pointers.walking import container_of
    from .pool.pool import Pool
    from .sandbox.aio import AsyncSandbox
    from .sandbox.box import Sandbox

__version__ = "0.1.0"

_PUBLIC = {
    "AARCH64": "axptr.paging",
    "AddrSpace": "axptr.mm.space",
    "AddrSpaceProvider": "axptr.pointers.provider",
    "AllocBackend": "axptr.mm.backend",
    "AlreadyMapped": "axptr.errors",
    "AsyncSandbox": "axptr.sandbox.aio",
    "Backend": "axptr._core.mm.frames",
    "Budget": "axptr._core.words.budget",
    "Copied": "axptr._core.pointers.blocks",
    "DataModel": "axptr.model",
    "Engine": "axptr.engine.engine",
    "Exit": "axptr.engine.exit",
    "FaultReason": "axptr.errors",
    "FileBackend": "axptr.mm.backend",
    "I386": "axptr.model",
    "ILP32": "axptr.model",
    "ILP32_BIG": "axptr.model",
    "IoStream": "axptr._core.pointers.iovec",
    "IoVec": "axptr._core.pointers.iovec",
    "Kernel": "axptr.kernel",
    "KernelFault": "axptr.errors",
    "LP64": "axptr.model",
    "LP64_BIG": "axptr.model",
    "Layout": "axptr.layout",
    "LinearBackend": "axptr.mm.backend",
    "LinuxError": "axptr.errors",
    "Locked": "axptr.pointers.provider",
    "MappedToHugePage": "axptr.errors",
    "MappingFlags": "axptr.flags",
    "MemoryArea": "axptr.mm.area",
    "MmioBackend": "axptr.mm.pager",
    "NotAligned": "axptr.errors",
    "NotMapped": "axptr.errors",
    "PAGE_SIZE": "axptr.addr",
    "PageTable": "axptr._core.paging.paging",
    "PagerBackend": "axptr.mm.pager",
    "PagingError": "axptr.errors",
    "PagingFormat": "axptr.paging",
    "PhysAddr": "axptr.addr",
    "PhysMemory": "axptr._core.phys.phys",
    "Pool": "axptr.pool.pool",
    "Provider": "axptr._core.mm.provider",
    "RegexMatch": "axptr.pointers.searching",
    "SV39": "axptr.paging",
    "SV48": "axptr.paging",
    "Sandbox": "axptr.sandbox.box",
    "SharedBackend": "axptr.mm.backend",
    "SharedObject": "axptr.mm.backend",
    "Snapshot": "axptr.mm.space",
    "SnapshotError": "axptr.errors",
    "Task": "axptr.kernel",
    "UnicornEngine": "axptr.engine.unicorn",
    "UserAtomic": "axptr._core.pointers.atomic",
    "UserConstPtr": "axptr._core.pointers.pointer",
    "UserFault": "axptr.errors",
    "UserFile": "axptr.pointers.userfile",
    "UserMemory": "axptr.pointers.provider",
    "UserPtr": "axptr._core.pointers.pointer",
    "UserSlice": "axptr.pointers.userslice",
    "UserSliceReader": "axptr.pointers.userslice",
    "UserSliceWriter": "axptr.pointers.userslice",
    "VirtAddrRange": "axptr.addr",
    "X86_64": "axptr.paging",
    "access_user_memory": "axptr.pointers.access",
    "align_down": "axptr.addr",
    "align_up": "axptr.addr",
    "check_null_terminated": "axptr.pointers.check",
    "check_region": "axptr.pointers.check",
    "check_region_with": "axptr.pointers.check",
    "check_zeroed": "axptr.pointers.copying",
    "clear": "axptr.pointers.copying",
    "container_of": "axptr.pointers.walking",
    "copy_between": "axptr.pointers.copying",
    "copy_in_nofault": "axptr.pointers.copying",
    "copy_out_nofault": "axptr.pointers.copying",
    "copy_struct": "axptr.pointers.copying",
    "copy_struct_out": "axptr.pointers.copying",
    "default_memory": "axptr._core.phys.phys",
    "enum_type": "axptr.forms.enums",
    "is_accessing_user_memory": "axptr.pointers.access",
    "is_aligned": "axptr.addr",
    "read_string_array": "axptr.pointers.strings",
    "read_terminated": "axptr.pointers.strings",
    "read_text": "axptr.pointers.strings",
    "search": "axptr.pointers.searching",
    "search_any": "axptr.pointers.searching",
    "search_regex": "axptr.pointers.searching",
    "search_value": "axptr.pointers.searching",
}


_ROOMS = ("debug", "engine", "kernel", "linux", "pool", "sandbox")
"""Packages with public names of their own, loaded at first use: `axptr.linux.create_process`."""


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return __import__(f"axptr.{name}", fromlist=[name])
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'axptr' has no attribute {name!r}")
    value = globals()[name] = getattr(__import__(module, fromlist=[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC, *_ROOMS})


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
    "AsyncSandbox",
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
    "Pool",
    "Provider",
    "RegexMatch",
    "Sandbox",
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
