/* Who may do what to processes of others: root without capabilities, who is root in a name space of users alone, tracers of
 * programs that they could not read; and by whose rights maps of ids are written. */
#include "users.h"
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/ptrace.h>
#include <linux/capability.h>
#include <grp.h>
static int map_of(int pid, int uid, int gid) {
    char n[64], l[64]; int bad = 0;
    sprintf(n, "/proc/%d/setgroups", pid); bad |= say(n, "deny") < 0;
    sprintf(n, "/proc/%d/uid_map", pid); sprintf(l, "0 %d 1", uid); bad |= say(n, l) < 0;
    sprintf(n, "/proc/%d/gid_map", pid); sprintf(l, "0 %d 1", gid); bad |= say(n, l) < 0;
    return bad;
}
static int caps(unsigned long eff, unsigned long perm) {
    struct __user_cap_header_struct h = {0x20080522, 0}; struct __user_cap_data_struct d[2] = {{eff, perm, 0}, {eff >> 32, perm >> 32, 0}};
    return syscall(SYS_capset, &h, d);
}
static void sect(const char *w, void (*f)(void)) {
    printf("-- %s\n", w); pid_t c = fork(); if (!c) { alarm(20); f(); exit(0); }
    int st; waitpid(c, &st, 0); if (st) printf("ended %x\n", st);
}
static void user(int u) { setgroups(0, 0); setresgid(u, u, u); setresuid(u, u, u); prctl(PR_SET_DUMPABLE, 1); }
static int idle(int u) { /* a sleeping process of a user */
    int p[2]; char c; pipe(p); pid_t k = fork(); if (!k) { alarm(20); /* its parent may become one that cannot end it */ if (u >= 0) user(u); prctl(PR_SET_PDEATHSIG, 9); write(p[1], "", 1); for (;;) pause(); } read(p[0], &c, 1); return k; }
