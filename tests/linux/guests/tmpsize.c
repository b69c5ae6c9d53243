// What a tmpfs may hold: size=, nr_blocks=, nr_inodes= at mount and remount; writes, holes, fallocate, names and links.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

static char bytes[200000];

static void told(const char *what, long got) {
    printf("%s: %ld%s%s\n", what, got, got < 0 ? " " : "", got < 0 ? strerror(errno) : "");
}

static void room(const char *when) {
    struct statfs fs;
    statfs("m", &fs);
    printf("%s: %ld of %ld pages", when, (long)fs.f_bfree, (long)fs.f_blocks);
    if (fs.f_files < 100) printf(", %ld of %ld inodes", (long)fs.f_ffree, (long)fs.f_files);
    puts("");
}

static void options(void) {
    char line[4096], *at;
    FILE *file = fopen("/proc/self/mountinfo", "r");
    while (fgets(line, sizeof line, file))
        if ((at = strstr(line, "/m rw"))) fputs(strstr(at, " - "), stdout);
    fclose(file);
}

static void kinds(void) {
    const char *kinds[] = {"size=64k,nr_inodes=8", "size=65k", "nr_blocks=5,nr_inodes=3", "size=0", "size=1m,mode=700",
                           "size=4k,nr_inodes=0", "size=64k,uid=5,gid=6", "size=1x", "nr_inodes=50%", NULL};
    for (int i = 0; kinds[i]; i++) {
        int got = mount("none", "m", "tmpfs", 0, kinds[i]);
        told(kinds[i], got);
        if (got) continue;
        if (i < 3) room("new");
        options();
        umount("m");
    }
}

static void pages(int file) {
    struct stat st;
    told("write", write(file, bytes, sizeof bytes));
    told("write", write(file, bytes, 1)), room("full");
    told("over", pwrite(file, bytes, 100, 0));
    told("beyond", pwrite(file, bytes, 100, 1 << 20));
    ftruncate(file, 10000), room("cut");
    told("write", pwrite(file, bytes, sizeof bytes, 10000));
    fstat(file, &st);
    printf("%ld bytes, %ld blocks\n", (long)st.st_size, (long)st.st_blocks);
    ftruncate(file, 0), room("empty");
    told("fallocate", fallocate(file, 0, 0, 65536));
    told("fallocate", fallocate(file, 0, 0, 65537)), room("allocated");
    ftruncate(file, 0);
    told("fallocate", fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 65537));
    told("fallocate", fallocate(file, 0, 0, 1L << 40)), room("empty");
    ftruncate(file, 1 << 20), room("sparse");
    told("into a hole", pwrite(file, bytes, 1, 500000)), room("one");
}

static void names(void) {
    char name[32];
    for (int i = 0; i < 9; i++) {
        sprintf(name, "m/f%d", i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        told(name, fd < 0 ? -1 : 0);
        close(fd);
    }
    room("names");
    told("mkdir", mkdir("m/d", 0700));
    told("link", link("m/a", "m/l"));
    told("symlink", symlink("x", "m/s"));
    told("nameless", open("m", O_TMPFILE | O_RDWR, 0600));
    unlink("m/f1"), room("one less");
    told("link", link("m/a", "m/l")), room("linked");
    told("mkdir", mkdir("m/d", 0700));
    unlink("m/l");
    told("mkdir", mkdir("m/d", 0700)), room("made");
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    memset(bytes, 1, sizeof bytes);
    mkdir("m", 0755);
    kinds();
    mount("none", "m", "tmpfs", 0, "size=64k,nr_inodes=8");
    int file = open("m/a", O_CREAT | O_RDWR, 0600);
    pages(file);
    names();
    int other = open("m/f2", O_WRONLY);
    told("fill", write(other, bytes, sizeof bytes));
    unlink("m/f2"), room("no name"), close(other), room("closed");
    told("size=4k", mount(NULL, "m", NULL, MS_REMOUNT, "size=4k"));
    told("size=128k", mount(NULL, "m", NULL, MS_REMOUNT, "size=128k,nr_inodes=20")), room("larger"), options();
    told("nr_inodes=2", mount(NULL, "m", NULL, MS_REMOUNT, "nr_inodes=2"));
    told("size=x", mount(NULL, "m", NULL, MS_REMOUNT, "size=x"));
    told("nothing", mount(NULL, "m", NULL, MS_REMOUNT, NULL)), room("as before");
    told("size=0", mount(NULL, "m", NULL, MS_REMOUNT, "size=0")), room("no end");
    told("size=64k", mount(NULL, "m", NULL, MS_REMOUNT, "size=64k"));
    told("rename", rename("m/f3", "m/f4")), room("renamed");
    close(file), unlink("m/a"), room("gone");
}
