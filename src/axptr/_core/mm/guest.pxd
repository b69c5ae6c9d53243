from libc.stdint cimport uint64_t
cimport cython
from axptr._core.mm.mmu cimport Mmu
from axptr._core.phys.coherence cimport EngineLink

cdef class GuestMmu(Mmu):
    # What the CPU's table walk would find for this access, the page faulted in if an area
    # allows it. Takes the lock itself. On FAULT_OK *paddr is the page's physical address and *perms what the
    # CPU may cache (READ | WRITE | EXECUTE; WRITE only once the page is dirty, EXECUTE only for a fetch).
    cdef int engine_fill(self, uint64_t vaddr, int access, uint64_t* paddr, int* perms) noexcept nogil
    # The same fault with the GIL, for FAULT_PYTHON; raises what the user's function raised.
    cdef int fault_python(self, uint64_t vaddr, int access) except -1
    cdef int attach_engine(self, EngineLink* link) except -1
    cdef void detach_engine(self, EngineLink* link) noexcept
