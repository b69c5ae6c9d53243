cimport cython
from libc.stdint cimport uint8_t, uint64_t
from axptr._core.cpu.metronome cimport Beat
from axptr._core.phys.coherence cimport EngineLink
from axptr._core.cpu.unicorn.uclib cimport TlbAnswer
from axptr._core.cpu.unicorn.usercpu cimport UserCpu

cdef extern from *:
    void *frame_address "__builtin_frame_address"(unsigned int level) noexcept nogil

ctypedef void (*Ask)(void *) noexcept nogil

cdef enum:
    CODE_PAGES = 256
    TRAIL = 256

# A page that the library may hold for execution, and where its bytes are.
cdef struct CodePage:
    uint64_t page
    const uint8_t *host

cdef class MappedCpu(UserCpu):
    cdef EngineLink link
    cdef Beat beat
    cdef bint probing              # the fill hook answers for the probe window

    cdef uint64_t refused_frame    # of a FAULT_RETRY

    cdef bint wants_device         # an access to a device was refused: it must be a step of its own
    cdef bint stepping             # one instruction at a time is translated, whatever it is
    cdef CodePage code[CODE_PAGES]
    cdef bint has_code             # there is something in it

    # Code that is executed from our own pages instead of the guest's: two pages from here on, or 1.
    cdef uint64_t detour_page

    # The stack of the thread that jumped to an address which is not canonical: see engine.branches.
    cdef uint64_t trail[TRAIL]
    cdef bint has_trail

    # The size of Unicorn's own table of translations, as far as we can tell from outside.
    cdef uint64_t fresh            # fills since the last flush
    cdef uint64_t grow_at

    cdef readonly uint64_t flushes, code_drops

    cdef bint answer(self, uint64_t vaddr, int kind, TlbAnswer *entry) noexcept nogil
    cdef bint device(self, uint64_t vaddr, uint64_t *paddr) noexcept nogil
    cdef int denied(self, uint64_t vaddr) noexcept nogil
    cdef bint breaks_at(self, uint64_t vaddr) noexcept nogil
    cdef bint may_translate(self) noexcept nogil
    cdef void note_code(self, uint64_t vaddr, uint64_t paddr) noexcept nogil
    cdef const uint8_t *translated_at(self, uint64_t vaddr) noexcept nogil
    cdef void end_detour(self) noexcept nogil
    cdef void flush(self) noexcept nogil
    cdef void flush_inside(self) noexcept nogil
    cdef void apply(self) noexcept nogil
    cdef void enter(self) noexcept nogil
