/* What descriptors tell of themselves (/proc/self/fdinfo), and what queues, segments and terminals say to odd asking. */
#include "show.h"
#include <mqueue.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>

/* Without numbers that differ from machine to machine, and the handle of a watched file. */
static void told(int fd) {
    char text[2000], *line, *rest = text, *cut;
    snprintf(text, sizeof text, "/proc/self/fdinfo/%d", fd);
    int from = open(text, O_RDONLY), size = read(from, text, sizeof text - 1);
    close(from);
    text[size > 0 ? size : 0] = 0;
    while ((line = strsep(&rest, "\n"))) {
        if (!strncmp(line, "mnt_id", 6) || !strncmp(line, "ino:", 4) || !strncmp(line, "eventfd-id", 10)) continue;
        if ((cut = strstr(line, "ino:"))) {
            char *mask = strstr(line, " mask:");
            *cut = 0;
            if (mask) { printf("%s", line); line = mask; *strstr(mask, "ignored_mask:0 ") = 0; }
        }
        if (!strncmp(line, "it_value: (", 11) && strcmp(line, "it_value: (0, 0)")) continue;
        printf("%s\n", line);
    }
}

int main(void) {
    setbuf(stdout, 0);
    int p[2], s[2], fd = open("f", O_RDWR | O_CREAT, 0600);
    struct epoll_event event = {EPOLLIN, {.u64 = 77}};
    struct itimerspec beat = {{7, 5}, {1, 0}};
    sigset_t mask;
    pipe(p);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    told(p[0]); told(s[0]); told(open(".", O_RDONLY | O_CLOEXEC)); told(open("f", O_PATH));
    told(eventfd(0x1f, EFD_NONBLOCK | EFD_SEMAPHORE));
    sigemptyset(&mask); sigaddset(&mask, SIGUSR1); sigaddset(&mask, SIGRTMIN);
    told(signalfd(-1, &mask, 0));
    int timer = timerfd_create(CLOCK_MONOTONIC, 0), poll = epoll_create1(0), tell = inotify_init();
    told(timer); timerfd_settime(timer, TFD_TIMER_ABSTIME, &beat, 0); usleep(1000);
    char eight[8];
    read(timer, eight, 8);
    told(timer);
    write(fd, "four", 4);
    int watched[] = {p[0], fd = dup(s[0]), p[1]}, events[] = {EPOLLIN, EPOLLIN | EPOLLET | EPOLLRDHUP, EPOLLOUT | EPOLLONESHOT};
    for (int i = 0; i < 3; i++) {
        event.events = events[i];
        epoll_ctl(poll, EPOLL_CTL_ADD, watched[i], &event);
        epoll_wait(poll, &(struct epoll_event){0}, 1, 0);
        told(poll);
        epoll_ctl(poll, EPOLL_CTL_DEL, watched[i], 0);
    }
    inotify_add_watch(tell, ".", IN_CREATE | IN_DELETE); inotify_add_watch(tell, "f", IN_MODIFY | IN_ONESHOT);
    told(tell);

    /* what can be watched */
    event.events = EPOLLIN;
    for (int i = 0; i < 5; i++) {
        about = (char *[]){"mounts ", "mountinfo ", "status ", "/proc/mounts ", "fd "}[i];
        R(epoll_ctl(poll, EPOLL_CTL_ADD, open((char *[]){"/proc/self/mounts", "/proc/self/mountinfo", "/proc/self/status", "/proc/mounts", "/proc/self/fd"}[i], O_RDONLY), &event));
    }
    about = "";

    /* POSIX queues: closed by exec whatever is said, with a position, read at it */
    char text[100], name[40];
    snprintf(name, sizeof name, "/told-%d", getpid());
    struct mq_attr attr = {0, 2, 8, 0};
    int queue = mq_open(name, O_RDWR | O_CREAT, 0600, &attr);
    R(fcntl(queue, F_GETFD)); R(read(queue, text, 5)); R(lseek(queue, 0, SEEK_CUR)); R(lseek(queue, -1, SEEK_SET)); R(lseek(queue, 0, SEEK_END));
    R(lseek(queue, 0, SEEK_HOLE)); R(lseek(queue, 80, SEEK_DATA)); R(lseek(queue, 0, SEEK_DATA)); R(read(queue, text, 99)); R(lseek(queue, 6, SEEK_SET)); R(mq_send(queue, "abc", 3, 0)); R(read(queue, text, 4));
    printf("%.4s\n", text);
    mq_unlink(name);

    /* System V: an owner who is nobody */
    struct shmid_ds shm; struct semid_ds sem; struct msqid_ds msg;
    int a = shmget(IPC_PRIVATE, 10, 0600), b = semget(IPC_PRIVATE, 1, 0600), c = msgget(IPC_PRIVATE, 0600);
    shmctl(a, IPC_STAT, &shm); semctl(b, 0, IPC_STAT, &sem); msgctl(c, IPC_STAT, &msg);
    shm.shm_perm.uid = sem.sem_perm.uid = msg.msg_perm.gid = -1;
    R(shmctl(a, IPC_SET, &shm)); R(semctl(b, 0, IPC_SET, &sem)); R(msgctl(c, IPC_SET, &msg));
    shmctl(a, IPC_STAT, &shm); semctl(b, 0, IPC_STAT, &sem); msgctl(c, IPC_STAT, &msg);
    R(shm.shm_perm.uid == geteuid()); R(sem.sem_perm.uid == geteuid()); R(msg.msg_perm.gid == getegid());
    shmctl(a, IPC_RMID, 0); semctl(b, 0, IPC_RMID); msgctl(c, IPC_RMID, 0);

    /* terminals: which modes are locked; a master in packet mode that hears of EXTPROC alone */
    struct termios modes, locked;
    int master, slave, on = 1;
    openpty(&master, &slave, 0, 0, 0);
    tcgetattr(slave, &modes);
    memset(&locked, 1, sizeof locked);
    R(ioctl(slave, TIOCGLCKTRMIOS, &locked)); R(locked.c_lflag); R(locked.c_cc[3]); R(ioctl(slave, TIOCGLCKTRMIOS, BAD));
    ioctl(master, TIOCPKT, &on);
    modes.c_iflag &= ~IXON; tcsetattr(slave, TCSANOW, &modes); R(read(master, text, 9)); R(text[0]);
    modes.c_lflag |= 0200000; tcsetattr(slave, TCSANOW, &modes); R(read(master, text, 9)); R(text[0]);
    modes.c_lflag &= ~0200000; modes.c_iflag |= IXON; tcsetattr(slave, TCSANOW, &modes); R(read(master, text, 9)); R(text[0]);

    /* a slave has the owner and the mode that it is given */
    char *slaves = ttyname(slave);
    struct stat status;
    R(chmod(slaves, 0604)); R(chown(slaves, 99, -1)); R(fchown(slave, -1, 7));
    stat(slaves, &status);
    R(status.st_mode); R(status.st_uid); R(status.st_gid); R(fchmod(slave, 04722)); R(utimensat(AT_FDCWD, slaves, 0, 0));
    fstat(slave, &status);
    R(status.st_mode); R(truncate(slaves, 0));
    fflush(stdout);
    if (!fork()) {
        setresgid(1, 1, 1); setresuid(98, 98, 98);
        R(chmod(slaves, 0666)); R(chown(slaves, 98, -1)); R(open(slaves, O_RDONLY | O_NOCTTY)); Z(open(slaves, O_WRONLY | O_NOCTTY));
        _exit(0);
    }
    wait(0);

    /* slack of timers: what 0 sets again is what the parent had */
    prctl(PR_SET_TIMERSLACK, 1234);
    fflush(stdout);
    if (!fork()) { R(prctl(PR_GET_TIMERSLACK)); prctl(PR_SET_TIMERSLACK, 5); prctl(PR_SET_TIMERSLACK, 0); R(prctl(PR_GET_TIMERSLACK)); _exit(0); }
    wait(0);
    return 0;
}
