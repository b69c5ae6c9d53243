/* The stub: what runs in the process of a guest besides the guest. Freestanding, position independent, general registers
   only, compiled at install; its bytes are in the engine's module.

   It never decides anything: a signal comes, it hands over; it makes the calls it is told to make, and returns. What a
   guest could do by jumping into it is limited by the filters (`host.h` has the first, which hands the guest's calls, the
   hand-over, mmap, munmap and mprotect to the engine; the second, here, refuses everything else but rt_sigreturn).

   Source of the shape: seccomp(2), sigaction(2), signal frames of arch/x86/kernel/signal_64.c. */
#define _GNU_SOURCE
#include "channel.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define FLAG_ID 0x200000
#define HIDDEN __attribute__((visibility("hidden")))

#define CALLS_BY(name, instruction) \
    static inline long name(long n, long a, long b, long c, long d, long e, long f) \
    { \
        long result; \
        register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f; \
        __asm__ volatile(instruction : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) \
                         : "rcx", "r11", "memory"); \
        return result; \
    }
CALLS_BY(call, "syscall")
CALLS_BY(early_call, "call stub_early") /* by the instruction there, which goes unasked until there is a guest */

extern char stub_start[] HIDDEN, stub_restorer[] HIDDEN;

static inline struct nat_channel *channel(void)
{
    return (struct nat_channel *)(stub_start + NAT_CONTROL);
}

/* Hand over, and carry out what is asked for, until the guest may go on. */
static inline void serve(struct nat_channel *c)
{
    do {
        struct nat_command *list = (struct nat_command *)((char *)c + NAT_COMMANDS);
        uint32_t i, n;
        call(NAT_HAND_OVER, 0, 0, 0, 0, 0, 0); /* the engine answers when the turn is ours again */
        c->awake = 1;
        n = c->ncommands;
        for (i = 0; i < n && i < NAT_MAX_COMMANDS; i++)
            list[i].result = (int32_t)call(list[i].op, list[i].addr, list[i].len, list[i].prot, list[i].flags,
                                           NAT_FRAMES_FD, list[i].off);
    } while (!c->resume);
}

static inline uint64_t selectors(void)
{
    uint32_t ds, es, fs, gs;
    __asm__ volatile("mov %%ds, %0\n mov %%es, %1\n mov %%fs, %2\n mov %%gs, %3" : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
    return (uint64_t)gs << 48 | (uint64_t)fs << 32 | (uint64_t)es << 16 | ds;
}

static inline void load_selectors(uint64_t all)
{
    uint32_t ds = all & 0xffff, es = all >> 16 & 0xffff, fs = all >> 32 & 0xffff, gs = (uint32_t)(all >> 48);
    __asm__ volatile("mov %0, %%ds\n mov %1, %%es\n mov %2, %%fs\n mov %3, %%gs" : : "r"(ds), "r"(es), "r"(fs), "r"(gs));
}

static __attribute__((used)) void handler(int signal, siginfo_t *info, void *context)
{
    struct nat_channel *c = channel();
    ucontext_t *frame = context;
    uint64_t fs, gs, loaded = selectors();
    __asm__ volatile("rdfsbase %0" : "=r"(fs));
    __asm__ volatile("rdgsbase %0" : "=r"(gs));
    c->signal = signal;
    c->code = info->si_code;
    c->address = (uint64_t)info->si_addr;
    c->arch = signal == SIGSYS ? info->si_arch : 0;
    c->frame = (uint64_t)frame;
    c->vectors = (uint64_t)frame->uc_mcontext.fpregs;
    c->fs_base = fs;
    c->gs_base = gs;
    c->selectors = loaded;
    serve(c);
    if (c->selectors != loaded) {
        load_selectors(c->selectors); /* those of fs and gs take their bases away */
        fs = ~c->fs_base;
        gs = ~c->gs_base;
    }
    /* The one flag of programs that rt_sigreturn leaves as it finds it, here (FIX_EFLAGS of arch/x86/kernel/signal.c). */
    if ((__builtin_ia32_readeflags_u64() ^ (uint64_t)frame->uc_mcontext.gregs[REG_EFL]) & FLAG_ID)
        __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() ^ FLAG_ID);
    if (c->fs_base != fs)
        __asm__ volatile("wrfsbase %0" : : "r"(c->fs_base));
    if (c->gs_base != gs)
        __asm__ volatile("wrgsbase %0" : : "r"(c->gs_base));
}

__asm__(".globl stub_restorer\n.hidden stub_restorer\nstub_restorer: mov $15, %eax\n syscall\n");

struct kernel_action {
    void *handler;
    uint64_t flags;
    void *restorer;
    uint64_t mask;
};

