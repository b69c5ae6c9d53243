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

/* The counter and the monotonic clock at one moment: of three looks the shortest. */
static void keep_look(uint64_t *cycles, int64_t *ns)
{
    uint64_t best = ~0ull;
    int i;
    for (i = 0; i < 3; i++) {
        uint64_t before = keep_counter(), after;
        int64_t seen = keep_ns(CLOCK_MONOTONIC);
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
    keep_look(&k->first, &k->first_ns);
    k->middle = k->first;
    k->middle_ns = k->first_ns;
    k->looked = k->soon = 0;
}

static inline int keep_due(const struct clock_keeper *k)
{
    return keep_counter() - k->looked >= k->soon;
}

/* ahead: how far the page's clocks are before the host's. */
static void keep_page(struct clock_keeper *k, struct clock_page *p, const int64_t ahead[2])
{
    uint64_t cycles = 0;
    int64_t ns = 0, real, later;
    keep_look(&cycles, &ns);
    k->looked = cycles;
    if (cycles <= k->first || ns - k->first_ns < KEEP_KNOWN) {
        k->soon = 0;
        return;
    }
    real = keep_ns(CLOCK_REALTIME);
    later = keep_ns(CLOCK_MONOTONIC);
    if (p->counts) { /* does the counter still go as it did? */
        int64_t told = p->ns[1] + (int64_t)((__uint128_t)(cycles - p->cycles) * p->mult >> CLOCK_SHIFT) - ahead[1];
        if (told - ns > KEEP_OFF || ns - told > KEEP_OFF) {
            __atomic_store_n(&p->counts, 0, __ATOMIC_SEQ_CST);
            keep_begin(k);
            return;
        }
    }
    __atomic_store_n(&p->seq, p->seq | 1, __ATOMIC_SEQ_CST);
    p->mult = (uint64_t)(((__uint128_t)(ns - k->first_ns) << CLOCK_SHIFT) / (cycles - k->first));
    p->cycles = cycles;
    p->ns[1] = ns + ahead[1];
    p->ns[0] = real - (later - ns) + ahead[0];
    p->counts = p->mult != 0;
    __atomic_store_n(&p->seq, p->seq + 1, __ATOMIC_SEQ_CST);
    k->soon = (uint64_t)KEEP_SOON * (cycles - k->first) / (uint64_t)(ns - k->first_ns);
    if (ns - k->middle_ns >= KEEP_OVER) {
        k->first = k->middle;
        k->first_ns = k->middle_ns;
        k->middle = cycles;
        k->middle_ns = ns;
    }
}
#endif
