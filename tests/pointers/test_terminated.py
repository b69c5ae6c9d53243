"""read_terminated, read_text, read_string_array: terminators of any width, encodings, limits; over any provider."""

from __future__ import annotations

import codecs
import ctypes
import errno
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import (
    ILP32,
    ILP32_BIG,
    LP64_BIG,
    PAGE_SIZE,
    AddrSpace,
    DataModel,
    Layout,
    LinuxError,
    MappingFlags,
    PhysMemory,
    UserConstPtr,
    UserFault,
    UserPtr,
    read_string_array,
    read_terminated,
    read_text,
)
from axptr.pointers.strings import MAX_ARG_LEN, WCHAR_ENCODING
from axptr.pointers.text import text_of
from fakes import MODELS, PROVIDERS, over, poke, set_model, set_pages

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
END = BASE + 3 * PAGE_SIZE
TOP = (1 << 64) - 1
ENCODINGS = {
    "utf-8": 1,
    "latin-1": 1,
    "cp1252": 1,
    "utf-16-le": 2,
    "UTF_16BE": 2,
    "utf-16": 2,
    "utf-32-be": 4,
    "U32": 4,
}


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, space: AddrSpace) -> Any:
    made = over(request.param, space)
    set_pages(made, BASE, "rrr ", b"\xff" * 3 * PAGE_SIZE)
    return made


def raises(code: int, call: Any, *args: Any, **options: Any) -> LinuxError:
    with pytest.raises(LinuxError) as caught:
        call(*args, **options)
    assert caught.value.errno == code
    return caught.value


# -- one string


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("offset", [0, 1, 2, PAGE_SIZE - 5, PAGE_SIZE - 2])
def test_text_in_any_encoding_from_any_address(provider: Any, encoding: str, offset: int) -> None:
    for text in ("", "a", "Grüße" * 3, "Ā" * 5 if ENCODINGS[encoding] > 1 else "zzz"):
        poke(provider, BASE + offset, text.encode(encoding) + bytes(ENCODINGS[encoding]) + b"\xff")
        assert read_text(provider, BASE + offset, encoding) == text


def test_a_terminator_is_an_element_not_any_two_zeros(provider: Any) -> None:
    # "Āa" in UTF-16-LE: 00 01 61 00, then 00 00
    poke(provider, BASE, b"\x61\0\0\x01\x61\0\0\0\xff")
    assert read_terminated(provider, BASE, 2) == b"\x61\0\0\x01\x61\0"
    poke(provider, BASE, b"\1\0\0\0\0\0\0\1" + bytes(4) + b"\xff" * 8)
    assert read_terminated(provider, BASE, 4) == b"\1\0\0\0\0\0\0\1"
    assert read_terminated(provider, BASE, 2) == b"\1\0"
    assert read_terminated(provider, BASE, 1) == b"\1"
    poke(provider, BASE, b"\1" * 8 + bytes(8))
    assert read_terminated(provider, UserConstPtr[ctypes.c_int](BASE), 8) == b"\1" * 8


def test_wchar_t_is_text_too(provider: Any) -> None:
    poke(provider, BASE, bytes(ctypes.create_unicode_buffer("wide ✓")))
    assert read_text(provider, BASE, WCHAR_ENCODING) == "wide ✓"


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_a_string_ends_at_a_hole_or_runs_into_it(provider: Any, width: int) -> None:
    poke(provider, END - 2 * width, b"\1" * width + bytes(width))
    assert read_terminated(provider, END - 2 * width, width) == b"\1" * width
    poke(provider, END - width, b"\1" * width)
    for start in (END - 2 * width, END - 2 * width - 1):
        with pytest.raises(UserFault) as caught:
            read_terminated(provider, start, width)
        assert caught.value.address == END


@pytest.mark.parametrize("width", [1, 2, 4])
def test_limit_counts_elements_without_the_terminator(provider: Any, width: int) -> None:
    poke(provider, BASE + 4090, b"\1" * 5 * width + bytes(width))
    for limit in (5, 6, 1 << 70):
        assert read_terminated(provider, BASE + 4090, width, limit) == b"\1" * 5 * width
    for limit in (0, 1, 4):
        error = raises(errno.ENAMETOOLONG, read_terminated, provider, BASE + 4090, width, limit)
        assert not isinstance(error, UserFault)
    raises(
        errno.ENAMETOOLONG, read_text, provider, BASE + 4090, {1: "utf-8", 2: "utf-16", 4: "utf-32"}[width], max_len=4
    )


