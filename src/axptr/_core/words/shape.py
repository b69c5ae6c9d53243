"""Where the attributes of the objects of one class lie: for a graph that is put back in place, which looks at each.

Not here: the graph (`graph`), how a slot is found (`slots`).

Locking: none; who uses it says when. Failure: `MemoryError`.
"""

import cython
from cython.cimports.axptr._core.words.slots import at_offset, slot_of
from cython.cimports.libc.stdlib import calloc, free


@cython.final
@cython.cclass
class Shape:
    """names: of the attributes; slots: the names of all slots of the class."""

    def __cinit__(self, cls: type, names: tuple, slots: tuple):
        k: cython.Py_ssize_t
        self.unset = tuple([name for name in slots if name not in names])
        self.unset_at = cython.cast(
            cython.pointer(cython.Py_ssize_t), calloc(len(self.unset) + 1, cython.sizeof(cython.Py_ssize_t))
        )
        if self.unset_at == cython.NULL:
            raise MemoryError
        for k in range(len(self.unset)):
            self.unset_at[k] = slot_of(cls, self.unset[k])
        self.offsets = cython.cast(
            cython.pointer(cython.Py_ssize_t), calloc(len(names) + 1, cython.sizeof(cython.Py_ssize_t))
        )
        if self.offsets == cython.NULL:
            raise MemoryError
        for k in range(len(names)):
            if names[k] in slots:
                self.offsets[k] = slot_of(cls, names[k])

    def __dealloc__(self):
        free(self.offsets)
        free(self.unset_at)

    def unset_in(self, it):
        """Take what is not among the names from the slots of an object."""
        k: cython.Py_ssize_t
        for k in range(len(self.unset)):
            if self.unset_at[k]:
                if at_offset(it, self.unset_at[k]) != cython.NULL:
                    delattr(it, self.unset[k])
            elif hasattr(it, self.unset[k]):
                delattr(it, self.unset[k])
        return 0
