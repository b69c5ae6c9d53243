"""UserAtomic: values, rights, alignment, and that nothing is lost between host threads."""

from __future__ import annotations

import ctypes
import operator
import pickle
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import (
    ILP32_BIG,
    LP64,
    PAGE_SIZE,
    AddrSpace,
    DataModel,
    FaultReason,
    Layout,
    MappingFlags,
    PhysMemory,
    UserAtomic,
    UserFault,
    UserPtr,
)
from fakes import MODELS, PROVIDERS, FakeMemory, PlainProvider, over, peek, poke, set_model, set_pages

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
TOP = (1 << 64) - 1
WORDS = [
    *(ctypes.c_int8, ctypes.c_uint8, ctypes.c_int16, ctypes.c_uint16),
    *(ctypes.c_int32, ctypes.c_uint32, ctypes.c_int64, ctypes.c_uint64),
]


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, space: AddrSpace) -> Any:
    made = over(request.param, space)
    set_pages(made, BASE, "wr ")
    return made


def limits(T: Any) -> tuple[int, int]:
    bits = ctypes.sizeof(T) * 8
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if T(-1).value < 0 else (0, (1 << bits) - 1)


@pytest.mark.parametrize("T", WORDS)
def test_values_go_in_and_out(provider: Any, T: Any) -> None:
    low, high = limits(T)
    word = UserAtomic(BASE + 8, T)
    word.store(provider, high)
    assert word.load(provider) == high
    assert word.exchange(provider, low) == high
    assert word.fetch_add(provider, -1) == low
    assert word.load(provider) == high  # wrapped
    assert word.compare_exchange(provider, low, 5) == high
    assert word.load(provider) == high
    assert word.compare_exchange(provider, high, 5) == high
    assert word.fetch_add(provider, 3) == 5
    assert word.fetch_or(provider, 0x61) == 8
    assert word.fetch_and(provider, 0x4F) == 0x69
    assert word.fetch_xor(provider, 0x41) == 0x49
    size = ctypes.sizeof(T)
    assert peek(provider, BASE, 24) == bytes(8) + b"\x08".ljust(size, b"\0") + bytes(16 - size)


@pytest.mark.parametrize("T", WORDS)
def test_what_is_no_value_of_the_word_is_an_overflow(provider: Any, T: Any) -> None:
    low, high = limits(T)
    word = UserAtomic(BASE, T)
    for bad in (low - 1, high + 1):
        for call in (word.store, word.exchange, word.fetch_or, word.fetch_and, word.fetch_xor):
            with pytest.raises(OverflowError):
                call(provider, bad)
        for pair in ((bad, 0), (0, bad)):
            with pytest.raises(OverflowError):
                word.compare_exchange(provider, *pair)
    assert peek(provider, BASE, 8) == bytes(8)


def test_a_pointer_brings_its_type(provider: Any) -> None:
    poke(provider, BASE, b"\xff" * 8)
    assert UserAtomic(UserPtr[ctypes.c_int64](BASE)).load(provider) == -1
    assert UserAtomic(BASE).load(provider) == 0xFFFF_FFFF
    assert UserAtomic(UserPtr[ctypes.c_int64](BASE), ctypes.c_uint32) == UserAtomic(BASE)
    assert pickle.loads(pickle.dumps(UserAtomic(BASE, ctypes.c_int))) == UserAtomic(BASE, ctypes.c_int)
    with pytest.raises(TypeError):
        UserAtomic(UserPtr[ctypes.c_char](BASE))


@pytest.mark.parametrize("T", [*WORDS, "b", "I", "q", "L", "l", "P", ">I", ">H", "<q", ctypes.c_uint32.__ctype_be__])
def test_values_and_sums_are_those_of_the_data_model(provider: Any, T: Any) -> None:
    for model in MODELS:
        poke(provider, BASE, bytes(24))
        set_model(provider, model)
        use_word(provider, model, T)


