"""The peer: Qiling goes back to a saved state, then reads and writes some pages. Runs in Qiling's own environment.

`python qiling_restore.py ROOT SIZE PAGES`; for each line with a number n it does so n times and prints the seconds.
"""

import random
import sys
import time

from qiling import Qiling  # type: ignore[import-not-found]
from qiling.const import QL_VERBOSE  # type: ignore[import-not-found]

root, size, npages = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
BASE = 0x4000_0000
ql = Qiling([f"{root}/bin/true"], root, verbose=QL_VERBOSE.OFF)
ql.mem.map(BASE, size)
block = random.Random(20).randbytes(1 << 20)
for at in range(0, size, len(block)):
    ql.mem.write(BASE + at, block)
saved = ql.save(reg=False)
addresses = [BASE + page * 4096 for page in random.Random(20).sample(range(size // 4096), npages)]

for line in sys.stdin:
    start = time.perf_counter()
    for _ in range(int(line)):
        ql.restore(saved)
        for address in addresses:
            ql.mem.read(address, 4)
        for address in addresses:
            ql.mem.write(address, b"\1\0\0\0")
    print(time.perf_counter() - start, flush=True)
