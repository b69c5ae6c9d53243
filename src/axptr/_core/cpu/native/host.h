/* The engine's side of a stub, as far as it is system calls: start, end, hand over, wait, judge.

   A stub is started by a thread of ours that lasts as long as the process: PR_SET_PDEATHSIG means the thread. It is
   made by clone(CLONE_VM | CLONE_VFORK | CLONE_FILES), so that the listener of its first filter, made before the exec,
   is a descriptor of ours and no call for passing descriptors is needed. Its exit signal is 0: nobody's wait() sees it.

   All that the stub has to say comes as a call that the kernel notifies us of: a hand-over, one that maps, or a system
   call of the guest's, which then needs no signal. The kernel says which, and where it was made; only what lies behind a
   hand-over is the stub's word. With SYNC_WAKE_UP we are woken on the stub's own core, and it on ours: nobody spins, and
   no other core needs to be woken.

   Source: clone(2), seccomp_unotify(2), prctl(2). */
#ifndef AXPTR_NATIVE_HOST_H
#define AXPTR_NATIVE_HOST_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "channel.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAT_CLOSE_RANGE_UNSHARE 2
#define NAT_CLOSE_RANGE_CLOEXEC 4
#define NAT_WAIT_KILLABLE (1ul << 5) /* SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: Linux 5.19 */
#define NAT_RESTART 513              /* ERESTARTNOINTR: no program sees it */
#define NAT_NOTIF_SET_FLAGS _IOW('!', 4, uint64_t) /* SYNC_WAKE_UP: Linux 6.6 */
#define NAT_MFD_NOEXEC 8u /* MFD_NOEXEC_SEAL, MFD_EXEC: Linux 6.3 */
#define NAT_MFD_EXEC 16u
#define NAT_ENOUGH 2000000ll                       /* nanoseconds of CPU time in which it could have handed over */
#define NAT_NAP 10                                 /* milliseconds between two looks at one that does not answer */
#define NAT_PATIENCE 20                            /* looks that find that it could have: it is ended then */
#define NAT_WORK (4ull << 20)                      /* bytes that it maps or gives up: a look more */
#define NAT_MOST_WORK 200                          /* looks more, at most */
#define NAT_CALLS_ANEW 100                         /* how often it may make a call again that it is asked out of */
#define NAT_TEXT_AT 0x1000                         /* of the text in the file that is executed */

struct nat_stub {
    struct nat_channel *channel;
    uint64_t base;
    int pid;      /* 0: none; not reaped yet, so the number is nobody else's */
    int listener;
    int owner;    /* the process that started it */
    volatile int guest_turn; /* the guest may be running */
    pthread_mutex_t mutex;   /* over `guest_turn` and `asked`; all zero is one that nobody has */
    int asked;               /* a signal was sent in its turn, and it has not handed over since */
    uint64_t id;             /* of the call that waits for an answer */
    int64_t nr;              /* that call, as the kernel has it */
    uint64_t args[6], ip;
    int64_t cpu_time;        /* as seen last */
    int core;      /* of the host's, on which it was let go on; -1: one of several */
    int kept_off;  /* a core on which it does not run; -1: none */
    int elsewhere; /* the only one on which it does then; -1: several */
    int work;                /* looks more that the call which it was let make may take */
    volatile int listening;  /* who waits for it cannot look whether it comes; the rest is for that (`listen.h`) */
    volatile int looks;      /* that found that it could have come since it was asked; -1: it has not been */
    int64_t looked, used;    /* when that was last, and its CPU time then */
    int overdue;             /* it was ended for that */
    int failed;   /* where a start failed, as a number of enum nat_stage */
};

enum nat_stage { NAT_OK, NAT_NO_MEMFD, NAT_NO_CLONE, NAT_NO_SECCOMP, NAT_NO_EXEC, NAT_NO_LIFE };

static long nat_sys(long n, long a, long b, long c, long d, long e, long f)
{
    return syscall(n, a, b, c, d, e, f);
}

/* -- the file that is executed: the stub's text at the address that was chosen */

