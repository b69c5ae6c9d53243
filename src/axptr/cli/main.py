"""`axptr`: finds the subcommand, reports wrong command lines, and turns the result into an exit status.

A subcommand is a module of this package that is listed in `COMMANDS` and has `HELP` (a line), `USAGE`,
`DESCRIPTION`, `add_arguments(parser)` and `run(options, parser) -> int`. Only the chosen one is imported. One
that passes on a command line of somebody else's (`run`) also has `split(arguments, parser)`, which takes that
part out before parsing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Any, NoReturn

COMMANDS = ("run",)

EXIT_USAGE = 125
"""A wrong command line or a failure of axptr itself: `env` and `timeout` use it so, a guest seldom does."""


class _Parser(argparse.ArgumentParser):
    """Errors are one line and `EXIT_USAGE`; the formatter's width does not cost an import of `shutil`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_formatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28, width=96)


class _Version(argparse.Action):
    """Looks the version up when asked for it only: reading package metadata takes longer than a guest."""

    def __init__(self, option_strings: list[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and end")

    def __call__(self, parser: argparse.ArgumentParser, *unused: object) -> NoReturn:
        import importlib.metadata

        print(f"axptr {importlib.metadata.version('axptr')}")
        parser.exit()


def main() -> NoReturn:
    """The command itself: runs `sys.argv` and ends the process.

    Ends it at once: what the interpreter tidies up at its end, the kernel does too, several milliseconds sooner.
    Whoever traces or profiles us gets the slow end, which writes their results.
    """
    try:
        status = run_command(sys.argv[1:])
    except SystemExit as end:  # argparse's way out
        if end.code is not None and not isinstance(end.code, int):
            raise
        status = end.code or 0
    if sys.gettrace() is not None or sys.getprofile() is not None:
        sys.exit(status)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            status = status or EXIT_USAGE
    os._exit(status)


def run_command(arguments: list[str]) -> int:
    """Runs one command line and returns its exit status; `SystemExit` for a wrong one, or for help."""
    try:
        if arguments and arguments[0] in COMMANDS:
            return _subcommand(arguments[0], arguments[1:])
        parser = _overview()
        parser.parse_args(arguments)
        parser.error("no command given" if not arguments else "nothing to do")
    except BrokenPipeError:
        return EXIT_USAGE  # whoever read our output has gone, and nothing is left to say
    except KeyboardInterrupt:
        return 130
    except MemoryError:
        return _no_room("the host has no memory for it")
    except ImportError as error:
        if error.path is None or not os.path.exists(error.path):
            raise
        return _no_room(str(error))  # a module that is there and cannot be loaded: `ulimit -v`


def _no_room(reason: str) -> int:
    sys.stderr.write(f"axptr: {reason}\n")
    return EXIT_USAGE


def _subcommand(name: str, arguments: list[str]) -> int:
    module: Any = importlib.import_module(f".{name}", __package__)
    parser = _Parser(prog=f"axptr {name}", usage=module.USAGE, description=module.DESCRIPTION)
    module.add_arguments(parser)
    split = getattr(module, "split", None)
    own, passed = (arguments, []) if split is None else split(arguments, parser)
    options = parser.parse_args(own)
    if split is not None:
        options.command = passed
    return int(module.run(options, parser))


def _overview() -> argparse.ArgumentParser:
    lines = []
    for name in COMMANDS:
        module: Any = importlib.import_module(f".{name}", __package__)
        lines.append(f"  {name:<10} {module.HELP}")
    parser = _Parser(
        prog="axptr",
        usage="axptr [--version] [--help] COMMAND ...",
        description="Checked user pointers, and a kernel that runs Linux programs on them.",
        epilog="commands:\n" + "\n".join(lines) + "\n\n`axptr COMMAND --help` tells more.",
    )
    parser.add_argument("--version", action=_Version)
    parser.add_argument("command", nargs="?", choices=COMMANDS, help=argparse.SUPPRESS)
    return parser
