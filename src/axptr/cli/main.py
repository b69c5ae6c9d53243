"""`axptr`: finds the subcommand, reports wrong command lines, and turns the result into an exit status.

A subcommand is a module of this package that is listed in `COMMANDS` and has `HELP` (a line), `USAGE`,
`DESCRIPTION`, `add_arguments(parser)` and `run(options, parser) -> int`. Only the chosen one is imported. A command
line of somebody else's that follows the options is in `options.command`.
"""

from __future__ import annotations

import gc
import os
import sys

from .quick import install

install()

from .options import EXIT_USAGE, Parser  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

COMMANDS = ("run",)


def main() -> NoReturn:
    """The command itself: runs `sys.argv` and ends the process.

    Ends it at once: what the interpreter tidies up at its end, the kernel does too, several milliseconds sooner.
    Whoever traces or profiles us gets the slow end, which writes their results. No garbage is looked for while all is
    loaded; `run` turns the collector on again for the guest.
    """
    gc.disable()
    try:
        status = run_command(sys.argv[1:], alone=True)
    except SystemExit as end:  # the parser's way out
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


def run_command(arguments: list[str], *, alone: bool = False) -> int:
    """Runs one command line and returns its exit status; `SystemExit` for a wrong one, or for help. alone: whether the
    process ends with it: a run confines it then, for good."""
    try:
        if arguments and arguments[0] in COMMANDS:
            return _subcommand(arguments[0], arguments[1:], alone)
        return _overview(arguments)
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


def _subcommand(name: str, arguments: list[str], alone: bool) -> int:
    module = _module(name)
    parser = Parser(f"axptr {name}", module.USAGE, module.DESCRIPTION)
    parser.alone = alone
    module.add_arguments(parser)
    return int(module.run(parser.parse(arguments), parser))


def _module(name: str) -> Any:
    return __import__(f"{__package__}.{name}", fromlist=[name])  # `importlib` is more than a run needs


def _overview(arguments: list[str]) -> int:
    """`axptr` with its own options, or without a command that there is."""
    lines = [f"  {name:<10} {_module(name).HELP}" for name in COMMANDS]
    parser = Parser(
        "axptr",
        "axptr [--version] [--help] COMMAND ...",
        "Checked user pointers, and a kernel that runs Linux programs on them.",
        "commands:\n" + "\n".join(lines) + "\n\n`axptr COMMAND --help` tells more.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and end")
    options = parser.parse(arguments)
    if options.version:
        from importlib.metadata import version  # takes longer than a guest

        parser.exit(0, f"axptr {version('axptr')}\n")
    if options.command:
        parser.error(f"no command {options.command[0]!r}; there is {', '.join(COMMANDS)}")
    parser.error("no command given")
