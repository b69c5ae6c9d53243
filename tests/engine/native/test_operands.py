"""Which bytes an instruction touches, told from its own bytes (`engine.operands`), against the host's CPU.

An operand that ends right before a hole is no fault, one byte on it is; a page that may not be written refuses stores.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from axptr.engine import NativeEngine
from axptr.engine.operands import accesses
from axptr.flags import MappingFlags

from ..conftest import CODE, DATA, PAGE, STACK_TOP, Machine, R, W

HOLE = DATA + 16 * PAGE
GENERAL = """
mov rax,[rdi]; mov eax,[rdi]; mov ax,[rdi]; mov al,[rdi]; mov [rdi],rax; mov [rdi],ax; mov [rdi],al;
mov byte ptr [rdi],5; mov dword ptr [rdi],5; mov word ptr [rdi],5; mov qword ptr [rdi],5; add [rdi],rax;
add al,[rdi]; adc [rdi],ax; cmp [rdi],rax; cmp dword ptr [rdi],3; test [rdi],al; test qword ptr [rdi],3;
xchg [rdi],eax; lock xadd [rdi],rax; lock cmpxchg [rdi],cx; not qword ptr [rdi]; neg byte ptr [rdi];
inc word ptr [rdi]; dec qword ptr [rdi]; mul dword ptr [rdi]; imul rax,[rdi]; imul ax,[rdi],7;
shl dword ptr [rdi],3; rol byte ptr [rdi],cl; shld [rdi],rax,4; movzx eax,byte ptr [rdi]; movsx rax,word ptr [rdi];
movsxd rax,dword ptr [rdi]; cmovne rax,[rdi]; setne [rdi]; bt dword ptr [rdi],3; bts qword ptr [rdi],3;
bsf rax,[rdi]; popcnt rax,[rdi]; tzcnt ax,[rdi]; push qword ptr [rdi]; pop qword ptr [rdi]; mov ax,ds;
mov [rdi],ds; movbe eax,[rdi]; movbe [rdi],rax; crc32 eax,byte ptr [rdi]; crc32 rax,qword ptr [rdi]; xlatb;
movnti [rdi],rax; cmpxchg8b [rdi]; lods rax,qword ptr [rsi]; stos word ptr [rdi],ax; scas al,byte ptr [rdi];
fld dword ptr [rdi]; fld qword ptr [rdi]; fld tbyte ptr [rdi]; fst dword ptr [rdi]; fstp qword ptr [rdi];
fstp tbyte ptr [rdi]; fild word ptr [rdi]; fild dword ptr [rdi]; fild qword ptr [rdi]; fistp word ptr [rdi];
fistp qword ptr [rdi]; fnstcw [rdi]; fnstsw [rdi]; fnstenv [rdi]; fnsave [rdi]; fbstp [rdi]; fadd qword ptr [rdi];
ldmxcsr [rdi]; stmxcsr [rdi]; bt [rdi],eax
"""
VECTORS = """
movups xmm0,[rdi]; movupd [rdi],xmm0; movss xmm0,[rdi]; movss [rdi],xmm0; movsd xmm0,[rdi]; movsd [rdi],xmm0;
movq xmm0,[rdi]; movq [rdi],xmm0; movd xmm0,[rdi]; movd [rdi],xmm0; movq mm0,[rdi]; movq [rdi],mm0;
movlps xmm0,[rdi]; movhps [rdi],xmm0; movddup xmm0,[rdi]; cvtsi2sd xmm0,dword ptr [rdi];
cvtsi2ss xmm0,qword ptr [rdi]; cvttss2si eax,[rdi]; cvtsd2si rax,[rdi]; ucomisd xmm0,[rdi]; comiss xmm0,[rdi];
sqrtss xmm0,[rdi]; addsd xmm0,[rdi]; cvtps2pd xmm0,[rdi]; cvtss2sd xmm0,[rdi]; cvtdq2pd xmm0,[rdi];
cmpss xmm0,[rdi],0; lddqu xmm0,[rdi]; movdqu xmm0,[rdi]; movdqu [rdi],xmm0; punpcklbw mm0,[rdi]; paddb mm0,[rdi];
pinsrw xmm0,[rdi],1; pinsrb xmm0,[rdi],1; pinsrd xmm0,[rdi],1; pinsrq xmm0,[rdi],1; pextrb [rdi],xmm0,1;
pextrw [rdi],xmm0,1; pextrd [rdi],xmm0,1; pextrq [rdi],xmm0,1; extractps [rdi],xmm0,1; insertps xmm0,[rdi],0;
pmovsxbw xmm0,[rdi]; pmovzxbd xmm0,[rdi]; pmovzxbq xmm0,[rdi]; roundss xmm0,[rdi],0; roundsd xmm0,[rdi],0;
pcmpistri xmm0,[rdi],0; vmovups xmm0,[rdi]; vmovups ymm0,[rdi]; vmovups [rdi],ymm0; vmovss xmm0,[rdi];
vmovsd [rdi],xmm0; vaddps ymm0,ymm1,[rdi]; vaddss xmm0,xmm1,[rdi]; vpaddb ymm0,ymm1,[rdi]; vpbroadcastb ymm0,[rdi];
vpbroadcastd ymm0,[rdi]; vbroadcastss ymm0,[rdi]; vbroadcastsd ymm0,[rdi]; vbroadcastf128 ymm0,[rdi];
vinsertf128 ymm0,ymm1,[rdi],1; vextractf128 [rdi],ymm0,1; vcvtps2pd ymm0,[rdi]; vcvtph2ps ymm0,[rdi];
vcvtps2ph [rdi],ymm0,0; vfmadd231ss xmm0,xmm1,[rdi]; vfmadd231pd ymm0,ymm1,[rdi]; vfmadd213sd xmm0,xmm1,[rdi];
vmovq xmm0,[rdi]; vmovd [rdi],xmm0; vmovdqu [rdi+r8],ymm9; vpmovzxbw ymm0,[rdi]; vpmovsxbq ymm0,[rdi];
vmovddup ymm0,[rdi]; vmovddup xmm0,[rdi]; vpextrw [rdi],xmm0,1; andn rax,rbx,[rdi]; bextr eax,[rdi],ebx;
shlx rax,[rdi],rbx; rorx rax,[rdi],3; pdep rax,rbx,[rdi]; mulx rax,rbx,[rdi]; vpextrq [rdi],xmm0,1;
vpinsrb xmm0,xmm1,[rdi],1; vlddqu ymm0,[rdi]; vcmpsd xmm0,xmm1,[rdi],3
"""
LINES = [line.strip() for line in (GENERAL + VECTORS).replace("\n", ";").split(";") if line.strip()]


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Each by itself, told apart by a mark of sixteen bytes."""
    if shutil.which("as") is None or shutil.which("objcopy") is None:
        pytest.skip("needs an assembler")
    where: Path = tmp_path_factory.mktemp("operands")
    mark = b"\xf4" * 16
    rows = ".byte " + ",".join(["0xf4"] * 16) + "\n"
    (where / "all.s").write_text(".intel_syntax noprefix\n" + "".join(f"{line}\n{rows}" for line in LINES))
    subprocess.run(["as", "-o", where / "all.o", where / "all.s"], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", where / "all.o", where / "all.bin"], check=True)
    pieces = (where / "all.bin").read_bytes().split(mark)[: len(LINES)]
    return dict(zip(LINES, pieces, strict=True))


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    made = Machine(NativeEngine)
    yield made
    made.space.clear()
    made.engine.close()


def outcome(machine: Machine, code: bytes, at: int) -> tuple[str, int | None, MappingFlags | None]:
    machine.load((code + b"\xf4").hex())  # hlt: exception 13 behind it
    machine.engine.reset()
    regs = machine.engine.regs
    regs.rip, regs.rsp = CODE, STACK_TOP - 64
    regs.rdi = regs.rsi = regs.rbx = at
    exit = machine.engine.run(timeout=20, step=True)
    return exit.kind, exit.address, exit.access


@pytest.mark.parametrize("line", LINES)
def test_the_bytes_of_an_operand_are_those_that_the_cpu_touches(
    machine: Machine, assembled: dict[str, bytes], line: str
) -> None:
    code = assembled[line]
    machine.engine.reset()
    machine.engine.regs.rdi = machine.engine.regs.rsi = machine.engine.regs.rbx = DATA
    machine.engine.regs.rsp = STACK_TOP - 64
    found = [a for a in accesses(code, CODE, machine.engine.reg_read) if DATA <= a.address < HOLE]
    if line == "mov ax,ds":
        assert found == []
        return
    assert len(found) == 1
    (touched,) = found
    assert touched.address == DATA
    machine.space.write(HOLE - 512, bytes(512))
    kind, address, _ = outcome(machine, code, HOLE - touched.size)
    if (kind, machine.engine.regs.rip) == ("exception", CODE):
        pytest.skip("the CPU lacks it, or refuses it to programs")
    assert kind == "step", (kind, address)
    kind, address, _ = outcome(machine, code, HOLE - touched.size + 1)
    assert (kind, address) == ("fault", HOLE)
    machine.space.protect(DATA, PAGE, R)
    kind, _, access = outcome(machine, code, DATA)
    machine.space.protect(DATA, PAGE, R | W)
    assert (kind == "fault" and access == MappingFlags.WRITE) == touched.writes
    assert touched.reads or touched.writes
