"""Weak sets and tables hold nothing, and say so at once."""

from __future__ import annotations

import gc
import threading

from axptr.weak import WeakSet, WeakTable


class Thing:
    pass


def test_a_set_has_what_somebody_else_holds() -> None:
    bag, one, two = WeakSet(), Thing(), Thing()
    bag.add(one)
    bag.add(one)
    bag.add(two)
    assert (len(bag), set(bag), one in bag) == (2, {one, two}, True)
    bag.discard(two)
    bag.discard(two)
    assert ([*bag], two in bag) == ([one], False)
    del one
    assert ([*bag], len(bag)) == ([], 0)
    bag.add(two)
    bag.clear()
    assert not [*bag]


def test_a_set_may_lose_members_while_it_is_walked() -> None:
    bag, kept = WeakSet(), [Thing() for _ in range(100)]
    for thing in kept:
        bag.add(thing)
    seen = 0
    for _ in bag:
        seen += 1
        kept.clear()
    assert seen == 100
    assert [*bag] in ([thing], [_], [thing, _], [_, thing])  # what the names of the loops hold


def test_a_table_keeps_the_first_while_it_lives_and_nothing_after() -> None:
    table, one, two = WeakTable(), Thing(), Thing()
    assert table.get("a") is None
    assert table.setdefault("a", one) is one
    assert table.setdefault("a", two) is one
    assert (table.get("a"), len(table), table.values()) == (one, 1, [one])
    del one
    assert (table.get("a"), len(table), "a" in table.data) == (None, 0, False)
    assert table.setdefault("a", two) is two


def test_a_member_that_goes_late_takes_no_other_out() -> None:
    """One that dies with its callback still to come, of a cycle, when its key has another by then."""
    gc.disable()
    try:
        table, one = WeakTable(), Thing()
        one.me = one  # type: ignore[attr-defined]
        table.setdefault("a", one)
        del table.data["a"]
        two = Thing()
        table.setdefault("a", two)
        del one
        gc.collect()
        assert table.get("a") is two
    finally:
        gc.enable()


def test_threads_may_add_and_lose_members_at_once() -> None:
    bag, table, wrong = WeakSet(), WeakTable(), []

    def work(number: int) -> None:
        for i in range(3000):
            thing = Thing()
            bag.add(thing)
            found = table.setdefault(i % 7, thing)
            if not isinstance(found, Thing) or thing not in bag:
                wrong.append(number)
            len([*bag])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert (len(bag), len(table)) == (0, 0)
