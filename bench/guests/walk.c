/* A guest whose working set is larger than the engine's translation cache: it walks 64 MiB of pages again and
 * again, one word read and written in each, at another place of the page every time. */
#include "guest.h"

#ifndef PASSES
#define PASSES 1000
#endif
#define PAGES 16384

static u64 memory[PAGES][512];

void run(void)
{
    u64 sum = 0;
    u32 words[2];
    for (u64 pass = 0; pass < PASSES; pass++)
        for (u64 page = 0; page < PAGES; page++)
            sum += memory[page][(pass * 7 + page) & 511] += page ^ pass;
    words[0] = (u32)(sum >> 32);
    words[1] = (u32)sum;
    finish(words, 2);
}
