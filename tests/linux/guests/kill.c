#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <pthread.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#define R(call) do { errno = 0; long r_ = (long)(call); printf("%s = %ld %s\n", #call, r_, r_ < 0 ? strerrorname_np(errno) : ""); } while (0)
static void ms(long n) { struct timespec t={n/1000,n%1000*1000000}; while (nanosleep(&t,&t)&&errno==EINTR); }
static volatile int hits; static siginfo_t last; static volatile pid_t taker;
static void h(int s, siginfo_t *i, void *c) { hits++; last = *i; taker = syscall(SYS_gettid); }
static void catch(int s, int fl) { struct sigaction sa={.sa_sigaction=h,.sa_flags=SA_SIGINFO|fl}; sigaction(s,&sa,0); }
static int p2[2];
static void rd(void){ char c; while(read(p2[0],&c,1)<0&&errno==EINTR); }
static void show(const char *w, int st){ if(WIFEXITED(st)) printf("%s exit %d\n",w,WEXITSTATUS(st)); else if(WIFSIGNALED(st)) printf("%s sig %d core %d\n",w,WTERMSIG(st),!!WCOREDUMP(st)); else if(WIFSTOPPED(st)) printf("%s stop %d\n",w,WSTOPSIG(st)); else if(WIFCONTINUED(st)) printf("%s cont\n",w); }
static void *thr(void *a){ sigset_t m; sigemptyset(&m); sigaddset(&m,SIGUSR2); if(a) pthread_sigmask(SIG_BLOCK,&m,0); ms(300); return 0; }
static void *thr2(void *a){ kill(getpid(),SIGUSR1); ms(40); return 0; }
int main(void) {
  setvbuf(stdout,0,_IONBF,0); struct rlimit rl={0,0}; setrlimit(RLIMIT_CORE,&rl);
  pipe(p2); int st; pid_t c; siginfo_t si; struct timespec z={0,0};
  /* every default action */
  for(int s=1;s<=64;s++){ if(s==32||s==33||s==SIGSTOP||s==SIGTSTP||s==SIGTTIN||s==SIGTTOU) continue; fflush(stdout);
    if(!(c=fork())){ signal(s,SIG_DFL); sigset_t m; sigemptyset(&m); sigprocmask(SIG_SETMASK,&m,0); kill(getpid(),s); _exit(7);} waitpid(c,&st,0); char b[20]; sprintf(b,"dfl %d",s); show(b,st); }
  /* stop and continue */
  catch(SIGCHLD,SA_RESTART); hits=0;
  if(!(c=fork())){ raise(SIGSTOP); ms(400); _exit(3);} R(waitpid(c,&st,WUNTRACED)==c); show("st",st); ms(40); printf("chld %d code %d status %d pid %d\n",hits,last.si_code,last.si_status,last.si_pid==c);
  R(waitpid(c,&st,WUNTRACED|WNOHANG)); R(kill(c,SIGCONT)); R(waitid(P_PID,c,&si,WCONTINUED|WNOWAIT)); printf("%d %d %d\n",si.si_signo,si.si_code,si.si_status); R(waitpid(c,&st,WCONTINUED)==c||1); show("co",st); R(waitpid(c,&st,0)==c); show("en",st); printf("code %d status %d\n",last.si_code,last.si_status);
  catch(SIGCHLD,SA_RESTART|SA_NOCLDSTOP); hits=0; if(!(c=fork())){ raise(SIGSTOP); _exit(3);} waitpid(c,&st,WUNTRACED); ms(40); printf("nocldstop hits %d\n",hits); kill(c,SIGKILL); waitpid(c,&st,0); show("killed while stopped",st); printf("hits %d code %d\n",hits,last.si_code);
  signal(SIGCHLD,SIG_IGN); if(!(c=fork())) _exit(1); R(waitpid(c,&st,0)); signal(SIGCHLD,SIG_DFL);
  struct sigaction sa={.sa_handler=SIG_DFL,.sa_flags=SA_NOCLDWAIT}; sigaction(SIGCHLD,&sa,0); if(!(c=fork())) _exit(1); R(waitpid(-1,&st,0)); signal(SIGCHLD,SIG_DFL);
  /* stop interrupts calls */
  if(!(c=fork())){ catch(SIGCONT,0); struct timespec t={0,200000000}; errno=0; int r=nanosleep(&t,&t); printf("nanosleep %d %s hits %d\n",r,r<0?strerrorname_np(errno):"",hits); _exit(0);} ms(40); kill(c,SIGSTOP); waitpid(c,&st,WUNTRACED); show("s",st); kill(c,SIGCONT); waitpid(c,&st,0); show("e",st);
  if(!(c=fork())){ struct timespec t={0,200000000}; errno=0; int r=nanosleep(&t,&t); printf("nanosleep %d %s\n",r,r<0?strerrorname_np(errno):""); sigset_t m; sigemptyset(&m); sigaddset(&m,SIGUSR1); sigprocmask(SIG_BLOCK,&m,0); errno=0; r=sigtimedwait(&m,0,&t); _exit(0);} ms(40); kill(c,SIGSTOP); waitpid(c,&st,WUNTRACED); kill(c,SIGCONT); waitpid(c,&st,0); show("e",st);
  if(!(c=fork())){ sigset_t m; sigemptyset(&m); sigaddset(&m,SIGUSR1); sigprocmask(SIG_BLOCK,&m,0); struct timespec t={3,0}; errno=0; int r=sigtimedwait(&m,0,&t); printf("sigtimedwait %d %s\n",r,strerrorname_np(errno)); _exit(0);} ms(40); kill(c,SIGSTOP); waitpid(c,&st,WUNTRACED); kill(c,SIGCONT); waitpid(c,&st,0); show("e",st);
  if(!(c=fork())){ char b; errno=0; int r=read(p2[0],&b,1); printf("read %d %c\n",r,b); _exit(0);} ms(40); kill(c,SIGSTOP); waitpid(c,&st,WUNTRACED); write(p2[1],"x",1); kill(c,SIGCONT); waitpid(c,&st,0); show("e",st);
  /* CONT and STOP take each other off, pending */
  sigset_t all,pe; sigfillset(&all); sigprocmask(SIG_BLOCK,&all,0); kill(getpid(),SIGTSTP); sigpending(&pe); printf("tstp %d\n",sigismember(&pe,SIGTSTP)); kill(getpid(),SIGCONT); sigpending(&pe); printf("tstp %d cont %d\n",sigismember(&pe,SIGTSTP),sigismember(&pe,SIGCONT)); kill(getpid(),SIGTTIN); sigpending(&pe); printf("ttin %d cont %d\n",sigismember(&pe,SIGTTIN),sigismember(&pe,SIGCONT)); kill(getpid(),SIGCONT); sigemptyset(&all); sigprocmask(SIG_SETMASK,&all,0);
  /* groups */
  pid_t k[3]; for(int i=0;i<3;i++) if(!(k[i]=fork())){ setpgid(0,i?k[0]:0); write(p2[1],"r",1); pause(); _exit(0);} else setpgid(k[i],k[0]);
  for(int i=0;i<3;i++) rd(); R(kill(-k[0],0)); R(kill(-k[0],SIGTERM)); for(int i=0;i<3;i++){waitpid(k[i],&st,0); show("g",st);} R(kill(-k[0],0)); R(kill(k[0],0)); R(kill(getpid(),65)); R(kill(99999999,0)); R(kill(-99999999,65)); R(kill((int)0x80000000,1));
  if(!(c=fork())){ setpgid(0,0); signal(SIGUSR1,SIG_IGN); if(!fork()){ signal(SIGUSR1,SIG_DFL); write(p2[1],"k",1); pause(); } rd(); R(kill(0,SIGUSR1)); int q; wait(&q); show("kill0",q); _exit(0);} waitpid(c,&st,0);
  /* zombie can be signalled */
  if(!(c=fork())) _exit(4); waitid(P_PID,c,&si,WEXITED|WNOWAIT); R(waitid(P_PID,c,&si,WSTOPPED|WNOHANG)); R(waitid(P_ALL,0,&si,WSTOPPED|WCONTINUED)); R(kill(c,9)); waitpid(c,&st,0); show("z",st); R(kill(c,9));
  /* permission */
  /* sigqueue with value */
  catch(SIGRTMIN,0); hits=0; if(!(c=fork())){ union sigval v={.sival_int=99}; sigqueue(getppid(),SIGRTMIN,v); _exit(0);} waitpid(c,&st,0); ms(40); printf("q %d val %d code %d pid %d uid %d\n",hits,last.si_value.sival_int,last.si_code,last.si_pid==c,last.si_uid);
  memset(&si,0,sizeof si); si.si_code=0; R(syscall(SYS_rt_sigqueueinfo,c,SIGUSR1,&si)); c=fork(); if(!c) {pause();} R(syscall(SYS_rt_sigqueueinfo,c,SIGUSR1,&si)); si.si_code=SI_TKILL; R(syscall(SYS_rt_tgsigqueueinfo,c,c,SIGUSR1,&si)); si.si_code=-1; R(syscall(SYS_rt_tgsigqueueinfo,c,c,SIGUSR1,&si)); waitpid(c,&st,0); show("tgq",st);
  /* threads */
  catch(SIGUSR1,0); catch(SIGUSR2,0); pthread_t t; pthread_create(&t,0,thr,(void*)1); ms(40); hits=0; kill(getpid(),SIGUSR2); printf("main takes %d\n",taker==getpid()); sigset_t m; sigemptyset(&m); sigaddset(&m,SIGUSR2); pthread_sigmask(SIG_BLOCK,&m,0); hits=0; kill(getpid(),SIGUSR2); ms(40); printf("nobody %d\n",hits); sigpending(&pe); printf("pending %d\n",sigismember(&pe,SIGUSR2)); pthread_sigmask(SIG_UNBLOCK,&m,0); printf("now %d main %d\n",hits,taker==getpid()); pthread_join(t,0);
  pthread_create(&t,0,thr,0); ms(40); pthread_sigmask(SIG_BLOCK,&m,0); hits=0; kill(getpid(),SIGUSR2); ms(40); printf("other %d main %d\n",hits,taker==getpid()); pthread_sigmask(SIG_UNBLOCK,&m,0); hits=0; pthread_kill(t,SIGUSR1); ms(40); printf("tk %d main %d code %d\n",hits,taker==getpid(),last.si_code); pthread_join(t,0);
  pthread_create(&t,0,thr2,0); hits=0; pthread_join(t,0); printf("from thread: %d main %d\n",hits,taker==getpid());
  if(!(c=fork())){ pthread_create(&t,0,thr,0); ms(40); kill(getpid(),SIGSTOP); pthread_join(t,0); _exit(9);} waitpid(c,&st,WUNTRACED); show("mt",st); kill(c,SIGCONT); waitpid(c,&st,0); show("mt",st);
  if(!(c=fork())){ pthread_create(&t,0,thr,0); ms(40); pthread_kill(t,SIGTERM); pthread_join(t,0); _exit(9);} waitpid(c,&st,0); show("mtk",st);
  /* pdeathsig */
  if(!(c=fork())){ if(!fork()){ catch(SIGUSR1,0); prctl(PR_SET_PDEATHSIG,SIGUSR1); write(p2[1],"a",1); int n=0; while(!hits&&n++<200) ms(20); printf("pdeath %d\n",hits>0); write(p2[1],"b",1); _exit(0);} rd(); _exit(0);} waitpid(c,&st,0); rd();
  /* orphaned group with stopped member */
  if(!(c=fork())){ setsid(); pid_t d=fork(); if(!d){ setpgid(0,0); catch(SIGHUP,0); catch(SIGCONT,0); write(p2[1],"a",1); raise(SIGSTOP); int n=0; while(hits<2&&n++<200) ms(20); printf("orphan hits %d last %d\n",hits,last.si_signo); kill(getpid(),SIGTSTP); printf("tstp ignored in orphan\n"); write(p2[1],"b",1); _exit(0);} rd(); waitpid(d,&st,WUNTRACED); show("member",st); _exit(0);} waitpid(c,&st,0); rd();
  /* SIGPIPE */
  if(!(c=fork())){ int q[2]; pipe(q); close(q[0]); write(q[1],"x",1); _exit(0);} waitpid(c,&st,0); show("pipe",st);
  if(!(c=fork())){ int q[2]; pipe(q); close(q[0]); catch(SIGPIPE,0); R(write(q[1],"x",1)); printf("h %d code %d pid %d\n",hits,last.si_code,last.si_pid==getpid()); _exit(0);} waitpid(c,&st,0);
  return 0; }
