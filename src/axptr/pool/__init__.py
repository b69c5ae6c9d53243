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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .campaign import Outcome, WorkerLost
    from .pool import Pool

_LATER = {"Outcome": "campaign", "Pool": "pool", "WorkerLost": "campaign"}
__all__ = ["Outcome", "Pool", "WorkerLost"]


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
