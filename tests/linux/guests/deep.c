/* Directories whose names are longer than PATH_MAX, reached step by step, in a directory that is named. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define R(...) do { errno = 0; long r_ = (long)(__VA_ARGS__); printf("%s: %ld %s\n", #__VA_ARGS__, r_, r_ < 0 ? strerrorname_np(errno) : ""); } while (0)

int main(int argc, char **argv) {
    char name[201], text[9000];
    struct stat s;
    int depth = 0, file, directory;
    if (argc != 2 || chdir(argv[1])) return 2;
    memset(name, 'x', 200);
    name[200] = 0;
    while (depth < 40 && !mkdir(name, 0700) && !chdir(name)) depth++;
    R(depth);
    R((file = open("f", O_RDWR | O_CREAT, 0600)) >= 0);
    R(write(file, "abc", 3));
    R(syscall(SYS_getcwd, text, sizeof text));
    R(readlink("/proc/self/cwd", text, sizeof text));
    snprintf(text, sizeof text, "/proc/self/fd/%d", file);
    R(readlink(text, text, sizeof text));
    R(stat("f", &s));
    R(fstat(file, &s));
    R(rename("f", "g"));
    R(symlink("g", "h"));
    R(readlink("h", text, sizeof text));
    R(mkdir("d", 0755));
    R(rename("d", "e"));
    R(stat("e/..", &s));
    R(stat("../..", &s));
    R(rmdir("e"));
    R((directory = open(".", O_RDONLY | O_DIRECTORY)) >= 0);
    R(syscall(SYS_getdents64, directory, text, sizeof text) > 0);
    R(fchdir(directory));
    R(unlink("g"));
    R(unlink("h"));
    while (depth && !chdir("..") && !rmdir(name)) depth--;
    R(depth);
    return 0;
}
