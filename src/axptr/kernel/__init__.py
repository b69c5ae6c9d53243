"""A small framework for system calls: register handlers, run tasks, answer the calls they make.

    kernel = Kernel()

    @kernel.syscall(1, "write")
    def sys_write(task: Task, fd: c_int, buf: UserConstPtr[c_char], count: c_size_t) -> int: ...

    kernel.run(task, engine)

The verbs of a kernel of several tasks: `task.fork()`, `task.block(...)`, `queue.wake(...)`, `task.loop.switch()`.

`kernel` holds the table and the dispatch, `task` what runs, `run` the loop that shares the CPU out, `wait`, `timers`
and `hostpoll` what tasks wait for, `convert` how a register becomes an argument, `abi` the C names for annotations.
Not here: any particular kernel; `axptr.linux` is one.
"""

from .kernel import Kernel, Syscall
from .run import RunLoop, WorkClock
from .task import Task
from .wait import Waitable, WaitQueue

__all__ = ["Kernel", "RunLoop", "Syscall", "Task", "WaitQueue", "Waitable", "WorkClock"]
