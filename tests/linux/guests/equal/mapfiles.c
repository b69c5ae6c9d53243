/* /proc/self/map_files beside /proc/self/maps: the same ranges, with the same files. */
#include "show.h"

int main(void) {
    char line[600], path[700], goal[600], name[600];
    unsigned long start, end, offset, inode;
    char rights[8], device[16];
    struct stat about;
    setbuf(stdout, 0);
    int fd = open("mapped", O_RDWR | O_CREAT, 0600), listed = 0, files = 0;
    ftruncate(fd, 3 * PAGE);
    char *m = mmap(0, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0), *s = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *wo = mmap(0, PAGE, PROT_NONE, MAP_PRIVATE, fd, 0), *anon = mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(m + PAGE, PAGE, PROT_READ | PROT_WRITE);
    FILE *maps = fopen("/proc/self/maps", "r");
    setvbuf(maps, malloc(1 << 16), _IOFBF, 1 << 16);
    int wrong = 0;
    while (fgets(line, sizeof line, maps)) {
        name[0] = 0;
        sscanf(line, "%lx-%lx %7s %lx %15s %lu %599[^\n]", &start, &end, rights, &offset, device, &inode, name);
        if (name[0] != '/') continue;
        files++;
        sprintf(path, "/proc/self/map_files/%lx-%lx", start, end);
        ssize_t size = readlink(path, goal, sizeof goal - 1);
        goal[size < 0 ? 0 : size] = 0;
        wrong += strcmp(goal, name) != 0;
        if (strstr(name, "/mapped")) {
            lstat(path, &about);
            printf("%.4s %o %ld\n", rights, about.st_mode, (long)about.st_size);
        }
    }
    R(wrong);
    DIR *dir = opendir("/proc/self/map_files");
    struct dirent *entry;
    while ((entry = readdir(dir))) listed += entry->d_name[0] != '.';
    R(listed == files);
    lstat("/proc/self/map_files", &about); R(about.st_mode);
    sprintf(path, "/proc/self/map_files/%lx-%lx", (long)anon, (long)anon + PAGE); R(readlink(path, goal, 9)); R(access(path, F_OK));
    sprintf(path, "/proc/self/map_files/%lx-%lx", (long)m, (long)m + 2 * PAGE); R(readlink(path, goal, 9));
    sprintf(path, "/proc/self/map_files/0%lx-%lx", (long)s, (long)s + PAGE); R(readlink(path, goal, 9));
    sprintf(path, "/proc/self/map_files/%lX-%lx", (long)s, (long)s + PAGE); R(readlink(path, goal, 9));
    R(readlink("/proc/self/map_files/x", goal, 9)); R(readlink("/proc/self/map_files/0-1", goal, 9)); R(mkdir("/proc/self/map_files/d", 0700));
    unlink("mapped");
    sprintf(path, "/proc/self/map_files/%lx-%lx", (long)s, (long)s + PAGE);
    ssize_t size = readlink(path, goal, sizeof goal - 1); goal[size < 0 ? 0 : size] = 0; printf("%s\n", strrchr(goal, '/'));
    return 0;
}
