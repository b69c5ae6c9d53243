"""Several threads at once, for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable


def together(*work: Callable[[], object], patience: float = 60) -> None:
    """Run all of them at once; the first error comes out. patience: seconds that each may take to end."""
    errors: list[BaseException] = []
    gate = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> None:
        try:
            gate.wait(30)
            one()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(one,), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience)
        assert not thread.is_alive(), "a thread waits for ever"
    if errors:
        raise errors[0]
