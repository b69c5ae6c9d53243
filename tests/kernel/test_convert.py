"""Registers become arguments: each kind of annotation, and signatures that cannot be."""

from __future__ import annotations

import ctypes
import enum
import errno
from ctypes import c_bool, c_char, c_double, c_int, c_int8, c_int64, c_size_t, c_uint16, c_uint32, c_void_p

import pytest

from axptr._core.pointers.pointer import UserConstPtr, UserPtr
from axptr.errors import LinuxError
from axptr.kernel import abi
from axptr.kernel.convert import build, params_of
from axptr.kernel.kernel import Kernel, Syscall

BIG = 0xFFFF_FFFF_FFFF_FFFF


class Whence(enum.IntEnum):
    SET = 0
    END = 2


class Mode(enum.IntFlag):
    READ = 1
    WRITE = 2


def converted(annotation: object, register: int) -> object:
    def handler(task, value):
        return value

    handler.__annotations__ = {"value": annotation}
    direct = build(handler, params_of(handler))(None, register, 9, 9, 9, 9, 9)
    assert Syscall(1, "test", handler).convert(register, 9, 9, 9, 9, 9) == (direct,)
    return direct


@pytest.mark.parametrize(
    ("annotation", "register", "expected"),
    [
        (c_int, 5, 5),
        (c_int, 0x7FFF_FFFF, 0x7FFF_FFFF),
        (c_int, 0x8000_0000, -0x8000_0000),
        (c_int, BIG, -1),
        (c_int, 0xFFFF_FFFF, -1),
        (c_int, 0x1_0000_0005, 5),  # what is above the low half does not count
        (c_int, 0xDEAD_BEEF_FFFF_FF9C, -100),
        (c_uint32, BIG, 0xFFFF_FFFF),
        (c_int64, BIG, -1),
        (c_int64, 1 << 63, -(1 << 63)),
        (c_int64, (1 << 63) - 1, (1 << 63) - 1),
        (c_size_t, BIG, BIG),
        (ctypes.c_long, BIG - 1, -2),
        (c_int8, 0x80, -128),
        (c_int8, 0x17F, 127),
        (c_uint16, 0x12345, 0x2345),
        (c_void_p, BIG, BIG),
        (int, BIG, BIG),
        (c_bool, 0x100, False),
        (c_bool, 2, True),
        (Whence, 2, Whence.END),
        (Whence, 0xFFFF_FFFF_0000_0002, Whence.END),
        (Mode, 3, Mode.READ | Mode.WRITE),
    ],
)
def test_a_register_becomes_what_the_annotation_says(annotation, register, expected):
    value = converted(annotation, register)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize("address", [0, 1, 0x1000, 1 << 47, BIG])
@pytest.mark.parametrize("pointer", [UserPtr[c_char], UserConstPtr[c_int]])
def test_a_pointer_is_made_of_any_address_and_nothing_is_checked(pointer, address):
    value = converted(pointer, address)
    assert value.address == address
    assert isinstance(value, pointer)


def test_a_number_that_is_no_member_of_the_enum_is_einval():
    with pytest.raises(LinuxError) as caught:
        converted(Whence, 7)
    assert caught.value.errno == errno.EINVAL


def test_annotations_as_strings_are_understood():
    def handler(task, fd: c_int, buf: UserPtr[c_char]) -> int:
        return fd

    assert isinstance(handler.__annotations__["fd"], str)  # this file has postponed annotations
    fd, buf = params_of(handler)
    assert (fd.kind, fd.bits, fd.signed, fd.type) == ("int", 32, True, c_int)
    assert (buf.kind, buf.name) == ("pointer", "buf")


def test_six_arguments_arrive_in_order():
    def handler(task, a: int, b: int, c: int, d: int, e: int, f: int) -> int:
        return (task, a, b, c, d, e, f)

    call = build(handler, params_of(handler))
    assert call("t", 1, 2, 3, 4, 5, 6) == ("t", 1, 2, 3, 4, 5, 6)


def test_no_arguments_but_the_task():
    def handler(task) -> int:
        return 7

    assert build(handler, params_of(handler))(None, 1, 2, 3, 4, 5, 6) == 7
    assert Syscall(1, "none", handler).convert(1, 2, 3, 4, 5, 6) == ()


def _none():
    return 0


def _no_annotation(task, fd):
    return 0


def _seven(task, a: int, b: int, c: int, d: int, e: int, f: int, g: int):
    return 0


def _double(task, value: c_double):
    return 0


def _text(task, value: str):
    return 0


def _star(task, *args: int):
    return 0


def _keyword(task, *, fd: int):
    return 0


def _bare_pointer(task, buf: UserPtr):
    return 0


def _unknown_name(task, buf: UserPtr[Nowhere]):  # noqa: F821
    return 0


def _unknown_attribute(task, buf: errno.NO_SUCH_TYPE):
    return 0


def _no_expression(task, buf: "UserPtr["):  # noqa: F722
    return 0


@pytest.mark.parametrize("handler", [_none, _no_annotation, _seven, _double, _text, _star, _keyword])
def test_a_signature_that_registers_cannot_fill_is_a_type_error_that_names_the_handler(handler):
    with pytest.raises(TypeError, match=handler.__name__):
        params_of(handler)


@pytest.mark.parametrize("handler", [_bare_pointer, _unknown_name, _unknown_attribute, _no_expression])
def test_an_annotation_that_cannot_be_found_names_handler_and_parameter(handler):
    with pytest.raises(TypeError, match=f"{handler.__name__}.*'buf'"):
        params_of(handler)
    with pytest.raises(TypeError, match=f"{handler.__name__}.*'buf'"):
        Kernel().syscall(1, "one")(handler)


@pytest.mark.parametrize("name", [name for name in abi.__all__ if name.startswith("c_")])
@pytest.mark.parametrize("register", [0, 5, BIG, 1 << 63, 0x8000_8000_8000_8000, 0x7FFF_FFFF_7FFF])
def test_names_of_abi_are_converted_as_the_types_that_they_are_called_after(name: str, register: int) -> None:
    assert converted(getattr(abi, name), register) == converted(getattr(ctypes, name), register)


@pytest.mark.parametrize("name", [name for name in abi.__all__ if name.startswith("c_")])
def test_pointers_at_names_of_abi_point_at_the_types_of_ctypes(name: str) -> None:
    assert UserPtr[getattr(abi, name)] is UserPtr[getattr(ctypes, name)]
    assert UserConstPtr.of(getattr(abi, name)) is UserConstPtr.of(getattr(ctypes, name))
