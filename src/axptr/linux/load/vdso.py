"""The vDSO: what Linux maps into each program for telling the time without a call (vdso(7), arch/x86/entry/vdso).

    [vvar]          four pages, the first of which tells the time; [vvar_vclock], two, empty
    [vdso]          the image, an ELF file with the functions; AT_SYSINFO_EHDR is its address

One image and one clock page a machine, which its programs map privately: what a debugger writes into the image is one
program's. The clock page is kept right where programs run on the host's own CPU and the machine's clock is the host's,
or ahead of it by so much; else it is empty, and each function makes the call that it stands for.

Not here: the functions and the page (`_core/cpu/native/vdso.c`, `clock.h`).
"""

from __future__ import annotations

import os

from ..._core.cpu.native.clockpage import ClockPage, image
from ..._core.mm.frames import FrameStore
from ..._core.mm.sharing import own
from ...flags import MappingFlags
from ...mm.backend import StoreBackend
from ..host import wall
from ..mem.vma import PAGE, page_up, place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..._core.phys.phys import PhysMemory
    from ..host import HostView
    from ..mem.mm import Mm

_VVAR, _VCLOCK = 4, 2
_COUNTED = ("tsc", "kvm-clock")
"""Clock sources of the host that are made of the time stamp counter."""
_READ = MappingFlags.READ | MappingFlags.USER
_EXECUTE = _READ | MappingFlags.EXECUTE


class Vdso:
    """The image of a machine and its clock page. A snapshot has the pages; a copy finds its clock in its own.

    Its user owns it; areas that show it keep its frames. store: the pages, in frames of its own: the clock's is written
    by its place.
    """

    def __init__(self, phys: PhysMemory) -> None:
        """`LinuxError(ENOMEM)` without room for two pages."""
        text = image()
        self._size = page_up(len(text))
        pages = _VVAR + _VCLOCK
        self.store = FrameStore(phys, None, "[vdso]", pages + self._size // PAGE)
        self.store.fill(0)
        (self._clock_at,) = self.store.frames()
        for page in range(self._size // PAGE):
            self.store.fill(pages + page)
            self.store.poke(pages + page, 0, text[page * PAGE : (page + 1) * PAGE])

    def clock(self, host: HostView) -> ClockPage | None:
        """The page, to be kept right by the engine that runs the programs; None where they are to make calls."""
        ahead = host.ahead()
        if ahead is None or not self._size or _clock_source() not in _COUNTED:
            return None
        return ClockPage(self.store.phys, self._clock_at, ahead, host.cpu_count == 1)

    def find_clock(self) -> None:
        """The pages are those of a copy of the machine: look where the clock's is. `LinuxError(ENOMEM)`."""
        own(self.store)  # a frame that the copy has with others goes when they do
        self._clock_at = self.store.frames()[0]  # by their places in its table, which page 0 leads

    def map(self, mm: Mm) -> int:
        """Map it where there is room; the address of the image, 0 where there is no image. `LinuxError`: ENOMEM."""
        if not self._size:
            return 0
        start = place(mm, 0, (_VVAR + _VCLOCK) * PAGE + self._size, 0)
        for name, page, size, flags in (
            ("[vvar]", 0, _VVAR * PAGE, _READ),
            ("[vvar_vclock]", _VVAR, _VCLOCK * PAGE, _READ),
            ("[vdso]", _VVAR + _VCLOCK, self._size, _EXECUTE),
        ):
            backend = StoreBackend(self.store, page * PAGE)
            mm.space.map(start + page * PAGE, size, flags, backend, name=name)
        return start + (_VVAR + _VCLOCK) * PAGE


_seen: list[Any] = [-2.0, ""]
"""When the host's clock source was looked up last, and which it was."""


def _clock_source() -> str:
    """It changes where the host finds its counter wanting: it is looked up again after a second."""
    now = wall()
    if not _seen[0] <= now < _seen[0] + 1:
        _seen[:] = now, _clock_source_now()
    return _seen[1]  # type: ignore[no-any-return]


def _clock_source_now() -> str:
    try:
        fd = os.open("/sys/devices/system/clocksource/clocksource0/current_clocksource", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 64).decode().strip()
    except OSError:
        return ""
    finally:
        os.close(fd)
