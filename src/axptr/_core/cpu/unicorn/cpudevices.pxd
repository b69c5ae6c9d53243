cimport cython
from libc.stdint cimport uint64_t
from axptr._core.cpu.unicorn.cpumem cimport MappedCpu

cdef enum:
    DEVICE_PAGES = 64      # of the window onto devices

cdef class DeviceCpu(MappedCpu):
    cdef uint64_t device_pages[DEVICE_PAGES]   # which page of the space each page of the window stands for
    cdef uint64_t ndevices

    cdef uint64_t ask(self, uint64_t offset, int size, int access, uint64_t value) noexcept
