"""What `axptr.cli.quick` does for each module of a start, compiled: a start has two hundred of them.

The one file with their code is mapped, not read, and what its sources are is asked of the host without an object each.
What a module imports of those before it is bound without a call of `__import__`, and modules of the core are had from
their library by name. Memory for all of it is asked of the host with its pages, which a fault each costs twice as much.

Not here: which file that is, what stands in it and who writes it (`axptr.cli.quick`, `axptr.cli.together`). This module
imports nothing of axptr: it is the first one of the core in a start.

Failure: `OSError` for a file that cannot be had, and whatever a module raises.
"""

import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader

import cython
from cython.cimports.axptr._core.host.starting import (
    O_DIRECTORY,
    O_PATH,
    RTLD_NOLOAD,
    PyMarshal_ReadObjectFromString,
    PyModule_ExecDef,
    PyModule_GetDef,
    PyUnicode_EncodeFSDefault,
    axptr_made,
    axptr_pages_at_once,
    axptr_pages_by_fault,
    fstatat,
)
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_GET_SIZE
from cython.cimports.cpython.dict import PyDict_GetItem
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.string import memcmp, memcpy
from cython.cimports.posix.dlfcn import RTLD_NOW, dlopen
from cython.cimports.posix.fcntl import O_CLOEXEC, O_RDONLY, open
from cython.cimports.posix.mman import MAP_FAILED, MAP_POPULATE, MAP_PRIVATE, PROT_READ, mmap, munmap
from cython.cimports.posix.stat import fstat, struct_stat
from cython.cimports.posix.unistd import close

_INIT = "/__init__.py"
_Module = type(sys)


def read(path: str, head: bytes, maker: tuple):
    """The modules in the file of that path; None if it is not there, begins otherwise, was made by another, or of
    sources that are others now. `ValueError`, `EOFError` or `TypeError` if it is damaged."""
    seen: struct_stat
    name: bytes = PyUnicode_EncodeFSDefault(path)
    fd: cython.int = open(name, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return None
    size: cython.Py_ssize_t = seen.st_size if fstat(fd, cython.address(seen)) == 0 else 0
    start: cython.Py_ssize_t = PyBytes_GET_SIZE(head) + 4
    where: cython.p_void = MAP_FAILED
    if size > start:
        where = mmap(cython.NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0)
    close(fd)
    if where == MAP_FAILED:
        return None
    axptr_pages_at_once()
    try:
        return _modules(cython.cast(cython.pointer(cython.const[cython.char]), where), size, start, head, maker)
    finally:
        axptr_pages_by_fault()
        munmap(where, size)


@cython.cfunc
def _modules(
    data: cython.pointer(cython.const[cython.char]),
    size: cython.Py_ssize_t,
    start: cython.Py_ssize_t,
    head: bytes,
    maker: tuple,
):
    length: uint32_t = 0
    if memcmp(data, PyBytes_AS_STRING(head), start - 4):
        return None
    memcpy(cython.address(length), data + start - 4, 4)
    if length > size - start:
        return None
    whose, root, sources = PyMarshal_ReadObjectFromString(data + start, length)
    if whose != maker:
        return None
    path: bytes = PyUnicode_EncodeFSDefault(root)
    at: cython.int = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)  # the way there is walked once
    if at < 0:
        return None
    try:
        for source, noted in sources:
            if not _is_as(at, source, noted):
                return None
    finally:
        close(at)
    return PyMarshal_ReadObjectFromString(data + start + length, size - start - length)


@cython.cfunc
@cython.exceptval(-1)
def _is_as(at: cython.int, source: str, noted: bytes) -> cython.bint:
    """Whether a source in that directory has the time and size that bytecode notes of it."""
    seen: struct_stat
    stamp: uint32_t[2]
    path: bytes = PyUnicode_EncodeFSDefault(source)
    if PyBytes_GET_SIZE(noted) != 8 or fstatat(at, path, cython.address(seen), 0):
        return False
    stamp[0] = cython.cast(uint32_t, seen.st_mtime)
    stamp[1] = cython.cast(uint32_t, seen.st_size)
    return memcmp(cython.address(stamp), PyBytes_AS_STRING(noted), 8) == 0


