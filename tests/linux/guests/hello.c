/* Prints its arguments, one environment variable, and what the auxiliary vector says that can be compared. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static int initialized = 42, zero[5000];
extern char **environ;

int main(int argc, char **argv) {
    for (int i = 0; i < argc; i++) printf("argv[%d] = %s\n", i, argv[i]);
    printf("HOME = %s\n", getenv("HOME"));
    int sum = 0;
    for (int i = 0; i < 5000; i++) sum += zero[i];
    printf("data %d, bss %d\n", initialized, sum);
    printf("page size %lu, execfn %s, platform %s, secure %lu\n", getauxval(AT_PAGESZ),
           (char *)getauxval(AT_EXECFN), (char *)getauxval(AT_PLATFORM), getauxval(AT_SECURE));
    printf("phdr %d, phent %lu, entry %d\n", getauxval(AT_PHDR) != 0, getauxval(AT_PHENT), getauxval(AT_ENTRY) != 0);
    unsigned char *random = (unsigned char *)getauxval(AT_RANDOM);
    int bits = 0;
    for (int i = 0; i < 16; i++) bits |= random[i];
    printf("random %d, uid %d\n", bits != 0, getauxval(AT_UID) == getuid());
    printf("stack aligned %d\n", ((uintptr_t)__builtin_frame_address(0) & 15) == 0);
    return argc > 1 ? atoi(argv[1]) : 0;
}
