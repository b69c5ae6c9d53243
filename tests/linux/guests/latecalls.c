/* Calls that few programs make, some of them newer than many kernels: each result on a line of its own, with the call's
   name before it. It runs in an empty directory. */
#include "equal/show.h"
#include <linux/futex.h>
#include <mqueue.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#define V(name, ...) do { errno = 0; long r_ = syscall(__NR_##name, ##__VA_ARGS__); show(#name "(" #__VA_ARGS__ ")", r_); } while (0)
#define T(name, ...) do { errno = 0; long r_ = (long)(__VA_ARGS__); show(#name "() " #__VA_ARGS__, r_); } while (0)
#define __NR_process_mrelease_ 448
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif
#ifndef __NR_set_mempolicy_home_node
#define __NR_set_mempolicy_home_node 450
#endif
#define __NR_mseal_ 462
#define __NR_setxattrat_ 463
#define __NR_getxattrat_ 464
#define __NR_listxattrat_ 465
#define __NR_removexattrat_ 466
#define __NR_futex_wake_ 454
#define __NR_futex_wait_ 455
#define __NR_futex_requeue_ 456
#define MPOL_BIND_ 2

struct range { uint64_t off, len; };
struct counts { uint64_t cache, dirty, writeback, evicted, recently; };
struct waiter { uint64_t val, uaddr; uint32_t flags, reserved; };
struct xargs { uint64_t value; uint32_t size, flags; };

