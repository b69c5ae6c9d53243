"""setup.py: what is compiled again, what it says where it cannot compile, what a wheel and an sdist hold.

The builds here are of a copy with three small modules of the core: they import declarations (.pxd) of the others, and
those suffice.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import axptr

ROOT = Path(__file__).parent.parent
MODULES = ("cpu/metronome", "mm/journal", "paging/walk")
CORE = ROOT / "src/axptr/_core"
TOP = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "scripts/axptr")


def module(path: Path, core: Path) -> str:
    """`mm/journal` of its source in the core."""
    return str(path.relative_to(core)).split(".")[0]


def kept(path: Path) -> bool:
    return path.name == "__init__.py" or module(path, CORE) in MODULES


def copied(target: Path) -> Path:
    for name in TOP:
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, target / name)

    def unwanted(directory: str, names: list[str]) -> list[str]:
        core = Path(directory).is_relative_to(CORE)
        return [
            name
            for name in names
            if name.endswith((".so", ".egg-info"))
            or name == "__pycache__"
            or (
                core
                and name.endswith(".py")
                and module(Path(directory, name), CORE) not in MODULES
                and name != "__init__.py"
            )
        ]

    shutil.copytree(ROOT / "src", target / "src", ignore=unwanted)
    return target


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that was built in place."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: apt-get install gcc")
    target = copied(tmp_path_factory.mktemp("built"))
    setup(target, "build_ext", "--inplace")
    assert modules_in(library(target).read_bytes()) == set(compiled(target)) == set(MODULES)
    return target


def setup(where: Path, *arguments: str, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: text for name, text in os.environ.items() if name not in ("CC", "CFLAGS", "LDFLAGS")}
    done = subprocess.run(
        [sys.executable, "setup.py", *arguments],
        cwd=where, env=inherited | environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done


def library(where: Path) -> Path:
    (found,) = (where / "src/axptr/_core").rglob("*.so")
    return found


def modules_in(content: bytes) -> set[str]:
    """Those that a library has, by what starts each."""
    return {name for name in MODULES if b"PyInit_" + name.rpartition("/")[2].encode() + b"\0" in content}


def compiled(where: Path) -> dict[str, int]:
    """Module -> when it was compiled."""
    found = (where / "build").rglob("*.o")
    return {str(path.with_suffix("")).rpartition("/_core/")[2]: path.stat().st_mtime_ns for path in found}


def rebuilt(where: Path, **environment: str) -> set[str]:
    """Builds in place once more; which modules were compiled for it."""
    before, made = compiled(where), library(where).stat().st_mtime_ns
    setup(where, "build_ext", "--inplace", **environment)
    changed = {name for name, when in compiled(where).items() if when != before[name]}
    assert (library(where).stat().st_mtime_ns != made) == bool(changed)
    return changed


def written_later(where: Path, name: str) -> None:
    """As an editor would leave it, without waiting for the clock: all else is a minute older."""
    for found in where.rglob("*"):
        if found.is_file():
            status = found.stat()
            os.utime(found, ns=(status.st_atime_ns, status.st_mtime_ns - 60 * 10**9))
    os.utime(where / name)


def test_a_build_without_a_change_compiles_nothing(built: Path) -> None:
    assert rebuilt(built) == set()


def test_an_editable_install_compiles_nothing_again_though_its_cython_is_newer(built: Path, tmp_path: Path) -> None:
    """pip gives each build an installation of its own, whose declarations are younger than what was made of them."""
    cython = Path(importlib.import_module("Cython").__file__ or "").parent
    shutil.copytree(cython, tmp_path / "Cython", copy_function=shutil.copyfile)
    done = setup(built, "editable_wheel", "--dist-dir", str(tmp_path), PYTHONPATH=str(tmp_path))
    assert list(tmp_path.glob("*.whl"))
    assert "gcc -shared" in done.stdout
    assert "Cythonizing" not in done.stdout
    assert " -c build/" not in done.stdout


def test_a_changed_module_is_compiled_alone(built: Path) -> None:
    written_later(built, "src/axptr/_core/cpu/metronome.py")
    assert rebuilt(built) == {"cpu/metronome"}


def test_changed_declarations_compile_those_that_use_them(built: Path) -> None:
    written_later(built, "src/axptr/_core/paging/walk.pxd")
    changed = rebuilt(built)
    assert "paging/walk" in changed
    assert "cpu/metronome" not in changed


def test_changed_flags_compile_all(built: Path) -> None:
    assert rebuilt(built, CFLAGS="-DANYTHING") == set(MODULES)
    assert rebuilt(built, CFLAGS="-DANYTHING") == set()
    assert rebuilt(built) == set(MODULES)


def test_a_wheel_has_a_stripped_library_and_declarations_but_no_generated_c(built: Path, tmp_path: Path) -> None:
    setup(built, "-q", "bdist_wheel", "--dist-dir", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (content,) = (archive.read(name) for name in names if name.endswith(".so"))
    assert modules_in(content) == set(MODULES)
    assert b".debug_info" not in content
    assert b".symtab" not in content
    assert not [name for name in names if name.endswith((".c", ".o"))]
    assert {"axptr/py.typed", "axptr/_core/paging/walk.pxd", "axptr/_core/pointers/pointer.pyi"} <= set(names)
    assert all(name.startswith(("axptr/", "axptr-")) for name in names)


TAG = sys.implementation.cache_tag
COMPILES = """\
import sys
sys.addaudithook(lambda event, given: event == "compile" and given[1] and print(given[1], file=sys.stderr))
sys.path.insert(0, "src")
sys.argv = ["axptr", "run", "--", "/bin/true"]
from axptr.cli.main import main
main()
"""


def test_a_run_of_a_checkout_compiles_no_python_though_it_writes_none(tmp_path: Path) -> None:
    """PYTHONDONTWRITEBYTECODE is set in many containers."""
    shutil.copy(ROOT / "setup.py", tmp_path)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    subprocess.run([sys.executable, "-c", "import setup; setup.write_bytecode()"], cwd=tmp_path, check=True)
    run = [sys.executable, "-B", "-I", "-S", "-c", COMPILES]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    sources = [path for path in (tmp_path / "src").rglob("*.py") if path.name != "__init__.py"]
    assert not [path for path in sources if not (path.parent / "__pycache__" / f"{path.stem}.{TAG}.pyc").exists()]


def test_two_modules_of_one_name_are_refused(tmp_path: Path) -> None:
    (copied(tmp_path) / "src/axptr/_core/mm/walk.py").touch()
    done = setup(tmp_path, "build_ext", "--inplace", status=1)
    assert done.stderr.splitlines()[-1].startswith("axptr: modules of the core")
    assert "walk" in done.stderr


def test_what_is_installed_has_no_debug_information_and_no_generated_c() -> None:
    core = Path(axptr.__file__).parent / "_core"
    found = sorted(path.name for path in core.rglob("*.c"))
    assert found in ([], ["stub.c", "vdso.c"])  # what runs in the guest's process and in programs, in a checkout
    if "CFLAGS" not in os.environ:
        assert not [path.name for path in core.rglob("*.so") if b".debug_info" in path.read_bytes()]


def test_without_a_compiler_one_line_names_what_to_install_before_anything_is_made(tmp_path: Path) -> None:
    done = setup(copied(tmp_path), "build_ext", "--inplace", status=1, CC="/nowhere/cc -pthread")
    assert done.stderr.splitlines()[-1].startswith("axptr: no C compiler (/nowhere/cc), ")
    assert "apt-get install gcc" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "build").exists()


def test_without_the_headers_of_python_one_line_names_what_to_install(tmp_path: Path) -> None:
    (copied(tmp_path) / "blind.py").write_text(
        "import runpy, sys, sysconfig\n"
        "sysconfig.get_path = lambda name, *rest, **more: '/nowhere/include'\n"
        "sys.argv = ['setup.py', 'build_ext', '--inplace']\n"
        "runpy.run_path('setup.py', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "blind.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("axptr: no /nowhere/include/Python.h, Python's headers, ")
    assert "python3-dev" in done.stderr
    assert not (tmp_path / "build").exists()


def test_a_compiler_that_cannot_compile_is_told_with_its_own_words(tmp_path: Path) -> None:
    done = setup(copied(tmp_path), "build_ext", "--inplace", status=1, CFLAGS="-include nowhere.h")
    assert "nowhere.h" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_an_sdist_needs_no_compiler_and_is_the_repository(tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    for name in tracked:
        place = tmp_path / "copy" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place)
    junk = [tmp_path / "copy/src/axptr/_core/paging/walk.so", tmp_path / "copy/tests/__pycache__/fakes.cpython-311.pyc"]
    for path in junk:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    setup(tmp_path / "copy", "-q", "sdist", "--dist-dir", str(tmp_path), CC="/nowhere/cc")
    (found,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert tracked - held == set()
    added = {name for name in held - tracked if ".egg-info/" not in name}
    assert added == {"PKG-INFO", "setup.cfg"}
