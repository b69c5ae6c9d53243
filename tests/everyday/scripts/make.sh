# make
# needs: make gcc
for i in $(seq 12); do printf 'int f%d(void) { return %d; }\n' $i $i >f$i.c; done
{ for i in $(seq 12); do echo "int f$i(void);"; done; echo '#include <stdio.h>'; echo 'int main(void) { printf("%d\n", 0'; for i in $(seq 12); do echo "+ f$i()"; done; echo '); return 0; }'; } >main.c
printf 'OBJ := $(patsubst %%.c,%%.o,$(wildcard *.c))\nprog: $(OBJ)\n\t@$(CC) -o $@ $^ && echo linked\n%%.o: %%.c\n\t@$(CC) -c -O1 -o $@ $<\nfail:\n\t@false\n' >Makefile
make -j2 && ./prog; make -j2; make fail; echo $?
