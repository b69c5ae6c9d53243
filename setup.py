"""Compiles the core: every module under src/axptr/_core is Python syntax that Cython turns into C.

Everything else about the package stands in pyproject.toml. Modules are translated and compiled on all processors, the
largest first; only those that changed, or whose declarations (.pxd) did, or all when the flags did. They become one
library (`axptr._core` says why). A compile error fails the install; what the machine lacks for compiling is said in one
line before anything is translated.

What all modules share is read once: Cython reads the declarations before a process is forked for each module, the
compiler Python's headers into a precompiled one.

What `CFLAGS` says comes last, after our own flags, and then nothing is stripped: who sets it wants to debug or to
package.
"""

import gc
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

gc.disable()
"""Cython's trees live until a module is written: the collector would walk them over and over, half of its time."""

SOURCE = Path("src")
CORE = SOURCE / "axptr" / "_core"
GENERATED = Path("build/cython")
NOTE = GENERATED / "flags"  # those that what stands there, and in place, was made with
CFLAGS = shlex.split(os.environ.get("CFLAGS", ""))
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "auto_pickle": False,
    "binding": False,
    "embedsignature": True,
}
FLAGS = ["-O1", "-g0", "-fno-strict-aliasing", "-fno-plt", "-pipe", "-w"]
"""No warnings: looking for them is a tenth of the compiler's time, and what there is to warn of in C that was made of
Python is said by Cython."""
HOT = {
    "areas",
    "blocks",
    "codec",
    "codescan",
    "elements",
    "frames",
    "mmu",
    "paging",
    "pointer",
    "store",
    "transfer",
    "walk",
}
"""Modules in which a byte is a few instructions away. In the others -O2, which takes half as long again to compile,
changes no benchmark: what they do is calls of Python's own functions."""
HOT_FLAGS = [*FLAGS, "-O2", *CFLAGS]
COLD_FLAGS = [
    *FLAGS,
    "-fno-tree-pta",
    "-fno-tree-bit-ccp",
    "-fno-tree-dse",
    "-fno-tree-dominator-opts",
    "-fno-if-conversion",
    "-fno-if-conversion2",
    *CFLAGS,
]
"""Without the passes that find next to nothing in what Cython writes, where each step is a call, but are a seventh of
the compiler's time. (`-Og` is a quarter, and costs guests 3 percent of each system call.)"""
LINK_FLAGS = [] if CFLAGS else ["-Wl,-s"]
FIRST = """\
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <compile.h>
#include <frameobject.h>
#include <pythread.h>
#include <traceback.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __attribute__((noinline, unused)) void axptr_xdecref(PyObject *it) { Py_XDECREF(it); }
#undef Py_XDECREF
#define Py_XDECREF(it) axptr_xdecref((PyObject *)(it))

static __attribute__((noinline, unused)) PyObject *axptr_import(const char *name)
{
    PyObject *key = PyUnicode_FromString(name), *module = key ? PyImport_GetModule(key) : NULL;
    Py_XDECREF(key);
    if (module && module != Py_None)
        return module;
    Py_XDECREF(module);
    return PyErr_Occurred() ? NULL : PyImport_ImportModule(name);
}
#define PyImport_ImportModule axptr_import
"""
"""What each module begins with. References that may be none are dropped where a function ends by an error, and there
are hundreds in a module: a call of each is less to compile than the look at a counter. A module imports a dozen others,
which as a rule are there: to look is a tenth of what a call of `__import__` costs, and a start makes a thousand."""
COLD = f"""\
{FIRST}
static __attribute__((noinline, unused)) void axptr_decref(PyObject *it) {{ Py_DECREF(it); }}
#undef Py_DECREF
#define Py_DECREF(it) axptr_decref((PyObject *)(it))
"""
"""What those begin with that are not hot."""
NATIVE = CORE / "cpu" / "native"
IN_GUEST = [
    "-O2",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-stack-protector",
    "-fcf-protection=none",
    "-mgeneral-regs-only",
]
"""Of what runs in the guest's process, where there is no library, and whose vector registers are the guest's."""
STUB_FLAGS = [
    *IN_GUEST,
    "-mno-red-zone",
    "-fpie",
    "-fno-asynchronous-unwind-tables",
    "-fno-tree-vectorize",
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none,--oformat,binary",
]
GNU_STUB_FLAGS = ["-fno-tree-loop-distribute-patterns"]
VDSO_FLAGS = [
    *IN_GUEST,
    "-fPIC",
    "-fasynchronous-unwind-tables",
    "-nostdlib",
    "-shared",
    "-Wl,--hash-style=both,--build-id=sha1,--eh-frame-hdr,-Bsymbolic,-soname=linux-vdso.so.1",
    "-Wl,-z,max-page-size=4096,-z,noexecstack,--no-undefined,-s",
]
NEEDED = """\
#include <Python.h>
#include <sys/mman.h>
int axptr_builds(void) { return PY_VERSION_HEX != 0; }
"""
PACKAGES = (
    "Debian, Ubuntu: apt-get install gcc libc6-dev python3-dev; Fedora: dnf install gcc glibc-devel python3-devel"
)


