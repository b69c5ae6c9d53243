"""Accounts of a memory: who is charged for a frame, at which moment, and for whose frames when an account is over."""

from __future__ import annotations

import errno
import pickle
import random
import threading
from ctypes import c_uint8
from dataclasses import dataclass, field

import pytest

from axptr import PAGE_SIZE, AddrSpace, LinuxError, MappingFlags, PhysMemory, UserPtr
from axptr._core.phys.charges import Account

RW = MappingFlags.READ | MappingFlags.WRITE


def taken(account: Account, phys: PhysMemory, count: int = 1) -> list[int]:
    with account.acting():
        return [phys.alloc() for _ in range(count)]


def test_a_frame_is_charged_to_whom_its_thread_acts_for_until_nobody_holds_it(phys: PhysMemory) -> None:
    first, second = Account(phys), Account(phys)
    mine, others = taken(first, phys, 3), taken(second, phys, 2)
    nobodys = phys.alloc()
    assert (first.used, second.used) == (3 * PAGE_SIZE, 2 * PAGE_SIZE)
    phys._check()
    for frame in (*mine, *others, nobodys):
        phys.free(frame)
    assert (first.used, second.used, first.peak, second.peak) == (0, 0, 3 * PAGE_SIZE, 2 * PAGE_SIZE)
    phys._check()


def test_past_its_limit_an_account_gets_nothing_and_others_do(phys: PhysMemory) -> None:
    small, other = Account(phys, 2 * PAGE_SIZE), Account(phys)
    frames = taken(small, phys, 2)
    with small.acting():
        with pytest.raises(LinuxError) as caught:
            phys.alloc()
        assert caught.value.errno == errno.ENOMEM
        with pytest.raises(LinuxError):
            phys.alloc(2)
        assert phys.free_frames == 0
        frames += taken(other, phys)
        with pytest.raises(LinuxError):
            phys.alloc()
    phys.free(frames.pop(0))
    frames += taken(small, phys)
    small.limit = PAGE_SIZE
    with pytest.raises(LinuxError):
        taken(small, phys)
    small.limit = None
    frames += taken(small, phys, 9)
    for frame in frames:
        phys.free(frame)
    phys._check()


def test_pages_and_tables_of_a_space_are_charged_and_a_copy_on_write_to_whoever_writes(phys: PhysMemory) -> None:
    first, second = Account(phys), Account(phys)
    with first.acting():
        space = AddrSpace(0, 1 << 47, phys)
        space.map_alloc(0x1000, 4 * PAGE_SIZE, RW, populate=True)
    held = first.used
    assert held == phys.frames_in_use * PAGE_SIZE
    with second.acting():
        twin = space.try_clone()
        tables = second.used
        UserPtr[c_uint8](0x1000).write(twin, 1)
    assert (first.used, second.used) == (held, tables + PAGE_SIZE)
    space.clear()
    assert first.used < held
    twin.clear()
    del space, twin
    assert (first.used, second.used) == (0, 0)
    phys._check()


