#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <termios.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#define R(call) do { errno = 0; long r_ = (long)(call); printf("%s = %ld %s\n", #call, r_, r_ < 0 ? strerrorname_np(errno) : ""); } while (0)
static void ms(long n) { struct timespec t={n/1000,n%1000*1000000}; while (nanosleep(&t,&t)&&errno==EINTR); }
static volatile int hits[65]; static void h(int n, siginfo_t *i, void *c){ hits[n]++; if(n!=SIGCHLD&&i->si_code!=SI_KERNEL) hits[0]++; }
static void catch(int s,int fl){ struct sigaction sa={.sa_sigaction=h,.sa_flags=SA_SIGINFO|fl}; sigaction(s,&sa,0); }
static void show(const char *w,int st){ if(WIFEXITED(st)) printf("%s exit %d\n",w,WEXITSTATUS(st)); else if(WIFSIGNALED(st)) printf("%s sig %d\n",w,WTERMSIG(st)); else if(WIFSTOPPED(st)) printf("%s stop %d\n",w,WSTOPSIG(st)); else printf("%s cont\n",w); }
/* say and up: a child tells that it is so far; go and wait_go: it is told that it may go on. Nothing waits for a time to pass. */
static int q[2], g[2]; static void take(int f){ char c; while(read(f,&c,1)<0&&errno==EINTR); }
static void up(void){ take(q[0]); } static void say(void){ write(q[1],"x",1); } static void wait_go(void){ take(g[0]); } static void go(void){ write(g[1],"x",1); }
static void until(int s){ while(!hits[s]) ms(5); }
int main(void){
  setvbuf(stdout,0,_IONBF,0); pipe(q); pipe(g); int m=posix_openpt(O_RDWR|O_NOCTTY); grantpt(m); unlockpt(m); char name[64]; strcpy(name,ptsname(m)); int st;
  R(open("/dev/tty",O_RDWR));
  pid_t L=fork(); if(!L){
    R(setsid()==getpid()); int s=open(name,O_RDWR|O_NOCTTY); R(ioctl(s,TIOCSCTTY,0)); R(ioctl(s,TIOCSCTTY,0)); R(tcgetpgrp(s)==getpid()); R(tcgetsid(s)==getpid()); int d; R((d=open("/dev/tty",O_RDWR))>=0); R(isatty(d)); close(d);
    R(setsid()); R(setpgid(0,0)); R(tcsetpgrp(s,99999)); R(tcsetpgrp(s,-1)); R(tcsetpgrp(s,getppid())); signal(SIGTTOU,SIG_DFL); catch(SIGCHLD,SA_RESTART);
    /* ^C to foreground group */
    pid_t c=fork(); if(!c){ setpgid(0,0); signal(SIGTTOU,SIG_IGN); tcsetpgrp(s,getpid()); say(); pause(); _exit(1);} up(); R(tcgetpgrp(s)==c); write(m,"\003",1); waitpid(c,&st,0); show("intr",st);
    signal(SIGTTOU,SIG_IGN); R(tcsetpgrp(s,getpid())); 
    c=fork(); if(!c){ setpgid(0,0); tcsetpgrp(s,getpid()); say(); pause(); _exit(1);} up(); write(m,"\034",1); waitpid(c,&st,0); show("quit",st); tcsetpgrp(s,getpid());
    c=fork(); if(!c){ setpgid(0,0); tcsetpgrp(s,getpid()); catch(SIGCONT,0); say(); until(SIGCONT); wait_go(); _exit(5);} up(); write(m,"\032",1); waitpid(c,&st,WUNTRACED); show("susp",st); R(tcgetpgrp(s)==c); tcsetpgrp(s,getpid()); kill(-c,SIGCONT); waitpid(c,&st,WCONTINUED); show("cont",st); go(); waitpid(c,&st,0); show("end",st);
    /* background read and write */
    c=fork(); if(!c){ setpgid(0,0); char b[9]; int n=read(s,b,9); printf("bg read %d\n",n); _exit(6);} waitpid(c,&st,WUNTRACED); show("ttin",st); tcsetpgrp(s,c); write(m,"abc\n",4); kill(-c,SIGCONT); waitpid(c,&st,0); show("read",st); tcsetpgrp(s,getpid());
    c=fork(); if(!c){ setpgid(0,0); signal(SIGTTIN,SIG_IGN); char b[9]; R(read(s,b,9)); catch(SIGTTIN,0); R(read(s,b,9)); printf("hits %d\n",hits[SIGTTIN]); _exit(6);} waitpid(c,&st,WUNTRACED); show("ttin ign",st);
    c=fork(); if(!c){ setpgid(0,0); R(write(s,"w",1)); struct termios t; tcgetattr(s,&t); t.c_lflag|=TOSTOP; signal(SIGTTOU,SIG_IGN); R(tcsetattr(s,TCSANOW,&t)); R(write(s,"w",1)); signal(SIGTTOU,SIG_DFL); R(write(s,"w",1)); t.c_lflag&=~TOSTOP; R(tcsetattr(s,TCSANOW,&t)); _exit(7);} waitpid(c,&st,WUNTRACED); show("ttou",st); R(kill(-c,SIGCONT)); waitpid(c,&st,WUNTRACED); show("ttou again",st); tcsetpgrp(s,c); kill(-c,SIGCONT); waitpid(c,&st,WUNTRACED); show("done",st); tcsetpgrp(s,getpid());
    c=fork(); if(!c){ setpgid(0,0); signal(SIGTTOU,SIG_DFL); R(tcsetpgrp(s,getpid())); _exit(8);} waitpid(c,&st,WUNTRACED); show("tcsetpgrp",st); kill(c,SIGKILL); waitpid(c,&st,0); show("k",st);
    /* orphan in background */
    c=fork(); if(!c){ c=fork(); if(!c){ setpgid(0,0); wait_go(); char b[4]; R(read(s,b,4)); struct termios t; signal(SIGTTOU,SIG_DFL); tcgetattr(s,&t); R(tcsetattr(s,TCSANOW,&t)); R(tcsetpgrp(s,getpid())); say(); _exit(0);} _exit(0);} waitpid(c,&st,0); go(); up();
    /* window */
    catch(SIGWINCH,0); struct winsize w={10,20,0,0}; hits[0]=0; ioctl(m,TIOCSWINSZ,&w); ms(15); printf("winch %d user %d\n",hits[SIGWINCH],hits[0]); ioctl(m,TIOCSWINSZ,&w); ms(15); printf("winch %d\n",hits[SIGWINCH]); w.ws_row=5; ioctl(s,TIOCSWINSZ,&w); ms(15); printf("winch %d\n",hits[SIGWINCH]);
    catch(SIGUSR1,0); R(ioctl(m,TIOCSIG,SIGUSR1)); catch(SIGQUIT,0); R(ioctl(m,TIOCSIG,SIGQUIT)); printf("quit %d\n",hits[SIGQUIT]);
    /* background exit of a stopped job when the leader goes */
    catch(SIGHUP,0);
    c=fork(); if(!c){ setpgid(0,0); tcsetpgrp(s,getpid()); catch(SIGHUP,0); catch(SIGCONT,0); say(); until(SIGHUP); printf("fg hup %d cont %d\n",hits[SIGHUP],hits[SIGCONT]); R(open("/dev/tty",O_RDWR)); say(); _exit(0);} up(); _exit(3);
  }
  waitpid(L,&st,0); up(); show("leader",st); char b[4000]; int n=0,k; while((k=read(m,b+n,4000-n))>0) n+=k; R(read(m,b,1));{ printf("out %d: ",n); for(int i=0;i<n;i++) printf(b[i]>=32&&b[i]<127?"%c":"\\%02x",(unsigned char)b[i]); puts(""); }
  /* hang-up by the master */
  L=fork(); if(!L){ setsid(); int s=open(name,O_RDWR); R(tcgetpgrp(s)==getpid()); pid_t c=fork(); if(!c){ close(m); setpgid(0,0); catch(SIGHUP,0); say(); wait_go(); printf("other group hup %d\n",hits[SIGHUP]); char z; R(read(s,&z,1)); R(write(s,"x",1)); R(open("/dev/tty",O_RDWR)); say(); _exit(0);} up(); catch(SIGHUP,0); catch(SIGCONT,0); close(m); until(SIGHUP); printf("leader hup %d cont %d\n",hits[SIGHUP],hits[SIGCONT]); R(tcgetpgrp(s)); go(); waitpid(c,&st,0); _exit(0);} close(m); waitpid(L,&st,0); show("leader",st);
  /* TIOCNOTTY */
  m=posix_openpt(O_RDWR|O_NOCTTY); unlockpt(m); strcpy(name,ptsname(m)); L=fork(); if(!L){ setsid(); int s=open(name,O_RDWR); if(!fork()){ catch(SIGHUP,0); R(ioctl(s,TIOCNOTTY)); R(tcgetpgrp(s)); R(ioctl(s,TIOCNOTTY)); say(); _exit(0);} up(); wait(0); catch(SIGHUP,0); catch(SIGCONT,0); R(ioctl(s,TIOCNOTTY)); printf("hup %d cont %d\n",hits[SIGHUP],hits[SIGCONT]); R(tcgetpgrp(s)); R(ioctl(s,TIOCSCTTY,0)); int f; R((f=open(name,O_RDWR|O_NOCTTY))>0); _exit(0);} waitpid(L,&st,0); show("notty",st);
  return 0; }
