"""The page by which programs tell the time without a call, and the image with the functions that do (`vdso.c`).

Not here: where they lie in a program (`linux.load.vdso`).

Locking: `renew` is called under the memory's lock. Failure: where the host's clock is not made of the time stamp counter
nothing is told, and programs make the call.
"""

import cython
from cython.cimports.axptr._core.cpu.native.clockpage import (
    clock_keeper,
    clock_page,
    keep_begin,
    keep_due,
    keep_page,
    nat_vdso,
    nat_vdso_size,
)
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.libc.stdint import uint64_t

_born = cython.declare(clock_keeper)  # when this module was loaded: rates are measured from there on at first
keep_begin(cython.address(_born))


def image():
    """The ELF image, to be mapped as it is behind six pages of which the first is a `ClockPage`'s."""
    return cython.cast(cython.p_char, nat_vdso)[:nat_vdso_size]


@cython.cclass
class ClockPage:
    """The clock page in the frame at `paddr`, which the caller holds and whose bytes are zero.

    ahead: nanoseconds that CLOCK_REALTIME and CLOCK_MONOTONIC are before the host's; a third for CLOCK_BOOTTIME has the
    other clocks told too, of which TAI goes with the first, the raw one with the second, the coarse ones with theirs.
    """

    def __cinit__(self, phys: PhysMemory, paddr: uint64_t, ahead: tuple, one_cpu: cython.bint):
        self.phys = phys
        self.page = cython.cast(cython.pointer(clock_page), phys.base + paddr)
        self.page.one_cpu = one_cpu
        self.ahead[0], self.ahead[1] = ahead[0], ahead[1]
        self.all = len(ahead) == 3
        if self.all:
            self.ahead[2] = ahead[2]
        self.keeper = _born

    def renew(self):
        """Have it tell the time as it is now, if it is time for that. Lock held."""
        if keep_due(cython.address(self.keeper)):
            keep_page(cython.address(self.keeper), self.page, self.ahead, self.all)
