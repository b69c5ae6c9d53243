"""What a run needs, as a rule file by which it would pass and another would not: `Learned`.

Places are noted as they are, each alone: what was read may be read, what was written may be written, what was run may
be run, and nothing else. Of /proc, where numbers of processes differ, everything may be read; in directories for all
(/tmp), where programs make up names, everything may be written. A program may make up any number of names elsewhere,
too: of each kind a hundred thousand are noted (`full`).
"""

from __future__ import annotations

import json
import os
import stat

from .rules import TO_RUN, TO_WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_MOST = 100_000


class Learned:
    """The machine's thread alone adds to it. full: whether there was more than is noted."""

    def __init__(self) -> None:
        self.full = False
        self._read: set[str] = set()
        self._written: set[str] = set()
        self._run: set[str] = set()
        self._reached: set[str] = set()

    def place(self, place: bytes, access: str, made_in: int = 0) -> None:
        """Something was read, written or run there. made_in: the mode of the directory in which it was made."""
        path = os.fsdecode(place.removesuffix(b" (deleted)"))
        if path == "/proc" or path.startswith("/proc/"):
            name = "/proc"
        elif access == TO_WRITE and made_in & stat.S_ISVTX:
            name = _quoted(os.path.dirname(path))
        else:
            name = "=" + _quoted(path)
        if access == TO_RUN:
            self._note(self._run, name)
            self._note(self._read, name)
        else:
            self._note(self._written if access == TO_WRITE else self._read, name)

    def address(self, address: str) -> None:
        self._note(self._reached, address)

    def _note(self, noted: set[str], name: str) -> None:
        if len(noted) < _MOST:
            noted.add(name)
        elif name not in noted:
            self.full = True

    def rules(self) -> dict[str, Any]:
        """As `Rules` takes them."""
        allowed = sorted(self._written)
        return {
            "paths": {"default": "deny", "allow": allowed, "readonly": sorted(self._read - self._written)},
            "commands": {"default": "deny", "allow": sorted(self._run)},
            "network": {"default": "deny", "allow": sorted(self._reached)},
        }

    def toml(self) -> str:
        """As a file."""
        lines = ["# What a run needed. A place with = before it is meant alone, another with all that is beneath it."]
        if self.full:
            lines.append(f"# More than {_MOST:,} places of a kind: the rest was not noted, and is refused.")
        for section, content in self.rules().items():
            lines.append(f"\n[{section}]")
            for key, value in content.items():
                if isinstance(value, str):
                    lines.append(f"{key} = {json.dumps(value)}")
                elif value:
                    lines += [f"{key} = [", *(f"    {json.dumps(text)}," for text in value), "]"]
        return "\n".join(lines) + "\n"

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the file: JSON if its name ends so, else TOML. `OSError`."""
        text = json.dumps(self.rules(), indent=2) + "\n" if os.fspath(file).endswith(".json") else self.toml()
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text)


def _quoted(path: str) -> str:
    """A path as a pattern: what would stand for something else stands for one character, as does what is no text."""
    return "".join("?" if c in "*?" or "\ud800" <= c <= "\udfff" else c for c in path)
