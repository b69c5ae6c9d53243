"""`PointerType`: what `UserPtr[T]` and `UserConstPtr[T]` are, one for each T, and one more for each T under a data model.

Called with an address, a type makes a pointer. What makes it stands in `pointer`, which is built on this module and leaves
here, when it is loaded, the two functions that a type needs of it: see `made_by`.

ctypes is met when the first type is made that is not of bytes: a start has no time for it. From then on pointers may be
members of its structures.

Not here: pointers, and what is done with them (`pointer`); how a T lies in memory (`codec`, `axptr.forms.foreign`).

Failure: `TypeError` for what is no T.
"""

import cython
from cython.cimports.axptr._core.pointers.codec import of_bytes, tell, told
from cython.cimports.axptr._core.pointers.pointertype import axptr_enable_vectorcall, axptr_is_one, axptr_vectorcall
from cython.cimports.axptr._core.words.codes import READ, WRITE
from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.stdint import uintptr_t

from axptr._core.pointers.codec import name_of
from axptr._core.words import fieldhook
from axptr.flags import MappingFlags
from axptr.forms.find import by_name, form_of, named
from axptr.layout import Layout
from axptr.model import LP64_BIG, checked_model


def _set_fields(cls, fields):
    from axptr.forms.members import set_fields  # few programs have pointers in structures

    return set_fields(cls, fields)


_aggregates = cython.declare(tuple, None)
"""ctypes' structures and unions, once it was met."""
types = {}
const_types = {}
_fixed = cython.declare(dict, {})
_maker = cython.declare(axptr_vectorcall, cython.NULL)
_is_one = cython.declare(axptr_is_one, cython.NULL)
BYTES = None
"""`UserPtr[c_char]`, and below `UserConstPtr[c_char]`, which are there before ctypes is."""
CONST_BYTES = None


class PointerType(Codec):
    """`UserPtr[T]` or `UserConstPtr[T]`: call it with an address (unsigned 64 bits) to make a pointer.

    T: what it points at. const: whether it is a `UserConstPtr`. size, align: of one T, in bytes.
    """

    def __cinit__(self, T, const, model=None, seen=None):
        self.call = _maker
        self.const = const
        self.access = READ if const else READ | WRITE

    @property
    def __axptr_layout__(self):
        return (8, 8) if self.model is None else (self.model.pointer, self.model.pointer)

    def under(self, model):
        """The same type fixed to a data model: `UserPtr[UserPtr[c_char]].under(ILP32)(argv) + 1` is 4 bytes on."""
        return pointer_type(told(self), self.const, checked_model(model))

    def to(self, T):
        """The same to another T."""
        return pointer_type(T, self.const, self.model)

    @property
    def ACCESS_FLAGS(self):
        """What live verbs of such a pointer need."""
        return MappingFlags(self.access)

    @property
    def __ctype_be__(self):  # asked for by ctypes' structures of that order
        from axptr.forms.address import AddressForm

        return AddressForm(self, self, LP64_BIG)

    @property
    def __ctype_le__(self):
        return self

    def __mul__(self, n):
        """The ctypes array of n such pointers, for members of structures."""
        from axptr.forms.pointerarrays import pointer_array

        return pointer_array(self, n)

    def __instancecheck__(self, instance):
        return _is_one(self, instance)

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return cython.cast(uintptr_t, cython.cast(cython.pointer(PyObject), self)) >> 4

    def __repr__(self):
        return f"{'UserConstPtr' if self.const else 'UserPtr'}[{name_of(told(self))}]" + (
            "" if self.model is None else f".under({self.model!r})"
        )

    def __reduce__(self):
        return _type_again, (*by_name(told(self)), self.const, self.model)


@cython.cfunc
@cython.exceptval(-1)
def _meet_ctypes() -> cython.int:
    global _aggregates
    import ctypes

    tell()
    types[ctypes.c_char], const_types[ctypes.c_char] = BYTES, CONST_BYTES
    fieldhook.watch(_set_fields)
    _aggregates = (ctypes.Structure, ctypes.Union)
    return 0


def _awaits_fields(T):
    """Whether T is a structure or a union whose fields are still to be told; ctypes' own bases never get any."""
    if not isinstance(T, type) or not issubclass(T, _aggregates) or hasattr(T, "_fields_"):
        return False
    return T.__module__.partition(".")[0] not in ("ctypes", "_ctypes")


def subscribed(T, const, names):
    """What `UserPtr[T]` gives: a type that will be, for a structure without its fields yet, and for the name of one.

    names: whether text that is no struct code is such a name.
    """
    if _aggregates is None:
        _meet_ctypes()
    T = getattr(T, "__ctype__", T)  # a name of `axptr.kernel.abi`, which is no type
    if isinstance(T, str) and names and T.isidentifier():
        try:
            return pointer_type(T, const, None)
        except TypeError:
            pass
    elif not _awaits_fields(T):
        return pointer_type(T, const, None)
    from axptr.forms.later import Later

    return Later(T, const, _ready)


def _ready(T, const):
    return pointer_type(T, const, None)


def pointer_type(T, const, model):
    """The one `PointerType` for T, fixed to no data model or to this one; made at first use."""
    if _aggregates is None:
        _meet_ctypes()
    if isinstance(T, PointerType) and T.model is not None:
        # What points at pointers of a data model lies in its memory too.
        return fixed_type(pointer_type(told(T), T.const, None), const, T.model)
    if model is not None:
        return fixed_type(T, const, model)
    known = const_types if const else types
    form = form_of(T)  # one for every spelling that means the same
    key = T if form is None else form
    found = known.get(key)
    if found is None:
        found = known[key] = PointerType(T, const)
    return found


def _type_again(T, attribute, const, model):
    return pointer_type(named(T, attribute), const, model)


def fixed_type(T, const, model):
    """The same, fixed to `model`; T itself is fixed to none."""
    form = form_of(T)
    key = (T if form is None else form, const, model)
    found = _fixed.get(key)
    if found is None:
        Layout.of(T)  # what is no T says so
        from axptr.forms.foreign import under

        found = _fixed[key] = PointerType(T, const, model, under(T, model))
    return found


def offset_of(field, of):
    """Where a field stands in its object."""
    return cython.cast(
        cython.Py_ssize_t,
        cython.cast(uintptr_t, field) - cython.cast(uintptr_t, cython.cast(cython.pointer(PyObject), of)),
    )


def made_by(maker, is_one):
    """From now on `maker` is the vectorcall of the types, and `is_one` says whether an object is a pointer of a type."""
    global _maker, _is_one, BYTES, CONST_BYTES
    _maker = maker
    _is_one = is_one
    BYTES, CONST_BYTES = PointerType(of_bytes, False), PointerType(of_bytes, True)
    probe: PointerType = BYTES
    axptr_enable_vectorcall(PointerType, offset_of(cython.address(probe.call), probe))
