"""What the start of a run loads: nothing that the program does not need."""

from __future__ import annotations

import marshal
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import axptr as package
from axptr.cli import together
from cli.conftest import axptr

NEVER = {
    "_ctypes", "argparse", "bisect", "collections", "contextlib", "ctypes", "dataclasses", "enum", "fcntl",
    "functools", "importlib", "inspect", "logging", "mmap", "operator", "pathlib", "re", "resource", "select",
    "selectors", "shutil", "signal", "socket", "subprocess", "tempfile", "threading", "traceback", "typing",
    "unicorn", "uuid", "warnings", "weakref",
}  # fmt: skip
"""Modules of Python's library, and others', that cost a start more than they give it."""
NEVER_OURS = (
    "cli.death", "cli.strace", "cli.summary", "cli.tree", "engine.branches", "engine.engine", "explain", "forms.codes",
    "forms.members", "kernel.hostpoll", "linux.calls.clone", "linux.calls.names", "linux.calls.network",
    "linux.files.fifo", "linux.files.futex", "linux.fs.devfiles", "linux.fs.overlay",
    "linux.fs.shape", "linux.fs.tmp", "linux.net", "linux.proc", "linux.seeded", "memory", "mm.picture",
    "mm.snapshots.file",
)  # fmt: skip
"""Modules and packages of ours that a program needs which does what they are for."""
MOST = 219
"""Modules of ours, packages counted."""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def loaded(program: str, environment: dict[str, str]) -> list[str]:
    """The modules that a run of a program imports, as the interpreter tells them."""
    command = [sys.executable, "-S", "-X", "importtime", "-c"]
    path = [p for p in sys.path if p]
    start = f"import sys; sys.path[:] = {path!r}; from axptr.cli.main import main; main()"
    done = subprocess.run(
        [*command, start, *map(str, axptr("run", "--", program)[3:])],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return [line.rpartition("|")[2].strip() for line in lines[1:]]


def beneath(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_a_run_of_true_loads_what_it_needs(environment: dict[str, str], engine_name: str) -> None:
    names = loaded("/bin/true", environment)
    assert not NEVER & set(names)
    ours = [name for name in names if beneath(name, "axptr")]
    unwanted = [*NEVER_OURS, "engine.unicorn", "_core.cpu.unicorn"] if engine_name == "native" else NEVER_OURS
    assert not [name for name in ours for package in unwanted if beneath(name, f"axptr.{package}")]
    if engine_name == "native":
        assert len(ours) <= MOST, sorted(ours)
        first = {"axptr.cli", "axptr.cli.main", "axptr.cli.options", "axptr.cli.quick", "axptr.cli.run"}
        assert {f"axptr.{name}" for name in together.NAMES.split()} == {*ours} - first - {"axptr"}


def test_a_run_of_echo_loads_none_of_the_librarys_dear_modules(environment: dict[str, str], engine_name: str) -> None:
    """It asks for random bytes and wakes whoever waits at a futex, as every program of a C library that says a word."""
    assert not NEVER & set(loaded("/bin/echo", environment))


def test_the_quick_finder_finds_all_of_ours_as_the_import_system_does() -> None:
    """Each module that it gives is what the standard finder would give, by source, bytecode and package."""
    script = """
import importlib.machinery, sys
from pathlib import Path
import axptr
from axptr.cli.quick import QuickFinder
root = Path(axptr.__file__).parent
found = 0
for path in root.rglob("*.py"):
    parts = path.relative_to(root.parent).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    if name == "axptr" or "_core" in parts and parts[-1] != "__init__":
        continue
    folder = [str(path.parent.parent if parts[-1] == "__init__" else path.parent)]
    quick = QuickFinder().find_spec(name, folder)
    if quick is None:
        continue
    found += 1
    plain = importlib.machinery.PathFinder.find_spec(name, folder)
    for attribute in ("name", "origin", "cached", "submodule_search_locations", "has_location", "parent"):
        assert getattr(quick, attribute) == getattr(plain, attribute), (name, attribute)
    assert quick.loader.get_code(name) == plain.loader.get_code(name), name
    assert quick.loader.get_code(name) == plain.loader.get_code(name), name  # the second time by itself
    assert quick.loader.get_source(name) == path.read_text()
print(found)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_bytecode_of_another_source_is_not_taken() -> None:
    script = """
import os, sys, tempfile, py_compile
from axptr.cli.quick import QuickFinder
with tempfile.TemporaryDirectory() as folder:
    source = f"{folder}/m.py"
    def write(text, when):
        with open(source, "w") as file:
            file.write(text)
        os.utime(source, (when, when))
    find = lambda: QuickFinder().find_spec("axptr.m", [folder])
    write("x = 1", 1000)
    assert find() is None
    cached = py_compile.compile(source)
    assert find().loader.get_code("axptr.m").co_consts[0] == 1
    write("x = 2", 1001)
    assert find() is None
    write("x = 22", 1000)
    assert find() is None
    cached = py_compile.compile(source, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    assert find() is None
    cached = py_compile.compile(source)
    assert find() is not None
    whole = open(cached, "rb").read()
    for damaged in (whole[:16], whole[:20], b"", b"xxxx" + whole[4:]):
        with open(cached, "wb") as file:
            file.write(damaged)
        assert find() is None, damaged
    assert QuickFinder().find_spec("json", [folder]) is None
    assert QuickFinder().find_spec("axptr.m", None) is None
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_limit_on_files_leaves_no_half_modules(tmp_path: Path) -> None:
    """What Python itself loads before the command is asked may be cut short: that is Python's."""
    command = shlex.join([str(word) for word in axptr("run", "--", "/bin/true")])
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    done = subprocess.run(["/bin/sh", "-c", f"ulimit -f 2; exec {command}"], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    left = {path.name.partition(".")[0] for path in tmp_path.rglob("axptr/**/*.pyc")}
    assert left <= {"__init__", "__main__", "main", "quick"}


def test_modules_are_kept_where_files_are_not_limited(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    done = subprocess.run(axptr("run", "--", "/bin/true"), capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob("axptr/**/*.pyc"))) > 100


# -- what is loaded in one go


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a copy of the package, and bytecode of what is loaded, to be changed by nobody."""
    place = tmp_path_factory.mktemp("whole")
    source = Path(package.__file__).parent
    shutil.copytree(source, place / "axptr", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (place / "axptr").rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    started(place)
    one_file(place).unlink()
    return place


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole / "axptr", tmp_path / "axptr")
    return tmp_path


SAYS = "print(*sorted(name for name in sys.modules if name.startswith('axptr.') and name not in WRITER), len(seen))"
SPY = """
import sys
sys.path.insert(0, {place!r})
import axptr.cli.main, axptr.cli.run
from axptr.cli import quick
seen, WRITER = [], ('axptr.cli.together',)
class Spy:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith("axptr.") and name != "axptr.cli.together":
            seen.append(name)
sys.meta_path.insert(0, Spy)
axptr.cli.run.load_modules()
sys.meta_path.remove(Spy)
"""


def started(place: Path, *lines: str, options: tuple[str, ...] = (), status: int = 0, before: str = "") -> str:
    """What a Python says that has gone through `before`, loaded all from there, and then goes through these lines."""
    script = "\n".join((before, SPY.format(place=str(place)), *lines))
    done = subprocess.run(
        [sys.executable, "-I", *options, "-c", script], capture_output=True, text=True, env={}, timeout=100
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def one_file(place: Path) -> Path:
    return place / f"axptr/cli/__pycache__/together.{sys.implementation.cache_tag}.start"


def test_what_each_run_needs_is_loaded_in_one_go_once_it_was_written_down(copy: Path) -> None:
    first, second = started(copy, SAYS).split(), started(copy, SAYS).split()
    assert first == second
    assert {f"axptr.{name}" for name in together.NAMES.split()} <= {*first}
    assert second[-1] == "0", "no module had to be looked for by another"
    unwritten = started(copy, SAYS, options=("-B",)).split()
    assert unwritten == first
    one_file(copy).unlink()
    assert "axptr.linux.api" not in started(copy, SAYS, options=("-B",)).split()
    assert not one_file(copy).exists()


def test_modules_loaded_in_one_go_are_as_the_import_system_makes_them(copy: Path) -> None:
    told = """
import importlib.util
for name in sorted(name for name in sys.modules if name.startswith("axptr.")):
    module = sys.modules[name]
    spec = module.__spec__
    print(name, module.__name__, module.__package__, module.__file__, getattr(module, "__cached__", None),
        getattr(module, "__path__", None), spec.name, spec.origin, spec.has_location, spec.cached, spec.parent,
        spec.submodule_search_locations, spec._initializing, isinstance(module.__loader__, type(spec.loader)),
        getattr(sys.modules[name.rpartition(".")[0]], name.rpartition(".")[2]) is module,
        sorted({*vars(module)} - {"annotations", "__annotations__"}))
"""
    alone = "import axptr._core.host.starting, axptr.linux.api, axptr.engine.native, " + ", ".join(
        f"axptr.{name}" for name in together.NAMES.split()
    )
    slow = "sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != 'QuickFinder']"
    started(copy)
    at_once = started(copy, alone, told)
    one_by_one = started(copy, slow, alone, told, options=("-X", "importtime"))
    plain = [line for line in one_by_one.splitlines() if line.startswith("axptr.")]
    assert not [pair for pair in zip(at_once.splitlines(), plain, strict=True) if pair[0] != pair[1]]


LISTENS = """
import ctypes, sys
class Arenas(ctypes.Structure):
    _fields_ = [("context", ctypes.c_void_p), ("alloc", ctypes.c_void_p), ("free", ctypes.c_void_p)]
def arenas():
    found = Arenas()
    ctypes.pythonapi.PyObject_GetArenaAllocator(ctypes.byref(found))
    return found.context, found.alloc, found.free
told, allocators, first = [], [], arenas()
def hear(event, args):
    if event == "import" and args[0].startswith("axptr._core.") and args[1] is not None:
        told.append(args)
        allocators.append(arenas())
sys.addaudithook(hear)
"""


def test_who_listens_hears_of_each_module_of_the_core(copy: Path) -> None:
    """As the import system tells of the first of them: name and library."""
    started(copy)
    look = """
there = sorted(name for name, made in sys.modules.items() if (getattr(made, "__file__", None) or "") == told[0][1])
assert sorted(one[0] for one in told) == there and len(there) > 40, there
assert {one[1:] for one in told} == {told[0][1:]}
print("right", told[0][0])
"""
    assert started(copy, look, before=LISTENS) == "right axptr._core.host.starting\n"


def test_arenas_of_a_start_come_with_their_pages_and_later_ones_as_before(copy: Path) -> None:
    """So do those that come after a start which failed."""
    started(copy)
    look = """
made = [one for one in allocators if one != first]
assert arenas() == first and made, "an allocator stayed, or none was there"
_, alloc, free = made[-1]
at = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)(alloc)(None, 1 << 20)
there = (ctypes.c_ubyte * 256)()
assert ctypes.CDLL(None).mincore(ctypes.c_void_p(at), ctypes.c_size_t(1 << 20), there) == 0
assert all(one & 1 for one in there), "pages that are to be had by a fault"
ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)(free)(first[0], at, 1 << 20)
print("right")
"""
    assert started(copy, look, before=LISTENS) == "right\n"
    fails = """
import atexit
def end():
    print("as before" if arenas() == first and any(one != first for one in allocators) else "another")
atexit.register(end)
def fail(event, args):
    if event == "import" and args[0] == "axptr._core.kernel.turns" and args[1] is not None:
        raise RuntimeError("not that one")
sys.addaudithook(fail)
"""
    assert "as before\n" in started(copy, before=LISTENS + fails, status=1)


@pytest.mark.parametrize("what", ["longer", "newer", "older", "gone"])
def test_a_source_that_has_changed_is_loaded_as_it_is(copy: Path, what: str) -> None:
    started(copy)
    before = one_file(copy).read_bytes()
    source = copy / "axptr/linux/ends.py"
    text = source.read_text()
    if what == "gone":
        source.unlink()
        assert "axptr.linux.ends" in started(copy, "import axptr.linux.api", status=1)
        return
    source.write_text(
        text + "changed = 1\n" if what == "longer" else text.replace('"""', "''\"", 1).replace("''\"", '"""')
    )
    when = {"longer": 1_000_000_000, "newer": 1_000_000_001, "older": 999_999_999}[what]
    os.utime(source, (when, when))
    said = started(copy, "print(hasattr(sys.modules['axptr.linux.ends'], 'changed'))")
    assert said.strip() == str(what == "longer")
    assert one_file(copy).read_bytes() != before
    assert started(copy, SAYS).split()[-1] == "0"


def test_a_file_that_is_damaged_or_of_another_place_is_not_taken_but_written_again(copy: Path, tmp_path: Path) -> None:
    started(copy)
    whole = one_file(copy).read_bytes()
    for damaged in (
        b"",
        whole[:16],
        whole[:100],
        whole[: len(whole) // 2],
        whole[:-1],
        b"xxxx" + whole[4:],
        whole[:16] + b"N",
    ):
        one_file(copy).write_bytes(damaged)
        assert started(copy, SAYS).split()[-1] == "0"
        written = one_file(copy).read_bytes()
        assert written[:8] == whole[:8]
        head = 12 + int.from_bytes(written[8:12], "little")  # what marshal shares, and so the size, differs by run
        assert len(marshal.loads(written[head:])) == len(together.NAMES.split())
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(copy / "axptr", elsewhere / "axptr")
    print_file = "print(sys.modules['axptr.linux.ends'].Death.__init__.__code__.co_filename)"
    assert started(elsewhere, print_file).strip() == str(elsewhere / "axptr/linux/ends.py")


def test_where_nothing_can_be_written_modules_are_loaded_one_by_one(copy: Path) -> None:
    started(copy)
    shutil.rmtree(copy / "axptr/cli/__pycache__")
    (copy / "axptr/cli/__pycache__").write_text("a file")
    said = started(copy, "import axptr.linux.api", SAYS).split()
    assert "axptr.linux.api" in said


def test_what_a_module_raises_comes_out_and_none_is_left_half_loaded(copy: Path) -> None:
    source = copy / "axptr/linux/system.py"
    source.write_text(source.read_text() + "\nimport os\nif 'BROKEN' in os.environ: raise ValueError('here')\n")
    started(copy)
    lines = [
        "import os",
        "for name in [*sys.modules]:",
        "    if name.startswith('axptr.linux') or name.startswith('axptr.engine'): del sys.modules[name]",
        "os.environ['BROKEN'] = '1'",
        "try: quick.load_all()",
        "except ValueError as error: print(error)",
        "print([name for name in sys.modules if name in ('axptr.linux', 'axptr.linux.system', 'axptr.linux.api')])",
        "print('axptr.linux.ends' in sys.modules)",
        "del os.environ['BROKEN']",
        "import axptr.linux.api",
    ]
    assert started(copy, *lines).split("\n")[:3] == ["here", "[]", "True"]


def test_a_name_that_a_module_does_not_have_cannot_be_imported_from_it(copy: Path) -> None:
    source = copy / "axptr/linux/system.py"
    text = source.read_text()
    source.write_text(text.replace("\nfrom . ", "\nfrom .ends import nothing_there\nfrom . "))
    said = started(copy, status=1)
    assert "cannot import name 'nothing_there' from 'axptr.linux.ends'" in said
    assert one_file(copy).exists()
    source.write_text(text.replace("\nfrom . ", "\nfrom . import strace as never_used\nfrom . "))
    alone = "print(sys.modules['axptr.linux.system'].never_used is sys.modules['axptr.linux.strace'])"
    assert started(copy, alone).strip() == "True"  # a module of a package, which nobody had loaded


def test_no_module_is_loaded_twice_where_the_order_is_not_as_they_import(copy: Path) -> None:
    """A new import in one of them makes it so, before the list is mended."""
    names = together.NAMES.split()
    names.remove("model")
    (copy / "axptr/cli/together.py").write_text(
        (copy / "axptr/cli/together.py").read_text() + f"\nNAMES = {' '.join([*names, 'model'])!r}\n"
    )
    same = "print(axptr.linux.api.Linux is not None, axptr.model.DataModel is axptr.pointers.check.LP64.__class__)"
    both = "print(sys.modules['axptr.model'].LP64 is sys.modules['axptr.pointers.check'].LP64)"
    started(copy)
    assert one_file(copy).exists()
    assert (
        started(copy, "import axptr.linux.api, axptr.model, axptr.pointers.check", same, both).split() == ["True"] * 3
    )