/* A file in memory. vm.memfd_noexec may ask to be told whether it is to be executed, or forbid that. */
static int nat_memfd(const char *name, unsigned flags)
{
    int fd = memfd_create(name, MFD_CLOEXEC | flags);
    return fd < 0 && errno == EINVAL ? memfd_create(name, MFD_CLOEXEC) : fd; /* before Linux 6.3 */
}

/* A file of no name in one of the directories that may hold programs, and again for execution alone. */
static int nat_unnamed(int *for_execution)
{
    static const char *const places[] = {"/tmp", "/var/tmp", "/dev/shm", "/run", "."};
    unsigned i;
    for (i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct statvfs v;
        char again[40];
        int fd = open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0700);
        if (fd < 0)
            continue;
        snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
        if (fstatvfs(fd, &v) == 0 && !(v.f_flag & ST_NOEXEC) && (*for_execution = open(again, O_RDONLY | O_CLOEXEC)) >= 0)
            return fd;
        close(fd);
    }
    errno = EACCES;
    return -1;
}

static int nat_program(uint64_t base, const unsigned char *text, size_t size)
{
    struct { Elf64_Ehdr e; Elf64_Phdr p[2]; } head;
    int fd = nat_memfd("axptr-guest", NAT_MFD_EXEC), to_execute = -1;
    if (fd < 0 && errno == EACCES)
        fd = nat_unnamed(&to_execute);
    if (fd < 0)
        return -1;
    memset(&head, 0, sizeof head);
    memcpy(head.e.e_ident, ELFMAG "\2\1\1", 7);
    head.e.e_type = ET_EXEC;
    head.e.e_machine = EM_X86_64;
    head.e.e_version = 1;
    head.e.e_entry = base;
    head.e.e_phoff = offsetof(__typeof__(head), p);
    head.e.e_ehsize = sizeof head.e;
    head.e.e_phentsize = sizeof head.p[0];
    head.e.e_phnum = 2;
    head.p[0].p_type = PT_LOAD;
    head.p[0].p_flags = PF_R | PF_X;
    head.p[0].p_offset = NAT_TEXT_AT;
    head.p[0].p_vaddr = head.p[0].p_paddr = base;
    head.p[0].p_filesz = head.p[0].p_memsz = size;
    head.p[0].p_align = 0x1000;
    head.p[1].p_type = PT_GNU_STACK;
    head.p[1].p_flags = PF_R | PF_W;
    if (pwrite(fd, &head, sizeof head, 0) != (ssize_t)sizeof head || pwrite(fd, text, size, NAT_TEXT_AT) != (ssize_t)size) {
        close(fd);
        if (to_execute >= 0)
            close(to_execute);
        return -1;
    }
    if (to_execute >= 0) {
        close(fd); /* what can be written is not executed */
        return to_execute;
    }
    return fd;
}

/* -- the start */

struct nat_birth {
    uint64_t base;
    int frames, control, program; /* descriptors of ours */
    volatile int listener, stage, error;
};