class BuildCore(build_ext):
    """`build_ext` that looks for a compiler first, then translates and compiles on all processors."""

    def finalize_options(self):
        """Keeps what was compiled: an editable install would put it where the next one, with more extras, finds nothing
        of it."""
        super().finalize_options()
        if getattr(self, "editable_mode", False):
            self.build_temp = f"build/temp.{self.plat_name}-{sys.implementation.cache_tag}{sys.abiflags}"

    def run(self):
        refuse_where_it_cannot_run()
        refuse_without_compiler()
        self.workers = self.parallel if isinstance(self.parallel, int) and self.parallel > 1 else processors()
        tools = f"{version('cython')} {os.environ.get('CC')}\n{sorted(DIRECTIVES.items())}"
        flags = f"{tools}\n{HOT_FLAGS}\n{COLD_FLAGS}\n{sorted(HOT)}\n{LINK_FLAGS}\n{COLD}"
        self.force = self.force or (NOTE.exists() and NOTE.read_text() != flags)
        GENERATED.mkdir(parents=True, exist_ok=True)
        super().run()
        NOTE.write_text(flags)
        if self.inplace or getattr(self, "editable_mode", False):
            write_bytecode()

    def build_extension(self, ext):
        """Translates and compiles what is older than its source, and links all."""
        for copy in (GENERATED / NATIVE).glob("*.h"):  # Cython's, which the compiler would take for the header itself
            copy.unlink()
        with ThreadPoolExecutor(2) as beside:
            made = [
                beside.submit(self.make_guest_code),
                beside.submit(self.make_header, "hot.h", FIRST, HOT_FLAGS),
                beside.submit(self.make_header, "cold.h", COLD, COLD_FLAGS),
            ]
            translations = Translations(ext.sources, self.force)
            for one in made:
                one.result()
        c = {source: str(GENERATED / Path(source).with_suffix(".c")) for source in ext.sources}
        objects = self.compiler.object_filenames([*c.values()], output_dir=self.build_temp)
        headers = [*map(str, NATIVE.glob("*.h")), *map(str, GENERATED.glob("*_bytes.h"))]
        stale = [
            source
            for source, made in zip(ext.sources, objects, strict=True)
            if self.force
            or source in translations.stale
            or newer_group([c[source], *(headers if str(NATIVE) in source else ())], made)
        ]
        for made in objects:
            Path(made).parent.mkdir(parents=True, exist_ok=True)

        def build(source):
            translations.make(source)
            hot = Path(source).stem in HOT
            flags = HOT_FLAGS if hot else COLD_FLAGS
            self.compiler.compile(
                [c[source]],
                output_dir=self.build_temp,
                extra_postargs=["-include", str(GENERATED / ("hot.h" if hot else "cold.h")), *flags],
                include_dirs=[str(NATIVE), str(GENERATED)],
            )

        in_processes(build, stale, self.workers)
        library = self.get_ext_fullpath(ext.name)
        if self.force or newer_group(objects, library):
            self.compiler.link_shared_object(
                objects, library, libraries=self.get_libraries(ext), extra_postargs=LINK_FLAGS
            )

    def make_header(self, name, text, flags):
        """What modules begin with, precompiled: for this compiler and this Python."""
        header, done = GENERATED / name, GENERATED / f"{name}.gch"
        folders = {sysconfig.get_path("include"), sysconfig.get_path("platinclude")}
        command = [*self.compiler.compiler_so, *(f"-I{folder}" for folder in sorted(folders)), *flags]
        text = f"/* {sys.version}\n{shlex.join(command)} */\n{text}"
        if self.force or not done.exists() or header.read_text() != text:
            header.write_text(text)
            subprocess.run([*command, "-x", "c-header", str(header), "-o", str(done)], check=True)

    def make_guest_code(self):
        """Compiles what runs beside a guest and in it, the stub and the vDSO: bytes in modules of the engine."""
        gnu = [] if "clang" in self.compiler.compiler_so[0] else GNU_STUB_FLAGS
        self.make_bytes("nat_text", "stub", ["stub.c", "channel.h", "stub.ld"], [*STUB_FLAGS, *gnu])
        self.make_bytes("nat_vdso", "vdso", ["vdso.c", "clock.h", "vdso.ld"], VDSO_FLAGS)

    def make_bytes(self, name, stem, files, flags):
        """A header with the bytes of one of them: of the first file, by the last, a linker's script."""
        flat, target = GENERATED / f"{stem}.bin", GENERATED / f"{stem}_bytes.h"
        sources = [str(NATIVE / file) for file in files]
        if not self.force and not newer_group(sources, str(target)):
            return
        text = b""  # they are there for this one architecture, and say so elsewhere
        if platform.machine() == "x86_64":
            compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
            subprocess.run([*compiler, *flags, sources[0], "-T", sources[-1], "-o", str(flat)], check=True)
            text = flat.read_bytes()
        rows = "".join(f"    {', '.join(map(str, text[i : i + 20]))},\n" for i in range(0, len(text), 20))
        size = f"static const size_t {name}_size = {len(text)};"
        target.write_text(f"static const unsigned char {name}[] = {{\n{rows or 0}}};\n{size}\n")


