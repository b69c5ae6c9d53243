"""The line discipline of a terminal: what is typed becomes lines and signals and is echoed, what is written is made
ready to be shown. A port of drivers/tty/n_tty.c of Linux 6.18, whose names it keeps; see also termios(3).

Not here: who has the terminal and may do what (`signals.jobs`), the two ends and their files (`files.pty`), parity and
breaks, which ptys have not.

    typed -> receive -> buffer: [ complete lines | line being typed ] -> read
                 \\-> echo -> output -> shown
    written ------------> output -> shown
"""

from __future__ import annotations

from collections import deque

from ..abi.signals import SIGINT, SIGQUIT, SIGTSTP
from .termios import (
    ECHO,
    ECHOCTL,
    ECHOE,
    ECHOK,
    ECHOKE,
    ECHONL,
    ECHOPRT,
    EXTPROC,
    ICANON,
    ICRNL,
    IEXTEN,
    IGNCR,
    INLCR,
    ISIG,
    ISTRIP,
    IUCLC,
    IUTF8,
    IXANY,
    IXON,
    NOFLSH,
    OCRNL,
    OLCUC,
    ONLCR,
    ONLRET,
    ONOCR,
    OPOST,
    PARMRK,
    TABDLY,
    VEOF,
    VEOL,
    VEOL2,
    VERASE,
    VINTR,
    VKILL,
    VLNEXT,
    VMIN,
    VQUIT,
    VREPRINT,
    VSTART,
    VSTOP,
    VSUSP,
    VTIME,
    VWERASE,
    Termios,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Driver(Protocol):
        """The device below."""

        stopped: bool

        def room(self) -> int:
            """Bytes that can be shown now; 0 while output is stopped."""

        def show(self, data: bytes) -> int:
            """Show as much as there is room for; how much."""

        def start(self) -> None: ...
        def stop(self) -> None: ...

        def signal(self, signal: int, flush: bool) -> None:
            """To the foreground group; flush: what is on its way out is dropped."""

        def typed(self) -> None:
            """There is something to read."""


SIZE = 4096
_NL, _CR, _TAB, _BS, _MARK = 10, 13, 9, 8, 0xFF
_SET_CANON_COL, _MOVE_BACK = 256, 257
_ERASE_TAB = 512
_CONTROL = 1024
"""Operations among the bytes to be echoed; the last but one plus the columns, and 0x80 where they begin at a tab, the
last one plus a control character that is shown as two, whatever is made of what programs write."""
_END = 0
"""__DISABLED_CHAR: what stands in the buffer for the end of a line that has no character of its own."""


def _is_control(c: int) -> bool:
    return c < 32 or c == 127


def _is_word(c: int) -> bool:
    """isalnum of the kernel, which means Latin-1, and `_`."""
    return 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c == 95 or (c >= 0xC0 and c not in (0xD7, 0xF7))


class LineDiscipline:
    """One terminal's. The machine's thread alone uses it; exec and fork leave it alone, a snapshot keeps its fields.

    buffer: what has come in and is not read. lines: how much of it is complete lines. ends: where in it lines end, in
    order. All three are of the canonical mode but for the buffer.
    """

    def __init__(self, driver: Driver, termios: Termios) -> None:
        self._driver = driver
        self.termios = termios
        self.buffer = bytearray()
        self.lines = 0
        self.ends: deque[int] = deque()
        self._echoes: deque[int] = deque()
        self._column = self._canon_column = 0
        self._lnext = self._erasing = False
        self._special: frozenset[int] = frozenset()
        self._prepare()

    def leave(self) -> None:
        """Both sides are closed: nothing is typed or shown any more, and it does not lead to the device."""
        self._driver = None  # type: ignore[assignment]

    # -- modes

    @property
    def canonical(self) -> bool:
        return self.termios.lflag & (ICANON | EXTPROC) == ICANON

    def set_termios(self, termios: Termios) -> None:
        """Other modes from now on (n_tty_set_termios)."""
        old, self.termios = self.termios, termios
        if (old.lflag ^ termios.lflag) & (ICANON | EXTPROC):
            self.ends.clear()
            self.lines = 0
            if termios.lflag & ICANON and self.buffer:
                self.lines = len(self.buffer)
                self.ends.append(self.lines - 1)
            self._erasing = self._lnext = False
        self._prepare()
        if old.iflag & IXON and not termios.iflag & IXON:
            self._driver.start()
            self.process_echoes()

    def _prepare(self) -> None:
        """The characters that are more than themselves (char_map)."""
        iflag, lflag, cc = self.termios.iflag, self.termios.lflag, self.termios.cc
        special: set[int] = set()
        if iflag & (IGNCR | ICRNL):
            special.add(_CR)
        if iflag & INLCR:
            special.add(_NL)
        if lflag & ICANON:
            special |= {cc[VERASE], cc[VKILL], cc[VEOF], _NL, cc[VEOL]}
            if lflag & IEXTEN:
                special |= {cc[VWERASE], cc[VLNEXT], cc[VEOL2]}
                if lflag & ECHO:
                    special.add(cc[VREPRINT])
        if iflag & IXON:
            special |= {cc[VSTART], cc[VSTOP]}
        if lflag & ISIG:
            special |= {cc[VINTR], cc[VQUIT], cc[VSUSP]}
        self._special = frozenset(special - {_END})
        self._plain = not iflag & (ISTRIP | IUCLC | IXON | PARMRK | IXANY) and not lflag & (ICANON | ECHO | ISIG)

    # -- what comes in

    def receive(self, data: memoryview) -> int:
        """Take what was typed, as much as there is room for; how much (n_tty_receive_buf_common)."""
        done = 0
        while done < len(data):
            room = SIZE - len(self.buffer)
            if self.termios.iflag & PARMRK:
                room = -(-room // 3)
            room -= 1
            if room <= 0:
                if not (self.canonical and not self.lines):
                    break
                if room < 0:  # a line too long: its last character gives way
                    del self.buffer[-1:]
                room = 1
            piece = data[done : done + room]
            self._receive(piece)
            done += len(piece)
        return done

    def _receive(self, data: memoryview) -> None:
        if self._plain and not self._special and not self._lnext:
            self.buffer += data
        else:
            for c in bytes(data):
                self._receive_byte(c)
            if self.termios.lflag & (ECHO | ECHONL):
                self.process_echoes()
        if not self.canonical and self.buffer:
            self._driver.typed()

    def _receive_byte(self, c: int) -> None:
        iflag, lflag = self.termios.iflag, self.termios.lflag
        if iflag & ISTRIP:
            c &= 0x7F
        if iflag & IUCLC and lflag & IEXTEN and (65 <= c <= 90 or 0xC0 <= c <= 0xDE):
            c += 32
        if self._lnext:
            self._lnext = False
            self._receive_char(c)
        elif lflag & EXTPROC:
            self.buffer.append(c)
        elif c in self._special:
            self._receive_special(c)
        else:
            self._receive_char(c)

    def _put(self, c: int) -> None:
        if c == _MARK and self.termios.iflag & PARMRK:
            self.buffer.append(c)
        self.buffer.append(c)

    def _receive_char(self, c: int) -> None:
        self._any_key()
        if self.termios.lflag & ECHO:
            self._finish_erasing()
            if self.lines == len(self.buffer):
                self._echoes.append(_SET_CANON_COL)
            self._echo(c)
        self._put(c)

    def _any_key(self) -> None:
        """With IXANY any key lets output go on."""
        if self._driver.stopped and self.termios.iflag & (IXON | IXANY) == IXON | IXANY:
            self._driver.start()
            self.process_echoes()

    def _receive_special(self, c: int) -> None:
        iflag, lflag, cc = self.termios.iflag, self.termios.lflag, self.termios.cc
        if iflag & IXON and c in (cc[VSTART], cc[VSTOP]):
            if c == cc[VSTART]:
                self._driver.start()
                self.process_echoes()
            else:
                self._driver.stop()
            return
        if lflag & ISIG:
            signal = {cc[VSUSP]: SIGTSTP, cc[VQUIT]: SIGQUIT, cc[VINTR]: SIGINT}.get(c)
            if signal is not None:
                self._receive_signal(signal, c)
                return
        self._any_key()
        if c == _CR:
            if iflag & IGNCR:
                return
            if iflag & ICRNL:
                c = _NL
        elif c == _NL and iflag & INLCR:
            c = _CR
        if lflag & ICANON and self._receive_canon(c):
            return
        if lflag & ECHO:
            self._finish_erasing()
            if c == _NL:
                self._echoes.append(_NL)
            else:
                if self.lines == len(self.buffer):
                    self._echoes.append(_SET_CANON_COL)
                self._echo(c)
        self._put(c)

    def _receive_signal(self, signal: int, c: int) -> None:
        flush = not self.termios.lflag & NOFLSH
        self._driver.signal(signal, flush)
        if flush:
            self._echoes.clear()
            self._reset()
        if self.termios.iflag & IXON:
            self._driver.start()
        if self.termios.lflag & ECHO:
            self._echo(c)
        else:
            self.process_echoes()

    def _receive_canon(self, c: int) -> bool:
        """What is special about lines; False if the character is none of it."""
        lflag, cc = self.termios.lflag, self.termios.cc
        extended = bool(lflag & IEXTEN)
        if c in (cc[VERASE], cc[VKILL]) or (c == cc[VWERASE] and extended):
            self._erase(c)
        elif c == cc[VLNEXT] and extended:
            self._lnext = True
            if lflag & ECHO:
                self._finish_erasing()
                if lflag & ECHOCTL:
                    self._echoes.extend(b"^\b")
        elif c == cc[VREPRINT] and lflag & ECHO and extended:
            self._finish_erasing()
            self._echo(c)
            self._echoes.append(_NL)
            for typed in self.buffer[self.lines :]:
                self._echo(typed)
        elif c == _NL:
            if lflag & (ECHO | ECHONL):
                self._echoes.append(_NL)
            self._end_line(c)
        elif c == cc[VEOF]:
            self._end_line(_END)
        elif c == cc[VEOL] or (c == cc[VEOL2] and extended):
            if lflag & ECHO:
                if self.lines == len(self.buffer):
                    self._echoes.append(_SET_CANON_COL)
                self._echo(c)
            self._end_line(c)
        else:
            return False
        return True

    def _end_line(self, c: int) -> None:
        if c == _MARK and self.termios.iflag & PARMRK:
            self.buffer.append(c)
        self.ends.append(len(self.buffer))
        self.buffer.append(c)
        self.lines = len(self.buffer)
        self._driver.typed()

    # -- erasing

    def _continues(self, c: int) -> bool:
        """Whether the byte goes on with a character of UTF-8."""
        return bool(self.termios.iflag & IUTF8) and c & 0xC0 == 0x80

    def _finish_erasing(self) -> None:
        if self._erasing:
            self._echoes.append(ord("/"))
            self._erasing = False

    def _erase(self, key: int) -> None:
        """A character, a word or the line (eraser)."""
        lflag, cc, buffer, start = self.termios.lflag, self.termios.cc, self.buffer, self.lines
        if len(buffer) == start:
            return
        word = key != cc[VERASE] and key == cc[VWERASE]
        if key != cc[VERASE] and not word:
            if not lflag & ECHO:
                del buffer[start:]
                return
            if lflag & (ECHOK | ECHOKE | ECHOE) != ECHOK | ECHOKE | ECHOE:
                del buffer[start:]
                self._finish_erasing()
                self._echo(cc[VKILL])
                if lflag & ECHOK:
                    self._echoes.append(_NL)
                return
        seen = False
        while len(buffer) > start:
            head = len(buffer) - 1
            while self._continues(buffer[head]) and head > start:
                head -= 1
            c = buffer[head]
            if self._continues(c):
                break
            if word:
                if _is_word(c):
                    seen = True
                elif seen:
                    break
            gone = bytes(buffer[head:])
            del buffer[head:]
            if lflag & ECHO:
                self._show_erased(gone, single=key == cc[VERASE])
            if key == cc[VERASE]:
                break
        if len(buffer) == start and lflag & ECHO:
            self._finish_erasing()

    def _show_erased(self, gone: bytes, *, single: bool) -> None:
        lflag, c = self.termios.lflag, gone[0]
        if lflag & ECHOPRT:
            if not self._erasing:
                self._echoes.append(ord("\\"))
                self._erasing = True
            self._echo(c)
            for more in gone[1:]:
                self._raw(more)
                self._echoes.append(_MOVE_BACK)
        elif single and not lflag & ECHOE:
            self._echo(self.termios.cc[VERASE])
        elif c == _TAB:
            columns, after_tab = 0, 0
            for before in reversed(self.buffer[self.lines :]):
                if before == _TAB:
                    after_tab = 0x80
                    break
                if _is_control(before):
                    columns += 2 if lflag & ECHOCTL else 0
                elif not self._continues(before):
                    columns += 1
            self._echoes.append(_ERASE_TAB + (columns & 7) + after_tab)
        else:
            if _is_control(c) and lflag & ECHOCTL:
                self._echoes.extend(b"\b \b")
            if not _is_control(c) or lflag & ECHOCTL:
                self._echoes.extend(b"\b \b")

    # -- the echo

    def _raw(self, c: int) -> None:
        self._echoes.append(c)

    def _echo(self, c: int) -> None:
        if self.termios.lflag & ECHOCTL and _is_control(c) and c != _TAB:
            self._echoes.append(_CONTROL + c)
        else:
            self._echoes.append(c)

    def process_echoes(self) -> None:
        """Show what is to be echoed, as far as there is room."""
        echoes = self._echoes
        while echoes:
            c, room = echoes[0], self._driver.room()
            if c == _SET_CANON_COL:
                self._canon_column = self._column
            elif c == _MOVE_BACK:
                self._column = max(self._column - 1, 0)
            elif c >= _CONTROL:
                if room < 2:
                    return
                self._driver.show(bytes((ord("^"), (c - _CONTROL) ^ 0x40)))
                self._column += 2
            elif c >= _ERASE_TAB:
                columns = c - _ERASE_TAB
                if not columns & 0x80:
                    columns += self._canon_column
                back = 8 - (columns & 7)
                if room < back:
                    return
                self._driver.show(b"\b" * back)
                self._column = max(self._column - back, 0)
            elif self.termios.oflag & OPOST:
                made = self._output(c, room)
                if made is None:
                    return
                self._driver.show(made)
            else:
                if not room:
                    return
                self._driver.show(bytes((c,)))
            echoes.popleft()

    # -- what goes out

    def write(self, data: bytes) -> int:
        """Show what a program writes; how much of it there was room for."""
        self.process_echoes()
        if not self.termios.oflag & OPOST:
            return self._driver.show(data)
        done, room, shown = 0, self._driver.room(), bytearray()
        for c in data:
            made = self._output(c, room - len(shown))
            if made is None:
                break
            shown += made
            done += 1
        self._driver.show(bytes(shown))
        return done

    def _output(self, c: int, room: int) -> bytes | None:
        """What a byte becomes (do_output_char); None if there is no room for that."""
        if room < 1:
            return None
        oflag = self.termios.oflag
        if c == _NL:
            if oflag & ONLRET:
                self._column = 0
            if oflag & ONLCR:
                if room < 2:
                    return None
                self._canon_column = self._column = 0
                return b"\r\n"
            self._canon_column = self._column
        elif c == _CR:
            if oflag & ONOCR and not self._column:
                return b""
            if oflag & OCRNL:
                if oflag & ONLRET:
                    self._canon_column = self._column = 0
                return b"\n"
            self._canon_column = self._column = 0
        elif c == _TAB:
            spaces = 8 - (self._column & 7)
            if oflag & TABDLY == TABDLY:
                if room < spaces:
                    return None
                self._column += spaces
                return b" " * spaces
            self._column += spaces
        elif c == _BS:
            self._column = max(self._column - 1, 0)
        elif not _is_control(c):
            if oflag & OLCUC and (97 <= c <= 122 or 0xE0 <= c <= 0xFE):
                c -= 32
            if not self._continues(c):
                self._column += 1
        return bytes((c,))

    # -- reading

    def available(self, *, poll: bool = False) -> bool:
        """Whether a read would get something; for poll, as much as VMIN asks for."""
        if self.canonical:
            return self.lines > 0
        cc = self.termios.cc
        return len(self.buffer) >= (cc[VMIN] if poll and not cc[VTIME] and cc[VMIN] else 1)

    @property
    def readable(self) -> int:
        """How much can be read (FIONREAD)."""
        if not self.canonical:
            return len(self.buffer)
        return self.lines - sum(self.buffer[at] == _END for at in self.ends)

    def take(self, count: int) -> bytes:
        """Up to `count` bytes, of one line if there are lines; empty for an end of the file."""
        if not self.canonical:
            taken = bytes(self.buffer[:count])
            self._drop(len(taken))
            return taken
        end = self.ends[0] if self.ends else self.lines
        if end >= count:
            taken = bytes(self.buffer[:count])
            # a read that ends just before an end without a character takes that too
            skip = bool(self.ends) and end == count and self.buffer[end] == _END
            self._drop(count + skip)
            return taken
        taken = bytes(self.buffer[: end + 1])
        self._drop(end + 1)
        return taken[:-1] if taken[-1] == _END and end + 1 == len(taken) else taken

    def _drop(self, count: int) -> None:
        del self.buffer[:count]
        self.lines = max(self.lines - count, 0)
        self.ends = deque(at - count for at in self.ends if at >= count)

    def flush(self) -> None:
        """Forget what has come in."""
        self._reset()

    def _reset(self) -> None:
        self.buffer.clear()
        self.ends.clear()
        self.lines = 0
        self._erasing = self._lnext = False
