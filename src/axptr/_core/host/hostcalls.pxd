# The calls themselves, as the host's C library declares them, or by number where it may be too old to.

cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <poll.h>
    #include <signal.h>
    #include <string.h>
    #include <sys/auxv.h>
    #include <sys/mman.h>
    #include <sys/prctl.h>
    #include <sys/resource.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <sys/timex.h>
    #include <sys/vfs.h>
    #include <time.h>
    #include <unistd.h>

    /* glibc has had these for fewer years than Linux. */
    #ifndef SYS_openat2
    #define SYS_openat2 437
    #endif
    #ifndef SYS_statx
    #define SYS_statx -1
    #endif
    #ifndef SYS_renameat2
    #define SYS_renameat2 -1
    #endif

    static int axptr_openat2(int at, const char *path, unsigned long flags, unsigned long mode, unsigned long resolve)
    {
        unsigned long how[3] = {flags, mode, resolve};
        return (int)syscall(SYS_openat2, at, path, how, sizeof how);
    }

    static int axptr_statx(int at, const char *path, int flags, unsigned int mask, void *into)
    {
        return (int)syscall(SYS_statx, at, path, flags, mask, into);
    }

    static int axptr_fstatfs(int fd, void *into)
    {
        return fstatfs(fd, into);
    }

    static int axptr_utimensat(int at, const char *path, const void *times, int flags)
    {
        return utimensat(at, path, times, flags);
    }

    static int axptr_renameat2(int at, const char *name, int goal, const char *goal_name, unsigned int flags)
    {
        return (int)syscall(SYS_renameat2, at, name, goal, goal_name, flags);
    }

    static long axptr_getdents64(int fd, void *into, size_t size)
    {
        return syscall(SYS_getdents64, fd, into, size);
    }

    static long axptr_tee(int fd, int goal, size_t size, unsigned int flags)
    {
        return syscall(SYS_tee, fd, goal, size, flags);
    }

    /* landlock(7), whose numbers are those of every architecture. */
    static int axptr_landlock_ruleset(const void *attributes, size_t size, unsigned int flags)
    {
        return (int)syscall(444, attributes, size, flags);
    }

    static int axptr_landlock_allow(int rules, unsigned long rights, int fd)
    {
        struct { unsigned long rights; int fd; } __attribute__((packed)) beneath = {rights, fd};
        return (int)syscall(445, rules, 1, &beneath, 0);
    }

    static int axptr_landlock_restrict(int rules)
    {
        return (int)syscall(446, rules, 0);
    }

    static int axptr_adjtimex(void *timex)
    {
        return (int)syscall(SYS_adjtimex, timex);
    }

    static int axptr_alarm_refused(int clock)
    {
        struct timespec none = {0, 0};
        return clock_nanosleep(clock, 0, &none, NULL);
    }

    static int axptr_poll(int fd, int events)
    {
        struct pollfd one = {fd, (short)events, 0};
        int found = poll(&one, 1, 0);
        return found < 0 ? -1 : (unsigned short)one.revents;
    }

    /* The errno of a mapping of one page of a file, which does not stay. */
    static int axptr_map_refused(int fd, long offset, size_t page)
    {
        void *found = mmap(NULL, page, PROT_READ, MAP_PRIVATE, fd, offset);
        if (found == MAP_FAILED)
            return errno;
        munmap(found, page);
        return 0;
    }

    static int axptr_sigwaitinfo(unsigned long wanted, void *into)
    {
        sigset_t set;
        memset(&set, 0, sizeof set);
        memcpy(&set, &wanted, sizeof wanted);
        return sigwaitinfo(&set, into);
    }
    """
    int axptr_openat2(int at, const char *path, unsigned long flags, unsigned long mode, unsigned long resolve) nogil
    int axptr_statx(int at, const char *path, int flags, unsigned int mask, void *into) nogil
    int axptr_renameat2(int at, const char *name, int goal, const char *goal_name, unsigned int flags) nogil
    long axptr_getdents64(int fd, void *into, size_t size) nogil
    long axptr_tee(int fd, int goal, size_t size, unsigned int flags) nogil
    int axptr_landlock_ruleset(const void *attributes, size_t size, unsigned int flags) nogil
    int axptr_landlock_allow(int rules, unsigned long rights, int fd) nogil
    int axptr_landlock_restrict(int rules) nogil
    int axptr_adjtimex(void *timex) nogil
    int axptr_alarm_refused(int clock) nogil
    int axptr_poll(int fd, int events) nogil
    int axptr_map_refused(int fd, long offset, size_t page) nogil
    int axptr_sigwaitinfo(unsigned long wanted, void *into) nogil

    ctypedef unsigned long rlim_t
    struct rlimit:
        rlim_t rlim_cur
        rlim_t rlim_max
    int c_getrlimit "getrlimit"(int number, rlimit *into) nogil
    unsigned long c_getauxval "getauxval"(unsigned long kind) nogil
    int c_prctl "prctl"(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) nogil
    int c_fallocate "fallocate"(int fd, int mode, long offset, long size) nogil
    int c_fstatfs "axptr_fstatfs"(int fd, void *into) nogil
    int c_fchownat "fchownat"(int at, const char *path, unsigned int uid, unsigned int gid, int flags) nogil
    int c_faccessat "faccessat"(int at, const char *path, int mode, int flags) nogil
    int c_linkat "linkat"(int at, const char *path, int goal, const char *name, int flags) nogil
    int c_utimensat "axptr_utimensat"(int at, const char *path, const void *times, int flags) nogil
    int c_fcntl "fcntl"(int fd, int command, long argument) nogil


cdef class HoleBuffer:
    cdef unsigned char *base
    cdef size_t size
    cdef size_t whole