/* root without caps */
static void bare_root(void) {
    int other = idle(1000), own = idle(0);
    R(caps(0, 0)); R(kill(other, 0)); R(kill(own, 0)); R(getpriority(PRIO_PROCESS, other)); R(setpriority(PRIO_PROCESS, other, 5)); R(setpriority(PRIO_PROCESS, own, 5));
    R(syscall(SYS_ioprio_set, 1, other, 4)); struct rlimit l = {10, 10}; R(prlimit(other, RLIMIT_CORE, &l, 0)); R(prlimit(other, RLIMIT_CORE, 0, &l)); R(prlimit(own, RLIMIT_CORE, &l, 0));
    struct sched_param sp = {0}; R(sched_setscheduler(other, SCHED_BATCH, &sp)); cpu_set_t m; sched_getaffinity(0, sizeof m, &m); R(sched_setaffinity(other, sizeof m, &m));
    R(ptrace(PTRACE_ATTACH, other, 0, 0)); char n[64]; sprintf(n, "/proc/%d/environ", other); R(open(n, O_RDONLY) >= 0); sprintf(n, "/proc/%d/fd", other); R(open(n, O_RDONLY) >= 0); sprintf(n, "/proc/%d/oom_score_adj", other); R(open(n, O_RDWR) >= 0);
    R(setuid(1000)); R(setuid(0)); R(chown("f", 1, 1)); R(chown("f", -1, 0)); R(chmod("g1000", 0600)); R(unlink("g1000") ); R(open("s1000", O_RDONLY) >= 0); R(open("s1000", O_RDWR)>=0); R(mknod("nn", S_IFCHR | 0600, 0x103)); R(chroot("d")); R(sethostname("x", 1)); R(unshare(CLONE_NEWNS)); R(mount("n", "d", "tmpfs", 0, 0));
    R(setgroups(0, 0)); R(say("/proc/sys/kernel/hostname", "hh") < 0 ? -1 : 0); struct rlimit big; getrlimit(RLIMIT_NOFILE, &big); big.rlim_max++; R(setrlimit(RLIMIT_NOFILE, &big)); R(setpriority(PRIO_PROCESS, 0, -3));
    R(prctl(PR_CAPBSET_DROP, 5)); R(unshare(CLONE_NEWUSER)); R(kill(other, 0)); R(kill(other, 9)); R(kill(own, 9));
}
/* user 1000 in an own ns, against others */
static void ns_root(void) {
    int root = idle(-1), a = idle(1000), b = idle(1001);
    user(1000);
    R(unshare(CLONE_NEWUSER)); R(map_of(getpid(), 1000, 1000));
    int pids[] = {root, a, b, 1};
    for (int i = 0; i < 4; i++) {
        int p = pids[i]; char n[64]; printf("who %d\n", i);
        if (i < 3) { R(kill(p, 0)); R(setpriority(PRIO_PROCESS, p, 3)); R(syscall(SYS_ioprio_set, 1, p, 4)); struct sched_param sp = {0}; R(sched_setscheduler(p, SCHED_BATCH, &sp)); R(setpriority(PRIO_PROCESS, p, 2));
        struct rlimit l = {10, 10}; R(prlimit(p, RLIMIT_CORE, 0, &l)); cpu_set_t m; sched_getaffinity(0, sizeof m, &m); R(sched_setaffinity(p, sizeof m, &m)); R(syscall(SYS_get_robust_list, p, &l, &m)); R(syscall(SYS_kcmp, p, getpid(), 0, 1, 1)); R(syscall(SYS_migrate_pages, p, 0, 0, 0)); }
        R(ptrace(PTRACE_SEIZE, p, 0, 0)); struct iovec v = {n, 8}, w = {(void *)n, 8}; R(process_vm_readv(p, &v, 1, &w, 1, 0) == 8 ? 8 : -1);
        const char *files[] = {"environ", "auxv", "maps", "mem", "fd", "fdinfo", "root", "cwd", "exe", "pagemap", "smaps", "map_files", "ns/user", "ns/mnt", "uid_map", "setgroups", "comm", "limits"};
        for (int f = 0; f < sizeof files / sizeof *files; f++) {
            sprintf(n, "/proc/%d/%s", p, files[f]); int fd = open(n, O_RDONLY); printf("%s %d\n", files[f], fd < 0 ? errno : 0); if (fd >= 0) close(fd);
        }
        int pf = syscall(SYS_pidfd_open, p, 0); R(setns(pf, CLONE_NEWUSER)); R(setns(pf, CLONE_NEWNS)); R(setns(pf, CLONE_NEWUTS)); R(syscall(SYS_pidfd_getfd, pf, 0, 0) >= 0 ? 0 : -1); if (i < 3) { R(syscall(SYS_pidfd_send_signal, pf, 0, 0, 0)); siginfo_t si = {.si_signo = 10, .si_code = -1}; R(syscall(SYS_rt_sigqueueinfo, p, 12, &si)==0||errno==1?0:-1); }
    }
    kill(a, 9);
}
/* a member of the ns that is not dumpable, whose memory is of before */
static void undumped(void) {
    user(1000); int p[2], q[2], r[2]; char c, n[64]; pipe(p); pipe(q); pipe(r);
    int m = fork();
    if (!m) { prctl(PR_SET_DUMPABLE, 0); read(q[0], &c, 1); int target; read(q[0], &target, 4); sprintf(n, "/proc/%d/ns/user", target); int fd = open(n, O_RDONLY); printf("joined %d\n", fd < 0 ? -errno : setns(fd, 0)); printf("dumpable %d\n", prctl(PR_GET_DUMPABLE)); write(p[1], "", 1); for (;;) pause(); }
    int k = fork();
    if (!k) { unshare(CLONE_NEWUSER); map_of(getpid(), 1000, 1000); write(p[1], "", 1); read(r[0], &c, 1);
        R(kill(m, 0)); R(ptrace(PTRACE_SEIZE, m, 0, 0)); sprintf(n, "/proc/%d/mem", m); R(open(n, O_RDWR) >= 0); sprintf(n, "/proc/%d/root", m); R(open(n, O_RDONLY) >= 0); sprintf(n, "/proc/%d/exe", m); R(readlink(n, n, 5) > 0); sprintf(n, "/proc/%d/environ", m); R(open(n, O_RDONLY) >= 0); struct stat st; sprintf(n, "/proc/%d", m); stat(n, &st); printf("%d %d\n", st.st_uid, st.st_gid); sprintf(n, "/proc/%d/fd/0", m); lstat(n, &st); printf("%d\n", st.st_uid); exit(0); }
    read(p[0], &c, 1); write(q[1], "x", 1); write(q[1], &k, 4); read(p[0], &c, 1); write(r[1], "x", 1); waitpid(k, 0, 0); kill(m, 9); waitpid(m, 0, 0);
}
static void unreadable(void) { /* run and trace a program that may not be read */
    user(1000); R(open("secret", O_RDONLY) >= 0);
    for (int ns = 0; ns < 2; ns++) {
        int k = fork();
        if (!k) { if (ns) { unshare(CLONE_NEWUSER); map_of(getpid(), 1000, 1000); }
            int t = fork(); if (!t) { ptrace(PTRACE_TRACEME, 0, 0, 0); execl("./secret", "secret", "sleep", (char *)0); _exit(9); }
            int st; waitpid(t, &st, 0); printf("stopped %x\n", st); 
            FILE *mf; char n[64]; sprintf(n, "/proc/%d/maps", t); mf = fopen(n, "r"); printf("maps %d\n", mf ? 0 : errno); char l[200] = ""; printf("line %d\n", mf && fgets(l, 200, mf) ? 1 : 0);
            errno = 0; struct iovec v = {l, 64}; R(ptrace(PTRACE_GETREGSET, t, 1, &v)); struct user_regs_struct { unsigned long r[27]; } u; R(ptrace(PTRACE_GETREGS, t, 0, &u)); errno = 0; long w = ptrace(PTRACE_PEEKDATA, t, u.r[16], 0); printf("peek %d\n", errno); R(ptrace(PTRACE_POKEDATA, t, u.r[16], 0)); char buf[8]; struct iovec a = {buf, 8}, b = {(void *)u.r[16], 8}; R(process_vm_readv(t, &a, 1, &b, 1, 0)); sprintf(n, "/proc/%d/mem", t); int fd = open(n, O_RDONLY); printf("mem %d\n", fd < 0 ? errno : 0); if (fd >= 0) R(pread(fd, buf, 8, u.r[16]));
            sprintf(n, "/proc/%d/exe", t); fd = open(n, O_RDONLY); printf("exe %d\n", fd < 0 ? errno : 0); sprintf(n, "/proc/%d/map_files", t); R(open(n, O_RDONLY) >= 0);
            kill(t, 9); exit(0); }
        waitpid(k, 0, 0);
    }
}
/* whose rights count of a map's writer: who opened it */
static void opener(void) {
    int p[2], q[2]; char c, n[64]; pipe(p); pipe(q); struct stat st;
    int k = fork(); if (!k) { user(1000); unshare(CLONE_NEWUSER); write(p[1], "", 1); for (;;) pause(); }
    read(p[0], &c, 1); sprintf(n, "/proc/%d/uid_map", k);
    int byroot = open(n, O_WRONLY); seteuid(1000); int byuser = open(n, O_WRONLY); printf("%d %d\n", byroot >= 0, byuser >= 0); seteuid(0);
    R(write(byuser, "0 0 100", 7)); seteuid(1000); R(write(byuser, "0 0 100", 7)); R(write(byroot, "0 0 100", 7)); R(write(byroot, "0 1000 1", 8)); seteuid(0); R(write(byroot, "0 0 100", 7)); R(write(byuser, "0 1000 1", 8)); kill(k, 9);
    k = fork(); if (!k) { user(1000); unshare(CLONE_NEWUSER); write(p[1], "", 1); for (;;) pause(); }
    read(p[0], &c, 1); sprintf(n, "/proc/%d/gid_map", k); byroot = open(n, O_WRONLY); setegid(1000); seteuid(1000); byuser = open(n, O_WRONLY); R(write(byuser, "0 1000 1", 8)); R(write(byroot, "0 1000 1", 8)); seteuid(0); setegid(0); R(write(byuser, "0 0 9", 5)); R(write(byroot, "0 0 9", 5)); kill(k, 9);
    /* inner opens its own, handed to outer, and back */
    int sp[2]; socketpair(AF_UNIX, SOCK_DGRAM, 0, sp);
    k = fork(); if (!k) { user(1000); int pre = open("/proc/self/uid_map", O_RDWR); unshare(CLONE_NEWUSER); R(write(pre, "0 1000 1", 8)); int fd = open("/proc/self/uid_map", O_RDWR);
        char cb[CMSG_SPACE(4)] = {0}; struct iovec v = {"x", 1}; struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = cb, .msg_controllen = sizeof cb}; struct cmsghdr *h = CMSG_FIRSTHDR(&m); h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_RIGHTS; h->cmsg_len = CMSG_LEN(4); memcpy(CMSG_DATA(h), &fd, 4); sendmsg(sp[0], &m, 0); read(q[0], &c, 1); exit(0); }
    char cb[CMSG_SPACE(4)] = {0}, x; struct iovec v = {&x, 1}; struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = cb, .msg_controllen = sizeof cb}; recvmsg(sp[1], &m, 0); int fd; memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), 4); R(write(fd, "0 0 100", 7)); char b[99]; R(pread(fd, b, 99, 0)); b[32] = 0; printf("%s|\n", b); R(write(fd, "0 1000 1", 8)); R(pread(fd, b, 99, 0)); b[32] = 0; printf("%s|\n", b); write(q[1], "", 1); waitpid(k, 0, 0);
}
static int ends[2];
static char stack[65536];
static int shares(void *unused) { char c; read(ends[0], &c, 1); return 0; }
static void entering(void) { /* mounts of another, with a root that is shared, and with one's own */
    int p[2]; char c, n[64]; pipe(p); pipe(ends); user(1000); fflush(stdout);
    int k = fork(); if (!k) { unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS); write(p[1], "", 1); for (;;) pause(); }
    read(p[0], &c, 1); int fds[3]; const char *kinds[] = {"user", "mnt", "uts"};
    for (int i = 0; i < 3; i++) { sprintf(n, "/proc/%d/ns/%s", k, kinds[i]); fds[i] = open(n, O_RDONLY); }
    R(setns(fds[1], 0)); R(setns(fds[0], 0));
    int s = clone(shares, stack + sizeof stack, CLONE_FS | SIGCHLD, 0);
    R(setns(fds[1], 0)); R(setns(fds[2], 0)); write(ends[1], "", 1); waitpid(s, 0, 0); R(setns(fds[1], 0)); kill(k, 9);
}
int main(int argc, char **argv) {
    if (argc > 1) { pause(); return 0; }
    unshare(CLONE_NEWUTS); /* root may write the name of the host in /proc/sys, whatever its capabilities are */
    setbuf(stdout, 0); umask(0); mkdir("d", 0777); close(open("f", O_CREAT | O_RDWR, 0644)); int fd = open("g1000", O_CREAT | O_RDWR, 0644); fchown(fd, 1000, 1000); fd = open("s1000", O_CREAT | O_RDWR, 0600); fchown(fd, 1000, 1000);
    fd = open("/proc/self/exe", O_RDONLY); int to = open("secret", O_CREAT | O_WRONLY, 0711); struct stat st; fstat(fd, &st); sendfile(to, fd, 0, st.st_size); close(to); close(fd);
    sect("bare root", bare_root); sect("ns root", ns_root); sect("undumped", undumped); sect("unreadable", unreadable); sect("opener", opener); sect("entering", entering);
}
