/* What a program's clock calls are told without a call: the first page of [vvar], which the engine keeps right, and by
   which the functions of vdso.c make the time of the time stamp counter.

   The writer makes `seq` odd, changes the rest, makes it even; a reader who saw another number, or an odd one, looks
   again. Nothing is promised far from the moment that the page tells of: readers then make the call. */
#ifndef AXPTR_CLOCK_H
#define AXPTR_CLOCK_H
#include <stdint.h>

#define CLOCK_REACH 0x80000000ull   /* counts from the moment on, up to which the page is good: about a second */
#define CLOCK_SHIFT 32

struct clock_page {
    uint32_t seq;
    uint32_t counts;     /* whether the rest counts; 0: make the call */
    uint64_t cycles;     /* the counter at the moment */
    uint64_t mult;       /* nanoseconds a count, << CLOCK_SHIFT */
    int64_t ns[2];       /* CLOCK_REALTIME and CLOCK_MONOTONIC at the moment */
    uint32_t one_cpu;    /* the machine has one CPU, which is number 0 of node 0 */
};
#endif
