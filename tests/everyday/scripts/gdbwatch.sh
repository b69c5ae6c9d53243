# gdb: hardware watchpoints and breakpoints
# needs: gdb gcc
printf '%s\n' 'int counter, other; void bump(int n) { counter += n; }' 'int main(void) { for (int i = 1; i < 4; i++) { bump(i); other = counter * 2; } return other; }' >w.c
gcc -g -O0 w.c -o w
gdb -q -nx -batch -ex 'set width 0' -ex 'break main' -ex run -ex 'watch counter' -ex 'awatch other' -ex 'hbreak bump' -ex 'info breakpoints' \
  -ex continue -ex continue -ex continue -ex continue -ex delete -ex continue ./w 2>/dev/null | sed 's/process [0-9]*/process/'