static inline void take_signals(void)
{
    static const unsigned char signals[] = {SIGSYS, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGUSR1};
    unsigned i;
    uint64_t none = 0;
    stack_t stack = {.ss_sp = (char *)channel() + NAT_STACK, .ss_size = NAT_CONTROL_SIZE - NAT_STACK};
    call(SYS_sigaltstack, (long)&stack, 0, 0, 0, 0, 0);
    for (i = 0; i < sizeof signals; i++) {
        struct kernel_action action = {handler, SA_SIGINFO | SA_ONSTACK | 0x04000000, stub_restorer, 1ull << (SIGUSR1 - 1)};
        /* Those of the CPU are not blocked inside: a fault of the stub itself is handed over, too. */
        action.flags |= signals[i] == SIGUSR1 ? SA_RESTART : SA_NODEFER; /* a call that nobody has seen is made again */
        call(SYS_rt_sigaction, signals[i], (long)&action, 0, 8, 0, 0);
    }
    call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8, 0, 0);
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(op, value, yes, no) BPF_JUMP(BPF_JMP | (op) | BPF_K, (uint32_t)(value), yes, no)

/* From now on: of this text five calls, none of them early ones, and those of the guest, which the first filter hands to the engine. What that lets
   through is refused here: from outside of this text what it needed itself, from inside everything else. A signal also
   takes the guest out of calls of which the engine needs more than result and arguments. */
static inline void confine(void)
{
    static const uint16_t setup[NAT_TRAPPED] = NAT_TRAPPED_CALLS;
    uint64_t base = (uint64_t)stub_start;
    unsigned i;
    struct sock_filter filter[] = {
        LOAD(arch),
        IF(BPF_JEQ, AUDIT_ARCH_X86_64, 0, 14 + NAT_TRAPPED),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        IF(BPF_JEQ, 0xffffffff, 12 + NAT_TRAPPED, 0), /* the vsyscall page */
        IF(BPF_JEQ, base >> 32, 0, 10),
        LOAD(instruction_pointer),
        IF(BPF_JGE, base, 0, 8),
        IF(BPF_JGE, base + NAT_TEXT, 7, 0),
        IF(BPF_JEQ, base + NAT_EARLY, 7 + NAT_TRAPPED, 0), /* that time is over */
        LOAD(nr), /* ours */
        IF(BPF_JEQ, SYS_rt_sigreturn, 6 + NAT_TRAPPED, 0),
        IF(BPF_JEQ, SYS_mmap, 5 + NAT_TRAPPED, 0),
        IF(BPF_JEQ, SYS_munmap, 4 + NAT_TRAPPED, 0),
        IF(BPF_JEQ, SYS_mprotect, 3 + NAT_TRAPPED, 0),
        IF(BPF_JEQ, NAT_HAND_OVER, 2 + NAT_TRAPPED, 1 + NAT_TRAPPED),
        LOAD(nr), /* the guest's */
        [16 ... 15 + NAT_TRAPPED] = IF(BPF_JEQ, 0, 0, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    for (i = 0; i < NAT_TRAPPED; i++) {
        filter[16 + i].k = setup[i];
        filter[16 + i].jt = (uint8_t)(NAT_TRAPPED - 1 - i);
        filter[16 + i].jf = i == NAT_TRAPPED - 1;
    }
    call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
    if (channel()->traps_counter && call(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0, 0))
        call(SYS_exit_group, 96, 0, 0, 0, 0, 0);
    if (call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program, 0, 0, 0))
        call(SYS_exit_group, 97, 0, 0, 0, 0, 0);
}

static __attribute__((used, noreturn)) void begin_on_own_stack(void)
{
    uint64_t base = (uint64_t)stub_start;
    struct nat_channel *c = channel();
    struct nat_command *list = (struct nat_command *)((char *)c + NAT_COMMANDS);
    uint32_t i;
    early_call(SYS_munmap, 0, base, 0, 0, 0, 0);
    early_call(SYS_munmap, base + NAT_SPAN, NAT_USER_END - base - NAT_SPAN, 0, 0, 0, 0);
    for (i = 0; i < c->ncommands && i < NAT_MOST_AT_BIRTH; i++)
        if (early_call(NAT_MMAP, list[i].addr, list[i].len, list[i].prot, list[i].flags, NAT_FRAMES_FD, list[i].off)
            != (long)list[i].addr)
            call(SYS_exit_group, 95, 0, 0, 0, 0, 0);
    take_signals();
    confine();
    /* The first hand-over: a guest with nothing in its registers. */
    __asm__ volatile("xor %%eax, %%eax\n wrfsbase %%rax\n wrgsbase %%rax\n ud2" : : : "rax");
    __builtin_unreachable();
}

static __attribute__((used, noreturn)) void begin(void)
{
    long at = (long)(stub_start + NAT_CONTROL);
    if (early_call(SYS_mmap, at, NAT_CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, NAT_CONTROL_FD, 0) != at)
        call(SYS_exit_group, 99, 0, 0, 0, 0, 0);
    call(SYS_close, NAT_CONTROL_FD, 0, 0, 0, 0, 0);
    __asm__ volatile("mov %0, %%rsp\n jmp begin_on_own_stack" : : "r"(at + NAT_STACK - 64));
    __builtin_unreachable();
}

__asm__(".section .text.first, \"ax\"\n.globl stub_start\n.hidden stub_start\nstub_start: jmp begin\n.balign 8\n"
        ".globl stub_early\n.hidden stub_early\nstub_early: syscall\n ret\n.previous\n");
