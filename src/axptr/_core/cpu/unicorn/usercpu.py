"""A Unicorn CPU over a `PhysMemory`, brought into user mode; and its registers.

The memory is one region of the CPU's physical memory, mapped once, with two pages of our own behind it. The
library starts user code in ring 0; the way to ring 3 is `iretq` through a descriptor table on that page, with
the selectors of Linux (0x33 and 0x2b). The table is out of reach afterwards (limit 0), but while an instruction is done
that loads a selector which Linux has for programs (`corrections`): then there is a table on our second page.

The library can be told of exits, addresses at which a run ends; it looks each instruction up among them when it
translates it. We have it ask us instead: its exits are a binary tree, of which we replace the order (`take_exits`). So
we see every instruction before it is translated, at its first byte, and can have the run end there (`forbids`).

A stop that comes from outside must fall between two instructions. The library, as it is, looks for one after
each load and store, inside an instruction, and goes back to the instruction's start: `inc [mem]` is done
twice then. It has a switch for that, which nobody outside may turn; we look for it and turn it, and try
whether that worked. (Guests are faster for it: it was a call for each access.)

Not here: what the guest sees of memory and who runs it (`unicorn`), names and widths of registers
(`x86regs`).

Failure: `RuntimeError` if the library does not do what versions 2.1.4 and later do, `MemoryError` where the host has no
room for it.
"""

import os

import cython
from cython.cimports.axptr._core.cpu.running import RunningCpu
from cython.cimports.axptr._core.cpu.unicorn.uclib import (
    CTL_CPU_MODEL,
    CTL_EXITS,
    CTL_TLB_FLUSH,
    CTL_TLB_TYPE,
    CTL_USE_EXITS,
    UC_ARCH_X86,
    UC_CPU_X86_IVYBRIDGE,
    UC_ERR_OK,
    UC_HOOK_TLB_FILL,
    UC_MEM_FETCH,
    UC_MODE_64,
    UC_PROT_ALL,
    UC_TLB_VIRTUAL,
    UC_X86_REG_CR0,
    UC_X86_REG_CR4,
    UC_X86_REG_CS,
    UC_X86_REG_GDTR,
    UC_X86_REG_RBX,
    UC_X86_REG_RDI,
    UC_X86_REG_RSP,
    TableRegister,
    TlbAnswer,
    load,
    loaded,
)
from cython.cimports.axptr._core.cpu.unicorn.usercpu import ExitTree, malloc_usable_size
from cython.cimports.axptr._core.cpu.x86.x86regs import (
    FIRST_FPCW,
    FIRST_MXCSR,
    FIXED_FLAGS,
    read_register,
    write_register,
)
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import free
from cython.cimports.libc.string import memset
from cython.cimports.posix.mman import (
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_PRIVATE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    mmap,
    munmap,
)
from cython.cimports.posix.stdlib import posix_memalign
from cython.cimports.posix.unistd import read as read_fd
from cython.cimports.posix.unistd import write as write_fd

_boot_va = cython.declare(uint64_t, 0xF000_0000_0000_0000)  # not canonical; answered for on the way to user mode only
descriptor_page = _boot_va + 4096
_descriptors = cython.declare(uint64_t, 0x800)  # their offset there
_page_mask = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_F000)
# Descriptors of ring 3 that have been used, as in Linux' table: code of 32 bits, data, code of 64 bits, and the one whose
# limit is the CPU's number.
_user_code32 = cython.declare(uint64_t, 0x00CF_FB00_0000_FFFF)
_user_data = cython.declare(uint64_t, 0x00CF_F300_0000_FFFF)
_user_code = cython.declare(uint64_t, 0x00AF_FB00_0000_FFFF)
_cpu_number = cython.declare(uint64_t, 0x0040_F500_0000_0000)
_buffer = cython.declare(cython.size_t, 1 << 30)  # what the library maps for the code it makes, and for all the rest
_rest = cython.declare(cython.size_t, 16 << 20)
_arena = cython.declare(uint64_t, 64 << 20)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_boot_fill(
    uc: cython.p_void, page: uint64_t, kind: cython.int, entry: cython.pointer(TlbAnswer), cpu: UserCpu
) -> cython.bint:
    cpu.boot_refused = page
    if cpu.boot_stop and kind != UC_MEM_FETCH:
        cpu.boot_stop = False
        cpu.api.emu_stop(uc)
    entry.paddr = cpu.phys.size
    entry.perms = UC_PROT_ALL
    return page == _boot_va or page == _boot_va + 4096


