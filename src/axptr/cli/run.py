"""`axptr run [OPTIONS] -- PROGRAM [ARGS...]`: runs a Linux program under axptr's kernel.

The guest's standard streams are ours, its exit status is ours. What axptr itself has to say goes to standard
error (trace, statistics and areas to a file with `--output`). Exit statuses that are not the guest's: 124
the time was up, 125 axptr failed or was called wrongly, 126 the program cannot be run, 127 there is no such
program, 128 + n it died of signal n.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
import time

from .quick import load_all

SIGPIPE = 13  # not from `signal`, which every start would pay for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace
    from typing import Any

    from ..linux.api import Process, Result
    from .options import Parser
    from .strace import Trace

HELP = "run a Linux program"
USAGE = "axptr run [OPTIONS] -- PROGRAM [ARGS...]"
DESCRIPTION = """\
Run a Linux program (x86-64, static or dynamic) under axptr's kernel. The program sees the host's files
read-only; its output, and its exit status, are those of this command."""

STDERR = 2
EXIT_FAILED = 125
EXIT_INTERRUPTED = 130


def add_arguments(parser: Parser) -> None:
    add = parser.add_argument
    _add_trace_arguments(add)
    add("--stats", action="store_true", help="at the end, count calls, faults, pages; memory and time")
    add("--maps", action="store_true", help="at the end, print the areas as /proc/PID/maps does")
    add("--map", metavar="FILE.svg", help="at the end, draw the areas and their pages")
    add(
        "-o",
        "--output",
        metavar="FILE",
        help="where --strace, --stats and --maps go; standard error without it",
    )
    add(
        "--memory-limit",
        metavar="SIZE",
        help="the most memory the program may hold, such as 64M (K, M, G, T)",
    )
    add("--max-procs", metavar="N", help="how many processes and threads there may be at once")
    add("--core", metavar="FILE", help="when a signal ends it, write a core that gdb reads; children's are FILE.PID")
    add("--timeout", metavar="TIME", help="end the run after so many seconds (or 90s, 5m, 1h) with status 124")
    add(
        "--allow-write",
        metavar="DIR",
        action="append",
        default=[],
        help="let it write files in DIR; repeatable",
    )
    add("--root", metavar="DIR", help="what the program sees as /, with axptr's own /proc and /dev in it")
    add(
        "--mount",
        metavar="SRC:DST[:ro]",
        action="append",
        default=[],
        help="show the directory SRC at DST, and let it be changed (ro: not); repeatable",
    )
    add("--tmpfs", metavar="DST", action="append", default=[], help="an empty directory in memory at DST; repeatable")
    add("--overlay", action="store_true", help="keep all changes in memory: the host's files stay as they are")
    add("--overlay-load", metavar="FILE", help="begin with the changes that were saved in FILE")
    add("--overlay-save", metavar="FILE", help="at the end, save all changes in FILE")
    add("--overlay-diff", action="store_true", help="at the end, list them: A added, C changed, D removed")
    add("--overlay-commit", action="store_true", help="at the end, make them on the host")
    add(
        "--user",
        metavar="NAME|UID[:GROUP]",
        help="who the program is, by the /etc/passwd and /etc/group that it sees",
    )
    add("--seed", metavar="N", help="make the run repeat: clocks, random bytes and ids are made of the number")
    add("--net", metavar="KIND", default="loopback", help="none, loopback (its own, the default) or host (the host's)")
    add(
        "--allow-net",
        metavar="HOST[:PORT]",
        action="append",
        default=[],
        help="let it connect to HOST: a name, an address, a range such as 10.0.0.0/8; repeatable",
    )
    add("--confine", action="store_true", help="refuse to run where axptr cannot confine itself (Landlock)")
    add("--no-confine", action="store_true", help="let axptr itself keep all rights of yours, as programs never do")
    add("--policy", metavar="FILE", help="rules of what it may do: TOML, or JSON; what was refused is told at the end")
    add("--audit", metavar="FILE", help="a line of JSON for each call that concerns files, programs, the network")
    add("--learn", metavar="FILE", help="refuse nothing, and at the end write the rules by which this run would pass")
    add(
        "--engine",
        metavar="NAME",
        default="auto",
        help="the CPU: native (the host's own), unicorn (emulated) or auto (what suits the run)",
    )
    add("--engine-jobs", metavar="N", default="1", help="how many tasks may run at once, natively: a number, or auto")
    add(
        "--env",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="set an environment variable; repeatable",
    )


def _add_trace_arguments(add: Callable[..., None]) -> None:
    """strace's own; what they mean is in `strace`."""
    add("--strace", action="store_true", help="print each system call, its arguments and its result")
    add(
        "-e",
        metavar="EXPR",
        action="append",
        default=[],
        help="only these: openat,%network signal=INT status=failed",
    )
    add("-t", action="store_true", help="begin each line of the trace with the time of day")
    add("-tt", action="store_true", help="with microseconds")
    add("-ttt", action="store_true", help="as seconds since 1970")
    add("-r", action="store_true", help="with the time since the line before")
    add("-T", action="store_true", help="end each line of the trace with the time that the call took")
    add("-c", action="store_true", help="in place of lines, at the end a table of calls, times and errors")
    add("-y", action="store_true", help="name the file behind each descriptor of the trace")
    add("-s", metavar="SIZE", help="show so many bytes of each string (32)")
    add("--trace-json", metavar="FILE", help="write the trace as JSON lines")
    add("--status", action="store_true", help="on Ctrl-\\ (SIGQUIT) tell what each task is doing, and go on")