def use_word(provider: Any, model: DataModel, T: Any) -> None:
    size = Layout.of(T, model).size
    signed = T in (ctypes.c_int8, ctypes.c_int16, ctypes.c_int32, ctypes.c_int64, "b", "q", "l", "<q")
    order = "big" if T in (">I", ">H", ctypes.c_uint32.__ctype_be__) else "little" if T == "<q" else model.order
    one, more = (0x1234, 0xFF) if size > 1 else (0x34, 0x1F)
    top = (1 << (8 * size - signed)) - 1
    low = -top - 1 if signed else 0

    def stored(value: int) -> bool:
        return peek(provider, BASE, 24) == bytes(8) + value.to_bytes(size, order, signed=signed) + bytes(16 - size)

    for word in (UserAtomic(BASE + 8, T), UserAtomic(UserPtr.of(T).under(model)(BASE + 8))):
        word.store(provider, one)
        assert stored(one)
        assert word.load(provider) == one
        assert word.fetch_add(provider, more) == one  # the carry goes up, not down
        assert stored(one + more)
        assert word.fetch_add(provider, -one - more - 1) == one + more
        assert word.load(provider) == (-1 if signed else top)
        assert word.exchange(provider, top) == (-1 if signed else top)
        assert word.fetch_add(provider, 1) == top  # wraps
        assert stored(low)
        assert word.compare_exchange(provider, top, 5) == low
        assert stored(low)
        assert word.compare_exchange(provider, low, 5) == low
        assert stored(5)
        assert word.fetch_or(provider, low + 0x42) == 5
        assert stored(low + 0x47)  # its highest bit is a sign, or not
        assert word.fetch_xor(provider, one) == low + 0x47
        assert stored((low + 0x47) ^ one)
        assert word.fetch_and(provider, top - 5) == (low + 0x47) ^ one
        assert stored(((low + 0x47) ^ one) & (top - 5))
        word.store(provider, 5)
        for bad in (top + 1, low - 1):
            with pytest.raises(OverflowError):
                word.store(provider, bad)
    # fixed to a model, a word is of that one whatever the space's
    set_model(provider, LP64 if model != LP64 else ILP32_BIG)
    assert word.load(provider) == 5
    assert pickle.loads(pickle.dumps(word)) == word
    assert str(model) in repr(word)


def test_sums_in_the_other_byte_order_lose_nothing_between_threads(space: AddrSpace) -> None:
    set_pages(space, BASE, "w")
    space.model = ILP32_BIG
    words = [UserAtomic(BASE, ctypes.c_uint32), UserAtomic(BASE + 8, ctypes.c_uint64)]

    def work() -> None:
        for _ in range(3000):
            for word in words:
                word.fetch_add(space, 0x101)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [word.load(space) for word in words] == [12000 * 0x101] * 2


