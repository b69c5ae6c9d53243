"""A look at `_fields_` of ctypes structures before ctypes has it: the one thing that Python cannot do for `forms.members`.

The slot that sets attributes of a class, of ctypes' metaclasses of structures and of unions, is ours once `watch` was called.
It hands values of `_fields_` that hold a user pointer to who watches, and does with all others what it did before.

Failure: what is wrong with the fields comes out of the class statement. A ctypes that sets attributes in another way than it
does up to CPython 3.13 is left alone, and says `TypeError` of a user pointer among the fields, as it does without us.
"""

from cython.cimports.axptr._core.words.fieldhook import axptr_set_plain, axptr_set_quietly, axptr_watch

_set_fields = None


def set_plain(cls, fields):
    """Set `_fields_` as ctypes does."""
    import ctypes

    axptr_set_plain(cls, "_fields_", fields, issubclass(cls, ctypes.Union))


def set_quietly(cls, name, value):
    """Set an attribute of a class as `type` does: `_fields_` too, and of unions, whose own way leaves stale caches behind."""
    axptr_set_quietly(cls, name, value)


def _asked(cls, fields):
    """Whether the fields were set by us. Called for each structure of the process: few have a pointer."""
    if not isinstance(fields, (list, tuple)):
        return False
    for entry in fields:
        if not isinstance(entry, tuple) or len(entry) < 2:
            return False  # ctypes says what is wrong
        if hasattr(entry[1], "__axptr_layout__"):
            break
    else:
        if not cls.__dict__.get("_anonymous_"):
            return False
    return _set_fields(cls, fields)


def watch(set_fields):
    """From here on `set_fields(cls, fields)` is asked first about fields with a user pointer among them; what it says True
    of, it has set. Once for the process.
    """
    global _set_fields
    _set_fields = set_fields
    import ctypes

    axptr_watch(type(ctypes.Structure), type(ctypes.Union), _asked)
