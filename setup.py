"""Compiles the core: every module under src/axptr/_core is Python syntax that Cython turns into C.

Everything else about the package stands in pyproject.toml. A compile error fails the install.
"""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

CORE = Path("src/axptr/_core")

extensions = [
    Extension(
        f"axptr._core.{source.stem}",
        [str(source)],
        extra_compile_args=["-O3", "-fno-strict-aliasing", "-fno-plt", "-Wno-unused-function"],
        libraries=["dl", "pthread"],
    )
    for source in sorted(CORE.glob("*.py"))
    if source.stem != "__init__"
]

setup(
    ext_modules=cythonize(
        extensions,
        build_dir="build/cython",
        include_path=["src"],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "auto_pickle": False,
            "binding": False,
            "embedsignature": True,
        },
    ),
)
