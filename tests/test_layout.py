"""Layouts: which types a pointer can point at, and their size and alignment."""

from __future__ import annotations

import ctypes

import pytest

from axptr import Layout, UserConstPtr, UserPtr


class Point(ctypes.Structure):
    _fields_ = [("tag", ctypes.c_uint8), ("x", ctypes.c_uint64)]


class Packed(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("tag", ctypes.c_uint8), ("x", ctypes.c_uint64)]


class BigEndian(ctypes.BigEndianStructure):
    _fields_ = [("x", ctypes.c_uint32), ("y", ctypes.c_uint16)]


class Either(ctypes.Union):
    _fields_ = [("byte", ctypes.c_uint8), ("word", ctypes.c_uint32)]


class Nothing(ctypes.Structure):
    _fields_: list[object] = []


@pytest.mark.parametrize(
    ("T", "size", "align"),
    [
        (ctypes.c_char, 1, 1),
        (ctypes.c_bool, 1, 1),
        (ctypes.c_uint16, 2, 2),
        (ctypes.c_int32, 4, 4),
        (ctypes.c_double, 8, 8),
        (ctypes.c_void_p, 8, 8),
        (ctypes.c_wchar, 4, 4),
        (ctypes.c_uint32.__ctype_be__, 4, 4),
        (Point, 16, 8),
        (Packed, 9, 1),
        (BigEndian, 8, 4),
        (Either, 4, 4),
        (ctypes.c_uint16 * 5, 10, 2),
        (Point * 3, 48, 8),
        (UserPtr[ctypes.c_char], 8, 8),
        (UserConstPtr[UserPtr[Point]], 8, 8),
    ],
)
def test_layout_of_a_type_is_what_c_has(T: type, size: int, align: int) -> None:
    assert Layout.of(T) == Layout(size, align)
    assert Layout.array(T, 7) == Layout(7 * size, align)
    assert Layout.array(T, 0) == Layout(0, align)


def test_layout_of_a_huge_array_is_exact() -> None:
    assert Layout.array(ctypes.c_uint64, 1 << 63).size == 1 << 66


class WithPointer(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int), ("p", ctypes.POINTER(ctypes.c_int))]


class Inherits(WithPointer):
    _fields_ = [("more", ctypes.c_int)]


class Nested(ctypes.Structure):
    _fields_ = [("inner", WithPointer * 2)]


class TextUnion(ctypes.Union):
    _fields_ = [("n", ctypes.c_int), ("s", ctypes.c_char_p)]


@pytest.mark.parametrize(
    "T",
    [
        ctypes.POINTER(ctypes.c_int),
        ctypes.c_char_p,
        ctypes.c_wchar_p,
        ctypes.py_object,
        ctypes.CFUNCTYPE(None),
        ctypes.c_char_p * 4,
        WithPointer,
        Inherits,
        Nested,
        TextUnion,
        type("MyText", (ctypes.c_char_p,), {}),
    ],
    ids=lambda T: T.__name__,
)
def test_a_type_that_points_into_the_host_is_refused(T: type) -> None:
    with pytest.raises(TypeError, match="points into the host"):
        Layout.of(T)
    with pytest.raises(TypeError, match="points into the host"):
        UserPtr[T]
    with pytest.raises(TypeError, match="points into the host"):
        UserConstPtr[T]


@pytest.mark.parametrize("T", [int, str, None, 4, "c_int", ctypes.c_int(3), [], object, UserPtr, Layout])
def test_what_is_no_ctypes_type_is_refused(T: object) -> None:
    with pytest.raises(TypeError):
        Layout.of(T)
    with pytest.raises(TypeError):
        UserPtr.of(T)


@pytest.mark.parametrize("T", [Nothing, ctypes.c_int * 0, Nothing * 5])
def test_a_type_without_size_is_refused(T: type) -> None:
    with pytest.raises(TypeError, match="has no size"):
        Layout.of(T)


@pytest.mark.parametrize("base", [ctypes.Structure, ctypes.Union, ctypes.Array, ctypes._SimpleCData])
def test_an_abstract_ctypes_type_is_refused(base: type) -> None:
    with pytest.raises(TypeError):
        Layout.of(base)


def test_layout_refuses_what_is_no_size_or_alignment() -> None:
    with pytest.raises(ValueError, match="negative"):
        Layout(-1)
    with pytest.raises(ValueError, match="power of two"):
        Layout(8, 3)
    with pytest.raises(ValueError, match="power of two"):
        Layout(8, 0)
    with pytest.raises(TypeError):
        Layout(1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        Layout.array(ctypes.c_int, -1)
    with pytest.raises(TypeError):
        Layout.array(ctypes.c_int, 1.5)  # type: ignore[arg-type]
