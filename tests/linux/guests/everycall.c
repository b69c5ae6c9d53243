/* Every call by its number, each in a process of its own, with words that can do no harm: all minus one, all zero, all
 * bad addresses, all the address of a page of zeros. The process has the capabilities of a container's root, on the
 * host too, and a file of its directory as its first three descriptors. Prints what each gave, or how it ended. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MINUS, ZERO, BAD, PAGE, SETS };
static const char *sets[] = {"minus", "zero", "bad", "page"};
static const unsigned long container = 0xa80405fbUL & ~(1UL << 13 /* raw sockets */);

/* Makes processes, signals others, waits for ever, or leaves something on the host. */
static const short never[] = {
    SYS_fork, SYS_vfork, SYS_clone, SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
    SYS_pidfd_send_signal, SYS_pause, SYS_sync, SYS_syncfs, SYS_setpriority, SYS_ioprio_set, SYS_ptrace, SYS_reboot,
    SYS_kexec_load, SYS_kexec_file_load, SYS_vhangup, SYS_msgget, SYS_semget, SYS_shmget, SYS_setpgid, SYS_syslog,
    SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_sethostname, SYS_setdomainname, SYS_acct,
    SYS_swapon, SYS_swapoff, SYS_mount, SYS_umount2, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_bpf,
};

static void drop(void) {
    for (int cap = 0; cap <= 40; cap++)
        if (!(container >> cap & 1)) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{container, container, 0}, {container >> 32, container >> 32, 0}};
    if (syscall(SYS_capset, &head, data)) { perror("capset"); exit(1); }
}

static void one(int number, int set, int out, char *page) {
    long words[6];
    for (int i = 0; i < 6; i++)
        words[i] = set == MINUS ? -1 : set == ZERO ? 0 : set == PAGE ? (long)page : i ? 1L << 47 : 0x7fffff03;
    setsid();
    dup2(out, 900);
    int file = open("standard", O_RDWR | O_CREAT, 0600);
    for (int fd = 0; fd < 3; fd++) dup2(file, fd);
    close_range(3, 899, 0);
    errno = 0;
    long result = syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
    long told[2] = {result, result == -1 ? errno : 0};
    if (write(900, told, sizeof told) != sizeof told) abort();
    _exit(0);
}

int main(void) {
    drop();
    char *page = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    for (int number = 0; number <= 480; number++)
        for (int set = 0; set < SETS; set++) {
            int skip = 0;
            for (unsigned i = 0; i < sizeof never / sizeof *never; i++) skip |= never[i] == number;
            skip |= (number == SYS_select || number == SYS_pselect6 || number == SYS_ppoll) && set == ZERO; /* waits for ever */
            if (skip) continue;
            int ends[2], status;
            if (pipe(ends)) return 1;
            fflush(stdout);
            pid_t pid = fork();
            if (!pid) one(number, set, ends[1], page);
            close(ends[1]);
            long told[2];
            long got = read(ends[0], told, sizeof told);
            close(ends[0]);
            waitpid(pid, &status, 0);
            printf("%d %s ", number, sets[set]);
            if (got != sizeof told) printf("status %x\n", status);
            else if (told[1]) printf("%s\n", strerrorname_np(told[1]));
            else if (told[0] < 0 || told[0] > 63) printf("some\n");
            else printf("%ld\n", told[0]);
        }
    return 0;
}
