"""Workers that are Ray actors: each holds the snapshot, which is put into Ray's object store once. On each node it
becomes a file in memory that all actors there map. Ray places the actors; one that is lost is started anew.

Needs Ray: pip install 'axptr[ray]'.
"""

from __future__ import annotations

import contextlib

from .worker import call, file_of, forget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any

    from .worker import Function


class _Holder:
    """The actor."""

    def __init__(self, key: str, data: Any) -> None:
        self._key = key
        self._path = file_of(key, memoryview(data))

    def forget(self) -> None:
        forget(self._key)

    def call(self, function: Function, item: Any) -> Any:
        return call(self._path, function, item)


class RayWorker:
    """One actor. stored: the reference of the snapshot's bytes."""

    depth = 16
    in_order = True

    def __init__(self, number: int, key: str, stored: Any) -> None:
        import ray

        self.name = f"actor {number}"
        self._made = ray.remote(num_cpus=1)(_Holder), key, stored
        self._actor: Any = None

    def submit(self, function: Function, item: Any) -> Future[Any]:
        if self._actor is None:
            made, key, stored = self._made
            self._actor = made.remote(key, stored)
        future: Future[Any] = self._actor.call.remote(function, item).future()
        return future

    def lost(self, error: BaseException) -> bool:
        from ray.exceptions import RayActorError, WorkerCrashedError

        return isinstance(error, (RayActorError, WorkerCrashedError))

    def renew(self) -> None:
        self._actor = None

    def close(self) -> None:
        import ray

        if self._actor is not None:
            with contextlib.suppress(Exception):  # it may be gone; what it has on its node is its file
                ray.get(self._actor.forget.remote(), timeout=10)
            ray.kill(self._actor)
            self._actor = None


def workers(count: int | None, key: str, data: bytes) -> list[RayWorker]:
    """As many as asked for, or as the cluster has CPUs. Ray is started here if it was not."""
    import numpy as np
    import ray

    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    stored = ray.put(np.frombuffer(data, np.uint8))  # an array is mapped by who gets it, not copied
    cpus = ray.cluster_resources()["CPU"]  # type: ignore[no-untyped-call,unused-ignore]
    return [RayWorker(number, key, stored) for number in range(count or max(1, int(cpus)))]
