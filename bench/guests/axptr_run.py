"""Our side: the same static program under the Linux personality, as `axptr run` runs it.

`python axptr_run.py PROGRAM` prints the guest's output to stdout and, as the last line of stderr, the seconds
that the run took; loading and importing are not in them, as they are not in `bare_unicorn.py`'s.
"""

from __future__ import annotations

import sys

from axptr.linux.api import create_process

with create_process(sys.argv[1], env=()) as process:
    result = process.run()
    print(result.wall, file=sys.stderr)
    if result.status:
        sys.exit(result.status)
