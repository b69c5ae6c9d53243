"""The Unicorn library by its C interface: one table of function pointers.

The library is opened by path and looked up by name, without the Python binding, whose import costs more than
all the rest of a short run. The numbers in `uclib.pxd` are those of unicorn.h and x86.h, version 2.

To open it takes half of what Python's modules take, most of it relocations: `preload` has a thread do that meanwhile,
which never takes the GIL, and in which all signals are blocked.

Not here: where the library lies (`axptr.engine.unicorn`), what is done with it (`unicorn`).

Failure: `OSError` if the library cannot be opened, `RuntimeError` if it lacks a function or is another
version.
"""

import cython
from cython.cimports.axptr._core.cpu.metronome import (
    SIG_SETMASK,
    pthread_create,
    pthread_sigmask,
    pthread_t,
    sigfillset,
    sigset_t,
)
from cython.cimports.axptr._core.cpu.unicorn.uclib import Api, pthread_join
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.posix.dlfcn import RTLD_LAZY, RTLD_LOCAL, dlerror, dlopen, dlsym

_path = None
_api = cython.declare(Api)
_early = None  # the path that a thread is opening
_opener = cython.declare(pthread_t)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _open(path: cython.p_void) -> cython.p_void:
    return dlopen(cython.cast(cython.p_char, path), RTLD_LAZY | RTLD_LOCAL)


def preload(path: str):
    """Have a thread open the library, for `load` to find; nothing is raised, nor kept where there is no thread.

    For a process that forks no other until it has made its first CPU.
    """
    global _early
    blocked: sigset_t
    before: sigset_t
    if _path is not None or _early is not None:
        return
    encoded = path.encode("utf-8", "surrogateescape")
    sigfillset(cython.address(blocked))
    pthread_sigmask(SIG_SETMASK, cython.address(blocked), cython.address(before))
    if (
        pthread_create(
            cython.address(_opener),
            cython.NULL,
            _open,
            cython.cast(cython.p_void, cython.cast(cython.p_char, encoded)),
        )
        == 0
    ):
        _early = encoded
    pthread_sigmask(SIG_SETMASK, cython.address(before), cython.NULL)


@cython.cfunc
@cython.exceptval(-1, check=False)
def load(path: str) -> cython.int:
    """Open the library at `path`, for `loaded()`. The first path given serves the whole process."""
    global _path, _early
    unused: cython.p_void = cython.NULL
    if _path is not None:
        return 0
    if _early is not None:
        with cython.nogil:
            pthread_join(_opener, cython.address(unused))
        _early = None
    encoded = path.encode("utf-8", "surrogateescape")
    library: cython.p_void = _open(cython.cast(cython.p_void, cython.cast(cython.p_char, encoded)))
    if library == cython.NULL:
        raise OSError(f"cannot load the Unicorn library: {dlerror().decode(errors='replace')}")
    # Each member of Api is a pointer to a function; the order here is the order there.
    names = (
        b"version open close ctl strerror hook_add hook_del mem_map_ptr mmio_map emu_start emu_stop reg_read reg_write "
        b"reg_read_batch reg_write_batch context_alloc context_free context_save context_restore context_reg_read context_reg_write"
    ).split()
    slots = cython.cast(cython.pointer(cython.p_void), cython.address(_api))
    if len(names) * cython.sizeof(cython.p_void) != cython.sizeof(Api):
        raise RuntimeError("the table of Unicorn functions does not match its declaration")
    for i in range(len(names)):
        name: bytes = b"uc_" + names[i]
        slots[i] = dlsym(library, cython.cast(cython.p_char, name))
        if slots[i] == cython.NULL:
            raise RuntimeError(f"the Unicorn library at {path} has no function {name.decode()}")
    version: uint32_t = _api.version(cython.NULL, cython.NULL)
    numbers = (version >> 24, version >> 16 & 0xFF, version >> 8 & 0xFF)
    if not (2, 1, 4) <= numbers < (3, 0, 0):
        dotted = ".".join(map(str, numbers))
        raise RuntimeError(f"Unicorn {dotted} at {path}: this engine needs 2.1.4 or a later 2.x")
    _path = path
    return 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def loaded() -> cython.pointer(Api):
    """The functions of the library that `load` opened."""
    return cython.address(_api)


def version():
    """(major, minor, patch) of the loaded library; None before it is loaded."""
    if _path is None:
        return None
    number: uint32_t = _api.version(cython.NULL, cython.NULL)
    return number >> 24, number >> 16 & 0xFF, number >> 8 & 0xFF
