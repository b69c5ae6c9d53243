# compile and run
# needs: gcc
printf '#include <stdio.h>\nint main(int c, char **v) { printf("hello %%d\\n", c); return 3; }' >h.c
gcc -Wall -O2 h.c -o h && ./h a b
echo $?
gcc -c nowhere.c
echo $?
printf 'int main(void) { return undefined(); }' >u.c
gcc -w u.c 2>&1 | grep -c undefined
gcc -S -o - h.c | grep -c main
gcc -pipe -g h.c && ./a.out
