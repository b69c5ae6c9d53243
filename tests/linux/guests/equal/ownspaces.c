/* Name spaces of networks and of System V's objects, in a name space of users of one's own: empty at first, and apart. */
#include "users.h"
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>

static int ask(int fd, int kind, int flags, void *body, int size, int raw) {
    struct { struct nlmsghdr head; char body[256]; } asked = {{NLMSG_LENGTH(size), kind, NLM_F_REQUEST | NLM_F_ACK | flags, 1, 0}};
    memcpy(asked.body, body, size);
    char got[8192];
    send(fd, &asked, asked.head.nlmsg_len, 0);
    int n = recv(fd, got, sizeof got, 0);
    struct nlmsghdr *head = (void *)got;
    if (head->nlmsg_type == NLMSG_ERROR) return ((struct nlmsgerr *)NLMSG_DATA(head))->error;
    return raw ? n : head->nlmsg_type;
}
static int count(int fd, int kind, int family) {
    struct { struct nlmsghdr head; struct rtgenmsg body; } asked = {{NLMSG_LENGTH(1), kind, NLM_F_REQUEST | NLM_F_DUMP, 2, 0}, {family}};
    send(fd, &asked, asked.head.nlmsg_len, 0);
    for (int found = 0;;) {
        char got[8192];
        int n = recv(fd, got, sizeof got, 0);
        for (struct nlmsghdr *head = (void *)got; NLMSG_OK(head, n); head = NLMSG_NEXT(head, n)) {
            if (head->nlmsg_type == NLMSG_DONE) return found;
            if (head->nlmsg_type == NLMSG_ERROR) return -1;
            found++;
        }
    }
}
static struct { struct ifaddrmsg head; struct rtattr one; char ip[4]; struct rtattr two; char ip2[4]; } loopback =
    {{AF_INET, 8, IFA_F_PERMANENT, RT_SCOPE_HOST, 1}, {8, IFA_LOCAL}, {127, 0, 0, 1}, {8, IFA_ADDRESS}, {127, 0, 0, 1}};
static struct ifinfomsg up = {AF_UNSPEC, 0, 0, 1, IFF_UP, IFF_UP}, down = {AF_UNSPEC, 0, 0, 1, 0, IFF_UP},
    none = {AF_UNSPEC, 0, 0, 9, IFF_UP, IFF_UP}, nobody = {AF_UNSPEC, 0, 0, 0, IFF_UP, IFF_UP};
