/* Mounts and names of the machine: prints calls and their results, a line each. It runs in an empty directory. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW(call)                                                                        \
    do {                                                                                  \
        errno = 0;                                                                        \
        long result = (long)(call);                                                       \
        printf("%s = %ld %s\n", #call, result, result == -1 ? strerrorname_np(errno) : ""); \
    } while (0)
#define PIVOT(new, old) syscall(SYS_pivot_root, new, old)

static void put(const char *path, const char *text) {
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        printf("put %s: %s\n", path, strerrorname_np(errno));
    close(fd);
}

static void get(const char *path) {
    char text[100] = "";
    int fd = open(path, O_RDONLY);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    printf("%s: %s\n", path, size < 0 ? strerrorname_np(errno) : text);
    close(fd);
}

static void table(const char *part) {
    char line[4096];
    FILE *file = fopen("/proc/self/mountinfo", "r");
    char here[4000], *at;
    getcwd(here, sizeof here);
    while (file && fgets(line, sizeof line, file))
        if (strstr(line, part) && (at = strchr(line, '/'))) {
            char *place = strstr(at, here);
            if (place)
                memmove(place, place + strlen(here), strlen(place + strlen(here)) + 1);
            fputs(at, stdout);
        }
    if (file)
        fclose(file);
}

static void where(void) {
    char path[4096], root[4096];
    getcwd(path, sizeof path);
    ssize_t size = readlink("/proc/self/cwd", root, sizeof root - 1);
    root[size < 0 ? 0 : size] = 0;
    printf("at %s %d\n", strrchr(path, '/'), !strcmp(path, root));
}

static void names(void) {
    struct utsname name;
    uname(&name);
    printf("%s %s\n", name.nodename, name.domainname);
}

static int child(void (*run)(void)) {
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        run();
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    return status;
}

static void trees(void) {
    SHOW(mount("none", "a", "tmpfs", 0, "mode=750,size=1m"));
    struct stat about;
    stat("a", &about);
    printf("%o\n", about.st_mode);
    SHOW(mount("none", "a", "tmpfs", 0, "mode=9"));
    SHOW(mount("none", "a", "tmpfs", 0, "nosuch=9"));
    SHOW(mount("none", "a", "nosuch", 0, NULL));
    SHOW(mount("none", "a", NULL, 0, NULL));
    SHOW(mount("nosuch", "a", "ext4", 0, NULL));
    SHOW(mount("a", "a", "ext4", 0, NULL));
    SHOW(mount("none", "nosuch", "tmpfs", 0, NULL));
    SHOW(mount("none", "file", "tmpfs", 0, NULL));
    put("a/f", "first");
    mkdir("a/s", 0755);
    put("a/s/g", "below");
    SHOW(mount("a", "b", NULL, MS_BIND, NULL));
    SHOW(mount("a", "file", NULL, MS_BIND, NULL));
    SHOW(mount("file", "b", NULL, MS_BIND, NULL));
    SHOW(mount(NULL, "b", NULL, MS_BIND, NULL));
    SHOW(mount("nosuch", "b", NULL, MS_BIND, NULL));
    get("b/f");
    SHOW(mount("a/s", "c", NULL, MS_BIND, NULL));
    get("c/g");
    put("c/new", "made there");
    get("a/s/new");
    SHOW(rename("b/s/new", "b/moved"));
    get("a/moved");
    SHOW(rename("b/moved", "a/again"));
    SHOW(link("b/f", "b/l"));
    SHOW(link("b/f", "a/l2"));
    SHOW(rmdir("c"));
    SHOW(rename("c", "d"));
    chdir("c");
    where();
    chdir("..");
    where();
    chdir("b/s");
    where();
    chdir("..");
    where();
    chdir("..");
    SHOW(mount("a/f", "file", NULL, MS_BIND, NULL));
    get("file");
    SHOW(unlink("file"));
    table("file");
    SHOW(umount2("file", 0));
    get("file");
    SHOW(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    put("b/f", "no");
    SHOW(mkdir("b/x", 0755));
    put("a/f", "second");
    get("b/f");
    SHOW(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND, NULL));
    put("b/f", "third");
    get("a/f");
    for (int flag = MS_NOSUID; flag <= MS_NODIRATIME; flag *= 2) {
        if (flag != 16 && flag != MS_REMOUNT && flag < 64 || flag > 512) {
            struct statfs told;
            mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | flag, NULL);
            SHOW(statfs("b/f", &told));
            printf("flags %x: %lx\n", flag, (long)told.f_flags);
        }
    }
    mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RELATIME, NULL);
    SHOW(mount(NULL, "b/s", NULL, MS_REMOUNT, NULL));
    SHOW(mount(NULL, "b", NULL, MS_PRIVATE | MS_REC, NULL));
    SHOW(mount(NULL, "b", NULL, MS_PRIVATE | MS_SHARED, NULL));
    SHOW(mount(NULL, "b/s", NULL, MS_SLAVE, NULL));
    table("tmpfs none");
    SHOW(mount("none", "a", "tmpfs", MS_NOSUID | MS_NOEXEC, NULL));
    get("a/f");
    SHOW(umount2("a", 0));
    get("a/f");
    int fd = open("a/f", O_RDONLY);
    SHOW(umount2("b/s", 0));
    SHOW(umount2("a", 16));
    SHOW(umount2("a", MNT_EXPIRE | MNT_DETACH));
    SHOW(umount2("a", 0));
    close(fd);
    SHOW(umount2("a", MNT_EXPIRE));
    SHOW(umount2("a", MNT_EXPIRE));
    SHOW(umount2("a", 0));
    SHOW(mount("b", "d", NULL, MS_MOVE, NULL));
    get("b/f");
    get("d/f");
    SHOW(mount("b", "a", NULL, MS_MOVE, NULL));
    SHOW(mount("d", "d/s", NULL, MS_MOVE, NULL));
    mkdir("d/mp", 0755);
    SHOW(mount("in", "d/mp", "tmpfs", 0, NULL));
    SHOW(umount2("d", 0));
    SHOW(mount("d", "b", NULL, MS_BIND | MS_REC, NULL));
    put("b/mp/deep", "recursive");
    get("d/mp/deep");
    SHOW(umount2("b", MNT_DETACH));
    SHOW(umount2("d", MNT_DETACH));
    SHOW(umount2("c", 0));
    SHOW(umount2("c", 0));
    SHOW(rmdir("c"));
    mkdir("c", 0755);
    table("tmpfs none");
}

static void host_files(void) {
    SHOW(mount("plain", "b", NULL, MS_BIND, NULL));
    get("b/in");
    put("b/in", "changed");
    get("plain/in");
    put("b/other", "made");
    get("plain/other");
    chdir("b/sub");
    where();
    chdir("..");
    where();
    chdir("..");
    where();
    SHOW(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    put("b/in", "no");
    SHOW(chmod("b/in", 0600));
    SHOW(umount2("b", 0));
    SHOW(mount("proc", "b", "proc", 0, NULL));
    SHOW(access("b/self/status", F_OK));
    SHOW(umount2("b", 0));
}

static void own_mounts(void) {
    SHOW(unshare(CLONE_NEWNS));
    SHOW(mount("none", "a", "tmpfs", 0, NULL));
    put("a/mine", "mine alone");
    get("a/mine");
}

static void new_root(void) {
    SHOW(unshare(CLONE_NEWNS));
    SHOW(PIVOT("a", "a"));
    SHOW(mount("none", "a", "tmpfs", 0, NULL));
    mkdir("a/old", 0755);
    put("a/file", "of the new root");
    SHOW(PIVOT("a", "b"));
    SHOW(PIVOT("a/old", "a/old"));
    chdir("a");
    SHOW(PIVOT(".", "old"));
    SHOW(chdir("/"));
    get("/file");
    SHOW(access("/old/proc", F_OK));
    SHOW(umount2("/old", 0));
    SHOW(umount2("/old", MNT_DETACH));
    SHOW(access("/old/proc", F_OK));
    SHOW(access("/..", F_OK));
    SHOW(access("/../proc", F_OK));
}

static void new_root_over_old(void) {
    SHOW(unshare(CLONE_NEWNS));
    SHOW(mount("none", "a", "tmpfs", 0, NULL));
    put("a/file", "of the new root");
    chdir("a");
    SHOW(PIVOT(".", "."));
    SHOW(umount2(".", MNT_DETACH));
    SHOW(chdir("/"));
    get("file");
}

static void calls(void) {
    SHOW(sethostname("other-name", 10));
    SHOW(setdomainname("a.domain", 8));
    SHOW(sethostname("x", 65));
    SHOW(sethostname("x", -1));
    SHOW(sethostname(NULL, 4));
    names();
    get("/proc/sys/kernel/hostname");
    put("/proc/sys/kernel/domainname", "by.proc\n");
    names();
}

static void own_names(void) {
    char mine[64] = "", first[64] = "";
    readlink("/proc/self/ns/uts", first, 63);
    int fd = open("/proc/self/ns/uts", O_RDONLY);
    SHOW(unshare(CLONE_NEWUTS));
    readlink("/proc/self/ns/uts", mine, 63);
    printf("another: %d\n", strcmp(mine, first) != 0);
    SHOW(sethostname("inner", 5));
    names();
    SHOW(setns(fd, CLONE_NEWNS));
    SHOW(setns(fd, CLONE_NEWUTS));
    names();
    SHOW(setns(0, 0));
    SHOW(unshare(CLONE_NEWUSER));
    SHOW(unshare(1));
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (const char **name = (const char *[]){"a", "b", "c", "d", "plain", "plain/sub", NULL}; *name; name++)
        mkdir(*name, 0755);
    put("file", "plain file");
    put("plain/in", "in a plain directory");
    if (argc > 1) { /* without the right */
        SHOW(mount("none", "a", "tmpfs", 0, NULL));
        SHOW(mount("none", "nosuch", "tmpfs", 0, NULL));
        SHOW(umount2("a", 0));
        SHOW(PIVOT("a", "b"));
        SHOW(unshare(CLONE_NEWNS));
        SHOW(unshare(CLONE_NEWUTS));
        SHOW(sethostname("x", 1));
        return 0;
    }
    child(trees);
    child(host_files);
    child(own_mounts);
    get("a/mine");
    child(new_root);
    child(new_root_over_old);
    child(calls);
    child(own_names);
    return 0;
}
