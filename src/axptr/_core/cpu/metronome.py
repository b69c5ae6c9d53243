"""A thread that asks running CPUs to come out, twenty times a second.

A guest that makes no call and no miss never comes back by itself. Nothing can tell, without the GIL, that a
signal waits for a Python handler; and a request to stop that is made in the moment between "I am about to
start" and the start is lost. One remedy for both, and for deadlines: at every beat each running CPU is asked
to come out (a fraction of a microsecond in 50 ms), looks whether anything is to be done, and goes on.

The thread is plain C: it never takes the GIL and never touches a Python object. It starts with the first
run, sleeps while nothing runs, ends with the process. All signals are blocked in it.

Not here: what a CPU does when it is asked (`unicorn`).

Locking: one mutex guards the list. `kick` is called under it, so a beat that was removed is never kicked
again. `running` and `asleep` are the two flags of a handshake, each written before the other is read; so are a beat's
`deadline` and the time that the thread sleeps until. A CPU whose deadline lies behind that wakes nobody: tasks that take
turns, each with a slice, cost the thread one look a slice: it keeps to a time that it was roused for, though whoever
wanted that has come out long since, and the next one's lies behind it.
"""

import os

import cython
from cython.cimports.axptr._core.cpu.metronome import (
    CLOCK_MONOTONIC,
    PTHREAD_CREATE_DETACHED,
    SIG_SETMASK,
    Beat,
    clock_gettime,
    full_barrier,
    pthread_attr_destroy,
    pthread_attr_init,
    pthread_attr_setdetachstate,
    pthread_attr_t,
    pthread_cond_init,
    pthread_cond_signal,
    pthread_cond_t,
    pthread_cond_timedwait,
    pthread_cond_wait,
    pthread_condattr_init,
    pthread_condattr_setclock,
    pthread_condattr_t,
    pthread_create,
    pthread_mutex_init,
    pthread_mutex_lock,
    pthread_mutex_t,
    pthread_mutex_unlock,
    pthread_sigmask,
    pthread_t,
    sigfillset,
    sigset_t,
    timespec,
)
from cython.cimports.libc.stdint import int64_t

_second = cython.declare(int64_t, 1_000_000_000)
_period = cython.declare(int64_t, 50_000_000)  # nanoseconds between beats
_patience = cython.declare(cython.int, 20)  # beats without a running CPU before the thread sleeps

_mutex = cython.declare(pthread_mutex_t)
_wake = cython.declare(pthread_cond_t)
_beats = cython.declare(cython.pointer(Beat), cython.NULL)
_asleep = cython.declare(cython.int, 0)
_sleeps_until = cython.declare(int64_t, 0)  # 0: it is about to look
_roused_for = cython.declare(int64_t, 0)  # a time at which it looks, whoever runs then; 0: none
_alive = cython.declare(cython.int, 0)


@cython.cfunc
def _prepare() -> cython.void:
    attr: pthread_condattr_t
    pthread_condattr_init(cython.address(attr))
    pthread_condattr_setclock(cython.address(attr), CLOCK_MONOTONIC)
    pthread_mutex_init(cython.address(_mutex), cython.NULL)
    pthread_cond_init(cython.address(_wake), cython.address(attr))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def clock_now() -> int64_t:
    """Nanoseconds of the monotonic clock."""
    now: timespec
    clock_gettime(CLOCK_MONOTONIC, cython.address(now))
    return now.tv_sec * _second + now.tv_nsec


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _due(latest: int64_t) -> int64_t:
    """When the next kick is due, `latest` at the latest. Mutex held."""
    due: int64_t = latest
    deadline: int64_t
    beat: cython.pointer(Beat) = _beats
    while beat != cython.NULL:
        if beat.running:
            deadline = beat.deadline
            if deadline and deadline < due:
                due = deadline
            if beat.hurry:
                due = 0
        beat = beat.next
    return due


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _body(unused: cython.p_void) -> cython.p_void:
    beat: cython.pointer(Beat)
    until: timespec
    due: int64_t
    now: int64_t
    next_beat: int64_t = clock_now() + _period
    idle: cython.int = 0
    busy: cython.bint
    late: cython.bint
    global _asleep, _sleeps_until, _roused_for
    pthread_mutex_lock(cython.address(_mutex))
    while True:
        due = _due(next_beat)
        now = clock_now()
        if _roused_for:
            if _roused_for <= now:
                _roused_for = 0
            elif _roused_for < due:
                due = _roused_for
        if now < due:
            until.tv_sec = due // _second
            until.tv_nsec = due % _second
            _sleeps_until = due
            full_barrier()
            if _due(due) == due:
                pthread_cond_timedwait(cython.address(_wake), cython.address(_mutex), cython.address(until))
            _sleeps_until = 0
            continue
        busy = False
        beat = _beats
        while beat != cython.NULL:
            busy = busy or beat.running
            late = beat.deadline and now >= beat.deadline
            if beat.running and (late or beat.hurry or now >= next_beat):
                if late:
                    beat.deadline = 0  # the owner compares the time itself; it is asked again at the next beat
                beat.hurry = 0
                beat.kicked = 1
                beat.kick(beat.handle)
            beat = beat.next
        if now < next_beat:
            continue
        next_beat = now + _period
        idle = 0 if busy else idle + 1
        if idle > _patience:
            _asleep = 1
            full_barrier()
            busy = False
            beat = _beats
            while beat != cython.NULL:
                busy = busy or beat.running
                beat = beat.next
            if not busy:
                pthread_cond_wait(cython.address(_wake), cython.address(_mutex))
            _asleep = 0
            idle = 0
            next_beat = clock_now() + _period
    return cython.NULL


