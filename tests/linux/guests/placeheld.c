// What suites of others found of places: which mount one is in, as statx, fdinfo and mountinfo tell it; and what a watch
// hears of a file whose last name goes while O_PATH holds it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define MNT_ID_UNIQUE 0x4000U

static long in_fdinfo(const char *path) {
    char name[64], line[256];
    long id = -1;
    int fd = open(path, O_PATH | O_CLOEXEC);
    sprintf(name, "/proc/self/fdinfo/%d", fd);
    FILE *file = fopen(name, "r");
    while (fgets(line, sizeof line, file)) sscanf(line, "mnt_id: %ld", &id);
    fclose(file), close(fd);
    return id;
}

static int in_mountinfo(long wanted) {
    char line[4096];
    long id;
    int found = 0;
    FILE *file = fopen("/proc/self/mountinfo", "r");
    while (fgets(line, sizeof line, file)) found |= sscanf(line, "%ld", &id) == 1 && id == wanted;
    fclose(file);
    return found;
}

static void mount_of(const char *path) {
    unsigned masks[] = {0, STATX_BASIC_STATS, STATX_BASIC_STATS | STATX_MNT_ID, STATX_BASIC_STATS | MNT_ID_UNIQUE};
    for (int i = 0; i < 4; i++) {
        struct statx st;
        int got = statx(AT_FDCWD, path, 0, masks[i], &st);
        printf("%s %x: %d mask %x root %d of %d", path, masks[i], got,
               st.stx_mask & (STATX_MNT_ID | (masks[i] & MNT_ID_UNIQUE)), !!(st.stx_attributes & STATX_ATTR_MOUNT_ROOT),
               !!(st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT));
        if (st.stx_mask & STATX_MNT_ID)
            printf(" %d %d", (long)st.stx_mnt_id == in_fdinfo(path), in_mountinfo(st.stx_mnt_id));
        puts("");
    }
}

static void heard(int watch, const char *what) {
    char events[4096] __attribute__((aligned(8)));
    struct pollfd at = {.fd = watch, .events = POLLIN};
    printf("%s:", what);
    if (poll(&at, 1, 0) == 1) {
        ssize_t size = read(watch, events, sizeof events);
        for (char *it = events; it < events + size; it += sizeof(struct inotify_event) + ((struct inotify_event *)it)->len)
            printf(" %x", ((struct inotify_event *)it)->mask);
    }
    puts("");
}

static int made(const char *name) {
    close(open(name, O_CREAT | O_WRONLY, 0600));
    return open(name, O_PATH | O_CLOEXEC);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    const char *paths[] = {"/proc", "/proc/self", "/proc/self/exe", "/etc", "/etc/passwd", ".", "/proc/."};
    for (int i = 0; i < 7; i++) mount_of(paths[i]);

    int watch = inotify_init1(IN_CLOEXEC), held;
    char link[64];
    held = made("one");
    sprintf(link, "/proc/self/fd/%d", held);
    printf("%d\n", inotify_add_watch(watch, link, IN_ALL_EVENTS & ~IN_OPEN));
    unlink("one"), heard(watch, "unlinked"), close(held), heard(watch, "let go");
    held = made("two");
    inotify_add_watch(watch, "two", IN_ALL_EVENTS);
    rename("two", "three"), heard(watch, "renamed"), close(held), heard(watch, "closed");
    held = open("three", O_PATH), unlink("three"), heard(watch, "unlinked"), close(held), heard(watch, "let go");
    mkdir("four", 0700);
    inotify_add_watch(watch, "four", IN_ALL_EVENTS & ~IN_OPEN);
    held = open("four", O_PATH | O_DIRECTORY), rmdir("four"), heard(watch, "removed"), close(held), heard(watch, "let go");
}