@pytest.mark.parametrize("model", [None, ILP32_BIG], ids=str)
@pytest.mark.parametrize("T", [ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64])
def test_no_bit_of_another_thread_is_lost(provider: Any, T: Any, model: DataModel | None) -> None:
    if model is not None:
        set_model(provider, model)
    word = UserAtomic(BASE + 8, T)
    top = limits(T)[1]
    wrong: list[tuple[int, str]] = []

    def work(own: int) -> None:
        for _ in range(500):
            for verb, value, before in (
                ("fetch_or", own, 0),
                ("fetch_and", top ^ own, own),
                ("fetch_xor", own, 0),
                ("fetch_xor", own, own),
            ):
                if getattr(word, verb)(provider, value) & own != before:
                    wrong.append((own, verb))

    threads = [threading.Thread(target=work, args=(top // 0xFF * 3 << shift,)) for shift in (0, 2, 4, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert peek(provider, BASE, 24) == bytes(24)


@pytest.mark.parametrize("T", ["II", "3s", "f", ctypes.c_double, ctypes.c_bool, UserPtr[ctypes.c_int], ctypes.c_wchar])
def test_what_is_no_word_is_refused(T: Any) -> None:
    with pytest.raises(TypeError, match="a word is an integer"):
        UserAtomic(BASE, T)


def all_verbs(word: UserAtomic, provider: Any) -> list[Any]:
    return [
        lambda: word.load(provider),
        lambda: word.store(provider, 1),
        lambda: word.exchange(provider, 1),
        lambda: word.compare_exchange(provider, 7, 1),
        lambda: word.fetch_add(provider, 1),
        lambda: word.fetch_or(provider, 1),
        lambda: word.fetch_and(provider, 1),
        lambda: word.fetch_xor(provider, 1),
    ]


@pytest.mark.parametrize("T", WORDS)
def test_misaligned_or_absent_words_are_faults(provider: Any, T: Any) -> None:
    size = ctypes.sizeof(T)
    misaligned = [] if size == 1 else [BASE + 1, BASE + size // 2, BASE + PAGE_SIZE - size // 2, TOP]
    for address, reason in [
        *((address, FaultReason.MISALIGNED) for address in misaligned),
        (BASE + 2 * PAGE_SIZE, FaultReason.UNMAPPED),
    ]:
        for call in all_verbs(UserAtomic(address, T), provider):
            with pytest.raises(UserFault) as caught:
                call()
            assert (caught.value.reason, caught.value.address) == (reason, address)


def test_each_verb_needs_its_rights_alone() -> None:
    memory = FakeMemory()
    memory.map(BASE, 1, R)
    memory.map(BASE + PAGE_SIZE, 1, W)
    provider = PlainProvider(memory)
    good = [[True] + [False] * 7, [False, True] + [False] * 6]
    for page in (0, 1):
        for call, fine in zip(all_verbs(UserAtomic(BASE + page * PAGE_SIZE), provider), good[page], strict=True):
            if fine:
                call()
            else:
                with pytest.raises(UserFault):
                    call()


def test_a_read_only_page_stays_as_it_is_though_nothing_would_be_stored(provider: Any) -> None:
    word = UserAtomic(BASE + PAGE_SIZE)
    assert word.load(provider) == 0
    for call in all_verbs(word, provider)[1:]:
        with pytest.raises(UserFault) as caught:
            call()
        assert caught.value.reason is FaultReason.PROTECTION
    assert peek(provider, BASE + PAGE_SIZE, 4) == bytes(4)


def test_copy_on_write_is_broken_before_the_word_changes(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    word = UserAtomic(BASE)
    word.store(space, 1)
    twin = space.try_clone()
    assert (word.fetch_add(space, 1), word.load(space), word.load(twin)) == (1, 2, 1)
    snapshot = space.snapshot()
    word.exchange(space, 9)
    space.restore(snapshot)
    assert word.load(space) == 2


def test_pagers_supply_the_word_and_devices_have_none(space: AddrSpace) -> None:
    space.map_pager(BASE, PAGE_SIZE, R | W, lambda offset: b"\5" + bytes(PAGE_SIZE - 1))
    assert UserAtomic(BASE).fetch_add(space, 1) == 5
    assert UserAtomic(BASE).load(space) == 6
    space.map_mmio(
        2 * BASE, PAGE_SIZE, R | W, lambda o, n: pytest.fail("called"), lambda o, n, v: pytest.fail("called")
    )
    for call in all_verbs(UserAtomic(2 * BASE), space):
        with pytest.raises(UserFault) as caught:
            call()
        assert caught.value.reason is FaultReason.NOT_MEMORY


@pytest.mark.parametrize("T", [ctypes.c_uint32, ctypes.c_uint64])
def test_no_addition_of_several_threads_is_lost(provider: Any, T: Any) -> None:
    word = UserAtomic(BASE, T)

    def add() -> None:
        for _ in range(2000):
            word.fetch_add(provider, 1)

    def compare() -> None:
        for _ in range(2000):
            old = word.load(provider)
            while (seen := word.compare_exchange(provider, old, old + 1)) != old:
                old = seen

    threads = [threading.Thread(target=work) for work in (add, compare, add, compare)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert word.load(provider) == 8000


AFTER = {
    "fetch_add": operator.add,
    "fetch_or": operator.or_,
    "fetch_and": operator.and_,
    "fetch_xor": operator.xor,
}


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    T=st.sampled_from(WORDS),
    steps=st.lists(st.sampled_from(["store", "exchange", "compare_exchange", *AFTER]), max_size=8),
    kind=st.sampled_from(PROVIDERS),
    data=st.data(),
)
def test_any_sequence_is_as_on_a_ctypes_word(phys: PhysMemory, T: Any, steps: Any, kind: str, data: Any) -> None:
    provider = over(kind, AddrSpace(0x1000, 1 << 40, phys))
    set_pages(provider, BASE, "w")
    low, high = limits(T)
    word, model = UserAtomic(BASE, T), T(0)
    for verb in steps:
        value = data.draw(st.integers(low, high))
        old = model.value
        if verb == "compare_exchange":
            expected = data.draw(st.sampled_from([old, value]))
            assert word.compare_exchange(provider, expected, value) == old
            model.value = value if expected == old else old
        else:
            result = getattr(word, verb)(provider, value)
            assert result == (None if verb == "store" else old)
            model.value = AFTER[verb](old, value) if verb in AFTER else value
        assert word.load(provider) == model.value
