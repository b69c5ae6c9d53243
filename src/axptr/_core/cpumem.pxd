cimport cython
from libc.stdint cimport uint64_t
from axptr._core.metronome cimport Beat
from axptr._core.phys cimport EngineLink
from axptr._core.space cimport SpaceCore
from axptr._core.uclib cimport TlbAnswer
from axptr._core.usercpu cimport UserCpu

ctypedef void (*Ask)(void *) noexcept nogil

cdef enum:
    ALL_EXITS = 256

cdef class MappedCpu(UserCpu):
    cdef EngineLink link
    cdef Beat beat
    cdef SpaceCore mmu             # the space the CPU sees, or None
    cdef bint linked               # `link` is registered with the memory
    cdef bint probing              # the fill hook answers for the probe window

    # The last fill that was refused.
    cdef int refused               # FAULT_*: why
    cdef int refused_access
    cdef uint64_t refused_page
    cdef uint64_t refused_frame    # of a FAULT_RETRY
    cdef bint wants_steps          # the page's code must be stepped through
    cdef bint wants_exits          # the page's code must have its exits set before

    cdef bint stepping             # one instruction at a time is translated: any code may be, see `stepping`
    cdef bint tainted              # so a page that wants steps or exits may be cached as executable
    cdef uint64_t exits[ALL_EXITS] # where the library ends runs: those of all pages that want some and are cached
    cdef size_t nexits

    # The size of Unicorn's own table of translations, as far as we can tell from outside.
    cdef uint64_t fresh            # fills since the last flush
    cdef uint64_t grow_at

    cdef readonly uint64_t fills, flushes, code_drops

    cdef void release(self) noexcept
    cdef bint answer(self, uint64_t vaddr, int kind, TlbAnswer *entry) noexcept nogil
    cdef bint device(self, uint64_t vaddr, uint64_t *paddr) noexcept nogil
    cdef bint may_translate(self, uint64_t page, uint64_t pfn) noexcept nogil
    cdef bint has_exits(self, uint64_t page, uint64_t pfn) noexcept nogil
    cdef bint is_exit(self, uint64_t vaddr) noexcept nogil
    cdef void set_exits(self) noexcept nogil
    cdef void flush(self) noexcept nogil
    cdef void flush_inside(self) noexcept nogil
    cdef void apply(self) noexcept nogil
    cdef void enter(self) noexcept nogil
