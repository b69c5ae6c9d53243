"""The pointer types of bytes, which are there before ctypes is: nobody who looks sees a difference."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = """
import sys
from axptr.linux.uaccess import Bytes, ConstBytes
assert "ctypes" not in sys.modules and "_ctypes" not in sys.modules
"""


def says(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", BEGIN + program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "looked",
    [
        "Bytes.T is c_char and ConstBytes.T is c_char",
        "Bytes.seen is c_char",
        "Bytes(16).T is c_char",
        "repr(Bytes) == 'UserPtr[c_char]' and repr(ConstBytes(16)) == repr(UserConstPtr[c_char](16))",
        "Bytes is UserPtr[c_char] and ConstBytes is UserConstPtr[c_char]",
        "Bytes is UserPtr[c_uint8].to(c_char)",
        "Bytes(16).cast(c_uint8).cast(c_char).type is Bytes",
        "Bytes(16) == ConstBytes(16) and hash(Bytes(16)) == hash(UserConstPtr[c_char](16))",
        "Bytes(16) != UserPtr[c_uint8](16) and UserPtr[c_uint8](16) != Bytes(16)",
        "Bytes(24) - ConstBytes(16) == 8",
        "loads(dumps(Bytes)) is Bytes and loads(dumps(ConstBytes(16))).type is ConstBytes",
        "Bytes.under(ILP32).T is c_char and UserPtr[c_char].under(ILP32) is Bytes.under(ILP32)",
        "UserPtr[Bytes] is UserPtr[UserPtr[c_char]]",
    ],
)
def test_who_looks_at_a_type_of_bytes_sees_that_of_c_char(looked: str) -> None:
    for order in ("", "UserPtr[c_char]", "UserPtr['I']", "Bytes.T"):
        program = f"""
from pickle import dumps, loads
from ctypes import c_char, c_uint8
from axptr import ILP32, UserConstPtr, UserPtr
{order}
print({looked})
"""
        assert says(program) == "True", order


def test_pointers_are_members_of_structures_once_one_was_asked_for() -> None:
    program = """
import ctypes
from axptr import UserPtr
class Node(ctypes.Structure):
    _fields_ = [("next", UserPtr["Node"]), ("text", UserPtr[ctypes.c_char])]
print(ctypes.sizeof(Node), UserPtr[Node](64).field("text").address)
"""
    assert says(program) == "16 72"


def test_bytes_are_read_and_written_without_ctypes() -> None:
    program = """
from axptr import AddrSpace, MappingFlags
space = AddrSpace(0, 1 << 32)
space.map_alloc(0x10000, 0x1000, MappingFlags.READ | MappingFlags.WRITE)
Bytes(0x10000).write_slice(space, b"some text")
Bytes(0x10009).write_slice(space, bytearray(b"!"))
assert ConstBytes(0x10000).read_cstr(space) == b"some text!"
assert ConstBytes(0x10000).get_as_str(space) == "some text!"
assert Bytes(0x10000).read(space) == b"s"
Bytes(0x10000).write(space, b"S")
assert ConstBytes(0x10000).read_slice(space, 4) == b"Some"
assert bytes(Bytes(0x10000).get_as_slice(space, 4)) == b"Some"
print("ctypes" in sys.modules)
live = Bytes(0x10000).get(space)
live.value = b"s"
import ctypes
assert isinstance(live, ctypes.c_char)
Bytes(0x10005).write_slice(space, (ctypes.c_char * 4).from_buffer_copy(b"TEXT"))
assert ConstBytes(0x10000).read_cstr(space) == b"some TEXT!"
try:
    Bytes(0x10000).write_slice(space, (ctypes.c_char_p * 1)())
except TypeError:
    print("refused")
"""
    assert says(program).split() == ["False", "refused"]


def test_a_fault_names_the_type() -> None:
    program = """
from axptr import AddrSpace, UserFault
try:
    ConstBytes(0x10000).read_slice(AddrSpace(0, 1 << 32), 4)
except UserFault as fault:
    print(fault)
"""
    assert "0x10000" in says(program)
