/* chroot(2): what is then the root, by every way to ask, and the ways that lead out of it. Begins in an empty directory; to be
   compared between two kernels, by root. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static void tell(const char *what, long r) { printf("%s %ld %s\n", what, r < 0 ? -1L : 0L, r < 0 ? strerrorname_np(errno) : ""); }
static void where(const char *what) {
    char text[4096];
    long n = syscall(SYS_getcwd, text, sizeof text);
    printf("%s cwd %s\n", what, n < 0 ? strerrorname_np(errno) : strncmp(text, "(unreachable)", 13) ? text : "(unreachable)");
}
static void list(const char *path) {
    DIR *d = opendir(path);
    struct dirent *e;
    char names[20][256];
    int n = 0;
    if (!d) { printf("list %s %s\n", path, strerrorname_np(errno)); return; }
    while ((e = readdir(d)) && n < 20) strcpy(names[n++], e->d_name);
    closedir(d);
    qsort(names, n, 256, (void *)strcmp);
    printf("list %s", path);
    for (int i = 0; i < n; i++) printf(" %s", names[i]);
    puts("");
}
static void same(const char *one, const char *two) {
    struct stat a, b;
    if (stat(one, &a) || stat(two, &b)) { printf("%s %s: %s\n", one, two, strerrorname_np(errno)); return; }
    printf("%s %s: %s\n", one, two, a.st_ino == b.st_ino && a.st_dev == b.st_dev ? "same" : "other");
}
int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    mkdir("jail", 0755); mkdir("jail/in", 0755); mkdir("jail/in/deep", 0755); mkdir("other", 0755);
    close(open("jail/file", O_CREAT | O_WRONLY, 0644)); symlink("/file", "jail/absolute"); symlink("../../../../file", "jail/in/up"); symlink("/", "jail/in/top");
    int out = open("other", O_RDONLY | O_DIRECTORY), inside = open("jail/in", O_RDONLY | O_DIRECTORY);
    tell("missing", chroot("nothing")); tell("file", chroot("jail/file")); tell("below a file", chroot("jail/file/x"));
    if (!fork()) { if (setuid(4242)) _exit(1); tell("user", chroot(".")); _exit(0); }
    wait(0);
    tell("chroot", chroot("jail"));
    where("outside");
    tell("relative", access("other", F_OK)); tell("absolute", access("/other", F_OK)); tell("in", access("/file", F_OK));
    tell("chdir", chdir("/in"));
    where("inside"); list("/"); list(".."); list("../../.."); same("/", "/.."); same("/", "../..");
    same("/absolute", "/file"); same("up", "/file"); same("top/file", "/file");
    if (!fork()) {
        where("child");
        tell("deeper", chroot("deep")); where("deeper"); list("/"); list("."); list("..");
        tell("up", chdir("..")); where("up"); list(".");
        _exit(0);
    }
    wait(0);
    tell("fchdir", fchdir(inside)); where("in"); tell("made", mkdir("/new", 0755)); list("/");
    tell("fchdir out", fchdir(out)); where("out"); list("."); list(".."); same("../jail", "/");
    tell("chroot there", chroot(".")); where("there"); tell("chdir root", chdir("/")); where("root"); list("/");
    return 0;
}
