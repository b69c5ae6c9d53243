# programs with the address, leak, thread and undefined-behaviour sanitizers
# needs: gcc
cat > a.c <<'X'
#include <stdlib.h>
#include <stdio.h>
int main(int c,char**v){char*p=malloc(10);if(c>1){p[10]=1;}free(p);if(c>2)p[0]=2;puts("fine");return 0;}
X
gcc -g -fsanitize=address a.c -o a && ./a; echo $?; ./a 1 2>&1 | grep -E 'ERROR|SUMMARY' | sed 's/==[0-9]*==//;s/0x[0-9a-f]*/X/g'; ./a 1 >/dev/null 2>&1; echo $?
cat > a.c <<'X'
#include <stdlib.h>
void *q; int main(){for(int i=0;i<3;i++)q=malloc(7);q=0;return 0;}
X
gcc -g -fsanitize=leak a.c -o a; ./a 2>&1 | grep SUMMARY; gcc -g -fsanitize=address a.c -o a; ./a 2>&1 | grep SUMMARY; ./a 2>/dev/null; echo $?
cat > a.c <<'X'
#include <pthread.h>
#include <stdio.h>
int x; void*f(void*p){x++;return 0;}
int main(){pthread_t a,b;pthread_create(&a,0,f,0);pthread_create(&b,0,f,0);pthread_join(a,0);pthread_join(b,0);printf("%d\n",x>0);return 0;}
X
gcc -g -fsanitize=thread a.c -o a; ./a > o 2>e; echo $?; cat o; grep SUMMARY e
cat > a.c <<'X'
#include <limits.h>
int main(int c,char**v){int x=INT_MAX; x+=c; return x==3;}
X
gcc -g -fsanitize=undefined a.c -o a; ./a; echo $?
