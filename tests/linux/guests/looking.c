/* Who may look into whom: processes of several users, each looked at by several others, in every way there is; to be
   compared between two kernels. Signals nobody but children of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
struct who { const char *name; int ruid, euid, suid, rgid, egid, sgid, fsuid, dumpable, exec; };
static const struct who goals[] = {
    {"root", 0, 0, 0, 0, 0, 0, -1, -1, 0},        {"undumpable root", 0, 0, 0, 0, 0, 0, -1, 0, 0},
    {"changed", 4242, 4242, 4242, 4242, 4242, 4242, -1, -1, 0}, {"dumpable", 4242, 4242, 4242, 4242, 4242, 4242, -1, 1, 0},
    {"executed", 4242, 4242, 4242, 4242, 4242, 4242, -1, -1, 1}, {"half", 4242, 4242, 0, 4242, 4242, 4242, -1, 1, 0},
    {"other group", 4242, 4242, 4242, 4242, 0, 4242, -1, 1, 0}, {"effective", 0, 4242, 0, 0, 4242, 0, -1, 1, 0},
    {"effective executed", 0, 4242, 0, 0, 4242, 0, -1, -1, 1}, {"other", 4343, 4343, 4343, 4343, 4343, 4343, -1, 1, 0},
};
static const struct who lookers[] = {
    {"root", 0, 0, 0, 0, 0, 0, -1, -1, 0}, {"user", 4242, 4242, 4242, 4242, 4242, 4242, -1, -1, 0},
    {"other", 4343, 4343, 4343, 4343, 4343, 4343, -1, -1, 0}, {"effective user", 0, 4242, 0, 0, 4242, 0, -1, -1, 0},
    {"real user", 4242, 0, 0, 4242, 0, 0, -1, -1, 0}, {"file user", 0, 0, 0, 0, 0, 0, 4242, -1, 0},
    {"user of another group", 4242, 4242, 4242, 4343, 4343, 4343, -1, -1, 0},
};
static char *self;
static void become(const struct who *w) {
    setgroups(0, 0);
    if (setresgid(w->rgid, w->egid, w->sgid) || setresuid(w->ruid, w->euid, w->suid)) _exit(9);
    if (w->fsuid >= 0) { setfsgid(w->fsuid); setfsuid(w->fsuid); }
    if (w->dumpable >= 0) prctl(PR_SET_DUMPABLE, w->dumpable);
}
static int ready[2];
#define MEMORY ((void *)0x10000000)      /* of all of them, wherever the rest is */
static void wait_for_ever(void) { if (write(ready[1], "x", 1) != 1) _exit(8); for (;;) pause(); }
static pid_t start(const struct who *w) {
    char c, fd[10];
    pid_t pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        become(w);
        if (w->exec) { sprintf(fd, "%d", ready[1]); execl(self, self, "wait", fd, (char *)0); _exit(7); }
        wait_for_ever();
    }
    if (read(ready[0], &c, 1) != 1) exit(6);
    return pid;
}
static const char *said(long r) { return r < 0 ? strerrorname_np(errno) : "good"; }
static void look(pid_t pid) {
    static const char *files[] = {"environ", "maps", "auxv", "io", "smaps", "smaps_rollup", "pagemap", "mem", "status", "cmdline",
        "stat", "comm", "limits", "statm", "mountinfo", "oom_score_adj", "wchan"};
    static const char *places[] = {"cwd", "exe", "root", "fd/0", "ns/pid", "ns/user"};
    static const char *dirs[] = {"fd", "fdinfo", "ns", "task", "."};
    char path[100], buffer[5000];
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        sprintf(path, "/proc/%d/%s", pid, files[i]);
        int fd = open(path, O_RDONLY);
        printf(" %s %s", files[i], said(fd));
        if (fd >= 0 && strcmp(files[i], "mem") && strcmp(files[i], "pagemap")) {
            long n = read(fd, buffer, sizeof buffer);
            printf(" %s", said(n));
        }
        if (fd >= 0) close(fd);
    }
    puts("");
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
        struct stat s;
        sprintf(path, "/proc/%d/%s", pid, places[i]);
        printf(" %s %s", places[i], said(readlink(path, buffer, sizeof buffer)));
        printf(" %s", said(stat(path, &s)));
    }
    for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        sprintf(path, "/proc/%d/%s", pid, dirs[i]);
        int fd = open(path, O_RDONLY | O_DIRECTORY);
        printf(" %s %s", dirs[i], said(fd));
        if (fd >= 0) { printf(" %s", said(syscall(SYS_getdents64, fd, buffer, sizeof buffer))); close(fd); }
    }
    puts("");
    static const char *owned[] = {".", "fd", "status", "environ", "task", "ns", "fdinfo", "exe", "mem", "maps"};
    for (unsigned i = 0; i < sizeof owned / sizeof *owned; i++) {
        struct stat s;
        sprintf(path, "/proc/%d/%s", pid, owned[i]);
        if (lstat(path, &s)) printf(" %s %s", owned[i], said(-1)); else printf(" %s %d:%d %o", owned[i], s.st_uid, s.st_gid, s.st_mode);
    }
    sprintf(path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (f && fgets(buffer, sizeof buffer, f)) {
        char *p = strrchr(buffer, ')'); int n = 2;
        for (p = strtok(p + 2, " \n"); p; p = strtok(0, " \n")) { n++; if ((n >= 26 && n <= 28) || (n >= 45 && n <= 51)) printf(" %d%s", n, !strcmp(p, "0") ? "=0" : !strcmp(p, "1") ? "=1" : ""); }
        fclose(f);
    }
    puts("");
    int got = 0;
    struct iovec here = {&got, 4}, there = {MEMORY, 4};
    errno = 0;
    long r = process_vm_readv(pid, &here, 1, &there, 1, 0);
    printf(" readv %s", said(r));
    int pidfd = syscall(SYS_pidfd_open, pid, 0);
    errno = 0;
    int fd = syscall(SYS_pidfd_getfd, pidfd, 0, 0);
    printf(" getfd %s", said(fd));
    if (fd >= 0) close(fd);
    close(pidfd);
    void *head; size_t size;
    printf(" robust %s", said(syscall(SYS_get_robust_list, pid, &head, &size)));
    r = ptrace(PTRACE_SEIZE, pid, 0, 0);
    printf(" seize %s", said(r));
    if (!r) {
        int status;
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        waitpid(pid, &status, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
    }
    puts("");
}
int main(int argc, char **argv) {
    char path[4096];
    setvbuf(stdout, 0, _IONBF, 0);
    mmap(MEMORY, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (argc > 2) { prctl(PR_SET_PDEATHSIG, SIGKILL); ready[1] = atoi(argv[2]); wait_for_ever(); }
    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) return 5;
    self = argv[1];
    if (pipe(ready)) return 4;
    for (unsigned g = 0; g < sizeof goals / sizeof *goals; g++) {
        pid_t pid = start(&goals[g]);
        for (unsigned l = 0; l < sizeof lookers / sizeof *lookers; l++) {
            printf("%s looks at %s\n", lookers[l].name, goals[g].name);
            pid_t child = fork();
            if (!child) { become(&lookers[l]); look(pid); _exit(0); }
            waitpid(child, 0, 0);
        }
        printf("%s looks at itself\n", goals[g].name);
        pid_t child = fork();
        if (!child) { become(&goals[g]); if (!goals[g].exec) look(getpid()); _exit(0); }
        waitpid(child, 0, 0);
        kill(pid, SIGKILL);
        waitpid(pid, 0, 0);
    }
    return 0;
}
