"""A kernel of three dozen lines: two system calls, and a guest that uses them rightly, then wrongly.

    python examples/tiny_kernel.py

The guest asks for a message to be written, then passes a pointer to nowhere: the kernel does not crash, the guest gets
EFAULT, and ends with that number (14).
"""

import sys
from ctypes import c_char

from axptr import AddrSpace, Kernel, MappingFlags, Task, UnicornEngine, UserConstPtr
from axptr.kernel.abi import c_int, c_size_t

R, X = MappingFlags.READ, MappingFlags.EXECUTE
GUEST = """
    b8 01 00 00 00        mov eax, 1              write(
    bf 01 00 00 00        mov edi, 1              1,
    48 8d 35 1e 00 00 00  lea rsi, [rip + 0x1e]   message,
    ba 12 00 00 00        mov edx, 18             18)
    0f 05                 syscall
    b8 01 00 00 00        mov eax, 1              write(1,
    be 00 d0 ea 0d        mov esi, 0xdead000      nowhere, 18)
    0f 05                 syscall
    89 c7                 mov edi, eax            exit(
    f7 df                 neg edi                 -result)
    b8 3c 00 00 00        mov eax, 60
    0f 05                 syscall
"""
code = b"".join(bytes.fromhex(line[:25]) for line in GUEST.splitlines()) + b"hello from ring 3\n"

kernel = Kernel()
ended: list[int] = []


@kernel.syscall(1, "write")
def sys_write(task: Task, fd: c_int, buf: UserConstPtr[c_char], count: c_size_t) -> int:
    return sys.stdout.write(buf.read_slice(task, count).decode())  # a bad `buf` raises UserFault: -EFAULT


@kernel.syscall(60, "exit")
def sys_exit(task: Task, code: c_int) -> int:
    ended.append(code)
    task.engine.stop()
    return 0


space = AddrSpace(0x1000, 1 << 32)
space.map_alloc(0x400000, 0x1000, R | X)
space.write(0x400000, code)
engine = UnicornEngine(space.phys)
engine.regs.rip = 0x400000
print(kernel.run(Task(space), engine))
print(f"the guest ended with {ended[0]}")
