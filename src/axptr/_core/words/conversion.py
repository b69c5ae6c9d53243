"""How six registers become the arguments of a handler: `bound` makes the function that does it for one signature.

Registers are unsigned 64-bit numbers. An argument is the low bits of its register, sign-extended or not, or what a type
makes of that: a pointer, a `bool`, a member of an enum.

Not here: what an annotation asks for (`axptr.kernel.convert`). Memory is never touched.

Failure: what a type raises, and what the handler does.
"""

import cython
from cython.cimports.axptr._core.words.conversion import PyLong_AsUnsignedLongLongMask
from cython.cimports.libc.stdint import int64_t, uint64_t

from axptr.errors import LinuxError


@cython.final
@cython.cclass
class Signature:
    """beyond: bits of a register that do not count, by place. signed: whether the highest that does is a sign.
    made: by place, the type that is called with the number, None for the number itself."""

    count: cython.int
    beyond: cython.int[6]
    signed: cython.bint[6]
    made: list

    def __reduce__(self):
        raise TypeError("a signature cannot be pickled")


@cython.cfunc
@cython.inline
def _argument(signature: Signature, at: cython.int, register: object) -> object:
    beyond: cython.int = signature.beyond[at]
    if beyond or signature.signed[at]:
        number: uint64_t = PyLong_AsUnsignedLongLongMask(register) << beyond
        if signature.signed[at]:
            register = cython.cast(int64_t, number) >> beyond
        else:
            register = number >> beyond
    made: object = signature.made[at]
    return register if made is None else made(register)


def bound(handler, arguments):
    """`call(task, a0, .., a5)`, which gives the handler its arguments and returns what it does.

    arguments: of each after the task (bits, signed, made); see `Signature`. At most six.
    """
    signature: Signature = Signature()
    signature.count = len(arguments)
    signature.made = [made for _, _, made in arguments]
    for at, (bits, signed, _) in enumerate(arguments):
        signature.beyond[at] = 64 - bits
        signature.signed[at] = signed

    def call(task, a0, a1, a2, a3, a4, a5):
        count: cython.int = signature.count
        if count == 0:
            return handler(task)
        a0 = _argument(signature, 0, a0)
        if count == 1:
            return handler(task, a0)
        a1 = _argument(signature, 1, a1)
        if count == 2:
            return handler(task, a0, a1)
        a2 = _argument(signature, 2, a2)
        if count == 3:
            return handler(task, a0, a1, a2)
        a3 = _argument(signature, 3, a3)
        if count == 4:
            return handler(task, a0, a1, a2, a3)
        a4 = _argument(signature, 4, a4)
        if count == 5:
            return handler(task, a0, a1, a2, a3, a4)
        return handler(task, a0, a1, a2, a3, a4, _argument(signature, 5, a5))

    return call


def dispatcher(table, task):
    """`fn(nr, a0, .., a5)`: what the function that a table has for a number makes of a task and six registers; minus
    the errno of a `LinuxError`."""

    def dispatch(nr, a0, a1, a2, a3, a4, a5):
        try:
            return table[nr](task, a0, a1, a2, a3, a4, a5)
        except LinuxError as error:
            return -error.errno

    return dispatch
