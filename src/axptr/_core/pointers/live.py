"""Elements of a type, live: the buffers of `view` in the form that a pointer's class and type give them.

Not here: the verbs (`pointer`), pinning and windows (`view`), copies (`elements`).

Failure: as of the verbs; `BufferError` over a memory that cannot pin.
"""

import cython
from cython.cimports.axptr._core.mm.provider import space_of
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.pointers.codec import KIND_FORM, KIND_OBJECT, KIND_POINTER, KIND_SWAPPED, told
from cython.cimports.axptr._core.pointers.elements import bytes_of
from cython.cimports.axptr._core.pointers.pointertype import PointerType
from cython.cimports.axptr._core.pointers.view import pin_span
from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.stdint import uint64_t

from axptr import pointers as _pointers
from axptr.errors import UserFault
from axptr.flags import MappingFlags
from axptr.layout import Layout


def show_elements(provider, ptype, addr, n):
    """n elements, live."""
    count: uint64_t = 0
    total: uint64_t = bytes_of(ptype, addr, n, cython.address(count))
    whole: cython.bint = ptype.kind == KIND_OBJECT or ptype.kind == KIND_SWAPPED
    rows: cython.bint = ptype.kind == KIND_FORM or (whole and ptype.const)
    plain: cython.bint = whole and not ptype.const
    if total == 0:
        _pointers.check.check_region_with(provider, addr, Layout(0, ptype.align), MappingFlags(ptype.access))
        view = (ptype.ctype * 0)() if plain else _empty(ptype, rows)
        return ptype.form.live_many(view, 0) if ptype.kind == KIND_FORM else view
    view = _pinned(provider, ptype, addr, count)
    if ptype.kind == KIND_FORM:
        return ptype.form.live_many(view, count)
    return (ptype.ctype * count).from_buffer(view) if plain else view


def show_one(provider, ptype, addr):
    """One T, live."""
    view = _pinned(provider, ptype, addr, 1)
    if ptype.kind == KIND_FORM:
        return ptype.form.live(view)
    if ptype.kind == KIND_POINTER:
        from ctypes import c_uint64

        return c_uint64.from_buffer(view)
    told(ptype)
    return ptype.ctype.from_buffer(view)


@cython.cfunc
def _pinned(provider: object, ptype: PointerType, addr: uint64_t, count: uint64_t):
    """The pinned buffer of elements, over any provider."""
    raw: cython.pointer(PyObject) = space_of(provider)
    if raw != cython.NULL:
        return _pin(cython.cast(object, raw), ptype, addr, count)
    return _pointers.check.view(provider, lambda memory: _pin(memory, ptype, addr, count))


@cython.cfunc
def _pin(space: SpaceCore, ptype: PointerType, addr: uint64_t, count: uint64_t):
    rows: cython.bint = ptype.format == b""
    try:
        return pin_span(space, addr, count, ptype.size, ptype.align, ptype.access, b"B" if rows else ptype.format, rows)
    except UserFault as fault:
        _pointers.fields.name_fault(fault, addr, told(ptype), ptype.looks, count)
        raise


@cython.cfunc
def _empty(ptype: PointerType, rows: cython.bint):
    store: object = b"" if ptype.const else bytearray()
    return memoryview(store) if rows else memoryview(store).cast(ptype.format.decode())
