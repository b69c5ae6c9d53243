/* inotify.c: what is told of files and directories that this program and its children change; every event is printed. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long r)
{
    if (r < 0) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: %ld\n", what, r);
}
#define S(call) say(#call, (long)(call))
static int in, cookies;
static unsigned cookie[1000];

/* Which of those that came this is: the host counts the renames of all its programs. */
static int which(unsigned one) {
    int i;
    for (i = 0; i < cookies; i++) if (cookie[i] == one) return i + 1;
    cookie[cookies++ % 1000] = one;
    return cookies;
}

static void drain(const char *what)
{
    static char buf[1 << 16] __attribute__((aligned(8)));
    long n = read(in, buf, sizeof buf);
    printf("%s:", what);
    for (char *p = buf; p < buf + n; p += sizeof(struct inotify_event) + ((struct inotify_event *)p)->len) {
        struct inotify_event *e = (void *)p;
        printf(" [%d %x %d %s/%u]", e->wd, e->mask, e->cookie ? which(e->cookie) : 0, e->len ? e->name : "", e->len);
    }
    puts("");
    fflush(stdout);
}
#define D(call) do { call; drain(#call); } while (0)
static void all(void)
{
    int fd, fd2; char b[100]; struct stat st; struct timeval tv[2] = {{5, 0}, {6, 0}}; struct timespec ts[2] = {{5, 0}, {0, UTIME_OMIT}};
    D(fd = open("d/f", O_CREAT | O_WRONLY, 0600)); D(write(fd, "hello", 5)); D(write(fd, "again", 5)); D(pwrite(fd, "x", 0, 0)); D(ftruncate(fd, 3)); D(fchmod(fd, 0644)); D(close(fd));
    D(fd = open("d/f", O_RDONLY)); D(read(fd, b, 2)); D(read(fd, b, 2)); D(read(fd, b, 2)); D(fd2 = dup(fd)); D(close(fd)); D(close(fd2)); D(fd = open("d/f", O_RDWR | O_TRUNC)); D(close(fd)); D(fd = open("d/f", O_PATH)); D(close(fd)); D(stat("d/f", &st));
    D(truncate("d/f", 10)); D(chmod("d/f", 0600)); D(chown("d/f", -1, -1)); D(utimes("d/f", tv)); D(utimensat(AT_FDCWD, "d/f", ts, 0)); ts[0] = ts[1]; ts[1].tv_nsec = 5; D(utimensat(AT_FDCWD, "d/f", ts, 0));
    D(mkdir("d/s", 0700)); D(rmdir("d/s")); D(symlink("x", "d/l")); D(unlink("d/l")); D(mkfifo("d/p", 0600)); D(unlink("d/p")); D(link("d/f", "d/g")); D(unlink("d/g")); D(link("d/f", "outside")); D(unlink("outside")); D(link("d/f", "outside"));
    D(rename("d/f", "d/h")); D(rename("d/h", "away")); D(rename("away", "d/f")); D(mkdir("d/s", 0700)); D(rename("d/s", "d/t")); D(rename("d/t", "t")); D(rmdir("t")); D(close(creat("d/victim", 0600))); D(rename("d/victim", "d/f")); D(unlink("outside"));
    D(close(creat("d/one", 0600))); D(syscall(SYS_renameat2, AT_FDCWD, "d/one", AT_FDCWD, "d/f", 2));
    DIR *dir; D(dir = opendir("d")); D(readdir(dir)); D(closedir(dir)); D(open("d/none", O_RDONLY)); D(mkdir("d/f", 0700)); D(unlink("d/none"));
    fd = open("d/f", O_RDWR | O_CREAT, 0600); fd2 = open("d/one", O_RDWR); write(fd, "0123456789", 10); lseek(fd, 0, 0); drain("opened"); D(sendfile(fd2, fd, 0, 5)); D(copy_file_range(fd, 0, fd2, 0, 3, 0)); D(unlink("d/f")); D(write(fd, "z", 1)); D(close(fd)); D(close(fd2));
}
static void run(char *path)
{
    char *args[] = {path, "-", 0}; int status;
    fflush(stdout);
    if (!fork()) { int none = -1; if (execv(path, args)) none = errno; _exit(none); }
    wait(&status); printf("%s %x", path, status); drain("");
}
int main(int argc, char **argv)
{
    struct pollfd p; int n, w, f, fd; char b[32];
    if (argc > 1 && argv[1][0] == '-') return 7;
    setvbuf(stdout, 0, _IOLBF, 0);
    if (argc > 1 && chdir(argv[1])) return 1;
    in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC); S(fcntl(in, F_GETFL)); S(fcntl(in, F_GETFD)); S(inotify_init1(1)); S(read(in, b, 32)); S(write(in, b, 1));
    mkdir("d", 0700); close(creat("file", 0600)); S(inotify_add_watch(in, "d", 0)); S(inotify_add_watch(in, "none", IN_OPEN)); S(inotify_add_watch(in, "file", IN_OPEN | IN_ONLYDIR)); S(inotify_add_watch(0, "d", IN_OPEN)); S(inotify_add_watch(99, "d", IN_OPEN)); S(inotify_add_watch(in, (char *)8, IN_OPEN)); S(inotify_add_watch(in, "d", 0x08000000)); S(inotify_add_watch(in, "d", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE)); S(inotify_rm_watch(in, 5)); S(inotify_rm_watch(0, 1));
    puts("-- directory"); S(w = inotify_add_watch(in, "d", IN_ALL_EVENTS)); all();
    S(inotify_add_watch(in, "d", IN_OPEN)); S(inotify_add_watch(in, "d", IN_OPEN | IN_MASK_CREATE)); D(close(open("d/x", O_CREAT | O_RDONLY, 0600))); S(inotify_add_watch(in, "d", IN_CREATE | IN_MASK_ADD)); D(close(open("d/y", O_CREAT | O_RDONLY, 0600)));
    S(inotify_rm_watch(in, w)); drain("removed"); S(inotify_rm_watch(in, w));
    puts("-- file"); f = open("d/f", O_CREAT | O_RDWR, 0600); close(f); S(inotify_add_watch(in, "d/f", IN_ALL_EVENTS)); all();
    puts("-- both"); close(creat("d/f", 0600)); S(inotify_add_watch(in, "d", IN_ALL_EVENTS)); S(inotify_add_watch(in, "d/f", IN_ALL_EVENTS)); all();
    puts("-- once"); S(inotify_add_watch(in, "file", IN_ALL_EVENTS | IN_ONESHOT)); D(close(open("file", O_RDONLY))); D(close(open("file", O_RDONLY)));
    close(creat("d/f", 0600)); drain("made"); S(read(in, b, 5)); int keep = open("d/f", O_RDONLY); S(ioctl(in, FIONREAD, &n)); S(n); S(read(in, b, 16)); S(read(in, b, 32)); p.fd = in; p.events = POLLIN | POLLOUT; S(poll(&p, 1, 0));
    D(unlink("d/f")); D(unlink("d/one")); D(unlink("d/h")); D(unlink("d/x")); D(unlink("d/y")); D(unlink("d/victim"));
    puts("-- unlinked, and open"); fd = open("d/u", O_CREAT | O_RDWR, 0600); unlink("d/u"); S(inotify_add_watch(in, "d", IN_ALL_EVENTS)); drain("u"); D(write(fd, "x", 1)); S(inotify_add_watch(in, "d", IN_ALL_EVENTS | IN_EXCL_UNLINK)); D(write(fd, "x", 1)); D(fchmod(fd, 0644)); D(close(fd)); S(inotify_add_watch(in, "d", IN_ALL_EVENTS));
    puts("-- socket"); struct sockaddr_un un = {AF_UNIX, "d/sock"}; fd = socket(AF_UNIX, SOCK_STREAM, 0); D(bind(fd, (void *)&un, sizeof un)); D(close(fd)); D(unlink("d/sock"));
    puts("-- programs"); fd = open("d/run", O_CREAT | O_WRONLY, 0755); write(fd, "#!/proc/self/exe -\n", 19); close(fd); fd = open("d/none", O_CREAT | O_WRONLY, 0755); write(fd, "not a program", 13); close(fd); drain("made");
    fd = open("/proc/self/exe", O_RDONLY); int to_fd = open("d/elf", O_CREAT | O_WRONLY, 0755); while (sendfile(to_fd, fd, 0, 1 << 20) > 0); close(fd); close(to_fd); drain("copied");
    run("d/run"); run("d/elf"); run("d/none"); unlink("d/run"); unlink("d/elf"); unlink("d/none"); drain("gone");
    puts("-- another process"); if (!fork()) { usleep(20000); close(creat("d/child", 0600)); _exit(0); }
    S(poll(&p, 1, 5000)); wait(0); drain("child"); unlink("d/child"); close(keep); drain("gone"); S(rmdir("d")); drain("no directory");
    char link[64], to[64]; sprintf(link, "/proc/self/fd/%d", in); n = readlink(link, to, 63); to[n > 0 ? n : 0] = 0; puts(to);
    return 0;
}
