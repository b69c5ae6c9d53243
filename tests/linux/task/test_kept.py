"""What a process sets about itself it reads back, with the host's errors, and across an exec as on the host."""

from __future__ import annotations

from ..signals.test_signals import same_as_host

GETS = """
static void tell(void) {
    int i = -1; char name[17] = {0};
    R(prctl(PR_GET_DUMPABLE)); R(prctl(PR_GET_KEEPCAPS)); R(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    R(prctl(PR_GET_PDEATHSIG, &i)); printf("%d\\n", i); R(prctl(PR_GET_CHILD_SUBREAPER, &i)); printf("%d\\n", i);
    R(prctl(PR_GET_TIMERSLACK)); R(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0)); R(prctl(PR_GET_TSC, &i)); printf("%d\\n", i);
    R(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0)); R(prctl(PR_GET_TIMING)); R(prctl(PR_GET_SECCOMP));
    R(prctl(PR_GET_NAME, name)); printf("%s\\n", name); fflush(stdout);
    R(getpriority(PRIO_PROCESS, 0)); R(getpriority(PRIO_PROCESS, getpid()));
}
"""
INCLUDE = "#include <sys/prctl.h>\n#include <sys/wait.h>\n#include <limits.h>\n"


def test_prctl_and_nice_are_kept_also_across_an_exec(compile_guest):
    ours = same_as_host(
        compile_guest,
        """
        if (argc > 1) { tell(); return 0; }
        tell();
        R(prctl(PR_SET_DUMPABLE, 0)); R(prctl(PR_SET_KEEPCAPS, 1)); R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        R(prctl(PR_SET_PDEATHSIG, 12)); R(prctl(PR_SET_CHILD_SUBREAPER, 7)); R(prctl(PR_SET_TIMERSLACK, 1234));
        R(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)); R(prctl(PR_SET_TSC, PR_TSC_ENABLE));
        R(prctl(PR_MCE_KILL, 1, 1, 0, 0)); R(prctl(PR_SET_NAME, "a name that is too long"));
        R(nice(3)); R(nice(100)); tell(); R(setpriority(PRIO_PROCESS, 0, 7));
        execl("/proc/self/exe", "again", "x", (char *)0);
        """,
        before=INCLUDE + GETS,
    )
    assert len(ours.lines) > 60


def test_wrong_arguments_are_refused_as_on_the_host(compile_guest):
    same_as_host(
        compile_guest,
        """
        R(prctl(PR_SET_DUMPABLE, 2)); R(prctl(PR_SET_DUMPABLE, 9)); R(prctl(PR_SET_KEEPCAPS, 2));
        R(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0)); R(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
        R(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0)); R(prctl(PR_SET_PDEATHSIG, 65)); R(prctl(PR_SET_PDEATHSIG, -1L));
        R(prctl(PR_GET_PDEATHSIG, 0L)); R(prctl(PR_SET_TIMERSLACK, 0)); R(prctl(PR_GET_TIMERSLACK) > 0);
        R(prctl(PR_SET_THP_DISABLE, 1, 1, 0, 0)); R(prctl(PR_SET_THP_DISABLE, 0, 0, 1, 0));
        R(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0)); R(prctl(PR_SET_TSC, 3)); R(prctl(PR_SET_TIMING, 1));
        R(prctl(PR_MCE_KILL, 2, 0, 0, 0)); R(prctl(PR_MCE_KILL, 1, 3, 0, 0)); R(prctl(PR_MCE_KILL, 0, 1, 0, 0));
        R(prctl(PR_MCE_KILL_GET, 1, 0, 0, 0)); R(prctl(PR_CAPBSET_READ, 41)); R(prctl(9999)); R(prctl(PR_SET_NAME, 0L));
        R(prctl(PR_CAP_AMBIENT, 4, 1, 0, 0)); R(prctl(PR_CAP_AMBIENT, 9, 1, 0, 0));
        R(prctl(PR_CAP_AMBIENT, 1, 99, 0, 0));
        R(prctl(PR_CAP_AMBIENT, 1, 1, 0, 0)); R(prctl(PR_GET_FPEMU, &errno)); R(prctl(PR_GET_ENDIAN, &errno));
        R(getpriority(0, 999999)); R(getpriority(1, 999999)); R(getpriority(3, 0)); R(getpriority(-1, 0));
        R(setpriority(0, 999999, 1)); R(setpriority(3, 0, 1)); R(setpriority(0, -1, 1));
        """,
        before=INCLUDE,
    )


def test_waiting_for_children_that_there_are_not_is_refused_as_on_the_host(compile_guest):
    same_as_host(
        compile_guest,
        """
        siginfo_t i; int options[] = {0, 1, 4, 8, 16, WEXITED | WNOWAIT, WEXITED | __WALL, WEXITED | __WCLONE,
                         WNOWAIT, -1};
        int pids[] = {INT_MIN, INT_MIN + 1, -5, -1, 0, 1, 999999, INT_MAX};
        for (int o = 0; o < 10; o++) for (int p = 0; p < 8; p++) {
            printf("%x %d: ", options[o], pids[p]);
            R(syscall(SYS_wait4, pids[p], 0, options[o], 0));
            for (int which = -1; which < 5; which++) R(syscall(SYS_waitid, which, pids[p], &i, options[o], 0));
        }
        """,
        before=INCLUDE,
    )


def test_proc_tells_of_nice_signals_and_cpu_time(compile_guest):
    same_as_host(
        compile_guest,
        """
        sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); sigaddset(&s, SIGTERM); sigprocmask(SIG_BLOCK, &s, 0);
        signal(SIGHUP, SIG_IGN); signal(SIGUSR2, note); raise(SIGTERM); nice(4);
        while (clock() < CLOCKS_PER_SEC / 5) {}
        char text[4096], *at; int f = open("/proc/self/stat", O_RDONLY); text[read(f, text, 4095)] = 0;
        at = strrchr(text, ')') + 2;
        char *field = strtok(at, " ");
        for (int n = 3; field; n++, field = strtok(0, " ")) {
            if (n >= 31 && n <= 34) printf("%d: %s\\n", n, field);
            if (n == 18 || n == 19) printf("%d: %s\\n", n, field);
        }
        """,
        before=INCLUDE,
    )