class Translations:
    """Turns Python into C, a module at a time, after Cython has found out which are stale.

    It would read the declarations of a module's imports once more for each, which is half of its time: here they are
    read before processes are forked, and a process makes one module of what it finds.
    """

    def __init__(self, sources, force):
        from Cython.Build import Dependencies
        from Cython.Compiler import Options

        # Cython's own declarations are as old as its installation, which may be one for this build alone
        Dependencies.DependencyTree.timestamp = lambda tree, file: timestamp(file)
        Options.emit_code_comments = False  # nobody reads them, and they are a fifth of what is written
        self.stale = {}
        self.translate = Dependencies.cythonize_one
        Dependencies.cythonize_one = lambda source, *rest: self.stale.update({source: rest})
        Dependencies.cythonize(
            [Extension(module(source), [source]) for source in sources],
            force=force,
            build_dir=str(GENERATED),
            include_path=[str(SOURCE)],
            compiler_directives=DIRECTIVES,
        )
        Dependencies.cythonize_one = self.translate
        self.context = None
        if len(self.stale) > 1:
            try:
                self.read_declarations()
            except Exception:  # another Cython has other insides, or there is an error in them, of which it tells
                self.context = None

    def read_declarations(self):
        from Cython.Build import Dependencies
        from Cython.Compiler import Errors, Main

        Errors.init_thread()
        rest = next(iter(self.stale.values()))
        options = next(it for it in rest if isinstance(it, Main.CompilationOptions))
        context = Main.Context.from_options(options)
        self.tree = Dependencies.create_dependency_tree()
        self.names = {}
        for path in sorted(CORE.rglob("*.pxd")):
            if path.stem != "__init__":
                self.names[str(path)] = module(path)
                context.find_module(module(path))
        if not Errors.get_errors_count():
            self.context = context

    def make(self, source):
        """In a process of its own."""
        if source not in self.stale:
            return
        if self.context is not None:
            from Cython.Compiler import Main

            files = {os.path.relpath(file) for file in self.tree.all_dependencies(source)}
            others = {name for file, name in self.names.items() if file not in files}
            self.context.pxds = {name: it for name, it in self.context.pxds.items() if name not in others}
            Main.Context.from_options = lambda options: self.context
        self.translate(source, *self.stale[source])