static int nat_child(void *argument)
{
    struct nat_birth *b = argument;
    static const char *const nothing[] = {"axptr-guest", NULL};
    static const uint16_t setup[NAT_SETUP] = NAT_SETUP_CALLS;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 19),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(b->base + NAT_EARLY), 0, 2), /* the second filter has it, too */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, b->base >> 32, 15, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NAT_MMAP, 14, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NAT_MUNMAP, 13, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NAT_MPROTECT, 12, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NAT_HAND_OVER, 11, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, setup[0], 9, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, setup[1], 8, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, setup[2], 7, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, setup[3], 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, setup[4], 5, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, b->base >> 32, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)b->base, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(b->base + NAT_TEXT), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    struct rlimit cpu;
    long got;
    b->stage = NAT_NO_SECCOMP;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getrlimit(RLIMIT_CPU, &cpu) == 0) { /* the guest hears of the soft limit, from whoever runs it, and not the stub */
        cpu.rlim_cur = cpu.rlim_max;
        setrlimit(RLIMIT_CPU, &cpu);
    }
    setpgid(0, 0); /* what a terminal sends is not for the stub */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        goto failed;
    /* A call that we have seen is over when it is answered, and not for a signal: of two that come at once the kernel would
       take the answer, and have the call made again (seccomp_do_user_notification). Before Linux 5.19 that may be. */
    got = nat_sys(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | NAT_WAIT_KILLABLE, (long)&program,
                  0, 0, 0);
    if (got < 0 && errno == EINVAL)
        got = nat_sys(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, (long)&program, 0, 0, 0);
    if (got < 0)
        goto failed;
    b->listener = (int)got; /* in the table that we share with our parent, until now */
    b->stage = NAT_NO_EXEC;
    if (nat_sys(SYS_close_range, ~0u, ~0u, NAT_CLOSE_RANGE_UNSHARE, 0, 0, 0)) /* containers forbid unshare(2) */
        goto failed;
    {   /* the three may lie on the numbers that they are to have */
        int held = NAT_CONTROL_FD, frames, control, file;
        while (held >= 0 && held <= NAT_CONTROL_FD) /* whatever is free of them is taken */
            held = dup(b->frames);
        frames = dup(b->frames), control = dup(b->control), file = dup(b->program);
        if (frames < 0 || control < 0 || file < 0 || dup2(frames, NAT_FRAMES_FD) < 0 || dup2(control, NAT_CONTROL_FD) < 0)
            goto failed;
        nat_sys(SYS_close_range, 0, 2, 0, 0, 0, 0);
        if (nat_sys(SYS_close_range, NAT_CONTROL_FD + 1, ~0u, NAT_CLOSE_RANGE_CLOEXEC, 0, 0, 0))
            goto failed;
        nat_sys(SYS_execveat, file, (long)"", (long)nothing, (long)(nothing + 1), AT_EMPTY_PATH, 0);
    }
failed:
    b->error = errno;
    _exit(98);
}

static int nat_clone(struct nat_birth *b)
{
    static char stack[16384] __attribute__((aligned(16))); /* the keeper's alone */
    return clone(nat_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES, b);
}

/* The thread that is the parent of all stubs. */
static pthread_mutex_t nat_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t nat_asked = PTHREAD_COND_INITIALIZER, nat_answered = PTHREAD_COND_INITIALIZER;
static struct nat_birth *nat_wanted;
static int nat_made, nat_keeper_of;

static void *nat_keeper(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&nat_mutex);
    for (;;) {
        while (nat_wanted == NULL)
            pthread_cond_wait(&nat_asked, &nat_mutex);
        nat_made = nat_clone(nat_wanted);
        if (nat_made < 0)
            nat_wanted->error = errno;
        nat_wanted = NULL;
        pthread_cond_broadcast(&nat_answered);
    }
    return NULL;
}

/* The pid, or -1. Called with the GIL: one at a time. */
static int nat_birth(struct nat_birth *b)
{
    int made;
    if (nat_keeper_of != getpid()) { /* first, or in a forked child, which has no thread but ours */
        sigset_t all, old;
        pthread_t thread;
        pthread_attr_t attributes;
        int failed;
        static const pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        static const pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
        nat_mutex = mutex;
        nat_asked = nat_answered = condition;
        nat_wanted = NULL;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        failed = pthread_create(&thread, &attributes, nat_keeper, NULL);
        pthread_attr_destroy(&attributes);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (failed) {
            b->error = failed;
            return -1;
        }
        nat_keeper_of = getpid();
    }
    pthread_mutex_lock(&nat_mutex);
    nat_wanted = b;
    pthread_cond_signal(&nat_asked);
    while (nat_wanted != NULL)
        pthread_cond_wait(&nat_answered, &nat_mutex);
    made = nat_made;
    pthread_mutex_unlock(&nat_mutex);
    return made;
}

/* -- life and death */

/* Whether the stub has ended; it is reaped then. */
static int nat_ended(struct nat_stub *s)
{
    int pid = s->pid;
    siginfo_t info;
    info.si_pid = 0;
    if (pid && s->owner == getpid() && waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid) {
        s->pid = 0; /* before the number is free: another thread may be about to interrupt it */
        waitpid(pid, NULL, __WALL);
    }
    return s->pid == 0;
}

