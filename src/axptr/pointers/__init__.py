"""The verbs of user memory in Python: checks, providers, walking, texts, copies, searches, streams. The pointers
themselves are compiled (`_core.pointers`), and load what they need of these when they need it: few programs do."""

from __future__ import annotations

_OF_POINTERS = frozenset(("check", "fields", "values", "walking"))


def __getattr__(name: str) -> object:
    if name in _OF_POINTERS:
        return __import__(f"{__name__}.{name}", fromlist=[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
