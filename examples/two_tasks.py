"""A kernel of two tasks and a pipe: fork, block, wake and switch, in the framework alone.

    python examples/two_tasks.py

The guest forks. The child writes a line into a pipe that holds eight bytes, the parent reads what comes and prints it:
each waits for the other, over and over, on one CPU. No handler waits: a call that would leaves its task blocked and
says how it goes on, in plain data; the loop does the rest.
"""

import sys

from axptr import AddrSpace, Kernel, MappingFlags, Task, UnicornEngine
from axptr.kernel import WaitQueue
from axptr.kernel.abi import c_size_t, c_void_p

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
GUEST = """
    b8 39 00 00 00        mov eax, 57             fork()
    0f 05                 syscall
    85 c0                 test eax, eax
    74 1d                 jz child
    31 c0                 again: xor eax, eax     read(buffer,
    bf 00 00 60 00        mov edi, 0x600000
    be 40 00 00 00        mov esi, 64             64)
    0f 05                 syscall
    85 c0                 test eax, eax
    74 1e                 jz done
    89 c6                 mov esi, eax            print(buffer, what was read)
    b8 02 00 00 00        mov eax, 2
    0f 05                 syscall
    eb e3                 jmp again
    b8 01 00 00 00        child: mov eax, 1       write(message,
    48 8d 3d 0e 00 00 00  lea rdi, [rip + 14]
    be 2f 00 00 00        mov esi, 47             47)
    0f 05                 syscall
    b8 3c 00 00 00        done: mov eax, 60       exit()
    0f 05                 syscall
"""
code = b"".join(bytes.fromhex(line[:25]) for line in GUEST.splitlines())
code += b"two tasks, one CPU, and eight bytes in between\n"

CAPACITY = 8
READABLE, WRITABLE = 1, 2


class Pipe:
    """Something to wait for: what is ready, and the queue of who waits."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.writers = 0
        self.queue = WaitQueue()

    def ready(self, mask: int) -> int:
        there = (READABLE if self.data or not self.writers else 0) | (WRITABLE if len(self.data) < CAPACITY else 0)
        return there & mask


class Program(Task):
    """What this kernel keeps of a task besides its memory and registers."""

    writes = False


kernel = Kernel()
pipe = Pipe()


@kernel.syscall(57, "fork")
def sys_fork(task: Program) -> int:
    child = task.fork()  # its memory a copy-on-write twin, its registers a copy; its fork gives 0
    child.writes = True
    pipe.writers += 1
    return 2


@kernel.syscall(0, "read")
def sys_read(task: Program, address: c_void_p, count: c_size_t) -> int | None:
    return read_on(task, address, count)


def read_on(task: Program, address: int, count: int) -> int | None:
    if not pipe.ready(READABLE):
        return task.block(on=[(pipe, READABLE)], again=(read_on, (address, count)))
    taken = bytes(pipe.data[:count])
    task.space.write(address, taken)
    del pipe.data[: len(taken)]
    pipe.queue.wake(WRITABLE)
    return len(taken)


@kernel.syscall(1, "write")
def sys_write(task: Program, address: c_void_p, count: c_size_t) -> int | None:
    return write_on(task, address, count, 0)


def write_on(task: Program, address: int, count: int, done: int) -> int | None:
    room = min(CAPACITY - len(pipe.data), count - done)
    pipe.data += task.space.read(address + done, room)
    pipe.queue.wake(READABLE)
    done += room
    if done < count:  # how far it came is part of the record
        return task.block(on=[(pipe, WRITABLE)], again=(write_on, (address, count, done)))
    return done


@kernel.syscall(2, "print")
def sys_print(task: Program, address: c_void_p, count: c_size_t) -> int:
    text = task.space.read(address, count).decode()
    print(f"read {text!r}", file=sys.stdout)
    return count


@kernel.syscall(60, "exit")
def sys_exit(task: Program) -> int:
    if task.writes:
        pipe.writers -= 1
        pipe.queue.wake(READABLE)
    task.engine.stop()
    return 0


space = AddrSpace(0x1000, 1 << 32)
space.map_alloc(0x400000, 0x1000, R | X)
space.map_alloc(0x600000, 0x1000, R | W)
space.write(0x400000, code)
engine = UnicornEngine(space.phys)
engine.regs.rip = 0x400000
print(kernel.run(Program(space), engine))
