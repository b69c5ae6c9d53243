/* Ways out of the directory that a program may change. argv: the way, a directory outside. The working directory is the
   one that may be changed. DIRECT ways change what is outside where nothing forbids it; the SWAP ways change it only if
   a name is taken for what was open under it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static char out[4096], b1[4200], b2[4200];
static const char *O(const char *name) { sprintf(b1, "%s/%s", out, name); return b1; }
static const char *at(const char *prefix, const char *name) { sprintf(b2, "%s%s/%s", prefix, out, name); return b2; }
static const char *fdpath(int fd) { sprintf(b2, "/proc/self/fd/%d", fd); return b2; }
static void show(const char *what, long r) { printf("%s %ld %s\n", what, r < 0 ? -1 : 0L, r < 0 ? strerrorname_np(errno) : "-"); }
static void put(int fd) { show("open", fd); if (fd >= 0) { show("write", write(fd, "OUT", 3)); close(fd); } }
static int ro(void) { return open(O("file"), O_RDONLY); }
static int place(void) { return open(O("file"), O_PATH); }
static int dir(void) { return open(out, O_RDONLY | O_DIRECTORY); }
static const struct timespec T[2] = {{5, 0}, {6, 0}};

#define DIRECT \
    W(write, put(open(O("file"), O_WRONLY))) \
    W(append, put(open(O("file"), O_WRONLY | O_APPEND))) \
    W(rdwr_creat, put(open(O("file"), O_RDWR | O_CREAT, 0600))) \
    W(trunc, put(open(O("file"), O_WRONLY | O_TRUNC))) \
    W(rdonly_trunc, show("open", open(O("file"), O_RDONLY | O_TRUNC))) \
    W(create, put(open(O("new"), O_WRONLY | O_CREAT, 0600))) \
    W(dotdot, put(open("../outside/file", O_WRONLY))) \
    W(dotdot_deep, put(open("sub/.././../outside//file", O_WRONLY))) \
    W(link_dir, (symlink(out, "l"), put(open("l/file", O_WRONLY)))) \
    W(link_dir_create, (symlink(out, "l"), put(open("l/new", O_WRONLY | O_CREAT, 0600)))) \
    W(link_file, (symlink(O("file"), "l"), put(open("l", O_WRONLY)))) \
    W(link_file_trunc, (symlink(O("file"), "l"), put(open("l", O_WRONLY | O_CREAT | O_TRUNC, 0600)))) \
    W(link_dangling, (symlink(O("new"), "l"), put(open("l", O_WRONLY | O_CREAT, 0600)))) \
    W(link_chain, (symlink("../outside", "l"), symlink("l/file", "m"), symlink("m", "n"), put(open("n", O_RDWR)))) \
    W(link_mkdir, (symlink(out, "l"), show("mkdir", mkdir("l/new", 0700)))) \
    W(link_slash, (symlink(out, "l"), show("chmod", chmod("l/", 0700)))) \
    W(mkdir, show("mkdir", mkdir(O("new"), 0700))) \
    W(mknod, show("mknod", mknod(O("new"), S_IFIFO | 0600, 0))) \
    W(mkfile, show("mknod", mknod(O("new"), S_IFREG | 0600, 0))) \
    W(symlink, show("symlink", symlink("x", O("new")))) \
    W(rmdir, show("rmdir", rmdir(O("empty")))) \
    W(unlink, show("unlink", unlink(O("file")))) \
    W(unlink_link, (symlink(out, "l"), show("unlink", unlink("l/file")))) \
    W(rename_in, show("rename", rename(O("file"), "mine"))) \
    W(rename_dir_in, show("rename", rename(O("empty"), "mine"))) \
    W(rename_out, show("rename", rename("own", O("new")))) \
    W(rename_over, show("rename", rename("own", O("file")))) \
    W(rename_within, show("rename", rename(O("file"), "../outside/other"))) \
    W(exchange, show("rename", syscall(SYS_renameat2, AT_FDCWD, "own", AT_FDCWD, O("file"), 2))) \
    W(exchange_back, show("rename", syscall(SYS_renameat2, AT_FDCWD, O("file"), AT_FDCWD, "own", 2))) \
    W(whiteout, show("rename", syscall(SYS_renameat2, AT_FDCWD, O("file"), AT_FDCWD, "mine", 4))) \
    W(link_in, (show("link", link(O("file"), "mine")), put(open("mine", O_WRONLY)))) \
    W(link_out, show("link", link("own", O("new")))) \
    W(link_follow, (symlink(O("file"), "l"), show("link", linkat(AT_FDCWD, "l", AT_FDCWD, "mine", AT_SYMLINK_FOLLOW)), put(open("mine", O_WRONLY)))) \
    W(link_of_link, (symlink(O("file"), "l"), link("l", "m"), put(open("m", O_WRONLY)))) \
    W(link_empty, (show("link", linkat(ro(), "", AT_FDCWD, "mine", AT_EMPTY_PATH)), put(open("mine", O_WRONLY)))) \
    W(link_empty_place, (show("link", linkat(place(), "", AT_FDCWD, "mine", AT_EMPTY_PATH)), put(open("mine", O_WRONLY)))) \
    W(link_proc_fd, (show("link", linkat(AT_FDCWD, fdpath(ro()), AT_FDCWD, "mine", AT_SYMLINK_FOLLOW)), put(open("mine", O_WRONLY)))) \
    W(tmpfile_out, show("link", linkat(AT_FDCWD, fdpath(open(".", O_TMPFILE | O_RDWR, 0600)), AT_FDCWD, O("new"), AT_SYMLINK_FOLLOW))) \
    W(chmod, show("chmod", chmod(O("file"), 0123))) \
    W(chmod_dir, show("chmod", chmod(out, 0700))) \
    W(chmod_link, (symlink(O("file"), "l"), show("chmod", chmod("l", 0123)))) \
    W(fchmod, show("fchmod", fchmod(ro(), 0123))) \
    W(fchmod_dir, show("fchmod", fchmod(dir(), 0700))) \
    W(fchmodat2, show("chmod", syscall(SYS_fchmodat2, place(), "", 0123, AT_EMPTY_PATH))) \
    W(chmod_proc_fd, show("chmod", chmod(fdpath(place()), 0123))) \
    W(chmod_exe, show("chmod", chmod("/proc/self/exe", 0711))) \
    W(chmod_proc_cwd, show("chmod", chdir(out) || chmod("/proc/self/cwd/file", 0123))) \
    W(chown, show("chown", chown(O("file"), 7, 8))) \
    W(lchown, show("chown", lchown(O("link"), 7, 8))) \
    W(fchown, show("chown", fchown(ro(), 7, 8))) \
    W(fchownat, show("chown", fchownat(place(), "", 7, 8, AT_EMPTY_PATH))) \
    W(utimensat, show("utime", utimensat(AT_FDCWD, O("file"), T, 0))) \
    W(utimensat_link, show("utime", utimensat(AT_FDCWD, O("link"), T, AT_SYMLINK_NOFOLLOW))) \
    W(utimensat_now, show("utime", utimensat(AT_FDCWD, O("file"), 0, 0))) \
    W(futimens, show("utime", futimens(ro(), T))) \
    W(utime_empty, show("utime", utimensat(place(), "", T, AT_EMPTY_PATH))) \
    W(utime_proc_fd, show("utime", utimensat(AT_FDCWD, fdpath(place()), T, 0))) \
    W(truncate, show("truncate", truncate(O("file"), 0))) \
    W(truncate_link, (symlink(O("file"), "l"), show("truncate", truncate("l", 0)))) \
    W(truncate_proc_fd, show("truncate", truncate(fdpath(place()), 0))) \
    W(setxattr, show("setxattr", setxattr(O("file"), "user.new", "1", 1, 0))) \
    W(setxattr_dir, show("setxattr", setxattr(out, "user.new", "1", 1, 0))) \
    W(fsetxattr, show("setxattr", fsetxattr(ro(), "user.new", "1", 1, 0))) \
    W(setxattr_proc_fd, show("setxattr", setxattr(fdpath(place()), "user.new", "1", 1, 0))) \
    W(removexattr, show("removexattr", removexattr(O("file"), "user.mark"))) \
    W(fremovexattr, show("removexattr", fremovexattr(ro(), "user.mark"))) \
    W(set_flags, show("ioctl", ioctl(ro(), FS_IOC_SETFLAGS, &(int){0x40}))) \
    W(set_flags_dir, show("ioctl", ioctl(dir(), FS_IOC_SETFLAGS, &(int){0x40}))) \
    W(set_flags_stdin, (dup2(ro(), 0), show("ioctl", ioctl(0, FS_IOC_SETFLAGS, &(int){0x40})))) \
    W(reopen, put(open(fdpath(ro()), O_WRONLY))) \
    W(reopen_rdwr, put(open(fdpath(ro()), O_RDWR | O_CREAT, 0600))) \
    W(reopen_trunc, show("open", open(fdpath(ro()), O_RDONLY | O_TRUNC))) \
    W(reopen_place, put(open(fdpath(place()), O_WRONLY))) \
    W(reopen_dev_fd, (sprintf(b2, "/dev/fd/%d", ro()), put(open(b2, O_WRONLY)))) \
    W(reopen_by_link, (symlink(fdpath(ro()), "l"), put(open("l", O_WRONLY)))) \
    W(proc_fd_dir, (sprintf(b2, "/proc/self/fd/%d/file", dir()), put(open(b2, O_WRONLY)))) \
    W(proc_fd_dir_create, (sprintf(b2, "/proc/self/fd/%d/new", dir()), put(open(b2, O_WRONLY | O_CREAT, 0600)))) \
    W(proc_root, put(open(at("/proc/self/root", "file"), O_WRONLY))) \
    W(proc_thread_root, put(open(at("/proc/thread-self/root", "new"), O_WRONLY | O_CREAT, 0600))) \
    W(proc_cwd, put(open("/proc/self/cwd/../outside/file", O_WRONLY))) \
    W(proc_pid_root, (sprintf(b1, "/proc/%d/root", getpid()), put(open(at(b1, "file"), O_WRONLY)))) \
    W(proc_parent_root, (sprintf(b1, "/proc/%d/root", getppid()), put(open(at(b1, "file"), O_WRONLY)))) \
    W(proc_task_root, (sprintf(b1, "/proc/self/task/%d/root", getpid()), put(open(at(b1, "file"), O_WRONLY)))) \
    W(proc_root_link, (symlink(at("/proc/self/root", ""), "l"), put(open("l/file", O_WRONLY)))) \
    W(chdir, (chdir(out), put(open("file", O_WRONLY)))) \
    W(fchdir, (fchdir(dir()), put(open("new", O_WRONLY | O_CREAT, 0600)))) \
    W(openat, put(openat(dir(), "file", O_WRONLY))) \
    W(openat_create, put(openat(dir(), "new", O_WRONLY | O_CREAT, 0600))) \
    W(mkdirat, show("mkdir", mkdirat(dir(), "new", 0700))) \
    W(unlinkat, show("unlink", unlinkat(dir(), "file", 0))) \
    W(rmdirat, show("unlink", unlinkat(dir(), "empty", AT_REMOVEDIR))) \
    W(renameat, show("rename", renameat(dir(), "file", AT_FDCWD, "mine"))) \
    W(renameat_out, show("rename", renameat(AT_FDCWD, "own", dir(), "new"))) \
    W(linkat_out, show("link", linkat(AT_FDCWD, "own", dir(), "new", 0))) \
    W(symlinkat, show("symlink", symlinkat("x", dir(), "new"))) \
    W(mknodat, show("mknod", mknodat(dir(), "new", S_IFREG | 0600, 0))) \
    W(fchmodat, show("chmod", fchmodat(dir(), "file", 0123, 0))) \
    W(rename_root, show("rename", rename("../allowed", "../outside/allowed"))) \
    W(dotdot_of_fd, (fchdir(open(".", O_PATH)), put(open("./../outside/file", O_WRONLY))))

/* Something is open or current under a name, the name is taken away, and a link outside put there. */
static void swapped_cwd(void) {
    mkdir("d", 0700), chdir("d");
    show("rename", rename("../d", "../e"));
    show("symlink", symlink(out, "../d"));
}
static int swapped_dir(void) {
    mkdir("d", 0700);
    int fd = open("d", O_RDONLY | O_DIRECTORY);
    show("rename", rename("d", "e"));
    show("symlink", symlink(out, "d"));
    return fd;
}
static int swapped_parent(void) {
    mkdir("p", 0700), mkdir("p/empty", 0700);
    int fd = open("p/empty", O_PATH | O_DIRECTORY);
    show("rename", rename("p", "q"));
    show("symlink", symlink(out, "p"));
    return fd;
}
static int removed_dir(void) {
    mkdir("d", 0700);
    int fd = open("d", O_RDONLY | O_DIRECTORY);
    show("rmdir", rmdir("d"));
    show("symlink", symlink(out, "d"));
    return fd;
}
static int swapped_file(int flags) {
    close(open("f", O_CREAT | O_RDWR, 0600));
    int fd = open("f", flags);
    show("rename", rename("f", "g"));
    show("symlink", symlink(O("file"), "f"));
    return fd;
}
static int removed_file(int flags) {
    close(open("f", O_CREAT | O_RDWR, 0600));
    int fd = open("f", flags);
    show("unlink", unlink("f"));
    show("link", symlink(O("file"), "f"));
    return fd;
}
static void in_dir(int fd) {
    put(openat(fd, "file", O_WRONLY | O_APPEND));
    put(openat(fd, "new", O_WRONLY | O_CREAT, 0600));
    show("mkdir", mkdirat(fd, "made", 0700));
    show("mkfifo", mknodat(fd, "fifo", S_IFIFO | 0600, 0));
    show("symlink", symlinkat("x", fd, "sl"));
    show("unlink", unlinkat(fd, "file", 0));
    show("rmdir", unlinkat(fd, "empty", AT_REMOVEDIR));
    show("chmod", fchmodat(fd, "file", 0123, 0));
    show("chmod .", fchmodat(fd, ".", 0711, 0));
    show("rename", renameat(fd, "file", AT_FDCWD, "mine"));
    show("link", linkat(fd, "file", AT_FDCWD, "mine", 0));
    show("utime", utimensat(fd, "file", T, 0));
    struct stat st;
    show("dotdot", fstatat(fd, "../own", &st, 0));
}
static void on_file(int fd) {
    show("fchmod", fchmod(fd, 0640));
    show("fchown", fchown(fd, 7, 8));
    show("futimens", futimens(fd, T));
    show("fsetxattr", fsetxattr(fd, "user.new", "1", 1, 0));
    show("ftruncate", ftruncate(fd, 3));
    put(open(fdpath(fd), O_WRONLY | O_APPEND));
    show("truncate", truncate(fdpath(fd), 1));
    show("chmod", chmod(fdpath(fd), 0600));
    show("empty chmod", syscall(SYS_fchmodat2, fd, "", 0604, AT_EMPTY_PATH));
    show("link", linkat(AT_FDCWD, fdpath(fd), AT_FDCWD, "more", AT_SYMLINK_FOLLOW));
    struct stat st;
    fstat(fd, &st);
    printf("%o %ld %d\n", st.st_mode, (long)st.st_size, (int)st.st_nlink);
}

