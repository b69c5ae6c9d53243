cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from axptr._core.mm.provider cimport Provider
from axptr._core.words.codes cimport IN_PAGE, PAGE_SHIFT, page_start
from axptr._core.phys.coherence cimport EngineLink
from axptr._core.phys.phys cimport PhysMemory
from axptr._core.paging.format cimport CFormat
from axptr._core.paging.paging cimport PageTable
from axptr._core.paging.walk cimport Leaves, leaves_in
from axptr._core.mm.areas cimport AreaIndex, AreaRec, AreaPos
from axptr._core.mm.journal cimport Journal
from axptr._core.words.lock cimport axptr_lock

# A page that has passed the check and is present: `what` holds its host address, which is page aligned, and in
# its low bits READ and WRITE as far as they were proved. `page` is its virtual page number; 0 in both: empty.
cdef struct TlbEntry:
    uint64_t page
    uint64_t what

cdef class Mmu(Provider):
    cdef readonly PhysMemory phys
    cdef PageTable table
    cdef axptr_lock* lock
    cdef uint8_t* frame_base       # phys.base and phys.flags, near at hand
    cdef uint8_t* frame_flags
    cdef CFormat* fmt
    cdef uint64_t root
    cdef bint foreign              # whether its model is not the host's: pointers take the long way
    cdef uint64_t first, last      # the first and the last byte of the space
    cdef AreaIndex areas
    cdef Journal journal
    cdef TlbEntry* tlb
    cdef uint64_t tlb_mask
    cdef uint64_t tlb_misses
    cdef EngineLink** engines
    cdef uint32_t nengines
    cdef uint32_t around           # pages that a guest's fault may bring in at once, see `bring_around`
    cdef bint kin                  # its programs may be run where those of other such spaces ran
    cdef uint64_t npopulated, nread, nwrite, nfetch, ncow, ngrown
    cdef object __weakref__

    # Translation. Lock held.
    cdef int resolve(self, uint64_t vaddr, int access, uint8_t** host) noexcept nogil
    cdef uint8_t* at_once(self, uint64_t vaddr, int access) noexcept nogil
    cdef int bring_in(self, uint64_t vaddr, int access, uint64_t** slot) noexcept nogil
    cdef int force(self, uint64_t vaddr, bint write, uint8_t** host) noexcept nogil
    cdef bint keeps_times(self, uint64_t vaddr) noexcept nogil
    cdef int make_private(self, AreaRec* rec, uint64_t vaddr, uint64_t* slot) noexcept nogil
    cdef uint64_t new_frame(self, AreaRec* rec, uint64_t* slot, bint zero) noexcept nogil
    cdef int supply(self, AreaRec* rec, uint64_t vaddr, bint write, uint64_t* slot) noexcept nogil
    cdef void set_leaf(self, uint64_t* slot, uint32_t flags, uint64_t pfn, bint writable, uint64_t dirty) noexcept nogil
    cdef int own(self, uint64_t vaddr, uint64_t* pfn) noexcept nogil
    cdef bint entry_allows(self, uint64_t entry, int access) noexcept nogil
    cdef uint32_t granted(self, uint32_t flags) noexcept nogil
    cdef AreaRec* growable(self, uint64_t vaddr, AreaPos* where) noexcept nogil
    cdef void tlb_note(self, uint64_t vaddr, uint64_t entry) noexcept nogil
    cdef void tlb_drop(self, uint64_t first, uint64_t last) noexcept nogil
    cdef void notify(self, uint64_t first, uint64_t last) noexcept nogil

    cdef int give_back(self) except -1
    cdef object no_hook(self, str what)
    cdef list written_files(self)
    cdef int write_back(self, list files) except -1
    cdef void zap(self, uint64_t first, uint64_t last) noexcept nogil
    cdef int fail(self, int code, uint64_t bad, int access, uint64_t size, uint64_t completed) except -1

# The page of `vaddr` in host memory if this access to it has been proved already, else NULL. Lock held.
cdef inline uint8_t* tlb_hit(Mmu space, uint64_t vaddr, int access) noexcept nogil:
    cdef uint64_t page = vaddr >> PAGE_SHIFT
    cdef TlbEntry* entry = space.tlb + ((page ^ (page >> 13)) & space.tlb_mask)
    if entry.page == page and entry.what & access:
        return <uint8_t*>(page_start(entry.what) | (vaddr & IN_PAGE))
    return NULL

# The entries in use of [first, last]. Lock held.
cdef inline Leaves leaves_of(Mmu space, uint64_t first, uint64_t last) noexcept nogil:
    return leaves_in(space.phys, space.fmt, space.root, first, last)
