"""Looking into a program that stands still: symbols, the frames of its stack, a function's arguments.

    from axptr.debug import Symbols, arguments, backtrace

    for frame in backtrace(process):
        print(frame)

Files are read with pyelftools (`axptr[run]`). Not here: stopping a program where one wants to look
(`Process.run(until=)`), a protocol for other debuggers.
"""

from .calling import arguments, returned
from .symbols import Location, Symbols
from .unwind import Frame, backtrace, unwind

__all__ = ["Frame", "Location", "Symbols", "arguments", "backtrace", "returned", "unwind"]