def _lines_asked(options: SimpleNamespace) -> bool:
    """Each of strace's options asks for its lines."""
    return any(getattr(options, name) for name in ("strace", "e", "t", "tt", "ttt", "r", "T", "c", "y", "s"))


def run(options: SimpleNamespace, parser: Parser) -> int:
    """Runs the command in `options.command`; returns the exit status."""
    if not options.command:
        parser.error("which program? axptr run [OPTIONS] -- PROGRAM [ARGS...]")
    try:
        memory_limit = None if options.memory_limit is None else parse_size(options.memory_limit)
        timeout = None if options.timeout is None else parse_time(options.timeout)
        seed = None if options.seed is None else parse_seed(options.seed)
        max_procs = None if options.max_procs is None else parse_count("--max-procs", options.max_procs)
        if options.engine not in ("auto", "native", "unicorn"):
            raise ValueError(f"--engine: there is no {options.engine!r}; write auto, native or unicorn")
        if options.engine == "native" and seed is not None:
            raise ValueError("--seed: only the engine unicorn makes a run repeat")
        jobs = options.engine_jobs
        if jobs != "auto":
            jobs = parse_count("--engine-jobs", jobs)
            if jobs > 1 and seed is not None:
                raise ValueError("--seed: a run that repeats has one task run at a time")
        environment = _environment(options.env, of_another=options.user is not None)
        options.lines = _lines_asked(options)
        if options.lines:
            from .strace import parse

            parse(options)
        for directory in options.allow_write:
            if not os.path.isdir(directory):
                raise ValueError(f"--allow-write: {directory} is not a directory")
        if options.map is not None:
            _check_writable(options.map)
        tree = {**_tree(options), "max_procs": max_procs, "engine_jobs": jobs}
        if options.net != "loopback" or options.allow_net:
            tree |= _network(options, seed)
        if options.policy is not None or options.audit is not None or options.learn is not None:
            from .policy import policy_option

            policy = tree["policy"] = policy_option(options)
    except ValueError as error:
        parser.error(str(error))

    output = Output(None if sys.stderr is None else STDERR, "--output")
    files = []
    try:
        if options.output is not None:
            files.append(_output_file(parser, "--output", options.output))
            output = Output(files[-1], "--output")
        if options.trace_json is not None:
            files.append(_output_file(parser, "--trace-json", options.trace_json))
            options.trace_json = Output(files[-1], "--trace-json").write
        if options.audit is not None:
            from .policy import audit_in

            files.append(_output_file(parser, "--audit", options.audit))
            policy.audit = audit_in(files[-1])
        if options.engine != "unicorn" and seed is None:
            load_modules()
        options.no_confine |= not (options.confine or parser.alone)
        if not options.no_confine:
            from .confine import confine, places

            lack = confine(places(options), network=options.net == "host" or bool(options.allow_net))
            if lack is not None and options.confine:
                _say(f"axptr: --confine: {lack}")
                return EXIT_FAILED
        return _load_and_run(options, environment, memory_limit, timeout, seed, tree, output)
    finally:
        for file in files:
            os.close(file)


