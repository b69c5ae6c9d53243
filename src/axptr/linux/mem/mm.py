"""`Mm`: what one program's memory is, beside its pages: Linux' struct mm_struct.

An exec replaces it whole, so whatever belongs to the old program's memory ends with it. Addresses stand in the space's
`bounds`: a snapshot carries them, and a space that is restored and its program agree on where the heap ends.

Not here: how it is filled (`image`, `stack`), and the calls that change it (`memory`, `mlock`).
"""

from __future__ import annotations

from ..._core.words.codes import GUARD_GAP
from ..abi.mman import PROT_EXEC, PROT_WRITE
from ..fs.node import Node
from ..uaccess import USER_END

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...mm.space import AddrSpace
    from ..files.aio import AioContext
    from ..host import HostView
    from ..task.userspace import UserSpace

MDWE_REFUSE_EXEC_GAIN, MDWE_NO_INHERIT = 1, 2
STACK_TOP = USER_END
LOCK, LOCK_ON_FAULT = 1, 2
_LEAST_GAP, _LARGEST_GAP = 128 << 20, USER_END // 6 * 5


def mmap_base(stack_limit: int) -> int:
    """Mappings go downwards from here: below the room for the stack, 128 MiB at least (arch/x86/mm/mmap.c)."""
    gap = max(_LEAST_GAP, min(stack_limit + GUARD_GAP, _LARGEST_GAP))
    return (USER_END - gap + 4095) & -4096


class Mm:
    """One program's memory. The machine's thread alone changes it; the space has a lock of its own.

    Exec puts another in its place. fork: a twin of the space and all else alike, with CLONE_VM the very same. A
    snapshot has the space, with the addresses in its bounds, and the other fields as they are.

    space: its pages. host: of the machine that it is in. exe: the program's file. auxv: the auxiliary vector, packed.
    dumpable: whether others of its user may look into it (`task.looking`). owner: the name space of users whose
    CAP_SYS_PTRACE may in any case (user_ns): the one that its program was started in, or above.
    deny_gain: PR_SET_MDWE's flags, by which no page becomes executable, or is both that and writable. merges: whether
    equal pages may become one, which is kept.
    peak_size: the most bytes of areas that were seen. users: tasks that have it.
    sealed: ranges that nothing may change (mseal): they end with it.
    lock_future: what is mapped from now on is locked (mlockall): LOCK, or LOCK_ON_FAULT as it is touched.
    aio: contexts of asynchronous input and output, by number: they end with it, and a fork has none.
    membarrier: what has been registered for, as commands of membarrier(2). mmap_base: mappings go downwards from it.
    The addresses have the names and meaning of struct mm_struct (prctl(2), PR_SET_MM); 0 if there is nothing.
    """

    def __init__(self, space: AddrSpace, host: HostView, stack_limit: int = 0) -> None:
        """`stack_limit`: how far the stack may grow (RLIMIT_STACK), which mappings leave room for."""
        self.space = space
        self.host = host
        self.mmap_base = mmap_base(stack_limit)
        self.lock_future = 0
        self.sealed: tuple[tuple[int, int], ...] = ()
        self.membarrier = 0
        self.aio: dict[int, AioContext] = {}
        self.exe = Node(b"/")
        self.auxv = b""
        self.dumpable = True
        self.owner: UserSpace | None = None
        self.deny_gain = 0
        self.merges = False
        self.peak_size = 0
        self.users = 1

    def top_owner(self) -> tuple[int, int]:
        """The machine's user and group that are root where it is of, or the machine's."""
        if self.owner is None:
            return 0, 0
        from ..task.userspace import NONE, gid_of, uid_of

        uid, gid = uid_of(self.owner, 0), gid_of(self.owner, 0)
        return uid if uid != NONE else 0, gid if gid != NONE else 0

    def share(self) -> Mm:
        """The same for one task more (CLONE_VM)."""
        self.users += 1
        return self

    def copy(self) -> Mm:
        """A twin of the space that is copied as it is written to, all else alike but what is locked (dup_mm).

        ENOMEM, and nothing has changed.
        """
        other = Mm.__new__(Mm)
        other.__dict__.update(self.__dict__)
        other.space = self.space.try_clone()
        other.users = 1
        other.aio = {}
        other.lock_future = 0
        other.inherit_flags(self)
        return other

    def inherit_flags(self, old: Mm) -> None:
        """Take what a fork and an exec hand on (mmf_init_flags)."""
        self.deny_gain = 0 if old.deny_gain & MDWE_NO_INHERIT else old.deny_gain
        self.merges = old.merges

    def denies(self, prot: int, old: int = PROT_EXEC) -> bool:
        """Whether pages that had the rights `old` may not have these (map_deny_write_exec)."""
        if not self.deny_gain or not prot & PROT_EXEC:
            return False
        return bool(prot & PROT_WRITE) or not old & PROT_EXEC

    def release(self) -> None:
        """A task needs it no more; the last one's end gives all of it back."""
        self.users -= 1
        if not self.users:
            if self.aio:
                from ..files.aio import end_all

                end_all(self.aio)
            self.space.clear()

    def _bound(self, name: str) -> int:
        return self.space.bounds.get(name, 0)

    @property
    def start_brk(self) -> int:
        """The heap is [start_brk, brk)."""
        return self._bound("start_brk")

    @property
    def brk(self) -> int:
        return self._bound("brk")

    @brk.setter
    def brk(self, address: int) -> None:
        self.space.bounds["brk"] = address

    def start_heap(self, address: int) -> None:
        """Let an empty heap begin at `address`."""
        self.space.bounds.update(start_brk=address, brk=address)

    @property
    def start_stack(self) -> int:
        """Where the stack pointer was when the program began."""
        return self._bound("start_stack")

    @property
    def code(self) -> tuple[int, int]:
        return self._bound("start_code"), self._bound("end_code")

    @property
    def data(self) -> tuple[int, int]:
        return self._bound("start_data"), self._bound("end_data")

    @property
    def args(self) -> tuple[int, int]:
        """Where the strings of argv lie, one behind the other."""
        return self._bound("arg_start"), self._bound("arg_end")

    @property
    def env(self) -> tuple[int, int]:
        return self._bound("env_start"), self._bound("env_end")
