"""The checksum of files is zlib's, whatever the length and where the bytes lie."""

from __future__ import annotations

import random
import zlib

from axptr._core.words.records import crc32


def test_it_is_zlibs_for_every_length_and_place():
    chance = random.Random(1)
    held = chance.randbytes(5000)
    for length in [*range(300), 1024, 4095, 4096, 4097]:
        at = chance.randrange(600)
        some = memoryview(held)[at : at + length]
        before = chance.choice([0, 0xFFFF_FFFF, chance.getrandbits(32)])
        assert crc32(some, before) == zlib.crc32(some, before)
        assert crc32(bytes(some)) == zlib.crc32(some)


def test_it_goes_on_where_the_last_ended():
    held = random.Random(2).randbytes(1 << 20)
    for at in (0, 1, 63, 64, 1000, 1 << 19):
        assert crc32(held[at:], crc32(held[:at])) == zlib.crc32(held)
