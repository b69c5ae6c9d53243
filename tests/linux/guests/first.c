/* What there is of the machine's first process: prints calls and their results, a line each. argument: `save` first
   opens a descriptor of it and waits for a byte on standard input. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW(call)                                                                        \
    do {                                                                                  \
        errno = 0;                                                                        \
        long result = (long)(call);                                                       \
        printf("%s = %ld %s\n", #call, result, result == -1 ? strerrorname_np(errno) : ""); \
    } while (0)

static void orphan(void) {
    int pipes[2];
    char byte;
    pipe(pipes);
    if (!fork()) {
        pid_t parent = getpid();
        if (!fork()) {
            while (getppid() == parent)
                sched_yield();
            printf("orphan of %d\n", getppid());
            fflush(stdout);
            kill(getppid(), SIGTERM);
            _exit(3);
        }
        _exit(0);
    }
    close(pipes[1]);
    wait(NULL);
    read(pipes[0], &byte, 1); /* until the orphan has ended */
    SHOW(wait(NULL));
}

int main(int argc, char **argv) {
    struct rlimit limit;
    struct sched_param param;
    struct timespec slice;
    struct stat about;
    char path[300], text[200];
    cpu_set_t cpus;
    long words[16];
    setvbuf(stdout, NULL, _IOLBF, 0);
    int fd = syscall(SYS_pidfd_open, 1, 0);
    if (argc > 1) {
        printf("ready\n");
        read(0, text, 1);
    }
    struct pollfd poll_fd = {fd, POLLIN, 0};
    SHOW(kill(1, 0));
    SHOW(kill(1, 65));
    SHOW(kill(1, SIGKILL));
    SHOW(kill(1, SIGSTOP));
    SHOW(syscall(SYS_tkill, 1, SIGTERM));
    SHOW(syscall(SYS_tgkill, 1, 1, SIGUSR1));
    SHOW(syscall(SYS_tgkill, getpid(), 1, 0));
    SHOW(getpgid(1));
    SHOW(getsid(1));
    SHOW(setpgid(1, 0));
    SHOW(getpriority(PRIO_PROCESS, 1));
    SHOW(sched_getscheduler(1));
    SHOW(sched_getparam(1, &param));
    SHOW(sched_getaffinity(1, sizeof cpus, &cpus));
    SHOW(sched_rr_get_interval(1, &slice));
    SHOW(syscall(SYS_sched_getattr, 1, words, 48, 0));
    SHOW(syscall(SYS_ioprio_get, 1, 1));
    SHOW(prlimit(1, RLIMIT_NOFILE, NULL, &limit));
    SHOW(syscall(SYS_get_robust_list, 1, words, words + 1));
    SHOW(syscall(SYS_kcmp, 1, 1, 1, 0, 0));
    SHOW(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
    SHOW(poll(&poll_fd, 1, 0));
    SHOW(syscall(SYS_pidfd_getfd, fd, 0, 0));
    SHOW(waitpid(1, NULL, 0));
    SHOW(ptrace(PTRACE_ATTACH, 1, 0, 0));
    SHOW(ptrace(PTRACE_SEIZE, 1, 0, 0));
    SHOW(stat("/proc/1", &about));
    SHOW(stat("/proc/1/root/proc", &about));
    SHOW(stat("/proc/1/exe", &about));
    SHOW(readlink("/proc/1/exe", text, sizeof text));
    SHOW(access("/proc/1/task/1/stat", R_OK));
    SHOW(access("/proc/1/task/2/stat", R_OK));
    DIR *directory = opendir("/proc/1");
    for (struct dirent *entry; (entry = readdir(directory));) {
        snprintf(path, sizeof path, "/proc/1/%s", entry->d_name);
        int file = open(path, O_RDONLY);
        if (file >= 0) {
            if (read(file, text, sizeof text) < 0 && errno != EISDIR && strcmp(entry->d_name, "mem"))
                printf("%s: %s\n", entry->d_name, strerrorname_np(errno));
            close(file);
        }
    }
    closedir(directory);
    FILE *status = fopen("/proc/1/status", "r");
    while (fgets(text, sizeof text, status))
        if (strstr("Name State Tgid Pid PPid Threads Vm", strtok(strcpy(path, text), ":")))
            fputs(text, stdout);
    fclose(status);
    status = fopen("/proc/1/stat", "r");
    int pid, parent;
    char name[40], state;
    fscanf(status, "%d %s %c %d", &pid, name, &state, &parent);
    printf("%d %s %c %d\n", pid, name, state, parent);
    orphan();
    return 0;
}
