"""`IpcSpace`: the objects of System V and POSIX queues that processes see, a name space of them. Source:
ipc_namespaces(7), ipc/namespace.c of Linux 6.18.
"""

from __future__ import annotations

from ...light import cached_property
from ..task.held import Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Machine
    from ..task.group import ThreadGroup
    from ..task.userspace import UserSpace
    from .mqueue import MqFs
    from .msg import MsgQueues
    from .sem import SemSets
    from .shm import Segments

FIRST_SPACE = 0xEFFF_FFFF


class IpcSpace(Held):
    """Tables, each made when somebody wants it. number: the name space's; users: the one of users that owns it.
    strays: of the machine's, segments of name spaces that are gone which somebody had attached.

    | guarded by | exec | fork | a snapshot |
    | --- | --- | --- | --- |
    | the machine's thread | keeps it; nothing to undo | the same, with CLONE_NEWIPC an empty one | all of them |
    """

    def __init__(self, machine: Machine, number: int = FIRST_SPACE, users: UserSpace | None = None) -> None:
        self._machine = machine
        self.number = number
        self.users = users
        self.strays: list[Segments] = []

    @cached_property
    def segments(self) -> Segments:
        """System V shared memory."""
        from .shm import Segments

        return Segments(self._machine)

    @cached_property
    def semaphores(self) -> SemSets:
        """System V semaphores."""
        from .sem import SemSets

        return SemSets()

    @cached_property
    def messages(self) -> MsgQueues:
        """System V message queues."""
        from .msg import MsgQueues

        return MsgQueues()

    @cached_property
    def queues(self) -> MqFs:
        """POSIX message queues."""
        from .mqueue import MqFs

        return MqFs()

    def left(self, group: ThreadGroup) -> None:
        """A process is over, or uses others: what it asked to be undone then is."""
        if "semaphores" in self.__dict__:
            self.semaphores.left(group)

    def sweep(self) -> None:
        """A memory is gone: so are segments that were removed, and that it alone had attached."""
        if "segments" in self.__dict__:
            self.segments.sweep()
        for left in list(self.strays):
            left.sweep()
            if not left.all():
                self.strays.remove(left)

    def unheld(self) -> None:
        """All objects go; segments that somebody has attached when nobody has (free_ipcs, do_shm_rmid)."""
        super().unheld()
        made = self.__dict__
        if "semaphores" in made:
            for each in self.semaphores.all():
                self.semaphores.destroy(each)
        if "messages" in made:
            for queue in self.messages.all():
                self.messages.destroy(queue)
        if "queues" in made:
            for name in list(self.queues.queues):
                self.queues.unlink(name)
        if "segments" in made:
            for segment in self.segments.all():
                self.segments.destroy(segment)
            if self.segments.all():
                self._machine.ipc.strays.append(self.segments)
