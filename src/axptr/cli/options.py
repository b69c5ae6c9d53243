"""Options of a command line, parsed in the time a short run has.

`argparse` reads them the same way, but its import (with `re`, `gettext`, `locale`) and its making are a tenth of what a
program that does nothing takes. Ours knows what the subcommands use: `-x`, `--name`, `--name VALUE`, `--name=VALUE`,
`-x VALUE`, `-xVALUE`, `-xx`, `-h`, `--help`; options that repeat; where the options end and somebody else's command
begins.
Left out: positional arguments, abbreviations, types, groups. A wrong command line is one line on standard error and
`SystemExit(EXIT_USAGE)`; help goes to standard output.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import NoReturn
else:
    SimpleNamespace = type(sys.implementation)  # as `types` has it

EXIT_USAGE = 125
"""A wrong command line or a failure of axptr itself: `env` and `timeout` use it so, a guest seldom does."""

_COLUMN = 26  # where the texts of help begin


class Option:
    """One option under all its names. `values` are what it stands for while nothing was said."""

    def __init__(self, names: tuple[str, ...], action: str, metavar: str, default: object, help: str) -> None:
        if action not in ("store", "store_true", "append"):
            raise ValueError(f"no action of an option: {action!r}")
        self.names = names
        self.action = action
        self.metavar = metavar
        self.default = False if action == "store_true" else default
        self.help = help

    @property
    def key(self) -> str:
        """The attribute it becomes: of `-o`, `--memory-limit`, it is `memory_limit`."""
        return max(self.names, key=len).lstrip("-").replace("-", "_")

    @property
    def takes_value(self) -> bool:
        return self.action != "store_true"


class Parser:
    """The options of one command; `add_argument` says each as argparse's would. alone: whether the process has nothing
    to do but the command."""

    alone = False

    def __init__(self, prog: str, usage: str, description: str, epilog: str = "") -> None:
        self.prog = prog
        self.usage = usage
        self.description = description
        self.epilog = epilog
        self.options: list[Option] = []
        self.add_argument("-h", "--help", action="store_true", help="show this help message and exit")

    def add_argument(
        self, *names: str, action: str = "store", metavar: str = "", default: object = None, help: str = ""
    ) -> None:
        self.options.append(Option(names, action, metavar, default, help))

    def parse(self, words: list[str]) -> SimpleNamespace:
        """What was said, an attribute an option; in `command` what follows `--` or begins without a dash."""
        said = SimpleNamespace(command=[])
        for option in self.options:
            setattr(said, option.key, list(option.default) if isinstance(option.default, list) else option.default)
        by_name = {name: option for option in self.options for name in option.names}
        position = 0
        while position < len(words):
            word = words[position]
            if word == "--":
                position += 1
                break
            if not word.startswith("-") or word == "-":
                break
            position += 1
            name, equals, value = word.partition("=")
            if not word.startswith("--") and len(word) > 2 and word not in by_name:
                name, equals, value = word[:2], "=", word[2:]
            if name not in by_name:
                self.error(f"unknown option {name}")
            option = by_name[name]
            if option.takes_value and not equals:
                if position == len(words):
                    self.error(f"{name} needs {option.metavar}")
                value = words[position]
                position += 1
            elif equals and not option.takes_value:
                self.error(f"{name} takes no value")
            if option.key == "help":
                self.exit(0, self.format_help())
            self._keep(said, option, value)
        said.command = words[position:]
        return said

    @staticmethod
    def _keep(said: SimpleNamespace, option: Option, value: str) -> None:
        if option.action == "append":
            getattr(said, option.key).append(value)
        else:
            setattr(said, option.key, value if option.takes_value else True)

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def exit(self, status: int, text: str) -> NoReturn:
        stream = sys.stderr if status else sys.stdout
        if stream is not None:
            stream.write(text)
        raise SystemExit(status)

    def format_help(self) -> str:
        lines = [f"usage: {self.usage}", "", self.description, "", "options:"]
        for option in self.options:
            value = f" {option.metavar}" if option.takes_value else ""
            head = "  " + ", ".join(name + value for name in option.names)
            if len(head) > _COLUMN - 2:
                lines.append(head)
                head = ""
            lines.append(f"{head:<{_COLUMN}}{option.help}")
        if self.epilog:
            lines += ["", self.epilog]
        return "\n".join(lines) + "\n"
