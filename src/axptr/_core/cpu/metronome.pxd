from libc.stdint cimport int64_t

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef struct pthread_condattr_t:
        pass
    ctypedef struct pthread_attr_t:
        pass
    ctypedef unsigned long pthread_t
    int pthread_mutex_init(pthread_mutex_t *, const void *)
    int pthread_mutex_lock(pthread_mutex_t *)
    int pthread_mutex_unlock(pthread_mutex_t *)
    int pthread_condattr_init(pthread_condattr_t *)
    int pthread_condattr_setclock(pthread_condattr_t *, int)
    int pthread_cond_init(pthread_cond_t *, const pthread_condattr_t *)
    int pthread_cond_signal(pthread_cond_t *)
    int pthread_cond_wait(pthread_cond_t *, pthread_mutex_t *)
    int pthread_cond_timedwait(pthread_cond_t *, pthread_mutex_t *, const timespec *)
    int pthread_attr_init(pthread_attr_t *)
    int pthread_attr_setdetachstate(pthread_attr_t *, int)
    int pthread_attr_destroy(pthread_attr_t *)
    int pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *) noexcept nogil, void *)
    int PTHREAD_CREATE_DETACHED

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    int sigfillset(sigset_t *)
    int pthread_sigmask(int, const sigset_t *, sigset_t *)
    int SIG_SETMASK

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int, timespec *)
    int CLOCK_MONOTONIC

cdef extern from *:
    # A full barrier: what was stored before it is seen before what is loaded after it.
    void full_barrier "__sync_synchronize"() noexcept nogil

# One CPU that wants to be woken while it runs. The owner embeds it; `next` belongs to the metronome.
cdef struct Beat:
    void (*kick)(void *handle) noexcept nogil   # asks the CPU to come out; never blocks
    void *handle
    int running            # written by the owner alone, through beat_start and beat_end
    int kicked             # set before each kick; the owner clears it
    int hurry              # kick again at once, not at the next beat
    int64_t deadline       # in nanoseconds of clock_now(); 0 is none
    Beat *next

cdef int64_t clock_now() noexcept nogil
cdef int beat_add(Beat *beat) except -1
cdef void beat_remove(Beat *beat) noexcept
cdef void beat_start(Beat *beat, int64_t deadline) noexcept nogil
cdef void beat_hasten(Beat *beat, int64_t deadline) noexcept nogil
cdef void beat_end(Beat *beat) noexcept nogil
cdef void beat_nudge(void *beat) noexcept nogil
