"""Page tables against CPUs that walk them by themselves: the MMUs that Unicorn inherits from QEMU.

No walk of ours takes part in what the CPU does. Its physical memory holds the tables, its registers point to the
root, and it loads, stores and executes, as kernel and as user. What it is allowed and which bytes it reaches must
be what `PageTable.query` says: of tables that `PageTable` wrote, and of tables made of random bits that
`PageTable.at` reads out of the CPU's memory.

Where the CPU and the manual differ, the manual is right (`test_foreign`), and the random tables keep away:

- RISC-V: QEMU 5 knows no Svpbmt and checks no reserved bits above the PPN, nor D, A and U in pointers.
- x86-64: this CPU has 40 physical bits, those above are reserved.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("unicorn")

import unicorn.arm64_const as arm
import unicorn.riscv_const as riscv
import unicorn.x86_const as x86
from unicorn import (
    UC_ARCH_ARM64,
    UC_ARCH_RISCV,
    UC_ARCH_X86,
    UC_HOOK_INTR,
    UC_MODE_64,
    UC_MODE_ARM,
    UC_MODE_RISCV64,
    Uc,
)
from unicorn.unicorn_const import UC_TLB_CPU

from axptr import AARCH64, PAGE_SIZE, SV39, SV48, X86_64, AddrSpace, MappingFlags, PageTable, PagingFormat, PhysMemory

NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
U, DEVICE, UNCACHED = MappingFlags.USER, MappingFlags.DEVICE, MappingFlags.UNCACHED
MIB2, GIB, GIB512 = 2 << 20, 1 << 30, 1 << 39

RAM = 32 << 20  # the CPU's memory at physical 0; tables, code and small pages lie in it
# Where the code stands that probes: a page for the kernel, a page for the user.
KERNEL_CODE, USER_CODE = 0x10_0000, 0x20_0000
LOAD, STORE, JUMP = 0, 16, 32  # offsets in it
WHERE = {R: LOAD, W: STORE, X: JUMP}


class Cpu:
    """A CPU with its MMU on, over a copy of some tables. One for each test: its TLB is never flushed."""

    code: dict[int, bytes]  # what stands at LOAD, STORE and JUMP
    nop: bytes
    page_faults: tuple[int, ...]

    def __init__(self, uc: Uc, root: int) -> None:
        self.uc = uc
        self.root = root
        self.faults: list[int] = []
        uc.ctl_set_tlb_mode(UC_TLB_CPU)
        uc.mem_map(0, RAM)
        uc.hook_add(UC_HOOK_INTR, self._fault)

    def _fault(self, uc: Uc, number: int, data: object) -> None:
        self.faults.append(number)
        uc.emu_stop()

    def read(self, paddr: int, size: int) -> bytes:
        """Physical memory, for `PageTable.at`."""
        return bytes(self.uc.mem_read(paddr, size))

    def put(self, paddr: int, data: bytes) -> None:
        if paddr >= RAM and not any(low <= paddr <= high for low, high, _ in self.uc.mem_regions()):
            self.uc.mem_map(paddr & -PAGE_SIZE, 2 * PAGE_SIZE)
        self.uc.mem_write(paddr, data)

    def enter(self, user: bool) -> None:
        raise NotImplementedError

    def aim(self, vaddr: int, value: int) -> None:
        """The address into the pointer register, a value into the data register."""
        raise NotImplementedError

    def loaded(self) -> int:
        raise NotImplementedError

    def attempt(self, access: MappingFlags, vaddr: int, paddr: int, user: bool) -> bool:
        """Whether the CPU may; if it may, the bytes must be those at `paddr`."""
        mark = 0x5EED_0000_0000_0000 | (int(paddr) + vaddr * 7) & 0xFFFF_FFFF_FFFF
        start = (USER_CODE if user else KERNEL_CODE) + WHERE[access]
        until = vaddr + len(self.nop) if access == X else start + len(self.code[WHERE[access]])
        self.put(paddr, mark.to_bytes(8, "little") if access == R else (self.nop * 8)[:8])
        self.faults.clear()
        self.enter(user)
        self.aim(vaddr, mark)
        self.uc.emu_start(self.user_start(start, user), until, count=20)
        if self.faults:
            assert self.faults[0] in self.page_faults
            return False
        if access == R:
            assert self.loaded() == mark
        elif access == W:
            assert self.read(paddr, 8) == mark.to_bytes(8, "little")
        return True

    def user_start(self, start: int, user: bool) -> int:
        return start

    def may(self, flags: MappingFlags, access: MappingFlags, user: bool) -> bool:
        """What flags of a table mean for this CPU, by its manual."""
        raise NotImplementedError

    def untold(self, flags: MappingFlags, access: MappingFlags, user: bool) -> bool:
        """Whether flags do not say what is allowed, in a table of somebody else's."""
        return False


