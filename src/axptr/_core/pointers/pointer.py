"""`UserPtr` and `UserConstPtr`: typed addresses in user memory, and the verbs that touch what they point at.

A pointer is an address and a type; it holds no memory and checks nothing until a verb is called with a provider. A
verb proves the access (aligned, permitted, present) and copies under one hold of the lock; over an `AddrSpace` it
tries the TLB first, which holds what was proved before.

Not here: what `UserPtr[T]` is (`pointertype`), how values are stored (`codec`), how bytes are had from a provider (`blocks`),
the checks themselves (`transfer`), memories that are no `AddrSpace` (`check`), the buffers behind live views (`view`), what a fault says of the value in hand (`fields`).

Failure: `UserFault` for what a guest may have caused, also arithmetic that leaves 64 bits; `TypeError`, `ValueError`,
`OverflowError` for mistakes of the Python caller.
"""

import cython
from cython.cimports.axptr._core.mm.mmu import tlb_hit
from cython.cimports.axptr._core.mm.provider import space_of
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE
from cython.cimports.axptr._core.pointers.blocks import block_counted, block_text
from cython.cimports.axptr._core.pointers.codec import (
    KIND_CHAR,
    KIND_FORM,
    KIND_OBJECT,
    KIND_POINTER,
    KIND_SIGNED,
    KIND_SWAPPED,
    KIND_UNSIGNED,
    axptr_as_u64,
    axptr_from_u64,
    told,
)
from cython.cimports.axptr._core.pointers.elements import (
    put_elements,
    read_elements,
    read_value,
    write_elements,
    write_value,
)
from cython.cimports.axptr._core.pointers.live import show_elements, show_one
from cython.cimports.axptr._core.pointers.pointer import UserConstPtr, UserPtr, axptr_forbid_new
from cython.cimports.axptr._core.pointers.pointertype import (
    PointerType,
    axptr_is_one,
    axptr_vectorcall,
    const_types,
    fixed_type,
    made_by,
    pointer_type,
    types,
)
from cython.cimports.axptr._core.words.codes import PAGE_SHIFT, READ, WRITE
from cython.cimports.axptr._core.words.lock import axptr_quiet
from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_DECREF, Py_INCREF
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t, uint64_t

from axptr import pointers as _pointers
from axptr._core.pointers import pointertype as _types
from axptr._core.pointers.codec import name_of
from axptr._core.pointers.pointertype import subscribed
from axptr.addr import ADDRESS_END, checked_address
from axptr.errors import FaultReason, UserFault
from axptr.flags import MappingFlags
from axptr.model import LP64


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _has_code(space: SpaceCore, host: cython.pointer(uint8_t)) -> cython.bint:
    """Whether an engine may hold code translated from the frame: such a store takes the long way."""
    return space.frame_flags[cython.cast(uint64_t, host - space.frame_base) >> PAGE_SHIFT] & FRAME_CODE


@cython.cfunc
@cython.inline
def _new(ptype: PointerType, address: uint64_t) -> cython.pointer(PyObject):
    """A new pointer: a new reference, not counted by the compiler."""
    made: Pointer = UserConstPtr.__new__(UserConstPtr) if ptype.const else UserPtr.__new__(UserPtr)
    made.addr = address
    made.type = ptype
    Py_INCREF(made)
    return cython.cast(cython.pointer(PyObject), made)


@cython.cfunc
@cython.inline
def _pointer(ptype: PointerType, address: uint64_t):
    """The same, for callers that the compiler counts for."""
    made: object = cython.cast(object, _new(ptype, address))
    Py_DECREF(made)
    return made


def make_pointer(ptype, args, nargsf, keywords):
    """The vectorcall of a PointerType: one positional argument, the address."""
    address: uint64_t = 0
    if nargsf & 0x7FFF_FFFF != 1 or keywords != cython.NULL:
        raise TypeError(f"{ptype!r} takes exactly one address")
    if not axptr_as_u64(cython.cast(object, args[0]), cython.address(address)):
        address = checked_address(cython.cast(object, args[0]))
    return _new(ptype, address)


@cython.cfunc
@cython.exceptval(check=False)
def _is_one(ptype: PointerType, instance: object) -> cython.bint:
    """Whether an object is a pointer of this type."""
    return isinstance(instance, Pointer) and cython.cast(Pointer, instance).type is ptype


