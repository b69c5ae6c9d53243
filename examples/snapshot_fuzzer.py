"""A fuzzer of a few lines: run, look which pages were written, go back to the snapshot, try the next input.

    python examples/snapshot_fuzzer.py

The guest compares its input with a secret, byte by byte, and writes to a page of its own for each byte that was right;
when all are, it has a bug. Dirty pages are the feedback: an input that dirties one page more is one step further.
`restore` costs what the guest changed, however large the space is: here it holds 16 MiB besides.
"""

import time

from axptr import PAGE_SIZE, AddrSpace, MappingFlags, UnicornEngine

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
CODE, INPUT, STEPS, BALLAST = 0x40_0000, 0x50_0000, 0x60_0000, 0x1000_0000
SECRET = b"fuzzer!?"
GUEST = """
    48 8d 1d 22 00 00 00     lea rbx, [rip + 0x22]  secret
    31 c9                    xor ecx, ecx
    8a 04 0f                 mov al, [rdi + rcx]    the next byte of the input
    3a 04 0b                 cmp al, [rbx + rcx]
    75 17                    jne reject
    88 06                    mov [rsi], al          right: a page more is dirty
    48 81 c6 00 10 00 00     add rsi, 0x1000
    ff c1                    inc ecx
    83 f9 08                 cmp ecx, 8
    75 e8                    jne the next byte
    88 04 25 00 00 00 00     mov [0], al            the bug
    cc                       reject: int3
"""
code = b"".join(bytes.fromhex(line[4:28]) for line in GUEST.splitlines()) + SECRET

space = AddrSpace(0x1000, 1 << 32)
space.map_alloc(CODE, PAGE_SIZE, R | X, name="code")
space.map_alloc(INPUT, PAGE_SIZE, R | W, name="input")
space.map_alloc(STEPS, len(SECRET) * PAGE_SIZE, R | W, name="steps")
space.map_alloc(BALLAST, 16 << 20, R | W, populate=True, name="ballast")
space.write(CODE, code)

engine = UnicornEngine(space.phys)
engine.attach(space)
engine.on_syscall(lambda *registers: 0)
engine.regs.rip, engine.regs.rdi, engine.regs.rsi = CODE, INPUT, STEPS
start = engine.save()  # registers, as `snapshot` is the memory
space.dirty_pages(clear=True)
snapshot = space.snapshot()

best, reached, runs = bytearray(len(SECRET)), 0, 0
began = time.perf_counter()
crash = None
while crash is None:
    trial = best.copy()
    trial[reached] = (runs * 167 + 13) % 256  # any way to try each byte once
    space.restore(snapshot)
    engine.restore(start)
    space.write(INPUT, trial)
    end = engine.run()
    runs += 1
    dirty = [page for page in space.dirty_pages() if page >= STEPS]
    if len(dirty) > reached:
        best, reached = trial, len(dirty)
        print(f"{reached} of {len(SECRET)}: {bytes(best[:reached])!r}")
    if end.kind == "fault":
        crash = end

took = time.perf_counter() - began
print(f"input {bytes(best)!r}: {crash.fault}")
print(f"{runs} runs, {took / runs * 1e6:.0f} us each")
