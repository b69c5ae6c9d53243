// Arguments of clone, exec, wait and futex that make no sense, and children that end badly.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/futex.h>
#define R(x) do { errno = 0; long r_ = (long)(x); printf("%s: %ld %s\n", #x, r_ > 300 ? 300 : r_, errno ? strerrorname_np(errno) : ""); fflush(stdout); } while (0)
static char st[65536] __attribute__((aligned(16)));
static int thr(void *a){ return 7; }
static int spin(void *a){ for(;;) pause(); }
int main(void){ int s; setvbuf(stdout,0,_IOLBF,0);
 pid_t p = clone(thr, st+65536, CLONE_VM|SIGCHLD, 0); waitpid(p,&s,0); printf("clone vm %x\n", s);
 p = clone(thr, st+65536, CLONE_VM|CLONE_VFORK|CLONE_FILES|CLONE_FS|CLONE_SIGHAND|SIGCHLD, 0); waitpid(p,&s,0); printf("all shared %x\n", s);
 p = clone(spin, st+65536, CLONE_VM|SIGCHLD, 0); kill(p, SIGKILL); waitpid(p,&s,0); printf("killed %x\n", s);
 int ptid=-5, ctid=-6; p = syscall(SYS_clone, SIGCHLD|CLONE_PARENT_SETTID|CLONE_CHILD_SETTID, 0, 8, 16, 0); if(!p) _exit(3); waitpid(p,&s,0); printf("bad places %x\n", s);
 p = syscall(SYS_clone, SIGCHLD, 0x10, 0,0,0); if(!p) _exit(3); waitpid(p,&s,0); printf("bad stack %x\n", s);
 p = syscall(SYS_clone, SIGCHLD|CLONE_SETTLS, 0, 0,0, 1ul<<63); if (p==0) _exit(4); R(p); if (p>0) {waitpid(p,&s,0); printf("bad tls %x\n", s);}
 struct { long next, off, pend; } head = {(long)&head, 0, 0}; R(syscall(SYS_set_robust_list, &head, 24));
 p = fork(); if(!p){ struct {long n,o,p;} *h=(void*)8; syscall(SYS_set_robust_list, h, 24); _exit(1);} waitpid(p,&s,0); printf("bad robust %x\n", s);
 p = fork(); if(!p){ static struct {long n,o,p;} h; static long e; h.n=(long)&e; e=(long)&e; syscall(SYS_set_robust_list, &h, 24); _exit(2);} waitpid(p,&s,0); printf("robust circle %x\n", s);
 p = fork(); if(!p){ syscall(SYS_set_tid_address, 3); _exit(2);} waitpid(p,&s,0); printf("bad tid address %x\n", s);
 p = vfork(); if(!p){ execl("/nonexistent","x",(char*)0); _exit(errno);} waitpid(p,&s,0); printf("vfork exec fails %x\n", s);
 p = vfork(); if(!p){ kill(getpid(), SIGKILL);} waitpid(p,&s,0); printf("vfork killed %x\n", s);
 p = fork(); if(!p){ munmap((void*)((long)main & -4096), 4096); _exit(0);} waitpid(p,&s,0); printf("unmapped itself %x\n", s & ~0x80);
 p = fork(); if(!p){ signal(SIGCHLD, SIG_IGN); for(int i=0;i<50;i++) if(!fork()) _exit(0); while(wait(0)>0); _exit(errno==ECHILD);} waitpid(p,&s,0); printf("ignored children %x\n", s);
 p = fork(); if(!p){ pid_t q=fork(); if(!q){ sleep(1); _exit(0);} ; _exit(0);} waitpid(p,&s,0); printf("left one %x\n", s);
 R(syscall(SYS_waitid, P_PID, 1, 8, WEXITED, 0)); R(syscall(SYS_waitid, P_ALL, 0, 0, WEXITED|WNOHANG, 0));
 R(syscall(SYS_clone3, -1, 64)); R(syscall(SYS_clone3, 0, -1)); R(syscall(SYS_pidfd_open, -1, 0)); R(syscall(SYS_pidfd_getfd, 0, 0, 0));
 R(syscall(SYS_futex, 8, FUTEX_LOCK_PI, 0,0,0,0)); R(syscall(SYS_futex, &s, FUTEX_CMP_REQUEUE, -1, -1, &s, 0));
 return 0; }
