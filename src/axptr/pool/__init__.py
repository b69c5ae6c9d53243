"""The same function over many branches of one sandbox, in several processes: `Pool`.

    def grade(sandbox, submission):
        sandbox.files.write("answer.py", submission)
        return sandbox.run("python3 answer.py").text

    with Pool(snapshot) as pool:
        for outcome in pool.outcomes(grade, submissions):
            print(outcome.item, outcome.value)

`pool` has `Pool`; `campaign` hands out items and takes back what was lost; `worker` is what happens in a worker;
`processes`, `onray` and `ondask` are where workers live; `table` shows how it goes. Nothing here schedules: a worker
that is free gets the next item, and Ray and Dask place workers themselves.
"""

from __future__ import annotations

from ..named import later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .campaign import Outcome, WorkerLost
    from .pool import Pool

_LATER = {"Outcome": "campaign", "Pool": "pool", "WorkerLost": "campaign"}
__all__ = ["Outcome", "Pool", "WorkerLost"]

__getattr__, __dir__ = later(__name__, _LATER)