def load(modules: list, loader: type, suffix: str, library: str):
    """Enter and execute modules (name, source, code, imports; no code for those of the core's library) as the import
    system does, packages first: while their modules are loaded they are there. None is left half loaded.

    imports: (module, names, what they become here), which the code has no statements for: they would be its first.
    loader: of those that have a source. suffix: of their bytecode.
    """
    known: dict = sys.modules
    half = {module[0] for module in modules if module[0] not in known}
    modules = [module for module in modules if module[0] in half]
    path: bytes = PyUnicode_EncodeFSDefault(library)
    handle: cython.p_void = dlopen(path, RTLD_NOW | RTLD_NOLOAD)  # it is loaded: we are in it
    axptr_pages_at_once()
    try:
        for name, source, _, _ in modules:
            if source.endswith(_INIT):
                _enter(known, name, source, loader, suffix, True)
        for name, source, code, imports in modules:
            package: cython.bint = source.endswith(_INIT)
            if not package and name in known:
                half.remove(name)  # imported by one before it, which the order does not say: never a second one
                continue
            if code is None:
                module = _of_library(known, name, library, handle)
            else:
                module = known[name] if package else _enter(known, name, source, loader, suffix, False)
                _bind(known, module.__dict__, imports)
                exec(code, module.__dict__)
            half.remove(name)
            parent, _, last = name.rpartition(".")
            setattr(known[parent], last, module)
    except BaseException:
        for name in half:
            known.pop(name, None)
        raise
    finally:
        axptr_pages_by_fault()


@cython.cfunc
@cython.exceptval(-1)
def _bind(known: dict, names: dict, imports: tuple) -> cython.int:
    """What `from module import name as here` does, for all of them."""
    for whose, taken, here in imports:
        there = known.get(whose)
        theirs: dict = {} if there is None else there.__dict__
        for i in range(len(taken)):
            found = PyDict_GetItem(theirs, taken[i])
            names[here[i]] = (
                _imported(known, names, whose, taken[i]) if found is cython.NULL else cython.cast(object, found)
            )
    return 0


@cython.cfunc
def _imported(known: dict, names: dict, whose: str, name: str):
    """A name that the module does not have yet: it is made at first use, or is a module of a package."""
    module = __import__(whose, names, None, (name,), 0)
    try:
        return getattr(module, name)
    except AttributeError:
        found = known.get(f"{whose}.{name}")
        if found is None:
            raise ImportError(f"cannot import name {name!r} from {whose!r}", name=whose) from None
        return found


@cython.cfunc
def _enter(known: dict, name: str, source: str, loader: type, suffix: str, package: cython.bint):
    """A module that has nothing yet."""
    folder, _, last = source.rpartition("/")
    spec = ModuleSpec(name, loader(name, source), origin=source, is_package=package)
    spec._set_fileattr, spec._initializing = True, False
    spec._cached = cached = f"{folder}/__pycache__/{last[: len(last) - 3]}{suffix}"
    module = known[name] = _Module(name)
    names: dict = module.__dict__
    if package:
        names["__path__"] = spec.submodule_search_locations = [folder]
    names["__spec__"] = spec
    names["__loader__"] = spec.loader
    names["__package__"] = name if package else name.rpartition(".")[0]
    names["__file__"] = source
    names["__cached__"] = cached
    return module


@cython.cfunc
def _of_library(known: dict, name: str, library: str, handle: cython.p_void):
    """One of the core, which `axptr._core` finds in its library."""
    spec = ModuleSpec(name, ExtensionFileLoader(name, library), origin=library)
    spec._set_fileattr, spec._initializing = True, False
    init: bytes = f"PyInit_{name.rpartition('.')[2]}".encode()
    axptr_told(name, library)
    module = axptr_made(handle, init, spec)
    names: dict = module.__dict__
    names["__spec__"] = spec
    names["__loader__"] = spec.loader
    names["__package__"] = name.rpartition(".")[0]
    names["__file__"] = library
    known[name] = module
    PyModule_ExecDef(module, PyModule_GetDef(module))
    return module
