/* The vDSO of our programs: an ELF image that is mapped into each of them, with the functions that C libraries look for
   there (vdso(7)): clock_gettime, gettimeofday, time, clock_getres, getcpu.

   What the page in front of it (`clock.h`) tells is made of the time stamp counter; whatever it does not tell is asked of
   the kernel, by the very call. The emulated CPU's page tells nothing, so there each is a call.

   Freestanding, position independent, general registers only, no data of its own. Source: vdso(7); lib/vdso/gettimeofday.c
   of Linux 6.18. */
#include "clock.h"
#include <stddef.h>

#define SYS_gettimeofday 96
#define SYS_time 201
#define SYS_clock_gettime 228
#define SYS_clock_getres 229
#define SYS_getcpu 309
#define BILLION 1000000000ull

/* In front of the image (vdso.ld). */
extern const volatile struct clock_page page __attribute__((visibility("hidden")));

struct timespec64 { int64_t sec, nsec; };
struct timeval64 { int64_t sec, usec; };

static inline long call(long n, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

/* Where the page has a clock, or behind all: a coarse one's place behind that; -1 for one that it never has. */
static inline int place(int clock)
{
    if (clock == 0 || clock == 1)
        return clock;
    if (clock == 4)
        return TELLS_RAW;
    if (clock == 7)
        return TELLS_BOOTTIME;
    if (clock == 11)
        return TELLS_TAI;
    if (clock == 5 || clock == 6)
        return TELLS + clock - 5;
    return -1;
}

/* How many counts must be right for the clock in a place. */
static inline uint32_t needed(int at)
{
    return at <= TELLS_MONOTONIC ? TELLS_MONOTONIC + 1 : TELLS;
}

/* Nanoseconds by the clock in a place; -1: it is to be asked for. */
static inline int64_t now(int at)
{
    const volatile struct clock_page *p = &page;
    uint64_t passed, cycles, mult, reach;
    int64_t base;
    uint32_t seq, low, high;
    do {
        seq = p->seq;
        __asm__ volatile("" : : : "memory");
        if (seq & 1)
            return -1;
        if (p->counts < needed(at))
            return -1;
        cycles = p->cycles;
        reach = CLOCK_REACH;
        if (at >= TELLS) {
            reach = p->steady;
            mult = 0;
            base = p->coarse[at - TELLS];
        } else {
            mult = at == TELLS_RAW ? p->raw_mult : p->mult;
            base = p->ns[at];
        }
        __asm__ volatile("lfence\n rdtsc" : "=a"(low), "=d"(high) : : "memory");
    } while (p->seq != seq);
    passed = ((uint64_t)high << 32 | low) - cycles;
    if ((int64_t)passed < 0)
        passed = 0; /* another CPU's counter, by a hair */
    if (passed >= reach)
        return -1;
    return base + (int64_t)(passed * mult >> CLOCK_SHIFT);
}

int __vdso_clock_gettime(int clock, struct timespec64 *to)
{
    int at = place(clock);
    if (at >= 0) {
        int64_t ns = now(at);
        if (ns >= 0) {
            to->sec = (int64_t)((uint64_t)ns / BILLION);
            to->nsec = (int64_t)((uint64_t)ns % BILLION);
            return 0;
        }
    }
    return (int)call(SYS_clock_gettime, clock, (long)to, 0);
}

int __vdso_gettimeofday(struct timeval64 *to, void *zone)
{
    if (to != NULL && zone == NULL) {
        int64_t ns = now(TELLS_REALTIME);
        if (ns >= 0) {
            to->sec = (int64_t)((uint64_t)ns / BILLION);
            to->usec = (int64_t)((uint64_t)ns % BILLION / 1000);
            return 0;
        }
    }
    return (int)call(SYS_gettimeofday, (long)to, (long)zone, 0);
}

int64_t __vdso_time(int64_t *to)
{
    int64_t ns = now(TELLS_REALTIME);
    if (ns < 0)
        return call(SYS_time, (long)to, 0, 0);
    ns = (int64_t)((uint64_t)ns / BILLION);
    if (to != NULL)
        *to = ns;
    return ns;
}

int __vdso_clock_getres(int clock, struct timespec64 *to)
{
    const volatile struct clock_page *p = &page;
    int at = place(clock);
    if (at >= 0 && p->counts >= needed(at)) {
        if (to != NULL) {
            to->sec = 0;
            to->nsec = at < TELLS ? 1 : p->step;
        }
        return 0;
    }
    return (int)call(SYS_clock_getres, clock, (long)to, 0);
}

int __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
    if (!page.one_cpu)
        return (int)call(SYS_getcpu, (long)cpu, (long)node, (long)unused);
    if (cpu != NULL)
        *cpu = 0;
    if (node != NULL)
        *node = 0;
    return 0;
}

#define ALIAS(name) __typeof__(__vdso_##name) name __attribute__((weak, alias("__vdso_" #name)))
ALIAS(clock_gettime);
ALIAS(gettimeofday);
ALIAS(time);
ALIAS(clock_getres);
ALIAS(getcpu);
