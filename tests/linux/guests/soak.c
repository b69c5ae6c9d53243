/* Does over and over what leaves something to be given back: `KIND COUNT` on standard input, `done` on the output. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#define CHECK(what) do { if (!(what)) { printf("%s: %s\n", #what, strerror(errno)); fflush(stdout); _exit(1); } } while (0)
static char *self;
static void forks(void) {
    int status; pid_t child = fork(); CHECK(child >= 0);
    if (!child) { volatile char page[8192]; page[0] = page[8191] = 1; _exit(7); }
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
}
static void execs(void) {
    int status; pid_t child = vfork(); CHECK(child >= 0);
    if (!child) { execl(self, self, "end", (char *)0); _exit(1); }
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 9);
}
static void calls(void) { CHECK(syscall(SYS_getppid) > 0); }
static void *run(void *at) { return at; }
static void threads(void) {
    pthread_t one, two; void *back;
    CHECK(!pthread_create(&one, 0, run, &one)); CHECK(!pthread_create(&two, 0, run, 0));
    CHECK(!pthread_join(one, &back) && back == &one); CHECK(!pthread_join(two, 0));
}
static void pipes(void) {
    int p[2], pair[2]; char c = 0;
    CHECK(!pipe(p)); CHECK(write(p[1], "x", 1) == 1 && read(p[0], &c, 1) == 1 && c == 'x'); close(p[0]); close(p[1]);
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair)); CHECK(write(pair[0], "yz", 2) == 2); close(pair[0]); close(pair[1]);
}
static void files(void) {
    struct epoll_event event = {EPOLLIN, {0}};
    int e = epoll_create1(0), v = eventfd(1, 0), m = memfd_create("m", 0); CHECK(e >= 0 && v >= 0 && m >= 0);
    CHECK(!epoll_ctl(e, EPOLL_CTL_ADD, v, &event)); CHECK(epoll_wait(e, &event, 1, -1) == 1); CHECK(!ftruncate(m, 8192));
    char *at = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0); CHECK(at != MAP_FAILED); at[5000] = 1;
    CHECK(!munmap(at, 8192)); close(e); close(v); close(m);
}
static void on(int signal) { (void)signal; }
static void signals(void) {
    pid_t child = fork(); CHECK(child >= 0);
    if (!child) { pause(); _exit(0); }
    kill(child, SIGSTOP); kill(child, SIGCONT); kill(child, SIGKILL); CHECK(waitpid(child, 0, 0) == child);
    raise(SIGUSR1);
}
static struct { const char *name; void (*once)(void); } kinds[] = {
    {"forks", forks}, {"execs", execs}, {"calls", calls}, {"threads", threads}, {"pipes", pipes}, {"files", files},
    {"signals", signals},
};
int main(int argc, char **argv) {
    char kind[20]; long count; self = "/proc/self/exe";
    if (argc > 1) return 9;
    signal(SIGUSR1, on);
    while (scanf("%19s %ld", kind, &count) == 2) {
        for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
            if (!strcmp(kinds[i].name, kind)) while (count--) kinds[i].once();
        puts("done"); fflush(stdout);
    }
    return 0;
}
