"""Workers of a Dask cluster, by its client: the snapshot goes to each once, as a plugin, which new workers get too.
Which worker takes an item is Dask's affair; an item whose worker is lost comes back here, and is handed out again.

Needs Dask: pip install 'axptr[dask]'.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import Future

from distributed import WorkerPlugin

from .worker import call, file_of, forget, place_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .worker import Function


class SnapshotPlugin(WorkerPlugin):  # type: ignore[misc,unused-ignore]
    """Has the snapshot of a pool on each worker."""

    def __init__(self, key: str, data: bytes) -> None:
        self.name = f"axptr-{key}"
        self._key = key
        self._data = data

    def setup(self, worker: Any) -> None:
        file_of(self._key, self._data)

    def teardown(self, worker: Any) -> None:
        forget(self._key)


def _call(key: str, function: Function, item: Any) -> Any:
    return call(place_of(key), function, item)


class DaskWorker:
    """A place for one item at a time in a cluster."""

    depth = 4
    in_order = False

    def __init__(self, number: int, key: str, client: Any) -> None:
        self.name = f"place {number}"
        self._key = key
        self._client = client

    def submit(self, function: Function, item: Any) -> Future[Any]:
        theirs = self._client.submit(_call, self._key, function, item, pure=False)
        ours: Future[Any] = Future()

        def done(future: Any) -> None:
            error = future.exception() if future.status == "error" else None
            if error is not None:
                ours.set_exception(error)
            elif future.status == "finished":
                ours.set_result(future.result())
            else:  # cancelled, or forgotten with its worker
                ours.set_exception(ConnectionError(f"the item is {future.status}"))

        theirs.add_done_callback(done)
        return ours

    def lost(self, error: BaseException) -> bool:
        from distributed import KilledWorker

        return isinstance(error, (KilledWorker, ConnectionError))

    def renew(self) -> None:
        pass

    def close(self) -> None:
        """The plugin, which all places have in common, goes with the first: each worker's file with it."""
        with contextlib.suppress(Exception):  # it has gone already, or the cluster has
            self._client.unregister_worker_plugin(f"axptr-{self._key}")
