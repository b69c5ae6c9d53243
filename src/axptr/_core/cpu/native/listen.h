/* Waiting for a guest that has the CPU for itself, by one call of the host's instead of two: the receipt itself waits, no
   poll before it. It has no end of its own, so the clock's thread looks, at its beats, whether a guest that was asked out
   comes, and ends one that does not: the receipt is over then. Hosts before Linux 6.11 let a receipt wait for ever for one
   that has ended: there is none of this there.

   Not here: what a receipt means (`host.h`), who waits (`native`), when the clock beats (`metronome`). */
#ifndef AXPTR_NATIVE_LISTEN_H
#define AXPTR_NATIVE_LISTEN_H
#include "host.h"
#include <sys/utsname.h>

#define NAT_LOOK 40000000ll /* nanoseconds between two looks of the clock's thread, at least */
#define NAT_OVERDUE 40      /* looks that find that it could have come: it is ended then */

static volatile int nat_receipts; /* whether a receipt ends with the last that could say something: 1 no, 2 yes, 0 not asked */

static int nat_receipts_end(void)
{
    if (!nat_receipts) {
        struct utsname host;
        unsigned major = 0, minor = 0;
        int named = uname(&host) == 0 && sscanf(host.release, "%u.%u", &major, &minor) == 2;
        nat_receipts = 1 + (named && (major > 6 || (major == 6 && minor >= 11)));
    }
    return nat_receipts == 2;
}

/* A test says so of the host. */
static void nat_say_receipts_end(int whether)
{
    nat_receipts = 1 + !!whether;
}

/* What it says next, however long that takes. NAT_NOTHING: a signal came, or it has ended, or is about to; or nobody knows,
   and it is to be polled for. */
static int nat_listen(struct nat_stub *s)
{
    int event;
    if (!nat_receipts_end())
        return NAT_NOTHING;
    s->looks = -1;
    s->listening = 1;
    event = nat_receive(s);
    s->listening = 0;
    return event;
}

/* The clock's beat: it is to come out. One that was asked before and could have, again and again, while somebody listens who
   cannot look himself, is ended. */
static void nat_beat(struct nat_stub *s)
{
    struct timespec t;
    struct pollfd p = {s->listener, POLLIN, 0};
    int64_t now;
    nat_interrupt(s, 0);
    if (!s->listening || !s->pid || poll(&p, 1, 0) != 0) /* what it has said is about to be heard */
        return;
    clock_gettime(CLOCK_MONOTONIC, &t);
    now = t.tv_sec * 1000000000ll + t.tv_nsec;
    if (s->looks < 0) {
        s->used = nat_cpu_time(s); /* what it uses from now on */
        s->looks = 0;
    } else if (now - s->looked < NAT_LOOK)
        return;
    else if (nat_had_time(s, &s->used) && ++s->looks > NAT_OVERDUE) {
        pthread_mutex_lock(&s->mutex);
        if (s->pid && s->listening) {
            s->overdue = 1;
            kill(s->pid, SIGKILL);
        }
        pthread_mutex_unlock(&s->mutex);
    }
    s->looked = now;
}
#endif
