/* Runs a script of lock calls and prints what each gives. A word of the script is one call:
   o SLOT FILE FLAGS | d FROM TO | c SLOT | s SLOT COMMAND TYPE WHENCE START LENGTH PID | f SLOT OPERATION | k SLOT POSITION
   | p TEXT (print it) | r (read a line from standard input) | e (become this program again, with what is left) */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define BASE 10
int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IONBF, 0);
    for (int i = 1; i < argc; i++) {
        long slot, a, b, c, d, e, f;
        char file[100];
        long result = 0;
        errno = 0;
        switch (argv[i][0]) {
        case 'o':
            sscanf(argv[i], "o %ld %99s %ld", &slot, file, &a);
            if (fcntl(BASE + slot, F_GETFD) < 0) {
                int fd = open(file, a, 0600);
                if ((result = fd) >= 0) {
                    result = dup2(fd, BASE + slot) - BASE;
                    close(fd);
                }
            }
            break;
        case 'd':
            sscanf(argv[i], "d %ld %ld", &slot, &a);
            result = dup2(BASE + slot, BASE + a);
            break;
        case 'c':
            sscanf(argv[i], "c %ld", &slot);
            result = close(BASE + slot);
            break;
        case 'k':
            sscanf(argv[i], "k %ld %ld", &slot, &a);
            result = lseek(BASE + slot, a, SEEK_SET);
            break;
        case 's': {
            sscanf(argv[i], "s %ld %ld %ld %ld %ld %ld %ld", &slot, &a, &b, &c, &d, &e, &f);
            struct flock lock = {.l_type = b, .l_whence = c, .l_start = d, .l_len = e, .l_pid = f};
            result = fcntl(BASE + slot, a, &lock);
            printf("[%d %d %ld %ld %d] ", lock.l_type, lock.l_whence, (long)lock.l_start, (long)lock.l_len,
                   lock.l_pid == getpid() ? 1000 : lock.l_pid);
            break;
        }
        case 'f':
            sscanf(argv[i], "f %ld %ld", &slot, &a);
            result = flock(BASE + slot, a);
            break;
        case 'p':
            printf("%s\n", argv[i] + 2);
            continue;
        case 'r':
            while (read(0, file, 1) == 1 && *file != '\n')
                ;
            continue;
        case 'e':
            argv[i] = argv[0];
            execv("/proc/self/exe", argv + i);
            break;
        }
        printf("%s: %ld %s\n", argv[i], result, result < 0 ? strerrorname_np(errno) : "");
    }
    return 0;
}
