/* Keeping a page of `clock.h` right: the host's own clocks, told by the time stamp counter.

   The rate is measured, over a second at most, so that it follows what steers the host's clock. A page is renewed when a
   guest goes on and the last time was a millisecond ago or more: so what it tells is off by less than the microsecond that
   passes between a guest's last look and the next call of its that tells the time. Where the counter does not fit the
   clock (a machine that was moved, or slept), the page tells nothing until the rate is known again.

   One writer at a time: under the memory's lock. */
#ifndef AXPTR_KEEPCLOCK_H
#define AXPTR_KEEPCLOCK_H
#include "clock.h"
#include <time.h>

#define KEEP_SOON 1000000ll         /* nanoseconds: how often it is renewed */
#define KEEP_KNOWN 5000000ll        /* from here on the rate is known */
#define KEEP_OVER 1000000000ll      /* what it is measured over, at most twice */
#define KEEP_OFF 20000ll            /* more than what an interruption makes of a look */

struct clock_keeper {
    uint64_t first, middle;         /* the counter where the measure began, and where the next will have begun */
    int64_t first_ns, middle_ns;
    uint64_t raw_first, raw_middle; /* the same of CLOCK_MONOTONIC_RAW, which goes at a rate of its own */
    int64_t raw_first_ns, raw_middle_ns;
    uint64_t looked, soon;          /* at the last look; counts until the next */
};

#ifdef __x86_64__
static inline uint64_t keep_counter(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence\n rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}
#else
static inline uint64_t keep_counter(void) { return 0; }
#endif

static int64_t keep_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* The counter and a clock at one moment: of three looks the shortest. */
static void keep_look(clockid_t clock, uint64_t *cycles, int64_t *ns)
{
    uint64_t best = ~0ull;
    int i;
    for (i = 0; i < 3; i++) {
        uint64_t before = keep_counter(), after;
        int64_t seen = keep_ns(clock);
        after = keep_counter();
        if (after - before < best) {
            best = after - before;
            *cycles = before + best / 2;
            *ns = seen;
        }
    }
}

static void keep_begin(struct clock_keeper *k)
{
    keep_look(CLOCK_MONOTONIC, &k->first, &k->first_ns);
    k->middle = k->first;
    k->middle_ns = k->first_ns;
    keep_look(CLOCK_MONOTONIC_RAW, &k->raw_first, &k->raw_first_ns);
    k->raw_middle = k->raw_first;
    k->raw_middle_ns = k->raw_first_ns;
    k->looked = k->soon = 0;
}

static inline int keep_due(const struct clock_keeper *k)
{
    return keep_counter() - k->looked >= k->soon;
}

/* Nanoseconds in so many counts. */
static inline int64_t keep_passed(uint64_t counts, uint64_t mult)
{
    return (int64_t)((__uint128_t)counts * mult >> CLOCK_SHIFT);
}

static inline uint64_t keep_mult(int64_t ns, uint64_t counts)
{
    return (uint64_t)(((__uint128_t)(uint64_t)ns << CLOCK_SHIFT) / counts);
}

/* The coarse clocks stand still from one tick of the host to the next, which is never less than a tick behind the time
   that they tell; a microsecond in two hundred is left for how the clock is steered meanwhile. ns: the monotonic clock
   at the page's moment. */
static void keep_coarse(struct clock_page *p, int64_t ns, int64_t ahead_real, int64_t ahead_monotonic)
{
    int64_t before = keep_ns(CLOCK_MONOTONIC_COARSE), real = keep_ns(CLOCK_REALTIME_COARSE), left;
    struct timespec step;
    clock_getres(CLOCK_MONOTONIC_COARSE, &step);
    p->step = step.tv_nsec;
    left = before + p->step - p->step / 200 - ns;
    p->coarse[0] = real + ahead_real;
    p->coarse[1] = before + ahead_monotonic;
    p->steady = 0;
    if (left > 0 && p->mult && keep_ns(CLOCK_MONOTONIC_COARSE) == before)
        p->steady = (uint64_t)(((__uint128_t)(uint64_t)left << CLOCK_SHIFT) / p->mult);
}

/* ahead: how far the page's clocks are before the host's: CLOCK_REALTIME and TAI, CLOCK_MONOTONIC and its kin,
   CLOCK_BOOTTIME. all: whether more than the first two clocks are to be told. */
static void keep_page(struct clock_keeper *k, struct clock_page *p, const int64_t ahead[3], int all)
{
    uint64_t cycles = 0, raw_cycles = 0;
    int64_t ns = 0, raw_ns = 0, real, boot, tai, later;
    keep_look(CLOCK_MONOTONIC, &cycles, &ns);
    k->looked = cycles;
    if (cycles <= k->first || ns - k->first_ns < KEEP_KNOWN) {
        k->soon = 0;
        return;
    }
    keep_look(CLOCK_MONOTONIC_RAW, &raw_cycles, &raw_ns);
    tai = keep_ns(CLOCK_TAI);
    boot = keep_ns(CLOCK_BOOTTIME);
    real = keep_ns(CLOCK_REALTIME);
    later = keep_ns(CLOCK_MONOTONIC);
    if (p->counts) { /* does the counter still go as it did? */
        int64_t told = p->ns[TELLS_MONOTONIC] + keep_passed(cycles - p->cycles, p->mult) - ahead[1];
        if (told - ns > KEEP_OFF || ns - told > KEEP_OFF) {
            __atomic_store_n(&p->counts, 0, __ATOMIC_SEQ_CST);
            keep_begin(k);
            return;
        }
    }
    __atomic_store_n(&p->seq, p->seq | 1, __ATOMIC_SEQ_CST);
    p->mult = keep_mult(ns - k->first_ns, cycles - k->first);
    p->raw_mult = keep_mult(raw_ns - k->raw_first_ns, raw_cycles - k->raw_first);
    p->cycles = cycles;
    p->ns[TELLS_REALTIME] = real - (later - ns) + ahead[0];
    p->ns[TELLS_MONOTONIC] = ns + ahead[1];
    p->ns[TELLS_RAW] = raw_ns - keep_passed(raw_cycles - cycles, p->raw_mult) + ahead[1];
    p->ns[TELLS_BOOTTIME] = boot - (later - ns) + ahead[2];
    p->ns[TELLS_TAI] = tai - (later - ns) + ahead[0];
    keep_coarse(p, ns, ahead[0], ahead[1]);
    p->counts = !p->mult ? 0 : all ? TELLS : TELLS_MONOTONIC + 1;
    __atomic_store_n(&p->seq, p->seq + 1, __ATOMIC_SEQ_CST);
    k->soon = (uint64_t)KEEP_SOON * (cycles - k->first) / (uint64_t)(ns - k->first_ns);
    if (all && p->steady < k->soon) /* the coarse ones go on before that; or are about to */
        k->soon = p->steady > k->soon / 20 ? p->steady : k->soon / 20;
    if (ns - k->middle_ns >= KEEP_OVER) {
        k->first = k->middle;
        k->first_ns = k->middle_ns;
        k->middle = cycles;
        k->middle_ns = ns;
        k->raw_first = k->raw_middle;
        k->raw_first_ns = k->raw_middle_ns;
        k->raw_middle = raw_cycles;
        k->raw_middle_ns = raw_ns;
    }
}
#endif
