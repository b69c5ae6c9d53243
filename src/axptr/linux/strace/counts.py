"""A trace as a table, in the form of `strace -c`: calls by name, how many, how many failed, how long they took.

The seconds are of the clock that the machine has (as with `strace -c -w`), waits included: a CPU's system time, which
strace sums up without `-w`, belongs to no single call here.
"""

from __future__ import annotations

from .watch import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..task.task import LinuxTask
    from .watch import Made


class Counts(Listener):
    """Counts until `finish`."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._counted: dict[str, list[float]] = {}  # calls, errors, seconds

    def executed(self, task: LinuxTask, argv: list[bytes], variables: int, path: bytes) -> None:
        self._add("execve", 0.0, failed=False)

    def ended(self, made: Made) -> None:
        self._add(made.name, made.seconds, failed=made.error is not None)

    def _add(self, name: str, seconds: float, *, failed: bool) -> None:
        counted = self._counted.setdefault(name, [0, 0, 0.0])
        counted[0] += 1
        counted[1] += failed
        counted[2] += seconds

    def finish(self) -> None:
        """Write the table."""
        rows = sorted(self._counted.items(), key=lambda item: (-item[1][2], item[0]))
        calls, errors, seconds = (sum(counted[place] for _, counted in rows) for place in range(3))
        rule = "------ ----------- ----------- --------- --------- ----------------\n"
        text = f"{'% time':>6} {'seconds':>11} {'usecs/call':>11} {'calls':>9} {'errors':>9} syscall\n{rule}"
        for name, (made, failed, spent) in rows:
            text += _row(100 * spent / seconds if seconds else 0.0, spent, made, failed, name)
        self._write(text + rule + _row(100.0, seconds, calls, errors, "total"))


def _row(share: float, seconds: float, calls: float, errors: float, name: str) -> str:
    each = int(seconds * 1e6 / calls) if calls else 0
    failed = str(int(errors)) if errors else ""
    return f"{share:6.2f} {seconds:11.6f} {each:11} {int(calls):9} {failed:>9} {name}\n"
