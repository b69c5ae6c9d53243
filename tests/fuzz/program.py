"""One input, run: its bytes choose call after call until they are spent, then everything is looked at and let go."""

from __future__ import annotations

from collections.abc import Callable

from . import extras, many, owner, single
from .kinds import KINDS
from .single import touch_all
from .source import Source
from .world import World

OPERATIONS: list[Callable[[World], None]] = (
    [*single.OPERATIONS] * 4 + [*many.OPERATIONS] * 4 + [*owner.OPERATIONS] * 3 + [*extras.OPERATIONS] * 3
)[:256]
"""By opcode: the verbs take most of the 256. What is added is added at the end, so that kept inputs mean the same."""
NKINDS = len(KINDS)
MOST_CALLS = 2000


def run(
    data: bytes, trace: Callable[[str], object] | None = None, tell: Callable[[int, int, int], object] | None = None
) -> int:
    """Run an input: the number of calls that it made. `Broken`, or whatever a call raised, if a rule does not hold.

    trace: takes each call as a line of Python. tell: takes the opcode of each operation, how it came out, and the
    number of the T that it was made with.
    """
    source = Source(data)
    world = World(source, trace)
    try:
        while source.more and world.calls < MOST_CALLS:
            choice = source.byte() % len(OPERATIONS)
            world.wrong = False
            world.outcome = world.kind = 0
            OPERATIONS[choice](world)
            if tell is not None:
                tell(choice, world.outcome, world.kind)
        world.phys._inject_failure(None)
        world.wrong = False
        touch_all(world)
        world.check()
        for something in (world.walks, world.streams, world.entries, world.snaps):
            something.clear()
        world.error = None
        touch_all(world)  # the spaces are gone, and the frames are still the views' own
        world.close()
    except BaseException:
        world.phys._inject_failure(None)
        raise
    return world.calls
