"""Fault injection: a call made again and again, each allocation of a frame in it failing in turn, until it works."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from typing import TypeVar

from axptr import LinuxError, PhysMemory

T = TypeVar("T")


def each_failure(phys: PhysMemory, call: Callable[[], T], check: Callable[[], object]) -> tuple[int, T]:
    """How many times the call failed (with ENOMEM; `check` is called after each), and what it gave in the end."""
    for count in itertools.count():
        phys._inject_failure(count)
        failure: LinuxError | None = None
        try:
            result = call()
        except LinuxError as error:
            failure = error
        finally:
            phys._inject_failure(None)
        if failure is None:
            return count, result
        if failure.errno != errno.ENOMEM:
            raise failure
        del failure  # its traceback keeps what the call made
        check()
    raise AssertionError
