/* Signals: masks, alternate stacks, flags of actions, what is pending, how calls end; siginfo and contexts. */
#include "show.h"

static volatile int got, depth; static volatile long where; static siginfo_t last; static sigjmp_buf back;
static void on(int s) { got = s; }
static void info(int s, siginfo_t *i, void *u) { got = s; last = *i; where = (long)&s; }
static void nested(int s, siginfo_t *i, void *u) { ucontext_t *c = u; stack_t ss; sigaltstack(0, &ss); printf("  level %d: flags %x, ucontext's %x, on it %d\n", depth, ss.ss_flags, c->uc_stack.ss_flags, (char *)&s >= (char *)ss.ss_sp && (char *)&s < (char *)ss.ss_sp + ss.ss_size); stack_t n = {malloc(65536), 0, 65536}; R(sigaltstack(&n, 0)); if (depth++ < 2) raise(s); depth--; }
static void jump(int s) { siglongjmp(back, s); }
static void mask_in(int s) { sigset_t m; sigprocmask(0, 0, &m); printf("  in %d: blocked", s); for (int i = 1; i < 65; i++) if (sigismember(&m, i) == 1) printf(" %d", i); printf("\n"); }
struct ksa { void *h; unsigned long flags; void *restorer; unsigned long mask; };

int main(void) {
    setbuf(stdout, 0);
    struct sigaction a = {.sa_handler = on}, o; struct ksa k, ko; unsigned long m, om = 0;
    int odd[] = {-1, 0, 9, 19, 32, 33, 64, 65, 1 << 20};
    for (int i = 0; i < 9; i++) { memset(&k, 0, sizeof k); printf("signal %d: ", odd[i]); S(rt_sigaction, odd[i], &k, 0, 8); S(rt_sigaction, odd[i], 0, &ko, 8); S(rt_sigaction, odd[i], 0, 0, 8); S(kill, 0 * getpid() + getpid(), odd[i] == 9 || odd[i] == 19 || (odd[i] > 31 && odd[i] < 65) ? 0 : odd[i]); S(tkill, getpid(), odd[i] == 9 || odd[i] == 19 ? 0 : odd[i] == 0 ? 0 : 100 + odd[i]); S(tgkill, getpid(), getpid(), 0); }
    S(rt_sigaction, 10, &k, 0, 4); S(rt_sigaction, 10, &k, 0, 16); S(rt_sigaction, 10, BAD, 0, 8); S(rt_sigaction, 10, 0, BAD, 8);
    S(tkill, 0, 0); S(tkill, -1, 0); S(tgkill, 0, getpid(), 0); S(tgkill, getpid(), 0, 0); S(tgkill, getpid(), 1 << 21, 0); S(kill, 1 << 21, 0);
    unsigned long flagsets[] = {0, -1UL, SA_SIGINFO, SA_RESTART | SA_NODEFER, 0x400, 0x800, 0x04000000, 0x08000000, 0x10000000, 0x100, 0x200};
    for (int i = 0; i < 11; i++) { k = (struct ksa){on, flagsets[i], 0, -1UL}; syscall(SYS_rt_sigaction, 10, &k, 0, 8); syscall(SYS_rt_sigaction, 10, 0, &ko, 8); printf("flags %lx: kept %lx mask %lx\n", flagsets[i], ko.flags, ko.mask); }
    for (int how = -1; how < 4; how++) { m = 1 << 9; printf("how %d: ", how); S(rt_sigprocmask, how, &m, &om, 8); printf("  was %lx\n", om); S(rt_sigprocmask, how, 0, &om, 8); printf("  is %lx\n", om); } m = -1UL; S(rt_sigprocmask, 2, &m, 0, 8); S(rt_sigprocmask, 0, 0, &om, 8); printf("all: %lx\n", om); S(rt_sigprocmask, 0, BAD, 0, 8); S(rt_sigprocmask, 0, 0, BAD, 8); S(rt_sigprocmask, 0, &m, 0, 7);
    m = 0; syscall(SYS_rt_sigprocmask, 2, &m, 0, 8); S(rt_sigpending, &m, 8); S(rt_sigpending, &m, 4); S(rt_sigpending, &m, 0); S(rt_sigpending, &m, 16); S(rt_sigpending, BAD, 8);
    sigset_t block; sigemptyset(&block); sigaddset(&block, 10); sigaddset(&block, 12); sigaddset(&block, 34); sigaddset(&block, 35); sigprocmask(SIG_BLOCK, &block, 0);
    sigemptyset(&a.sa_mask); a.sa_flags = SA_SIGINFO; a.sa_sigaction = info; for (int i = 0; i < 4; i++) sigaction((int[]){10, 12, 34, 35}[i], &a, 0);
    union sigval v = {.sival_int = 7}; kill(getpid(), 12); kill(getpid(), 10); kill(getpid(), 10); sigqueue(getpid(), 35, v); v.sival_int = 8; sigqueue(getpid(), 34, v); v.sival_int = 9; sigqueue(getpid(), 34, v); sigqueue(getpid(), 10, v);
    syscall(SYS_rt_sigpending, &m, 8); printf("pending %lx\n", m);
    struct timespec t = {0, 0}; siginfo_t si; for (int i = 0; i < 6; i++) { memset(&si, 0, sizeof si); errno = 0; int r = sigtimedwait(&block, &si, &t); printf("timedwait %d %d: code %d value %d me %d\n", r, errno, si.si_code, r > 0 ? si.si_value.sival_int * (r > 32) : 0, si.si_pid == getpid()); }
    t.tv_nsec = 1000000000; R(sigtimedwait(&block, 0, &t)); t.tv_nsec = -1; R(sigtimedwait(&block, 0, &t)); S(rt_sigtimedwait, &block, 0, 0, 4); S(rt_sigtimedwait, BAD, 0, &t, 8); S(rt_sigtimedwait, &block, 0, BAD, 8);
    v.sival_int = 1; siginfo_t q = {.si_code = SI_QUEUE}; S(rt_sigqueueinfo, getpid(), 10, &q); q.si_code = SI_USER; S(rt_sigqueueinfo, getpid(), 10, &q); q.si_code = SI_TKILL; S(rt_sigqueueinfo, getpid(), 10, &q); q.si_code = 5; S(rt_sigqueueinfo, getpid(), 10, &q); S(rt_sigqueueinfo, 1 << 21, 10, &q); S(rt_sigqueueinfo, getpid(), 65, &q); S(rt_sigqueueinfo, getpid(), 10, BAD); S(rt_tgsigqueueinfo, getpid(), getpid(), 12, &q); S(rt_tgsigqueueinfo, getpid(), 0, 12, &q);
    while (sigtimedwait(&block, &si, &(struct timespec){0, 0}) > 0); sigprocmask(SIG_UNBLOCK, &block, 0); printf("last %d code %d\n", got, last.si_code);
    a.sa_flags = SA_RESETHAND; a.sa_handler = on; sigaction(10, &a, 0); raise(10); sigaction(10, 0, &o); printf("reset to default %d flags %x\n", o.sa_handler == SIG_DFL, o.sa_flags);
    a.sa_flags = 0; a.sa_handler = mask_in; sigaddset(&a.sa_mask, 12); sigaddset(&a.sa_mask, 9); sigaction(10, &a, 0); raise(10); a.sa_flags = SA_NODEFER; sigaction(10, &a, 0); raise(10);
    stack_t ss = {malloc(65536), 0, 65536}, os; R(sigaltstack(0, &os)); printf("none: %x\n", os.ss_flags); R(sigaltstack(&ss, 0)); ss.ss_size = 2047; R(sigaltstack(&ss, 0)); ss.ss_size = 65536; ss.ss_flags = 4; R(sigaltstack(&ss, 0)); ss.ss_flags = SS_ONSTACK; R(sigaltstack(&ss, &os)); printf("old %x %zu\n", os.ss_flags, os.ss_size); ss.ss_flags = 1U << 31; R(sigaltstack(&ss, 0)); R(sigaltstack(0, &os)); printf("now %x\n", os.ss_flags); ss.ss_flags = SS_DISABLE; ss.ss_size = 1; R(sigaltstack(&ss, 0)); R(sigaltstack(BAD, 0)); R(sigaltstack(0, BAD)); ss.ss_flags = 3; R(sigaltstack(&ss, 0));
    ss = (stack_t){malloc(65536), 0, 65536}; sigaltstack(&ss, 0); a = (struct sigaction){.sa_sigaction = nested, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER}; sigaction(10, &a, 0); raise(10); ss.ss_flags = 1U << 31; sigaltstack(&ss, 0); raise(10); sigaltstack(0, &os); printf("after autodisarm %x\n", os.ss_flags);
    a = (struct sigaction){.sa_handler = jump}; sigaction(11, &a, 0); sigaction(7, &a, 0); sigaction(8, &a, 0); sigaction(4, &a, 0); sigaction(5, &a, 0);
    int r; if (!(r = sigsetjmp(back, 1))) *(volatile int *)8 = 1; printf("store: %d\n", r); if (!(r = sigsetjmp(back, 1))) __builtin_trap(); printf("ud2: %d\n", r); if (!(r = sigsetjmp(back, 1))) __asm__ volatile("int3"); printf("int3: %d\n", r); if (!(r = sigsetjmp(back, 1))) { volatile int z = 0; z = 1 / z; } printf("div: %d\n", r);
    a = (struct sigaction){.sa_sigaction = info, .sa_flags = SA_SIGINFO}; sigaction(14, &a, 0); struct itimerval it = {{0, 0}, {0, 20000}}; char c; int p[2]; pipe(p);
    setitimer(ITIMER_REAL, &it, 0); R(read(p[0], &c, 1)); setitimer(ITIMER_REAL, &it, 0); R(pause()); setitimer(ITIMER_REAL, &it, 0); R(poll(0, 0, 1000)); setitimer(ITIMER_REAL, &it, 0); struct timespec rem = {9, 9}; R(nanosleep(&(struct timespec){5, 0}, &rem)); printf("rem %ld\n", rem.tv_sec); setitimer(ITIMER_REAL, &it, 0); R(select(0, 0, 0, 0, &(struct timeval){5, 0})); setitimer(ITIMER_REAL, &it, 0); sigset_t none; sigemptyset(&none); R(sigsuspend(&none)); setitimer(ITIMER_REAL, &it, 0); sigemptyset(&none); sigaddset(&none, 10); R(sigwaitinfo(&none, 0)); printf("code %d\n", last.si_code);
    a.sa_flags |= SA_RESTART; sigaction(14, &a, 0); setitimer(ITIMER_REAL, &it, 0); R(poll(0, 0, 100)); R(clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, 1000}, 0)); S(rt_sigsuspend, BAD, 8); S(rt_sigsuspend, &none, 4);
    signal(SIGPIPE, SIG_IGN); close(p[0]); R(write(p[1], "x", 1)); signal(SIGPIPE, on); R(write(p[1], "x", 1)); printf("got %d\n", got); signal(SIGCHLD, SIG_IGN); raise(SIGCHLD); raise(SIGWINCH); raise(SIGURG); raise(SIGCONT);
    sigaction(SIGPIPE, 0, &o); printf("flags of signal() %x\n", o.sa_flags); R(sigaction(SIGKILL, &a, 0)); R(sigaction(SIGSTOP, 0, &o)); R(siginterrupt(10, 1));
    return 0;
}