static char *page(int prot) { return mmap(0, 4 * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

static void pages_in_cache(void) {
    int fd = open("cached", O_RDWR | O_CREAT, 0600), none = open(".", O_RDONLY), p[2], wo = open("cached", O_WRONLY);
    char buf[PAGE * 3] = {1};
    struct counts c = {9, 9, 9, 9, 9};
    struct range r = {0, 0};
    pipe(p);
    write(fd, buf, sizeof buf);
    V(cachestat, fd, &r, &c, 0); T(cachestat, c.cache);
    r.off = PAGE; r.len = PAGE; V(cachestat, fd, &r, &c, 0); T(cachestat, c.cache);
    r.off = 1; r.len = PAGE; V(cachestat, fd, &r, &c, 0); T(cachestat, c.cache);
    r.off = 100 * PAGE; V(cachestat, fd, &r, &c, 0); T(cachestat, c.cache); T(cachestat, c.evicted);
    V(cachestat, fd, &r, &c, 1); V(cachestat, -1, &r, &c, 0); V(cachestat, fd, 0, &c, 0); V(cachestat, fd, &r, 0, 0);
    V(cachestat, p[0], &r, &c, 0); r.off = 0; r.len = -1; V(cachestat, fd, &r, &c, 0); T(cachestat, c.cache);
    int m = memfd_create("m", 0); write(m, buf, 2 * PAGE); r.len = 0; V(cachestat, m, &r, &c, 0); T(cachestat, c.cache);
    close(fd); close(none); close(m); close(p[0]); close(p[1]); close(wo);
}

static uint32_t words[4];
static void *waker(void *which) {
    uint32_t *word = &words[(long)which];
    __atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
    while (syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0) == 0) sched_yield();
    return 0;
}

static void several_words(void) {
    struct waiter w[130] = {0};
    struct timespec past = {0, 1}, bad = {0, -1}, soon;
    for (int i = 0; i < 3; i++) w[i] = (struct waiter){0, (uint64_t)&words[i], 2 | 128, 0};
    V(futex_waitv, w, 0, 0, 0, CLOCK_MONOTONIC); V(futex_waitv, w, 129, 0, 0, CLOCK_MONOTONIC); V(futex_waitv, 0, 1, 0, 0, CLOCK_MONOTONIC);
    V(futex_waitv, BAD, 1, 0, 0, CLOCK_MONOTONIC); V(futex_waitv, w, 1, 1, 0, CLOCK_MONOTONIC); V(futex_waitv, w, 3, 0, &past, CLOCK_MONOTONIC);
    V(futex_waitv, w, 3, 0, &bad, CLOCK_MONOTONIC); V(futex_waitv, w, 3, 0, &past, CLOCK_REALTIME); V(futex_waitv, w, 3, 0, &past, CLOCK_BOOTTIME);
    w[1].val = 5; V(futex_waitv, w, 3, 0, &past, CLOCK_MONOTONIC); w[1].val = 0;
    w[1].flags = 128; V(futex_waitv, w, 3, 0, &past, CLOCK_MONOTONIC); w[1].flags = 2 | 64 | 128; V(futex_waitv, w, 3, 0, &past, CLOCK_MONOTONIC); w[1].flags = 130;
    w[1].reserved = 1; V(futex_waitv, w, 3, 0, &past, CLOCK_MONOTONIC); w[1].reserved = 0;
    w[1].uaddr += 1; V(futex_waitv, w, 3, 0, &past, CLOCK_MONOTONIC); w[1].uaddr = 0; V(futex_waitv, w, 3, 0, &past, CLOCK_MONOTONIC); w[1].uaddr = (uint64_t)&words[1];
    w[1].val = 1ULL << 32; V(futex_waitv, w, 3, 0, &past, CLOCK_MONOTONIC); w[1].val = 0;
    for (long i = 0; i < 3; i++) {
        pthread_t t; words[i] = 0;
        pthread_create(&t, 0, waker, (void *)i);
        long r = syscall(__NR_futex_waitv, w, 3, 0, 0, CLOCK_MONOTONIC);
        int late = r == -1 && errno == EAGAIN; /* the word was changed before anybody waited */
        if (late) while (syscall(SYS_futex, &words[i], FUTEX_WAIT_PRIVATE, 1, 0, 0, 0)) ;
        pthread_join(t, 0);
        printf("futex_waitv() of word %ld: %d\n", i, late || r == i || errno == ENOSYS);
        words[i] = 0;
    }
    V(futex_wake_, &words[0], 1, 1, 2 | 128); V(futex_wake_, &words[0], 1, 1, 0); V(futex_wake_, &words[0], 1, 1, 256); V(futex_wake_, 1, 1, 1, 2);
    V(futex_wake_, &words[0], 0, 1, 2); V(futex_wake_, &words[0], 1L << 32, 1, 2);
    clock_gettime(CLOCK_MONOTONIC, &soon);
    V(futex_wait_, &words[0], 1, 1, 2 | 128, 0, CLOCK_MONOTONIC); V(futex_wait_, &words[0], 0, 1, 2 | 128, &past, CLOCK_MONOTONIC); V(futex_wait_, &words[0], 0, 0, 2 | 128, &past, CLOCK_MONOTONIC);
    w[0].flags = w[1].flags = 130; V(futex_requeue_, w, 0, 1, 1); V(futex_requeue_, w, 1, 1, 1); V(futex_requeue_, w, 0, -1, 1); w[0].val = 7; V(futex_requeue_, w, 0, 1, 1); V(futex_requeue_, 0, 0, 1, 1);
}

static void same_things(void) {
    int fd = open("cached", O_RDONLY), other = dup(fd), third = open("cached", O_RDONLY), ep = epoll_create1(0);
    struct epoll_event e = {EPOLLIN};
    struct { uint32_t efd, tfd, toff; } slot = {ep, 1, 0};
    int p[2]; pipe(p); slot.tfd = p[0];
    pid_t me = getpid(), child = fork();
    if (!child) { pause(); _exit(0); }
    V(kcmp, me, me, 0, fd, other); T(kcmp, syscall(SYS_kcmp, me, me, 0, fd, third) > 0); T(kcmp, syscall(SYS_kcmp, me, me, 0, fd, third) + syscall(SYS_kcmp, me, me, 0, third, fd));
    V(kcmp, me, me, 0, fd, 99); V(kcmp, me, me, 0, -1, fd); V(kcmp, me, me, 1, 0, 0); V(kcmp, me, me, 2, 0, 0); V(kcmp, me, me, 3, 0, 0); V(kcmp, me, me, 4, 0, 0); V(kcmp, me, me, 5, 0, 0); V(kcmp, me, me, 6, 0, 0);
    V(kcmp, me, me, 8, 0, 0); V(kcmp, me, me, -1, 0, 0); V(kcmp, me, child, 0, fd, fd); V(kcmp, me, 1 << 30, 0, 0, 0); V(kcmp, -1, me, 0, 0, 0);
    for (int kind = 1; kind < 7; kind++) printf("kcmp(): %d of the child: %d\n", kind, syscall(SYS_kcmp, me, child, kind, 0, 0) > 0);
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
    V(kcmp, me, me, 7, p[0], &slot); T(kcmp, syscall(SYS_kcmp, me, me, 7, fd, &slot) > 0); slot.toff = 1; V(kcmp, me, me, 7, p[0], &slot); slot.efd = fd; V(kcmp, me, me, 7, p[0], &slot); V(kcmp, me, me, 7, p[0], 8);
    kill(child, SIGKILL); waitpid(child, 0, 0); V(kcmp, me, child, 0, 0, 0);
    close(fd); close(other); close(third); close(ep); close(p[0]); close(p[1]);
}

static void pages(void) {
    char *m = page(PROT_READ | PROT_WRITE);
    void *at[4] = {m, m + PAGE, m + PAGE, (void *)0x10000};
    int nodes[4] = {0, 0, 0, 0}, status[4] = {77, 77, 77, 77}, wrong[1] = {-1}, far[1] = {4000};
    m[0] = 1; m[PAGE] = 1;
    V(move_pages, 0, 4, at, 0, status, 0); for (int i = 0; i < 4; i++) printf("move_pages() status %d\n", status[i]);
    V(move_pages, 0, 2, at, nodes, status, 2); for (int i = 0; i < 2; i++) printf("move_pages() status %d\n", status[i]);
    V(move_pages, getpid(), 1, at, 0, status, 0); V(move_pages, 0, 0, 0, 0, 0, 0); V(move_pages, 0, 1, 0, 0, status, 0); V(move_pages, 0, 1, at, 0, 0, 0); V(move_pages, 0, 1, at, BAD, status, 0);
    V(move_pages, 0, 1, at, wrong, status, 2); V(move_pages, 0, 1, at, far, status, 2); V(move_pages, 0, 1, at, 0, status, 8); V(move_pages, 1 << 30, 1, at, 0, status, 0);
    unsigned long one = 1;
    V(set_mempolicy_home_node, m, PAGE, 0, 0); V(set_mempolicy_home_node, m, PAGE, 0, 1); V(set_mempolicy_home_node, m, PAGE, 4000, 0); V(set_mempolicy_home_node, m + 1, PAGE, 0, 0); V(set_mempolicy_home_node, m, 0, 0, 0);
    V(migrate_pages, 0, 2, &one, &one); V(migrate_pages, 0, 2, &one, BAD); V(migrate_pages, 1 << 30, 2, &one, &one);
    munmap(m, 4 * PAGE);
    m = page(PROT_READ | PROT_WRITE);
    V(mseal_, m, PAGE, 0); V(mseal_, m, PAGE, 1); V(mseal_, m + 1, PAGE, 0); V(mseal_, m, 0, 0); V(mseal_, m + 100 * PAGE, -1UL - PAGE, 0); V(mseal_, m, PAGE, 0);
    if (syscall(__NR_mseal_, m, PAGE, 0) == 0 || 1) {
        T(mseal_, munmap(m, PAGE)); T(mseal_, mprotect(m, PAGE, PROT_READ)); T(mseal_, (long)mremap(m, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == -1); T(mseal_, madvise(m, PAGE, MADV_DONTNEED)); T(mseal_, (m[0] = 3));
        T(mseal_, (long)mmap(m, PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == -1); T(mseal_, munmap(m, 2 * PAGE)); T(mseal_, munmap(m + PAGE, PAGE)); T(mseal_, (long)mremap(m + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, m) == -1);
    }
    char *r = page(PROT_READ | PROT_WRITE);
    struct iovec v[2] = {{r, PAGE}, {r + PAGE, PAGE}}, odd[1] = {{r + 1, PAGE}};
    int self = syscall(SYS_pidfd_open, getpid(), 0);
    V(process_madvise, self, v, 2, MADV_COLD, 0); V(process_madvise, self, v, 2, MADV_PAGEOUT, 0); V(process_madvise, self, v, 2, MADV_WILLNEED, 0); V(process_madvise, self, v, 2, MADV_COLD, 1); V(process_madvise, -1, v, 2, MADV_COLD, 0);
    V(process_madvise, self, 0, 2, MADV_COLD, 0); V(process_madvise, self, v, 0, MADV_COLD, 0); V(process_madvise, self, v, 2000, MADV_COLD, 0); V(process_madvise, self, odd, 1, MADV_COLD, 0); V(process_madvise, 0, v, 1, MADV_COLD, 0);
    V(process_mrelease, self, 0); V(process_mrelease, self, 1); V(process_mrelease, -1, 0); V(process_mrelease, 0, 0);
    pid_t child = fork(); if (!child) { pause(); _exit(0); }
    int its = syscall(SYS_pidfd_open, child, 0);
    V(process_mrelease, its, 0); V(process_madvise, its, v, 1, 99, 0);
    V(pidfd_getfd, its, 1, 1); V(pidfd_getfd, its, 99, 0); V(pidfd_getfd, 0, 0, 0); T(pidfd_getfd, syscall(SYS_pidfd_getfd, its, 1, 0) > 2);
    kill(child, SIGKILL); waitpid(child, 0, 0); V(pidfd_getfd, its, 1, 0); V(process_madvise, its, v, 1, MADV_COLD, 0); V(process_mrelease, its, 0);
    V(remap_file_pages, r, PAGE, 1, 0, 0); V(remap_file_pages, r, PAGE, 0, 0, 0);
}

static void attributes(void) {
    int dir = open(".", O_RDONLY | O_DIRECTORY), fd = open("attributed", O_RDWR | O_CREAT, 0600);
    char got[64] = "", list[64] = "";
    struct xargs set = {(uint64_t)"value", 5, 0}, get = {(uint64_t)got, 64, 0}, create = {(uint64_t)"v2", 2, XATTR_CREATE}, bad = {(uint64_t)"v2", 2, 4}, small = {(uint64_t)got, 2, 0};
    V(setxattrat_, dir, "attributed", 0, "user.a", &set, sizeof set); V(setxattrat_, dir, "attributed", 0, "user.a", &create, sizeof set); V(setxattrat_, dir, "attributed", 0, "user.a", &bad, sizeof set);
    V(setxattrat_, dir, "attributed", 0, "user.a", &set, 8); V(setxattrat_, dir, "attributed", 0, "user.a", &set, 5000); V(setxattrat_, dir, "nosuch", 0, "user.a", &set, sizeof set); V(setxattrat_, dir, "attributed", 1, "user.a", &set, sizeof set);
    V(setxattrat_, dir, "attributed", 0, BAD, &set, sizeof set); V(setxattrat_, dir, "attributed", 0, "user.a", BAD, sizeof set); V(setxattrat_, -1, "attributed", 0, "user.a", &set, sizeof set); V(setxattrat_, fd, "", AT_EMPTY_PATH, "user.b", &set, sizeof set);
    V(setxattrat_, fd, 0, AT_EMPTY_PATH, "user.b", &set, sizeof set); V(setxattrat_, dir, "attributed", 0, "nokind", &set, sizeof set);
    V(getxattrat_, dir, "attributed", 0, "user.a", &get, sizeof get); printf("getxattrat_() %s\n", got); V(getxattrat_, dir, "attributed", 0, "user.a", &small, sizeof get); V(getxattrat_, dir, "attributed", 0, "user.c", &get, sizeof get);
    get.flags = 1; V(getxattrat_, dir, "attributed", 0, "user.a", &get, sizeof get); get.flags = 0; V(getxattrat_, fd, "", AT_EMPTY_PATH, "user.b", &get, sizeof get); get.size = 0; V(getxattrat_, fd, "", AT_EMPTY_PATH, "user.b", &get, sizeof get);
    V(listxattrat_, dir, "attributed", 0, list, 64); V(listxattrat_, dir, "attributed", 0, 0, 0); V(listxattrat_, dir, "attributed", 0, list, 3); V(listxattrat_, dir, "attributed", 0x2000, list, 64); V(listxattrat_, fd, "", AT_EMPTY_PATH, list, 64);
    V(removexattrat_, dir, "attributed", 0, "user.a"); V(removexattrat_, dir, "attributed", 0, "user.a"); V(removexattrat_, fd, "", AT_EMPTY_PATH, "user.b"); V(removexattrat_, dir, "attributed", 1, "user.a"); V(removexattrat_, dir, "attributed", 0, 0);
}

static void queues(void) {
    char name[64]; sprintf(name, "/axptr-test-%d", getpid());
    struct mq_attr first = {0, 3, 16}, now, set = {O_NONBLOCK, 99, 99};
    mqd_t q = mq_open(name, O_RDWR | O_CREAT, 0600, &first);
    V(mq_getsetattr, q, 0, &now); printf("mq_getsetattr() %ld %ld %ld %ld\n", now.mq_flags, now.mq_maxmsg, now.mq_msgsize, now.mq_curmsgs);
    V(mq_getsetattr, q, &set, &now); printf("mq_getsetattr() %ld\n", now.mq_flags); V(mq_getsetattr, q, 0, &now); printf("mq_getsetattr() %ld %ld\n", now.mq_flags, now.mq_maxmsg);
    set.mq_flags = 1; V(mq_getsetattr, q, &set, 0); V(mq_getsetattr, q, BAD, 0); V(mq_getsetattr, q, 0, BAD); V(mq_getsetattr, 1, 0, &now); V(mq_getsetattr, -1, 0, &now); V(mq_getsetattr, q, 0, 0);
    mq_send(q, "hello", 5, 1); mq_getattr(q, &now); printf("mq_getsetattr() %ld\n", now.mq_curmsgs);
    set.mq_flags = 0; V(mq_getsetattr, q, &set, &now); printf("mq_getsetattr() %ld\n", now.mq_flags); mq_unlink(name); mq_close(q);
}

int main(void) {
    setbuf(stdout, 0);
    pages_in_cache(); same_things(); several_words(); pages(); attributes(); queues();
    int fd = open("cached", O_RDONLY); char data[64];
    V(quotactl_fd, -1, 0x800007 << 8, 0, data); V(quotactl_fd, 99, 0, 0, 0); V(quotactl, 0x800007 << 8, "nosuch", 0, data); V(quotactl, (0x800001 << 8) | 3, 0, 0, 0); V(quotactl, 0x800001 << 8, 0, 0, 0); V(quotactl, 0x800007 << 8, 0, 0, data);
    V(lookup_dcookie, 1, data, 64); V(sysfs, 9); V(ustat, 12345, data); struct stat root; stat("/", &root); V(ustat, root.st_dev, data); V(ustat, root.st_dev, BAD); V(restart_syscall); V(uselib, "x"); V(_sysctl, 0); V(vserver); V(tuxcall); V(afs_syscall); V(getpmsg); V(putpmsg); V(security); V(nfsservctl); V(create_module); V(get_kernel_syms); V(query_module);
    return 0;
}
