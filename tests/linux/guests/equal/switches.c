/* How often a process left the CPU, by waiting and at the end of a slice: more after it did, and told the same by all
 * who tell it. */
#include "show.h"
#include <sys/wait.h>

static long told(const char *key) {
    char line[256];
    long value = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) value = atol(line + strlen(key) + 1);
    fclose(f);
    return value;
}

static struct rusage used(int who) {
    struct rusage u;
    getrusage(who, &u);
    return u;
}

int main(void) {
    long before = used(RUSAGE_SELF).ru_nvcsw;
    for (int i = 0; i < 5; i++) usleep(1000);
    R(used(RUSAGE_SELF).ru_nvcsw >= before + 5);
    R(used(RUSAGE_THREAD).ru_nvcsw >= before + 5);
    R(told("voluntary_ctxt_switches") >= before + 5);
    cpu_set_t one; /* all on one, or nobody is in another's way */
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    R(sched_setaffinity(0, sizeof one, &one));
    pid_t busy[4];
    for (int i = 0; i < 4; i++)
        if (!(busy[i] = fork())) for (;;) {}
    long seen;
    do {
        for (volatile long i = 0; i < 30000000; i++) {}
        seen = used(RUSAGE_SELF).ru_nivcsw;
    } while (!seen);
    R(told("nonvoluntary_ctxt_switches") >= seen);
    for (int i = 0; i < 4; i++) { kill(busy[i], 9); waitpid(busy[i], 0, 0); }
    pid_t child = fork();
    if (!child) { for (int i = 0; i < 3; i++) usleep(1000); _exit(0); }
    struct rusage of;
    int status;
    wait4(child, &status, 0, &of);
    R(of.ru_nvcsw >= 3);
    R(used(RUSAGE_CHILDREN).ru_nvcsw >= 3);
    return 0;
}
