"""Workers that are processes of this host: each a `concurrent.futures` executor of one process, so that a process
which is killed takes one item with it, and it is known which.

They are started anew and not forked: a fork of a process that has a memory of axptr's could not use it. So the script
that makes a pool is imported by them, as with `multiprocessing`: what it does stands under
`if __name__ == "__main__":`.
"""

from __future__ import annotations

import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from .worker import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any

    from .worker import Function


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever made the pool, who then closes it


class ProcessWorker:
    """One process, by the name of "process N"."""

    depth = 16
    in_order = True

    def __init__(self, number: int, path: str) -> None:
        self.name = f"process {number}"
        self._path = path
        self._executor: ProcessPoolExecutor | None = None

    def submit(self, function: Function, item: Any) -> Future[Any]:
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(1, context, _begin)
        return self._executor.submit(call, self._path, function, item)

    def lost(self, error: BaseException) -> bool:
        return isinstance(error, BrokenProcessPool)

    def renew(self) -> None:
        self.close()

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None