class X86Cpu(Cpu):
    """CR0.PG and WP, CR4.PAE, EFER.LME and NXE; neither SMEP nor SMAP. The way to CPL 3 is an iretq."""

    code = {LOAD: bytes.fromhex("488b07"), STORE: bytes.fromhex("488907"), JUMP: bytes.fromhex("ffe7")}
    #        mov rax, [rdi]                mov [rdi], rax                   jmp rdi
    nop = b"\x90"
    page_faults = (14,)
    GDT, STACK, IRETQ = 0x30_0000, 0x30_0800, KERNEL_CODE + 48

    def __init__(self, fmt: PagingFormat, root: int) -> None:
        super().__init__(Uc(UC_ARCH_X86, UC_MODE_64), root)
        self.uc.reg_write(x86.UC_X86_REG_MSR, (0xC000_0080, 0xD01))  # NXE, LMA, LME, SCE
        self.uc.reg_write(x86.UC_X86_REG_CR3, root)
        self.uc.reg_write(x86.UC_X86_REG_CR4, 0x20)
        self.uc.reg_write(x86.UC_X86_REG_CR0, 0x8001_0011)
        self.uc.reg_write(x86.UC_X86_REG_GDTR, (0, self.GDT, 0x27, 0))
        self.kernel = self.uc.context_save()

    def enter(self, user: bool) -> None:
        self.uc.context_restore(self.kernel)

    def user_start(self, start: int, user: bool) -> int:
        if not user:
            return start
        self.uc.mem_write(self.STACK, struct.pack("<5Q", start, 0x23, 0x2, self.STACK, 0x1B))
        self.uc.reg_write(x86.UC_X86_REG_RSP, self.STACK)
        return self.IRETQ

    def aim(self, vaddr: int, value: int) -> None:
        self.uc.reg_write(x86.UC_X86_REG_RDI, vaddr)
        self.uc.reg_write(x86.UC_X86_REG_RAX, value)

    def loaded(self) -> int:
        return self.uc.reg_read(x86.UC_X86_REG_RAX)  # type: ignore[no-any-return]

    def may(self, flags: MappingFlags, access: MappingFlags, user: bool) -> bool:
        return bool(flags & access) and (not user or bool(flags & U))