@cython.cfunc
@cython.exceptval(-1, check=False)
def _require_room() -> cython.int:
    """Raise `MemoryError` unless the host has room for one more CPU: the library ends the process where it has none."""
    room: cython.p_void = mmap(
        cython.NULL, _buffer + _rest, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0
    )
    if room == MAP_FAILED:
        raise MemoryError(f"the host has no {_buffer + _rest:#x} bytes of address for the code that Unicorn makes")
    munmap(room, _buffer + _rest)
    return 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_translate(
    vaddr: cython.pointer(cython.const[uint64_t]), exit: cython.pointer(cython.const[uint64_t]), cpu: UserCpu
) -> cython.int:
    """The order of the tree of exits, asked about an instruction that is about to be translated: 0 makes it an exit."""
    return 0 if cpu.forbids(vaddr[0]) else 1


@cython.cfunc
@cython.exceptval(check=False)
def _is_tree(place: uint64_t, count: cython.int, pipe: tuple) -> cython.bint:
    """Whether a tree of so many exits lies there, wherever that is: the kernel reads it for us."""
    tree: ExitTree
    size: cython.ssize_t = cython.sizeof(ExitTree)
    if place & 7 or place < 4096:
        return False
    size = write_fd(pipe[1], cython.cast(cython.p_void, place), size)
    if size > 0:
        read_fd(pipe[0], cython.address(tree), size)
    return (
        size == cython.sizeof(ExitTree)
        and tree.nodes == count
        and tree.references == 1
        and (tree.root != cython.NULL) == (count != 0)
    )


@cython.cfunc
@cython.exceptval(check=False)
def _is_near(place: uint64_t, handle: cython.p_void) -> cython.bint:
    """Whether the C library may have both in one of its arenas."""
    return place + _arena - cython.cast(uint64_t, handle) < 2 * _arena


