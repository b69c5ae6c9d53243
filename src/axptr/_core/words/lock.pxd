# A recursive mutex that code without the GIL can take, and the few atomics that Python syntax has no words for.
#
# Rules: whoever waits for this lock with the GIL held gives the GIL up while waiting; whoever holds the lock
# never asks for the GIL. So the order is GIL before lock, and no two holders can wait for each other.
# The uncontended path is one compare-and-swap and one store. While nobody may take the lock without the GIL
# (`axptr_share` announces that, with the GIL held) the GIL alone keeps two holders apart: whoever holds it, sees
# `axptr_quiet`, and gives it up nowhere in between needs no lock at all.

from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #include <errno.h>
    #include <linux/futex.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>
    #ifndef AXPTR_LOCK_H
    #define AXPTR_LOCK_H
    #if defined(__x86_64__) || defined(__i386__)
    #define axptr_relax() __builtin_ia32_pause()
    #else
    #define axptr_relax() ((void)0)
    #endif
    typedef struct { int state; unsigned int depth; int waiters; int shared; void *owner; } axptr_lock;

    /* Which thread this is: its thread control block, one load, the same in every compiled module. */
    #if defined(__has_builtin)
    #if __has_builtin(__builtin_thread_pointer)
    #define axptr_thread() __builtin_thread_pointer()
    #endif
    #endif
    #ifndef axptr_thread
    #include <pthread.h>
    #define axptr_thread() ((void *)pthread_self())
    #endif

    static inline int axptr_try(axptr_lock *l) {
        int free_ = 0;
        if (__atomic_compare_exchange_n(&l->state, &free_, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            __atomic_store_n(&l->owner, axptr_thread(), __ATOMIC_RELAXED);
            return 1;
        }
        if (__atomic_load_n(&l->owner, __ATOMIC_RELAXED) == axptr_thread()) { l->depth++; return 1; }
        return 0;
    }
    /* A sleeper wakes by itself after a millisecond: an unlock that does not see it yet costs only that. */
    static void axptr_wait(axptr_lock *l) {
        struct timespec nap = {0, 1000000};
        int spin;
        for (spin = 0; spin < 200; spin++) { if (axptr_try(l)) return; axptr_relax(); }
        __atomic_fetch_add(&l->waiters, 1, __ATOMIC_SEQ_CST);
        while (!axptr_try(l))
            syscall(SYS_futex, &l->state, FUTEX_WAIT_PRIVATE, 1, &nap, NULL, 0);
        __atomic_fetch_sub(&l->waiters, 1, __ATOMIC_SEQ_CST);
    }
    static void axptr_wait_gil(axptr_lock *l) { Py_BEGIN_ALLOW_THREADS axptr_wait(l); Py_END_ALLOW_THREADS }
    /* Who waits here may have the GIL after all, on a way that is also gone with it (a stub made anew): he gives it up, for
       who has the lock may be about to ask for the GIL. */
    static inline void axptr_lock_nogil(axptr_lock *l) {
        if (!axptr_try(l)) { if (PyGILState_Check()) axptr_wait_gil(l); else axptr_wait(l); }
    }
    static inline void axptr_lock_gil(axptr_lock *l) { if (!axptr_try(l)) axptr_wait_gil(l); }
    static inline void axptr_unlock(axptr_lock *l) {
        if (l->depth) { l->depth--; return; }
        __atomic_store_n(&l->owner, NULL, __ATOMIC_RELAXED);
        __atomic_store_n(&l->state, 0, __ATOMIC_RELEASE);
        if (__atomic_load_n(&l->waiters, __ATOMIC_RELAXED))
            syscall(SYS_futex, &l->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    static inline void axptr_share(axptr_lock *l) { __atomic_fetch_add(&l->shared, 1, __ATOMIC_SEQ_CST); }
    static inline void axptr_unshare(axptr_lock *l) { __atomic_fetch_sub(&l->shared, 1, __ATOMIC_SEQ_CST); }
    static inline int axptr_quiet(axptr_lock *l) {
        return (__atomic_load_n(&l->shared, __ATOMIC_RELAXED) | __atomic_load_n(&l->state, __ATOMIC_RELAXED)) == 0;
    }
    #endif
    """
    ctypedef struct axptr_lock:
        pass
    void axptr_lock_nogil(axptr_lock *l) noexcept nogil
    void axptr_lock_gil(axptr_lock *l) noexcept
    void axptr_unlock(axptr_lock *l) noexcept nogil
    void *axptr_thread() noexcept nogil
    # Around a `with nogil` block in which the lock is taken; called with the GIL held.
    void axptr_share(axptr_lock *l) noexcept nogil
    void axptr_unshare(axptr_lock *l) noexcept nogil
    # Whether the GIL alone keeps others out until it is given up.
    int axptr_quiet(axptr_lock *l) noexcept nogil