class ArmCpu(Cpu):
    """EL1 and EL0 of a Cortex-A72: TTBR0_EL1, 48 bits, 4 KiB; no PAN."""

    code = {LOAD: bytes.fromhex("010040f9"), STORE: bytes.fromhex("010000f9"), JUMP: bytes.fromhex("00001fd6")}
    #        ldr x1, [x0]                    str x1, [x0]                      br x0
    nop = bytes.fromhex("1f2003d5")
    page_faults = (3, 4)  # QEMU's prefetch abort and data abort

    def __init__(self, fmt: PagingFormat, root: int) -> None:
        uc = Uc(UC_ARCH_ARM64, UC_MODE_ARM)
        uc.ctl_set_cpu_model(arm.UC_CPU_ARM64_A72)
        super().__init__(uc, root)
        self.system(3, 6, 1, 1, 0, 1 << 10 | 1)  # SCR_EL3.RW and NS: EL2 is AArch64 ...
        self.system(3, 4, 1, 1, 0, 1 << 31)  # HCR_EL2.RW: ... and so is EL1
        uc.reg_write(arm.UC_ARM64_REG_TTBR0_EL1, root)
        uc.reg_write(arm.UC_ARM64_REG_MAIR_EL1, 0x04_0044_FFFF)
        # TCR_EL1: IPS 48 bits, TG1 4 KiB, EPD1, inner shareable, write back, TG0 4 KiB, T0SZ 16
        self.system(3, 0, 2, 0, 2, 5 << 32 | 2 << 30 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8 | 16)
        self.sctlr = uc.reg_read(arm.UC_ARM64_REG_CP_REG, (1, 0, 3, 0, 0)) & ~(1 << 19) | 1  # M, not WXN

    def system(self, op0: int, op1: int, crn: int, crm: int, op2: int, value: int) -> None:
        self.uc.reg_write(arm.UC_ARM64_REG_CP_REG, (crn, crm, op0, op1, op2, value))

    def enter(self, user: bool) -> None:
        self.uc.reg_write(arm.UC_ARM64_REG_PSTATE, 0x3C0 if user else 0x3C5)
        self.system(3, 0, 1, 0, 0, self.sctlr)  # after it Unicorn takes notice of the exception level

    def aim(self, vaddr: int, value: int) -> None:
        self.uc.reg_write(arm.UC_ARM64_REG_X0, vaddr)
        self.uc.reg_write(arm.UC_ARM64_REG_X1, value)

    def loaded(self) -> int:
        return self.uc.reg_read(arm.UC_ARM64_REG_X1)  # type: ignore[no-any-return]

    def may(self, flags: MappingFlags, access: MappingFlags, user: bool) -> bool:
        if user:
            return bool(flags & U) and bool(flags & access)
        if not flags & U:
            return bool(flags & access)
        return access == R or (access == W and bool(flags & W))  # PXN

    def untold(self, flags: MappingFlags, access: MappingFlags, user: bool) -> bool:
        if not user:
            return bool(flags & U)  # executable for EL1 too, or for EL0 and writable for EL1
        return access == X and bool(flags & X) and not flags & U  # both clear: executable for both


class RiscvCpu(Cpu):
    """S and U mode, SUM and MXR clear: the kernel has no access to pages of the user's."""

    code = {LOAD: bytes.fromhex("83350500"), STORE: bytes.fromhex("2330b500"), JUMP: bytes.fromhex("67000500")}
    #        ld a1, 0(a0)                    sd a1, 0(a0)                      jr a0
    nop = bytes.fromhex("13000000")
    page_faults = (12, 13, 15)  # instruction, load, store page fault

    def __init__(self, fmt: PagingFormat, root: int) -> None:
        super().__init__(Uc(UC_ARCH_RISCV, UC_MODE_RISCV64), root)
        self.uc.reg_write(riscv.UC_RISCV_REG_SATP, {SV39: 8, SV48: 9}[fmt] << 60 | root >> 12)

    def enter(self, user: bool) -> None:
        self.uc.reg_write(riscv.UC_RISCV_REG_PRIV, 0 if user else 1)

    def aim(self, vaddr: int, value: int) -> None:
        self.uc.reg_write(riscv.UC_RISCV_REG_A0, vaddr)
        self.uc.reg_write(riscv.UC_RISCV_REG_A1, value)

    def loaded(self) -> int:
        return self.uc.reg_read(riscv.UC_RISCV_REG_A1)  # type: ignore[no-any-return]

    def may(self, flags: MappingFlags, access: MappingFlags, user: bool) -> bool:
        return bool(flags & U) == user and bool(flags & access)


CPUS = {X86_64: X86Cpu, AARCH64: ArmCpu, SV39: RiscvCpu, SV48: RiscvCpu}


