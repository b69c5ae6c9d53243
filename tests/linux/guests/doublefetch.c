// Opens a path again and again while a thread changes it: between a name that a judge lets pass and one that it does not.
// Prints how often the file that was opened was the forbidden one.
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile char path[64];
static volatile int stop;

static void *change(void *unused) {
    (void)unused;
    const char *names[2] = {"/tmp/good", "/tmp/evil"};
    for (unsigned i = 0; !stop; i++)
        for (int at = 5; at < 9; at++) path[at] = names[i & 1][at];
    return 0;
}

int main(int argc, char **argv) {
    int tries = argc > 1 ? atoi(argv[1]) : 1000, won = 0, opened = 0;
    strcpy((char *)path, "/tmp/good");
    pthread_t thread;
    pthread_create(&thread, 0, change, 0);
    for (int i = 0; i < tries; i++) {
        int fd = open((const char *)path, O_RDONLY);
        if (fd < 0) continue;
        char what[5] = {0};
        if (read(fd, what, 4) != 4) return 1;
        opened++;
        won += !strcmp(what, "evil");
        close(fd);
    }
    stop = 1;
    pthread_join(thread, 0);
    printf("%d %d\n", opened > 0, won);
    return 0;
}
