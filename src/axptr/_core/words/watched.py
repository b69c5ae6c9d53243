"""A system call that functions of Python look at before and after it is made: `WatchedCall`, and what makes them.

Compiled because every call of a watched name pays for it: an object, and a call of each function.

Not here: what the functions may do with it, and how arguments are fetched (`axptr.linux.policy.judged`).

Failure: what the functions raise, and what the handler does.
"""

import cython


@cython.cclass
class WatchedCall:
    """task: who calls. result: afterwards, what it gets. kind: what calls of this name have in common: `at` (name of an
    argument -> place), `convert` (as `bound` makes it), `texts` (place -> name of those that are read from memory).

    values: what the handler gets, a list; None as long as nobody has asked for any of it: it converts by itself then.
    """

    task = cython.declare(object, visibility="public")
    result = cython.declare(object, visibility="public")
    kind = cython.declare(object, visibility="readonly")
    registers = cython.declare(tuple, visibility="readonly")
    at: dict
    texts: dict
    values: list

    def __reduce__(self):
        raise TypeError("a call cannot be pickled")

    def converted(self):
        """`values`, with pointers not yet followed. They are the list itself."""
        if self.values is None:
            self.values = list(self.kind.convert(None, *self.registers))
        return self.values

    def kept(self):
        """For who derives: plain data of a call that waits, for `again`."""
        raise NotImplementedError

    def fetched(self, at, name):
        """For who derives: what the handler is to get in the place of a pointer to text, or to an array of such."""
        raise NotImplementedError

    def shown(self, value):
        """For who derives: what functions see of an argument that is no number."""
        raise NotImplementedError

    def __getitem__(self, name):
        """One argument. From now on it is what the call is made with, whatever becomes of the memory that it was in."""
        at = self.at[name]
        if self.values is None:
            self.converted()
        value = self.values[at] if at not in self.texts else self.fetched(at, name)
        return value if type(value) is int else self.shown(value)


def finish(call: WatchedCall, afters: tuple, result, error):
    """Tell the functions after a call; what the program gets. error: what the handler raised, if it did."""
    call.result = result
    for function in afters:
        function(call)
    outcome = call.result
    if error is not None and outcome == result:
        raise error
    return outcome


def again(made, task, kind, registers: tuple, values: list):
    """A call that waited, as it was. made: a class derived from `WatchedCall`."""
    return _begun(made, task, kind, kind.at, kind.texts, registers, values)


@cython.cfunc
def _begun(made, task, kind, at: dict, texts: dict, registers: tuple, values) -> WatchedCall:
    it: WatchedCall = made.__new__(made)
    it.task = task
    it.kind = kind
    it.at = at
    it.texts = texts
    it.registers = registers
    it.values = values
    return it


def watched(made, kind, plain, handler, befores, afters, decided, failure, unfinished):
    """`call(task, a0, .., a5)` for the calls of one name.

    made: a class derived from `WatchedCall`. plain: the call as it is by itself; handler: the same with arguments
    converted. decided: `fn(call, verdict)` where a function before the call gave something. failure,
    unfinished: exceptions by which a handler fails, and by which it is not over.
    """
    first: tuple = tuple(befores)
    last: tuple = tuple(afters)
    places: dict = kind.at
    texts: dict = kind.texts

    def call(task, a0, a1, a2, a3, a4, a5):
        it: WatchedCall = _begun(made, task, kind, places, texts, (a0, a1, a2, a3, a4, a5), None)
        if last:
            it.converted()  # as they are now
            for at, name in texts.items():
                it.fetched(at, name)
        for function in first:
            verdict = function(it)
            if verdict is not None:
                return decided(it, verdict)
        if not last:
            if it.values is None:
                return plain(task, a0, a1, a2, a3, a4, a5)
            return handler(task, *it.values)
        try:
            result = handler(task, *it.values)
        except unfinished:
            raise
        except failure as error:
            return finish(it, last, -error.errno, error)
        if task.blocked is not None:
            task.judged = it.kept()
            return None
        return finish(it, last, result, None)

    return call
