/* Sockets of AF_UNIX: what each call gives, to be compared between two kernels. Names are in the working directory. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <stddef.h>
#define R(x) do{errno=0;long r_=(x);printf("%d %s = %ld %s\n",__LINE__,#x,r_,r_<0?strerrorname_np(errno):"");}while(0)
static int P(int fd){struct pollfd p={fd,POLLIN|POLLOUT|POLLPRI|POLLRDHUP|POLLRDNORM|POLLWRNORM|POLLWRBAND|POLLRDBAND,0};poll(&p,1,0);return p.revents;}
#define PP(fd) printf("%d poll %s %x\n",__LINE__,#fd,P(fd))
static socklen_t A(struct sockaddr_un*a,const char*n,int abs){memset(a,0,sizeof*a);a->sun_family=AF_UNIX;if(abs){memcpy(a->sun_path+1,n,strlen(n));return 3+strlen(n);}strcpy(a->sun_path,n);return offsetof(struct sockaddr_un,sun_path)+strlen(n)+1;}
static void name(int fd,int peer){struct sockaddr_un a;socklen_t l=sizeof a;memset(&a,'x',sizeof a);errno=0;int r=peer?getpeername(fd,(void*)&a,&l):getsockname(fd,(void*)&a,&l);printf("name %d %d len %d fam %d [",r,errno,l,r?0:a.sun_family);if(!r)for(unsigned i=2;i<l&&i<sizeof a;i++)printf("%02x",(unsigned char)a.sun_path[i-2]);printf("]\n");}
int main(){
 signal(SIGPIPE,SIG_IGN);setvbuf(stdout,0,_IONBF,0);
 int s[2],t;char b[4096];
 for(int type=0;type<12;type++){R(t=socket(AF_UNIX,type,0));if(t>=0)close(t);}
 R(socket(AF_UNIX,SOCK_STREAM,1)>0);R(socket(AF_UNIX,SOCK_STREAM,2));R(socket(-1,1,0));R(socket(77,1,0));R(socket(AF_UNIX,SOCK_STREAM|0x100,0));R(socket(AF_UNIX,99,0));
 R(socketpair(AF_UNIX,SOCK_STREAM,0,0));R(socketpair(AF_INET,SOCK_STREAM,0,s));
 R(socketpair(AF_UNIX,SOCK_STREAM,0,s));PP(s[0]);name(s[0],0);name(s[0],1);
 R(write(s[0],"hello",5));PP(s[1]);R(recv(s[1],b,2,MSG_PEEK));R(recv(s[1],b,2,0));R(write(s[0],"world",5));R(recv(s[1],b,100,0));R(recv(s[1],b,100,MSG_DONTWAIT));
 R(send(s[0],"",0,0));R(shutdown(s[0],SHUT_WR));PP(s[0]);PP(s[1]);R(read(s[1],b,10));R(write(s[0],"x",1));R(shutdown(s[0],7));R(write(s[1],"y",1));R(read(s[0],b,10));
 R(shutdown(s[1],SHUT_RD));R(close(s[1]));PP(s[0]);R(read(s[0],b,10));R(write(s[0],"z",1));name(s[0],1);close(s[0]);
 // reset
 socketpair(AF_UNIX,SOCK_STREAM,0,s);write(s[0],"aa",2);write(s[1],"bb",2);close(s[1]);PP(s[0]);R(read(s[0],b,1));R(read(s[0],b,9));R(read(s[0],b,9));R(read(s[0],b,9));close(s[0]);
 socketpair(AF_UNIX,SOCK_STREAM,0,s);write(s[0],"aa",2);close(s[1]);R(write(s[0],b,1));int e;socklen_t l=4;R(getsockopt(s[0],SOL_SOCKET,SO_ERROR,&e,&l));printf("err %d\n",e);close(s[0]);
 // unconnected
 t=socket(AF_UNIX,SOCK_STREAM|SOCK_NONBLOCK,0);PP(t);R(read(t,b,1));R(write(t,b,1));R(listen(t,1));R(accept(t,0,0));name(t,0);name(t,1);R(shutdown(t,2));PP(t);close(t);
 struct sockaddr_un a;socklen_t n;
 t=socket(AF_UNIX,SOCK_STREAM|SOCK_NONBLOCK,0);n=A(&a,"srv",0);R(bind(t,(void*)&a,n));R(bind(t,(void*)&a,n));name(t,0);struct stat st;R(stat("srv",&st));printf("%o\n",st.st_mode);R(open("srv",O_RDONLY));
 int t2=socket(AF_UNIX,SOCK_STREAM,0);R(bind(t2,(void*)&a,n));R(connect(t2,(void*)&a,n));R(listen(t,1));PP(t);R(accept(t,0,0));R(accept4(t,0,0,5));R(connect(t2,(void*)&a,n));PP(t);PP(t2);name(t2,0);name(t2,1);R(connect(t2,(void*)&a,n));
 R(write(t2,"early",5));struct ucred uc;l=sizeof uc;R(getsockopt(t2,SOL_SOCKET,SO_PEERCRED,&uc,&l));printf("cred %d %d %d\n",uc.pid==getpid(),uc.uid,uc.gid);
 struct sockaddr_un pa;socklen_t pl=sizeof pa;int c;R((c=accept4(t,(void*)&pa,&pl,SOCK_NONBLOCK))>0);printf("plen %d\n",pl);name(c,0);name(c,1);R(read(c,b,10));R(fcntl(c,F_GETFL));R(fcntl(c,F_GETFD));
 int q[5];for(int i=0;i<4;i++){q[i]=socket(AF_UNIX,SOCK_STREAM|SOCK_NONBLOCK,0);R(connect(q[i],(void*)&a,n));}
 R(unlink("srv"));int t3=socket(AF_UNIX,SOCK_STREAM,0);R(connect(t3,(void*)&a,n));R(bind(t3,(void*)&a,n));
 close(t);PP(q[0]);R(read(q[0],b,1));R(read(q[0],b,1));PP(q[3]);R(write(c,"still",5));R(read(t2,b,9));
 R(rename("srv","srv2"));close(t3);n=A(&a,"srv2",0);R(connect(q[3],(void*)&a,n));R(open("plain",O_CREAT|O_RDWR,0644)>0);n=A(&a,"plain",0);R(connect(q[3],(void*)&a,n));n=A(&a,"nodir/x",0);R(connect(q[3],(void*)&a,n));R(bind(q[3],(void*)&a,n));n=A(&a,"plain/x",0);R(bind(q[3],(void*)&a,n));n=A(&a,"sl/",0);R(bind(q[3],(void*)&a,n));
 // lengths
 t=socket(AF_UNIX,SOCK_DGRAM,0);for(int i=0;i<4;i++){a.sun_path[0]=0;R(bind(t,(void*)&a,i));}R(bind(t,(void*)&a,111));R(bind(t,(void*)&a,200));R(bind(t,(void*)&a,-1));R(bind(t,0,10));close(t);
 t=socket(AF_UNIX,SOCK_DGRAM,0);memset(a.sun_path,'p',108);R(bind(t,(void*)&a,110));name(t,0);close(t);
 t=socket(AF_UNIX,SOCK_DGRAM,0);n=A(&a,"shorter",0);R(bind(t,(void*)&a,5));name(t,0);close(t);
 t=socket(AF_UNIX,SOCK_DGRAM,0);n=A(&a,"abs",1);R(bind(t,(void*)&a,n));name(t,0);t2=socket(AF_UNIX,SOCK_DGRAM,0);R(bind(t2,(void*)&a,n));R(bind(t2,(void*)&a,n+1));name(t2,0);
 R(sendto(t2,"dg",2,0,(void*)&a,n));pl=sizeof pa;R(recvfrom(t,b,1,0,(void*)&pa,&pl));printf("from %d\n",pl);R(recvfrom(t,b,1,MSG_DONTWAIT,(void*)&pa,&pl));
 R(sendto(t2,"long",4,0,(void*)&a,n));R(recv(t,b,1,MSG_TRUNC|MSG_PEEK));R(recv(t,b,1,MSG_TRUNC));
 R(send(t2,"x",1,0));R(connect(t2,(void*)&a,n));R(send(t2,"x",1,0));PP(t);PP(t2);int inq;R(ioctl(t,FIONREAD,&inq));printf("inq %d\n",inq);
 t3=socket(AF_UNIX,SOCK_DGRAM|SOCK_NONBLOCK,0);for(int i=0;i<14;i++)R(sendto(t3,"q",1,0,(void*)&a,n));PP(t3);R(connect(t3,(void*)&a,n));PP(t3);PP(t2);R(recv(t,b,1,0));PP(t3);
 R(connect(t,(void*)&pa,3));struct sockaddr un={AF_UNSPEC};R(connect(t3,&un,sizeof un));R(send(t3,"x",1,0));R(connect(t3,&un,1));
 name(t2,1);close(t);PP(t2);R(send(t2,"x",1,0));R(send(t2,"x",1,0));R(sendto(t2,"x",1,0,(void*)&a,n));R(listen(t2,1));R(accept(t2,0,0));close(t2);close(t3);
 // dgram pair
 socketpair(AF_UNIX,SOCK_DGRAM,0,s);PP(s[0]);R(send(s[0],"",0,0));R(recv(s[1],b,5,0));R(shutdown(s[0],SHUT_RDWR));PP(s[0]);PP(s[1]);R(send(s[1],"x",1,0));R(send(s[0],"x",1,0));R(recv(s[0],b,1,0));R(recv(s[0],b,1,MSG_DONTWAIT));close(s[0]);R(send(s[1],"x",1,0));R(send(s[1],"x",1,0));close(s[1]);
 // dgram wrong type, restricted peer
 t=socket(AF_UNIX,SOCK_DGRAM,0);n=A(&a,"one",1);bind(t,(void*)&a,n);t2=socket(AF_UNIX,SOCK_STREAM,0);R(connect(t2,(void*)&a,n));t3=socket(AF_UNIX,SOCK_DGRAM,0);struct sockaddr_un a3;socklen_t n3=A(&a3,"three",1);bind(t3,(void*)&a3,n3);R(connect(t,(void*)&a3,n3));int t4=socket(AF_UNIX,SOCK_DGRAM,0);R(sendto(t4,"x",1,0,(void*)&a,n));R(connect(t4,(void*)&a,n));R(sendto(t3,"x",1,0,(void*)&a,n));
 R(sendto(t3,b,212992-32,MSG_DONTWAIT,(void*)&a,n));
 static char big[300000];R(sendto(t3,big,212992-32,MSG_DONTWAIT,(void*)&a,n));R(sendto(t3,big,212992-31,MSG_DONTWAIT,(void*)&a,n));
 close(t);close(t2);close(t3);close(t4);
 // seqpacket
 socketpair(AF_UNIX,SOCK_SEQPACKET,0,s);PP(s[0]);R(send(s[0],"ab",2,0));R(send(s[0],"cd",2,MSG_EOR));R(recv(s[1],b,1,0));R(recv(s[1],b,10,0));R(shutdown(s[0],SHUT_WR));R(recv(s[1],b,10,0));R(send(s[0],"x",1,0));R(send(s[1],"x",1,0));close(s[1]);PP(s[0]);R(recv(s[0],b,1,0));R(recv(s[0],b,1,0));R(send(s[0],"x",1,0));close(s[0]);
 t=socket(AF_UNIX,SOCK_SEQPACKET,0);PP(t);R(send(t,"x",1,0));R(recv(t,b,1,0));n=A(&a,"sq",1);R(bind(t,(void*)&a,n));R(listen(t,0));t2=socket(AF_UNIX,SOCK_SEQPACKET,0);R(connect(t2,(void*)&a,n));R(send(t2,"hi",2,0));c=accept(t,0,0);R(recv(c,b,9,0));close(c);R(send(t2,"x",1,0));R(recv(t2,b,1,0));close(t);close(t2);
 // autobind
 t=socket(AF_UNIX,SOCK_STREAM,0);a.sun_family=AF_UNIX;R(bind(t,(void*)&a,2));l=sizeof a;getsockname(t,(void*)&a,&l);printf("auto %d\n",l);R(bind(t,(void*)&a,2));close(t);
 // buffers
 int types[]={SOCK_STREAM,SOCK_DGRAM,SOCK_SEQPACKET};int sizes[]={1,100,1000,4096,30000,65536};for(int i=0;i<3;i++)for(int j=0;j<6;j++){socketpair(AF_UNIX,types[i]|SOCK_NONBLOCK,0,s);long tot=0;int k=0;for(;;){int r=send(s[0],big,sizes[j],0);if(r<0)break;tot+=r;k++;}int oq,iq;ioctl(s[0],TIOCOUTQ,&oq);ioctl(s[1],FIONREAD,&iq);printf("fill %d %d: %d %ld e%d oq %d iq %d poll %x\n",types[i],sizes[j],k,tot,errno,oq,iq,P(s[0]));k=0;while(!(P(s[0])&POLLOUT)){recv(s[1],big,sizes[j],0);k++;}printf("room after %d\n",k);close(s[0]);close(s[1]);}
 socketpair(AF_UNIX,SOCK_STREAM,0,s);for(int v=-1;v<300000;v=v<0?0:v*3+1){int rv=v;R(setsockopt(s[0],SOL_SOCKET,SO_SNDBUF,&rv,4));l=4;getsockopt(s[0],SOL_SOCKET,SO_SNDBUF,&rv,&l);printf("snd %d -> %d\n",v,rv);rv=v;setsockopt(s[0],SOL_SOCKET,SO_RCVBUF,&rv,4);l=4;getsockopt(s[0],SOL_SOCKET,SO_RCVBUF,&rv,&l);printf("rcv %d -> %d\n",v,rv);}
 struct stat ss;fstat(s[0],&ss);printf("mode %o size %ld nlink %ld blk %ld blocks %ld rdev %ld uid %d\n",ss.st_mode,(long)ss.st_size,(long)ss.st_nlink,(long)ss.st_blksize,(long)ss.st_blocks,(long)ss.st_rdev,ss.st_uid);
 R(lseek(s[0],0,0));R(pread(s[0],b,1,0));R(ftruncate(s[0],0));R(fsync(s[0]));R(fchmod(s[0],0600));R(ioctl(s[0],0x5401,b));
 R(bind(0,(void*)&a,2));R(bind(99,(void*)&a,2));R(listen(0,1));R(getsockname(s[0],(void*)&a,0));l=-1;R(getsockname(s[0],(void*)&a,&l));l=1;R(getsockname(s[0],(void*)&a,&l));printf("%d\n",l);l=10;R(getsockname(s[0],0,&l));
 R(sendto(s[0],"x",1,0,(void*)&a,2));R(sendto(s[0],0,1,0,0,0));R(send(s[0],0,0,0));
}
