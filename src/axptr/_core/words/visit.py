"""The one call of a provider: what `with_addr_space(f)` promises, held to it.

A provider calls `f` once, before it returns, and returns what `f` returned. One that forgets its `return`, never calls
`f`, calls it twice or later, or answers with something of its own would have a verb take nothing for something; none
of that is believed.

Not here: the mark of a thread that touches user memory (`axptr.pointers.check.visit`), providers (`axptr.pointers.provider`).

Failure: `TypeError` for no provider, `RuntimeError` that says what it did; what it raises comes out.
"""

import cython

_CONTRACT = "it must call f once, before it returns, and return what f returned"


@cython.final
@cython.cclass
class Visit:
    """The `f` of one visit."""

    work: object
    result: object
    calls: cython.int
    done: cython.bint
    over: cython.bint

    def __call__(self, memory):
        self.calls += 1
        if self.over or self.calls > 1:
            raise RuntimeError(f"with_addr_space calls f {'after it returned' if self.over else 'twice'}: {_CONTRACT}")
        self.result = self.work(memory)
        if self.result is None:
            self.result = self  # else a forgotten `return` would pass for it
        self.done = True
        return self.result

    def __reduce__(self):
        raise TypeError("a visit cannot be pickled")


def visited(provider, work):
    """What `work` returns of the memory that `provider` leads to."""
    reach = getattr(provider, "with_addr_space", None)
    if reach is None:
        raise TypeError(f"want an AddrSpaceProvider, not {type(provider).__name__}")
    visit: Visit = Visit()
    visit.work = work
    try:
        given = reach(visit)
    finally:
        visit.over, visit.work = True, None
    result, visit.result = visit.result, None
    if visit.calls == 1 and visit.done and given is result:
        return None if given is visit else given
    if visit.calls == 0:
        what = "never called f"
    elif visit.calls > 1:
        what = "called f twice"
    elif not visit.done:
        what = "kept to itself what f raised"
    else:
        what = f"returned something else than f did ({type(given).__name__})"
    raise RuntimeError(f"{type(provider).__name__}.with_addr_space {what}: {_CONTRACT}")
