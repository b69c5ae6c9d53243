"""struct termios and its kin: what a terminal does with what comes in and goes out. Source: asm-generic/termbits.h and
termios.h, drivers/tty/tty_ioctl.c. What is done by it: `files.linedisc`."""

from __future__ import annotations

from struct import Struct

IGNBRK, BRKINT, IGNPAR, PARMRK, INPCK, ISTRIP, INLCR, IGNCR = 1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80
ICRNL, IUCLC, IXON, IXANY, IXOFF, IMAXBEL, IUTF8 = 0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000
OPOST, OLCUC, ONLCR, OCRNL, ONOCR, ONLRET, TABDLY = 1, 2, 4, 8, 0x10, 0x20, 0x1800
ISIG, ICANON, ECHO, ECHOE, ECHOK, ECHONL, NOFLSH, TOSTOP = 1, 2, 8, 0x10, 0x20, 0x40, 0x80, 0x100
ECHOCTL, ECHOPRT, ECHOKE, IEXTEN, EXTPROC = 0x200, 0x400, 0x800, 0x8000, 0x1_0000
CSIZE, CS8, CREAD, PARENB, CBAUD, B38400, CBAUDEX = 0x30, 0x30, 0x80, 0x100, 0x100F, 0xF, 0x1000
CLOCAL = 0x800
(VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN, VSWTC, VSTART, VSTOP, VSUSP, VEOL, VREPRINT, VDISCARD, VWERASE, VLNEXT,
 VEOL2) = range(17)  # fmt: skip
_CHARACTERS = b"\x03\x1c\x7f\x15\x04\x00\x01\x00\x11\x13\x1a\x00\x12\x0f\x17\x16\x00\x00\x00"
_SPEEDS = (
    0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400,
)  # fmt: skip
_FAST = (
    57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000,
    3500000, 4000000,
)  # fmt: skip
_NEW, _OLD, _SHORT = Struct("<4IB19s2I"), Struct("<4IB19s"), Struct("<4HB8sx")


def _speed(cflag: int) -> int | None:
    """What the bits of a speed say; None if they say that it is told elsewhere (BOTHER)."""
    code = cflag & CBAUD
    if code == CBAUDEX:
        return None
    if code & CBAUDEX:
        code &= ~CBAUDEX
        return _FAST[code - 1] if code <= len(_FAST) else 0
    return _SPEEDS[code]


class Termios:
    """The modes of a terminal. Never changed; `changed` makes another."""

    __slots__ = ("cc", "cflag", "iflag", "ispeed", "lflag", "line", "oflag", "ospeed")

    def __init__(self, iflag: int, oflag: int, cflag: int, lflag: int, cc: bytes = _CHARACTERS, line: int = 0) -> None:
        self.iflag = iflag
        self.oflag = oflag
        self.cflag = cflag
        self.lflag = lflag
        self.cc = cc
        self.line = line
        self.ispeed = self.ospeed = _speed(cflag) or 0

    @classmethod
    def of_slave(cls) -> Termios:
        """As a pty's slave begins."""
        echo = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN
        return cls(ICRNL | IXON, OPOST | ONLCR, B38400 | CS8 | CREAD, echo)

    def pack(self, size: int) -> bytes:
        """struct termios2, termios or termio, by its size."""
        if size == _SHORT.size:
            low = (flags & 0xFFFF for flags in self._flags)
            return _SHORT.pack(*low, self.line, self.cc[:8])
        words = self.iflag, self.oflag, self.cflag, self.lflag, self.line, self.cc
        return _NEW.pack(*words, self.ispeed, self.ospeed) if size == _NEW.size else _OLD.pack(*words)

    def changed(self, data: bytes) -> Termios:
        """What a program sets, in the structure of that size. A pty has eight bits and no parity, and can be read from;
        its line discipline stays."""
        if len(data) == _SHORT.size:
            low = _SHORT.unpack(data)
            flags = [before & ~0xFFFF | new for before, new in zip(self._flags, low[:4], strict=True)]
            line, cc = low[4], low[5] + self.cc[8:]
        else:
            *flags, line, cc = (_NEW if len(data) == _NEW.size else _OLD).unpack(data)[:6]
        made = Termios(flags[0], flags[1], flags[2] & ~(CSIZE | PARENB) | CS8 | CREAD, flags[3], cc, line)
        if len(data) == _NEW.size and _speed(made.cflag) is None:
            made.ispeed, made.ospeed = _NEW.unpack(data)[6:]
        return made

    @property
    def _flags(self) -> tuple[int, int, int, int]:
        return self.iflag, self.oflag, self.cflag, self.lflag