def test_each_thread_acts_for_its_own(phys: PhysMemory) -> None:
    accounts = [Account(phys) for _ in range(4)]
    frames: list[int] = []

    def work(account: Account) -> None:
        with account.acting():
            for _ in range(200):
                frames.append(phys.alloc())

    threads = [threading.Thread(target=work, args=(account,)) for account in accounts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {account.used for account in accounts} == {200 * PAGE_SIZE}
    for frame in frames:
        phys.free(frame)


def test_an_account_of_one_memory_is_charged_for_no_frames_of_another(phys: PhysMemory) -> None:
    other, account = PhysMemory(1 << 30), Account(phys, 0)
    with account.acting():
        other.free(other.alloc())
        with Account(other).acting(), account.acting(), pytest.raises(LinuxError):
            phys.alloc()
    phys._check()


def test_what_a_snapshot_takes_over_comes_back_when_it_goes(phys: PhysMemory) -> None:
    machine = Account(phys, 8 * PAGE_SIZE)
    frames = taken(machine, phys, 5)
    snapshot = machine.hand_over()
    assert (machine.used, snapshot.used, machine.shown) == (0, 5 * PAGE_SIZE, 5 * PAGE_SIZE)
    assert (machine.limit, snapshot.limit) == (8 * PAGE_SIZE, None)
    frames += taken(machine, phys, 2)
    del snapshot
    assert machine.used == machine.shown == 7 * PAGE_SIZE
    phys._check()
    for frame in frames:
        phys.free(frame)


def test_a_branch_never_pays_for_what_it_came_of(phys: PhysMemory) -> None:
    machine = Account(phys, 8 * PAGE_SIZE)
    frames = taken(machine, phys, 5)
    snapshot = machine.hand_over()
    branches = [Account(phys, 8 * PAGE_SIZE, of=snapshot) for _ in range(3)]
    for branch in branches:
        frames += taken(branch, phys, 2)
    del machine, snapshot
    assert [branch.used for branch in branches] == [2 * PAGE_SIZE] * 3
    del branches[1:], branch
    assert (branches[0].used, branches[0].shown) == (2 * PAGE_SIZE, 7 * PAGE_SIZE)
    phys._check()
    for frame in frames:
        phys.free(frame)
    phys._check()


def test_snapshots_again_and_again_forgive_nothing(phys: PhysMemory) -> None:
    machine = Account(phys, 20 * PAGE_SIZE)
    frames: list[int] = []
    for _ in range(10):
        frames += taken(machine, phys, 2)
        snapshot = machine.hand_over()
        Account(phys, of=snapshot)
        del snapshot
    with pytest.raises(LinuxError):
        taken(machine, phys)
    assert machine.used == 20 * PAGE_SIZE
    for frame in frames:
        phys.free(frame)
    phys._check()


def test_a_snapshot_that_could_not_be_taken_leaves_the_account_as_it_was(phys: PhysMemory) -> None:
    machine = Account(phys, 4 * PAGE_SIZE)
    frames = taken(machine, phys, 3)
    failed = machine.hand_over()
    machine.take_back(failed)
    del failed
    assert (machine.used, machine.limit) == (3 * PAGE_SIZE, 4 * PAGE_SIZE)
    phys._check()
    for frame in frames:
        phys.free(frame)


def test_an_account_is_of_this_process_and_says_what_it_has(phys: PhysMemory) -> None:
    assert repr(Account(phys)) == "<Account 0 KiB of any>"
    assert repr(Account(phys, 1 << 20)) == "<Account 0 KiB of 1024 KiB>"
    with pytest.raises(TypeError):
        pickle.dumps(Account(phys))
    for limit in (-1, 1.5, "1"):
        with pytest.raises((ValueError, TypeError)):
            Account(phys, limit)  # type: ignore[arg-type]
    assert Account(phys, 1 << 80).limit == (1 << 64) - PAGE_SIZE


# -- against a naive model


@dataclass(eq=False)
class Model:
    """Who is charged by the rules: a tree with the frames themselves at each account. machine: whose it is."""

    machine: object
    up: Model | None
    account: Account | None
    frames: set[int] = field(default_factory=set)
    below: list[Model] = field(default_factory=list)

    def over(self) -> None:
        """Nobody has it any more; the frames go to whoever is charged then."""
        if self.account is not None:
            return
        if not self.below:
            if self.up is not None:
                self.up.frames |= self.frames
                self.up.below.remove(self)
                self.up.over()
        elif len(self.below) == 1 and self.below[0].machine is self.machine:
            heir = self.below[0]
            heir.frames |= self.frames
            heir.up = self.up
            if self.up is not None:
                self.up.below[self.up.below.index(self)] = heir


@pytest.mark.parametrize("seed", range(40))
def test_random_histories_are_charged_as_a_naive_model_says(phys: PhysMemory, seed: int) -> None:
    dice = random.Random(seed)
    machines = [Model(object(), None, Account(phys))]
    snapshots: list[Model] = []
    held: list[int] = []

    def owner_of(frame: int) -> Model | None:
        todo = [*machines, *snapshots]
        seen: set[int] = set()
        while todo:
            model = todo.pop()
            if id(model) in seen:
                continue
            seen.add(id(model))
            if frame in model.frames:
                return model
            if model.up is not None:
                todo.append(model.up)
        return None

    for _ in range(150):
        what = dice.randrange(12)
        if what < 4 and machines:
            model = dice.choice(machines)
            assert model.account is not None
            fresh = taken(model.account, phys, dice.randrange(1, 5))
            model.frames |= set(fresh)
            held += fresh
        elif what < 6 and held:
            frame = held.pop(dice.randrange(len(held)))
            owner = owner_of(frame)
            if owner is not None:
                owner.frames.discard(frame)
            phys.free(frame)
        elif what == 6 and machines and len(machines) + len(snapshots) < 12:
            model = dice.choice(machines)
            assert model.account is not None
            snap = Model(model.machine, model.up, model.account.hand_over(), model.frames, [model])
            if model.up is not None:
                model.up.below[model.up.below.index(model)] = snap
            model.up, model.frames = snap, set()
            snapshots.append(snap)
        elif what == 7 and snapshots and len(machines) < 8:
            snap = dice.choice(snapshots)
            made = Model(object(), snap, Account(phys, of=snap.account))
            snap.below.append(made)
            machines.append(made)
        elif what == 8 and snapshots and machines:
            model, snap = dice.choice(machines), dice.choice(snapshots)
            assert model.account is not None
            assert snap.account is not None
            model.account.go_below(snap.account)
            if model.up is not snap:
                before, model.up = model.up, snap
                snap.below.append(model)
                if before is not None:
                    before.below.remove(model)
                    before.over()
        elif what == 9 and snapshots:
            snap = snapshots.pop(dice.randrange(len(snapshots)))
            snap.account = None
            snap.over()
        elif what == 10 and len(machines) > 1:
            model = machines.pop(dice.randrange(len(machines)))
            model.account = None
            model.over()
        for model in (*machines, *snapshots):
            assert model.account is not None
            assert model.account.used == len(model.frames) * PAGE_SIZE
        phys._check()
    for frame in held:
        phys.free(frame)
    for model in (*machines, *snapshots):
        assert model.account is not None
        assert model.account.used == 0
    phys._check()