@cython.cfunc
@cython.exceptval(-1, check=False)
def _launch() -> cython.int:
    """Start the thread, every signal blocked in it. Mutex held. Raises `RuntimeError` where the host has none left."""
    thread: pthread_t
    attr: pthread_attr_t
    blocked: sigset_t
    before: sigset_t
    global _alive
    sigfillset(cython.address(blocked))
    pthread_sigmask(SIG_SETMASK, cython.address(blocked), cython.address(before))
    pthread_attr_init(cython.address(attr))
    pthread_attr_setdetachstate(cython.address(attr), PTHREAD_CREATE_DETACHED)
    failed = pthread_create(cython.address(thread), cython.address(attr), _body, cython.NULL)
    pthread_attr_destroy(cython.address(attr))
    pthread_sigmask(SIG_SETMASK, cython.address(before), cython.NULL)
    if failed:
        raise RuntimeError(f"cannot start a thread: {os.strerror(failed)}")
    _alive = 1
    return 0


@cython.cfunc
@cython.exceptval(-1, check=False)
def beat_add(beat: cython.pointer(Beat)) -> cython.int:
    """Have `beat` kicked from now on whenever it runs. The caller removes it before the memory goes."""
    global _beats
    pthread_mutex_lock(cython.address(_mutex))
    try:
        if not _alive:
            _launch()
        beat.next = _beats
        _beats = beat
    finally:
        pthread_mutex_unlock(cython.address(_mutex))
    return 0


@cython.cfunc
@cython.exceptval(check=False)
def beat_remove(beat: cython.pointer(Beat)) -> cython.void:
    """Never kick `beat` again; nothing happens if it was not there."""
    link: cython.pointer(cython.pointer(Beat))
    pthread_mutex_lock(cython.address(_mutex))
    link = cython.address(_beats)
    while link[0] != cython.NULL:
        if link[0] == beat:
            link[0] = beat.next
            break
        link = cython.address(link[0].next)
    pthread_mutex_unlock(cython.address(_mutex))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _rouse(deadline: int64_t) -> cython.void:
    """Have the thread look again when its next kick is due. deadline: of the one that asks; 0 for none."""
    global _sleeps_until, _roused_for
    pthread_mutex_lock(cython.address(_mutex))
    if deadline and not _asleep:
        _roused_for = deadline
        if deadline < _sleeps_until:
            _sleeps_until = deadline  # nobody rouses it once more while it wakes
    pthread_cond_signal(cython.address(_wake))
    pthread_mutex_unlock(cython.address(_mutex))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def beat_start(beat: cython.pointer(Beat), deadline: int64_t) -> cython.void:
    """The CPU is about to run; it is kicked at `deadline` too unless that is 0."""
    beat.kicked = 0
    beat.hurry = 0
    beat.deadline = deadline
    beat.running = 1
    full_barrier()
    if _asleep or (deadline and deadline < _sleeps_until):
        _rouse(deadline)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def beat_hasten(beat: cython.pointer(Beat), deadline: int64_t) -> cython.void:
    """The CPU, which runs in this thread, is to be kicked at `deadline`, before which it was not to be."""
    beat.deadline = deadline
    full_barrier()
    if deadline < _sleeps_until:
        _rouse(deadline)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def beat_end(beat: cython.pointer(Beat)) -> cython.void:
    """The CPU has come out."""
    beat.running = 0
    beat.deadline = 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def beat_nudge(handle: cython.p_void) -> cython.void:
    """From any thread: ask the CPU to come out now, and once more in a moment, in case it was just about to start."""
    beat: cython.pointer(Beat) = cython.cast(cython.pointer(Beat), handle)
    beat.kicked = 1
    beat.kick(beat.handle)
    pthread_mutex_lock(cython.address(_mutex))
    beat.hurry = 1
    pthread_cond_signal(cython.address(_wake))
    pthread_mutex_unlock(cython.address(_mutex))


def _after_fork():
    """In the child: the thread is not there, and the mutex may be held by it for ever."""
    global _alive, _asleep, _sleeps_until, _roused_for, _beats
    _prepare()
    _alive = 0
    _asleep = 0
    _sleeps_until = 0
    _roused_for = 0
    _beats = cython.NULL


_prepare()
os.register_at_fork(after_in_child=_after_fork)
