"""Tables of architectures, held against the CPUs that the library has and against ELF's own numbers."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import unicorn
from unicorn import arm64_const, riscv_const

from axptr.engine import UnicornEngine
from axptr.engine.arch import AARCH64, ARCHITECTURES, RISCV64, X86_64, Architecture

from .conftest import CODE, EXIT, Machine

enums = pytest.importorskip("elftools.elf.enums", reason="ELF's numbers are pyelftools'")


@pytest.mark.parametrize("arch", ARCHITECTURES.values(), ids=str)
def test_the_parts_are_played_by_registers_that_there_are(arch: Architecture) -> None:
    parts = {arch.pc, arch.sp, arch.flags, arch.tls, arch.link, arch.number, arch.result, *arch.arguments} - {""}
    assert parts <= {*arch.registers, *arch.apart}
    assert set(arch.apart) <= parts - set(arch.registers)
    assert len(set(arch.registers)) == len(arch.registers)
    assert len(set(arch.arguments)) == 6
    assert ARCHITECTURES[arch.name] is arch
    assert pickle.loads(pickle.dumps(arch)) is arch


def test_elf_files_call_them_so() -> None:
    numbers = enums.ENUM_E_MACHINE
    assert [X86_64.machine, AARCH64.machine, RISCV64.machine] == [
        numbers["EM_X86_64"], numbers["EM_AARCH64"], numbers["EM_RISCV"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arch", "constants", "prefix"),
    [(AARCH64, arm64_const, "UC_ARM64_REG_"), (RISCV64, riscv_const, "UC_RISCV_REG_")],
    ids=["aarch64", "riscv64"],
)
def test_a_cpu_has_these_registers(arch: Architecture, constants: Any, prefix: str) -> None:
    for name in (*arch.registers, *arch.apart):
        assert hasattr(constants, prefix + name.upper())


class Cpu:
    """A CPU of the library under its own binding, with registers as attributes."""

    def __init__(self, arch: Architecture, kind: int, mode: int, constants: Any, prefix: str) -> None:
        self.__dict__.update(uc=unicorn.Uc(kind, mode), constants=constants, prefix=prefix)

    def number(self, name: str) -> int:
        return int(getattr(self.constants, self.prefix + name.upper()))

    def __getattr__(self, name: str) -> int:
        return int(self.uc.reg_read(self.number(name)))

    def __setattr__(self, name: str, value: int) -> None:
        self.uc.reg_write(self.number(name), value)


CPUS = {
    "aarch64": (unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM, arm64_const, "UC_ARM64_REG_", "010000d4 e0031faa"),
    "riscv64": (unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV64, riscv_const, "UC_RISCV_REG_", "73000000 13050000"),
}  # svc 0; mov x0, xzr / ecall; li a0, 0


@pytest.mark.parametrize("arch", [AARCH64, RISCV64], ids=str)
def test_a_call_is_made_again_with_its_number_and_first_argument(arch: Architecture) -> None:
    kind, mode, constants, prefix, code = CPUS[arch.name]
    cpu = Cpu(arch, kind, mode, constants, prefix)
    cpu.uc.mem_map(0x1000, 0x1000)
    cpu.uc.mem_write(0x1000, bytes.fromhex(code))
    seen = []

    def serve(uc: Any, *unused: object) -> None:
        seen.append((getattr(cpu, arch.number), getattr(cpu, arch.arguments[0]), getattr(cpu, arch.pc)))
        setattr(cpu, arch.result, 0xFFFF)
        uc.emu_stop()

    cpu.uc.hook_add(unicorn.UC_HOOK_INTR, serve)
    setattr(cpu, arch.number, 7)
    setattr(cpu, arch.arguments[0], 8)
    cpu.uc.emu_start(0x1000, 0x1008)
    assert seen == [(7, 8, 0x1000 + arch.call_size)]
    setattr(cpu, arch.pc, seen[0][2])
    arch.rewind(cpu, 9, 8)
    cpu.uc.emu_start(getattr(cpu, arch.pc), 0x1008)
    assert seen[1] == (9, 8, 0x1000 + arch.call_size)


def test_a_call_of_a_guest_is_made_again(machine: Machine) -> None:
    machine.on_call = lambda nr, *args: X86_64.rewind(machine.engine.regs, nr + 50, args[0] + 1) if nr == 1 else 0
    machine.run("b801000000 0f05 b83c000000 0f05", rdi=5)  # mov eax, 1; syscall; mov eax, 60; syscall
    assert [call[:2] for call in machine.calls] == [(1, 5), (51, 6), (EXIT, 6)]


def test_registers_go_by_the_parts_that_they_play(machine: Machine) -> None:
    regs, arch = machine.engine.regs, machine.engine.arch
    assert arch is UnicornEngine.arch is X86_64
    for value, part in enumerate(("pc", "sp", "tls", "number"), 100):
        setattr(regs, part, value)
        assert getattr(regs, part) == getattr(regs, getattr(arch, part)) == value
    regs.result = 7
    assert regs.rax == regs.result == 7
    regs.flags = 0x8D5
    assert regs.flags == regs.rflags == 0x8D5 | 0x202
    assert not {"pc", "sp"} & set(dir(regs))  # a name for each register, once
    with pytest.raises(AttributeError):
        regs.link  # noqa: B018


def test_the_program_counter_can_be_set_by_its_part_in_a_handler(machine: Machine) -> None:
    def serve(nr: int, *args: int) -> None:
        machine.engine.regs.pc += 2

    machine.on_call = serve
    machine.run("0f05 0f0b b83c000000 0f05", rax=1)  # syscall; ud2; mov eax, 60; syscall
    assert machine.calls[-1][0] == EXIT


@pytest.mark.parametrize(
    ("code", "trap"),
    [
        ("31c9 f7f1", "divide"),  # xor ecx, ecx; div ecx
        ("cc", "breakpoint"),
        ("0f0b", "undefined"),
        ("f4", "protection"),  # hlt
        ("cd80", "call"),
        ("48b80000000000000080 8b00", "protection"),  # mov rax, 1 << 63; mov eax, [rax]
        ("31c0 8b00", "page"),  # xor eax, eax; mov eax, [rax]
        ("b83c000000 0f05", None),
    ],
)
def test_an_exit_tells_what_happened_in_words_for_every_architecture(
    machine: Machine, code: str, trap: str | None
) -> None:
    exit = machine.run(code)
    assert exit.trap == trap
    assert exit.pc == exit.rip
    assert CODE <= exit.pc < CODE + 16


def test_addresses_that_can_be_formed() -> None:
    for address, ok in ((0, True), ((1 << 47) - 1, True), (1 << 47, False), (-(1 << 47), True), (-(1 << 48), False)):
        assert X86_64.is_canonical(address & ((1 << 64) - 1)) is ok
    assert AARCH64.is_canonical(1 << 47)
    assert not RISCV64.is_canonical(1 << 38)
