"""`Provider`, the base of everything that leads to a space at no cost (a space itself, a task); and the mark of a thread that
touches user memory.

Not here: providers that are written in Python (`axptr.pointers.provider`), spaces (`mmu` and what derives from it).

Invariant: `space_ptr` is NULL or a whole space, alive as long as it stands there. Pointers trust that.
"""

import cython
from cython.cimports.axptr._core.words.budget import Budget
from cython.cimports.axptr._core.words.marks import axptr_marks
from cython.cimports.cpython.object import PyObject


def mark_enter():
    axptr_marks[0] += 1
    return axptr_marks[0]


def mark_leave():
    axptr_marks[0] -= 1


@cython.final
@cython.cclass
class access_user_memory:
    """`with access_user_memory(): ...` marks this thread as touching user memory until the block is left.

    Compiled, so that no handler of a signal can raise between the mark and the block, or before it is taken back.
    """

    def __enter__(self):
        mark_enter()

    def __exit__(self, kind, error, trace):
        mark_leave()


def is_accessing_user_memory():
    """Whether this thread is inside `access_user_memory()`, or a call that touches user memory, now."""
    return axptr_marks[0] > 0


class Provider:
    """Something that leads to one address space: subclass it, call `_set_space`, and it is an `AddrSpaceProvider`.

    Every pointer verb takes such an object and pays nothing for the detour.
    """

    def _set_space(self, space):
        """From now on this object provides `space`.

        Raises `TypeError` if it is no address space, or if the class has a `with_addr_space` of its own: not all verbs
        would go through it.
        """
        if type(self).with_addr_space is not Provider.with_addr_space or "with_addr_space" in getattr(
            self, "__dict__", ()
        ):
            raise TypeError(
                f"{type(self).__name__} overrides with_addr_space, which verbs pass by: lock a space with Locked(space)"
            )
        # Pointers trust what they find here, so it must be a whole space: that is one which provides itself.
        if not isinstance(space, Provider) or cython.cast(Provider, space).space_ptr != cython.cast(
            cython.pointer(PyObject), space
        ):
            raise TypeError(f"a provider needs an address space, not {type(space).__name__}")
        old = self._space  # lives until nobody can find it here any more: its end gives up the GIL
        self.space_ptr = cython.cast(cython.pointer(PyObject), space)
        self._space = space
        del old

    @property
    def model(self):
        """The data model of the space: LP64 unless the space says something else."""
        if self.space_ptr == cython.NULL:
            raise RuntimeError(f"{type(self).__name__} has no address space yet")
        return cython.cast(Provider, self.space_ptr).data_model

    @property
    def budget(self):
        """What counts of the program may make the host copy: a `Budget`, the space's if this has none of its own, or None."""
        if self.own_budget is not None or self.space_ptr == cython.NULL:
            return self.own_budget
        return cython.cast(Provider, self.space_ptr).own_budget

    @budget.setter
    def budget(self, value):
        if value is not None and not isinstance(value, Budget):
            raise TypeError(f"a budget is a Budget, not {type(value).__name__}")
        self.own_budget = value

    def with_addr_space(self, f):
        """Call `f` with the space; its result. Raises `RuntimeError` if no space was set."""
        if self.space_ptr == cython.NULL:
            raise RuntimeError(f"{type(self).__name__} has no address space yet")
        return f(cython.cast(object, self.space_ptr))