@cython.cfunc
def _foreign(provider: object, ptype: PointerType):
    """The type to use with this provider, if that is another than `ptype`; else None."""
    raw: cython.pointer(PyObject)
    if ptype.model is not None:
        return None
    raw = space_of(provider)
    if raw != cython.NULL:
        if not cython.cast(SpaceCore, raw).foreign:
            return None
        model = cython.cast(SpaceCore, raw).data_model
    else:
        model = _pointers.check.model_of(provider)
        if model == LP64:
            return None
    if ptype.last_model is not model:
        twin = fixed_type(told(ptype), ptype.const, model)
        ptype.last_twin = twin
        ptype.last_model = model
        return twin
    return ptype.last_twin


@cython.no_gc
@cython.freelist(256)
@cython.cclass
class Pointer:
    """What `UserPtr` and `UserConstPtr` share. Immutable; ordered and hashed by address."""

    def __init__(self, *args):
        raise TypeError(f"a pointer needs a type: {type(self).__name__}[T](address)")

    # -- the address ----------------------------------------------------------------------------------------

    @property
    def address(self):
        """The address it holds, an unsigned 64-bit number."""
        return self.addr

    @property
    def T(self):
        """The type it points at."""
        return told(self.type)

    @property
    def ACCESS_FLAGS(self):
        """What the live verbs (`get...`) need of the memory."""
        return MappingFlags(self.type.access)

    @property
    def is_null(self):
        return self.addr == 0

    def nullable(self):
        """None for NULL, else the pointer itself: `if (p := p.nullable()) is not None: ...`."""
        return None if self.addr == 0 else self

    def cast(self, U):
        """The same address as a pointer to U; it may be misaligned for U, and a checked verb says so."""
        return _pointer(pointer_type(U, self.type.const, self.type.model), self.addr)

    def __index__(self):
        return self.addr

    def __bool__(self):
        return self.addr != 0

    def __hash__(self):
        return hash(self.addr)

    def __eq__(self, other):
        if not isinstance(other, Pointer):
            return NotImplemented
        that: Pointer = other
        return self.addr == that.addr and told(self.type) is told(that.type)

    def __lt__(self, other):
        return self._compare(other) < 0

    def __le__(self, other):
        return self._compare(other) <= 0

    def __gt__(self, other):
        return self._compare(other) > 0

    def __ge__(self, other):
        return self._compare(other) >= 0

    def _compare(self, other):
        if not isinstance(other, Pointer):
            raise TypeError(f"a pointer cannot be ordered against {type(other).__name__}")
        that: Pointer = other
        return (self.addr > that.addr) - (self.addr < that.addr)

    def __repr__(self):
        return f"{self.type!r}({self.addr:#x})"

    def __reduce__(self):
        return _rebuild, (self.type, self.addr)

    def _moved(self, count, ptype: PointerType):
        target = int(self.addr) + count
        if not 0 <= target < ADDRESS_END:
            raise UserFault(
                f"pointer arithmetic from {self.addr:#x} by {count:#x} bytes leaves 64 bits",
                address=self.addr,
                access=MappingFlags(0),
                size=0,
                reason=FaultReason.OUT_OF_RANGE,
            )
        return _pointer(ptype, target)

    def __add__(self, n):
        """The pointer `n` elements on. `UserFault` if that leaves 64 bits."""
        if not isinstance(self, Pointer) or not isinstance(n, int):
            return NotImplemented
        return self._moved(n * int(self.type.size), self.type)

    def __sub__(self, other):
        """The pointer `other` elements back; or, for a pointer to the same type, the distance in elements."""
        if isinstance(other, int):
            return self._moved(-other * int(self.type.size), self.type)
        if not isinstance(other, Pointer):
            return NotImplemented
        that: Pointer = other
        if told(that.type) is not told(self.type):
            raise TypeError(f"no distance between {self.type!r} and {that.type!r}")
        distance, rest = divmod(int(self.addr) - int(that.addr), int(self.type.size))
        if rest:
            raise ValueError(f"{self.addr:#x} and {that.addr:#x} are no whole number of elements apart")
        return distance

    def __getitem__(self, i):
        """`p[i]` is the pointer to element i: `p + i`, not its value."""
        if not isinstance(i, int):
            raise TypeError(f"an element number must be an integer, not {type(i).__name__}")
        return self._moved(i * int(self.type.size), self.type)

    def __iter__(self):
        raise TypeError("a pointer does not know how many elements it has: use read_slice")

    def field(self, name):
        """A pointer to a member: a field (`"x"`), or what a path leads to inside the T (`"a.b[2]"`).

        Raises `AttributeError` if there is no such field, `IndexError` beyond an array, `TypeError` for a bit field
        and for what has no fields or elements, `ValueError` for what is no path.
        """
        offset, T = _pointers.fields.place(self.type.seen, name)
        return self._moved(offset, pointer_type(T, self.type.const, self.type.model))

    def each(self, provider, /, limit=None):
        """The elements up to one that is NULL or 0, lazily, each read when it is asked for: `argv.each(task, 1000)`.

        limit: how many may come before the end. Needs READ alone. The iterator raises `UserFault` as `read`, and
        `LinuxError(E2BIG)` if there are more than `limit`. `TypeError` if T is no pointer and no number.
        """
        other = _foreign(provider, self.type)
        if other is not None:
            return other(self.addr).each(provider, limit)
        if not (
            self.type.kind <= KIND_SIGNED
            or (self.type.kind == KIND_SWAPPED and self.type.native <= KIND_SIGNED)
            or (self.type.kind == KIND_FORM and self.type.form.address)
            or self.type.kind == KIND_POINTER
        ):
            raise TypeError(f"an array of {name_of(told(self.type))} has no NULL that ends it")
        return _pointers.walking.each(self, provider, limit)

    def follow(self, provider, /, path, limit, end=0):
        """The nodes of a linked list, lazily, this one first: pointers of this type, each where the `path` of the one before points.

        limit: how many nodes there may be. end: the address that ends it: NULL, or the head of a circular list. Needs READ alone, of the links.
        The iterator raises `UserFault` as `read`, and `LinuxError(ELOOP)` if more than `limit` nodes come, so
        that a list bent into a circle ends. Raises as `field`; `TypeError` if the member is no pointer and no integer.
        """
        other = _foreign(provider, self.type)
        if other is not None:
            return other(self.addr).follow(provider, path, limit, end)
        return _pointers.walking.follow(self, provider, path, limit, end)

    # -- copies from user memory ------------------------------------------------------------------------------

    def read(self, provider, /):
        """A copy of the T it points at: the Python value of a scalar, a pointer, else a ctypes instance.

        Needs READ alone. Raises `UserFault` if misaligned, unmapped or not readable.
        """
        raw: cython.pointer(PyObject) = space_of(provider)
        host: cython.pointer(uint8_t)
        local: uint64_t = 0
        size: uint64_t
        # A scalar at a multiple of its size lies in one page. While nobody can touch the space without the GIL, a hit is all it takes.
        if (
            raw != cython.NULL
            and self.type.kind < KIND_OBJECT
            and not self.addr & self.type.within
            and axptr_quiet(cython.cast(SpaceCore, raw).lock)
            and (not cython.cast(SpaceCore, raw).foreign or self.type.model is not None)
        ):
            host = tlb_hit(cython.cast(SpaceCore, raw), self.addr, READ)
            if host != cython.NULL:
                size = self.type.size
                if size == 4:
                    local = cython.cast(cython.pointer(uint32_t), host)[0]
                elif size == 8:
                    local = cython.cast(cython.pointer(uint64_t), host)[0]
                elif size == 1:
                    local = host[0]
                else:
                    local = cython.cast(cython.pointer(uint16_t), host)[0]
                if self.type.kind == KIND_UNSIGNED:
                    return axptr_from_u64(local)
                if self.type.kind == KIND_POINTER:
                    return _pointer(self.type.own, local)
                return self.type.box(cython.cast(cython.pointer(uint8_t), cython.address(local)))
        other = _foreign(provider, self.type)
        if other is not None:
            return other(self.addr).read(provider)
        return read_value(provider, self.type, self.addr, self.type.align)

    def read_unaligned(self, provider, /):
        """`read` from any address."""
        other = _foreign(provider, self.type)
        if other is not None:
            return other(self.addr).read_unaligned(provider)
        return read_value(provider, self.type, self.addr, 1)

    def read_slice(self, provider, /, n):
        """A copy of `n` elements: `bytes` for c_char and c_ubyte, a tuple for scalars and pointers, else `T * n`.

        Needs READ alone; 0 elements need alignment only. Raises as `read`, and `UserFault` for a count whose bytes
        cannot exist.
        """
        other = _foreign(provider, self.type)
        if other is not None:
            return other(self.addr).read_slice(provider, n)
        return read_elements(provider, self.type, self.addr, n)

    def copy_in(self, provider, /, buf):
        """Fill the writable buffer from the pointer on, until a byte cannot be read; bytes done.

        Needs READ alone, no alignment. A short count is a `Copied`, whose `.fault` says what stopped it.
        """
        return block_counted(provider, self.addr, buf, READ)

    # -- text -------------------------------------------------------------------------------------------------

    def terminated(self, provider, max_len, text):
        """The bytes before the terminator, as `bytes` or decoded."""
        ptype: PointerType = self.type
        if ptype.size != 1 or not (ptype.kind == KIND_CHAR or ptype.kind <= KIND_SIGNED):
            raise TypeError(f"text is made of c_char, not {name_of(told(ptype))}")
        return block_text(provider, space_of(provider), self.addr, max_len, text)

    def read_cstr(self, provider, /, max_len=None):
        """The bytes before the NUL. Needs READ alone.

        Raises `UserFault` where a page cannot be read before the NUL, `LinuxError(ENAMETOOLONG)` if more than
        `max_len` bytes come before it.
        """
        return self.terminated(provider, max_len, False)

    def get_as_str(self, provider, /, max_len=None, encoding=None, errors="strict"):
        """The text before the terminator: UTF-8 of bytes, UTF-16 and UTF-32 of `c_wchar` and of integers of 2 and 4 bytes.

        encoding, errors: as of `bytes.decode`, for another. max_len: elements without the terminator. Raises as
        `read_cstr`, `LinuxError(EILSEQ)` for what cannot be decoded, `LookupError` for no encoding, `ValueError` for
        one with units of another size than T's.
        """
        if encoding is None and errors == "strict" and self.type.size == 1:
            return self.terminated(provider, max_len, True)
        from axptr.pointers.text import text_of

        return text_of(self, provider, max_len, encoding, errors)

    # -- live views -------------------------------------------------------------------------------------------

    def get_as_slice(self, provider, /, n):
        """A live view of `n` elements: what is written there is seen, in both directions, as long as the view lives.

        A `memoryview` of native items (`B` for c_char, `Q` for pointers); for other T a ctypes array (`UserPtr`)
        or a read-only view of bytes of shape (n, size) (`UserConstPtr`). Its frames are pinned. Needs
        `ACCESS_FLAGS`. Raises as `read_slice`; `BufferError` over a memory that cannot pin.
        """
        other = _foreign(provider, self.type)
        if other is not None:
            return other(self.addr).get_as_slice(provider, n)
        return show_elements(provider, self.type, self.addr, n)

    def get_as_null_terminated(self, provider, /, max_len=None):
        """A live view, as `get_as_slice`, of the elements before an all-zero one.

        Raises `UserFault`, or `LinuxError(ENAMETOOLONG)` if more than `max_len` elements come before it.
        """
        ptype: PointerType = self.type
        other = _foreign(provider, ptype)
        if other is not None:
            return other(self.addr).get_as_null_terminated(provider, max_len)
        length = _pointers.check.visit(
            provider,
            lambda memory: _pointers.check.check_null_terminated(
                memory, self.addr, ptype.seen, MappingFlags(ptype.access), max_len
            )[1],
        )
        return show_elements(provider, self.type, self.addr, length)


