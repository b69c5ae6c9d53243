# The calls themselves, by number where the host's C library may be too old for them.

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <pthread.h>
    #include <stdint.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <sys/sysmacros.h>
    #include <sys/vfs.h>
    #include <sys/xattr.h>
    #include <unistd.h>

    #ifndef SYS_openat2
    #define SYS_openat2 437
    #endif
    #ifndef SYS_statx
    #define SYS_statx -1
    #endif
    #ifndef SYS_faccessat2
    #define SYS_faccessat2 439
    #endif
    #define AXPTR_GETXATTRAT 464 /* since Linux 6.13 */
    #define AXPTR_LISTXATTRAT 465
    #define AXPTR_NOFOLLOW 0x100
    #define AXPTR_NO_AUTOMOUNT 0x800
    #define AXPTR_EMPTY_PATH 0x1000
    #define AXPTR_NOATIME 01000000
    #define AXPTR_BASIC_STATS 0x7ff
    #define AXPTR_PROC_MAGIC 0x9fa0

    struct axptr_time {
        int64_t sec;
        uint32_t nsec;
        int32_t pad;
    };

    /* struct statx of linux/stat.h. */
    struct axptr_told {
        uint32_t mask, blksize;
        uint64_t attributes;
        uint32_t nlink, uid, gid;
        uint16_t mode, pad;
        uint64_t ino, size, blocks, attributes_mask;
        struct axptr_time atime, btime, ctime, mtime;
        uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
        uint64_t more[14];
    };

    /* struct stat of asm/stat.h of x86-64. */
    struct axptr_stat_x86_64 {
        uint64_t dev, ino, nlink;
        uint32_t mode, uid, gid, pad;
        uint64_t rdev;
        int64_t size, blksize, blocks;
        struct { int64_t sec; uint64_t nsec; } atime, mtime, ctime;
        int64_t more[3];
    };

    static struct axptr_time axptr_when(const struct timespec *time)
    {
        struct axptr_time when = {time->tv_sec, (uint32_t)time->tv_nsec, 0};
        return when;
    }

    /* What the host tells of a descriptor, O_PATH too: 0, or minus the errno. */
    static int axptr_tell(int fd, struct axptr_told *into)
    {
        struct stat plain;
        if (syscall(SYS_statx, fd, "", AXPTR_EMPTY_PATH, AXPTR_BASIC_STATS, into) == 0)
            return 0;
        if (errno != ENOSYS && errno != EPERM)
            return -errno;
        if (fstat(fd, &plain) < 0)
            return -errno;
        memset(into, 0, sizeof *into);
        into->mask = AXPTR_BASIC_STATS;
        into->blksize = (uint32_t)plain.st_blksize;
        into->nlink = (uint32_t)plain.st_nlink;
        into->uid = plain.st_uid;
        into->gid = plain.st_gid;
        into->mode = (uint16_t)plain.st_mode;
        into->ino = plain.st_ino;
        into->size = (uint64_t)plain.st_size;
        into->blocks = (uint64_t)plain.st_blocks;
        into->atime = axptr_when(&plain.st_atim);
        into->ctime = axptr_when(&plain.st_ctim);
        into->mtime = axptr_when(&plain.st_mtim);
        into->rdev_major = major(plain.st_rdev);
        into->rdev_minor = minor(plain.st_rdev);
        into->dev_major = major(plain.st_dev);
        into->dev_minor = minor(plain.st_dev);
        return 0;
    }

    static uint64_t axptr_dev(uint32_t high, uint32_t low)
    {
        return makedev(high, low);
    }

    /* A place beneath another, and what is told of it: a new descriptor, or minus the errno. */
    static int axptr_look(int at, const char *path, unsigned long flags, unsigned long resolve, uint64_t device,
                          struct axptr_told *into)
    {
        unsigned long how[3] = {flags, 0, resolve};
        struct statfs system;
        int fd, refused;
        do
            fd = (int)syscall(SYS_openat2, at, path, how, sizeof how);
        while (fd < 0 && errno == EINTR);
        if (fd < 0)
            return -errno;
        refused = axptr_tell(fd, into);
        if (!refused && axptr_dev(into->dev_major, into->dev_minor) != device) {
            if (fstatfs(fd, &system) < 0)
                refused = -errno;
            else if (system.f_type == AXPTR_PROC_MAGIC)
                refused = -EACCES;
        }
        if (refused) {
            close(fd);
            return refused;
        }
        return fd;
    }

    /* What stands at a name in a directory, no link followed: 0, or minus the errno; EXDEV for what is mounted there, ENOSYS
       where the host is not to be asked so. */
    static int axptr_tell_name(int at, const char *name, uint64_t device, struct axptr_told *into)
    {
        if (syscall(SYS_statx, at, name, AXPTR_NOFOLLOW | AXPTR_NO_AUTOMOUNT, AXPTR_BASIC_STATS, into) < 0)
            return errno == EPERM ? -ENOSYS : -errno;
        return axptr_dev(into->dev_major, into->dev_minor) == device ? 0 : -EXDEV;
    }

    /* The directory that has the last name of a path beneath a place, which ends with a name: `at` itself, or a new
       descriptor; minus the errno. The name is what *path is then. */
    static int axptr_above(int at, const char **path, unsigned long flags, unsigned long resolve)
    {
        const char *last = strrchr(*path, '/');
        unsigned long how[3] = {(flags & ~(unsigned long)O_NOFOLLOW) | O_DIRECTORY, 0, resolve};
        char above[4096];
        int fd;
        if (!last)
            return at;
        if (last - *path >= (ptrdiff_t)sizeof above)
            return -ENAMETOOLONG;
        memcpy(above, *path, last - *path);
        above[last - *path] = 0;
        do
            fd = (int)syscall(SYS_openat2, at, above, how, sizeof how);
        while (fd < 0 && errno == EINTR);
        *path = last + 1;
        return fd < 0 ? -errno : fd;
    }

    /* `axptr_tell_name` of a file in a directory of `axptr_above`, which may be of another device than `at` is. */
    static int axptr_tell_below(int at, int above, const char *name, uint64_t device, struct axptr_told *into)
    {
        struct axptr_told parent;
        struct statfs system;
        int refused = axptr_tell_name(above, name, device, into);
        if (refused == -EXDEV && above != at && axptr_tell(above, &parent) == 0 && parent.dev_major == into->dev_major
            && parent.dev_minor == into->dev_minor && fstatfs(above, &system) == 0 && system.f_type != AXPTR_PROC_MAGIC)
            return 0;
        return refused;
    }

    static void axptr_leave(int at, int above)
    {
        if (above != at)
            close(above);
    }

    static ssize_t axptr_xattrat(int at, const char *path, int flags, const char *name, void *into, size_t size);

    /* An attribute of a file beneath a place, or with no name for one the names of all, by its own name in its directory: no
       descriptor of it is made. The size, or minus the errno: EXDEV for a mount point, ELOOP for a link that is to be
       followed, ENOSYS where the host has no getxattrat. The path ends with a name. */
    static ssize_t axptr_xattr_below(int at, const char *path, int follow, unsigned long flags, unsigned long resolve,
                                     uint64_t device, const char *name, void *into, size_t size)
    {
        struct axptr_told told;
        ssize_t done;
        int above = axptr_above(at, &path, flags, resolve);
        if (above < 0)
            return above;
        done = axptr_tell_below(at, above, path, device, &told);
        if (done == 0)
            done = follow && S_ISLNK(told.mode) ? -ELOOP : axptr_xattrat(above, path, AXPTR_NOFOLLOW, name, into, size);
        axptr_leave(at, above);
        return done;
    }

    /* Where a link beneath a place leads: the size, or minus the errno, EINVAL for what is none. The path ends with a
       name. */
    static ssize_t axptr_readlink_below(int at, const char *path, unsigned long flags, unsigned long resolve,
                                        uint64_t device, char *into, size_t size)
    {
        struct axptr_told told;
        ssize_t done;
        int above = axptr_above(at, &path, flags, resolve);
        if (above < 0)
            return above;
        done = axptr_tell_below(at, above, path, device, &told);
        if (done == 0) {
            done = S_ISLNK(told.mode) ? readlinkat(above, path, into, size) : -EINVAL;
            if (done == -1)
                done = -errno;
        }
        axptr_leave(at, above);
        return done;
    }

    /* Whether who we are may do that with a file beneath a place: 0, or minus the errno; ELOOP for a link. The path ends
       with a name. */
    static int axptr_access_below(int at, const char *path, int mode, unsigned long flags, unsigned long resolve,
                                  uint64_t device)
    {
        struct axptr_told told;
        int refused, above = axptr_above(at, &path, flags, resolve);
        if (above < 0)
            return above;
        refused = axptr_tell_below(at, above, path, device, &told);
        if (!refused && S_ISLNK(told.mode))
            refused = -ELOOP;
        if (!refused && mode && syscall(SYS_faccessat2, above, path, mode, AT_EACCESS | AXPTR_NOFOLLOW))
            refused = errno == EPERM ? -ENOSYS : -errno;
        axptr_leave(at, above);
        return refused;
    }

    static void axptr_pack_stat(const struct axptr_told *told, void *into)
    {
        struct axptr_stat_x86_64 found = {
            .dev = makedev(told->dev_major, told->dev_minor),
            .ino = told->ino,
            .nlink = told->nlink,
            .mode = told->mode,
            .uid = told->uid,
            .gid = told->gid,
            .rdev = makedev(told->rdev_major, told->rdev_minor),
            .size = (int64_t)told->size,
            .blksize = told->blksize,
            .blocks = (int64_t)told->blocks,
            .atime = {told->atime.sec, told->atime.nsec},
            .mtime = {told->mtime.sec, told->mtime.nsec},
            .ctime = {told->ctime.sec, told->ctime.nsec},
        };
        memcpy(into, &found, sizeof found);
    }

    /* /proc/self/fd, held: a name of two digits is found in a third of the time that the whole path takes. -1: not
       yet, or not to be had. A child of fork has descriptors of its own; whoever closed ours unasked has another file
       under its number, so it is looked at before each use. */
    static int axptr_descriptors_fd = -1;
    static struct stat axptr_descriptors_are;

    static void axptr_descriptors_of_child(void)
    {
        struct stat now;
        int fd = axptr_descriptors_fd;
        axptr_descriptors_fd = -1;
        if (fd >= 0 && fstat(fd, &now) == 0 && now.st_ino == axptr_descriptors_are.st_ino &&
            now.st_dev == axptr_descriptors_are.st_dev)
            close(fd);
    }

    /* With the GIL. */
    static int axptr_descriptors(void)
    {
        static int told;
        struct stat now;
        struct statfs system;
        int fd = axptr_descriptors_fd;
        if (fd >= 0 && fstat(fd, &now) == 0 && now.st_ino == axptr_descriptors_are.st_ino &&
            now.st_dev == axptr_descriptors_are.st_dev)
            return fd;
        axptr_descriptors_fd = -1;
        if (!told) {
            if (pthread_atfork(NULL, NULL, axptr_descriptors_of_child))
                return -1;
            told = 1;
        }
        fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return -1;
        if (fstat(fd, &axptr_descriptors_are) < 0 || fstatfs(fd, &system) < 0 || system.f_type != AXPTR_PROC_MAGIC) {
            close(fd);
            return -1;
        }
        axptr_descriptors_fd = fd;
        return fd;
    }

    /* How a call is told which file a descriptor is, O_PATH too: the text for it, relative to `at`. */
    static const char *axptr_by(int held, int fd, char into[32], int *at)
    {
        *at = held < 0 ? AT_FDCWD : held;
        snprintf(into, 32, held < 0 ? "/proc/self/fd/%d" : "%d", fd);
        return into;
    }

    /* getxattrat(2), or without a name listxattrat(2): the size, or minus the errno; of a filter EPERM, which a file may
       say, too. */
    static ssize_t axptr_xattrat(int at, const char *path, int flags, const char *name, void *into, size_t size)
    {
        static int missing;
        struct { uint64_t value; uint32_t size, flags; } how = {(uintptr_t)into, (uint32_t)size, 0};
        ssize_t done;
        if (missing)
            return -ENOSYS;
        do
            done = name ? syscall(AXPTR_GETXATTRAT, at, path, flags, name, &how, sizeof how)
                        : syscall(AXPTR_LISTXATTRAT, at, path, flags, into, size);
        while (done < 0 && errno == EINTR);
        if (done < 0 && errno == ENOSYS)
            missing = 1;
        return done < 0 ? -errno : done;
    }

    /* An attribute of what a descriptor is, O_PATH too: its size, or minus the errno. held: axptr_descriptors(). */
    static ssize_t axptr_getxattr(int held, int fd, const char *name, void *into, size_t size)
    {
        char path[32];
        ssize_t done;
        int at;
        if (held >= 0) {
            axptr_by(held, fd, path, &at);
            done = axptr_xattrat(at, path, 0, name, into, size);
            if (done != -ENOSYS && done != -EPERM)
                return done;
        }
        axptr_by(-1, fd, path, &at);
        do
            done = getxattr(path, name, into, size);
        while (done < 0 && errno == EINTR);
        return done < 0 ? -errno : done;
    }

    /* quiet: without a new time of access, where we may ask for that. directory: it is known to be one. */
    static int axptr_reopen(int held, int fd, int flags, int quiet, int directory)
    {
        char path[32];
        const char *name;
        int at, opened;
        if (directory) { /* itself, by its own name, if it may be searched */
            opened = openat(fd, ".", flags | (quiet ? AXPTR_NOATIME : 0));
            if (opened < 0 && quiet && errno == EPERM)
                opened = openat(fd, ".", flags);
            if (opened >= 0)
                return opened;
        }
        name = axptr_by(held, fd, path, &at);
        opened = quiet ? openat(at, name, flags | AXPTR_NOATIME, 0) : -1;
        if (opened < 0)
            do
                opened = openat(at, name, flags, 0);
            while (opened < 0 && errno == EINTR);
        return opened < 0 ? -errno : opened;
    }

    /* The name that the host has for a descriptor: its size, or minus the errno. */
    static ssize_t axptr_name(int held, int fd, char *into, size_t size)
    {
        char path[32];
        int at;
        const char *name = axptr_by(held, fd, path, &at);
        ssize_t done = readlinkat(at, name, into, size);
        return done < 0 ? -errno : done;
    }

    /* The first link on a path beneath a place, whose name is [*begin, *end) of the path: the size of what it says, or minus
       the errno, EINVAL where there is none. */
    static ssize_t axptr_first_link(int at, const char *path, unsigned long flags, unsigned long resolve, uint64_t device,
                                    size_t *begin, size_t *end, struct axptr_told *told, char *into, size_t size)
    {
        char above[4096];
        size_t i = 0;
        for (;;) {
            int fd;
            while (path[i] == '/')
                i++;
            *begin = i;
            while (path[i] && path[i] != '/')
                i++;
            *end = i;
            if (*begin == i || i >= sizeof above)
                return -EINVAL;
            memcpy(above, path, i);
            above[i] = 0;
            fd = axptr_look(at, above, flags, resolve, device, told);
            if (fd < 0)
                return fd;
            if (S_ISLNK(told->mode)) {
                ssize_t done = readlinkat(fd, "", into, size);
                int refused = errno;
                close(fd);
                return done < 0 ? -refused : done;
            }
            close(fd);
        }
    }

    /* What the host tells of a file beneath a place: 0, or minus the errno. slash: the path ends with one. What its own
       directory can tell needs no descriptor of it, which costs more than the rest. */
    static int axptr_tell_at(int at, const char *path, int slash, unsigned long flags, unsigned long resolve,
                             uint64_t device, struct axptr_told *into)
    {
        const char *name = path;
        int fd, above = slash ? -EXDEV : axptr_above(at, &name, flags, resolve);
        if (above >= 0) {
            int refused = axptr_tell_below(at, above, name, device, into);
            axptr_leave(at, above);
            if (refused != -ENOSYS && refused != -EXDEV)
                return refused;
        } else if (!slash)
            return above;
        fd = axptr_look(at, path, flags, resolve, device, into);
        if (fd < 0)
            return fd;
        close(fd);
        return 0;
    }

    static int axptr_access(int fd, int mode)
    {
        char path[32];
        if (syscall(SYS_faccessat2, fd, "", mode, AT_EACCESS | AXPTR_EMPTY_PATH) == 0)
            return 0;
        if (errno != ENOSYS && errno != EPERM)
            return errno;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return faccessat(AT_FDCWD, path, mode, AT_EACCESS) < 0 ? errno : 0;
    }
    """
    struct axptr_time:
        int64_t sec
        uint32_t nsec
    struct axptr_told:
        uint32_t mask, blksize, nlink, uid, gid
        uint64_t attributes, more[14]
        uint16_t mode
        uint64_t ino, size, blocks, attributes_mask
        axptr_time atime, btime, ctime, mtime
        uint32_t rdev_major, rdev_minor, dev_major, dev_minor
    int axptr_tell(int fd, axptr_told *into) nogil
    int axptr_look(
        int at, const char *path, unsigned long flags, unsigned long resolve, uint64_t device, axptr_told *into
    ) nogil
    uint64_t axptr_dev(uint32_t high, uint32_t low) nogil
    void axptr_pack_stat(const axptr_told *told, void *into) nogil
    int axptr_descriptors()
    ssize_t axptr_getxattr(int held, int fd, const char *name, void *into, size_t size) nogil
    ssize_t axptr_xattr_below(
        int at,
        const char *path,
        int follow,
        unsigned long flags,
        unsigned long resolve,
        uint64_t device,
        const char *name,
        void *into,
        size_t size,
    ) nogil
    ssize_t axptr_readlink_below(
        int at,
        const char *path,
        unsigned long flags,
        unsigned long resolve,
        uint64_t device,
        char *into,
        size_t size,
    ) nogil
    int axptr_access_below(
        int at, const char *path, int mode, unsigned long flags, unsigned long resolve, uint64_t device
    ) nogil
    int axptr_reopen(int held, int fd, int flags, int quiet, int directory) nogil
    ssize_t axptr_name(int held, int fd, char *into, size_t size) nogil
    int axptr_tell_at(
        int at,
        const char *path,
        int slash,
        unsigned long flags,
        unsigned long resolve,
        uint64_t device,
        axptr_told *into,
    ) nogil
    int axptr_access(int fd, int mode) nogil
    ssize_t axptr_first_link(
        int at,
        const char *path,
        unsigned long flags,
        unsigned long resolve,
        uint64_t device,
        size_t *begin,
        size_t *end,
        axptr_told *told,
        char *into,
        size_t size,
    ) nogil


# Where one step begins: a descriptor, its file's device, the path from there, whether that ends with a slash, how it is to be
# resolved (openat2(2)), and how many links were gone through. shift: where the path stands in what was said, less its own start.
# refused: minus the errno that is known already, 0 for none.
# layered: it leads below a tree over another (`axptr._core.kernel.overlaid`); then `raw` has the path, `below` the same without `.`, `..` and
# slashes too many. floor: where in the path the names begin that are the host's to tell. held: somebody holds what it leads to.
# climbs: the path leads there only if what it goes up from is there.
cdef struct Way:
    int at
    uint64_t device
    const char *path
    bint slash
    unsigned long resolve
    int links
    Py_ssize_t shift
    int refused
    bint layered
    bint held
    bint climbs
    size_t floor
    Py_ssize_t below_size
    char below[4352]
    char raw[4352]


cdef class Status:
    cdef axptr_told told


cdef class Place:
    cdef public int fd
    cdef public unsigned int mode
    cdef public bint home
    cdef public object mount
    cdef public Status seen
    cdef uint64_t device
    cdef uint64_t number
    cdef bint lent


# Whether the host is known to have no openat2.
cpdef bint openat2_missing() noexcept
# Where a path begins that leads down, behind slashes; -1 for one that is not `straight`. climbs: how many `..` are in it, none
# of them at its end; NULL for one that may have none.
cdef Py_ssize_t leads_down(const unsigned char *text, Py_ssize_t size, set covered, int *climbs) except? -2
# `reopen`: the descriptor, or minus the errno.
cdef int reopened(int fd, int flags, bint quiet, bint directory) noexcept
# `name_of`: its size, or minus the errno.
cdef Py_ssize_t named(int fd, char *into, Py_ssize_t size) noexcept
# The place of a descriptor that was opened beneath another, which owns it, and of which that was told.
cdef Place seen(type kind, Place start, int fd, const axptr_told *told)
