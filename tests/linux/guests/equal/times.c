/* Times of files: utime, utimes, futimesat, utimensat, with odd times and odd names. */
#include "show.h"
#include <utime.h>

static void times_of(const char *name) {
    struct stat st;
    if (fstatat(AT_FDCWD, name, &st, AT_SYMLINK_NOFOLLOW)) { printf("  %s: %d\n", name, errno); return; }
    int now = st.st_atim.tv_sec > 1500000000, mnow = st.st_mtim.tv_sec > 1500000000;
    printf("  %s: %ld.%09ld %ld.%09ld\n", name, now ? -1 : st.st_atim.tv_sec, now ? 0 : st.st_atim.tv_nsec, mnow ? -1 : st.st_mtim.tv_sec, mnow ? 0 : st.st_mtim.tv_nsec);
}

int main(void) {
    put("f", "x"); symlink("f", "l"); symlink("none", "dangling"); mkdir("d", 0755); put("d/g", "y");
    int dir = open("d", O_RDONLY), file = open("f", O_RDONLY), path = open("f", O_PATH), lpath = open("l", O_PATH | O_NOFOLLOW);
    struct utimbuf ub = {1000, 2000};
    S(utime, "f", &ub); times_of("f"); S(utime, "l", &ub); S(utime, "dangling", &ub); S(utime, "f", 0); times_of("f"); S(utime, "f", BAD); S(utime, BAD, 0); S(utime, "", 0); S(utime, "d", &ub); times_of("d"); S(utime, "d/", &ub); S(utime, "f/", &ub);
    long odd[][2] = {{-1, -5}, {0, 0}, {1L << 33, 1L << 33}, {LONG_MIN, LONG_MIN}, {LONG_MAX, LONG_MAX}, {-(1L << 31), (1L << 31) - 1}, {-(1L << 31) - 1, 1L << 31}};
    for (int i = 0; i < 7; i++) { struct utimbuf b = {odd[i][0], odd[i][1]}; struct stat st; S(utime, "f", &b); stat("f", &st); printf("  %ld %ld\n", st.st_atim.tv_sec, st.st_mtim.tv_sec); }
    struct timeval tv[2] = {{3000, 123456}, {4000, 999999}};
    S(utimes, "f", tv); times_of("f"); tv[0].tv_usec = 1000000; S(utimes, "f", tv); tv[0].tv_usec = -1; S(utimes, "f", tv); tv[0].tv_usec = 0; S(utimes, "l", tv); times_of("l"); S(utimes, "f", 0); times_of("f"); S(utimes, "none", tv); S(utimes, BAD, tv); S(utimes, "f", BAD); tv[1].tv_usec = 0x3fffffff; S(utimes, "f", tv); tv[1].tv_usec = 1;
    S(futimesat, AT_FDCWD, "f", tv); times_of("f"); S(futimesat, dir, "g", tv); times_of("d/g"); S(futimesat, -1, "f", tv); S(futimesat, file, "f", tv); S(futimesat, file, 0, tv); times_of("f"); S(futimesat, AT_FDCWD, 0, tv); S(futimesat, path, 0, tv); S(futimesat, -1, 0, tv); S(futimesat, AT_FDCWD, "", tv); S(futimesat, dir, "g", 0); times_of("d/g");
    struct timespec ts[2] = {{5000, 1}, {6000, 999999999}};
    S(utimensat, AT_FDCWD, "f", ts, 0); times_of("f"); S(utimensat, AT_FDCWD, "l", ts, AT_SYMLINK_NOFOLLOW); times_of("l"); S(utimensat, AT_FDCWD, "dangling", ts, AT_SYMLINK_NOFOLLOW); S(utimensat, AT_FDCWD, "dangling", ts, 0); S(utimensat, file, 0, ts, 0); S(utimensat, file, "", ts, AT_EMPTY_PATH); S(utimensat, path, "", ts, AT_EMPTY_PATH); S(utimensat, lpath, "", ts, AT_EMPTY_PATH); S(utimensat, path, 0, ts, 0); S(utimensat, file, 0, ts, AT_SYMLINK_NOFOLLOW); S(utimensat, file, 0, ts, AT_EMPTY_PATH); S(utimensat, AT_FDCWD, 0, ts, 0); S(utimensat, AT_FDCWD, "f", ts, 1); S(utimensat, AT_FDCWD, "f", BAD, 0); S(utimensat, AT_FDCWD, "", ts, AT_EMPTY_PATH);
    ts[0].tv_nsec = UTIME_OMIT; ts[1].tv_nsec = UTIME_OMIT; S(utimensat, AT_FDCWD, "nothing", ts, 0); S(utimensat, -1, BAD, ts, 77); ts[1].tv_nsec = UTIME_NOW; S(utimensat, AT_FDCWD, "f", ts, 0); times_of("f"); ts[0].tv_nsec = UTIME_NOW; ts[1] = (struct timespec){7, 7}; S(utimensat, AT_FDCWD, "f", ts, 0); times_of("f"); ts[0].tv_nsec = 1000000000; S(utimensat, AT_FDCWD, "f", ts, 0); ts[0].tv_nsec = -1; S(utimensat, AT_FDCWD, "f", ts, 0);
    return 0;
}
