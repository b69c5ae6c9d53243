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
#define KEEP_TOGETHER 1000ll        /* within so long clocks are looked at together */
#define KEEP_OFF 20000ll            /* more than what an interruption makes of a look */

/* The counter and a clock at one moment. */
struct keep_moment {
    uint64_t cycles;
    int64_t ns;
};

struct keep_rate {
    struct keep_moment first, middle; /* where the measure began, and where the next will have begun */
};

struct clock_keeper {
    struct keep_rate monotonic, raw;  /* CLOCK_MONOTONIC_RAW goes at a rate of its own */
    uint64_t looked, soon;            /* at the last look; counts until the next */
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

/* Of three looks at a clock the shortest. */
static struct keep_moment keep_look(clockid_t clock)
{
    struct keep_moment found = {0, 0};
    uint64_t best = ~0ull;
    int i;
    for (i = 0; i < 3; i++) {
        uint64_t before = keep_counter(), after;
        int64_t seen = keep_ns(clock);
        after = keep_counter();
        if (after - before < best) {
            best = after - before;
            found.cycles = before + best / 2;
            found.ns = seen;
        }
    }
    return found;
}

static void keep_begin(struct clock_keeper *k)
{
    k->monotonic.first = k->monotonic.middle = keep_look(CLOCK_MONOTONIC);
    k->raw.first = k->raw.middle = keep_look(CLOCK_MONOTONIC_RAW);
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

/* Nanoseconds a count, << CLOCK_SHIFT, since the measure began. */
static inline uint64_t keep_mult(const struct keep_rate *rate, struct keep_moment now)
{
    return (uint64_t)(((__uint128_t)(uint64_t)(now.ns - rate->first.ns) << CLOCK_SHIFT) / (now.cycles - rate->first.cycles));
}

/* The next measure begins where this one has come to. */
static inline void keep_on(struct keep_rate *rate, struct keep_moment now)
{
    rate->first = rate->middle;
    rate->middle = now;
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
    const struct keep_moment now = keep_look(CLOCK_MONOTONIC), *first = &k->monotonic.first;
    struct keep_moment raw;
    int64_t real, boot, tai, later, best = INT64_MAX;
    int tries;
    k->looked = now.cycles;
    if (now.cycles <= first->cycles || now.ns - first->ns < KEEP_KNOWN) {
        k->soon = 0;
        return;
    }
    raw = keep_look(CLOCK_MONOTONIC_RAW);
    tai = boot = real = later = 0;
    for (tries = 0; tries < 8 && best > KEEP_TOGETHER; tries++) { /* of looks that others came between, the shortest */
        const int64_t start = keep_ns(CLOCK_MONOTONIC);
        const int64_t of_tai = keep_ns(CLOCK_TAI);
        const int64_t of_boot = keep_ns(CLOCK_BOOTTIME);
        const int64_t of_real = keep_ns(CLOCK_REALTIME);
        const int64_t end = keep_ns(CLOCK_MONOTONIC);
        if (end - start < best) {
            best = end - start;
            tai = of_tai, boot = of_boot, real = of_real, later = end;
        }
    }
    if (p->counts) { /* does the counter still go as it did? */
        int64_t told = p->ns[TELLS_MONOTONIC] + keep_passed(now.cycles - p->cycles, p->mult) - ahead[1];
        if (told - now.ns > KEEP_OFF || now.ns - told > KEEP_OFF) {
            __atomic_store_n(&p->counts, 0, __ATOMIC_SEQ_CST);
            keep_begin(k);
            return;
        }
    }
    __atomic_store_n(&p->seq, p->seq | 1, __ATOMIC_SEQ_CST);
    p->mult = keep_mult(&k->monotonic, now);
    p->raw_mult = keep_mult(&k->raw, raw);
    p->cycles = now.cycles;
    p->ns[TELLS_REALTIME] = real - (later - now.ns) + ahead[0];
    p->ns[TELLS_MONOTONIC] = now.ns + ahead[1];
    p->ns[TELLS_RAW] = raw.ns - keep_passed(raw.cycles - now.cycles, p->raw_mult) + ahead[1];
    p->ns[TELLS_BOOTTIME] = boot - (later - now.ns) + ahead[2];
    p->ns[TELLS_TAI] = tai - (later - now.ns) + ahead[0];
    keep_coarse(p, now.ns, ahead[0], ahead[1]);
    p->counts = !p->mult ? 0 : all ? TELLS : TELLS_MONOTONIC + 1;
    __atomic_store_n(&p->seq, p->seq + 1, __ATOMIC_SEQ_CST);
    k->soon = (uint64_t)KEEP_SOON * (now.cycles - first->cycles) / (uint64_t)(now.ns - first->ns);
    if (all && p->steady < k->soon) /* the coarse ones go on before that; or are about to */
        k->soon = p->steady > k->soon / 20 ? p->steady : k->soon / 20;
    if (now.ns - k->monotonic.middle.ns >= KEEP_OVER) {
        keep_on(&k->monotonic, now);
        keep_on(&k->raw, raw);
    }
}
#endif
