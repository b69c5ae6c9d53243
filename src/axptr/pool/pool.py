"""`Pool`: see the package."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile

from ..linux.arguments import times
from .campaign import campaign
from .table import for_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from ..linux.snapshots.snapshot import MachineSnapshot
    from .campaign import Outcome
    from .worker import Function


class Pool:
    """Workers that each hold a snapshot, and give every item a branch of it.

    snapshot: of a sandbox, or the path of a file with one.
    workers: how many; by default as many as there are CPUs (of the cluster).
    over: where: None for processes of this host; "ray"; or a `distributed.Client` of Dask. The function is the same.
    retries: how often an item is tried again whose worker was lost.
    show: draw a table of what goes on to standard error.

    The function must be one that can be pickled: of a module. With processes, the script that makes the pool is
    imported by them: what it does stands under `if __name__ == "__main__":`. One thread uses a pool.
    """

    def __init__(
        self,
        snapshot: MachineSnapshot | str | os.PathLike[str],
        workers: int | None = None,
        *,
        over: Any = None,
        retries: int = 2,
        show: bool = False,
    ) -> None:
        if workers is not None:
            times("workers", workers)
        self.retries = times("retries", retries, 0)
        self._directory: str | None = None
        self._workers: list[Any] = []
        self._closed = False
        if isinstance(snapshot, (str, os.PathLike)):
            path = os.path.abspath(os.fspath(snapshot))
        else:
            self._directory = tempfile.mkdtemp(prefix="axptr-pool-")
            path = os.path.join(self._directory, "snapshot")
            snapshot.save(path)
        try:
            self._workers = _workers(workers, over, path)
        except BaseException:
            self.close()
            raise
        self.table = for_terminal([worker.name for worker in self._workers], show)

    def outcomes(self, function: Function, items: Iterable[Any]) -> Iterator[Outcome]:
        """`function(sandbox, item)` for each item, the outcomes as they come, errors among them."""
        if self._closed:
            raise RuntimeError("this pool is closed")
        try:
            yield from campaign(self._workers, function, items, self.retries, self.table.note)
        finally:
            self.table.draw()

    def map(self, function: Function, items: Iterable[Any]) -> Iterator[Any]:
        """The values in the order of the items. Raises the first error in that order, at its place."""
        waiting: dict[int, Outcome] = {}
        following = 0
        for outcome in self.outcomes(function, items):
            waiting[outcome.index] = outcome
            while following in waiting:
                yield waiting.pop(following).result()
                following += 1

    def close(self) -> None:
        """End the workers. Idempotent."""
        self._closed = True
        for worker in self._workers:
            worker.close()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _workers(count: int | None, over: Any, path: str) -> list[Any]:
    if over is None or over == "processes":
        from .processes import ProcessWorker

        return [ProcessWorker(number, path) for number in range(count or len(os.sched_getaffinity(0)))]
    with open(path, "rb") as file:
        data = file.read()
    key = secrets.token_hex(12)
    if over == "ray":
        from . import onray

        return list(onray.workers(count, key, data))
    if hasattr(over, "register_plugin") and hasattr(over, "submit"):
        from .ondask import DaskWorker, SnapshotPlugin

        over.register_plugin(SnapshotPlugin(key, data))
        count = count or sum(over.nthreads().values())
        return [DaskWorker(number, key, over) for number in range(count)]
    raise TypeError(f"want None, 'ray' or a client of Dask, not {type(over).__name__}")
