"""Elements of a type, copied: one value or many, between a memory and Python, whatever the type is and whoever provides.

What the verbs `read`, `write`, `read_slice` and `write_slice` do when what they need is not at hand in the TLB. A fault
says which element or member was in hand.

Not here: the verbs (`pointer`), runs of bytes (`blocks`), how a value is stored (`codec`), live views (`live`).

Failure: as of the verbs; a store that fails has stored nothing.
"""

import errno
import sys

import cython
from cython.cimports.axptr._core.mm.provider import space_of
from cython.cimports.axptr._core.pointers.blocks import block_fetch, block_put, block_take
from cython.cimports.axptr._core.pointers.codec import (
    KIND_CHAR,
    KIND_FORM,
    KIND_OBJECT,
    KIND_UNSIGNED,
    axptr_as_u64,
    axptr_made,
    told,
)
from cython.cimports.axptr._core.pointers.pointertype import PointerType
from cython.cimports.axptr._core.words.buffers import borrow
from cython.cimports.cpython.buffer import PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cython.cimports.cpython.bytes import PyBytes_AS_STRING
from cython.cimports.libc.stdint import uint8_t, uint64_t
from cython.cimports.libc.stdlib import free, malloc

from axptr import pointers as _pointers
from axptr.addr import ADDRESS_END, checked_size
from axptr.errors import FaultReason, LinuxError, UserFault
from axptr.flags import MappingFlags


@cython.cfunc
@cython.exceptval(-1)
def _fetch(
    provider: object,
    ptype: PointerType,
    addr: uint64_t,
    buffer: cython.pointer(uint8_t),
    size: uint64_t,
    align: uint64_t,
) -> cython.int:
    """Copy `size` bytes to the host, all or a `UserFault` that names what was in hand."""
    try:
        return block_fetch(provider, space_of(provider), addr, buffer, size, align)
    except UserFault as fault:
        _pointers.fields.name_fault(fault, addr, told(ptype), ptype.looks, size // ptype.size)
        raise


def put_elements(provider, ptype, addr, buffer, size, align):
    """Copy `size` bytes from the host, all or such a fault, and nothing."""
    try:
        return block_put(provider, space_of(provider), addr, buffer, size, align)
    except UserFault as fault:
        _pointers.fields.name_fault(fault, addr, told(ptype), ptype.looks, size // ptype.size)
        raise


@cython.cfunc
def _take(provider: object, ptype: PointerType, addr: uint64_t, size: uint64_t):
    """`size` bytes as `bytes`, or as a `bytearray` if the type asks for one."""
    try:
        return block_take(provider, space_of(provider), addr, size, ptype.align, ptype.mutable)
    except UserFault as fault:
        _pointers.fields.name_fault(fault, addr, told(ptype), ptype.looks, size // ptype.size)
        raise


def bytes_of(ptype, addr, n, count):
    """The bytes of n elements, and n as a number; `UserFault` for a count whose bytes cannot exist."""
    size: uint64_t = ptype.size
    if not axptr_as_u64(n, count) or count[0] >> 32 or size >> 31:
        number = checked_size(n, "n")
        total = number * int(size)
        if total >= ADDRESS_END:
            raise UserFault(
                f"{number} elements of {size} bytes do not fit in an address space",
                address=addr,
                access=MappingFlags(ptype.access),
                size=total,
                reason=FaultReason.OUT_OF_RANGE,
            )
        count[0] = number
    return count[0] * size


def read_value(provider, ptype, addr, align):
    """One T, copied out."""
    local: uint64_t = 0
    view: Py_buffer
    if ptype.kind < KIND_OBJECT:
        _fetch(provider, ptype, addr, cython.cast(cython.pointer(uint8_t), cython.address(local)), ptype.size, align)
        return ptype.box(cython.cast(cython.pointer(uint8_t), cython.address(local)))
    try:
        made = bytearray(ptype.size) if ptype.kind == KIND_FORM else axptr_made(ptype.ctype)
    except MemoryError:
        raise LinuxError(errno.ENOMEM, f"the host has no room for {ptype.size} bytes") from None
    PyObject_GetBuffer(made, cython.address(view), PyBUF_WRITABLE)
    try:
        _fetch(provider, ptype, addr, cython.cast(cython.pointer(uint8_t), view.buf), ptype.size, align)
    finally:
        PyBuffer_Release(cython.address(view))
    if ptype.kind == KIND_FORM:
        return ptype.form.load(made)
    return made.value if ptype.boxed else made


def write_value(provider, ptype, addr, value, align):
    """One T, stored."""
    buffer: cython.pointer(uint8_t) = cython.cast(cython.pointer(uint8_t), malloc(ptype.size))
    if buffer == cython.NULL:
        raise LinuxError(errno.ENOMEM, f"the host has no room for {ptype.size} bytes")
    try:
        ptype.unbox(value, buffer)
        put_elements(provider, ptype, addr, buffer, ptype.size, align)
    finally:
        free(buffer)
    return 0


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _is_bytes(ptype: PointerType) -> cython.bint:
    """Whether many of a type are `bytes`."""
    return ptype.size == 1 and (ptype.kind == KIND_CHAR or ptype.kind == KIND_UNSIGNED)


@cython.cfunc
@cython.exceptval(-1)
def _is_array(ptype: PointerType, data: object) -> cython.bint:
    """Whether it is a ctypes array of the type's T."""
    if type(data) is bytes:
        return False
    ctypes = sys.modules.get("_ctypes")  # who has an array has loaded it
    return ctypes is not None and isinstance(data, ctypes.Array) and data._type_ is told(ptype)


def read_elements(provider, ptype, addr, n):
    """n elements, copied out in the form that their type gives them."""
    count: uint64_t = 0
    total: uint64_t = bytes_of(ptype, addr, n, cython.address(count))
    blob: object = _take(provider, ptype, addr, total)
    if _is_bytes(ptype):
        return blob
    if ptype.kind == KIND_FORM:
        return ptype.load_many(blob, count)
    if ptype.kind == KIND_OBJECT and not ptype.boxed:
        return (ptype.ctype * count).from_buffer_copy(blob)
    return ptype.box_many(cython.cast(cython.pointer(uint8_t), PyBytes_AS_STRING(blob)), count)


def write_elements(provider, ptype, addr, data):
    """Elements, stored side by side, all or none."""
    view: Py_buffer
    buffer: cython.pointer(uint8_t)
    total: uint64_t
    i: uint64_t = 0
    if _is_array(ptype, data) or (_is_bytes(ptype) and not isinstance(data, (list, tuple))):
        borrow(data, cython.address(view), False)
    elif ptype.kind == KIND_FORM:
        PyObject_GetBuffer(ptype.form.dump_many(data), cython.address(view), PyBUF_SIMPLE)
    else:
        items = list(data)
        total = bytes_of(ptype, addr, len(items), cython.address(i))
        i = 0
        buffer = cython.cast(cython.pointer(uint8_t), malloc(total + 1))
        if buffer == cython.NULL:
            raise LinuxError(errno.ENOMEM, f"the host has no room for {total} bytes")
        try:
            for item in items:
                ptype.unbox(item, buffer + i)
                i += ptype.size
            put_elements(provider, ptype, addr, buffer, total, ptype.align)
        finally:
            free(buffer)
        return 0
    try:
        put_elements(provider, ptype, addr, cython.cast(cython.pointer(uint8_t), view.buf), view.len, ptype.align)
    finally:
        PyBuffer_Release(cython.address(view))
    return 0