@cython.final
@cython.no_gc
@cython.cclass
class UserConstPtr(Pointer):
    """A typed address in user memory that the kernel may read: `UserConstPtr[c_uint32](0x1000).read(space)`."""

    ACCESS_FLAGS = MappingFlags.READ

    @classmethod
    def __class_getitem__(cls, T):
        found = const_types.get(T)
        return subscribed(T, True, True) if found is None else found

    @staticmethod
    def of(T):
        """`UserConstPtr[T]`, spelt for a T that is no class."""
        return subscribed(T, True, False)

    def get(self, provider, /):
        """The value: `read`, needing `ACCESS_FLAGS`, which is READ."""
        return self.read(provider)


@cython.final
@cython.no_gc
@cython.cclass
class UserPtr(Pointer):
    """A typed address in user memory that the kernel may read and write: `UserPtr[c_int](0x1000).write(space, 7)`."""

    ACCESS_FLAGS = MappingFlags.READ | MappingFlags.WRITE

    @classmethod
    def __class_getitem__(cls, T):
        found = types.get(T)
        return subscribed(T, False, True) if found is None else found

    @staticmethod
    def of(T):
        """`UserPtr[T]`, spelt for a T that is no class."""
        return subscribed(T, False, False)

    def as_const(self):
        """The same pointer, for reading only."""
        return _pointer(pointer_type(told(self.type), True, self.type.model), self.addr)

    def get(self, provider, /):
        """A live ctypes instance of T: what is stored in it lands in user memory. Needs READ and WRITE; pinned.

        A user pointer type gives a `c_uint64`.
        """
        other = _foreign(provider, self.type)
        if other is not None:
            return other(self.addr).get(provider)
        return show_one(provider, self.type, self.addr)

    def write(self, provider, value, /):
        """Store one T. Needs WRITE alone.

        value: a number, `bytes` of length 1, `str` of length 1, bool, pointer or instance of T, as T asks.
        Raises `UserFault` if misaligned, unmapped or not writable; `TypeError`, `OverflowError` if the value is no T.
        """
        raw: cython.pointer(PyObject)
        host: cython.pointer(uint8_t)
        local: uint64_t = 0
        size: uint64_t = self.type.size
        held: object
        if self.type.kind >= KIND_OBJECT or self.addr & self.type.within:
            other = _foreign(provider, self.type)
            if other is not None:
                other(self.addr).write(provider, value)
                return
            write_value(provider, self.type, self.addr, value, self.type.align)
            return
        if not (
            self.type.kind == KIND_UNSIGNED
            and axptr_as_u64(value, cython.address(local))
            and (size == 8 or local >> (size * 8) == 0)
        ):
            if self.type.kind == KIND_POINTER and isinstance(value, Pointer):
                local = cython.cast(Pointer, value).addr
            else:
                self.type.unbox(value, cython.cast(cython.pointer(uint8_t), cython.address(local)))
        raw = space_of(provider)  # now: the value may have run code of the caller's
        if raw == cython.NULL or (cython.cast(SpaceCore, raw).foreign and self.type.model is None):
            other = _foreign(provider, self.type)
            if other is not None:
                other(self.addr).write(provider, value)
                return
        if raw == cython.NULL:
            put_elements(
                provider,
                self.type,
                self.addr,
                cython.cast(cython.pointer(uint8_t), cython.address(local)),
                size,
                self.type.align,
            )
            return
        if axptr_quiet(cython.cast(SpaceCore, raw).lock):
            host = tlb_hit(cython.cast(SpaceCore, raw), self.addr, WRITE)
            if host != cython.NULL and not _has_code(cython.cast(SpaceCore, raw), host):
                if size == 4:
                    cython.cast(cython.pointer(uint32_t), host)[0] = cython.cast(uint32_t, local)
                elif size == 8:
                    cython.cast(cython.pointer(uint64_t), host)[0] = local
                elif size == 1:
                    host[0] = cython.cast(uint8_t, local)
                else:
                    cython.cast(cython.pointer(uint16_t), host)[0] = cython.cast(uint16_t, local)
                return
        put_elements(
            provider,
            self.type,
            self.addr,
            cython.cast(cython.pointer(uint8_t), cython.address(local)),
            size,
            self.type.align,
        )

    def write_unaligned(self, provider, value, /):
        """`write` to any address."""
        other = _foreign(provider, self.type)
        if other is not None:
            other(self.addr).write_unaligned(provider, value)
            return
        write_value(provider, self.type, self.addr, value, 1)

    def write_slice(self, provider, /, data):
        """Store elements side by side: all of them or, on a fault, none (but what a device took before). Needs WRITE alone.

        data: bytes-like for c_char and c_ubyte, an instance of `T * n` for structures, else a sequence of values.
        """
        other = _foreign(provider, self.type)
        if other is not None:
            other(self.addr).write_slice(provider, data)
            return
        write_elements(provider, self.type, self.addr, data)

    def copy_out(self, provider, /, data):
        """Store the buffer from the pointer on, until a byte cannot be written; bytes done.

        Needs WRITE alone, no alignment. A short count is a `Copied`, whose `.fault` says what stopped it.
        """
        return block_counted(provider, self.addr, data, WRITE)


def _rebuild(ptype, address):
    return ptype(address)


made_by(cython.cast(axptr_vectorcall, make_pointer), cython.cast(axptr_is_one, _is_one))
BYTES = _types.BYTES
CONST_BYTES = _types.CONST_BYTES
for _class in (Pointer, UserConstPtr, UserPtr):
    axptr_forbid_new(_class)
