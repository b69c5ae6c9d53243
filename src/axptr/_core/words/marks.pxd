# How deep this thread is in calls that touch user memory. Only `mmu` may use it: each compiled module that
# cimports this would get a count of its own.

cdef extern from *:
    """
    static __thread int axptr_mark_count;
    #define axptr_marks (&axptr_mark_count)
    """
    int* axptr_marks
