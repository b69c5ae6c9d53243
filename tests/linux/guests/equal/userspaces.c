/* Name spaces of users, each in a child of its own: ids and their maps, capabilities in them, and what they own. */
#include "users.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <pthread.h>
#include <grp.h>

static void text(const char *name) {
    char line[256];
    FILE *file = fopen(name, "r");
    if (!file) { printf("%s: %d\n", name, errno); return; }
    while (fgets(line, sizeof line, file)) printf("%s: %s", name, line);
    fclose(file);
}
static void some(const char *name, const char *first) {
    char line[256];
    FILE *file = fopen(name, "r");
    while (file && fgets(line, sizeof line, file))
        for (const char *c = first; *c; c += strlen(c) + 1)
            if (!strncmp(line, c, strlen(c))) printf("%s", line);
    if (file) fclose(file);
}
static void who(void) {
    uid_t r, e, s;
    gid_t g[3];
    getresuid(&r, &e, &s); getresgid(g, g + 1, g + 2);
    printf("uids %d %d %d, gids %d %d %d\n", r, e, s, g[0], g[1], g[2]);
    some("/proc/self/status", "Uid\0Gid\0CapInh\0CapPrm\0CapEff\0CapBnd\0CapAmb\0");
}
static void own(const char *name) {
    struct stat st;
    if (lstat(name, &st)) printf("%s: %d\n", name, errno);
    else printf("%s: %d:%d %o\n", name, st.st_uid, st.st_gid, st.st_mode);
    int fd = open(name, O_RDONLY | O_PATH);
    if (!fstat(fd, &st)) printf("%s: %d:%d %o\n", name, st.st_uid, st.st_gid, st.st_mode);
    struct statx sx;
    if (!syscall(SYS_statx, AT_FDCWD, name, 0x100, 0x7ff, &sx)) printf("%s: %d:%d\n", name, sx.stx_uid, sx.stx_gid);
    close(fd);
}
static void in_child(const char *what, void (*run)(void)) {
    printf("-- %s\n", what);
    pid_t child = fork();
    if (!child) { run(); exit(0); }
    int status = -1;
    waitpid(child, &status, 0);
    if (status) printf("ended with %x\n", status);
}
static int mapped(int inside) {
    char line[64];
    int uid = getuid(), gid = getgid(), bad = unshare(CLONE_NEWUSER);
    if (bad) return bad;
    say("/proc/self/setgroups", "deny");
    sprintf(line, "%d %d 1", inside, uid); bad |= say("/proc/self/uid_map", line) < 0;
    sprintf(line, "%d %d 1", inside, gid); bad |= say("/proc/self/gid_map", line) < 0;
    return bad;
}

