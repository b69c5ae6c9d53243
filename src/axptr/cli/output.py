"""Where the command writes what it has to say: standard error, and the file of `--output`, `--trace-json`."""

from __future__ import annotations

import os
import sys

STDERR = 2


def open_above(path: str) -> int:
    """Opens the file, truncated, above the standard streams' numbers: where one is closed, the guest's is too."""
    import fcntl

    low = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        return fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(low)


class Output:
    """Where the trace, the statistics and the areas go, unbuffered: a file tells how far a killed run came.

    One that fails takes no more; the guest's run goes on.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @property
    def terminal(self) -> bool:
        return self._descriptor is not None and os.isatty(self._descriptor)

    def write(self, text: str) -> None:
        rest = text.encode("utf-8", "surrogateescape")
        while rest and self._descriptor is not None:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except OSError as error:
                self._descriptor = None
                say(f"axptr: --output: {error.strerror}")


def say(text: str) -> None:
    """Writes to standard error, if anybody still reads that."""
    if sys.stderr is not None:
        try:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        except OSError:
            sys.stderr = None
