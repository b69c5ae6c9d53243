/* What root tries with mounts that were made before it ran: prints calls and their results, a line each. Arguments: a
   directory with `hidden/secret` (a tmpfs is over hidden), `fixed` mounted read-only, and `open`. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHOW(call)                                                                          \
    do {                                                                                    \
        errno = 0;                                                                          \
        long result = (long)(call);                                                         \
        printf("%s = %d %s\n", #call, result < 0 ? -1 : 0, result < 0 ? strerrorname_np(errno) : ""); \
    } while (0)

int main(int count, char **words) {
    struct stat found;
    if (count < 2 || chdir(words[1]))
        return 1;
    SHOW(stat("hidden/secret", &found));
    SHOW(umount2("hidden", 0));
    SHOW(umount2("hidden", MNT_DETACH));
    SHOW(mount("hidden", "open", 0, MS_MOVE, 0));
    SHOW(mount(".", "open", 0, MS_BIND, 0));
    SHOW(stat("open/hidden", &found));
    SHOW(stat("open/hidden/secret", &found));
    SHOW(umount2("open/hidden", MNT_DETACH));
    SHOW(open("open/fixed/new", O_CREAT | O_WRONLY, 0644));
    SHOW(mount(0, "open/fixed", 0, MS_REMOUNT | MS_BIND, 0));
    int inside = open("open", O_PATH | O_DIRECTORY);
    SHOW(umount2("open", MNT_DETACH));
    SHOW(fstatat(inside, "hidden/secret", &found, 0));
    SHOW(unshare(CLONE_NEWNS));
    SHOW(fstatat(inside, "hidden/secret", &found, 0));
    SHOW(fchdir(inside));
    SHOW(mount(".", "hidden", 0, MS_BIND, 0));
    SHOW(stat("hidden/secret", &found));
    SHOW(chdir(words[1]));
    SHOW(mount(".", "open", 0, MS_BIND | MS_REC, 0));
    SHOW(umount2("open", 0));
    SHOW(umount2("open", MNT_DETACH));
    SHOW(mount(".", "open", 0, MS_BIND, 0));
    SHOW(umount2("open", 0));
    SHOW(mount(0, "fixed", 0, MS_REMOUNT | MS_BIND, 0));
    SHOW(mount("fixed", "open", 0, MS_BIND, 0));
    SHOW(mount(0, "open", 0, MS_REMOUNT | MS_BIND, 0));
    SHOW(open("open/new", O_CREAT | O_WRONLY, 0644));
    SHOW(umount2("open", 0));
    SHOW(mount("none", "open", "tmpfs", 0, "uid=99999999999999999999"));
    SHOW(mount("none", "open", "tmpfs", 0, "gid=4294967295"));
    int deep = 0, wrong = mount("none", "open", "tmpfs", 0, 0) || chdir("open");
    while (!wrong && deep < 2000 && !mkdir("a", 0755) && !mkdir("a/b", 0755) && !mount("none", "a/b", "tmpfs", 0, 0)) {
        wrong = chdir("a/b");
        deep++;
    }
    printf("deep %d, then %s\n", deep > 100 && !wrong, strerrorname_np(errno));
    char path[8192];
    SHOW(readlink("/proc/self/cwd", path, sizeof path));
    SHOW(access("../../..", F_OK));
    SHOW(chdir(words[1]));
    SHOW(umount2("open", MNT_DETACH));
    SHOW(mount("/", "open", 0, MS_BIND, 0));
    SHOW(stat("open/usr/..", &found));
    SHOW(chdir("open"));
    SHOW(syscall(SYS_pivot_root, ".", "."));
    SHOW(umount2(".", MNT_DETACH));
    int top = open("/", O_PATH | O_DIRECTORY);
    SHOW(access("/proc/self/status", F_OK));
    SHOW(fchdir(top));
    SHOW(access("proc/self/status", F_OK));
    SHOW(chdir(words[1]));
    SHOW(stat("hidden/secret", &found));
    SHOW(mount("none", "open", "tmpfs", 0, 0));
    SHOW(umount2("open", 0));
    return 0;
}
