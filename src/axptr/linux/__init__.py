"""The Linux personality: x86-64 programs, one process, one thread.

`create_process(...)` loads a program, `Process.run()` runs it; see `api`. The rest of the package is one file
for each family of system calls. Not here: threads, fork, other machines.
"""

from .api import (
    Death,
    Process,
    ProgramError,
    Result,
    create_process,
)

__all__ = ["Death", "Process", "ProgramError", "Result", "create_process"]
