"""`UserAtomic`: a word of 8 to 64 bits in user memory that several look at and change at once, such as a futex.

Each verb proves the access as any pointer does (aligned, permitted, present), then is one atomic instruction of the
host's on the frame, sequentially consistent, under the same hold of the lock: atomic against other host threads,
against other processes that map the frames, and against engines that run guest code with atomic instructions. Over a
memory that is no `AddrSpace` a verb is atomic against the other verbs of this module. Values and sums are those of the
program's data model: a word in the other byte order is added to by compare and exchange; for bits the order is all one.

Not here: waiting (`linux.futex`).

Failure: `UserFault` (misaligned too; not memory for a device), `OverflowError` for a value that is no T. Source:
futex(2), arch_futex_atomic_op_inuser of Linux, GCC's `__atomic` built-ins.
"""

import _operator as operator
import sys
from _thread import RLock

import cython
from cython.cimports.axptr._core.mm.provider import Provider
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.pointers.atomic import (
    AXPTR_ADD,
    AXPTR_ADD_SWAPPED,
    AXPTR_AND,
    AXPTR_COMPARE,
    AXPTR_EXCHANGE,
    AXPTR_LOAD,
    AXPTR_OR,
    AXPTR_STORE,
    AXPTR_XOR,
    axptr_atomic,
)
from cython.cimports.axptr._core.pointers.codec import axptr_swapped
from cython.cimports.axptr._core.words.codes import (
    FAULT_OK,
    FAULT_PYTHON,
    READ,
    WRITE,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.stdint import int64_t, uint8_t, uint64_t

from axptr import pointers as _pointers
from axptr._core.pointers.codec import name_of
from axptr._core.pointers.pointer import Pointer, UserPtr
from axptr.addr import checked_address
from axptr.flags import MappingFlags
from axptr.forms.find import form_of, number_of
from axptr.layout import Layout
from axptr.model import LP64

_others = RLock()
_words = cython.declare(dict, {})
_AFTER = {AXPTR_ADD: operator.add, AXPTR_OR: operator.or_, AXPTR_AND: operator.and_, AXPTR_XOR: operator.xor}


@cython.final
@cython.cclass
class Word:
    """What a verb needs to know of a type under a data model."""

    size: uint64_t
    signed: cython.bint
    swapped: cython.bint  # in the other byte order than the host's
    order: object
    name: object


@cython.cfunc
def _word_of(ptype) -> Word:
    """Of the T of a pointer type; `TypeError` if it is no word."""
    known = _words.get(ptype)
    if known is not None:
        return known
    form = form_of(ptype.seen)
    number = number_of(ptype.seen)
    if number is None or (form is not None and form.ctype is None) or ptype.size not in (1, 2, 4, 8):
        raise TypeError(f"a word is an integer of 8, 16, 32 or 64 bits, not {name_of(ptype.T)}")
    word: Word = Word.__new__(Word)
    word.size = ptype.size
    word.order, word.signed = number
    word.swapped = word.order != sys.byteorder and ptype.size > 1
    word.name = name_of(ptype.T)
    _words[ptype] = word
    return word


def _c_uint32():
    from ctypes import c_uint32  # not at every start

    return c_uint32


@cython.final
@cython.cclass
class UserAtomic:
    """The word of type T at `address`, an integer or a pointer, whose type is T's default (else `c_uint32`). Immutable.

    T: a ctypes integer of 8, 16, 32 or 64 bits, or the struct code of one; as the provider's data model has it, or that of a
    pointer which is fixed to one.
    """

    address = cython.declare(uint64_t, visibility="readonly")
    kind: object  # the type of a pointer to it
    word: Word  # as `kind` has it

    def __cinit__(self, address, T=None):
        if T is None:
            T = address.T if isinstance(address, Pointer) else _c_uint32()
        self.address = checked_address(address)
        self.kind = UserPtr.of(T)
        if hasattr(T, "ACCESS_FLAGS"):
            raise TypeError(f"a word is an integer of 8, 16, 32 or 64 bits, not {name_of(T)}")
        if isinstance(address, Pointer) and address.type.model is not None:
            self.kind = self.kind.under(address.type.model)
        self.word = _word_of(self.kind)

    @property
    def T(self):
        """The type of the word."""
        return self.kind.T

    def __reduce__(self):
        return UserAtomic, (self.kind(int(self.address)),)

    def __repr__(self):
        model = self.kind.model
        return f"UserAtomic({self.address:#x}, {self.word.name}{'' if model is None else f' of {model!r}'})"

    def __eq__(self, other):
        if not isinstance(other, UserAtomic):
            return NotImplemented
        that: UserAtomic = other
        return self.address == that.address and self.kind is that.kind

    def __hash__(self):
        return hash(self.address)

    def load(self, provider, /):
        """The value. Needs READ alone."""
        return self.run(provider, self.seen(provider), AXPTR_LOAD, 0, 0)

    def store(self, provider, value, /):
        """Store a value. Needs WRITE alone."""
        word: Word = self.seen(provider)
        self.run(provider, word, AXPTR_STORE, _bits(word, value, False), 0)

    def exchange(self, provider, value, /):
        """Store a value; the one before. Needs READ and WRITE."""
        word: Word = self.seen(provider)
        return self.run(provider, word, AXPTR_EXCHANGE, _bits(word, value, False), 0)

    def compare_exchange(self, provider, expected, value, /):
        """Store a value if the word is `expected`; what it was: stored if and only if that equals `expected`.

        Needs READ and WRITE, also where nothing is stored.
        """
        word: Word = self.seen(provider)
        return self.run(provider, word, AXPTR_COMPARE, _bits(word, value, False), _bits(word, expected, False))

    def fetch_add(self, provider, value, /):
        """Add a value, which may be negative, wrapping as the word does; the value before. Needs READ and WRITE."""
        word: Word = self.seen(provider)
        return self.run(provider, word, AXPTR_ADD, _bits(word, value, True), 0)

    def fetch_or(self, provider, value, /):
        """Set the bits that a value, as `store` takes it, has; the value before. Needs READ and WRITE."""
        word: Word = self.seen(provider)
        return self.run(provider, word, AXPTR_OR, _bits(word, value, False), 0)

    def fetch_and(self, provider, value, /):
        """Clear the bits that a value, as `store` takes it, does not have; the value before. Needs READ and WRITE."""
        word: Word = self.seen(provider)
        return self.run(provider, word, AXPTR_AND, _bits(word, value, False), 0)

    def fetch_xor(self, provider, value, /):
        """Flip the bits that a value, as `store` takes it, has; the value before. Needs READ and WRITE."""
        word: Word = self.seen(provider)
        return self.run(provider, word, AXPTR_XOR, _bits(word, value, False), 0)

    @cython.cfunc
    def seen(self, provider) -> Word:
        """The word as this provider's data model has it."""
        raw: cython.pointer(PyObject) = cython.NULL
        if isinstance(provider, Provider):
            raw = cython.cast(Provider, provider).space_ptr
        if self.kind.model is not None or (raw != cython.NULL and not cython.cast(SpaceCore, raw).foreign):
            return self.word
        model = _pointers.values.model_at(provider, None)
        return self.word if model == LP64 else _word_of(self.kind.under(model))

    @cython.cfunc
    def run(self, provider, word: Word, op: cython.int, value: uint64_t, expected: uint64_t):
        return _pointers.check.visit(provider, lambda memory: self._on(memory, word, op, value, expected))

    def _on(self, memory, word: Word, op: cython.int, value: uint64_t, expected: uint64_t):
        access: cython.int = READ if op == AXPTR_LOAD else WRITE if op == AXPTR_STORE else READ | WRITE
        old: uint64_t
        space: SpaceCore
        if isinstance(memory, SpaceCore):
            space = memory
            old = self.apply(space, word, op, value, expected, access)
        else:
            old = self._elsewhere(memory, word, op, value, expected, MappingFlags(access))
        if op == AXPTR_STORE:
            return None
        if word.signed:
            spare: cython.int = 64 - 8 * cython.cast(cython.int, word.size)
            return cython.cast(int64_t, old << spare) >> spare
        return old

    @cython.cfunc
    @cython.exceptval(0xDEAD, check=True)
    def apply(
        self, space: SpaceCore, word: Word, op: cython.int, value: uint64_t, expected: uint64_t, access: cython.int
    ) -> uint64_t:
        bad: uint64_t = 0
        old: uint64_t = 0
        size: uint64_t = word.size
        host: cython.pointer(uint8_t)
        code: cython.int
        if word.swapped and op == AXPTR_ADD:
            op = AXPTR_ADD_SWAPPED
        elif word.swapped:
            value, expected = axptr_swapped(value, size), axptr_swapped(expected, size)
        space.phys.alive()
        while True:
            axptr_lock_gil(space.lock)
            code = space.demand(self.address, size, size, access, cython.address(bad))
            if code == FAULT_OK:
                code = space.resolve(self.address, WRITE if access & WRITE else READ, cython.address(host))
            if code == FAULT_OK:
                if access & WRITE:
                    space.stored(host)
                old = axptr_atomic(size, op, host, value, expected)
            axptr_unlock(space.lock)
            if code == FAULT_OK:
                return axptr_swapped(old, size) if word.swapped else old
            if code != FAULT_PYTHON:
                space.fail(code, bad, access, size, bad - self.address)
            space.supply_from(bad, access, self.address, size)

    def _elsewhere(self, memory, word: Word, op: cython.int, value, expected, access):
        """By way of the protocol, one verb at a time."""
        size = int(word.size)
        start = int(self.address)
        with _others:
            _pointers.check.check_region(memory, start, Layout(size, size), access)
            old = 0
            if access & MappingFlags.READ:
                old = int.from_bytes(_pointers.check.load(_Here(memory), start, size, size), word.order)
            if access & MappingFlags.WRITE and (op != AXPTR_COMPARE or old == expected):
                new = _AFTER[op](old, value) if op in _AFTER else value
                _pointers.check.store(
                    _Here(memory), start, (new & ((1 << 8 * size) - 1)).to_bytes(size, word.order), size
                )
            return old


@cython.cfunc
@cython.exceptval(0xDEAD, check=True)
def _bits(word: Word, value, either: cython.bint) -> uint64_t:
    """The word for a Python value; `either`: signed or unsigned, whatever T is."""
    index = getattr(type(value), "__index__", None)
    if index is None:
        raise TypeError(f"{word.name} needs an integer, not {type(value).__name__}")
    number = int(index(value))
    width: object = 8 * int(word.size)  # shifted as Python does
    low = -(1 << (width - 1)) if word.signed or either else 0
    high = 1 << (width - 1 if word.signed and not either else width)
    if not low <= number < high:
        raise OverflowError(f"{number} does not fit in {word.name}")
    return number & ((1 << width) - 1)


class _Here:
    """A memory in hand as its own provider."""

    def __init__(self, memory):
        self.memory = memory

    def with_addr_space(self, f):
        return f(self.memory)
