"""What the engine relies on, or works around, in the Unicorn library, tried on the library itself.

A test here that fails says that a new version behaves differently: then the code that it names wants a look. The
package's Python binding is used here and nowhere else.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

unicorn = pytest.importorskip("unicorn")
x86 = pytest.importorskip("unicorn.x86_const")

from axptr._core.cpu.unicorn import uclib  # noqa: E402
from axptr._core.phys.phys import PhysMemory  # noqa: E402
from axptr.engine import UnicornEngine  # noqa: E402

TESTS = Path(__file__).parents[3]
CODE = 0x1000
FRAME = 0x10000


class Bare:
    """The library with the virtual TLB: every page answered from `pages`, vaddr -> (paddr, permissions)."""

    def __init__(self) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self.uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
        self.uc.ctl_exits_enabled(True)
        self.uc.mem_map(0, 1 << 20)
        self.uc.hook_add(unicorn.UC_HOOK_TLB_FILL, self._fill)
        self.uc.hook_add(unicorn.UC_HOOK_INSN, lambda uc, data: uc.emu_stop(), aux1=x86.UC_X86_INS_SYSCALL)
        self.pages = {CODE: (FRAME, unicorn.UC_PROT_ALL)}
        self.fills = 0
        self.on_write: Callable[[], object] | None = None

    def _fill(self, uc, vaddr, access, entry, data):  # type: ignore[no-untyped-def]
        self.fills += 1
        if vaddr not in self.pages:
            return False
        entry.paddr, entry.perms = self.pages[vaddr]
        if access == unicorn.UC_MEM_WRITE and self.on_write is not None:
            on_write, self.on_write = self.on_write, None
            entry.perms |= unicorn.UC_PROT_WRITE
            on_write()
        return True

    def run(self, at: int = CODE) -> int:
        self.uc.emu_start(at, 0)
        return self.uc.reg_read(x86.UC_X86_REG_RAX)  # type: ignore[no-any-return]


@pytest.fixture
def bare() -> Iterator[Bare]:
    return Bare()


def returns(n: int) -> bytes:
    """mov eax, n; syscall"""
    return b"\xb8" + n.to_bytes(4, "little") + b"\x0f\x05"


def test_version_is_one_that_was_tried() -> None:
    UnicornEngine(PhysMemory(1 << 24))
    assert uclib.version() == tuple(map(int, unicorn.__version__.split(".")[:3]))
    assert uclib.version()[:2] == (2, 1)


def test_translations_survive_the_end_of_a_run(bare: Bare) -> None:
    """So changes of a space must flush (UnicornCpu.apply)."""
    bare.uc.mem_write(FRAME, returns(1))
    assert bare.run() == 1
    bare.uc.mem_write(FRAME + 0x1000, returns(2))
    fills = bare.fills
    bare.pages[CODE] = (FRAME + 0x1000, unicorn.UC_PROT_ALL)
    assert bare.run() == 1
    assert bare.fills == fills


def test_code_written_from_outside_is_not_noticed_by_the_library(bare: Bare) -> None:
    """So frames with translated code are marked, and their code is dropped (UnicornCpu.apply)."""
    import ctypes

    memory = ctypes.create_string_buffer(0x3000)
    start = -ctypes.addressof(memory) % 0x1000
    bare.uc.mem_map_ptr(1 << 20, 0x1000, unicorn.UC_PROT_ALL, ctypes.addressof(memory) + start)
    bare.pages[CODE] = (1 << 20, unicorn.UC_PROT_ALL)
    memory[start : start + 7] = returns(1)
    assert bare.run() == 1
    memory[start : start + 7] = returns(2)
    assert bare.run() == 1
    bare.uc.ctl_remove_cache(CODE, CODE + 0x1000)
    assert bare.run() == 2


def test_refused_access_leaves_the_guest_where_it_was(bare: Bare) -> None:
    bare.uc.mem_write(FRAME, bytes.fromhex("ffc0 488b1c2500200000 0f05"))  # inc eax; mov rbx, [0x2000]; syscall
    with pytest.raises(unicorn.UcError) as caught:
        bare.run()
    assert caught.value.errno == unicorn.UC_ERR_EXCEPTION
    assert bare.uc.reg_read(x86.UC_X86_REG_RIP) == CODE + 2
    bare.pages[0x2000] = (FRAME + 0x2000, unicorn.UC_PROT_ALL)
    assert bare.run(CODE + 2) == 1


def test_block_that_runs_into_a_refused_page_has_not_begun(bare: Bare) -> None:
    """So steps are taken up to that page (UnicornCpu.loop)."""
    bare.uc.mem_write(FRAME + 0xFFC, bytes.fromhex("ffc0 ffc0"))
    with pytest.raises(unicorn.UcError):
        bare.run(CODE + 0xFFC)
    assert bare.uc.reg_read(x86.UC_X86_REG_RAX) == 0
    assert bare.uc.reg_read(x86.UC_X86_REG_RIP) == CODE + 0xFFC


KILLERS = {
    "lock bt eax, eax": "f00fa3c0",
    "233 times fadd": "d8c0" * 233,
    "465 times pshufd": "660f70c101" * 465,
    "465 times crc32": "f20f38f1c0" * 465,
}


@pytest.mark.parametrize("code", KILLERS.values(), ids=KILLERS.keys())
@pytest.mark.parametrize("in_steps", [False, True])
def test_code_that_kills_the_library_does_so_in_blocks_only(code: str, in_steps: bool) -> None:
    """So instructions are looked at (codescan), and blocks that leak too much are cut (SteppedCpu.forbids)."""
    script = f"from {__name__} import run_in_process as run; run({code!r}, {in_steps})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, cwd=TESTS, check=False)
    assert (done.returncode == 0) == (in_steps and not code.startswith("f0")), done.stderr


def run_in_process(code: str, in_steps: bool) -> None:
    bare = Bare()
    end = CODE + len(code) // 2
    bare.uc.mem_write(FRAME, bytes.fromhex(code + "0f05"))
    bare.uc.hook_add(unicorn.UC_HOOK_INTR, lambda uc, number, data: uc.emu_stop())
    at = CODE
    while at < end:
        bare.uc.reg_write(x86.UC_X86_REG_EFLAGS, 0x102 if in_steps else 2)
        bare.uc.emu_start(at, 0)
        assert bare.uc.reg_read(x86.UC_X86_REG_RIP) > at
        at = bare.uc.reg_read(x86.UC_X86_REG_RIP)


def test_trap_flag_makes_blocks_of_one_instruction_but_for_pause(bare: Bare) -> None:
    """So `pause` is skipped (SteppedCpu.begin_step)."""
    seen: list[int] = []

    def on_interrupt(uc, number, data):  # type: ignore[no-untyped-def]
        seen.append(uc.reg_read(x86.UC_X86_REG_RIP) - CODE)
        uc.emu_stop()

    bare.uc.hook_add(unicorn.UC_HOOK_INTR, on_interrupt)
    bare.uc.mem_write(FRAME, bytes.fromhex("90 ebfd f390 90 90"))  # nop; jmp to it; pause; nop; nop
    for at in (0, 1, 3):
        bare.uc.reg_write(x86.UC_X86_REG_EFLAGS, 0x102)
        bare.run(CODE + at)
    assert seen == [1, 0, 6]


def test_exit_ends_a_run_where_an_instruction_begins_and_nowhere_else(bare: Bare) -> None:
    """So exits cost nothing where they stand in the middle of one (MappedCpu.set_exits)."""
    bare.uc.mem_write(FRAME, bytes.fromhex("ffc0 89f3 ffc0 0f05"))  # inc eax; mov ebx, esi; inc eax; syscall
    bare.uc.ctl_set_exits([CODE + 3])
    assert bare.run() == 2
    bare.uc.ctl_set_exits([CODE + 4])
    bare.uc.ctl_remove_cache(CODE, CODE + 16)
    assert bare.run() == 3
    assert bare.uc.reg_read(x86.UC_X86_REG_RIP) == CODE + 4


def test_stop_before_the_start_is_lost(bare: Bare) -> None:
    """So a stop is also a flag, and is repeated by the metronome."""
    bare.uc.mem_write(FRAME, returns(3))
    bare.uc.emu_stop()
    assert bare.run() == 3


def test_user_code_starts_in_ring_0(bare: Bare) -> None:
    """So the engine goes through iretq first (UnicornCpu.enter_user_mode)."""
    bare.uc.mem_write(FRAME, bytes.fromhex("fa 0f20c0 0f05"))  # cli; mov rax, cr0; syscall
    assert bare.run() & 1


def test_divide_errors_escalate(bare: Bare) -> None:
    """So the engine calms the CPU after each (x86regs.calm_registers)."""
    seen: list[int] = []

    def on_interrupt(uc, number, data):  # type: ignore[no-untyped-def]
        seen.append(number)
        uc.emu_stop()

    bare.uc.hook_add(unicorn.UC_HOOK_INTR, on_interrupt)
    bare.uc.mem_write(FRAME, bytes.fromhex("31c9 f7f1"))  # xor ecx, ecx; div ecx
    bare.run()
    bare.run()
    assert seen == [0, 8]


def test_stop_takes_effect_inside_an_instruction(bare: Bare) -> None:
    """So the engine turns that off (UserCpu.open): what has been stored is stored again when the run goes on."""
    bare.uc.mem_write(FRAME, bytes.fromhex("ff042500200000 0f05"))  # inc dword [0x2000]; syscall
    bare.pages[0x2000] = (FRAME + 0x2000, unicorn.UC_PROT_READ)
    bare.on_write = lambda: bare.uc.emu_stop()
    bare.run()
    assert bare.uc.reg_read(x86.UC_X86_REG_RIP) == CODE  # not yet done, it says
    assert bare.uc.mem_read(FRAME + 0x2000, 4) == (1).to_bytes(4, "little")  # but it is
    bare.run()
    assert bare.uc.mem_read(FRAME + 0x2000, 4) == (2).to_bytes(4, "little")