/* Whether it is ours: after a fork the child has a copy of what speaks of its parent's. */
static int nat_ours(struct nat_stub *s)
{
    return s->owner == getpid();
}

/* Have it come out; only if the guest may be running, unless `anyway`. */
static void nat_interrupt(struct nat_stub *s, int anyway)
{
    int pid;
    pthread_mutex_lock(&s->mutex);
    pid = s->pid;
    if (pid && (s->guest_turn || anyway)) {
        s->asked = 1;
        kill(pid, SIGUSR1);
    }
    pthread_mutex_unlock(&s->mutex);
}

/* Say whose turn it is: nobody sends a signal on the guest's account while it is ours. */
static void nat_set_turn(struct nat_stub *s, int guests)
{
    pthread_mutex_lock(&s->mutex);
    s->guest_turn = guests;
    pthread_mutex_unlock(&s->mutex);
}

/* Nanoseconds of CPU time that it has used; of one that has ended, what was seen last. */
static int64_t nat_cpu_time(struct nat_stub *s)
{
    struct timespec t;
    if (s->pid && clock_gettime((clockid_t)((~(unsigned)s->pid << 3) | 2), &t) == 0)
        s->cpu_time = t.tv_sec * 1000000000ll + t.tv_nsec;
    return s->cpu_time;
}

/* The state of its process as the kernel names it (proc_pid_stat(5)): R, S, D, T ...; 0: that cannot be seen. */
static int nat_state(struct nat_stub *s)
{
    char name[32], line[128], *after;
    int fd;
    ssize_t n;
    snprintf(name, sizeof name, "/proc/%d/stat", s->pid);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, line, sizeof line - 1);
    close(fd);
    line[n > 0 ? n : 0] = 0;
    after = strrchr(line, ')');
    return after != NULL && after[1] == ' ' ? after[2] : 0;
}

/* Whether it could have answered since it was asked, or since this was true last, when its CPU time was `*used`: it has
   run, or does not want to. One to which the host gives no CPU, or no page, is not to blame, however long that takes. */
static int nat_had_time(struct nat_stub *s, int64_t *used)
{
    int64_t now = nat_cpu_time(s);
    int state;
    if (now - *used >= NAT_ENOUGH) {
        *used = now;
        return 1;
    }
    state = nat_state(s);
    return state != 'R' && state != 'D';
}

/* End it and wait until it is gone: nothing is mapped there any more. The control block stays. Idempotent. */
static void nat_kill(struct nat_stub *s)
{
    int pid = s->pid;
    s->pid = 0;
    if (pid && s->owner == getpid()) {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
            ;
    }
    s->guest_turn = 0;
    if (s->listener >= 0)
        close(s->listener);
    s->listener = -1;
}

/* -- what it says, and what it is told */

enum nat_event { NAT_NOTHING, NAT_GUEST_CALL, NAT_TURN, NAT_MAP_CALL };

/* What it has said, or says next: this waits. */
static int nat_receive(struct nat_stub *s)
{
    union { struct seccomp_notif q; char room[256]; } in;
    int i;
    memset(&in, 0, sizeof in);
    if (ioctl(s->listener, SECCOMP_IOCTL_NOTIF_RECV, &in.q))
        return NAT_NOTHING; /* a signal came first: the call is made again */
    s->id = in.q.id;
    s->nr = in.q.data.nr;
    s->ip = in.q.data.instruction_pointer;
    for (i = 0; i < 6; i++)
        s->args[i] = in.q.data.args[i];
    if (s->ip < s->base || s->ip >= s->base + NAT_TEXT)
        return NAT_GUEST_CALL;
    if (s->nr != NAT_HAND_OVER)
        return NAT_MAP_CALL;
    pthread_mutex_lock(&s->mutex);
    s->asked = 0; /* a signal that has not come yet comes before the guest's next instruction */
    pthread_mutex_unlock(&s->mutex);
    return NAT_TURN;
}

