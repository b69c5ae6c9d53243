"""Compiles the core: every module under src/axptr/_core is Python syntax that Cython turns into C.

Everything else about the package stands in pyproject.toml. Modules are translated and compiled on all processors, the
largest first; only those that changed, or whose declarations (.pxd) did, or all when the flags did. They become one
library (`axptr._core` says why). A compile error fails the install; what the machine lacks for compiling is said in one
line before anything is translated.

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
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
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
FLAGS = ["-O1", "-g0", "-fno-strict-aliasing", "-fno-plt", "-pipe", "-w", *CFLAGS]
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
HOT_FLAGS = ["-O2", *CFLAGS]
LINK_FLAGS = [] if CFLAGS else ["-Wl,-s"]
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
    "-fno-tree-loop-distribute-patterns",
    "-fno-tree-vectorize",
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none,--oformat,binary",
]
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

    def run(self):
        refuse_where_it_cannot_run()
        refuse_without_compiler()
        self.workers = self.parallel if isinstance(self.parallel, int) and self.parallel > 1 else processors()
        flags = f"{sorted(DIRECTIVES.items())}\n{FLAGS}\n{sorted(HOT)}\n{LINK_FLAGS}\n"
        self.force = self.force or (NOTE.exists() and NOTE.read_text() != flags)
        (library,) = self.extensions
        self.make_guest_code()
        library.sources = self.translate(library.sources)
        super().run()
        NOTE.write_text(flags)
        if self.inplace or getattr(self, "editable_mode", False):
            write_start()

    def make_guest_code(self):
        """Compiles what runs beside a guest and in it, the stub and the vDSO: bytes in modules of the engine."""
        GENERATED.mkdir(parents=True, exist_ok=True)
        for copy in (GENERATED / NATIVE).glob("*.h"):  # Cython's, which the compiler would take for the header itself
            copy.unlink()
        self.make_bytes("nat_text", "stub", ["stub.c", "channel.h", "stub.ld"], STUB_FLAGS)
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

    def translate(self, sources):
        """Turns Python into C; the C files, in the same order."""
        from Cython.Build import cythonize
        from Cython.Compiler import Options

        Options.emit_code_comments = False  # nobody reads them, and they are a fifth of what is written
        made = cythonize(
            [Extension(module(source), [source]) for source in sources],
            nthreads=self.workers if self.workers > 1 else 0,
            force=self.force,
            build_dir=str(GENERATED),
            include_path=[str(SOURCE)],
            compiler_directives=DIRECTIVES,
        )
        where = {extension.name: extension.sources[0] for extension in made}
        return [where[module(source)] for source in sources]

    def build_extension(self, ext):
        """Compiles what is older than its source, and links all."""
        objects = {
            source: self.compiler.object_filenames([source], output_dir=self.build_temp)[0] for source in ext.sources
        }
        headers = [*map(str, NATIVE.glob("*.h")), *map(str, GENERATED.glob("*_bytes.h"))]
        stale = [
            source
            for source, made in objects.items()
            if self.force or newer_group([source, *(headers if str(NATIVE) in source else ())], made)
        ]
        folders = [str(NATIVE), str(GENERATED)]

        def compiled(source):
            stem = Path(source).stem
            flags = FLAGS + (HOT_FLAGS if stem in HOT else [])
            self.compiler.compile([source], output_dir=self.build_temp, extra_postargs=flags, include_dirs=folders)

        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(compiled, stale))
        library = self.get_ext_fullpath(ext.name)
        if self.force or newer_group(objects.values(), library):
            self.compiler.link_shared_object(
                list(objects.values()), library, libraries=self.get_libraries(ext), extra_postargs=LINK_FLAGS
            )


def write_start():
    """The bytecode of what a run of a checkout loads, as installers write that of a package: whoever has none written
    finds it there."""
    script = "import sys; sys.path.insert(0, sys.argv[1]); import axptr.cli.run, axptr.cli.together as it; it.write()"
    subprocess.run([sys.executable, "-I", "-S", "-c", script, str(SOURCE.resolve())], check=True)


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