@pytest.mark.parametrize("address", [0, TOP, TOP - 1, TOP - 6, 1 << 47])
def test_text_nowhere_is_a_fault(provider: Any, address: int) -> None:
    for width in (1, 2, 4, 8):
        with pytest.raises(UserFault):
            read_terminated(provider, address, width)
    with pytest.raises(UserFault):
        read_string_array(provider, address)


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (b"\xff", "utf-8"),
        (b"\x81", "cp1252"),
        (b"\0\xd8", "utf-16-le"),
        (b"\0\0\x11\0", "utf-32-le"),
        (b"\xff", "ascii"),
    ],
)
def test_what_cannot_be_decoded_is_eilseq_or_what_errors_says(provider: Any, raw: bytes, encoding: str) -> None:
    poke(provider, BASE, b"a".ljust(len(raw) if len(raw) > 1 else 1, b"\0") + raw + bytes(4))
    raises(errno.EILSEQ, read_text, provider, BASE, encoding)
    assert read_text(provider, BASE, encoding, "replace") == "a�"
    assert read_text(provider, BASE, encoding, "ignore") == "a"


def test_names_that_are_no_encoding_are_the_callers_mistake(provider: Any) -> None:
    for encoding, errors in (("nonsense", "strict"), ("hex", "strict"), ("utf-8", "nonsense")):
        with pytest.raises(LookupError):
            read_text(provider, BASE, encoding, errors)


def test_a_terminator_that_comes_in_between_ends_the_string(space: AddrSpace) -> None:
    # another thread stores it after the scan has passed: here a pager does
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    space.write(BASE, b"\1" * PAGE_SIZE)

    def fetch(offset: int) -> bytes:
        space.write(BASE + 8, bytes(2))
        return bytes(PAGE_SIZE)

    space.map_pager(BASE + PAGE_SIZE, PAGE_SIZE, R, fetch)
    assert read_terminated(space, BASE, 2) == b"\1" * 8


# -- what a pointer's type says