/* What it says next, waiting at most so many milliseconds. What it said before has been answered. */
static int nat_next(struct nat_stub *s, int milliseconds)
{
    struct pollfd p = {s->listener, POLLIN, 0};
    if (poll(&p, 1, milliseconds) == 1 && p.revents & POLLIN)
        return nat_receive(s);
    if (p.revents & POLLHUP) { /* it has ended, or is about to */
        struct timespec t = {0, 100000};
        nanosleep(&t, NULL);
    }
    return NAT_NOTHING;
}

/* Answer the call that waits. -1: it waits no more, a signal came. One to which a signal of ours is on its way must not be
   answered, but for what has it made again. */
static int nat_answer(struct nat_stub *s, int64_t value, int error, int let_through)
{
    union { struct seccomp_notif_resp a; char room[256]; } out;
    memset(&out, 0, sizeof out);
    out.a.id = s->id;
    out.a.val = value;
    out.a.error = error;
    out.a.flags = let_through ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
    return ioctl(s->listener, SECCOMP_IOCTL_NOTIF_SEND, &out.a) ? -1 : 0;
}

/* Have the call that waits made again, behind the signal that is on its way: without one a guest would see the number. */
static void nat_again(struct nat_stub *s)
{
    nat_answer(s, 0, -NAT_RESTART, 0);
}

/* Answer the guest's call that waits: it is its turn then. -1: it comes out, for a signal. */
static int nat_answer_guest(struct nat_stub *s, int64_t value)
{
    int asked;
    pthread_mutex_lock(&s->mutex);
    asked = s->asked;
    pthread_mutex_unlock(&s->mutex);
    if (asked || nat_answer(s, value, 0, 0))
        return -1;
    nat_set_turn(s, 1);
    return 0;
}

/* What it says next. NAT_NOTHING: it has ended, or could have said something and does not, which is the same for who waits
   under a lock. What it was told to do has its time. */
static int nat_await(struct nat_stub *s)
{
    int64_t used = 0;
    int looks = -1, event;
    while ((event = nat_next(s, NAT_NAP)) == NAT_NOTHING && !nat_ended(s)) {
        if (looks < 0) {
            used = nat_cpu_time(s); /* what it uses from now on */
            looks = 0;
        } else
            looks += nat_had_time(s, &used);
        if (looks >= NAT_PATIENCE + s->work)
            break;
    }
    s->work = 0;
    return event;
}

/* Wait for a hand-over. -1: it does not come. `calling`: it was asked out of a call, which it may make again once more, for
   another signal; one that keeps signals out makes call after call. */
static int nat_turn(struct nat_stub *s, int calling)
{
    int again = calling ? NAT_CALLS_ANEW : 0;
    for (;;) {
        int event = nat_await(s);
        if (event == NAT_TURN) {
            nat_set_turn(s, 0);
            return 0;
        }
        if (event != NAT_GUEST_CALL || again-- == 0)
            return -1;
        nat_again(s);
    }
}

/* From now on it goes on on any core that is ours but this; -1: on any. */
static void nat_keep_off(struct nat_stub *s, int core)
{
    cpu_set_t may;
    int i;
    if (s->kept_off == core || sched_getaffinity(0, sizeof may, &may))
        return;
    if (core >= 0)
        CPU_CLR(core, &may);
    if (!s->pid || CPU_COUNT(&may) == 0 || sched_setaffinity(s->pid, sizeof may, &may))
        return;
    s->kept_off = core;
    s->elsewhere = -1;
    for (i = 0; CPU_COUNT(&may) == 1 && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &may))
            s->elsewhere = i;
}

/* Before it goes on, from this core of ours. With SYNC_WAKE_UP it does so on that one, and those that run beside each
   other would share it for long, whatever is free. taken: one of the others was let go on there and has not come back;
   alone: there is none. */
static void nat_place(struct nat_stub *s, int core, int taken, int alone)
{
    if (taken)
        nat_keep_off(s, core);
    else if (alone || s->kept_off == core) /* to be woken elsewhere takes longer */
        nat_keep_off(s, -1);
    s->core = s->kept_off == core ? s->elsewhere : core;
}

