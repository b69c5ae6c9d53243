"""A small framework for system calls: register handlers, run a task, answer the calls it makes.

    kernel = Kernel()

    @kernel.syscall(1, "write")
    def sys_write(task: Task, fd: c_int, buf: UserConstPtr[c_char], count: c_size_t) -> int: ...

    kernel.run(task, engine)

`kernel` holds the table and the dispatch, `task` what runs, `convert` how a register becomes an argument, `abi` the C
names for annotations. Not here: any particular kernel; `axptr.linux` is one.
"""

from .kernel import Kernel, Syscall
from .task import Task

__all__ = ["Kernel", "Syscall", "Task"]