def load_modules() -> None:
    """Those that each run needs: at once, where that can be."""
    if not load_all():
        from .together import write

        if write():
            load_all()


def _output_file(parser: Parser, option: str, path: str) -> int:
    try:
        return _open_output(path)
    except OSError as error:
        parser.error(f"{option}: {path}: {error.strerror}")


def _network(options: SimpleNamespace, seed: int | None) -> dict[str, Any]:
    """What was said about the network, once it is known to make sense."""
    from ..linux.arguments import network

    try:
        network(options.net, options.allow_net, seed)
    except ValueError as error:
        raise ValueError(f"--net, --allow-net: {error}") from None
    return {"net": options.net, "allow_net": options.allow_net}


def _tree(options: SimpleNamespace) -> dict[str, Any]:
    """What was said about the tree that the program sees. `ValueError` for what makes no sense."""
    asked = options.root, options.mount, options.tmpfs, options.overlay, options.overlay_load, options.overlay_save
    if not any((*asked, options.overlay_diff, options.overlay_commit)):
        return {}
    from .tree import tree_options

    return tree_options(options)


def _check_writable(path: str) -> None:
    """`ValueError` if the picture could not be written there at the end: better said before the run."""
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        raise ValueError(f"--map: {directory} is not a directory")
    if os.path.isdir(path):
        raise ValueError(f"--map: {path} is a directory")
    if not os.access(path if os.path.exists(path) else directory, os.W_OK):
        raise ValueError(f"--map: {path} cannot be written")


