/* What calls and files tell of users and groups, to whom these are called otherwise. */
#include "users.h"
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <grp.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>

union semun { int val; struct semid_ds *buf; };
static int shm, sem, msg, kept, port;

/* The columns of a table's line that has this word among its first ones: `from` on, `count` of them. */
static void column(const char *name, const char *word, int at, int from, int count) {
    char line[512];
    FILE *file = fopen(name, "r");
    while (file && fgets(line, sizeof line, file)) {
        char *words[32], *last, *one = strtok_r(line, " \n", &last);
        int n = 0;
        for (; one && n < 32; one = strtok_r(0, " \n", &last)) words[n++] = one;
        if (n > at && strstr(words[at], word)) {
            printf("%s:", name);
            for (int i = from; i < from + count && i < n; i++) printf(" %s", words[i]);
            printf("\n");
        }
    }
    if (file) fclose(file);
}
/* The owner of the socket at our port, as netlink's dump of them has it. */
static void dumped(void) {
    struct { struct nlmsghdr head; struct inet_diag_req_v2 body; } asked = {{sizeof asked, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {AF_INET, IPPROTO_TCP, 0, 0, -1}};
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG), over = 0;
    send(fd, &asked, sizeof asked, 0);
    while (!over) {
        static char got[65536];
        int n = recv(fd, got, sizeof got, 0);
        if (n <= 0) break;
        for (struct nlmsghdr *head = (void *)got; NLMSG_OK(head, n); head = NLMSG_NEXT(head, n)) {
            struct inet_diag_msg *one = NLMSG_DATA(head);
            if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY) over = 1;
            else if (ntohs(one->id.idiag_sport) == port) printf("dump: %d\n", one->idiag_uid);
        }
    }
    close(fd);
}
static void told(const char *what) {
    struct shmid_ds s; struct msqid_ds m; struct semid_ds e; union semun arg = {.buf = &e}; uint32_t uids[2] = {0};
    char word[32];
    printf("-- %s\n", what);
    if (!shmctl(shm, IPC_STAT, &s)) printf("%d:%d %d:%d\n", s.shm_perm.uid, s.shm_perm.gid, s.shm_perm.cuid, s.shm_perm.cgid);
    if (!msgctl(msg, IPC_STAT, &m)) printf("%d:%d %d:%d\n", m.msg_perm.uid, m.msg_perm.gid, m.msg_perm.cuid, m.msg_perm.cgid);
    if (!semctl(sem, 0, IPC_STAT, arg)) printf("%d:%d %d:%d\n", e.sem_perm.uid, e.sem_perm.gid, e.sem_perm.cuid, e.sem_perm.cgid);
    R(fcntl(kept, 17 /* F_GETOWNER_UIDS */, uids)); printf("%d %d\n", uids[0], uids[1]);
    sprintf(word, "%d", shm); column("/proc/sysvipc/shm", word, 1, 7, 4);
    sprintf(word, "%d", sem); column("/proc/sysvipc/sem", word, 1, 4, 4);
    sprintf(word, "%d", msg); column("/proc/sysvipc/msg", word, 1, 7, 4);
    sprintf(word, ":%04X", port); column("/proc/self/net/tcp", word, 1, 7, 1);
    dumped();
}
int main(void) {
    setbuf(stdout, 0);
    if (!getuid()) { setgroups(0, 0); setresgid(1000, 1000, 1000); setresuid(1000, 1000, 1000); prctl(4 /* PR_SET_DUMPABLE */, 1); }
    shm = shmget(IPC_PRIVATE, 4096, 0666); sem = semget(IPC_PRIVATE, 1, 0666); msg = msgget(IPC_PRIVATE, 0666);
    struct sockaddr_in to = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}}; socklen_t size = sizeof to;
    kept = socket(AF_INET, SOCK_STREAM, 0); bind(kept, (void *)&to, size); listen(kept, 1); getsockname(kept, (void *)&to, &size); port = ntohs(to.sin_port);
    fcntl(kept, F_SETOWN, getpid());
    int uid = getuid(), gid = getgid();
    told("first");
    R(unshare(CLONE_NEWUSER)); told("without a name");
    map_ids(7, uid, 8, gid);
    told("by another name");
    R(shmctl(shm, IPC_RMID, 0)); R(semctl(sem, 0, IPC_RMID)); R(msgctl(msg, IPC_RMID, 0));
    return 0;
}
