// What the vDSO has and tells: its symbols with their versions, times that agree with the calls, errors as the calls have them.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu"};
static int (*gettime)(clockid_t, struct timespec *), (*getres)(clockid_t, struct timespec *), (*day)(struct timeval *, void *);
static int (*getcpu_)(unsigned *, unsigned *, void *);
static time_t (*seconds)(time_t *);

static int64_t ns(struct timespec t) { return t.tv_sec * 1000000000ll + t.tv_nsec; }

// As musl looks: by DT_HASH, DT_SYMTAB and the versions, no C library's help.
static void *find(const char *base, const char *name)
{
    const Elf64_Ehdr *e = (const void *)base;
    const Elf64_Phdr *p = (const void *)(base + e->e_phoff);
    const Elf64_Dyn *d = NULL;
    const char *bias = base;
    for (int i = 0; i < e->e_phnum; i++) {
        if (p[i].p_type == PT_LOAD) bias = base + p[i].p_offset - p[i].p_vaddr;
        if (p[i].p_type == PT_DYNAMIC) d = (const void *)(base + p[i].p_offset);
    }
    const char *strings = NULL;
    const Elf64_Sym *symbols = NULL;
    const uint32_t *hash = NULL;
    const uint16_t *versym = NULL;
    const Elf64_Verdef *verdef = NULL;
    for (; d->d_tag; d++) {
        const void *at = bias + d->d_un.d_ptr;
        if (d->d_tag == DT_STRTAB) strings = at;
        if (d->d_tag == DT_SYMTAB) symbols = at;
        if (d->d_tag == DT_HASH) hash = at;
        if (d->d_tag == DT_VERSYM) versym = at;
        if (d->d_tag == DT_VERDEF) verdef = at;
    }
    if (!strings || !symbols || !hash || !versym || !verdef) return NULL;
    for (uint32_t i = 0; i < hash[1]; i++) {
        if (!symbols[i].st_shndx || strcmp(strings + symbols[i].st_name, name)) continue;
        const Elf64_Verdef *v = verdef;
        while ((v->vd_flags & VER_FLG_BASE) || (v->vd_ndx & 0x7fff) != (versym[i] & 0x7fff)) {
            if (!v->vd_next) return NULL;
            v = (const void *)((const char *)v + v->vd_next);
        }
        const Elf64_Verdaux *aux = (const void *)((const char *)v + v->vd_aux);
        if (!strcmp(strings + aux->vda_name, "LINUX_2.6")) return (void *)(bias + symbols[i].st_value);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *base = (const char *)getauxval(AT_SYSINFO_EHDR);
    void *loaded = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
    printf("there %d loaded %d\n", base != NULL, loaded != NULL);
    for (unsigned i = 0; i < 5; i++) {
        char full[40];
        snprintf(full, sizeof full, "__vdso_%s", names[i]);
        printf("%s %d %d %d %d\n", names[i], find(base, full) != NULL, find(base, names[i]) == find(base, full),
               dlvsym(loaded, full, "LINUX_2.6") == find(base, full), dlvsym(loaded, full, "LINUX_2.7") != NULL);
    }
    gettime = find(base, "__vdso_clock_gettime"), getres = find(base, "__vdso_clock_getres"), day = find(base, "__vdso_gettimeofday");
    seconds = find(base, "__vdso_time"), getcpu_ = find(base, "__vdso_getcpu");
    for (int clock = -2; clock < 14; clock++) {
        struct timespec a = {0}, b = {0}, c = {0}, r = {0}, s = {0};
        if (clock >= 8 && clock <= 10) continue; // whose alarms a host may lack
        int x = gettime(clock, &a), y = (int)syscall(SYS_clock_gettime, clock, &b), e = errno, z = gettime(clock, &c);
        printf("clock %d: %d %d %d order %d\n", clock, x, y ? -e : 0, z, ns(a) <= ns(b) && ns(b) <= ns(c));
        x = getres(clock, &r), y = (int)syscall(SYS_clock_getres, clock, &s), e = errno;
        printf("resolution %d: %d %d same %d\n", clock, x, y ? -e : 0, ns(r) == ns(s));
    }
    int wrong[2] = {0};
    struct timespec last[2] = {{0}, {0}};
    for (int i = 0; i < 20000; i++)
        for (clockid_t clock = 0; clock < 2; clock++) {
            struct timespec t;
            if (i % 16 == 15) syscall(SYS_clock_gettime, clock, &t);
            else gettime(clock, &t);
            if (ns(t) < ns(last[clock])) wrong[clock]++;
            last[clock] = t;
        }
    printf("backwards %d %d\n", wrong[0], wrong[1]);
    static const clockid_t rest[] = {CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI};
    for (unsigned k = 0; k < sizeof rest / sizeof *rest; k++) {
        int64_t before = 0;
        int less = 0;
        for (int i = 0; i < 4000; i++) {
            struct timespec t;
            if (i % 16 == 15) syscall(SYS_clock_gettime, rest[k], &t);
            else gettime(rest[k], &t);
            less += ns(t) < before;
            before = ns(t);
        }
        printf("backwards of %d: %d\n", (int)rest[k], less);
    }
    struct timeval v = {0}, w = {0};
    struct timezone zone = {7, 7};
    printf("day %d", day(&v, NULL));
    int done = day(&w, &zone);
    printf(" %d %d %d", done, zone.tz_minuteswest, zone.tz_dsttime);
    printf(" %d %d\n", day(NULL, &zone), day(NULL, NULL));
    time_t t = 0, u = seconds(&t);
    printf("seconds %d %d\n", t == u, u - v.tv_sec >= -1 && u - v.tv_sec <= 2);
    unsigned cpu = 99, node = 99;
    done = getcpu_(&cpu, &node, NULL);
    printf("cpu %d node %d", done, node);
    printf(" %d\n", getcpu_(NULL, NULL, NULL));
    printf("null %d\n", getres(1, NULL));
    if (argc > 1) {
        struct timespec m;
        gettime(CLOCK_MONOTONIC, &m), day(&v, NULL);
        fprintf(stderr, "%lld %lld %s\n", (long long)ns(m), (long long)v.tv_sec, argv[1]);
    }
    return 0;
}