@pytest.fixture(params=CPUS, ids=str)
def fmt(request: pytest.FixtureRequest) -> PagingFormat:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def table(fmt: PagingFormat, make_phys: object, request: pytest.FixtureRequest) -> Iterator[PageTable]:
    """A table in which the probing code is mapped, and for x86-64 what an iretq needs."""
    made = PageTable(make_phys(RAM), fmt)  # type: ignore[operator]
    made.map(KERNEL_CODE, KERNEL_CODE, R | X)
    made.map(USER_CODE, USER_CODE, R | X | U)
    made.map(X86Cpu.GDT, X86Cpu.GDT, R | W)
    yield made
    request.node.funcargs.clear()  # pytest would keep it beyond the count of frames


def boot(table: PageTable, phys: PhysMemory | None = None) -> Cpu:
    """A CPU over a copy of the table, and of what lies around it in memory, as they are now."""
    cpu = CPUS[table.format](table.format, table.root)
    phys = phys or table.phys
    cpu.uc.mem_write(0, phys.read(0, 8 << 20))
    for page in (KERNEL_CODE, USER_CODE):
        found = table.query(page)
        assert found is not None
        for offset, instruction in cpu.code.items():
            cpu.uc.mem_write(found[0] + offset, instruction + cpu.nop)
        if isinstance(cpu, X86Cpu):
            cpu.uc.mem_write(found[0] + cpu.IRETQ % PAGE_SIZE, bytes.fromhex("48cf"))
            # null, kernel code, kernel data, user data, user code: base 0, limit 4 GiB, 64 bits; mapped one to one
            gdt = (0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF)
            cpu.uc.mem_write(cpu.GDT, struct.pack("<5Q", *gdt))
    return cpu


def compare(cpu: Cpu, walker: PageTable, vaddr: int, paddr: int | None) -> int:
    """Every access, as kernel and as user, against `query`; how many were allowed."""
    found = walker.query(vaddr)
    if paddr is not None:
        assert found is not None
        assert found[0] == paddr
    flags = NONE if found is None else found[1]
    where = RAM - PAGE_SIZE if found is None else found[0]
    allowed = 0
    for user in (False, True):
        for access in (R, W, X):
            if walker.source is cpu and cpu.untold(flags, access, user):
                continue
            may = found is not None and bool(flags & (R | W | X)) and cpu.may(flags, access, user)
            assert cpu.attempt(access, vaddr, where, user) == may, (hex(vaddr), flags, access, user)
            allowed += may
    return allowed


# -- tables of ours ---------------------------------------------------------------------------------------------


RIGHTS = [r | u for r in (R, R | W, X, R | X, R | W | X, W) for u in (NONE, U)]


def test_cpu_grants_what_the_table_of_ours_says(table: PageTable) -> None:
    sizes = [1 << level.shift for level in table.format.levels if level.leaf_mask]
    placed = []
    for size in sizes:
        base = {PAGE_SIZE: GIB, MIB2: 2 * GIB, GIB: 4 * GIB, GIB512: 2 * GIB512}[size]
        to = {PAGE_SIZE: 16 << 20, MIB2: 16 << 20}.get(size, size)
        for n, flags in enumerate([*RIGHTS, NONE]):  # 13 of them, and a hole after
            # 4 KiB and 2 MiB pages show the memory at 16 MiB, greater ones a place of their own.
            table.map(base + n * size, to, flags, size)
            placed.append((base + n * size, to, size))
    cpu = boot(table)
    allowed = 0
    for at, to, size in placed:
        for inside in {0x18, size - 0x1008} if size > PAGE_SIZE else {0x18}:
            allowed += compare(cpu, table, at + inside, to + inside)
    for at, _, size in placed[12::13]:
        assert compare(cpu, table, at + size, None) == 0
    assert allowed > 20 * len(sizes)


def test_cpu_reaches_both_halves_and_faults_between_them(table: PageTable) -> None:
    bits = {X86_64: 47, AARCH64: 48, SV39: 38, SV48: 47}[table.format]
    ends = [(1 << bits) - PAGE_SIZE]
    if table.format is not AARCH64:
        ends += [(1 << 64) - (1 << bits), (1 << 64) - 2 * PAGE_SIZE]
    for n, at in enumerate(ends):
        table.map(at, (20 << 20) + n * PAGE_SIZE, R | W | U)
    cpu = boot(table)
    for n, at in enumerate(ends):
        assert compare(cpu, table, at + 0x40, (20 << 20) + n * PAGE_SIZE + 0x40) > 0


