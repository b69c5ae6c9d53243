"""The kept corpus and some new inputs keep every rule; what breaks a rule, or the interpreter, is found and told."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy")
pytest.importorskip("dissect.cstruct")

from axptr import (
    AddrSpace,
    FaultReason,
    LinuxError,
    MappingFlags,
    UserConstPtr,
    UserFault,
)
from axptr.pointers import check, text, userslice

from . import extras, many
from .program import run
from .world import Broken

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).parent / "corpus"
NONE = MappingFlags(0)


def fuzz(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_every_kept_input_keeps_the_rules() -> None:
    done = fuzz("--replay", str(CORPUS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) >= 100


def test_new_inputs_keep_the_rules(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    done = fuzz("--jobs", "2", "--calls", "20000", "--seed", "1", "--crashes", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_input_is_shown_as_the_calls_that_it_makes() -> None:
    done = fuzz("--show", str(max(CORPUS.iterdir(), key=lambda file: file.stat().st_size)))
    assert done.returncode == 0, done.stderr
    *calls, last = done.stdout.splitlines()
    assert calls[0].startswith("# ")
    assert last.endswith(" calls")
    assert any(line.startswith(("UserPtr[", "UserConstPtr[")) and "space0" in line for line in calls)


# -- what must be found ----------------------------------------------------------------------------------------


def raises(error: BaseException) -> Callable[..., Any]:
    def planted(*_: Any, **__: Any) -> Any:
        raise error

    return planted


def after(planted: Callable[[Any], Any], call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: planted(call(*args, **kwargs))


def forgets_completed(error: BaseException) -> BaseException:
    if isinstance(error, UserFault):
        error.completed = error.size + 1
    return error


def mistakes_the_reason(error: BaseException) -> BaseException:
    if isinstance(error, UserFault) and error.reason is FaultReason.UNMAPPED:
        error.reason = FaultReason.PROTECTION
    return error


def mistakes_the_sides(error: BaseException) -> BaseException:
    if isinstance(error, UserFault):
        error.below, error.above = error.above, error.below
    return error


def replay() -> None:
    for file in sorted(CORPUS.iterdir()):
        run(file.read_bytes())


KEPT: list[Any] = []


def kept(twin: Any) -> Any:
    KEPT.append(twin)
    return twin


PLANTED: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "a verb that raises another error": (many, "clear", lambda _: raises(RuntimeError("planted"))),
    "a verb that blames the caller": (many, "read_text", lambda _: raises(ValueError("planted"))),
    "a verb that raises a plain OSError": (many, "copy_between", lambda _: raises(OSError(5, "planted"))),
    "a count that is one too small": (many, "copy_between", lambda call: after(lambda n: max(0, n - 1), call)),
    "a string with a byte too many": (many, "read_terminated", lambda call: after(lambda text: text + b"x", call)),
    "a cursor that does not move": (userslice._Cursor, "_move", lambda _: lambda *_: None),
    "a clear that clears nothing": (many, "clear", lambda _: lambda provider, address, size: size),
    "a search that finds what is not there": (many, "search", lambda call: after(lambda found: iter([8]), call)),
    "a fault that says too much was done": (
        AddrSpace, "_describe", lambda call: after(forgets_completed, call),
    ),
    "a fault with another reason": (AddrSpace, "_describe", lambda call: after(mistakes_the_reason, call)),
    "a fault with its neighbours the wrong way round": (
        AddrSpace, "_describe", lambda call: after(mistakes_the_sides, call),
    ),
    "a check that grants all that is mapped": (
        AddrSpace, "check_region_access", lambda call: lambda space, range, flags: call(space, range, NONE),
    ),
    "a protect that does nothing": (AddrSpace, "protect", lambda _: lambda *_: None),
    "an unmap that does nothing": (AddrSpace, "unmap", lambda _: lambda *_: None),
    "a restore that does nothing": (AddrSpace, "restore", lambda _: lambda *_: None),
    "a clone that is the space itself": (AddrSpace, "try_clone", lambda _: lambda space: space),
    "a space that never dies": (AddrSpace, "try_clone", lambda call: after(kept, call)),
    "frames that are seen after they were freed": (
        many, "read_terminated", lambda call: after(lambda text: b"\xdb" * 64, call),
    ),
    "a fault that explains nothing": (UserFault, "explain", lambda _: lambda self: ""),
    "a check for zeros that says yes": (extras, "check_zeroed", lambda _: lambda *_: True),
    "a copy that brings in what it may not": (
        extras, "copy_in_nofault", lambda _: lambda provider, at, buf: UserConstPtr.of("c")(at).copy_in(provider, buf),
    ),
    "a structure that goes out without its zeros": (
        extras, "copy_struct_out",
        lambda call: lambda provider, at, value, size: call(provider, at, value, min(size, len(bytes(value)))),
    ),
    "a structure that is grown with other bytes": (
        many, "copy_struct", lambda call: lambda provider, at, T, size, **_: call(provider, at, T, max(0, size - 1)),
    ),
    "a string that a cursor leaves its end in": (
        userslice.UserSliceReader, "read_cstr", lambda call: after(lambda text: text + b"\0", call),
    ),
    "a budget that nobody asks": (check, "budget_of", lambda _: lambda provider: None),
    "text in the other byte order": (
        text, "decoded",
        lambda call: lambda data, encoding, *rest: call(data, encoding.replace("6-le", "6-be"), *rest),
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_bug_is_found_by_the_kept_inputs(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    holder, name, make = PLANTED[planted]
    monkeypatch.setattr(holder, name, make(getattr(holder, name)))
    with pytest.raises((Broken, RuntimeError, OSError)) as found:
        replay()
    assert not isinstance(found.value, LinuxError)
    KEPT.clear()


@pytest.mark.parametrize("death", ["os.kill(os.getpid(), 11)", "os._exit(0)", "raise RuntimeError('planted')"])
def test_an_input_that_ends_the_worker_is_kept_and_the_status_says_so(death: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent(f"""
            import os
            from axptr.pointers import copying
            def clear(*_):
                {death}
            copying.clear = clear
        """)
    )
    crashes = tmp_path / "crashes"
    done = fuzz("--calls", "1000000000", "--crashes", str(crashes), path=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    (left, *_) = crashes.iterdir()
    shown = fuzz("--show", str(left))
    assert shown.returncode == 0, shown.stderr
    assert "clear(" in shown.stdout


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['atheris'] = None\n")
    done = fuzz(path=tmp_path)
    assert (done.returncode, done.stderr) == (2, "atheris is missing: pip install 'axptr[fuzz]'\n")
