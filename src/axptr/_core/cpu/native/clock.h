/* What a program's clock calls are told without a call: the first page of [vvar], which the engine keeps right, and by
   which the functions of vdso.c make the time of the time stamp counter.

   The writer makes `seq` odd, changes the rest, makes it even; a reader who saw another number, or an odd one, looks
   again. Nothing is promised far from the moment that the page tells of: readers then make the call. */
#ifndef AXPTR_CLOCK_H
#define AXPTR_CLOCK_H
#include <stdint.h>

#define CLOCK_REACH 0x80000000ull   /* counts from the moment on, up to which the page is good: about a second */
#define CLOCK_SHIFT 32

/* Places in `ns`: clock_gettime(2) has their names. */
enum { TELLS_REALTIME, TELLS_MONOTONIC, TELLS_RAW, TELLS_BOOTTIME, TELLS_TAI, TELLS };

struct clock_page {
    uint32_t seq;
    uint32_t counts;     /* how many of `ns` count, from the first on; 0: make the call. All: the coarse ones too */
    uint64_t cycles;     /* the counter at the moment */
    uint64_t mult;       /* nanoseconds a count, << CLOCK_SHIFT */
    uint64_t raw_mult;   /* those of CLOCK_MONOTONIC_RAW */
    int64_t ns[TELLS];   /* at the moment */
    int64_t coarse[2];   /* CLOCK_REALTIME_COARSE and CLOCK_MONOTONIC_COARSE, which stand still */
    uint64_t steady;     /* for so many counts from the moment on; then make the call */
    int64_t step;        /* by how many nanoseconds they go on then, at least */
    uint32_t one_cpu;    /* the machine has one CPU, which is number 0 of node 0 */
};
#endif
