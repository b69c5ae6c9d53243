"""The peer: a process that holds some private memory, every page touched, and forks.

`python -I -S forks.py SIZE fork|wait`; for each line with a number n it forks n times and prints the seconds that took:
of `fork` alone, until it returns here, or until the child, which ends at once, was waited for.
"""

import mmap
import os
import sys
import time

size, what = int(sys.argv[1]), sys.argv[2]
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, size, mmap.PAGESIZE):
    memory[at] = 1

for line in sys.stdin:
    total = 0.0
    for _ in range(int(line)):
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            os._exit(0)
        if what == "fork":
            total += time.perf_counter() - start
        os.waitpid(child, 0)
        if what == "wait":
            total += time.perf_counter() - start
    print(total, flush=True)
