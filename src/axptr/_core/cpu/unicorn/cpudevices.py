"""Devices (MMIO areas) as a CPU of the Unicorn library reaches them.

A window of physical addresses above the memory calls back for each access. The first access to a page of a device
gives it a page of that window, until the library's translations are flushed; when the window is full they are.

The library makes two accesses of four bytes of one of eight, the lower first.

Not here: what the device answers (`mm.pager`), pages that are memory (`cpumem`).

An access is a single step of the CPU (`stepping`): a device's function finds `rip` at the instruction that makes it, and
what it does to the space, or asks for, has happened before the next one. Behind the step the CPU forgets the window's page.
"""

import cython
from cython.cimports.axptr._core.cpu.unicorn.cpudevices import DEVICE_PAGES
from cython.cimports.axptr._core.cpu.unicorn.cpumem import MappedCpu
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.codes import READ, WRITE
from cython.cimports.axptr._core.words.lock import axptr_share, axptr_unshare
from cython.cimports.libc.stdint import uint32_t, uint64_t

from axptr.errors import LinuxError

_page = cython.declare(uint64_t, 4096)
_gap = cython.declare(uint64_t, 1 << 20)  # between the memory and the window


@cython.cfunc
@cython.with_gil
@cython.exceptval(check=False)
def _on_read(uc: cython.p_void, offset: uint64_t, size: uint32_t, cpu: DeviceCpu) -> uint64_t:
    return cpu.ask(offset, size, READ, 0)


@cython.cfunc
@cython.with_gil
@cython.exceptval(check=False)
def _on_write(uc: cython.p_void, offset: uint64_t, size: uint32_t, value: uint64_t, cpu: DeviceCpu) -> cython.void:
    cpu.ask(offset, size, WRITE, value)


@cython.no_gc_clear
@cython.cclass
class DeviceCpu(MappedCpu):
    """A CPU that reaches devices. `SteppedCpu` derives from it; nobody else should."""

    def __cinit__(self, phys: PhysMemory, library: str):
        self.check(
            self.api.mmio_map(
                self.uc,
                phys.size + _gap,
                DEVICE_PAGES * _page,
                cython.cast(cython.p_void, _on_read),
                cython.cast(cython.p_void, self),
                cython.cast(cython.p_void, _on_write),
                cython.cast(cython.p_void, self),
            ),
            "map the window onto devices",
        )

    def device(self, vaddr, paddr):
        """Inside a fill: where the window shows the device's page at `vaddr`; False when it must be flushed first."""
        i: uint64_t
        page: uint64_t = vaddr & ~(_page - 1)
        for i in range(self.ndevices):
            if self.device_pages[i] == page:
                break
        else:
            if self.ndevices == DEVICE_PAGES:
                return False
            i = self.ndevices
            self.device_pages[i] = page
            self.ndevices += 1
        paddr[0] = self.phys.size + _gap + i * _page
        return True

    def flush(self):
        MappedCpu.flush(self)
        self.ndevices = 0

    def ask(self, offset, size, access, value):
        """One access of the guest. What the device's functions raise ends the run and comes out of it."""
        count: uint64_t
        vaddr: uint64_t = self.device_pages[offset // _page] + (offset & (_page - 1))
        if self.failed or self.mmu is None:
            return 0
        axptr_unshare(self.phys.lock)
        try:
            data = bytearray(int(value).to_bytes(8, "little")[:size])
            count = self.mmu._device_piece(vaddr, data, access)
            if count != cython.cast(uint64_t, size):
                raise self.mmu._make_fault(5, vaddr, access, size, count)  # the device is not there any more
            value = int.from_bytes(data, "little")
        except LinuxError as fault:
            self.error = fault.__cause__ or fault
            self.failed = True
        except BaseException as error:
            self.error = error
            self.failed = True
        finally:
            axptr_share(self.phys.lock)
        if self.failed or self.link.need_flush or self.link.ndrop or self.link.drop_all:
            self.api.emu_stop(self.uc)
        return value
