"""Compiles the core: every module under src/axptr/_core is Python syntax that Cython turns into C.

Everything else about the package stands in pyproject.toml. Modules are translated and compiled on all processors, the
largest first; only those that changed, or whose declarations (.pxd) did, or all when the flags did. A compile error
fails the install; what the machine lacks for compiling is said in one line before anything is translated.

What `CFLAGS` says comes last, after our own flags, and then nothing is stripped: who sets it wants to debug or to
package.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

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
FLAGS = ["-O2", "-g0", "-fno-strict-aliasing", "-fno-plt", "-Wno-unused-function", *CFLAGS]
LINK_FLAGS = [] if CFLAGS else ["-Wl,-s"]
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
        workers = self.parallel if isinstance(self.parallel, int) and self.parallel > 1 else processors()
        flags = f"{sorted(DIRECTIVES.items())}\n{FLAGS}\n{LINK_FLAGS}\n"
        self.force = self.force or (NOTE.exists() and NOTE.read_text() != flags)
        self._translate(workers)
        # Each thread asks where its module goes, and would finalize this command by itself.
        self.get_finalized_command("build_py")
        self.parallel = workers
        super().run()
        NOTE.write_text(flags)

    def _translate(self, workers):
        """Turns Python into C and gives each extension its C file."""
        from Cython.Build import cythonize

        made = cythonize(
            self.extensions,
            nthreads=workers if workers > 1 else 0,
            force=self.force,
            build_dir=str(GENERATED),
            include_path=[str(SOURCE)],
            compiler_directives=DIRECTIVES,
        )
        sources = {extension.name: extension.sources for extension in made}
        for extension in self.extensions:
            extension.sources = sources[extension.name]


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


def core():
    """The modules of the core, the largest first: the last to end is then a small one."""
    found = [path for path in CORE.rglob("*.py") if path.stem != "__init__"]
    return [
        Extension(
            ".".join(path.relative_to(SOURCE).with_suffix("").parts),
            [str(path)],
            extra_compile_args=list(FLAGS),
            extra_link_args=list(LINK_FLAGS),
            libraries=["dl", "pthread"],
        )
        for path in sorted(found, key=lambda path: (-path.stat().st_size, path))
    ]


if __name__ == "__main__":  # workers that are not forked import this file
    setup(ext_modules=core(), cmdclass={"build_ext": BuildCore})
