from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from axptr._core.cpu.metronome cimport Beat
from axptr._core.mm.points cimport Leave
from axptr._core.mm.space cimport SpaceCore
from axptr._core.phys.coherence cimport EngineLink
from axptr._core.phys.phys cimport PhysMemory

cdef extern from "host.h" nogil:
    struct nat_command:
        uint64_t addr, len, off
        uint32_t op, prot, flags
        int32_t result
    struct nat_channel:
        uint64_t signal, code, address, arch, frame, vectors, fs_base, gs_base, selectors
        uint32_t ncommands, resume
        uint64_t awake
    struct nat_stub:
        nat_channel *channel
        uint64_t base
        int pid, listener, owner, guest_turn, failed, core, overdue
        int64_t nr
        uint64_t args[6]
        uint64_t ip
    int nat_start(nat_stub *, int frames, uint64_t base, int traps_counter, const unsigned char *text, size_t size,
                  const nat_command *list, uint32_t count)
    int NAT_MOST_AT_BIRTH
    void nat_kill(nat_stub *)
    void nat_free(nat_stub *)
    int nat_ended(nat_stub *)
    int nat_ours(nat_stub *)
    void nat_interrupt(nat_stub *, int anyway)
    void nat_again(nat_stub *)
    int64_t nat_cpu_time(nat_stub *)
    int NAT_NOTHING, NAT_GUEST_CALL, NAT_TURN, NAT_MAP_CALL
    int nat_receive(nat_stub *)
    int nat_next(nat_stub *, int milliseconds)
    int nat_answer(nat_stub *, int64_t value, int error, int let_through)
    int nat_answer_guest(nat_stub *, int64_t value)
    void nat_place(nat_stub *, int core, int taken, int alone)
    void nat_set_turn(nat_stub *, int guests)
    int nat_had_time(nat_stub *, int64_t *used)
    int nat_await(nat_stub *)
    int nat_turn(nat_stub *, int calling)
    int nat_go(nat_stub *)
    int nat_judge(nat_stub *, const nat_command *want)
    int NAT_MMAP, NAT_MPROTECT, NAT_MUNMAP
    uint64_t NAT_CONTROL, NAT_CONTROL_SIZE, NAT_COMMANDS, NAT_STACK, NAT_SPAN, NAT_USER_END

cdef extern from "listen.h" nogil:
    int nat_receipts_end()
    void nat_say_receipts_end(int)
    int nat_listen(nat_stub *)
    void nat_beat(nat_stub *)

cdef extern from "stub_bytes.h" nogil:
    const unsigned char nat_text[]
    size_t nat_text_size

cdef enum:
    GENERAL = 18           # of gregs: r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags
    R_R8 = 0
    R_R9 = 1
    R_R10 = 2
    R_RDI = 8
    R_RSI = 9
    R_RDX = 12
    R_RAX = 13
    R_RIP = 16
    R_SEGMENTS = 18         # cs, gs, fs, ss, 16 bits each
    MAX_COMMANDS = 384
    WINDOW = 128           # pages that are looked at in one go

# A page that the stub has mapped: its number, the frame, what it may do there. perms 0: not any more. wanted: a guest has
# come out for it to write there; it was given beside another otherwise.
cdef struct Held:
    uint64_t page
    uint32_t pfn
    uint16_t perms, wanted

# Bases of fs and gs; selectors: of ds, es, fs, gs, 16 bits each. narrow: 1 in the CPU's mode of 32 bits (cs is 0x23).
cdef struct Segments:
    uint64_t fs_base, gs_base, selectors, narrow

cdef int by_number(const void *a, const void *b) noexcept nogil

cdef class Stub:
    cdef nat_stub s
    cdef EngineLink link
    cdef readonly PhysMemory phys
    cdef object of                  # the space whose pages it caches, weakly
    cdef void *place                # the same, borrowed: there until the link is `gone`, also while the collector takes it
    cdef int64_t seen               # CPU time that was accounted for, nanoseconds
    cdef bint unseen                # it has run since
    cdef Beat beat                  # the clock of its runs
    cdef nat_command commands[MAX_COMMANDS]   # what was decided: the stub's list is a copy
    cdef uint32_t ncommands
    cdef nat_command *birth         # what it is to be born with, while that is gathered; else NULL
    cdef object habits              # what it was born with: of `habits`; None
    cdef uint64_t born              # of `maps`: what it had at its birth
    cdef bint takes_away            # one of them takes something away: a fence must follow
    cdef Leave leave                # of what a debugger wants
    cdef bint broken                # it did not do as it was told; it is dead
    cdef bint waiting               # in a call of a guest's, which is to be answered or given up
    cdef void *occupant             # the `Parked` whose registers are in it; borrowed: who goes takes itself out
    cdef uint32_t evictions         # how often one had to leave it for another since a stub was made for its space

    cdef Held *held
    cdef uint64_t nslots, nused     # of the table: a power of two; slots that are not empty
    cdef uint64_t nruns             # how many mappings the host keeps for what is held: see `hold`

    cdef uint64_t *frame            # the guest's general registers, in the order of gregs
    cdef uint8_t *vectors           # its XSAVE area
    cdef uint64_t vectors_size
    cdef readonly uint64_t flushes, maps, judged

    cdef object __weakref__

    cdef int prepare(self, PhysMemory phys, SpaceCore space) except -1
    cdef int begin_list(self) except -1
    cdef void forget_list(self) noexcept
    cdef bint list_is_full(self) noexcept nogil
    cdef int start(self, uint64_t base, bint traps_counter) except -1
    cdef int die(self) except -1
    cdef void end(self) noexcept
    cdef int find_frame(self) noexcept nogil
    cdef int take(self, int event, uint64_t *regs, Segments *segments) noexcept nogil
    cdef int strip(self) except -2
    cdef int surface(self, uint64_t *regs, Segments *segments) noexcept nogil
    cdef Held *slot(self, uint64_t page) noexcept nogil
    cdef int grow(self) noexcept nogil
    cdef void command(self, uint32_t op, uint64_t addr, uint64_t size, uint32_t prot, uint64_t off) noexcept nogil
    cdef int send(self, bint resume) noexcept nogil
    cdef int lose(self) noexcept nogil
    cdef int carry_out(self) noexcept nogil
    cdef int resume(self) noexcept nogil
    cdef int give(self, uint64_t page, uint64_t pfn, uint32_t perms) noexcept nogil
    cdef bint goes_on(self, Held *note) noexcept nogil
    cdef int hold(self, Held *note, uint64_t page, uint64_t pfn, uint32_t perms) noexcept nogil
    cdef int forget(self) noexcept nogil
    cdef int apply(self, SpaceCore space) noexcept nogil
    cdef int look_at(self, SpaceCore space, Held *note) noexcept nogil
    cdef int look_through(self, SpaceCore space, uint64_t first, uint64_t last) noexcept nogil
    cdef bint asked(self) noexcept nogil
    cdef void give_window(self, SpaceCore space, uint64_t first, uint64_t last, uint64_t page, int access) noexcept nogil