def test_cpu_faults_after_unmap_and_sees_remap_and_protect(table: PageTable) -> None:
    for n in range(4):
        table.map(GIB + n * PAGE_SIZE, 16 << 20, R | W | U)
        table.map(2 * GIB + n * MIB2, 16 << 20, R | W | U, MIB2)
    for base, size in ((GIB, PAGE_SIZE), (2 * GIB, MIB2)):
        table.unmap(base)
        table.protect(base + size, R | U)
        table.remap(base + 2 * size, 18 << 20, R | X | U)
        table.protect(base + 3 * size, NONE)
    cpu = boot(table)
    for base, size in ((GIB, PAGE_SIZE), (2 * GIB, MIB2)):
        assert compare(cpu, table, base, None) == 0
        assert compare(cpu, table, base + size, 16 << 20) > 0
        assert compare(cpu, table, base + 2 * size, 18 << 20) > 0
        assert compare(cpu, table, base + 3 * size, 16 << 20) == 0


# -- tables of a space --------------------------------------------------------------------------------------------


def test_cpu_may_do_in_a_space_what_its_table_says_and_never_more_than_areas_grant(
    make_phys: Callable[..., PhysMemory], fmt: PagingFormat
) -> None:
    phys = make_phys(RAM)
    space = AddrSpace(0x1000, 1 << 32, phys, fmt)
    rest = phys.alloc(X86Cpu.GDT // PAGE_SIZE)  # the frame of the descriptor table and all below
    space.map_linear(X86Cpu.GDT, X86Cpu.GDT, PAGE_SIZE, R | W)
    space.map_alloc(KERNEL_CODE, PAGE_SIZE, R | X, populate=True)
    space.map_alloc(USER_CODE, PAGE_SIZE, R | X | U, populate=True)
    space.populate_area(X86Cpu.GDT, PAGE_SIZE, W)
    places = []
    for n, flags in enumerate([*RIGHTS, NONE] * 3):
        at = 0x4000_0000 + n * PAGE_SIZE
        places.append((at, flags))
        space.map_alloc(at, PAGE_SIZE, R | W)
        if n >= 2 * len(RIGHTS):  # never written
            space.populate_area(at, PAGE_SIZE, R)
        else:
            space.write(at, b"dirty")
        if n < len(RIGHTS) or flags & W == 0:
            space.protect(at, PAGE_SIZE, flags)
        else:
            space.protect(at, PAGE_SIZE, flags)
            space.populate_area(at, PAGE_SIZE, W)
    table = space.page_table
    cpu = boot(table, phys)
    allowed = 0
    for at, flags in places:
        allowed += compare(cpu, table, at + 8, None)
        found = table.query(at)
        granted = NONE if found is None else found[1] & (R | W | X | U)
        assert not granted & ~flags & (W | X | U)
        assert not granted & ~flags & R or flags & (W | X)  # READ where the hardware knows no better
    assert allowed > 50
    space.clear()
    phys.free(rest, X86Cpu.GDT // PAGE_SIZE)


# -- tables of random bits --------------------------------------------------------------------------------------


def random_leaf(rng: random.Random, fmt: PagingFormat, size: int, frame: int) -> int:
    """An entry of any kind that the CPU and the manual agree on, mostly present."""
    entry = rng.getrandbits(64)
    if fmt is X86_64:
        keep = 0x7FF0_0000_0000_0E7E  # ignored, U/S, R/W, PWT, PCD, A, D, G
        entry = entry & (keep & ~0x80) | rng.getrandbits(1) << 63 | frame
        entry |= 0x80 if size > PAGE_SIZE or rng.random() < 0.3 else 0
        if size > PAGE_SIZE and rng.random() < 0.3:
            entry |= 1 << rng.choice([12, 13, 14, 20])  # PAT, and bits that are reserved
        return entry | (rng.random() < 0.9)
    if fmt is AARCH64:
        # Software, UXN, PXN, contiguous, DBM; nG, SH, AP, AttrIndx 0, 2, 4. AF as ever: else an access flag fault.
        entry = entry & (0x07F8_0000_0000_0BC0) | 0x400 | rng.choice([0, 2, 4]) << 2 | frame
        return entry | (0 if rng.random() < 0.1 else 1 if size > PAGE_SIZE or rng.random() < 0.1 else 3)
    ppn = frame >> 2
    if size > PAGE_SIZE and rng.random() < 0.2:
        ppn |= 1 << rng.choice([10, 13, 18])  # misaligned
    # RSW, G, U, X, W, R; A and D set, or else Unicorn sets them.
    bits = entry & 0x33E | 0xC0
    if size > PAGE_SIZE and not bits & 0xE:
        bits |= 2  # not a pointer: that would lead into the page
    return ppn | bits | (rng.random() < 0.9)


def random_pointer(rng: random.Random, fmt: PagingFormat, table: int) -> int:
    if fmt is X86_64:
        # R/W, U/S and XD restrict; A, PCD, PWT and ignored bits do not.
        return (
            table
            | 1
            | rng.choice([6, 6, 6, 4, 2])
            | rng.getrandbits(64) & 0x7FF0_0000_0000_0E38
            | (rng.random() < 0.2) << 63
        )
    if fmt is AARCH64:
        hierarchy = rng.choice([0, 0, 0, 1 << 62, 1 << 61, 1 << 60, 1 << 59])
        return table | 3 | hierarchy | rng.getrandbits(64) & 0x07F8_0000_0000_0FFC
    return table >> 2 | 1 | rng.getrandbits(64) & 0x320


@pytest.mark.parametrize("seed", range(8))
def test_query_of_random_tables_says_what_the_cpu_does(table: PageTable, seed: int) -> None:
    fmt = table.format
    rng = random.Random(f"{fmt} {seed}")
    cpu = boot(table)
    # Below an entry of the table of ours that is still free, tables of random entries: at 8 MiB and up.
    free = {SV39: 2 << 30}.get(fmt, 2 << 39)
    shifts = [level.shift for level in fmt.levels]
    fresh = iter(range(8 << 20, 16 << 20, PAGE_SIZE))

    def fill(level: int, base: int, leads: int) -> tuple[int, list[int]]:
        """A table of that level with random pages, and some tables below; its address and what to probe."""
        at = next(fresh)
        probes = []
        for index in rng.sample(range(512), 24 if level == len(shifts) - 1 else 8):
            here = base + (index << shifts[level])
            size = 1 << shifts[level]
            if level < len(shifts) - 1 and leads:
                leads -= 1
                below, found = fill(level + 1, here, 1)
                entry = random_pointer(rng, fmt, below)
                probes += found
            elif fmt.levels[level].leaf_mask:
                frame = (16 << 20) + rng.randrange(16) * PAGE_SIZE if size == PAGE_SIZE else 0
                entry = random_leaf(rng, fmt, size, frame)
                probes.append(here + (0x0100_0008 % size if size > PAGE_SIZE else 8 * rng.randrange(511)))
            else:
                entry = 1 if fmt is AARCH64 else 0x83 if fmt is X86_64 else 0
                probes.append(here + 0x1000)
            cpu.uc.mem_write(at + 8 * index, entry.to_bytes(8, "little"))
        return at, probes

    below, probes = fill(1, free, 3)
    root = random_pointer(rng, fmt, below)
    cpu.uc.mem_write(table.root + 8 * (free >> shifts[0]), root.to_bytes(8, "little"))
    walker = PageTable.at(cpu, table.root, fmt)
    allowed = sum(compare(cpu, walker, at, None) for at in probes)
    assert allowed > 0
    assert len(probes) > 50