def _draw(process: Process, path: str, title: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(process.format_svg(title))
    except OSError as error:
        _say(f"axptr: --map: {path}: {error.strerror}")


def _open_output(path: str) -> int:
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

    def __init__(self, descriptor: int | None, option: str) -> None:
        """option: what is blamed."""
        self._descriptor = descriptor
        self._option = option

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
                _say(f"axptr: {self._option}: {error.strerror}")


def _load_and_run(
    options: SimpleNamespace,
    environment: list[bytes],
    memory_limit: int | None,
    timeout: float | None,
    seed: int | None,
    tree: dict[str, Any],
    output: Output,
) -> int:
    try:
        if options.engine == "unicorn" or seed is not None:
            from ..engine.unicorn import preload

            preload()
        from ..linux.api import ProgramError, create_process

        try:
            process = create_process(
                options.command[0],
                options.command,
                environment,
                memory_limit=memory_limit,
                allow_write=options.allow_write,
                host_signals=True,
                seed=seed,
                engine=options.engine,
                user=options.user,
                **tree,
            )
        except ProgramError as error:
            short = error.errno == errno.ENOMEM and memory_limit is not None and not error.own
            _say(f"axptr: {error}" + (f" (--memory-limit {options.memory_limit})" if short else ""))
            return error.exit_status
    except ImportError as error:
        return _missing_extra(error)
    except MemoryError:
        _say("axptr: the host has no memory for a machine")
        return EXIT_FAILED
    if process.engine_lack and sys.stderr is not None and sys.stderr.isatty():
        _say(f"axptr: emulating a CPU: {process.engine_lack}")
    process.machine.core = None if options.core is None else os.path.abspath(options.core)
    if options.status or options.lines or options.trace_json is not None:
        _tell_status(process)
    if not options.no_confine and process.engine.name == "unicorn":  # no process of the host's runs guests
        from .confine import forgo

        lack = forgo()
        if lack is not None and options.confine:
            process.close()
            _say(f"axptr: --confine: {lack}")
            return EXIT_FAILED
    gc.freeze()  # what is loaded stays; garbage is looked for among what the run makes (see `main`)
    gc.enable()
    with process:
        status = _run(process, options, timeout, output)
        if "policy" in tree:
            from .policy import finish_policy

            failed = finish_policy(tree["policy"], options, _say)
            if failed is not None:
                _say(f"axptr: {failed}")
                return EXIT_FAILED
        if "overlay" in tree:
            from .tree import finish

            failed = finish(tree["overlay"], options, output.write)
            if failed is not None:
                _say(f"axptr: {failed}")
                return EXIT_FAILED
    return status


def _tell_status(process: Process) -> None:
    """From now on at a SIGQUIT, which the program then does not get."""

    def tell() -> None:
        from .status import status

        _say(status(process.machine))

    signals = process.task.host_signals
    if signals is not None:
        signals.on_quit = tell


def _run(process: Process, options: SimpleNamespace, timeout: float | None, output: Output) -> int:
    begin = time.monotonic()
    result = _observed_run(process, options, timeout, output)
    _sum_up(process, time.monotonic() - begin, options, output)
    return EXIT_INTERRUPTED if result is None else result.status


def _observed_run(process: Process, options: SimpleNamespace, timeout: float | None, output: Output) -> Result | None:
    """The run itself; None if Ctrl-C ended it. A bug in the kernel comes out with its traceback."""
    kernel = process.kernel
    kernel.count_calls = options.stats
    trace = None
    if options.lines or options.trace_json is not None:
        from .strace import Trace

        trace = Trace(options, output.write, terminal=output.terminal)
        trace.begin(process, options.command, len(_environment(options.env)))
    try:
        return _run_to_its_end(process, timeout, trace)
    finally:
        if trace is not None:
            trace.close()


def _run_to_its_end(process: Process, timeout: float | None, trace: Trace | None) -> Result | None:
    from ..errors import EngineError  # loaded by now

    try:
        result = _whole_run(process, timeout)
    except KeyboardInterrupt:
        if trace is not None:
            trace.stopped("interrupted")
        _say("axptr: interrupted")
        return None
    except MemoryError:
        _say("axptr: the host has no memory left for axptr itself")
        raise SystemExit(EXIT_FAILED) from None
    except EngineError as error:  # of a child: the host allows no further process, or descriptor
        _say(f"axptr: {error.strerror}")
        raise SystemExit(EXIT_FAILED) from None
    except Exception:
        # Never an errno, never hidden: this is axptr's own failure, and the traceback is what mends it.
        import traceback

        _say(f"axptr: a bug in axptr stopped the run:\n{traceback.format_exc().rstrip()}")
        raise SystemExit(EXIT_FAILED) from None
    if result.timed_out:
        if trace is not None:
            trace.stopped("timed out")
        _tell_death(process, result)
    return result


def _whole_run(process: Process, timeout: float | None) -> Result:
    """The program, and what it left in the background as long as somebody could read what that writes."""
    result = process.run(timeout)
    if result.timed_out:
        return result
    _tell_death(process, result)
    left = None if timeout is None else max(timeout - result.wall, 0.001)
    return result if process.run_rest(left) else result.late(timeout)


def _tell_death(process: Process, result: Result) -> None:
    """What there is to say of a guest that did not end by itself."""
    if process.machine.core_failed is not None:
        _say(f"axptr: --core: {process.machine.core_failed}")
    if result.death is not None or result.timed_out:
        from .death import report_death, report_timeout

        if result.death is not None:
            if result.death.signal != SIGPIPE:  # `... | head`: as silent as a shell is about it
                _say(report_death(process, result.death))
        else:
            _say(report_timeout(process, result.wall))


def _sum_up(process: Process, wall: float, options: SimpleNamespace, output: Output) -> None:
    """What was asked for, however the run ended, Ctrl-C too; for a run that simply ended well, nothing more."""
    if process.kernel.unknown:
        from .summary import unknown_calls

        _say(unknown_calls(process.kernel.unknown))
    if options.stats:
        from .summary import statistics

        output.write(statistics(process, wall))
    if options.maps:
        output.write(process.format_maps().rstrip("\n") + "\n")
    if options.map is not None:
        _draw(process, options.map, " ".join(options.command))


def _missing_extra(error: ImportError) -> int:
    """An optional part is not installed: the engine says so, without the name of a module. A module that is there and
    cannot be loaded finds no room (`ulimit -v`). One that is not there is a bug."""
    if error.name is not None and (error.path is None or not os.path.exists(error.path)):
        raise error
    _say(f"axptr: {error}")
    return EXIT_FAILED


def _say(text: str) -> None:
    """Writes to standard error, if anybody still reads that."""
    if sys.stderr is not None:
        try:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        except OSError:
            sys.stderr = None


def _environment(settings: list[str], *, of_another: bool = False) -> list[bytes]:
    """The host's environment with the settings over it; raises `ValueError` for one without a name or value.

    of_another: without what says whose it is (HOME, USER, LOGNAME), which is another's.

    Taken from where the kernel put it at our start: Python's own `os.environ` has an `LC_CTYPE` in it that
    the interpreter sets in the C locale (PEP 538).
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            inherited = [entry for entry in file.read().split(b"\0") if entry]
    except OSError:
        inherited = [name + b"=" + value for name, value in os.environb.items()]
    if of_another:
        from ..linux.arguments import without_user

        inherited = without_user(inherited)
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not name or not equals:
            raise ValueError(f"--env: {setting!r} is not NAME=VALUE")
        start = os.fsencode(name) + b"="
        inherited = [entry for entry in inherited if not entry.startswith(start)]
        inherited.append(start + os.fsencode(value))
    return inherited


def parse_size(text: str) -> int:
    """`4096`, `64K`, `64KiB`, `1.5G`: bytes, in powers of 1024; raises `ValueError` otherwise."""
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    shift = {"K": 10, "M": 20, "G": 30, "T": 40}.get(number[-1:], 0)
    try:
        size = int(float(number[:-1]) * (1 << shift)) if shift else int(number)
    except (ValueError, OverflowError):
        raise ValueError(f"--memory-limit: {text!r} is no size; write 64M or 1G") from None
    if size <= 0:
        raise ValueError(f"--memory-limit: {text!r} is not above zero")
    return size


def parse_count(option: str, text: str) -> int:
    """`100`; raises `ValueError` otherwise."""
    if not text.isdecimal() or not int(text):
        raise ValueError(f"{option}: {text!r} is no number above zero")
    return int(text)


def parse_seed(text: str) -> int:
    """`7`, `-1`, `0x2a`; raises `ValueError` otherwise."""
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"--seed: {text!r} is no number; write 7 or 0x2a") from None


def parse_time(text: str) -> float:
    """`10`, `0.5`, `90s`, `5m`, `1h`: seconds; raises `ValueError` otherwise."""
    number = text.strip()
    factor = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(number[-1:])
    try:
        seconds = float(number) if factor is None else float(number[:-1]) * factor
    except ValueError:
        raise ValueError(f"--timeout: {text!r} is no time; write 10, 90s or 5m") from None
    if not 0 < seconds < float("inf"):
        raise ValueError(f"--timeout: {text!r} is not above zero")
    return seconds