@cython.no_gc_clear
@cython.cclass
class UserCpu(RunningCpu):
    """The CPU alone. `UnicornCpu` derives from it; nobody else should."""

    def __cinit__(self, phys: PhysMemory, library: str):
        phys.alive()
        self.phys = phys
        load(library)
        self.api = loaded()
        self.open()
        self.check(self.api.mem_map_ptr(self.uc, 0, phys.size, UC_PROT_ALL, phys.base), "map the memory")
        self.enter_user_mode()

    def __dealloc__(self):
        UserCpu.shut(self)

    def shut(self):
        """Give the CPU back. Idempotent."""
        if self.clean != cython.NULL:
            self.api.context_free(self.clean)
            self.clean = cython.NULL
        if self.uc != cython.NULL:
            self.api.close(self.uc)
            self.uc = cython.NULL
        free(self.boot_page)
        self.boot_page = cython.NULL

    def check(self, err, what):
        if err != UC_ERR_OK:
            raise RuntimeError(f"Unicorn cannot {what}: {self.api.strerror(err).decode()}")
        return 0

    def open(self):
        """Make the library's CPU, with stops between instructions only.

        `no_exit_request` and `init_done` are two neighbours of type bool in the handle's block; the second is
        set by the first call that needs a CPU, here the one that chooses the TLB.
        """
        i: cython.size_t
        size: cython.size_t
        place: cython.size_t = 0
        found: cython.int = 0
        then: cython.pointer(uint32_t)
        now: cython.pointer(uint32_t)
        before: bytes
        _require_room()
        self.check(self.api.open(UC_ARCH_X86, UC_MODE_64, cython.address(self.uc)), "make a CPU")
        self.check(self.api.ctl(self.uc, CTL_CPU_MODEL, cython.cast(cython.int, UC_CPU_X86_IVYBRIDGE)), "choose a CPU")
        size = malloc_usable_size(self.uc) & ~cython.cast(cython.size_t, 3)
        before = cython.cast(cython.p_char, self.uc)[:size]
        self.check(self.api.ctl(self.uc, CTL_TLB_TYPE, cython.cast(cython.int, UC_TLB_VIRTUAL)), "choose a TLB")
        # With exits on and none set, `until` is unused: the library looks at what stands before it when a run
        # ends.
        self.check(self.api.ctl(self.uc, CTL_USE_EXITS, cython.cast(cython.int, 1)), "turn exits on")
        # Words that were zero and have one bool set since, not the first of the word: the one before it is
        # the switch.
        then = cython.cast(cython.pointer(uint32_t), cython.cast(cython.p_char, before))
        now = cython.cast(cython.pointer(uint32_t), self.uc)
        for i in range(size // 4):
            if then[i] == 0 and (now[i] == 0x100 or now[i] == 0x1_0000 or now[i] == 0x100_0000):
                place = 4 * i + (1 if now[i] == 0x100 else 2 if now[i] == 0x1_0000 else 3)
                found += 1
        if found == 1:
            cython.cast(cython.pointer(uint8_t), self.uc)[place - 1] = 1
        return self.take_exits(size // 8)

    def take_exits(self, size):
        """Become the order of the library's tree of exits, to which one of the handle's `size` words points.

        The tree holds the exit 0, for which the library does nothing when a run ends.
        """
        i: cython.size_t
        words = cython.cast(cython.pointer(uint64_t), self.uc)
        none: uint64_t = 0
        tree: cython.pointer(ExitTree)
        pipe = os.pipe()
        try:
            # The tree was made with the handle, so it lies close to it: trying each word costs two calls of the kernel.
            places = [i for i in range(size) if _is_near(words[i], self.uc) and _is_tree(words[i], 0, pipe)]
            if not places:
                places = [i for i in range(size) if _is_tree(words[i], 0, pipe)]
            self.check(
                self.api.ctl(self.uc, CTL_EXITS, cython.address(none), cython.cast(cython.size_t, 1)), "set exits"
            )
            places = [i for i in places if _is_tree(words[cython.cast(cython.size_t, i)], 1, pipe)]
        finally:
            os.close(pipe[0])
            os.close(pipe[1])
        if len(places) != 1:
            raise RuntimeError("this version of Unicorn does not keep its exits as expected")
        tree = cython.cast(cython.pointer(ExitTree), words[cython.cast(cython.size_t, places[0])])
        tree.data = cython.cast(cython.p_void, self)
        tree.compare = cython.cast(cython.p_void, _on_translate)
        return 0

    def forbids(self, vaddr):
        """Whether a run ends before the instruction at `vaddr`, which is about to be translated."""
        return vaddr == self.boot_exit

    def check_exits(self):
        """Raise `RuntimeError` if a run does not end before an instruction that we forbid. As `check_stops`.

        inc rbx / inc rbx / jmp to itself
        """
        value: uint64_t = 0
        words = cython.cast(cython.pointer(uint64_t), self.boot_page)
        words[0x340 // 8] = 0xFEEB_C3FF_48C3_FF48
        self.boot_exit = _boot_va + 0x343
        self.check(self.api.emu_start(self.uc, _boot_va + 0x340, 0, 0, 0), "run")
        self.boot_exit = 0
        self.api.reg_read(self.uc, UC_X86_REG_RBX, cython.address(value))
        if value != 1:
            raise RuntimeError("this version of Unicorn does not end runs at exits as expected")
        return write_register(self.api, self.uc, "rbx", 0)

    def check_stops(self):
        """Raise `RuntimeError` if a stop takes effect inside an instruction. Ring 0, on the boot page.

        inc qword [rdi] / inc rbx / jmp to itself, and a stop while the page of rdi is being asked for: if the
        library waits for the end of the block, both are done.
        """
        value: uint64_t = _boot_va + 4096 + 0x400
        words = cython.cast(cython.pointer(uint64_t), self.boot_page)
        words[0x300 // 8] = 0xFEEB_C3FF_4807_FF48
        words[0x400 // 8] = 0
        self.check(self.api.reg_write(self.uc, UC_X86_REG_RDI, cython.address(value)), "set a register")
        self.boot_stop = True
        self.check(self.api.emu_start(self.uc, _boot_va + 0x300, 0, 0, 0), "run")
        self.api.reg_read(self.uc, UC_X86_REG_RBX, cython.address(value))
        if value != 1 or words[0x400 // 8] != 1:
            raise RuntimeError("this version of Unicorn does not stop between two instructions as expected")
        write_register(self.api, self.uc, "rbx", 0)
        write_register(self.api, self.uc, "rdi", 0)
        return 0

    def hook(self, kind, callback, instruction):
        """Have `callback(uc, .., self)` called, for one instruction if `kind` asks for one."""
        handle: cython.size_t
        first: uint64_t = 1  # begin after end: every address
        last: uint64_t = 0
        err: cython.int = self.api.hook_add(
            self.uc, cython.address(handle), kind, callback, cython.cast(cython.p_void, self), first, last, instruction
        )
        return self.check(err, "add a hook")

    def enter_user_mode(self):
        """Leave ring 0 for good, and learn where the library keeps the address of a fault.

        The hook below is the one that answers until the CPU is in user mode and is taken away then. `iretq`
        "returns" to an
        address that nobody answers for: the handle's block then holds it somewhere, and another one at
        the same place after the next fault.
        """
        table: TableRegister
        words: cython.pointer(uint64_t)
        i: cython.size_t
        size: cython.size_t
        boot_hook: cython.size_t
        value: uint64_t
        first: uint64_t = 0x0000_5EED_1234_5678
        second: uint64_t = 0x0000_5EED_8765_4321
        page: cython.p_void = cython.NULL
        if posix_memalign(cython.address(page), 4096, 2 * 4096):
            raise MemoryError
        self.boot_page = cython.cast(cython.pointer(uint8_t), page)
        memset(page, 0, 2 * 4096)
        words = cython.cast(cython.pointer(uint64_t), page)
        words[5], words[6] = _user_data, _user_code
        self.boot_page[0x100] = 0x48  # iretq
        self.boot_page[0x101] = 0xCF
        words[0x200 // 8] = first  # rip
        words[0x208 // 8] = 0x33  # cs
        words[0x210 // 8] = FIXED_FLAGS
        words[0x218 // 8] = 0  # rsp
        words[0x220 // 8] = 0x2B  # ss
        self.check(self.api.mem_map_ptr(self.uc, self.phys.size, 2 * 4096, UC_PROT_ALL, page), "map its boot page")
        memset(cython.address(table), 0, cython.sizeof(TableRegister))
        table.base = _boot_va
        table.limit = 0xFFF
        self.check(self.api.reg_write(self.uc, UC_X86_REG_GDTR, cython.address(table)), "set a register")
        value = 0x33  # CR0: protected mode, x87 there, its exceptions delivered as number 16
        self.check(self.api.reg_write(self.uc, UC_X86_REG_CR0, cython.address(value)), "set a register")
        self.check(self.api.reg_read(self.uc, UC_X86_REG_CR4, cython.address(value)), "read a register")
        value |= 0x600  # CR4: SSE there, its exceptions delivered as number 19
        self.check(self.api.reg_write(self.uc, UC_X86_REG_CR4, cython.address(value)), "set a register")
        value = 1
        self.check(
            self.api.hook_add(
                self.uc,
                cython.address(boot_hook),
                UC_HOOK_TLB_FILL,
                cython.cast(cython.p_void, _on_boot_fill),
                cython.cast(cython.p_void, self),
                value,
                value - 1,
            ),
            "add a hook",
        )
        self.check_exits()
        self.check_stops()
        value = _boot_va + 0x200
        self.check(self.api.reg_write(self.uc, UC_X86_REG_RSP, cython.address(value)), "set a register")
        self.api.emu_start(self.uc, _boot_va + 0x100, 0, 0, 0)
        self.api.reg_read(self.uc, UC_X86_REG_CS, cython.address(value))
        if self.boot_refused != first & _page_mask or cython.cast(uint16_t, value) != 0x33:
            raise RuntimeError("this version of Unicorn does not enter user mode as expected")
        size = malloc_usable_size(self.uc) // 8
        words = cython.cast(cython.pointer(uint64_t), self.uc)
        places = [i for i in range(size) if words[i] == first]
        self.api.emu_start(self.uc, second, 0, 0, 0)
        places = [i for i in places if words[cython.cast(cython.size_t, i)] == second]
        if len(places) != 1:
            raise RuntimeError("this version of Unicorn does not keep the address of a fault as expected")
        self.invalid_at = places[0]
        self.check(self.api.hook_del(self.uc, boot_hook), "take a hook away")
        table.limit = 0
        self.check(self.api.reg_write(self.uc, UC_X86_REG_GDTR, cython.address(table)), "set a register")
        write_register(self.api, self.uc, "rsp", 0)
        write_register(self.api, self.uc, "fpcw", FIRST_FPCW)
        write_register(self.api, self.uc, "mxcsr", FIRST_MXCSR)
        write_register(self.api, self.uc, "fptag", 0xFFFF)
        self.api.ctl(self.uc, CTL_TLB_FLUSH)
        self.check(self.api.context_alloc(self.uc, cython.address(self.clean)), "keep a context")
        return self.check(self.api.context_save(self.uc, self.clean), "keep a context")

    def show_descriptors(self, shown):
        """Let the CPU find the descriptors of Linux' user segments, or none."""
        table: TableRegister
        words = cython.cast(cython.pointer(uint64_t), self.boot_page + 4096 + _descriptors)
        memset(cython.address(table), 0, cython.sizeof(TableRegister))
        if shown:
            words[4], words[5], words[6], words[15] = _user_code32, _user_data, _user_code, _cpu_number
            table.base = descriptor_page + _descriptors
            table.limit = 0x7F
        self.segments = shown
        self.api.reg_write(self.uc, UC_X86_REG_GDTR, cython.address(table))

    def invalid_addr(self):
        """The first byte of the access that was refused last."""
        return cython.cast(cython.pointer(uint64_t), self.uc)[self.invalid_at]

    def get_register(self, name):
        return read_register(self.api, self.uc, name)

    def set_register(self, name, value):
        return write_register(self.api, self.uc, name, value)
