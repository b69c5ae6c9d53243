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
#include <sys/stat.h>
#include <sys/sysmacros.h>
#define R(call) do { errno = 0; long r_ = (long)(call); printf("%s = %ld %s\n", #call, r_, r_ < 0 ? strerrorname_np(errno) : ""); } while (0)
static long pace = 1; /* how often what is waited for the host's worker, which moves bytes when it finds time (flush_to_ldisc) */
static void ms(long n) { n*=pace; struct timespec t={n/1000,n%1000*1000000}; while (nanosleep(&t,&t)); }
static int m,s;
static void dump(const char *w,const unsigned char *b,int n){ printf("%s %d:",w,n); for(int i=0;i<n;i++) if(b[i]>32&&b[i]<127&&b[i]!='\\') putchar(b[i]); else printf("\\%02x",b[i]); puts(""); }
static void rd(const char *w,int fd,int want){ unsigned char b[9000]; ms(40); errno=0; int n=read(fd,b,want); if(n<0) printf("%s %s\n",w,strerrorname_np(errno)); else dump(w,b,n); }
static void drain(const char*w,int fd){ unsigned char b[20000]; int t=0; ms(40); for(;;){ int n=read(fd,b+t,sizeof b-t); if(n<=0){ if(n<0&&errno!=EAGAIN) printf("(%s)",strerrorname_np(errno)); break;} t+=n; } dump(w,b,t); }
static void in(const char *t,int n){ int r=write(m,t,n); if(r!=n) printf("wrote %d of %d %s\n",r,n,strerrorname_np(errno)); }
#define IN(x) in(x,sizeof(x)-1)
static void show(struct termios *t){ printf("%x %x %x %x :",t->c_iflag,t->c_oflag,t->c_cflag,t->c_lflag); for(int i=0;i<19;i++) printf(" %d",t->c_cc[i]); puts(""); }
static void opts(int ia,int io,int la,int lo,int oa,int oo){ struct termios t; tcgetattr(s,&t); t.c_iflag=(t.c_iflag|ia)&~io; t.c_lflag=(t.c_lflag|la)&~lo; t.c_oflag=(t.c_oflag|oa)&~oo; tcsetattr(s,TCSANOW,&t); }
static struct termios dflt; static void back(void){ tcsetattr(s,TCSAFLUSH,&dflt); }
static volatile int sig[65]; static void h(int n){ sig[n]++; }
int main(int argc, char **argv){
  if(argc>1) pace=atoi(argv[1]);
  setvbuf(stdout,0,_IONBF,0); signal(SIGHUP,SIG_IGN);
  R((m=open("/dev/ptmx",O_RDWR|O_NOCTTY))>=0); int n; struct stat st;
  R(ioctl(m,TIOCGPTN,&n)); char name[40]; sprintf(name,"/dev/pts/%d",n);
  R(open(name,O_RDWR|O_NOCTTY)); int l; R(ioctl(m,TIOCGPTLCK,&l)); printf("%d\n",l); R(unlockpt(m)); R(ioctl(m,TIOCGPTLCK,&l)); printf("%d\n",l); R(grantpt(m)); printf("%d\n",!strcmp(ptsname(m),name));
  R((s=open(name,O_RDWR|O_NOCTTY))>=0); R(isatty(s)); R(isatty(m)); printf("tty %d\n",!strcmp(ttyname(s),name)); fstat(s,&st); printf("%o %d %d\n",st.st_mode&S_IFMT,major(st.st_rdev),minor(st.st_rdev)==n); fstat(m,&st); printf("%d %d %o\n",major(st.st_rdev),minor(st.st_rdev),st.st_mode&S_IFMT);
  struct termios t; R(tcgetattr(s,&t)); show(&t); dflt=t; R(tcgetattr(m,&t)); show(&t); printf("%d %d\n",cfgetispeed(&t)==B38400,cfgetospeed(&t)==B38400);
  fcntl(m,F_SETFL,O_NONBLOCK); fcntl(s,F_SETFL,O_NONBLOCK);
  rd("m",m,10); rd("s",s,10); R(lseek(s,0,0)); char bb; R(pread(s,&bb,1,0));
  IN("hello\n"); drain("echo",m); rd("line",s,100); IN("two\nlines\n"); rd("l1",s,100); rd("l2",s,100); rd("l3",s,100); drain("echo",m);
  IN("partial"); rd("none",s,100); drain("echo",m); IN("\r"); rd("cr",s,4); rd("cr",s,4); drain("echo",m);
  IN("erase me\x7f\x7f\x7f!\n"); drain("echo",m); rd("er",s,100); IN("one two  three\x17\x17x\n"); drain("werase",m); rd("we",s,100);
  IN("kill this\x15next\n"); drain("kill",m); rd("k",s,100); IN("tab\there\x7f\x7f\x7f\x7f\x7f\tq\n"); drain("tab",m); rd("t",s,100); IN("\x01\x02ctl\x7f\x7f\x7f\x7f\x7f\n"); drain("ctl",m); rd("c",s,100);
  IN("a\x16\x03" "b\x16\n" "c\x16\x7f\n"); drain("lnext",m); rd("ln",s,100); IN("repr\x12int\n"); drain("repr",m); rd("rp",s,100);
  IN("eof\x04"); drain("eof",m); rd("e",s,100); IN("\x04"); rd("e0",s,100); IN("abcd\x04"); rd("ex",s,4); rd("after",s,4); IN("ab\x04" "cd\n"); rd("2",s,1); rd("2",s,1); rd("3",s,10);
  IN("\x7f\x15\x17"); drain("nothing to erase",m);
  n=-1; R(ioctl(s,FIONREAD,&n)); printf("%d\n",n); IN("12345\n67"); ms(40); ioctl(s,FIONREAD,&n); printf("%d\n",n); ioctl(m,FIONREAD,&n); printf("m %d\n",n); R(tcflush(s,TCIFLUSH)); ioctl(s,FIONREAD,&n); printf("%d\n",n); drain("x",m); rd("fl",s,10);
  IN("x\x04y\x04"); ms(40); ioctl(s,FIONREAD,&n); printf("%d\n",n); rd("a",s,10); rd("b",s,10);
  /* output */
  R(write(s,"a\nb\tc\r\n",7)); drain("out",m); opts(0,0,0,0,TABDLY,0); R(write(s,"a\tbc\td\n\t.\r\n",11)); drain("tabs",m); opts(0,0,0,0,OCRNL|ONLRET,ONLCR); R(write(s,"x\ry\nz",5)); drain("ocrnl",m); back(); opts(0,0,0,0,ONOCR,0); R(write(s,"\rab\r\rc\n\r",8)); drain("onocr",m); back(); opts(0,0,0,0,OLCUC,0); R(write(s,"hello",5)); drain("olcuc",m); back(); opts(0,0,0,0,0,OPOST); R(write(s,"a\nb",3)); drain("raw",m); back();
  /* local modes */
  opts(0,0,0,ECHO,0,0); IN("silent\n"); drain("noecho",m); rd("ne",s,100); opts(0,0,ECHONL,0,0,0); IN("nl\n"); drain("echonl",m); rd("nl",s,100); back();
  opts(0,0,0,ECHOCTL,0,0); IN("\x01z\x7f\x7f\n"); drain("noctl",m); rd("x",s,100); back(); opts(0,0,0,ECHOE,0,0); IN("abc\x7f\x7f\x15q\n"); drain("noechoe",m); rd("x",s,100); back(); opts(0,0,0,ECHOKE,0,0); IN("abc\x15q\n"); drain("noechoke",m); rd("x",s,100); back(); opts(0,0,0,ECHOKE|ECHOK,0,0); IN("abc\x15q\n"); drain("noechok",m); rd("x",s,100); back();
  opts(0,0,ECHOPRT,0,0,0); IN("abc\x7f\x7fxy\x17z\n"); drain("echoprt",m); rd("x",s,100); back(); opts(0,0,0,IEXTEN,0,0); IN("a b\x17\x16\x12\n"); drain("noiexten",m); rd("x",s,100); back();
  opts(IUTF8,0,0,0,0,0); IN("a\xc3\xa9\xe2\x82\xac\x7f\x7f\n"); drain("utf8",m); rd("x",s,100); back(); IN("a\xc3\xa9\x7f\n"); drain("noutf8",m); rd("x",s,100);
  /* input modes */
  opts(INLCR,ICRNL,0,0,0,0); IN("a\rb\nc\x04"); drain("inlcr",m); rd("x",s,100); back(); opts(IGNCR,0,0,0,0,0); IN("a\rb\n"); drain("igncr",m); rd("x",s,100); back(); opts(ISTRIP,0,0,0,0,0); IN("\xe1\xe2\n"); drain("istrip",m); rd("x",s,100); back(); opts(IUCLC,0,0,0,0,0); IN("HeLLo\n"); drain("iuclc",m); rd("x",s,100); back(); opts(PARMRK,0,0,0,0,0); IN("\xff" "a\n"); drain("parmrk",m); rd("x",s,100); back(); IN("\xff\xfe\n"); drain("ff",m); rd("x",s,100);
  /* other characters */
  t=dflt; t.c_cc[VEOL]=';'; t.c_cc[VEOL2]='!'; t.c_cc[VERASE]='#'; t.c_cc[VKILL]='@'; t.c_cc[VEOF]='%'; tcsetattr(s,TCSANOW,&t); IN("ab;cd!e#f@gh%"); drain("chars",m); rd("1",s,100); rd("2",s,100); rd("3",s,100); back(); t=dflt; t.c_cc[VINTR]=0; t.c_cc[VERASE]=0; tcsetattr(s,TCSANOW,&t); char z[]="a\0b\n"; in(z,4); drain("nul",m); rd("nul",s,100); back();
  /* raw */
  t=dflt; cfmakeraw(&t); tcsetattr(s,TCSANOW,&t); IN("raw\r\n\x03\x04\x7f"); drain("raw",m); rd("r",s,3); rd("r",s,100); R(write(s,"o\n",2)); drain("rawout",m);
  t.c_lflag|=ECHO|ECHOCTL; tcsetattr(s,TCSANOW,&t); IN("e\n\r\x01\x7f"); drain("rawecho",m); rd("r",s,100); t.c_lflag|=ECHO; t.c_iflag|=ICRNL; tcsetattr(s,TCSANOW,&t); IN("e\n\r"); drain("rawecho",m); rd("r",s,100);
  t.c_cc[VMIN]=5; t.c_cc[VTIME]=0; tcsetattr(s,TCSANOW,&t); IN("abc"); ms(40); struct pollfd p={s,POLLIN|POLLOUT,0}; R(poll(&p,1,0)); printf("%x\n",p.revents); rd("min5",s,100); IN("abcdefg"); ms(40); R(poll(&p,1,0)); printf("%x\n",p.revents); rd("min5",s,100); drain("e",m);
  fcntl(s,F_SETFL,0); t.c_cc[VMIN]=0; t.c_cc[VTIME]=0; tcsetattr(s,TCSANOW,&t); rd("min0",s,100); IN("q"); rd("min0",s,100); t.c_cc[VTIME]=1; tcsetattr(s,TCSANOW,&t); struct timespec a,b; clock_gettime(CLOCK_MONOTONIC,&a); rd("time1",s,100); clock_gettime(CLOCK_MONOTONIC,&b); printf("waited %d\n",(b.tv_sec-a.tv_sec)*1000+(b.tv_nsec-a.tv_nsec)/1000000>=95); IN("w"); rd("time1",s,100);
  t.c_cc[VMIN]=5; t.c_cc[VTIME]=1; tcsetattr(s,TCSANOW,&t); IN("zz"); clock_gettime(CLOCK_MONOTONIC,&a); rd("min5time1",s,100); clock_gettime(CLOCK_MONOTONIC,&b); printf("waited %d\n",(b.tv_sec-a.tv_sec)*1000+(b.tv_nsec-a.tv_nsec)/1000000>=95); IN("12345678"); rd("min5time1",s,100); rd("z",s,0);
  pid_t c; fflush(stdout); t.c_cc[VTIME]=0; tcsetattr(s,TCSANOW,&t); if(!(c=fork())){ ms(20); write(m,"ab",2); ms(20); write(m,"cdef",4); _exit(0);} rd("blocked",s,100); waitpid(c,0,0); drain("e",m);
  fcntl(s,F_SETFL,O_NONBLOCK); back(); t=dflt; t.c_lflag&=~ICANON; tcsetattr(s,TCSANOW,&t); IN("switch"); ms(40); tcsetattr(s,TCSANOW,&dflt); rd("pushed",s,100); drain("e",m); IN("half"); ms(40); tcsetattr(s,TCSANOW,&t); rd("half",s,100); back(); drain("e",m);
  /* flow */
  IN("\x13"); ms(40); p.fd=s; R(poll(&p,1,0)); printf("%x\n",p.revents); R(write(s,"held",4)); drain("stopped",m); IN("typed\n"); drain("stopped",m); IN("\x11"); drain("started",m); R(write(s,"go",2)); drain("started",m); rd("x",s,100); opts(IXANY,0,0,0,0,0); IN("\x13"); ms(40); IN("k\n"); drain("ixany",m); R(write(s,"go",2)); drain("go",m); back(); opts(0,IXON,0,0,0,0); IN("\x13\x11\n"); drain("noixon",m); rd("x",s,100); back();
  R(tcflow(s,TCOOFF)); R(write(s,"x",1)); IN("\x11"); R(write(s,"x",1)); R(tcflow(s,TCOON)); R(write(s,"y",1)); drain("tcoon",m); R(tcflow(s,TCIOFF)); drain("ioff",m); R(tcflow(s,TCION)); drain("ion",m); R(tcflow(s,9)); R(tcflush(s,9)); R(tcdrain(s)); R(tcsendbreak(s,0));
  /* long line */
  char *big=malloc(10000); memset(big,'L',10000); errno=0; int w=write(m,big,5000); ms(40); int w2=write(m,"\n",1); ms(40); char *bf=malloc(20000); int g=0,k; while((k=read(m,bf,20000))>0) g+=k; printf("long %d %d echoed %d\n",w,w2,g); k=read(s,bf,20000); printf("read %d last %x\n",k,bf[k-1]);
  /* window */
  struct winsize ws; R(ioctl(s,TIOCGWINSZ,&ws)); printf("%d %d\n",ws.ws_row,ws.ws_col); ws=(struct winsize){24,80,1,2}; R(ioctl(m,TIOCSWINSZ,&ws)); memset(&ws,0,sizeof ws); ioctl(s,TIOCGWINSZ,&ws); printf("%d %d %d %d\n",ws.ws_row,ws.ws_col,ws.ws_xpixel,ws.ws_ypixel);
  /* packet mode */
  int on=1; R(ioctl(m,TIOCPKT,&on)); R(write(s,"pkt\n",4)); rd("pkt",m,100); R(tcflush(s,TCIFLUSH)); rd("flushread",m,100); R(tcflush(s,TCOFLUSH)); rd("flushwrite",m,100); p.fd=m; p.events=POLLIN|POLLPRI; IN("\x13"); ms(40); R(poll(&p,1,0)); printf("%x\n",p.revents); rd("stop",m,100); IN("\x11"); rd("start",m,100); opts(0,IXON,0,0,0,0); rd("nostop",m,100); opts(IXON,0,0,0,0,0); rd("dostop",m,100); rd("no",m,100); on=0; R(ioctl(m,TIOCPKT,&on)); ioctl(m,TIOCGPKT,&on); printf("%d\n",on);
  /* ioctls */
  n=7; R(ioctl(s,TIOCGPTN,&n)); R(ioctl(s,TIOCOUTQ,&n)); printf("%d\n",n); R(ioctl(s,TIOCGETD,&n)); printf("%d\n",n); R(ioctl(s,TIOCGPGRP,&n)); R(ioctl(m,TIOCGPGRP,&n)); printf("%d\n",n); R(tcgetsid(s)); R(tcsetpgrp(s,getpgrp())); R(ioctl(s,TIOCNOTTY,0)); R(ioctl(s,0x54ff,0)); R(ioctl(s,TCGETS,(void*)8)); R(ioctl(s,TIOCMGET,&n)); R(ioctl(s,TIOCEXCL,0)); R(ioctl(s,TIOCGEXCL,&n)); printf("%d\n",n); R(ioctl(s,TIOCNXCL,0)); R(ioctl(m,TIOCSIG,99)); unsigned dev; R(ioctl(s,TIOCGDEV,&dev)); printf("%d\n",(dev>>8)&0xfff);
  /* closing */
  close(s); p.fd=m; p.events=POLLIN|POLLOUT; R(poll(&p,1,0)); printf("%x\n",p.revents); rd("m",m,10); R(write(m,"later\n",6)); s=open(name,O_RDWR|O_NOCTTY|O_NONBLOCK); ms(40); R(poll(&p,1,0)); printf("%x\n",p.revents); rd("later",s,100); drain("m",m); R(write(s,"bye",3)); ms(40); close(s); R(poll(&p,1,0)); printf("%x\n",p.revents); rd("m",m,10); rd("m",m,10); s=open(name,O_RDWR|O_NOCTTY|O_NONBLOCK); close(m); p.fd=s; R(poll(&p,1,0)); printf("%x\n",p.revents); rd("hung",s,10); R(write(s,"x",1)); R(tcgetattr(s,&t)); R(isatty(s)); R(open(name,O_RDWR|O_NOCTTY)); R(tcsetpgrp(s,1)); close(s);
  return 0; }
