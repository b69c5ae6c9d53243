/* In what order inotify tells of names that go: the file that nobody has open first, then its directory. */
#include "show.h"
#include <sys/inotify.h>

static int watcher;

static void told(const char *after) {
    char text[8192];
    int size = read(watcher, text, sizeof text);
    printf("%s:%s\n", after, size < 0 ? " nothing" : "");
    for (int i = 0; i < size;) {
        struct inotify_event *event = (void *)(text + i);
        printf("  %d %x %d %s\n", event->wd, event->mask, event->cookie != 0, event->len ? event->name : "");
        i += sizeof *event + event->len;
    }
}

#define DO(...) do { __VA_ARGS__; told(#__VA_ARGS__); } while (0)

int main(void) {
    setbuf(stdout, 0);
    watcher = inotify_init1(IN_NONBLOCK);
    put("a", ""); put("b", ""); put("o", ""); put("x", ""); put("y", "");
    link("b", "b2"); mkdir("d", 0700); mkdir("e", 0700); mkdir("p", 0700); mkdir("q", 0700);
    int file = open("o", O_RDONLY), directory = open("e", O_RDONLY);
    char *names[] = {".", "a", "b", "d", "e", "o", "y", "q"};
    for (int i = 0; i < 8; i++) R(inotify_add_watch(watcher, names[i], IN_ALL_EVENTS & ~(IN_OPEN | IN_ACCESS)));
    DO(unlink("a")); DO(unlink("b")); DO(unlink("b2")); DO(rmdir("d")); DO(rmdir("e")); DO(close(directory)); DO(unlink("o")); DO(close(file));
    DO(rename("x", "y")); DO(rename("p", "q")); DO(rmdir("q"));
    return 0;
}
