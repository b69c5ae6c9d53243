"""Rules without code: a file of TOML (or JSON) that says what programs may reach. `Rules`.

    [paths]
    default = "readonly"
    allow = ["/tmp", "/home/user"]
    deny = ["/home/user/.ssh", "/**/*.key"]
    ask = ["/home/user/documents"]

    [commands]
    deny = ["/usr/bin/curl"]

    [network]
    default = "deny"
    allow = ["10.0.0.0/8:443"]

    [calls]
    deny = ["ptrace"]

A place is meant with all that is beneath it, `=/place` alone; `*` and `?` stand for anything within a name, `**` for
any number of names. Of the rules that fit, the one with the longest pattern counts, and of equally long ones the
strictest: deny, ask, readonly, allow. Where none fits, `default` does, by itself "allow".

What is compared is where a file is in the tree that programs see, when it is opened or changed, and not the path by
which it was come to. Not here: who asks (`fs.permissions`).
"""

from __future__ import annotations

import os

from ...named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Any

    from ..net.policy import Allowed

TO_READ, TO_WRITE, TO_RUN = "read", "write", "run"
_KINDS = ("deny", "ask", "readonly", "allow")
_SECTIONS = {
    "paths": _KINDS,
    "commands": ("deny", "ask", "allow"),
    "network": ("deny", "ask", "allow"),
    "calls": ("deny",),
}


class RuleError(ValueError):
    """A rule file that makes no sense, with the section and the rule."""


class Verdict(NamedTuple):
    """kind: "allow", "readonly", "ask" or "deny". rule: which says so, as `paths.deny "/x"`."""

    kind: str
    rule: str


def _quoted(text: str) -> str:
    """As rule files have it."""
    from json import dumps  # which a start would pay for

    return dumps(text)


class _Rule:
    """A pattern of a section. length: of it, by which the more exact one counts."""

    def __init__(self, section: str, kind: str, pattern: str) -> None:
        self.kind = kind
        self.name = f"{section}.{kind} {_quoted(pattern)}"
        self.alone = pattern.startswith("=")
        path = pattern[1:] if self.alone else pattern
        if not path.startswith("/"):
            raise RuleError(f"{self.name}: a place begins with a slash")
        self.path = os.fsencode(path.rstrip("/") or "/")
        self.length = len(self.path)
        self.fixed = self.path if b"*" not in self.path and b"?" not in self.path else None
        self._match = None if self.fixed is not None else _pattern(self.path, self.alone).fullmatch
        self._beneath = self.path.rstrip(b"/") + b"/"

    def fits(self, place: bytes) -> bool:
        if self._match is not None:
            return self._match(place) is not None
        return place == self.path or (not self.alone and place.startswith(self._beneath))

    def within(self, directory: bytes) -> bool:
        """Whether it may tell of something beneath a directory."""
        if self.fixed is None:
            return True
        return self.path.startswith(directory.rstrip(b"/") + b"/")


def _pattern(path: bytes, alone: bool) -> re.Pattern[bytes]:
    import re

    found = b""
    for piece in re.split(rb"(/\*\*(?=/|$)|\*|\?)", path):
        if piece == b"/**":
            found += rb"(?:/[^/]+)*"
        elif piece == b"*":
            found += rb"[^/]*"
        elif piece == b"?":
            found += rb"[^/]"
        else:
            found += re.escape(piece)
    return re.compile(found if alone else found + rb"(?:/.*)?", re.DOTALL)