#define SWAP \
    W(swap_cwd, (swapped_cwd(), in_dir(AT_FDCWD))) \
    W(swap_dir, in_dir(swapped_dir())) \
    W(swap_dir_fchdir, (fchdir(swapped_dir()), in_dir(AT_FDCWD))) \
    W(swap_parent, in_dir(swapped_parent())) \
    W(swap_parent_cwd, (fchdir(swapped_parent()), in_dir(AT_FDCWD))) \
    W(removed_dir, in_dir(removed_dir())) \
    W(removed_cwd, (fchdir(removed_dir()), in_dir(AT_FDCWD))) \
    W(swap_file, on_file(swapped_file(O_RDONLY))) \
    W(swap_file_rdwr, on_file(swapped_file(O_RDWR))) \
    W(swap_file_place, on_file(swapped_file(O_PATH))) \
    W(removed_file, on_file(removed_file(O_RDONLY))) \
    W(removed_file_rdwr, on_file(removed_file(O_RDWR))) \
    W(swap_proc_cwd, (swapped_cwd(), put(open("/proc/self/cwd/file", O_WRONLY)), put(open("/proc/self/cwd/new", O_WRONLY | O_CREAT, 0600))))

#define W(name, action) static void do_##name(void) { action; }
DIRECT SWAP
#undef W

int main(int argc, char **argv) {
#define W(name, action) {#name, do_##name},
    static const struct { const char *name; void (*go)(void); } direct[] = {DIRECT}, swap[] = {SWAP};
#undef W
    setvbuf(stdout, 0, _IOLBF, 0);
    if (argc < 3) {
        for (unsigned i = 0; i < sizeof direct / sizeof *direct; i++) printf("direct %s\n", direct[i].name);
        for (unsigned i = 0; i < sizeof swap / sizeof *swap; i++) printf("swap %s\n", swap[i].name);
        return 0;
    }
    strcpy(out, argv[2]);
    for (unsigned i = 0; i < sizeof direct / sizeof *direct; i++) if (!strcmp(argv[1], direct[i].name)) return direct[i].go(), 0;
    for (unsigned i = 0; i < sizeof swap / sizeof *swap; i++) if (!strcmp(argv[1], swap[i].name)) return swap[i].go(), 0;
    return 2;
}
