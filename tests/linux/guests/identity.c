/* Who a process is and what it may do after each call of set*id, setgroups and capset, from root on; to be compared between
   two kernels. Capabilities are shown as far as a container's root has them. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#define OF_ROOT 0xa80405fbUL & ~4UL
static void caps(uint64_t *s) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    syscall(SYS_capget, &h, d);
    s[0] = d[0].effective | (uint64_t)d[1].effective << 32; s[1] = d[0].permitted | (uint64_t)d[1].permitted << 32;
    s[2] = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
}
static void show(const char *what, long r) {
    uid_t a, b, c; gid_t d, e, f; uint64_t s[3]; gid_t g[10]; int n;
    int code = r < 0 ? errno : 0;
    getresuid(&a, &b, &c); getresgid(&d, &e, &f); caps(s); n = getgroups(10, g);
    printf("%s = %ld %s: %d %d %d fs %d | %d %d %d fs %d | %lx %lx %lx |", what, r, code ? strerrorname_np(code) : "", a, b, c, setfsuid(-1),
           d, e, f, setfsgid(-1), s[0] & (OF_ROOT), s[1] & (OF_ROOT), s[2] & (OF_ROOT));
    for (int i = 0; i < n; i++) printf(" %d", g[i]);
    puts("");
}
#define R(x) do { errno = 0; long r_ = (x); show(#x, r_); } while (0)
static const int ids[] = {0, 1000, 2000, -1};
int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IONBF, 0);
    if (argc > 1) { show("exec", 0); return 0; }
    R(setgroups(0, 0)); R(setgroups(3, (gid_t[]){7, 5, 6})); R(setgroups(1, (gid_t[]){-1})); R(setgroups(70000, (gid_t *)1)); R(setgroups(2, (gid_t *)1));
    for (unsigned seed = 1; seed < 60; seed++) {
        if (fork()) { wait(0); continue; }
        srand(seed);
        unsigned x = seed * 2654435761u;
        for (int i = 0; i < 12; i++) {
            x = x * 1103515245 + 12345;
            int p = ids[x >> 8 & 3], q = ids[x >> 12 & 3], s = ids[x >> 16 & 3];
            switch (x >> 20 & 7) {
            case 0: errno = 0; show("setuid", setuid(p)); break;
            case 1: errno = 0; show("setreuid", setreuid(p, q)); break;
            case 2: errno = 0; show("setresuid", setresuid(p, q, s)); break;
            case 3: errno = 0; show("setfsuid", setfsuid(p)); break;
            case 4: errno = 0; show("setgid", setgid(p)); break;
            case 5: errno = 0; show("setregid", setregid(p, q)); break;
            case 6: errno = 0; show("setresgid", setresgid(p, q, s)); break;
            case 7: if (x >> 24 & 1) { errno = 0; show("keep", prctl(PR_SET_KEEPCAPS, x >> 25 & 1)); } else { errno = 0; show("setgroups", setgroups(1, (gid_t[]){9})); }
            }
        }
        if (setfsuid(-1)) _exit(0);      /* who may not read the program */
        execl(argv[0], argv[0], "x", (char *)0);
        _exit(1);
    }
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{1 << 7 | 1 << 6, 1 << 7 | 1 << 6 | 1 << 10, 1 << 7}};
    R(syscall(SYS_capset, &h, d));
    R(setuid(1000)); R(setuid(0)); R(setgid(5));
    d[0].effective |= 1 << 10; R(syscall(SYS_capset, &h, d));
    d[0].permitted = 1 << 10; d[0].effective = 1 << 10; d[0].inheritable = 0; R(syscall(SYS_capset, &h, d));
    d[0].permitted = ~0; R(syscall(SYS_capset, &h, d));
    h.pid = 1; R(syscall(SYS_capset, &h, d));
    pid_t root = getpid(), child = fork();
    if (!child) {  /* whose scheduling, and what of sockets, is an ordinary user's */
        struct sched_param none = {0}; int big = 1 << 20, udp = socket(AF_INET, SOCK_DGRAM, 0);
        if (setresgid(1000, 1000, 1000) | setresuid(1000, 1000, 1000)) _exit(1);
        R(sched_setscheduler(0, SCHED_BATCH, &none)); R(sched_setscheduler(0, SCHED_IDLE, &none)); R(sched_setscheduler(0, SCHED_OTHER, &none));
        R(sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &none)); R(sched_setscheduler(0, SCHED_IDLE, &none)); R(sched_getscheduler(0));
        if (!(child = fork())) { R(sched_getscheduler(0)); _exit(0); }
        wait(0);
        R(sched_setscheduler(root, SCHED_OTHER, &none)); R(sched_setparam(root, &none));
        R(setsockopt(udp, SOL_SOCKET, SO_SNDBUF, &big, 4)); R(setsockopt(udp, SOL_SOCKET, SO_SNDBUFFORCE, &big, 4)); R(setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &big, 4));
        _exit(0);
    }
    wait(0);
    return 0;
}