static void talk(int port) {
    struct sockaddr_in to = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}};
    int heard = socket(AF_INET, SOCK_STREAM, 0), told = socket(AF_INET, SOCK_STREAM, 0), datagram = socket(AF_INET, SOCK_DGRAM, 0);
    R(bind(heard, (void *)&to, sizeof to)); R(listen(heard, 1)); R(connect(told, (void *)&to, sizeof to)); R(sendto(datagram, "x", 1, 0, (void *)&to, sizeof to));
    to.sin_addr.s_addr = htonl(0x08080808); R(connect(datagram, (void *)&to, sizeof to));
    close(heard); close(told); close(datagram);
}
static void flags(void) {
    struct ifreq request = {{"lo"}};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    R(ioctl(fd, SIOCGIFFLAGS, &request)); R(request.ifr_flags); R(ioctl(fd, SIOCGIFADDR, &request));
    close(fd);
}
static void network(void) {
    become_root(CLONE_NEWNET);
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    flags(); talk(8080); R(count(fd, RTM_GETLINK, 0)); R(count(fd, RTM_GETADDR, AF_INET)); R(count(fd, RTM_GETADDR, AF_INET6));
    R(ask(fd, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &loopback, sizeof loopback, 0)); R(count(fd, RTM_GETADDR, AF_INET)); R(ask(fd, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &loopback, sizeof loopback, 0));
    R(ask(fd, RTM_NEWLINK, 0, &none, sizeof none, 0)); R(ask(fd, RTM_NEWLINK, 0, &nobody, sizeof none, 0)); R(ask(fd, RTM_NEWLINK, 0, &up, sizeof up, 0)); flags(); talk(80); talk(8080); R(count(fd, RTM_GETADDR, AF_INET)); R(count(fd, RTM_GETADDR, AF_INET6));
    R(ask(fd, RTM_NEWLINK, 0, &down, sizeof down, 0)); flags(); R(count(fd, RTM_GETADDR, AF_INET));
    struct ifreq request = {{"lo"}};
    request.ifr_flags = IFF_UP; R(ioctl(fd, SIOCSIFFLAGS, &request)); flags(); talk(8082); strcpy(request.ifr_name, "no"); R(ioctl(fd, SIOCSIFFLAGS, &request));
    R(ask(fd, RTM_DELADDR, 0, &loopback, sizeof loopback, 0)); R(ask(fd, RTM_DELADDR, 0, &loopback, sizeof loopback, 0)); R(count(fd, RTM_GETADDR, AF_INET));
    R(unshare(CLONE_NEWNET)); close(fd); fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); flags(); R(ask(fd, RTM_NEWLINK, 0, &up, sizeof up, 0)); flags(); talk(8081);
    R(unshare(CLONE_NEWNS)); R(mount("none", "d", "sysfs", 0, 0)); R(access("d/class/net/lo/ifindex", 0)); R(mount("none", "d", "proc", 0, 0));
}
static int named(const char *name, int abstract, int listens) {
    struct sockaddr_un to = {AF_UNIX};
    strcpy(to.sun_path + abstract, name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), size = 2 + abstract + strlen(name) + !abstract;
    if (listens) { R(bind(fd, (void *)&to, size)); R(listen(fd, 1)); }
    else { R(connect(fd, (void *)&to, size)); }
    return fd;
}
static void names(void) {
    named("axptr-spaces-test", 1, 1); named("s", 0, 1);
    int old = open("/proc/self/ns/net", O_RDONLY); struct stat first, now;
    fstat(old, &first);
    become_root(0);
    named("axptr-spaces-test", 1, 0); R(unshare(CLONE_NEWNET)); named("axptr-spaces-test", 1, 0); named("s", 0, 0); named("axptr-spaces-test", 1, 1); named("axptr-spaces-test", 1, 0);
    stat("/proc/self/ns/net", &now); R(now.st_ino == first.st_ino); R(setns(old, CLONE_NEWIPC)); R(setns(old, CLONE_NEWNET)); R(setns(old, 0));
    int fd = open("/proc/self/ns/net", O_RDONLY); R(ioctl(fd, 0xb703)); R(unshare(CLONE_NEWNET)); R(setns(fd, CLONE_NEWNET)); named("axptr-spaces-test", 1, 0);
    unlink("s");
}
static void objects(void) {
    int shm = shmget(0x5a5a01, 4096, IPC_CREAT | 0600), sem = semget(0x5a5a02, 1, IPC_CREAT | 0600), msg = msgget(0x5a5a03, IPC_CREAT | 0600);
    int old = open("/proc/self/ns/ipc", O_RDONLY);
    char *at = shmat(shm, 0, 0);
    struct sembuf add = {0, 3, SEM_UNDO};
    strcpy(at, "seen"); R(semop(sem, &add, 1)); R(semctl(sem, 0, GETVAL));
    become_root(CLONE_NEWIPC);
    R(shmget(0x5a5a01, 4096, 0)); R(semget(0x5a5a02, 1, 0)); R(msgget(0x5a5a03, 0)); printf("%s\n", at);
    int other = shmget(0x5a5a01, 8192, IPC_CREAT | 0600); struct shmid_ds about; R(other >= 0); R(shmctl(other, IPC_STAT, &about)); R(about.shm_perm.uid); R(about.shm_segsz);
    about.shm_perm.uid = 5; R(shmctl(other, IPC_SET, &about)); about.shm_perm.uid = 0; R(shmctl(other, IPC_SET, &about)); R(shmdt(at));
    struct stat now, mine; stat("/proc/self/ns/ipc", &now); fstat(old, &mine); R(now.st_ino == mine.st_ino); R(setns(old, CLONE_NEWIPC));
    fflush(stdout);
    if (!fork()) { R(unshare(CLONE_NEWIPC)); R(shmget(0x5a5a01, 8192, 0)); R(semget(IPC_PRIVATE, 2, 0600) >= 0); exit(0); }
    wait(0);
    R(shmget(0x5a5a01, 8192, 0) == other); R(shmctl(other, IPC_RMID, 0)); R(unshare(CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNS));
}
static void removed(void) {
    int shm = shmget(0x5a5a01, 4096, 0), sem = semget(0x5a5a02, 1, 0), msg = msgget(0x5a5a03, 0);
    struct shmid_ds about; shmctl(shm, IPC_STAT, &about); R(about.shm_nattch); R(semctl(sem, 0, GETVAL));
    R(shmctl(shm, IPC_RMID, 0)); R(semctl(sem, 0, IPC_RMID)); R(msgctl(msg, IPC_RMID, 0));
}
static void in_child(const char *what, void (*run)(void)) {
    printf("-- %s\n", what);
    pid_t child = fork();
    if (!child) { run(); exit(0); }
    waitpid(child, 0, 0);
}
int main(void) {
    setbuf(stdout, 0); mkdir("d", 0755);
    in_child("network", network); in_child("names", names); in_child("objects", objects); in_child("removed", removed);
    return 0;
}
