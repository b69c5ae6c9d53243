from collections import deque
from typing import Any

from axptr.kernel.wait import WaitQueue
from axptr.linux.fs.openfile import OpenFile
from axptr.linux.net.endpoint import Cred
from axptr.linux.net.network import Network
from axptr.linux.net.options import Options

STREAM_MOST: int

class End:
    network: Network
    options: Options
    queue: WaitQueue
    kind: int
    error: int
    shut: int
    state: int
    dead: bool
    def poll(self) -> int: ...

class TcpEnd(End):
    peer: Any
    pieces: deque[bytes]
    head: int
    queued: int
    received: int
    sent: int
    urgent: int | None
    mark: int
    finished: bool
    cramped: bool
    def capacity(self) -> int: ...
    def has_room(self) -> bool: ...
    def to_mark(self) -> int: ...
    def came(self, piece: bytes) -> None: ...
    def drop(self, size: int) -> None: ...
    def rest_of(self, piece: int) -> memoryview: ...

class Message:
    data: memoryview
    cost: int
    sender: Any
    user: int
    cred: Cred | None
    files: tuple[OpenFile, ...]
    def __init__(self, data: bytes, cost: int, sender: UnixEnd, user: int) -> None: ...

class UnixEnd(End):
    peer: Any
    messages: deque[Message]
    waiting: deque[Any]
    urgent: Message | None
    charged: int
    def write_room(self) -> bool: ...
    def charge(self, cost: int) -> None: ...
    def read_off(self, message: Message) -> None: ...
    def most(self) -> int: ...

def allocated(size: int) -> int: ...
def cost_of_stream(size: int) -> int: ...
