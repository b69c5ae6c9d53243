# valgrind: memcheck finds what is wrong, the other tools run.
# needs: valgrind gcc
cat > t.c <<C
#include <stdlib.h>
#include <stdio.h>
int main(void) { char *p = malloc(10); p[10] = 1; int *q = malloc(4); if (*q) printf("uninit\n"); printf("done\n"); return 2; }
C
gcc -g -O0 -o t t.c; valgrind -q --leak-check=full ./t 2>&1 | sed 's/==[0-9]*==/==N==/; s/0x[0-9A-Fa-f]*/X/g'; valgrind --tool=cachegrind --cachegrind-out-file=/dev/null ./t 2>/dev/null; echo $?; valgrind --tool=helgrind -q /bin/true; echo $?