@cache
def timestamp(file):
    """When a source of ours was changed; of anybody else's nothing is ever newer than what was made of it."""
    return os.path.getmtime(file) if SOURCE.resolve() in Path(file).resolve().parents else 0


def in_processes(work, items, workers):
    """Calls `work` with each of them in a process that is forked for it; ends all where one fails."""
    waiting, running, failed = [*reversed(items)], {}, []
    sys.stdout.flush()
    while running or (waiting and not failed):
        if waiting and not failed and len(running) < workers:
            item = waiting.pop()
            process = os.fork()
            if not process:
                call_and_exit(work, item)
            running[process] = item
        else:
            process, status = os.wait()
            if (item := running.pop(process, None)) and status:
                failed.append(item)
    if failed:
        sys.exit(f"axptr: not compiled: {', '.join(failed)}")


def call_and_exit(work, item):
    status = 1
    try:
        work(item)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def write_bytecode():
    """Of a checkout, all of it and the one file of what each run loads, as installers write that of a package: in many
    containers nobody else may (PYTHONDONTWRITEBYTECODE), and each run would compile what it needs."""
    package = SOURCE.resolve() / "axptr"
    subprocess.run([sys.executable, "-I", "-S", "-m", "compileall", "-q", "-j0", str(package)], check=True)
    script = "import sys; sys.path.insert(0, sys.argv[1]); import axptr.cli.run, axptr.cli.together as it; it.write()"
    subprocess.run([sys.executable, "-I", "-S", "-c", script, str(package.parent)], check=True)


def processors():
    """How many this process may use: a container's may be fewer than the machine's."""
    return len(os.sched_getaffinity(0))


def refuse_where_it_cannot_run():
    """The core maps memory as Linux does, and its locks lean on the interpreter's."""
    if not sys.platform.startswith("linux") or platform.python_implementation() != "CPython":
        sys.exit(f"axptr: runs on Linux with CPython, not on {sys.platform} with {platform.python_implementation()}")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        sys.exit("axptr: does not support a free-threaded Python yet: use one with the global interpreter lock")


def refuse_without_compiler():
    """Compiles and links five words, so that what is missing is named here and not by a hundred lines of errors."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        sys.exit(f"axptr: no C compiler ({compiler[0]}), which compiling the core needs. {PACKAGES}")
    includes = {sysconfig.get_path("include"), sysconfig.get_path("platinclude")}
    headers = [Path(directory) / "Python.h" for directory in sorted(includes)]
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "needed.c")
        source.write_text(NEEDED)
        command = [*compiler, "-shared", "-fPIC", *CFLAGS, *(f"-I{header.parent}" for header in headers)]
        tried = subprocess.run(
            [*command, str(source), "-o", str(source.with_suffix(".so"))], capture_output=True, text=True
        )
    if tried.returncode == 0:
        return
    if not any(header.exists() for header in headers):
        sys.exit(f"axptr: no {headers[0]}, Python's headers, which compiling the core needs. {PACKAGES}")
    said = next((line for line in tried.stderr.splitlines() if "error" in line), tried.stderr.strip())
    sys.exit(f"axptr: {compiler[0]} cannot compile five words of C ({said}). {PACKAGES}")


def module(source):
    """`axptr._core.mm.space` for the path of its source."""
    return ".".join(Path(source).relative_to(SOURCE).with_suffix("").parts)


def core():
    """The library of all modules of the core, the largest first: the last to be compiled is then a small one."""
    found = [path for path in CORE.rglob("*.py") if path.stem != "__init__"]
    names = Counter(path.stem for path in found)
    if twice := [name for name, count in names.items() if count > 1]:
        sys.exit(f"axptr: modules of the core have names of their own in one library: {', '.join(twice)}")
    sources = [str(path) for path in sorted(found, key=lambda path: (-path.stat().st_size, path))]
    return Extension("axptr._core.library", sources, libraries=["dl", "pthread"])


if __name__ == "__main__":  # workers that are not forked import this file
    setup(ext_modules=[core()], cmdclass={"build_ext": BuildCore})
