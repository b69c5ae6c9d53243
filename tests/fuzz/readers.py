"""Readers, writers, streams and files over user memory: begun by one call, gone on with by later ones."""

from __future__ import annotations

import io
from typing import Any

from axptr import IoStream, IoVec, MappingFlags, UserFile, UserSlice, UserSliceReader, UserSliceWriter

from .judge import POISON, Broken, Entry
from .shadow import END
from .single import chosen, fits, sized, value_for
from .world import World


def begin(w: World) -> None:
    """A reader, a writer, a stream or a file, that later calls go on with."""
    provider, entry = w.target()
    choice = w.source.byte()
    made: Any = None
    if choice & 3 == 0:
        where = w.call(UserSlice, w.any_address(), w.any_count(4000))
        if where is not None:
            made = w.call(where.writer if choice & 4 else where.reader, provider)
    elif choice & 3 == 1:
        mode: Any = w.source.pick(["r", "w", "r+", "r+", "a"])
        w.wrong = w.wrong or mode == "a"
        made = w.call(UserFile, provider, w.any_address(), w.any_count(4000), mode)
    elif choice & 3 == 2:
        options: dict[str, Any] = {}
        if choice & 4:
            options["end"] = w.any_count() if choice & 8 else w.source.pick([END, 1 << 47, w.end])
            if not 0 < int_of(options["end"]) <= END:
                w.wrong = True
        iov = w.call(IoVec.read, provider, w.any_address(), w.any_count(6), MappingFlags(choice >> 4 & 3), **options)
        made = None if iov is None else w.call(iov.stream, provider)
    else:
        segments = [(w.any_address(), w.any_count(100)) for _ in range(choice >> 4)]
        iov = w.call(IoVec, segments)
        if iov is not None:
            if len(list(iov)) != len(segments) or iov.total != sum(size for _, size in iov):
                raise Broken(f"{iov!r} of {segments}")
            made = w.call(iov.stream, provider)
    if made is not None:
        if len(w.streams) >= 6:
            del w.streams[0]
        w.streams.append((made, entry))
        go_on(w, made, entry)


def int_of(value: Any) -> int:
    """What is a wrong number is -1; one whose conversion runs code is left alone."""
    return value if type(value) is int else -1


def go_on_with(w: World) -> None:
    if w.streams:
        made, entry = w.streams[w.source.byte() % len(w.streams)]
        go_on(w, made, entry)


def go_on(w: World, made: Any, entry: Entry) -> None:
    """One call of what was begun: its place moves by what was done, and what was stored is in the model."""
    choice = w.source.byte()
    size = choice >> 3
    if isinstance(made, UserFile):
        file_call(w, made, entry, choice, size)
        return
    before = made.remaining
    n = w.any_count(100) if choice & 1 else size
    name = choice >> 1 & 3
    if isinstance(made, IoStream):
        done = stream_call(w, made, entry, name, size, n)
    elif isinstance(made, UserSliceReader):
        done = reader_call(w, made, entry, name + (choice >> 7 and before < 1 << 16), size, n)
    else:
        done = writer_call(w, made, entry, name, n)
    if done is not None and not w.wrong and made.remaining != before - done:
        raise Broken(f"{made!r}: {int(done)} bytes done, {before} were left, {made.remaining} are")


def stream_call(w: World, stream: IoStream, entry: Entry, name: int, size: int, n: Any) -> int | None:
    """The bytes that it should have moved by; None where nobody says."""
    done: int | None = None
    if name == 0:
        done = w.call(stream.skip, n)
    elif name == 1:
        buffer = bytearray(size * 50)
        done = w.call(stream.copy_in, buffer)
        if done and POISON in buffer[:done]:
            raise Broken("a stream gave bytes of a freed frame")
    elif name == 2:
        done = w.call(stream.copy_out, w.data())
        if done:
            for address, length in stream.iov:
                entry.shadow.forget(address, length)
    else:
        w.call(lambda: (stream.position, repr(stream.iov), stream.iov[0] if len(stream.iov) else None))
    return done


def reader_call(w: World, reader: UserSliceReader, entry: Entry, name: int, size: int, n: Any) -> int | None:
    if name == 0:
        room = entry.room(reader._provider)
        got = w.call(reader.read, n)
        if got is not None:
            w.afford(room, len(got))
        return 0 if got is None else len(got)
    if name == 1:
        kind = chosen(w)
        fits(w, kind, entry)
        got = w.call(reader.read_value, kind.T)
        return sized(kind, entry)[0] if got is not None else 0
    if name == 2:
        return w.call(reader.copy_in, bytearray(size * 20))  # type: ignore[no-any-return]
    if name == 4:
        got = w.call(reader.read_all)
        return 0 if got is None else len(got)
    w.call(reader.skip, n)
    return None


def writer_call(w: World, writer: UserSliceWriter, entry: Entry, name: int, n: Any) -> int | None:
    start, wrote = writer.address, 0
    raw: bytes | None
    done: int | None
    if name == 0:
        raw = w.data()
        w.call(writer.write, raw)
        done = wrote = len(raw) if w.error is None else 0
    elif name == 1:
        kind = chosen(w)
        value, raw = value_for(w, kind, entry)
        fits(w, kind, entry)
        w.call(writer.write_value, kind.T, value)
        done = wrote = sized(kind, entry)[0] if w.error is None else 0
    elif name == 2:
        raw = w.data()
        done = w.call(writer.copy_out, raw)
        wrote = int(done or 0)
        raw = raw[:wrote]
    else:
        done = w.call(writer.clear, min(n, 1 << 16) if type(n) is int and not entry.shadow.sure else n)
        wrote = int(done or 0)
        raw = bytes(wrote)
    if wrote:
        w.wrote(entry, start, wrote, raw)
    elif name < 2:
        w.spoiled(entry, start, 1 << 13)
    return done


def file_call(w: World, file: Any, entry: Entry, choice: int, size: int) -> None:
    also = (io.UnsupportedOperation,)
    name = choice & 7
    try:
        at = file.tell()
    except ValueError:
        w.wrong = True
        at = 0
    start = file._address + at
    if name == 0:
        w.call(file.read, size * 3, also=also)
    elif name == 1:
        w.call(file.readinto, bytearray(size * 3), also=also)
    elif name == 2:
        data = w.data()
        done = w.call(file.write, data, also=also)
        if done:
            w.wrote(entry, start, done, data[:done])
    elif name == 3:
        w.call(file.seek, w.any_count(), w.source.pick([0, 1, 2, 0, 3]), also=also)
    elif name == 4:
        w.call(file.seek, -w.source.byte(), 1 + (choice >> 3 & 1), also=also)
    elif name == 5:
        w.call(file.readline, 200, also=also)
    elif name == 6:
        w.call(lambda: (file.readable(), file.writable(), file.seekable(), file.tell(), repr(file)))
    elif choice > 0xF0:
        w.call(file.close)
    else:
        w.call(file.read, -1 if file._size - at < 1 << 16 else 100, also=also)
