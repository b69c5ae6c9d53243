#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <stdint.h>
#define R(call) do { errno = 0; long r_ = (long)(call); printf("%s = %ld %s\n", #call, r_, r_ < 0 ? strerrorname_np(errno) : ""); } while (0)
static volatile int hits; static siginfo_t last;
static int most;
static void h(int s, siginfo_t *i, void *c) { hits++; last = *i; if (i->si_overrun > most) most = i->si_overrun; }
static void burn(long ms) { struct timespec t; long end; clock_gettime(CLOCK_PROCESS_CPUTIME_ID,&t); end=t.tv_sec*1000+t.tv_nsec/1000000+ms; do clock_gettime(CLOCK_PROCESS_CPUTIME_ID,&t); while (t.tv_sec*1000+t.tv_nsec/1000000<end); }
static void ms(long n) { struct timespec t={n/1000,n%1000*1000000}; while (nanosleep(&t,&t)); }
int main(void) {
  /* timerfd */
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK|TFD_CLOEXEC);
  struct itimerspec it={{0,10000000},{0,200000000}}, old; uint64_t n;
  R(read(fd,&n,8)); R(read(fd,&n,7)); R(write(fd,&n,8)); R(lseek(fd,0,0)); R(fcntl(fd,F_GETFL));
  R(timerfd_settime(fd,0,&it,&old)); printf("%ld %ld %ld %ld\n",old.it_value.tv_sec,old.it_value.tv_nsec,old.it_interval.tv_sec,old.it_interval.tv_nsec);
  struct pollfd p={fd,POLLIN|POLLOUT,0}; R(poll(&p,1,0)); R(poll(&p,1,1000)); printf("%x\n",p.revents);
  ms(55); R(read(fd,&n,8)); printf("many %d\n", n>=5);
  R(timerfd_gettime(fd,&old)); printf("iv %ld left %d\n", old.it_interval.tv_nsec, old.it_value.tv_nsec<=10000000);
  fcntl(fd,F_SETFL,0); R(read(fd,&n,8)); printf("one %d\n", n>=1);
  it.it_value.tv_nsec=0; R(timerfd_settime(fd,0,&it,&old)); printf("iv %ld\n", old.it_interval.tv_nsec); R(timerfd_gettime(fd,&old)); printf("iv %ld %ld\n", old.it_interval.tv_nsec,old.it_value.tv_nsec);
  clock_gettime(CLOCK_MONOTONIC,&it.it_value); it.it_interval.tv_nsec=0; R(timerfd_settime(fd,1,&it,&old)); R(read(fd,&n,8)); printf("abs %lu\n",n);
  it.it_value.tv_nsec=1000000000; R(timerfd_settime(fd,1,&it,&old)); it.it_value.tv_nsec=5; R(timerfd_settime(fd,4,&it,&old)); R(timerfd_settime(1,0,&it,&old)); R(timerfd_settime(99,0,&it,&old)); R(timerfd_settime(fd,0,NULL,&old)); R(timerfd_gettime(fd,NULL)); R(timerfd_gettime(0,&old));
  R(timerfd_create(2,0)); R(timerfd_create(4,0)); R(timerfd_create(1,1)); int f2; R((f2=timerfd_create(7,0))); R((f2=timerfd_create(0,0)));
  clock_gettime(CLOCK_REALTIME,&it.it_value); it.it_value.tv_nsec+=20000000; if(it.it_value.tv_nsec>=1000000000){it.it_value.tv_nsec-=1000000000;it.it_value.tv_sec++;}
  it.it_interval.tv_nsec=0; R(timerfd_settime(f2,3,&it,0)); R(read(f2,&n,8)); printf("%lu\n",n);
  /* signalfd */
  sigset_t m; sigemptyset(&m); sigaddset(&m,SIGUSR1); sigaddset(&m,SIGCHLD); sigaddset(&m,SIGRTMIN); sigprocmask(SIG_BLOCK,&m,0);
  int s = signalfd(-1,&m,SFD_NONBLOCK); struct signalfd_siginfo si[3];
  R(read(s,si,sizeof si)); R(read(s,si,100)); R(write(s,si,128)); p.fd=s; R(poll(&p,1,0));
  kill(getpid(),SIGUSR1); kill(getpid(),SIGUSR1); union sigval v={.sival_int=77}; sigqueue(getpid(),SIGRTMIN,v); sigqueue(getpid(),SIGRTMIN,v); sigqueue(getpid(),SIGRTMIN,v);
  R(poll(&p,1,0)); printf("%x\n",p.revents); R(read(s,si,sizeof si));
  for(int i=0;i<3;i++) printf("%u %d %d own %d uid %u int %d ptr %lx ov %u\n",si[i].ssi_signo,si[i].ssi_errno,si[i].ssi_code,si[i].ssi_pid==getpid(),si[i].ssi_uid,si[i].ssi_int,(long)si[i].ssi_ptr,si[i].ssi_overrun);
  R(read(s,si,sizeof si)); printf("%u %d\n", si[0].ssi_signo, si[0].ssi_int);
  sigaddset(&m,SIGUSR2); sigprocmask(SIG_BLOCK,&m,0); R(signalfd(s,&m,0)==s); raise(SIGUSR2); R(read(s,si,sizeof si)); printf("%u %d tid %u\n", si[0].ssi_signo, si[0].ssi_code,si[0].ssi_tid);
  R(signalfd(1,&m,0)); R(signalfd(99,&m,0)); R(syscall(SYS_signalfd4,-1,&m,4,0)); R(syscall(SYS_signalfd4,-1,&m,8,1)); R(syscall(SYS_signalfd4,-1,NULL,8,0)); R(syscall(SYS_signalfd,-1,&m,8)>0);
  /* posix timers */
  struct sigaction sa={.sa_sigaction=h,.sa_flags=SA_SIGINFO}; sigaction(SIGALRM,&sa,0); sigaction(SIGRTMIN+1,&sa,0); sigaction(SIGUSR1,&sa,0);
  timer_t t; struct sigevent ev={.sigev_notify=SIGEV_SIGNAL,.sigev_signo=SIGRTMIN+1,.sigev_value.sival_int=42};
  R(syscall(SYS_timer_create,1,&ev,&t)); int id=*(int*)&t; printf("id %d\n",id);
  R(syscall(SYS_timer_create,1,NULL,&t)); int id2=*(int*)&t; printf("id %d\n",id2);
  it=(struct itimerspec){{0,0},{0,5000000}}; R(syscall(SYS_timer_settime,id,0,&it,&old)); ms(60); printf("hits %d sig %d code %d val %d id %d ov %d errno %d\n",hits,last.si_signo,last.si_code,last.si_value.sival_int,last.si_timerid,last.si_overrun,last.si_errno);
  R(syscall(SYS_timer_settime,id2,0,&it,&old)); ms(60); printf("hits %d sig %d code %d val %d id %d ov %d\n",hits,last.si_signo,last.si_code,last.si_value.sival_int,last.si_timerid,last.si_overrun);
  R(syscall(SYS_timer_gettime,id2,&old)); printf("%ld %ld\n",old.it_value.tv_nsec,old.it_interval.tv_nsec);
  /* overrun while blocked */
  sigset_t b; sigemptyset(&b); sigaddset(&b,SIGRTMIN+1); sigprocmask(SIG_BLOCK,&b,0);
  it=(struct itimerspec){{0,2000000},{0,2000000}}; R(syscall(SYS_timer_settime,id,0,&it,0)); ms(60); hits=most=0; sigset_t pe; sigpending(&pe); printf("pend %d\n", sigismember(&pe,SIGRTMIN+1));
  sigprocmask(SIG_UNBLOCK,&b,0); printf("hits %d ov %d\n", hits>=1, most>=20); int o=syscall(SYS_timer_getoverrun,id); printf("getov %d\n",o>=0);
  ms(90); printf("more %d\n",hits>5); R(syscall(SYS_timer_delete,id)); hits=0; ms(10); printf("hits %d\n",hits); R(syscall(SYS_timer_delete,id)); R(syscall(SYS_timer_settime,id,0,&it,0)); R(syscall(SYS_timer_getoverrun,id)); R(syscall(SYS_timer_gettime,id,&old));
  /* settime voids pending */
  sigprocmask(SIG_BLOCK,&b,0); R(syscall(SYS_timer_create,1,&ev,&t)); id=*(int*)&t; printf("id %d\n",id); it=(struct itimerspec){{0,0},{0,1000000}}; syscall(SYS_timer_settime,id,0,&it,0); ms(10); it.it_value.tv_nsec=0; syscall(SYS_timer_settime,id,0,&it,0); sigpending(&pe); printf("pend %d\n", sigismember(&pe,SIGRTMIN+1)); hits=0; sigprocmask(SIG_UNBLOCK,&b,0); printf("hits %d\n",hits);
  /* ignored periodic */
  signal(SIGRTMIN+1,SIG_IGN); it=(struct itimerspec){{0,1000000},{0,1000000}}; syscall(SYS_timer_settime,id,0,&it,0); ms(60); hits=0; sigaction(SIGRTMIN+1,&sa,0); printf("unign %d\n", hits>=1); ms(60); printf("run %d\n",hits>3); syscall(SYS_timer_delete,id);
  /* NONE */
  ev.sigev_notify=SIGEV_NONE; R(syscall(SYS_timer_create,0,&ev,&t)); id=*(int*)&t; it=(struct itimerspec){{0,0},{0,5000000}}; R(syscall(SYS_timer_settime,id,0,&it,0)); ms(10); R(syscall(SYS_timer_gettime,id,&old)); printf("%ld %ld\n",old.it_value.tv_nsec,old.it_interval.tv_nsec);
  it=(struct itimerspec){{100,0},{100,0}}; R(syscall(SYS_timer_settime,id,0,&it,0)); R(syscall(SYS_timer_gettime,id,&old)); printf("%ld %ld\n",old.it_value.tv_sec,old.it_interval.tv_sec);
  /* cpu */
  ev.sigev_notify=SIGEV_SIGNAL; ev.sigev_signo=SIGUSR1; sigset_t u; sigemptyset(&u); sigaddset(&u,SIGUSR1); sigprocmask(SIG_UNBLOCK,&u,0);
  R(syscall(SYS_timer_create,2,&ev,&t)); id=*(int*)&t; it=(struct itimerspec){{0,0},{0,100000000}}; hits=0; R(syscall(SYS_timer_settime,id,0,&it,0)); ms(30); printf("idle %d\n",hits); burn(300); printf("burnt %d code %d\n",hits,last.si_code);
  R(syscall(SYS_timer_create,3,&ev,&t));
  /* errors */
  int cl[]={4,5,6,10,12,-1,-2,99}; for(int i=0;i<8;i++){printf("%d ",cl[i]); R(syscall(SYS_timer_create,cl[i],&ev,&t));}
  ev.sigev_signo=0; R(syscall(SYS_timer_create,1,&ev,&t)); ev.sigev_signo=65; R(syscall(SYS_timer_create,1,&ev,&t)); ev.sigev_signo=10; ev.sigev_notify=3; R(syscall(SYS_timer_create,1,&ev,&t)); ev.sigev_notify=4; ev._sigev_un._tid=1; R(syscall(SYS_timer_create,1,&ev,&t)); ev._sigev_un._tid=getpid(); R(syscall(SYS_timer_create,1,&ev,&t)); id=*(int*)&t; R(syscall(SYS_timer_create,1,(void*)8,&t)); R(syscall(SYS_timer_create,1,&ev,(void*)8));
  it=(struct itimerspec){{0,0},{0,1000000}}; hits=0; syscall(SYS_timer_settime,id,0,&it,0); ms(5); printf("tid hits %d\n",hits);
  R(syscall(SYS_timer_settime,id,0,NULL,0)); it.it_value.tv_nsec=-1; R(syscall(SYS_timer_settime,id,0,&it,0)); R(syscall(SYS_timer_settime,id,0,(void*)8,0)); it.it_value.tv_nsec=1; R(syscall(SYS_timer_settime,id,0,&it,(void*)8)); R(syscall(SYS_timer_settime,id,99,&it,0)); R(syscall(SYS_timer_gettime,id,(void*)8));
  return 0; }