class Rules:
    """The rules of a file. Never changed."""

    def __init__(self, text: dict[str, Any]) -> None:
        """text: what the file says, section by section. `RuleError`."""
        if not isinstance(text, dict):
            raise RuleError("rules are sections: paths, commands, network, calls")
        for name in text:
            if name not in _SECTIONS:
                raise RuleError(f"there is no section {name!r}: {', '.join(_SECTIONS)}")
        self.text = text
        self._defaults = {name: self._default(name) for name in _SECTIONS}
        self._paths = self._places("paths")
        self._commands = self._places("commands")
        self._network: list[tuple[str, str, list[Allowed]]] | None = None
        self._network_texts = [
            (kind, pattern) for kind in _SECTIONS["network"] for pattern in self._patterns("network", kind)
        ]
        if self._network_texts:
            self._resolve()
        self.denied_calls = frozenset(self._patterns("calls", "deny"))

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Rules:
        """The rules of a file: JSON if its name ends so, else TOML. `OSError`, `RuleError`."""
        with open(file, "rb") as stream:
            data = stream.read()
        try:
            if os.fspath(file).endswith(".json"):
                import json

                return cls(json.loads(data))
            import tomllib

            return cls(tomllib.loads(data.decode()))
        except RuleError as error:
            raise RuleError(f"{os.fspath(file)}: {error}") from None
        except ValueError as error:  # of both, and of what is no text
            raise RuleError(f"{os.fspath(file)}: {error}") from None

    # -- reading

    def _section(self, section: str) -> dict[str, Any]:
        found = self.text.get(section, {})
        if not isinstance(found, dict):
            raise RuleError(f"{section}: a section has lists in it")
        for key in found:
            if key != "default" and key not in _SECTIONS[section]:
                raise RuleError(f"{section}: there is no {key!r}: {', '.join(_SECTIONS[section])}")
        return found

    def _default(self, section: str) -> str:
        kind = self._section(section).get("default", "allow")
        if kind not in _SECTIONS[section] and kind != "allow":
            raise RuleError(f"{section}.default: there is no {kind!r}: {', '.join(_SECTIONS[section])}")
        return str(kind)

    def _patterns(self, section: str, kind: str) -> list[str]:
        found = self._section(section).get(kind, [])
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise RuleError(f"{section}.{kind}: a list of strings is meant")
        return found

    def _places(self, section: str) -> list[_Rule]:
        rules = [
            _Rule(section, kind, pattern) for kind in _SECTIONS[section] for pattern in self._patterns(section, kind)
        ]
        return sorted(rules, key=lambda rule: (-rule.length, _KINDS.index(rule.kind)))

    def _resolve(self) -> None:
        from ..net.outside import resolve
        from ..net.policy import parse_rule

        self._network = []
        for kind, pattern in self._network_texts:
            name = f"network.{kind} {_quoted(pattern)}"
            try:
                self._network.append((kind, name, parse_rule(pattern, resolve)))
            except ValueError as error:
                raise RuleError(f"{name}: {error}") from None

    # -- asking

    @property
    def of_places(self) -> bool:
        """Whether there is anything to ask of paths or commands."""
        return bool(self._paths or self._commands) or {self._defaults["paths"], self._defaults["commands"]} != {"allow"}

    def of_place(self, place: bytes, access: str) -> Verdict:
        """What is said of a place; of one to be run, what is said of commands, and whether it may be read at all."""
        if access == TO_RUN:
            found = self._first("commands", self._commands, place)
            if found.kind != "allow":
                return found
        return self._first("paths", self._paths, place)

    def _first(self, section: str, rules: list[_Rule], place: bytes) -> Verdict:
        for rule in rules:
            if rule.fits(place):
                return Verdict(rule.kind, rule.name)
        return Verdict(self._defaults[section], f"{section}.default {_quoted(self._defaults[section])}")

    def beneath(self, directory: bytes) -> str | None:
        """A rule that tells of something beneath a directory, which therefore is not moved; None if there is none."""
        for rule in self._paths:
            if rule.within(directory) and rule.kind != "allow":
                return rule.name
        return None

    def of_address(self, ip: bytes, port: int) -> Verdict:
        """What is said of a place of the outside. Of the rules that fit the strictest counts, but for `allow`, which
        counts before the default."""
        for kind, name, allowed in self._network or ():
            if any(one.covers(ip, port) for one in allowed):
                return Verdict(kind, name)
        return Verdict(self._defaults["network"], f"network.default {_quoted(self._defaults['network'])}")

    @property
    def of_network(self) -> bool:
        return self._network is not None or self._defaults["network"] != "allow"
