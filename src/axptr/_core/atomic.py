"""`UserAtomic`: a word of 32 or 64 bits in user memory that several look at and change at once, such as a futex.

Each verb proves the access as any pointer does (aligned, permitted, present), then is one atomic instruction of the
host's on the frame, sequentially consistent, under the same hold of the lock: atomic against other host threads,
against other processes that map the frames, and against engines that run guest code with atomic instructions. Over a
memory that is no `AddrSpace` a verb is atomic against the other verbs of this module.

Not here: waiting (`linux.futex`), byte orders other than the host's.

Failure: `UserFault` (misaligned too; not memory for a device), `OverflowError` for a value that is no T. Source:
futex(2), GCC's `__atomic` built-ins.
"""

import ctypes
import sys
import threading

import cython
from cython.cimports.axptr._core.atomic import (
    AXPTR_ADD,
    AXPTR_COMPARE,
    AXPTR_EXCHANGE,
    AXPTR_LOAD,
    AXPTR_STORE,
    axptr_atomic_4,
    axptr_atomic_8,
)
from cython.cimports.axptr._core.codes import FAULT_OK, FAULT_PYTHON, READ, WRITE
from cython.cimports.axptr._core.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.axptr._core.space import SpaceCore
from cython.cimports.libc.stdint import int64_t, uint8_t, uint64_t

from axptr import check as _check
from axptr._core.codec import name_of
from axptr._core.pointer import Pointer
from axptr.addr import checked_address
from axptr.flags import MappingFlags
from axptr.layout import Layout

_others = threading.RLock()
_WORDS = {"i": True, "l": True, "q": True, "I": False, "L": False, "Q": False}


@cython.final
@cython.cclass
class UserAtomic:
    """The word of type T at `address`, an integer or a pointer, whose type is T's default (else `c_uint32`). Immutable.

    T: a ctypes integer of 32 or 64 bits in the host's byte order.
    """

    address = cython.declare(uint64_t, visibility="readonly")
    T = cython.declare(object, visibility="readonly")
    size: uint64_t
    signed: cython.bint

    def __cinit__(self, address, T=None):
        if T is None:
            T = address.T if isinstance(address, Pointer) else ctypes.c_uint32
        self.address = checked_address(address)
        self.size = Layout.of(T).size
        self.T = T
        code = getattr(T, "_type_", None)
        swapped = getattr(T, "__ctype_be__" if sys.byteorder == "little" else "__ctype_le__", None) is T
        if not isinstance(code, str) or code not in _WORDS or self.size not in (4, 8) or swapped:
            raise TypeError(f"a word is an integer of 32 or 64 bits in the host's byte order, not {name_of(T)}")
        self.signed = _WORDS[code]

    def __reduce__(self):
        return UserAtomic, (int(self.address), self.T)

    def __repr__(self):
        return f"UserAtomic({self.address:#x}, {name_of(self.T)})"

    def __eq__(self, other):
        if not isinstance(other, UserAtomic):
            return NotImplemented
        that: UserAtomic = other
        return self.address == that.address and self.T is that.T

    def __hash__(self):
        return hash(self.address)

    def load(self, provider, /):
        """The value. Needs READ alone."""
        return self._run(provider, AXPTR_LOAD, 0, 0)

    def store(self, provider, value, /):
        """Store a value. Needs WRITE alone."""
        self._run(provider, AXPTR_STORE, self.bits(value, False), 0)

    def exchange(self, provider, value, /):
        """Store a value; the one before. Needs READ and WRITE."""
        return self._run(provider, AXPTR_EXCHANGE, self.bits(value, False), 0)

    def compare_exchange(self, provider, expected, value, /):
        """Store a value if the word is `expected`; what it was: stored if and only if that equals `expected`.

        Needs READ and WRITE, also where nothing is stored.
        """
        return self._run(provider, AXPTR_COMPARE, self.bits(value, False), self.bits(expected, False))

    def fetch_add(self, provider, value, /):
        """Add a value, which may be negative, wrapping as the word does; the value before. Needs READ and WRITE."""
        return self._run(provider, AXPTR_ADD, self.bits(value, True), 0)

    @cython.cfunc
    @cython.exceptval(0xDEAD, check=True)
    def bits(self, value, either: cython.bint) -> uint64_t:
        """The word for a Python value; `either`: signed or unsigned, whatever T is."""
        index = getattr(type(value), "__index__", None)
        if index is None:
            raise TypeError(f"{name_of(self.T)} needs an integer, not {type(value).__name__}")
        number = int(index(value))
        width: object = 8 * int(self.size)  # shifted as Python does
        low = -(1 << (width - 1)) if self.signed or either else 0
        high = 1 << (width - 1 if self.signed and not either else width)
        if not low <= number < high:
            raise OverflowError(f"{number} does not fit in {name_of(self.T)}")
        return number & ((1 << width) - 1)

    def _run(self, provider, op: cython.int, value: uint64_t, expected: uint64_t):
        return _check.visit(provider, lambda memory: self._on(memory, op, value, expected))

    def _on(self, memory, op: cython.int, value: uint64_t, expected: uint64_t):
        access: cython.int = READ if op == AXPTR_LOAD else WRITE if op == AXPTR_STORE else READ | WRITE
        old: uint64_t
        space: SpaceCore
        if isinstance(memory, SpaceCore):
            space = memory
            old = self.apply(space, op, value, expected, access)
        else:
            old = self._elsewhere(memory, op, value, expected, MappingFlags(access))
        if op == AXPTR_STORE:
            return None
        if self.signed:
            return cython.cast(int64_t, old) if self.size == 8 else cython.cast(int64_t, old << 32) >> 32
        return old

    @cython.cfunc
    @cython.exceptval(0xDEAD, check=True)
    def apply(
        self, space: SpaceCore, op: cython.int, value: uint64_t, expected: uint64_t, access: cython.int
    ) -> uint64_t:
        bad: uint64_t = 0
        old: uint64_t = 0
        host: cython.pointer(uint8_t)
        code: cython.int
        space.phys.alive()
        while True:
            axptr_lock_gil(space.lock)
            code = space.demand(self.address, self.size, self.size, access, cython.address(bad))
            if code == FAULT_OK:
                code = space.resolve(self.address, WRITE if access & WRITE else READ, cython.address(host))
            if code == FAULT_OK:
                if access & WRITE:
                    space.stored(host)
                if self.size == 4:
                    old = axptr_atomic_4(op, host, value, expected)
                else:
                    old = axptr_atomic_8(op, host, value, expected)
            axptr_unlock(space.lock)
            if code == FAULT_OK:
                return old
            if code != FAULT_PYTHON:
                space.fail(code, bad, access, self.size, bad - self.address)
            space.supply_from(bad, access, self.address, self.size)

    def _elsewhere(self, memory, op: cython.int, value, expected, access):
        """By way of the protocol, one verb at a time."""
        size = int(self.size)
        start = int(self.address)
        with _others:
            _check.check_region(memory, start, Layout(size, size), access)
            old = 0
            if access & MappingFlags.READ:
                old = int.from_bytes(_check.load(_Here(memory), start, size, size), sys.byteorder)
            if access & MappingFlags.WRITE and (op != AXPTR_COMPARE or old == expected):
                new = old + value if op == AXPTR_ADD else value
                _check.store(_Here(memory), start, (new & ((1 << 8 * size) - 1)).to_bytes(size, sys.byteorder), size)
            return old


class _Here:
    """A memory in hand as its own provider."""

    def __init__(self, memory):
        self.memory = memory

    def with_addr_space(self, f):
        return f(self.memory)
