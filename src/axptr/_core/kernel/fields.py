"""Where the fields of a personality's objects lie that calls done at once, and switches between tasks, look at.

The classes are Python's, with those fields among their `__slots__`; the personality says which they are (`learn`). A class
that derives from one of them is another one: its objects go the general way. What is read here is what the general way
reads.

Not here: what is done with it (`quick`, `turns`).
"""

import cython
from cython.cimports.axptr._core.kernel.fields import (
    class_of,
    fields,
    get,
    get_of,
    put,
)
from cython.cimports.axptr._core.words.slots import slot_of
from cython.cimports.cpython.long import PyLong_AsLong
from cython.cimports.cpython.object import PyObject

_kept = cython.declare(list, [])
_none = cython.declare(cython.pointer(PyObject), cython.cast(cython.pointer(PyObject), None))
_no = cython.declare(object, False)
_zero = cython.declare(object, 0)

general_way = False
task_class = cython.NULL
pipe_class = cython.NULL
end_class = cython.NULL
node_class = cython.NULL
slot_class = cython.NULL
socket_class = cython.NULL
epoll_class = cython.NULL
word_class = cython.NULL


@cython.cfunc
def _at(cls: object, name: str) -> cython.Py_ssize_t:
    offset: cython.Py_ssize_t = slot_of(cls, name)
    if not offset:
        raise TypeError(f"{name} is no slot of {cls}")
    return offset


def learn_task(task, group, timers, timer, signals, files):
    """The classes of threads, processes, their timers and one of those, of what a thread knows of signals, of descriptors."""
    global task_class
    _kept.append(task)
    fields.engine = _at(task, "engine")
    fields.machine, fields.group, fields.mm = _at(task, "machine"), _at(task, "group"), _at(task, "mm")
    fields.files, fields.signals, fields.cpu = _at(task, "files"), _at(task, "signals"), _at(task, "cpu")
    fields.set_child_tid, fields.leaving = _at(task, "set_child_tid"), _at(task, "leaving")
    fields.trace, fields.judged = _at(task, "trace"), _at(task, "judged")
    fields.exit_code, fields.death, fields.stopping = (
        _at(group, "exit_code"),
        _at(group, "death"),
        _at(group, "stopping"),
    )
    fields.timers, fields.io, fields.voluntary = _at(group, "timers"), _at(group, "io"), _at(group, "voluntary")
    fields.virtual, fields.prof = _at(timers, "virtual"), _at(timers, "prof")
    fields.cpu_limit, fields.posix = _at(timers, "cpu_limit"), _at(timers, "_posix")
    fields.at = _at(timer, "at")
    fields.alert, fields.restart = _at(signals, "alert"), _at(signals, "_restart")
    fields.table = _at(files, "_files")
    task_class = cython.cast(cython.pointer(PyObject), task)


def learn_file(file):
    """The class of open files, of which all of them derive."""
    _kept.append(file)
    fields.flags, fields.refs, fields.watchers = _at(file, "flags"), _at(file, "refs"), _at(file, "watchers")


def learn_pipe(end, node, pipe, slot):
    """The classes of a pipe's ends, nodes, of pipes and what is in them."""
    global end_class, node_class, pipe_class, slot_class
    _kept.extend((end, node, pipe, slot))
    fields.node, fields.pipe = _at(end, "_node"), _at(end, "pipe")
    fields.accessed, fields.modified = _at(node, "accessed"), _at(node, "modified")
    fields.slots, fields.most = _at(pipe, "slots"), _at(pipe, "most")
    fields.readers, fields.writers = _at(pipe, "readers"), _at(pipe, "writers")
    fields.to_read, fields.to_both, fields.notices = _at(pipe, "to_read"), _at(pipe, "to_both"), _at(pipe, "notices")
    fields.data, fields.start = _at(slot, "data"), _at(slot, "start")
    fields.open, fields.packet = _at(slot, "open"), _at(slot, "packet")
    end_class = cython.cast(cython.pointer(PyObject), end)
    node_class = cython.cast(cython.pointer(PyObject), node)
    pipe_class = cython.cast(cython.pointer(PyObject), pipe)
    slot_class = cython.cast(cython.pointer(PyObject), slot)


def learn_socket(socket):
    """The class of open sockets."""
    global socket_class
    _kept.append(socket)
    fields.endpoint = _at(socket, "endpoint")
    socket_class = cython.cast(cython.pointer(PyObject), socket)


def learn_epoll(epoll):
    """The class of open files that are epolls."""
    global epoll_class
    _kept.append(epoll)
    fields.set = _at(epoll, "set")
    epoll_class = cython.cast(cython.pointer(PyObject), epoll)


def take_shortcuts(on: cython.bint):
    """For tests, which compare with the general way: whether there is another."""
    global general_way
    general_way = not on


def learn_word(word):
    """The class of the words that tasks wait at."""
    global word_class
    _kept.append(word)
    fields.queue, fields.inheriting = _at(word, "queue"), _at(word, "inheriting")
    word_class = cython.cast(cython.pointer(PyObject), word)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _is_zero(it: cython.pointer(PyObject)) -> cython.bint:
    return it == cython.cast(cython.pointer(PyObject), _zero)


def cpu_limit_of(task):
    """The limit of CPU time of a task's process, of the class that was learned; NULL for none."""
    limit: cython.pointer(PyObject) = get_of(get_of(get(task, fields.group), fields.timers), fields.cpu_limit)
    return cython.NULL if limit == _none else limit


def unasked(task):
    """Whether nobody but its limit is to be told of the CPU time that a task, of the class that was learned, uses."""
    timers: cython.pointer(PyObject) = get_of(get(task, fields.group), fields.timers)
    return (
        get_of(timers, fields.posix) == _none
        and get_of(get_of(timers, fields.virtual), fields.at) == _none
        and get_of(get_of(timers, fields.prof), fields.at) == _none
    )


def calm(task):
    """Whether there is nothing to do for a task before it goes on or waits: no signals, no end, nobody who looks on."""
    if class_of(task) != task_class or general_way:
        return False
    signals: cython.pointer(PyObject) = get(task, fields.signals)
    group: cython.pointer(PyObject) = get(task, fields.group)
    return (
        get(task, fields.trace) == _none
        and get(task, fields.judged) == _none
        and get_of(signals, fields.alert) == cython.cast(cython.pointer(PyObject), _no)
        and get_of(signals, fields.restart) == _none
        and get(task, fields.leaving) == cython.cast(cython.pointer(PyObject), _no)
        and _is_zero(get(task, fields.set_child_tid))
        and _is_zero(get_of(group, fields.stopping))
        and get_of(group, fields.exit_code) == _none
        and get_of(group, fields.death) == _none
    )


def hold(file):
    """One more refers to an open file."""
    put(file, fields.refs, PyLong_AsLong(cython.cast(object, get(file, fields.refs))) + 1)
    return 0


def let_go(file):
    """One that referred to an open file does so no more. -2: it was the last, and nothing has been done."""
    refs: cython.long = PyLong_AsLong(cython.cast(object, get(file, fields.refs)))
    if refs < 2:
        return -2
    put(file, fields.refs, refs - 1)
    return 0
