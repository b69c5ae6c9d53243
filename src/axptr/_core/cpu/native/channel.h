/* What the stub and the engine share: where the stub lies, and the block of memory in which they speak to each other.

   base + 0                 text of the stub, r-x
   base + NAT_CONTROL       the control block, shared memory of the engine and this one stub:
       + 0                  struct nat_channel
       + NAT_COMMANDS       struct nat_command[NAT_MAX_COMMANDS]
       + NAT_STACK          the alternate stack of signals, on which the guest's registers lie
   base + NAT_SPAN          the end; nothing else of the address space belongs to the stub

   All of it can be read and written by a hostile guest: the engine believes nothing of it (`host.h`). */
#ifndef AXPTR_NATIVE_CHANNEL_H
#define AXPTR_NATIVE_CHANNEL_H
#include <stdint.h>

#define NAT_TEXT 0x4000ull          /* bytes of text at most */
#define NAT_CONTROL 0x10000ull
#define NAT_CONTROL_SIZE 0x20000ull
#define NAT_COMMANDS 0x1000ull
#define NAT_STACK 0x10000ull        /* in the control block */
#define NAT_SPAN 0x40000ull
#define NAT_USER_END 0x7ffffffff000ull
#define NAT_MAX_COMMANDS 384
#define NAT_FRAMES_FD 3             /* the memory file, the only descriptor that stays open in the stub */
#define NAT_CONTROL_FD 4

#define NAT_MOST_AT_BIRTH 1024       /* commands that it is born with; the stack of its start lies behind them */
#define NAT_EARLY 10ull             /* in the text: behind the one syscall instruction that the engine is not asked about. The
                                       second filter shuts it, before the guest is let in */
#define NAT_HAND_OVER 0x1ffe        /* no call of the host's: made by the stub's text it is the hand-over */

/* What the process calls between its first filter and its program. The first filter lets them through; the second turns
   those of the guest into signals. */
#define NAT_SETUP_CALLS {SYS_dup, SYS_dup2, SYS_close_range, SYS_execveat, SYS_exit_group}
#define NAT_SETUP 5
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* Guest's calls that come as a signal: those of the setup, and those of which all registers are looked at or changed, so that
   the guest need not be asked out of them: it forks, gets or leaves a signal's handler, or ends what it is. */
#define NAT_TRAPPED_CALLS {SYS_dup, SYS_dup2, SYS_close_range, SYS_execveat, SYS_exit_group, SYS_exit, SYS_execve, SYS_fork, \
                           SYS_vfork, SYS_clone, NAT_CLONE3, SYS_rt_sigreturn, SYS_rt_sigsuspend, SYS_tgkill}
#define NAT_TRAPPED 14
#define NAT_CLONE3 435

enum { NAT_MMAP = 9, NAT_MPROTECT = 10, NAT_MUNMAP = 11 };

/* One call that the stub makes; `prot` and `flags` as mmap has them, `off` in the memory file. */
struct nat_command {
    uint64_t addr, len, off;
    uint32_t op, prot, flags;
    int32_t result;                 /* written by the stub; believed by nobody */
};

struct nat_channel {
    uint64_t signal, code, address, arch;   /* siginfo of the signal that handed over */
    uint64_t frame, vectors;                /* addresses: ucontext, XSAVE area */
    uint64_t fs_base, gs_base;
    uint64_t selectors;                     /* ds, es, fs, gs, 16 bits each */
    uint32_t ncommands, resume;
    volatile uint64_t awake;                /* set by the stub when it has the turn: one that ended before had not run */
    uint64_t traps_counter;                 /* whether rdtsc is to be refused; written before its start */
    uint64_t base;                          /* where the stub lies; written before its start */
};
#endif