/* Give it the turn back. A stop and a continue make it hand over again. -1: it is dead. */
static int nat_go(struct nat_stub *s)
{
    s->channel->awake = 0;
    nat_set_turn(s, 1);
    while (nat_answer(s, 0, 0, 0))
        if (nat_turn(s, 0))
            return -1;
        else
            nat_set_turn(s, 1);
    return 0;
}

/* Let it make the call that it was told to make, and no other. A munmap of nothing is a fence: that it is made
   proves that the calls before it are over; it is refused itself. 0: it was that; -1: it did something else, or nothing. */
static int nat_judge(struct nat_stub *s, const struct nat_command *want)
{
    for (;;) {
        if (nat_await(s) != NAT_MAP_CALL
            || (uint32_t)s->nr != want->op || s->args[0] != want->addr || s->args[1] != want->len
            || (want->op != NAT_MUNMAP && s->args[2] != want->prot)
            || (want->op == NAT_MMAP
                && (s->args[3] != want->flags || s->args[4] != NAT_FRAMES_FD || s->args[5] != want->off)))
            return -1;
        if (want->op == NAT_MUNMAP && want->len == 0) {
            if (nat_answer(s, 0, -EPERM, 0) == 0)
                return 0;
        } else {
            s->work = want->len / NAT_WORK < NAT_MOST_WORK ? (int)(want->len / NAT_WORK) : NAT_MOST_WORK;
            if (nat_answer(s, 0, 0, 1) == 0)
                return 0;
        }
    }
}

static void nat_free(struct nat_stub *s)
{
    nat_kill(s);
    if (s->channel != NULL)
        munmap(s->channel, NAT_CONTROL_SIZE);
    s->channel = NULL;
}

/* Start a stub whose span begins at `base`. 0, or the errno; `failed` says where. It has the first frame of a guest then
   and the turn is ours. traps_counter: rdtsc is a fault of the guest's. list: what it maps before all, by its own calls,
   which are not judged: until there is a guest in it, it runs nothing but its own text. */
static int nat_start(struct nat_stub *s, int frames, uint64_t base, int traps_counter, const unsigned char *text, size_t size,
                     const struct nat_command *list, uint32_t count)
{
    struct nat_birth b = {base, frames, -1, -1, -1, NAT_NO_CLONE, 0};
    int error, made;
    void *block = MAP_FAILED;
    uint64_t one = 1;
    memset(s, 0, sizeof *s);
    s->listener = s->core = s->kept_off = -1;
    s->base = base;
    s->failed = NAT_NO_MEMFD;
    b.control = nat_memfd("axptr-control", NAT_MFD_NOEXEC);
    if (b.control >= 0 && ftruncate(b.control, NAT_CONTROL_SIZE) == 0)
        block = mmap(NULL, NAT_CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, b.control, 0);
    if (block != MAP_FAILED)
        b.program = nat_program(base, text, size);
    error = errno;
    if (b.program >= 0) {
        s->channel = block;
        s->channel->traps_counter = traps_counter;
        s->channel->ncommands = count;
        if (count)
            memcpy((char *)block + NAT_COMMANDS, list, count * sizeof *list);
        s->failed = NAT_NO_CLONE;
        made = nat_birth(&b);
        error = b.error;
        s->listener = b.listener;
        if (made > 0) {
            s->pid = made;
            s->owner = getpid();
            s->failed = error ? b.stage : NAT_NO_LIFE;
        }
    } else if (block != MAP_FAILED)
        munmap(block, NAT_CONTROL_SIZE);
    if (b.control >= 0)
        close(b.control);
    if (b.program >= 0)
        close(b.program);
    if (s->pid && !error) {
        ioctl(s->listener, NAT_NOTIF_SET_FLAGS, one); /* refused before Linux 6.6: slower only */
        s->work = NAT_MOST_WORK;
        if (nat_turn(s, 0) == 0) {
            s->failed = NAT_OK;
            return 0;
        }
        error = ECHILD;
    }
    nat_free(s);
    return error ? error : ENOMEM;
}
#endif
