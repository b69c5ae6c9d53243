/* A thread whose calls another answers: seccomp_unotify(2). Prints what each side is told. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND 2
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV 32
#endif

static struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
};
static struct sock_fprog program = {sizeof code / sizeof *code, code};
static volatile int listener = -1, step, tid;
static volatile long result, gave;
static pid_t parent;
static struct seccomp_notif req;
static unsigned flags_of = SECCOMP_FILTER_FLAG_NEW_LISTENER;

static long code_of(long r) { return r < 0 ? -errno : r; }
#define SHOW(x) do { errno = 0; long r_ = code_of((long)(x)); printf("%s: %ld\n", #x, r_); } while (0)
static long install(unsigned flags) { return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program); }
static void handler(int s) { (void)s; }

static void *target(void *unused) {
    (void)unused;
    tid = syscall(SYS_gettid);
    int made = install(flags_of);
    SHOW(install(SECCOMP_FILTER_FLAG_NEW_LISTENER));
    listener = made;
    for (int at = 0;;) {
        while (step == at) usleep(100);
        at = step;
        if (at < 0) return 0;
        errno = 0;
        long r = at % 3 == 1 ? syscall(SYS_getppid, 11, 22, 33, 44, 55, 66) : at % 3 == 2 ? syscall(SYS_mkdir, "made", 0700)
                                                                         : syscall(SYS_openat, AT_FDCWD, "none", O_RDONLY);
        r = code_of(r);
        gave = at % 3 == 1 && r == parent ? -1000 : r;
        result = 1;
    }
}
static void go(int what) { static int n; result = 0; n += 3; step = n + what; }
static void done(void) { while (!result) usleep(100); printf("the call gave %ld\n", gave); }
static short events(void) {
    struct pollfd p = {listener, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM, 0};
    poll(&p, 1, 0);
    return p.revents;
}
static void await(short what) { struct pollfd p = {listener, what, 0}; poll(&p, 1, -1); }
static int receive(void) { memset(&req, 0, sizeof req); return ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req); }
static int reply(unsigned long id, long val, int error, unsigned flags) {
    struct seccomp_notif_resp r = {id, val, error, flags};
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}
static int add(unsigned long id, unsigned flags, int src, int fd, unsigned fd_flags) {
    struct { unsigned long id; unsigned flags, src, fd, fd_flags; } a = {id, flags, src, fd, fd_flags};
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a);
}
static void told(void) {
    printf("told %d of %d: %d %x %lld %lld %lld; in text %d\n", req.pid == (unsigned)tid, req.flags, req.data.nr, req.data.arch,
           req.data.nr == SYS_getppid ? req.data.args[0] : 0, req.data.args[1], req.data.nr == SYS_getppid ? req.data.args[5] : 0, req.data.instruction_pointer != 0);
}
static void run(const char *title, unsigned flags, int with_restart) {
    pthread_t t;
    struct stat s;
    unsigned long id;
    char link[64], name[64];
    printf("-- %s\n", title);
    listener = -1; flags_of = flags; step = 0;
    pthread_create(&t, 0, target, 0);
    while (listener == -1) usleep(100);
    snprintf(link, sizeof link, "/proc/self/fd/%d", listener);
    link[readlink(link, name, sizeof name - 1) > 0 ? strlen(link) : 0] = 0;
    name[25] = 0;
    printf("%s, cloexec %d, mode %o, %o\n", name, fcntl(listener, F_GETFD), fcntl(listener, F_GETFL) & O_ACCMODE,
           fstat(listener, &s) ? 0 : s.st_mode);
    printf("nothing: %x\n", events());
    go(1); await(POLLIN);
    printf("asked: %x\n", events());
    memset(&req, 0, sizeof req); req.data.nr = 1;
    SHOW(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req));
    SHOW(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, 8));
    SHOW(receive()); told(); id = req.id;
    printf("sent: %x\n", events());
    SHOW(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
    id++; SHOW(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id)); id--;
    SHOW(reply(id + 1, 0, 0, 0));
    SHOW(reply(id, 5, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
    SHOW(reply(id, 0, -1, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
    SHOW(reply(id, 0, 0, 2));
    SHOW(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, 8));
    SHOW(reply(id, 77, 0, 0)); done();
    SHOW(reply(id, 77, 0, 0));
    SHOW(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
    go(2); SHOW(receive()); told(); SHOW(reply(req.id, 0, -EDOM, 0)); done(); SHOW(access("made", F_OK));
    go(2); SHOW(receive()); SHOW(reply(req.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE)); done(); SHOW(access("made", F_OK)); rmdir("made");
    go(1); SHOW(receive()); SHOW(reply(req.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE)); done();
    go(1); SHOW(receive()); SHOW(reply(req.id, 0, 5, 0)); done();
    // descriptors
    int null = open("/dev/null", O_RDONLY);
    go(0); SHOW(receive()); id = req.id;
    SHOW(add(id, 4, null, 0, 0)); SHOW(add(id, 0, null, 5, 0)); SHOW(add(id, 0, null, 0, O_NONBLOCK)); SHOW(add(id, 0, 999, 0, 0));
    SHOW(add(id + 1, 0, null, 0, 0));
    SHOW(ioctl(listener, _IOW('!', 3, char[16]), &req)); SHOW(ioctl(listener, _IOW('!', 3, char[5000]), &req));
    SHOW(ioctl(listener, _IOC(_IOC_READ, '!', 3, 24), 8)); SHOW(ioctl(listener, 0x2105, 8)); SHOW(ioctl(listener, _IOW('!', 4, long), 2));
    SHOW(ioctl(listener, _IOW('!', 4, long), 0));
    SHOW(add(id, 0, null, 0, O_CLOEXEC)); SHOW(add(id, 1, null, 100, 0)); printf("%d %d\n", fcntl(100, F_GETFD), fcntl(null + 1, F_GETFD));
    SHOW(add(id, 1, null, 1 << 28, 0));
    SHOW(add(id, SECCOMP_ADDFD_FLAG_SEND, null, 0, 0)); done();
    SHOW(add(id, 0, null, 0, 0));
    close(100); close(null + 1); close(null + 2); close(null);
    SHOW(read(listener, name, 8)); SHOW(write(listener, name, 8)); SHOW(lseek(listener, 0, SEEK_CUR));
    // signals
    struct sigaction a = {.sa_handler = handler, .sa_flags = with_restart ? SA_RESTART : 0};
    sigaction(SIGUSR1, &a, 0);
    go(1); await(POLLIN); usleep(20000);
    syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
    if (with_restart) {
        usleep(50000);
        int r = receive();
        if (r && errno == ENOENT) r = receive();
        told(); SHOW(reply(req.id, 3, 0, 0)); done();
    } else { done(); SHOW(receive()); printf("left: %x\n", events()); }
    go(1); SHOW(receive()); id = req.id;
    syscall(SYS_tgkill, getpid(), tid, SIGUSR1); usleep(50000);
    SHOW(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
    if (flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) SHOW(reply(id, 9, 0, 0));
    else if (with_restart) { SHOW(receive()); SHOW(reply(req.id, 4, 0, 0)); }
    done();
    // by epoll, and the end
    struct epoll_event e = {EPOLLIN | EPOLLHUP, {0}};
    int ep = epoll_create1(0);
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
    go(1); printf("epoll %d", epoll_wait(ep, &e, 1, -1)); printf(" %x\n", e.events);
    SHOW(receive()); SHOW(reply(req.id, 91, 0, 0)); done();
    step = -1; pthread_join(t, 0); usleep(20000);
    printf("over: %x", events()); printf(" %d", epoll_wait(ep, &e, 1, 1000)); printf(" %x\n", e.events);
    SHOW(receive());
    close(ep); close(listener);
}
static void *closes(void *unused) { (void)unused; usleep(30000); close(listener); return 0; }
int main(void) {
    pthread_t t; int s;
    setvbuf(stdout, 0, _IOLBF, 0);
    parent = getppid();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    SHOW(install(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV));
    SHOW(install(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC));
    SHOW(install(SECCOMP_FILTER_FLAG_NEW_LISTENER | 64));
    run("plain", SECCOMP_FILTER_FLAG_NEW_LISTENER, 0);
    run("calls begin anew", SECCOMP_FILTER_FLAG_NEW_LISTENER, 1);
    run("only an end disturbs", SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 0);
    puts("-- a child that is killed, one whose listener goes, one that is filtered twice");
    if (!fork()) { // its own listener: nobody answers, until it is closed
        listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER);
        pthread_create(&t, 0, closes, 0);
        SHOW(syscall(SYS_getppid)); SHOW(syscall(SYS_getppid)); exit(0);
    }
    wait(&s); printf("%x\n", s);
    pid_t child = fork();
    if (!child) { install(SECCOMP_FILTER_FLAG_NEW_LISTENER); syscall(SYS_getppid); exit(1); }
    usleep(30000); kill(child, SIGKILL); wait(&s); printf("%x\n", s);
    return 0;
}
