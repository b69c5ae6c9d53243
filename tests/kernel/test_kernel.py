"""Registration, dispatch and the run loop, with guests of a few bytes on the real engine."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from ctypes import c_char, c_int, c_size_t

import pytest

from axptr._core.phys.phys import PhysMemory
from axptr._core.pointers.pointer import UserConstPtr
from axptr.errors import LinuxError, UserFault
from axptr.flags import MappingFlags
from axptr.kernel import Kernel, Task
from axptr.mm.space import AddrSpace

pytest.importorskip("unicorn", reason="the engine needs the Unicorn library")
from axptr.engine import UnicornEngine

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
CODE, DATA = 0x40_0000, 0x60_0000
EXIT = 60


def call(nr: int, a0: int = 0, a1: int = 0, a2: int = 0) -> bytes:
    """mov eax, nr; movabs rdi, a0; movabs rsi, a1; movabs rdx, a2; syscall"""
    return (
        b"\xb8" + nr.to_bytes(4, "little")
        + b"\x48\xbf" + (a0 % (1 << 64)).to_bytes(8, "little")
        + b"\x48\xbe" + (a1 % (1 << 64)).to_bytes(8, "little")
        + b"\x48\xba" + (a2 % (1 << 64)).to_bytes(8, "little")
        + b"\x0f\x05"
    )  # fmt: skip


class Machine:
    def __init__(self) -> None:
        self.phys = PhysMemory(1 << 30)
        self.space = AddrSpace(0x1000, 1 << 40, self.phys)
        self.space.map_alloc(CODE, 0x1000, R | X)
        self.space.map_alloc(DATA, 0x2000, R | W)
        self.engine = UnicornEngine(self.phys)
        self.task = Task(self.space)
        self.kernel = Kernel()

        @self.kernel.syscall(EXIT, "exit")
        def sys_exit(task: Task, code: c_int) -> int | None:
            task.engine.stop()
            return None

    def run(self, code: bytes, **options: float):
        self.space.write(CODE, code + call(EXIT))
        self.engine.regs.rip = CODE
        return self.kernel.run(self.task, self.engine, **options)

    def result(self, *args: int) -> int:
        """rax after one call, signed."""
        self.run(call(*args) + b"\x48\x89\xc3")  # mov rbx, rax
        rbx = self.engine.regs.rbx
        return rbx - (1 << 64) if rbx >> 63 else rbx


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine()
    yield made
    made.space.clear()
    assert made.phys.data_frames == 0


def test_a_handler_gets_converted_arguments_and_its_result_reaches_the_program(machine):
    seen = []

    @machine.kernel.syscall(1, "write")
    def sys_write(task: Task, fd: c_int, buf: UserConstPtr[c_char], count: c_size_t) -> int:
        seen.append((task, fd, buf.read_slice(task, count)))
        return count

    machine.space.write(DATA, b"hello")
    assert machine.result(1, -1, DATA, 5) == 5
    assert seen == [(machine.task, -1, b"hello")]


def test_a_linux_error_becomes_minus_errno(machine):
    @machine.kernel.syscall(2, "open")
    def sys_open(task: Task) -> int:
        raise LinuxError(errno.ENOENT)

    assert machine.result(2) == -errno.ENOENT


def test_a_fault_of_a_pointer_is_efault(machine):
    @machine.kernel.syscall(1, "write")
    def sys_write(task: Task, buf: UserConstPtr[c_char], count: c_size_t) -> int:
        return len(buf.read_slice(task, count))

    assert machine.result(1, DATA + 0x2000, 1) == -errno.EFAULT
    assert machine.result(1, DATA + 0x1FFF, 2) == -errno.EFAULT
    assert machine.result(1, DATA, (1 << 64) - 1) == -errno.EFAULT


def test_another_exception_stops_the_run_and_comes_out(machine):
    @machine.kernel.syscall(3, "broken")
    def sys_broken(task: Task) -> int:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        machine.run(call(3))


def test_an_os_error_that_is_no_linux_error_is_a_bug_too(machine):
    @machine.kernel.syscall(3, "broken")
    def sys_broken(task: Task) -> int:
        raise FileNotFoundError(errno.ENOENT, "the host's")

    with pytest.raises(FileNotFoundError):
        machine.run(call(3))


def test_an_unknown_call_gives_enosys_and_is_counted(machine):
    assert machine.result(4711) == -errno.ENOSYS
    assert machine.result(4711) == -errno.ENOSYS
    assert machine.kernel.unknown == {4711: 2}


def test_the_number_is_the_low_half_of_the_register(machine):
    @machine.kernel.syscall(9, "nine")
    def sys_nine(task: Task) -> int:
        return 99

    code = b"\x48\xb8" + (0xABCD_0000_0009).to_bytes(8, "little") + b"\x0f\x05\x48\x89\xc3"
    machine.run(code)
    assert machine.engine.regs.rbx == 99


def test_none_leaves_the_registers_as_the_handler_set_them(machine):
    @machine.kernel.syscall(5, "set")
    def sys_set(task: Task) -> int | None:
        task.engine.regs.rax = 0x1234
        return None

    assert machine.result(5) == 0x1234


def test_registering_again_replaces_the_handler(machine):
    for answer in (1, 2):

        @machine.kernel.syscall(7, "again")
        def sys_again(task: Task, answer: int = answer) -> int:
            return 0

        machine.kernel.syscall(7, "again")(_always(answer))
        assert machine.result(7) == answer


def _always(answer: int):
    def handler(task: Task) -> int:
        return answer

    return handler


def test_the_observer_sees_calls_arguments_and_outcomes(machine):
    seen = []
    machine.kernel.on_call = lambda task, syscall, args, result: seen.append((syscall.name, args, result))

    @machine.kernel.syscall(1, "write")
    def sys_write(task: Task, fd: c_int, buf: UserConstPtr[c_char], count: c_size_t) -> int:
        if fd < 0:
            raise LinuxError(errno.EBADF)
        return len(buf.read_slice(task, count))

    machine.run(call(1, 1, DATA, 3) + call(1, -1, DATA, 3) + call(1, 1, 0, 3) + call(99, 5))
    (name, args, result), bad, fault, unknown, end = seen
    assert (name, args, result) == ("write", (1, UserConstPtr[c_char](DATA), 3), 3)
    assert bad[2].errno == errno.EBADF
    assert isinstance(fault[2], UserFault)
    assert fault[2].address == 0
    assert unknown[0] == "syscall_99"
    assert unknown[1][0] == 5
    assert unknown[2].errno == errno.ENOSYS
    assert end == ("exit", (0,), None)
    assert machine.kernel.unknown == {99: 1}


def test_calls_are_counted_when_asked(machine):
    machine.run(call(50) * 3)
    assert machine.kernel.calls == {}
    machine.kernel.count_calls = True
    machine.run(call(50) * 3)
    assert machine.kernel.calls == {"syscall_50": 3, "exit": 1}


def test_a_fault_ends_the_run_unless_the_task_handles_it(machine):
    exit = machine.run(b"\x48\x8b\x04\x25\x00\x00\x00\x10")  # mov rax, [0x10000000]
    assert (exit.kind, exit.address) == ("fault", 0x1000_0000)

    class Patient(Task):
        def on_exit(self, exit):
            if exit.kind == "fault":
                self.space.map_alloc(exit.address & ~0xFFF, 0x1000, R | W)
                return True
            return False

    machine.task = Patient(machine.space)
    assert machine.run(b"\x48\x8b\x04\x25\x00\x00\x00\x10").kind == "stopped"


def test_a_timeout_ends_an_endless_loop_and_the_task_can_be_run_on(machine):
    exit = machine.run(b"\xeb\xfe", timeout=0.05)
    assert exit.kind == "timeout"
    machine.space.write(CODE, b"\x90\x90" + call(EXIT))
    assert machine.kernel.run(machine.task, machine.engine).kind == "stopped"


@pytest.mark.parametrize(
    ("nr", "error"), [(-1, ValueError), (1 << 32, ValueError), ("1", TypeError), (True, TypeError)]
)
def test_a_number_that_is_none_is_refused(nr, error):
    with pytest.raises(error):
        Kernel().syscall(nr, "x")


def test_a_bad_signature_is_refused_when_it_is_registered():
    kernel = Kernel()
    with pytest.raises(TypeError, match="needs an annotation"):
        kernel.syscall(1, "x")(lambda task, fd: 0)
    assert not kernel.syscalls
