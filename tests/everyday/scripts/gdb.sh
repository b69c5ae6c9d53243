# gdb
# needs: gdb gcc
printf 'int g; int f(int x) { g = x; return x + 1; } int main(void) { return f(4); }' >d.c
gcc -g -O0 d.c -o d
gdb -q -nx -batch -ex 'break f' -ex run -ex 'print x' -ex bt -ex finish -ex continue ./d 2>/dev/null | grep -E '^(#|\$|Value|\[Inferior)' | sed 's/process [0-9]*/process/'