TEXT = "aĀß¢"
WIDE = {ctypes.c_wchar: 4, ctypes.c_uint16: 2, ctypes.c_int16: 2, ctypes.c_uint32: 4, "H": 2, "i": 4, "=I": 4}
OWN = {">H": ("utf-16-be", 2), "<I": ("utf-32-le", 4), ctypes.c_uint32.__ctype_be__: ("utf-32-be", 4)}


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_type_of_a_pointer_says_what_its_text_is(provider: Any, model: DataModel) -> None:
    set_model(provider, model)
    order = "be" if model.order == "big" else "le"
    cases = [(T, f"utf-{8 * size}-{order}", size) for T, size in WIDE.items()]
    cases += [(T, encoding, size) for T, (encoding, size) in OWN.items()]
    cases += [(T, "utf-8", 1) for T in (ctypes.c_char, ctypes.c_uint8, ctypes.c_int8, "c", "B")]
    for T, encoding, size in cases:
        raw = TEXT.encode(encoding)
        for at in (BASE + 8, BASE + PAGE_SIZE - size):
            poke(provider, at, raw + bytes(size) + b"\xff")
            for ptr in (UserConstPtr.of(T)(at), UserPtr.of(T).under(model)(at)):
                assert text_of(ptr, provider) == TEXT, T
                assert text_of(ptr, provider, len(raw) // size) == TEXT
                raises(errno.ENAMETOOLONG, text_of, ptr, provider, len(raw) // size - 1)
                assert text_of(ptr, provider, encoding=encoding, errors="strict") == TEXT
        if Layout.of(T, model).align > 1:
            with pytest.raises(UserFault, match="misaligned"):
                text_of(UserConstPtr.of(T)(BASE + 1), provider)
        else:
            poke(provider, BASE + 1, raw + bytes(size))
            assert text_of(UserConstPtr.of(T)(BASE + 1), provider) == TEXT
    np = pytest.importorskip("numpy")
    poke(provider, BASE + 8, TEXT.encode("utf-16-be") + bytes(2))
    assert text_of(UserConstPtr.of(np.dtype(">u2"))(BASE + 8), provider) == TEXT


def test_a_pointer_to_bytes_takes_any_encoding_and_a_wide_one_what_fits(provider: Any) -> None:
    poke(provider, BASE + 1, b"a\xe9\0")
    ptr = UserConstPtr[ctypes.c_char](BASE + 1)
    assert text_of(ptr, provider, encoding="latin-1") == "aé"
    assert text_of(ptr, provider, None, "ascii", "replace") == "a�"
    raises(errno.EILSEQ, text_of, ptr, provider)
    assert text_of(ptr, provider, errors="ignore") == "a"
    poke(provider, BASE + 1, TEXT.encode("utf-16-le") + bytes(2))
    assert text_of(ptr, provider, encoding="utf-16-le") == TEXT
    poke(provider, BASE + 2, TEXT.encode("utf-16-be") + bytes(2))
    assert text_of(UserConstPtr[ctypes.c_uint16](BASE + 2), provider, encoding="utf-16-be") == TEXT
    for T, encoding in ((ctypes.c_uint16, "utf-8"), (ctypes.c_uint32, "utf-16-le"), (ctypes.c_wchar, "latin-1")):
        with pytest.raises(ValueError, match="is made of units of"):
            text_of(UserConstPtr.of(T)(BASE), provider, encoding=encoding)
    for T in (ctypes.c_float, ctypes.c_bool, ctypes.c_uint64, "HH", UserPtr[ctypes.c_char], ctypes.c_char * 4):
        with pytest.raises(TypeError, match="text is made of characters"):
            text_of(UserConstPtr.of(T)(BASE), provider)
    with pytest.raises(LookupError):
        text_of(ptr, provider, encoding="nonsense")
    with pytest.raises(TypeError):
        text_of(ptr, provider, encoding=5)


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("name", ["utf-16", "UTF32"])
def test_an_encoding_without_an_order_has_its_mark_s_or_the_model_s(provider: Any, model: DataModel, name: str) -> None:
    set_model(provider, model)
    bits = name[-2:]
    own, other = ("be", "le") if model.order == "big" else ("le", "be")
    poke(provider, BASE, TEXT.encode(f"utf-{bits}-{own}") + bytes(4))
    assert read_text(provider, BASE, name) == TEXT
    for order in (own, other):
        poke(provider, BASE, ("\ufeff" + TEXT).encode(f"utf-{bits}-{order}") + bytes(4))
        assert read_text(provider, BASE, name) == TEXT


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3000),
    offset=st.integers(0, PAGE_SIZE),
    encoding=st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]),
    kind=st.sampled_from(PROVIDERS),
)
def test_any_text_comes_back(phys: PhysMemory, text: str, offset: int, encoding: str, kind: str) -> None:
    provider = over(kind, AddrSpace(0x1000, 1 << 40, phys))
    unit = len("x".encode(encoding))
    set_pages(provider, BASE, "wwww", bytes(offset) + text.encode(encoding) + bytes(unit))
    assert read_text(provider, BASE + offset, encoding) == text
    length = len(text.encode(encoding)) // unit
    assert read_text(provider, BASE + offset, encoding, max_len=length) == text
    if length:
        raises(errno.ENAMETOOLONG, read_text, provider, BASE + offset, encoding, max_len=length - 1)
    assert codecs.lookup(encoding).name == encoding


# -- arrays


def put_array(
    provider: Any, strings: list[bytes], at: int = BASE, text: int = BASE + PAGE_SIZE, code: str = "<Q"
) -> None:
    size = struct.calcsize(code)
    for i, string in enumerate(strings):
        poke(provider, text, string + b"\0")
        poke(provider, at + i * size, struct.pack(code, text))
        text += len(string) + 1
    poke(provider, at + len(strings) * size, bytes(size))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_an_array_is_read_up_to_null_with_pointers_of_the_data_model(provider: Any, model: DataModel) -> None:
    strings = [b"prog", b"", b"x" * 5000, b"\xff\xfe", b"last"]
    code = (">" if model.order == "big" else "<") + ("I" if model.pointer == 4 else "Q")
    set_model(provider, model)
    for at in (BASE, BASE + 3):
        put_array(provider, strings, at, code=code)
        assert read_string_array(provider, at) == strings
    # a pointer that is fixed to another model says what its array is made of
    set_model(provider, LP64_BIG if model == ILP32 else ILP32)
    assert read_string_array(provider, UserConstPtr[UserConstPtr[ctypes.c_char]].under(model)(BASE + 3)) == strings
    set_model(provider, model)
    poke(provider, BASE, bytes(model.pointer))
    assert read_string_array(provider, BASE) == []


