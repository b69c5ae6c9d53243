/* What is left of name spaces that no task is in any more: what is open, attached, connected or held by its file. */
#include "users.h"
#include <sched.h>
#include <signal.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void give(int socket, int fd) {
    char one = 0, space[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec part = {&one, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET; head->cmsg_type = SCM_RIGHTS; head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    R(sendmsg(socket, &message, 0));
}
static int take(int socket) {
    char one, space[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&one, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    int fd = -1;
    R(recvmsg(socket, &message, MSG_DONTWAIT));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}
static void tree(const char *text) {
    R(mount("none", "/tmp", "tmpfs", 0, "size=1m"));
    int fd = open("/tmp/file", O_CREAT | O_RDWR, 0600);
    R(write(fd, text, strlen(text)));
    R(mkdir("/tmp/inner", 0700));
    R(close(fd));
}
static void mounts(void) {
    int pair[2];
    char got[32] = {0};
    R(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    if (!fork()) {
        R(unshare(CLONE_NEWNS));
        tree("passed on");
        give(pair[0], open("/tmp/file", O_RDWR));
        give(pair[0], open("/tmp", O_RDONLY | O_DIRECTORY));
        fflush(stdout);
        _exit(0);
    }
    R(wait(NULL) > 0);
    int file = take(pair[1]), top = take(pair[1]);  /* both lay in messages when the name space went */
    struct stat at;
    R(read(file, got, sizeof got)); puts(got);
    R(fstat(file, &at)); printf("%d %d\n", (int)at.st_nlink, (int)at.st_size);
    R(close(file));
    file = openat(top, "file", O_RDONLY);
    memset(got, 0, sizeof got);
    R(read(file, got, sizeof got)); puts(got);
    R(openat(top, "inner", O_RDONLY) >= 0);
    R(mkdirat(top, "new", 0700));
    R(openat(top, "../bin", O_PATH) >= 0);
    R(fchdir(top));
    R(access("inner", F_OK));
    R(close(top)); R(close(file));
    R(access("inner", F_OK));
    R(chdir("/"));
    R(access("/tmp/file", F_OK));

    int ready[2];
    R(pipe(ready));
    int child = fork();
    if (!child) {
        R(unshare(CLONE_NEWNS));
        tree("kept by its name space");
        fflush(stdout);
        if (write(ready[1], "", 1) != 1) _exit(1);
        for (;;) pause();
    }
    char path[64], one;
    R(read(ready[0], &one, 1));
    sprintf(path, "/proc/%d/ns/mnt", child);
    int space = open(path, O_RDONLY);
    R(kill(child, SIGKILL));
    R(waitpid(child, NULL, 0) == child);
    R(setns(space, CLONE_NEWNS));
    R(close(space));
    file = open("/tmp/file", O_RDONLY);
    memset(got, 0, sizeof got);
    R(read(file, got, sizeof got)); puts(got);
    R(unshare(CLONE_NEWNS));
    R(access("/tmp/inner", F_OK));
    R(lseek(file, 0, SEEK_SET)); R(read(file, got, 4));
}
static void objects(void) {
    int segment = shmget(7, 8192, IPC_CREAT | 0600), queue = msgget(7, IPC_CREAT | 0600);
    char *memory = shmat(segment, NULL, 0);
    struct { long kind; char text[8]; } message = {1, "text"};
    strcpy(memory, "attached");
    R(msgsnd(queue, &message, 8, 0));
    R(unshare(CLONE_NEWIPC));
    R(shmget(7, 1, 0) >= 0); R(msgget(7, 0) >= 0);
    puts(memory);
    if (!fork()) { strcpy(memory, "shared"); R(shmdt(memory)); R(shmdt(memory)); fflush(stdout); _exit(0); }
    R(wait(NULL) > 0);
    puts(memory);
    R(shmdt(memory));
    R(shmdt(memory));
}
static void sockets(void) {
    struct sockaddr_in to = {AF_INET, htons(4000), {htonl(INADDR_LOOPBACK)}};
    struct ifreq card = {.ifr_name = "lo"};
    int heard = socket(AF_INET, SOCK_STREAM, 0), told = socket(AF_INET, SOCK_STREAM, 0);
    R(ioctl(heard, SIOCGIFFLAGS, &card));
    card.ifr_flags |= IFF_UP;
    R(ioctl(heard, SIOCSIFFLAGS, &card));
    R(bind(heard, (void *)&to, sizeof to)); R(listen(heard, 1));
    R(unshare(CLONE_NEWNET));
    R(connect(told, (void *)&to, sizeof to));
    int there = accept(heard, NULL, NULL);
    char got[8] = {0};
    R(send(told, "across", 7, 0)); R(recv(there, got, 8, 0)); puts(got);
    R(close(heard)); R(close(told)); R(recv(there, got, 8, 0)); R(close(there));
    R(connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&to, sizeof to));
}
static void run(void (*part)(void), int flags) {
    if (!fork()) { become_root(flags); part(); fflush(stdout); _exit(0); }
    int status;
    wait(&status);
    printf("%d\n", status);
}
int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    run(mounts, CLONE_NEWNS); run(objects, CLONE_NEWIPC); run(sockets, CLONE_NEWNET);
    return 0;
}
