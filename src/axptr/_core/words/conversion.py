"""How six registers become the arguments of a handler: `bound` makes what does it for one signature.

Registers are unsigned 64-bit numbers. An argument is the low bits of its register, sign-extended or not, or what a type
makes of that: a pointer, a `bool`, a member of an enum.

Not here: what an annotation asks for (`axptr.kernel.convert`). Memory is never touched.

Failure: what a type raises, and what the handler does.
"""

import cython
from cython.cimports.axptr._core.words.conversion import PyLong_AsUnsignedLongLongMask
from cython.cimports.libc.stdint import int64_t, uint64_t


@cython.cclass
class Bound:
    """A handler that is called with a task and six registers: `call(task, a0, .., a5)`.

    beyond: bits of a register that do not count, by place. signed: whether the highest that does is a sign. made: by
    place, the type that is called with the number, None for the number itself. What derives from it serves calls
    without the handler, as far as it can (`axptr._core.kernel`).
    """

    def serve(self, task, registers):
        """What the handler makes of them."""
        count: cython.int = self.count
        handler: object = self.handler
        if count == 0:
            return handler(task)
        a0: object = _argument(self, 0, registers)
        if count == 1:
            return handler(task, a0)
        a1: object = _argument(self, 1, registers)
        if count == 2:
            return handler(task, a0, a1)
        a2: object = _argument(self, 2, registers)
        if count == 3:
            return handler(task, a0, a1, a2)
        a3: object = _argument(self, 3, registers)
        if count == 4:
            return handler(task, a0, a1, a2, a3)
        a4: object = _argument(self, 4, registers)
        if count == 5:
            return handler(task, a0, a1, a2, a3, a4)
        return handler(task, a0, a1, a2, a3, a4, _argument(self, 5, registers))

    def __call__(self, task, a0, a1, a2, a3, a4, a5):
        registers: uint64_t[6]
        registers[0] = PyLong_AsUnsignedLongLongMask(a0)
        registers[1] = PyLong_AsUnsignedLongLongMask(a1)
        registers[2] = PyLong_AsUnsignedLongLongMask(a2)
        registers[3] = PyLong_AsUnsignedLongLongMask(a3)
        registers[4] = PyLong_AsUnsignedLongLongMask(a4)
        registers[5] = PyLong_AsUnsignedLongLongMask(a5)
        return self.serve(task, registers)

    def __reduce__(self):
        raise TypeError("a call cannot be pickled")


@cython.cfunc
@cython.inline
def _argument(signature: Bound, at: cython.int, registers: cython.pointer(cython.const[uint64_t])) -> object:
    number: uint64_t = registers[at] << signature.beyond[at]
    register: object
    if signature.signed[at]:
        register = cython.cast(int64_t, number) >> signature.beyond[at]
    else:
        register = number >> signature.beyond[at]
    made: object = signature.made[at]
    return register if made is None else made(register)


def bound(handler, arguments):
    """`call(task, a0, .., a5)`, which gives the handler its arguments and returns what it does.

    arguments: of each after the task (bits, signed, made); see `Bound`. At most six.
    """
    call: Bound = Bound()
    call.handler = handler
    call.count = len(arguments)
    call.made = [made for _, _, made in arguments]
    for at, (bits, signed, _) in enumerate(arguments):
        call.beyond[at] = 64 - bits
        call.signed[at] = signed
    return call
