/* Mounts in steps: fsopen, fsconfig, fsmount, fspick, open_tree, move_mount, mount_setattr, in name spaces of one's own. */
#include "users.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define OPEN(...) syscall(430, __VA_ARGS__)
#define CONFIG(...) syscall(431, __VA_ARGS__)
#define FSMOUNT(...) syscall(432, __VA_ARGS__)
#define PICK(...) syscall(433, __VA_ARGS__)
#define TREE(...) syscall(428, __VA_ARGS__)
#define MOVE(...) syscall(429, __VA_ARGS__)
#define ATTR(...) syscall(442, __VA_ARGS__)
struct attr { uint64_t set, clear, propagation, users; };

static void told(const char *place) {
    char line[1024], wanted[300], here[200];
    FILE *file = fopen("/proc/self/mountinfo", "r");
    getcwd(here, sizeof here);
    sprintf(wanted, " %s/%s ", here, place);
    while (fgets(line, sizeof line, file)) {
        char *found = strstr(line, wanted);
        if (found) { found[strlen(found) - 1] = 0; printf("%s:%.24s\n", place, found + strlen(wanted)); }
    }
    fclose(file);
}
static void steps(void) {
    int fd, m, other;
    R(OPEN("nosuch", 0)); R(OPEN("tmpfs", 2)); R(OPEN(BAD, 0)); R(OPEN("ext4", 1) >= 0); Z(fd = OPEN("tmpfs", 1));
    R(fcntl(fd, F_GETFD)); char c[64]; R(read(fd, c, 64)); R(FSMOUNT(fd, 0, 0)); R(CONFIG(fd, 9, 0, 0, 0)); R(CONFIG(fd, 0, 0, 0, 0)); R(CONFIG(fd, 1, "size", 0, 0)); R(CONFIG(fd, 0, "ro", "x", 0)); R(CONFIG(fd, 0, "ro", 0, 1)); R(CONFIG(-1, 6, 0, 0, 0)); R(CONFIG(0, 6, 0, 0, 0)); R(CONFIG(99, 6, 0, 0, 0));
    R(CONFIG(fd, 1, "nosuch", "1", 0)); R(CONFIG(fd, 0, "nosuch", 0, 0)); R(CONFIG(fd, 1, "size", "1m", 0)); R(CONFIG(fd, 1, "size", "x", 0)); R(CONFIG(fd, 1, "mode", "700", 0)); R(CONFIG(fd, 1, "source", "mine", 0)); R(CONFIG(fd, 1, "source", "again", 0)); R(CONFIG(fd, 0, "source", 0, 0)); R(CONFIG(fd, 1, "uid", "9", 0)); R(CONFIG(fd, 0, "sync", 0, 0));
    R(CONFIG(fd, 7, 0, 0, 0)); R(CONFIG(fd, 6, 0, 0, 0)); R(CONFIG(fd, 6, 0, 0, 0)); R(CONFIG(fd, 1, "size", "2m", 0)); R(FSMOUNT(fd, 2, 0)); R(FSMOUNT(fd, 0, 0x100)); R(FSMOUNT(fd, 0, 0x30)); Z(m = FSMOUNT(fd, 1, 2 | 4 | 0x10)); R(FSMOUNT(fd, 0, 0)); R(CONFIG(fd, 7, 0, 0, 0));
    R(fcntl(m, F_GETFL) & O_PATH); struct stat st; R(fstat(m, &st)); R(st.st_mode); R(mkdirat(m, "inside", 0700)); R(openat(m, "file", O_CREAT | O_RDWR, 0600) >= 0); R(faccessat(AT_FDCWD, "d/inside", 0, 0));
    R(MOVE(m, "", AT_FDCWD, "d", 0)); R(MOVE(m, "", AT_FDCWD, "f", 4)); R(MOVE(m, "", AT_FDCWD, "nosuch", 4)); R(MOVE(m, "", AT_FDCWD, "d", 0x800)); R(MOVE(m, "", AT_FDCWD, "d", 4)); told("d"); R(access("d/inside", 0)); R(MOVE(m, "", AT_FDCWD, "e", 4)); told("d"); told("e"); R(MOVE(AT_FDCWD, "e", AT_FDCWD, "d", 0)); told("d"); R(MOVE(AT_FDCWD, "e", AT_FDCWD, "d", 0)); R(MOVE(AT_FDCWD, "d", AT_FDCWD, "d/inside", 0));
    close(m); close(fd); R(access("d/file", 0));
    Z(fd = OPEN("tmpfs", 0)); R(FSMOUNT(0, 0, 0)); R(FSMOUNT(-1, 0, 0)); R(CONFIG(fd, 0, "ro", 0, 0)); R(CONFIG(fd, 6, 0, 0, 0)); Z(m = FSMOUNT(fd, 0, 0)); R(mkdirat(m, "x", 0700)); R(MOVE(m, "", AT_FDCWD, "e", 4)); told("e"); R(umount2("e", 0)); R(mkdirat(m, "x", 0700)); close(m); R(umount2("e", 0));
    Z(fd = OPEN("tmpfs", 0)); R(CONFIG(fd, 6, 0, 0, 0)); Z(m = FSMOUNT(fd, 0, 0)); close(m); close(fd); Z(fd = OPEN("proc", 0)); R(CONFIG(fd, 6, 0, 0, 0)); R(CONFIG(fd, 6, 0, 0, 0)); R(FSMOUNT(fd, 0, 0));
}
static void trees(void) {
    int t, u;
    R(TREE(AT_FDCWD, "d", 0x8000)); R(TREE(AT_FDCWD, "d", 2)); R(TREE(AT_FDCWD, "nosuch", 1)); R(TREE(99, "", 0x1001)); Z(t = TREE(AT_FDCWD, "d", 0x80000)); R(fcntl(t, F_GETFD)); R(faccessat(t, "inside", 0, 0)); R(MOVE(t, "", AT_FDCWD, "e", 4)); told("e"); R(MOVE(t, "", AT_FDCWD, "d", 4)); told("d");
    R(mount("none", "d/inside", "tmpfs", 0, "mode=711")); Z(t = TREE(AT_FDCWD, "d", 1)); Z(u = TREE(AT_FDCWD, "d", 0x8001)); struct stat st;
    R(MOVE(t, "", AT_FDCWD, "e", 4)); stat("e/inside", &st); R(st.st_mode); R(umount2("e", 0)); close(t); R(umount2("e", 0)); R(MOVE(u, "", AT_FDCWD, "e", 4)); stat("e/inside", &st); R(st.st_mode); R(umount2("e", 0)); R(umount2("e", MNT_DETACH)); close(u);
    Z(t = TREE(AT_FDCWD, "f", 1)); R(MOVE(t, "", AT_FDCWD, "e", 4)); R(MOVE(t, "", AT_FDCWD, "g", 4)); char c[8] = {0}; int fd = open("g", O_RDONLY); R(read(fd, c, 7)); printf("%s\n", c); close(fd); close(t); told("g"); R(umount2("g", 0)); R(unlink("g"));
    Z(t = TREE(AT_FDCWD, "d/inside", 1)); close(t); Z(t = open("e", O_PATH)); Z(u = TREE(t, "", 0x1001)); R(MOVE(u, "", t, "", 0x44)); told("e"); close(u); close(t); R(umount2("e", 0));
}
static void attributes(void) {
    struct attr a = {0}; char big[64] = {0}; int fd;
    R(ATTR(AT_FDCWD, "d", 0, &a, 31)); R(ATTR(AT_FDCWD, "d", 0, &a, 5000)); R(ATTR(AT_FDCWD, "d", 2, &a, 32)); R(ATTR(AT_FDCWD, "nosuch", 0, &a, 32)); R(ATTR(AT_FDCWD, "d", 0, BAD, 32)); big[0] = 1; big[40] = 1; R(ATTR(AT_FDCWD, "d", 0, big, 64)); big[40] = 0; R(ATTR(AT_FDCWD, "d", 0, big, 64)); told("d");
    a.set = 1; R(ATTR(AT_FDCWD, "nosuch", 0, &a, 32)); R(ATTR(AT_FDCWD, "e", 0, &a, 32)); R(mkdir("d/no", 0700)); a.set = 0; a.clear = 1; R(ATTR(AT_FDCWD, "d", 0, &a, 32)); told("d"); R(mkdir("d/no", 0700));
    a.set = 8; a.clear = 4; R(ATTR(AT_FDCWD, "d", 0, &a, 32)); told("d"); a.set = 0x10; a.clear = 0; R(ATTR(AT_FDCWD, "d", 0, &a, 32)); a.clear = 0x70; R(ATTR(AT_FDCWD, "d", 0, &a, 32)); told("d"); a.set = 0x30; R(ATTR(AT_FDCWD, "d", 0, &a, 32)); a.clear = 0x10; R(ATTR(AT_FDCWD, "d", 0, &a, 32)); a.set = 0x20; a.clear = 0x70; R(ATTR(AT_FDCWD, "d", 0, &a, 32)); told("d"); a.set = 0x80; a.clear = 0; R(ATTR(AT_FDCWD, "d", 0, &a, 32)); told("d"); a.set = 0x400; R(ATTR(AT_FDCWD, "d", 0, &a, 32));
    memset(&a, 0, sizeof a); a.propagation = MS_PRIVATE; R(ATTR(AT_FDCWD, "d", 0, &a, 32)); a.propagation = MS_PRIVATE | MS_SLAVE; R(ATTR(AT_FDCWD, "d", 0, &a, 32)); a.propagation = 3; R(ATTR(AT_FDCWD, "d", 0, &a, 32)); a.propagation = 0; a.clear = 0x100000; R(ATTR(AT_FDCWD, "d", 0, &a, 32));
    a.clear = 0; a.set = 1; Z(fd = open("d/file", O_RDWR)); R(ATTR(AT_FDCWD, "d", 0, &a, 32)); close(fd); R(ATTR(AT_FDCWD, "d", 0x8000, &a, 32)); told("d"); R(mkdir("d/inside/x", 0700)); a.set = 0; a.clear = 1; R(ATTR(AT_FDCWD, "d", 0x8000, &a, 32));
    Z(fd = PICK(AT_FDCWD, "d", 0)); R(PICK(AT_FDCWD, "e", 0)); R(PICK(AT_FDCWD, "nosuch", 0)); R(PICK(AT_FDCWD, "d", 0x10)); R(CONFIG(fd, 6, 0, 0, 0)); R(FSMOUNT(fd, 0, 0)); R(CONFIG(fd, 1, "size", "3m", 0)); R(CONFIG(fd, 7, 0, 0, 0)); close(fd);
    Z(fd = PICK(AT_FDCWD, "d", 1)); R(CONFIG(fd, 0, "ro", 0, 0)); R(CONFIG(fd, 7, 0, 0, 0)); R(mkdir("d/later", 0700)); close(fd); Z(fd = PICK(AT_FDCWD, "d", 0)); R(CONFIG(fd, 0, "rw", 0, 0)); R(CONFIG(fd, 7, 0, 0, 0)); R(mkdir("d/later", 0700));
    Z(fd = TREE(AT_FDCWD, "d", 1)); a.set = 1; a.clear = 0; R(ATTR(fd, "", 0x1000, &a, 32)); R(MOVE(fd, "", AT_FDCWD, "e", 4)); told("e"); R(mkdir("e/more", 0700)); R(mkdir("d/more", 0700));
}
static void in_child(const char *what, int own) {
    printf("-- %s\n", what);
    pid_t child = fork();
    if (!child) {
        if (own) {
            int uid = getuid(), gid = getgid();
            unshare(CLONE_NEWUSER | CLONE_NEWNS);
            map_ids(0, uid, 0, gid);
        } else if (getuid() == 0) { setresuid(1000, 1000, 1000); }
        if (own) { steps(); trees(); attributes(); }
        else {
            struct attr a = {1};
            R(OPEN("tmpfs", 0)); R(OPEN("nosuch", 9)); R(OPEN(BAD, 0)); R(CONFIG(0, 6, 0, 0, 0)); R(FSMOUNT(-1, 99, 0)); R(PICK(AT_FDCWD, "nosuch", 99)); R(MOVE(-1, "", -1, "", 0x1000)); R(TREE(AT_FDCWD, "/", 1)); R(TREE(AT_FDCWD, "/", 0x8000)); Z(TREE(AT_FDCWD, "/", 0));
            R(ATTR(AT_FDCWD, "nosuch", 0, &a, 32)); R(ATTR(AT_FDCWD, "nosuch", 0, &a, 3)); R(ATTR(AT_FDCWD, "nosuch", 2, &a, 32));
        }
        exit(0);
    }
    waitpid(child, 0, 0);
}
int main(void) {
    setbuf(stdout, 0); mkdir("d", 0755); mkdir("e", 0755); close(open("f", O_CREAT | O_RDWR, 0644)); close(open("g", O_CREAT | O_RDWR, 0644));
    int fd = open("f", O_WRONLY); write(fd, "text", 4); close(fd); chmod(".", 0777);
    in_child("own", 1); in_child("nobody", 0);
    return 0;
}
