# signals of memory that is not there, and mappings of files
# needs: gcc
cat > m.c <<'X'
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>
#include <string.h>
#include <signal.h>
#include <setjmp.h>
#include <errno.h>
static sigjmp_buf j; static void h(int s,siginfo_t*i,void*u){ printf("sig %d code %d\n",s,i->si_code); siglongjmp(j,1); }
int main(){ setvbuf(stdout,0,_IONBF,0);
    struct sigaction a={.sa_sigaction=h,.sa_flags=SA_SIGINFO};
    sigaction(SIGBUS,&a,0);
    sigaction(SIGSEGV,&a,0);
    int f=open("mf",O_RDWR|O_CREAT,0600);
    ftruncate(f,8192);
    char*p=mmap(0,16384,3,MAP_SHARED,f,0);
    p[0]='a';
    if(!sigsetjmp(j,1)) p[9000]=1;
    if(!sigsetjmp(j,1)) ((volatile char*)0)[5];
    mprotect(p,4096,PROT_READ);
    if(!sigsetjmp(j,1)) p[0]=1;
    if(!fork()){ mprotect(p,4096,3);
    p[1]='b';
    _exit(0);} wait(0);
    printf("%c%c\n",p[0],p[1]);
    char b[2];
    pread(f,b,2,0);
    printf("%.2s\n",b);
    ftruncate(f,4096);
    if(!sigsetjmp(j,1)) p[5000];
    char*q=mremap(p,4096,8192,MREMAP_MAYMOVE);
    printf("%d\n",q!=MAP_FAILED);
    printf("%d %d\n",msync(q,4096,MS_SYNC),madvise(q,4096,MADV_DONTNEED));
    char*n=mmap(0,4096,3,MAP_PRIVATE|MAP_ANONYMOUS,-1,0);
    memset(n,7,4096);
    madvise(n,4096,MADV_DONTNEED);
    printf("%d\n",n[5]);
    munmap(n,4096);
    if(!sigsetjmp(j,1)) n[0];
    unsigned char v[4];
    printf("%d\n",mincore(q,4096,v));
    int m=memfd_create("x",MFD_ALLOW_SEALING);
    ftruncate(m,4096);
    fcntl(m,F_ADD_SEALS,F_SEAL_WRITE);
    errno=0;
    printf("%zd %d\n",write(m,"x",1),errno);
    printf("%d\n",mmap(0,4096,3,MAP_SHARED,m,0)==MAP_FAILED);
    printf("%d\n",mmap((void*)0x10000,4096,3,MAP_FIXED_NOREPLACE|MAP_PRIVATE|MAP_ANONYMOUS,-1,0)==(void*)0x10000);
    return 0;
    }
X
gcc -w -o m m.c && ./m
