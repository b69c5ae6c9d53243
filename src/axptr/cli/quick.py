"""Finds axptr's own modules for the command, in half the time that the import system takes: a run loads many of them.

The import system lists every directory and tries every kind of file. Here the bytecode of a module is opened where it
has to be, and is taken if it is that of the source beside it, by time and size (PEP 3147, PEP 552). Whatever is not so
is left to the import system: a module without bytecode, which it then writes, bytecode checked by a hash, an archive.

Not for programs that import axptr: they have their own ideas of finders, and time.
"""

from __future__ import annotations

import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader
from marshal import loads
from posix import close, fstat, read, stat
from posix import open as open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

_PACKAGE = __package__.partition(".")[0] + "."
_COMPILED = _PACKAGE + "_core."  # of these the packages alone are Python's
_HEAD = MAGIC_NUMBER + bytes(4)  # no hash
_O_CLOEXEC = 0o2000000
_LOW32 = 0xFFFF_FFFF


class _Loader(SourceFileLoader):
    """Has the code already."""

    code: CodeType | None = None

    def get_code(self, fullname: str) -> CodeType | None:
        code, self.code = self.code, None  # once: a reload looks again
        return code if code is not None else super().get_code(fullname)


class QuickFinder:
    """Of the modules of this package, those whose bytecode is good."""

    def __init__(self) -> None:
        self._suffix = f".{sys.implementation.cache_tag}.pyc"

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if path is None or not name.startswith(_PACKAGE):
            return None
        for folder in path:
            at = f"{folder}/{name.rpartition('.')[2]}"
            spec = None
            if not name.startswith(_COMPILED):
                spec = self._spec(name, folder, at + ".py", at[len(folder) :])
            spec = spec or self._spec(name, at, at + "/__init__.py", "/__init__", at)
            if spec is not None:
                return spec
        if not sys.dont_write_bytecode and _files_are_limited():
            sys.dont_write_bytecode = True
        return None

    def _spec(self, name: str, folder: str, source: str, last: str, package: str = "") -> ModuleSpec | None:
        """The module of a source, if its bytecode is there and is of this source as it is."""
        cached = f"{folder}/__pycache__{last}{self._suffix}"
        try:
            fd = open_file(cached, _O_CLOEXEC)
            try:
                data = read(fd, fstat(fd).st_size)
            finally:
                close(fd)
            status = stat(source)
        except OSError:
            return None
        now = (int(status.st_mtime) & _LOW32).to_bytes(4, "little") + (status.st_size & _LOW32).to_bytes(4, "little")
        if data[:16] != _HEAD + now:
            return None
        loader = _Loader(name, source)
        try:
            loader.code = loads(memoryview(data)[16:])
        except (EOFError, ValueError, TypeError):
            return None
        spec = ModuleSpec(name, loader, origin=source, is_package=bool(package))
        spec.has_location = True
        spec.cached = cached
        if package:
            spec.submodule_search_locations = [package]
        return spec


def _files_are_limited() -> bool:
    """Whether files may only grow so far (RLIMIT_FSIZE). The import system does not notice that what it wrote was cut
    short (`_write_atomic` of importlib), and the next run would stumble over half a module."""
    try:
        fd = open_file("/proc/self/limits", _O_CLOEXEC)
        try:
            text = read(fd, 4096)
        finally:
            close(fd)
    except OSError:
        return False
    return b"Max file size             unlimited" not in text


def install() -> None:
    """From now on; nothing where bytecode lies elsewhere or is of another kind."""
    if sys.pycache_prefix is None and not sys.flags.optimize:
        sys.meta_path.insert(0, QuickFinder())
    elif _files_are_limited():
        sys.dont_write_bytecode = True
