# gdbserver, and gdb that talks to it.
# needs: gdbserver gdb gcc
cat > t.c <<C
#include <stdio.h>
int f(int x) { return x * 2; }
int main(int argc, char **argv) { for (int i = 0; i < 3; i++) printf("%d\n", f(i)); return 3; }
C
gcc -g -O0 -o t t.c; gdbserver --once 127.0.0.1:18799 ./t > server.out 2>server.err & p=$!
for i in $(seq 50); do grep -q Listening server.err && break; sleep .1; done
gdb -q -nx -batch -ex 'target remote 127.0.0.1:18799' -ex 'break f' -ex continue -ex 'print x' -ex bt -ex continue -ex 'print x' -ex delete -ex continue ./t 2>&1 | sed 's/process [0-9]*/process N/' | grep -v 'Reading\|warning\|0x0000' 
wait $p; echo $?; grep -v pid server.out; grep -v 'pid\|^Process\|Remote\|regsets' server.err
