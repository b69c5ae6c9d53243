"""How results are told: a table on the terminal, line by line as they come, and a JSON file."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from .harness import TOLERANCE, Mode, Result

FORMAT = 1
"""Version of the JSON file's layout."""


class Table:
    """Prints one line a result; the columns are fixed, so that lines can come as they are measured."""

    def __init__(self, names: Iterable[str]) -> None:
        self.width = max([len("benchmark"), *(len(name) for name in names)])

    def head(self) -> str:
        line = (
            f"{'benchmark':<{self.width}} {'axptr':>9} {'peer':>9} {'ratio':>8} {'quartiles':>15} {'bar':>6}  verdict"
        )
        return f"{line}\n{'-' * len(line)}"

    def line(self, result: Result) -> str:
        if result.ratio is None:
            return f"{result.name:<{self.width}} {result.verdict}: {result.reason}"
        low, high = result.ratio_quartiles or (result.ratio, result.ratio)
        bar = "-" if result.bar is None else f"{result.bar:.3g}"
        return (
            f"{result.name:<{self.width}} {duration(result.subject_seconds):>9}"
            f" {duration(result.peer_seconds):>9} {result.ratio:>8.3f}"
            f" {f'{low:.3f}-{high:.3f}':>15} {bar:>6}  {result.verdict}"
        )


def duration(seconds: float | None) -> str:
    """`57.1 ns`, `1.32 ms`: three digits and a unit."""
    if seconds is None:
        return "-"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def summary(results: Sequence[Result]) -> str:
    """One line that counts verdicts and names what failed."""
    count = {verdict: sum(r.verdict == verdict for r in results) for verdict in ("pass", "miss", "error", "skip")}
    text = (
        f"{count['pass']} within their bars, {count['miss']} missed, {count['error']} failed, {count['skip']} skipped"
    )
    failed = [result.name for result in results if result.verdict in ("miss", "error")]
    return f"{text}: {', '.join(failed)}" if failed else text


def write_json(path: Path, results: Sequence[Result], mode: Mode) -> None:
    """Writes every result with the versions and the machine it was measured on."""
    document = {
        "format": FORMAT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "mode": "smoke" if mode.smoke else "full",
        "tolerance": TOLERANCE,
        "python": platform.python_version(),
        "machine": {
            "system": platform.platform(),
            "processors": os.cpu_count(),
            "load_average": os.getloadavg()[0],
        },
        "versions": _versions("axptr", "unicorn", "Cython"),
        "results": [dataclasses.asdict(result) for result in results],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _versions(*packages: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found