def test_a_sum_counts_pointers_as_wide_as_they_are(provider: Any) -> None:
    set_model(provider, ILP32_BIG)
    put_array(provider, [b"abc", b"defg", b"h"], code=">I")
    assert len(read_string_array(provider, BASE, max_total=8 + 3 * 5)) == 3
    raises(errno.E2BIG, read_string_array, provider, BASE, max_total=8 + 3 * 5 - 1)


def test_a_string_over_its_limit_is_e2big(provider: Any) -> None:
    put_array(provider, [b"abc", b"defg", b"h"])
    assert read_string_array(provider, BASE, max_len=4) == [b"abc", b"defg", b"h"]
    error = raises(errno.E2BIG, read_string_array, provider, BASE, max_len=3)
    assert "string 1" in str(error)
    raises(errno.E2BIG, read_string_array, provider, BASE, max_len=0)


def test_the_sum_counts_terminators_and_pointers(provider: Any) -> None:
    put_array(provider, [b"abc", b"defg", b"h"])
    assert len(read_string_array(provider, BASE, max_total=8 + 3 * 9)) == 3
    error = raises(errno.E2BIG, read_string_array, provider, BASE, max_total=8 + 3 * 9 - 1)
    assert "string 2" in str(error)
    for total in (3 * 9 - 1, 9, 0):
        error = raises(errno.E2BIG, read_string_array, provider, BASE, max_total=total)
        assert "too many strings" in str(error)
    assert len(read_string_array(provider, BASE, max_total=1 << 80, max_len=1 << 80)) == 3


def test_the_default_limits_hold_what_a_guest_says(space: AddrSpace) -> None:
    space.map_alloc(BASE, 1 << 20, R)
    space.write(BASE, struct.pack("<Q", BASE + PAGE_SIZE) * 200)  # 200 times the same long string
    space.write(BASE + PAGE_SIZE, b"x" * MAX_ARG_LEN)
    raises(errno.E2BIG, read_string_array, space, BASE)
    space.write(BASE + 8, bytes(8))
    assert read_string_array(space, BASE) == [b"x" * MAX_ARG_LEN]
    space.write(BASE + PAGE_SIZE + MAX_ARG_LEN, b"x")
    raises(errno.E2BIG, read_string_array, space, BASE)
    space.write(BASE, b"\1" * (1 << 20))
    raises(errno.E2BIG, read_string_array, space, BASE, max_total=1 << 16)


def test_bad_pointers_and_bad_arrays_are_faults(provider: Any) -> None:
    put_array(provider, [b"abc", b"def"])
    poke(provider, BASE + 8, struct.pack("<Q", TOP))
    with pytest.raises(UserFault) as caught:
        read_string_array(provider, BASE)
    assert caught.value.address == TOP
    poke(provider, END - 8, struct.pack("<Q", BASE))
    with pytest.raises(UserFault) as caught:
        read_string_array(provider, END - 8)
    assert caught.value.address == END
    poke(provider, END - 4, b"abcd")
    put_array(provider, [b"abc", b"def"])
    poke(provider, BASE + 8, struct.pack("<Q", END - 4))
    with pytest.raises(UserFault) as caught:
        read_string_array(provider, BASE)
    assert (caught.value.address, caught.value.completed) == (END, 4)


def test_strings_behind_a_pager_come_too(space: AddrSpace) -> None:
    space.map_pager(BASE, 2 * PAGE_SIZE, R, lambda offset: b"from a pager\0".ljust(PAGE_SIZE, b"\0"))
    space.map_alloc(2 * BASE, PAGE_SIZE, R)
    space.write(2 * BASE, struct.pack("<4Q", BASE, 2 * BASE + 100, BASE + PAGE_SIZE + 5, 0))
    assert read_string_array(space, 2 * BASE) == [b"from a pager", b"", b"a pager"]
