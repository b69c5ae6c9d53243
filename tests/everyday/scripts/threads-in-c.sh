# threads in C
# needs: gcc
cat >t.c <<'END'

#include <pthread.h>
#include <stdio.h>
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t c = PTHREAD_COND_INITIALIZER; static int n, turn; static __thread int mine;
static void *work(void *k) { for (int i = 0; i < 200; i++) { pthread_mutex_lock(&m); while (turn != (long)k) pthread_cond_wait(&c, &m); n += ++mine; turn = (turn + 1) % 4; pthread_cond_broadcast(&c); pthread_mutex_unlock(&m); } return (void *)(long)mine; }
int main(void) { pthread_t t[4]; void *r; for (long i = 0; i < 4; i++) pthread_create(t + i, 0, work, (void *)i); for (int i = 0; i < 4; i++) { pthread_join(t[i], &r); printf("%ld ", (long)r); } printf("%d\n", n); return n % 100; }

END
gcc -O1 -pthread t.c -o t && ./t; echo $?
