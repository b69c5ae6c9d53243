from libc.stdint cimport uint32_t, uint64_t
cimport cython
from axptr._core.mm.areas cimport AreaRec
from axptr._core.mm.mmu cimport Mmu
from axptr._core.mm.points cimport Points
from axptr._core.phys.coherence cimport EngineLink

# What the CPU finds of a page without a fault: READ, WRITE and EXECUTE, and the frame; 0 in `perms`: nothing.
cdef struct Shown:
    uint32_t pfn
    uint32_t perms

cdef class GuestMmu(Mmu):
    cdef Points points             # what debuggers want to be told of, None until it is first set; never replaced
    cdef bint has_points           # there is something in it
    cdef readonly object stops     # the same as those know it who set it: of `axptr.engine.points`

    # The copies of pages that have breakpoints are made anew. Lock held.
    cdef void renew_copies(self) noexcept nogil
    cdef void tell_of_points(self) noexcept nogil
    # Lock held.
    cdef void window(self, uint64_t first, uint64_t count, Shown* out) noexcept nogil
    cdef bint bring_own(self, uint64_t vaddr) noexcept nogil
    cdef void bring_data(
        self, AreaRec* rec, uint64_t* slot, uint64_t at, uint64_t end, uint64_t* first, uint64_t* last
    ) noexcept nogil
    cdef void bring_row(
        self, AreaRec *rec, uint64_t *slot, uint64_t at, uint64_t end, bint own, uint64_t* first, uint64_t* last
    ) noexcept nogil
    cdef void bring_beside(self, uint64_t vaddr, uint64_t* first, uint64_t* last) noexcept nogil
    cdef void bring_around(self, uint64_t vaddr, uint64_t* first, uint64_t* last) noexcept nogil
    # What the CPU's table walk would find for this access, the page faulted in if an area
    # allows it. Takes the lock itself. On FAULT_OK *paddr is the page's physical address and *perms what the
    # CPU may cache (READ | WRITE | EXECUTE; WRITE only once the page is dirty, EXECUTE only for a fetch).
    cdef int engine_fill(self, uint64_t vaddr, int access, uint64_t* paddr, int* perms) noexcept nogil
    # The same fault with the GIL, for FAULT_PYTHON; raises what the user's function raised.
    cdef int fault_python(self, uint64_t vaddr, int access) except -1
    cdef int clear_dirty(self) except -1
    cdef int attach_engine(self, EngineLink* link) except -1
    cdef void detach_engine(self, EngineLink* link) noexcept
