"""What answers the system calls of one task: the number is looked up, its registers go to what serves it.

Not here: the table (`axptr.kernel.kernel`), registers and arguments (`axptr._core.words.conversion`).

Failure: `LinuxError` is minus its errno; whatever else is raised comes out of the run.
"""

import cython
from cython.cimports.axptr._core.cpu.running import CALL_OPEN, Answers
from cython.cimports.axptr._core.kernel.fields import calm, class_of, task_class
from cython.cimports.axptr._core.kernel.quick import Quick
from cython.cimports.axptr._core.kernel.waiting import Waiting
from cython.cimports.axptr._core.words.conversion import Bound
from cython.cimports.cpython.dict import PyDict_GetItem
from cython.cimports.cpython.object import PyObject

from axptr.errors import LinuxError

_error = cython.declare(object, LinuxError)


@cython.final
@cython.cclass
class Answering(Answers):
    """table: number -> what serves it, called with the task and six registers; one that lacks a number makes it."""

    def __init__(self, table, task):
        self.table = table
        self.task = task

    def at_once(self, call, result):
        found: cython.pointer(PyObject) = PyDict_GetItem(self.table, call[0])
        if class_of(self.task) != task_class:
            return CALL_OPEN
        if (
            found == cython.NULL
            or not isinstance(cython.cast(object, found), Quick)
            or not calm(cython.cast(Waiting, self.task))
        ):
            return CALL_OPEN
        return cython.cast(Quick, found).at_once(self.task, call, result)

    def answer(self, call):
        number: object = call[0]
        try:
            serves: object = cython.cast(dict, self.table).get(number)
            if serves is None:
                serves = self.table[number]
            if isinstance(serves, Quick):  # which has been asked
                serves = cython.cast(Quick, serves).plain
            if isinstance(serves, Bound):
                return cython.cast(Bound, serves).serve(self.task, call + 1)
            return serves(self.task, call[1], call[2], call[3], call[4], call[5], call[6])
        except _error as error:
            return -error.errno

    def __call__(self, nr, a0, a1, a2, a3, a4, a5):
        try:
            return self.table[nr](self.task, a0, a1, a2, a3, a4, a5)
        except _error as error:
            return -error.errno

    def __reduce__(self):
        raise TypeError("what answers calls cannot be pickled")


@cython.final
@cython.cclass
class CrewAnswering(Answers):
    """Of a task among several that run at once: its loop is told first that the CPU has this task's registers.

    answers: what answers the calls of each, which may change under way.
    """

    def __init__(self, loop, task, answers: dict):
        self.loop = loop
        self.task = task
        self.answers = answers

    def _of_task(self):
        if self.loop.current is not self.task:
            self.loop._serve(self.task)
        return self.answers[self.task]

    def at_once(self, call, result):
        answers: object = self._of_task()
        return cython.cast(Answers, answers).at_once(call, result) if isinstance(answers, Answers) else CALL_OPEN

    def answer(self, call):
        answers: object = self._of_task()
        if isinstance(answers, Answers):
            return cython.cast(Answers, answers).answer(call)
        return answers(call[0], call[1], call[2], call[3], call[4], call[5], call[6])

    def __call__(self, nr, a0, a1, a2, a3, a4, a5):
        return self._of_task()(nr, a0, a1, a2, a3, a4, a5)

    def __reduce__(self):
        raise TypeError("what answers calls cannot be pickled")
