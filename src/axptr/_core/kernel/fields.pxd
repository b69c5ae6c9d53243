from cpython.object cimport PyObject
from axptr._core.kernel.waiting cimport Waiting
from axptr._core.words.slots cimport at_offset as get, at_offset_of as get_of

cdef extern from *:
    """
    #ifndef AXPTR_FIELDS_H
    #define AXPTR_FIELDS_H
    #define axptr_class(it) ((PyObject *)Py_TYPE(it))
    static inline void axptr_set(PyObject *it, Py_ssize_t offset, PyObject *value)
    {
        PyObject **at = (PyObject **)((char *)it + offset), *before = *at;
        Py_INCREF(value);
        *at = value;
        Py_XDECREF(before);
    }
    #endif
    """
    PyObject* class_of "axptr_class"(object it)
    void put "axptr_set"(object it, Py_ssize_t offset, object value)

# Where the fields lie.
cdef struct Fields:
    Py_ssize_t engine                                             # of a task
    Py_ssize_t machine, group, mm, files, signals, cpu, set_child_tid, leaving, trace, judged
    Py_ssize_t exit_code, death, stopping, timers, io, voluntary  # of a process
    Py_ssize_t virtual, prof, cpu_limit, posix                    # of its timers
    Py_ssize_t at                                                 # of one of them
    Py_ssize_t alert, restart                                     # of signals
    Py_ssize_t table                                              # of descriptors
    Py_ssize_t flags, refs, watchers                              # of an open file
    Py_ssize_t node, pipe                                         # of a pipe's end
    Py_ssize_t accessed, modified                                 # of its node
    Py_ssize_t slots, most, readers, writers, to_read, to_both, notices   # of a pipe
    Py_ssize_t data, start, open, packet                          # of what is in it
    Py_ssize_t endpoint                                           # of an open socket
    Py_ssize_t set                                                # of an open file that is an epoll
    Py_ssize_t queue, inheriting                                  # of a word

cdef Fields fields
cdef bint general_way              # nothing is to be done at once: of tests, which compare
cdef PyObject *task_class          # NULL: nobody has said
cdef PyObject *pipe_class
cdef PyObject *end_class
cdef PyObject *node_class
cdef PyObject *slot_class
cdef PyObject *socket_class
cdef PyObject *epoll_class
cdef PyObject *word_class

cdef bint calm(Waiting task) noexcept
cdef PyObject *cpu_limit_of(Waiting task) noexcept
cdef bint unasked(Waiting task) noexcept
cdef int hold(object file) except -1
cdef int let_go(object file) except -1