static void unmapped(void) {
    R(unshare(CLONE_NEWUSER)); who(); own("/"); own("f"); R(getuid()); R(getgid());
    text("/proc/self/uid_map"); text("/proc/self/gid_map"); text("/proc/self/setgroups"); text("/proc/self/projid_map");
    R(setuid(0)); R(setuid(65534)); R(setgid(0)); R(setresuid(-1, -1, -1)); R(setreuid(0, -1)); R(setresgid(-1, 0, -1));
    R(setfsuid(0)); R(setfsuid(-1)); R(setfsgid(5)); R(setgroups(0, 0)); gid_t one = 0; R(setgroups(1, &one));
    R(chown("f", 0, 0)); R(chown("f", -1, -1)); R(chown("f", 65534, -1)); R(fchmodat(AT_FDCWD, "f", 0600, 0));
    R(unshare(CLONE_NEWUSER)); R(getpriority(PRIO_USER, 5));
    R(mkdir("d1", 0755)); R(open("new", O_CREAT | O_RDWR, 0644) >= 0); own("new"); R(unlink("new")); R(rmdir("d1"));
    R(prctl(24 /* PR_CAPBSET_DROP */, 5)); R(prctl(23, 5)); R(prctl(23, 40)); R(prctl(28 /* PR_SET_SECUREBITS */, 0)); R(prctl(27));
}
static const char *maps[] = {
    "", "\n", "0", "0 0", "0 %d 1 1", "0x0 %d 1", "0 %d 0", "a %d 1", "-1 %d 1", "0 %d 1\n\n", "0 %d 1\n \n", "4294967295 %d 1", "0 4294967295 1",
    "1 %d 4294967295", "0 %d 1\n0 7 1", "0 %d 1\n5 %d 1", "0 %d 2", "0 7 1", " \t5 %d 1 \t", "0 %d 1 ",
};
static void parsing(void) {
    for (int i = 0; i < sizeof maps / sizeof *maps; i++)
        for (int group = 0; group < 2; group++) {
            int uid = getuid();
            fflush(stdout);
            if (!fork()) {
                char line[128];
                if (unshare(CLONE_NEWUSER)) exit(1);
                sprintf(line, maps[i], uid, uid);
                if (group) say("/proc/self/setgroups", "deny");
                int done = say(group ? "/proc/self/gid_map" : "/proc/self/uid_map", line), bad = errno;
                printf("map %d of %s: %d %d\n", i, group ? "gids" : "uids", done, done < 0 ? bad : 0);
                text(group ? "/proc/self/gid_map" : "/proc/self/uid_map");
                exit(0);
            }
            wait(0);
        }
}
static void deny(void) {
    static const char *words[] = {"", "no", "deny", "deny\n", "denyx", "deny x", "deny   ", "allow", "allow\n", "allow  ", "allow   ", "den"};
    for (int i = 0; i < sizeof words / sizeof *words; i++) {
        fflush(stdout);
        if (!fork()) {
            R(unshare(CLONE_NEWUSER)); printf("%d: ", i);
            R(say("/proc/self/setgroups", words[i])); text("/proc/self/setgroups");
            R(say("/proc/self/setgroups", "allow")); R(say("/proc/self/setgroups", "deny")); R(say("/proc/self/setgroups", "allow"));
            exit(0);
        }
        wait(0);
    }
    R(say("/proc/self/setgroups", "deny")); R(say("/proc/self/setgroups", "allow")); R(say("/proc/self/uid_map", "0 0 1"));
}
static void as_root(void) {
    R(mapped(0)); who(); text("/proc/self/uid_map"); text("/proc/self/gid_map"); text("/proc/1/uid_map"); own("f"); own("/"); own("/proc/self/uid_map");
    R(say("/proc/self/uid_map", "0 0 1")); R(say("/proc/self/setgroups", "allow")); gid_t list[70]; R(setgroups(0, 0)); R(getgroups(70, list) >= 0);
    R(chown("f", 0, 0)); R(chown("f", 1, 1)); R(lchown("f", 0, -1)); R(chmod("f", 0)); R(open("f", O_RDWR) >= 0); R(access("f", 7)); R(access("f", 6));
    R(mkdir("closed", 0)); R(open("closed/in", O_CREAT | O_RDWR, 0604) >= 0); own("closed/in"); R(chmod("closed/in", 06755)); own("closed/in"); R(unlink("closed/in")); R(rmdir("closed"));
    R(chmod("f", 0644)); R(sethostname("x", 1)); R(setdomainname("x", 1)); R(mount("none", "d", "tmpfs", 0, 0)); R(umount2("d", 0)); R(chroot("d")); R(unshare(CLONE_NEWUSER));
    R(setuid(1)); R(setuid(0)); R(setresuid(0, 0, 0)); R(setfsuid(0)); R(setfsuid(3)); R(setfsgid(-1)); R(mknod("node", S_IFCHR | 0600, 0x103)); R(mknod("node", S_IFIFO | 0600, 0)); own("node"); R(unlink("node"));
    R(setpriority(PRIO_PROCESS, 0, -5)); R(getpriority(PRIO_PROCESS, 0)); R(kill(getppid(), 0)); R(syscall(SYS_swapoff, "x")); R(setxattr("f", "trusted.x", "y", 1, 0));
    R(prctl(24, 5)); R(prctl(23, 5)); R(setresuid(0, 0, 0)); some("/proc/self/status", "CapPrm\0CapEff\0CapBnd\0");
    execl("/bin/sh", "sh", "-c", "grep -E '^(Cap|Uid|Gid)' /proc/self/status; stat -c '%u:%g' f /; cat /proc/self/setgroups; id -u", (char *)0);
}
static void as_other(void) {
    R(mapped(7)); who(); own("f"); R(setuid(0)); R(setuid(7)); R(chown("f", 7, 7)); R(chown("f", 0, 0));
    some("/proc/self/status", "CapEff\0");
    execl("/bin/sh", "sh", "-c", "grep -E '^(Cap|Uid|Gid)' /proc/self/status; stat -c '%u:%g' f /; id -u; unshare -U true; echo $?", (char *)0);
}
static void owning(void) {
    R(mapped(0)); R(sethostname("x", 1)); R(unshare(CLONE_NEWUTS)); char name[65]; R(sethostname("inner", 5)); gethostname(name, 65); printf("%s\n", name);
    R(mount("none", "d", "tmpfs", 0, 0)); R(unshare(CLONE_NEWNS)); R(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0));
    R(mount("none", "d", "tmpfs", 0, "uid=0,gid=0,mode=711")); own("d"); R(open("d/x", O_CREAT | O_RDWR, 0640) >= 0); own("d/x");
    R(mount("none", "d", "tmpfs", 0, "uid=5")); R(mount("none", "d", "tmpfs", 0, "gid=5"));
    R(mount("none", "d", "devtmpfs", 0, 0)); R(mount("proc", "d", "proc", 0, 0)); R(mount("none", "d", "sysfs", 0, 0)); R(mount("none", "d", "nosuch", 0, 0)); R(mount("f", "d", "ext4", 0, 0));
    R(mount("d", "e", 0, MS_BIND, 0)); own("e/x"); R(umount2("e", 0)); R(umount2("/proc", 0)); R(umount2("/proc", MNT_DETACH)); R(umount2("/", 0));
    R(mount(0, "/", 0, MS_REMOUNT | MS_RDONLY, 0)); R(mount(0, "d", 0, MS_REMOUNT | MS_RDONLY, 0)); R(mkdir("d/y", 0700)); R(mount(0, "d", 0, MS_REMOUNT, 0)); R(mkdir("d/y", 0700));
    R(mknod("d/dev", S_IFCHR | 0600, 0x103)); R(mknod("d/fifo", S_IFIFO | 0600, 0)); R(chown("d/x", 1, 1)); R(chown("d/x", 0, 0));
    R(chdir("d")); R(mkdir("old", 0755)); R(syscall(SYS_pivot_root, ".", "old")); R(chdir("/")); R(access("/old/proc/self", 0)); R(umount2("old", MNT_DETACH)); R(access("/old/proc", 0)); own("/x"); R(unshare(CLONE_NEWUSER));
}
static void remounting(void) {
    R(mapped(0)); R(unshare(CLONE_NEWNS)); R(mount("none", "d", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0));
    R(mount(0, "d", 0, MS_REMOUNT | MS_BIND, 0)); R(mkdir("d/a", 0700)); R(mount(0, "d", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0));
    R(mapped(0)); R(mount(0, "d", 0, MS_REMOUNT | MS_BIND, 0)); R(unshare(CLONE_NEWNS));
    R(mount(0, "d", 0, MS_REMOUNT | MS_BIND, 0)); R(mount(0, "d", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, 0)); R(mount(0, "d", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, 0));
    R(mount(0, "d", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0)); R(mount(0, "d", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, 0));
    R(mount(0, "d", 0, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0)); R(umount2("d", 0)); R(umount2("d", MNT_DETACH)); R(mount("d", "e", 0, MS_BIND, 0)); R(mount(0, "e", 0, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0)); R(umount2("e", 0));
    R(mount("d", "e", 0, MS_MOVE, 0));
}
static void chrooted(void) {
    R(unshare(CLONE_NEWUSER)); R(chroot("d")); R(unshare(CLONE_NEWUSER)); R(unshare(CLONE_NEWNS));
}
static void nested(void) {
    int deep = 0;
    while (!mapped(0)) deep++;
    printf("%d deep, then %d\n", deep, errno); text("/proc/self/uid_map"); text("/proc/1/uid_map");
}
static void *sleeper(void *unused) { pause(); return 0; }
static void threads(void) {
    pthread_t one;
    pthread_create(&one, 0, sleeper, 0);
    R(unshare(CLONE_NEWUSER)); R(unshare(CLONE_NEWUSER | CLONE_NEWNS)); int fd = open("/proc/self/ns/user", O_RDONLY); R(setns(fd, 0));
}
static int nothing(void *unused) { return 0; }
static char stack[65536];
static void cloning(void) {
    int flags[] = {CLONE_NEWUSER | CLONE_FS, CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, CLONE_NEWUSER | CLONE_VM, CLONE_NEWUSER | CLONE_FILES, CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWNS, CLONE_NEWUSER | CLONE_NEWCGROUP};
    for (int i = 0; i < sizeof flags / sizeof *flags; i++) {
        int pid = clone(nothing, stack + sizeof stack, flags[i] | SIGCHLD, 0);
        printf("clone %d: %d\n", i, pid > 0 ? 1 : -errno);
        if (pid > 0) waitpid(pid, 0, 0);
    }
}
static int far[2], near[2];
static int told(void *unused) {
    char c;
    read(far[0], &c, 1);
    who();
    sigset_t set; siginfo_t info;
    sigemptyset(&set); sigaddset(&set, SIGUSR1);
    write(near[1], "x", 1);
    R(sigwaitinfo(&set, &info)); R(info.si_uid); R(kill(getppid(), 0)); R(setuid(0)); R(setgid(0)); own("f");
    struct ucred cred; socklen_t size = sizeof cred;
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair); R(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &cred, &size)); printf("%d %d\n", cred.uid, cred.gid);
    fflush(stdout);
    if (!fork()) exit(3);
    R(waitid(P_ALL, 0, &info, WEXITED)); R(info.si_uid);
    write(near[1], "x", 1);
    fflush(stdout);
    pause();
    return 0;
}
static void of_child(void) {
    char name[64], line[64], c;
    struct stat mine, its;
    pipe(far); pipe(near);
    sigset_t set;
    sigemptyset(&set); sigaddset(&set, SIGUSR1); sigprocmask(SIG_BLOCK, &set, 0);
    fflush(stdout);
    int pid = clone(told, stack + sizeof stack, CLONE_NEWUSER | SIGCHLD, 0);
    sprintf(name, "/proc/%d/setgroups", pid); R(say(name, "deny"));
    sprintf(name, "/proc/%d/gid_map", pid); sprintf(line, "0 %d 1", getgid()); R(say(name, line)); R(say(name, line));
    sprintf(name, "/proc/%d/uid_map", pid); sprintf(line, "0 %d 1", getuid()); R(say(name, line)); R(say(name, line));
    write(far[1], "x", 1); read(near[0], &c, 1);
    kill(pid, SIGUSR1); read(near[0], &c, 1); R(kill(pid, 0));
    sprintf(name, "/proc/%d/ns/user", pid); stat(name, &its); stat("/proc/self/ns/user", &mine); R(mine.st_ino == its.st_ino); R(mine.st_ino);
    int fd = open(name, O_RDONLY), owner = -1, up; struct stat st;
    R(ioctl(fd, 0xb704, &owner)); printf("of the caller: %d\n", owner == getuid()); R(ioctl(fd, 0xb703)); up = ioctl(fd, 0xb702); fstat(up, &st); R(st.st_ino == mine.st_ino); up = ioctl(fd, 0xb701); fstat(up, &st); R(st.st_ino == mine.st_ino);
    R(ioctl(up, 0xb702)); R(setns(fd, CLONE_NEWNS)); R(setns(fd, CLONE_NEWUSER)); R(setns(fd, 0)); who(); R(setns(up, 0)); R(ioctl(fd, 0xb702)); R(ioctl(fd, 0xb701)); R(kill(pid, SIGKILL));
    waitpid(pid, 0, 0);
}
int main(void) {
    setbuf(stdout, 0);
    close(open("f", O_CREAT | O_RDWR, 0644)); mkdir("d", 0755); mkdir("e", 0755);
    in_child("unmapped", unmapped); in_child("maps", parsing); in_child("setgroups", deny); in_child("root", as_root); in_child("other", as_other);
    in_child("owning", owning); in_child("remounting", remounting); in_child("chroot", chrooted); in_child("nested", nested); in_child("threads", threads); in_child("clone", cloning); in_child("child", of_child);
    if (getuid() == 0) {
        chmod(".", 0777); setgroups(0, 0); setresgid(1000, 1000, 1000); setresuid(1000, 1000, 1000); prctl(4 /* PR_SET_DUMPABLE */, 1);
        printf("-- as an ordinary user\n"); unlink("f"); close(open("f", O_CREAT | O_RDWR, 0644));
        in_child("unmapped", unmapped); in_child("maps", parsing); in_child("setgroups", deny); in_child("root", as_root); in_child("other", as_other);
        in_child("owning", owning); in_child("remounting", remounting); in_child("nested", nested); in_child("child", of_child);
    }
    return 0;
}
