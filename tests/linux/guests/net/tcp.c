/* TCP over the loopback: connections, ends, resets, binding; to be compared between two kernels. Ports are named by the
   order in which they are seen; FIN_WAIT1 and FIN_WAIT2 are one. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <sys/stat.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#define R(x) do{errno=0;long r_=(x);printf("%d %s = %ld %s\n",__LINE__,#x,r_,r_<0?strerrorname_np(errno):"");}while(0)
static int P(int fd){struct pollfd p={fd,POLLIN|POLLOUT|POLLPRI|POLLRDHUP|POLLRDNORM|POLLWRNORM|POLLWRBAND|POLLRDBAND,0};poll(&p,1,0);return p.revents;}
#define PP(fd) printf("%d poll %s %x\n",__LINE__,#fd,P(fd))
static char b[4096];
static int ports[64],np;static int pn(int p){p=ntohs(p);if(!p)return 0;if(p<32768)return p;for(int i=0;i<np;i++)if(ports[i]==p)return -1-i;ports[np++]=p;return -np;}
static void nm(int fd,int peer){struct sockaddr_storage a;socklen_t l=sizeof a;memset(&a,'x',sizeof a);errno=0;int r=peer?getpeername(fd,(void*)&a,&l):getsockname(fd,(void*)&a,&l);printf("name %d %s len %d ",r,r<0?strerrorname_np(errno):"",l);char t[99];if(!r){struct sockaddr_in*i=(void*)&a;struct sockaddr_in6*s=(void*)&a;if(a.ss_family==AF_INET)printf("4 %s %d z%d",inet_ntop(AF_INET,&i->sin_addr,t,99),pn(i->sin_port),i->sin_zero[3]);else printf("6 %s %d f%d s%d",inet_ntop(AF_INET6,&s->sin6_addr,t,99),pn(s->sin6_port),s->sin6_flowinfo,s->sin6_scope_id);}puts("");}
static struct sockaddr_in A(const char*ip,int port){struct sockaddr_in a;memset(&a,0,sizeof a);a.sin_family=AF_INET;a.sin_port=port;inet_pton(AF_INET,ip,&a.sin_addr);return a;}
static struct sockaddr_in6 A6(const char*ip,int port){struct sockaddr_in6 a;memset(&a,0,sizeof a);a.sin6_family=AF_INET6;a.sin6_port=port;inet_pton(AF_INET6,ip,&a.sin6_addr);return a;}
static int port(int fd){struct sockaddr_storage a;socklen_t l=sizeof a;getsockname(fd,(void*)&a,&l);return ((struct sockaddr_in*)&a)->sin_port;}
static int listener(const char*ip,int bl){int s=socket(AF_INET,SOCK_STREAM,0);struct sockaddr_in a=A(ip,0);bind(s,(void*)&a,sizeof a);listen(s,bl);return s;}
static void prs(int L,int*c,int*s){struct sockaddr_in a=A("127.0.0.1",port(L));*c=socket(AF_INET,SOCK_STREAM,0);if(connect(*c,(void*)&a,sizeof a))perror("connect");*s=accept(L,0,0);}
static int err(int fd){int e;socklen_t l=4;getsockopt(fd,SOL_SOCKET,SO_ERROR,&e,&l);return e;}
static int st(int fd){char i[300];socklen_t l=sizeof i;getsockopt(fd,6,TCP_INFO,i,&l);return i[0]==4?5:i[0];}
int main(){
 signal(SIGPIPE,SIG_IGN);setvbuf(stdout,0,_IONBF,0);int L,c,s,t,one=1;struct sockaddr_in a;struct sockaddr_in6 a6;
 for(int f=2;f<=10;f+=8)for(int ty=0;ty<8;ty++)for(int p=0;p<4;p++){int pr[]={0,6,17,255};if(ty==3||(ty==2&&pr[p]==1))continue;errno=0;int r=socket(f,ty,pr[p]);printf("socket %d %d %d %s\n",f,ty,pr[p],r<0?strerrorname_np(errno):"ok");if(r>=0)close(r);}
 R(socket(2,1,-1));R(socket(2,1,263));R(socket(2,1,132));
 t=socket(AF_INET,SOCK_STREAM,0);PP(t);nm(t,0);nm(t,1);R(read(t,b,1));R(write(t,b,1));R(shutdown(t,2));PP(t);R(accept(t,0,0));printf("st %d\n",st(t));close(t);
 t=socket(AF_INET,SOCK_STREAM,0);a=A("127.0.0.1",0);R(bind(t,(void*)&a,15));R(bind(t,(void*)&a,16));nm(t,0);R(bind(t,(void*)&a,16));R(connect(t,(void*)&a,16));PP(t);printf("err %d\n",err(t));close(t);
 t=socket(AF_INET,SOCK_STREAM,0);a.sin_family=AF_INET6;R(bind(t,(void*)&a,16));a.sin_family=0;R(bind(t,(void*)&a,16));a=A("0.0.0.0",0);a.sin_family=0;R(bind(t,(void*)&a,16));a=A("8.8.8.8",0);R(bind(t,(void*)&a,16));R(connect(t,(void*)&a,16));R(connect(t,(void*)&a,8));a.sin_family=77;R(connect(t,(void*)&a,16));R(connect(t,(void*)&a,1));a=A("224.0.0.1",htons(5));R(connect(t,(void*)&a,16));a=A("255.255.255.255",htons(5));R(connect(t,(void*)&a,16));close(t);
 // refused
 t=socket(AF_INET,SOCK_STREAM,0);a=A("127.0.0.1",htons(1));R(connect(t,(void*)&a,16));PP(t);R(read(t,b,1));R(write(t,b,1));nm(t,0);R(connect(t,(void*)&a,16));close(t);
 t=socket(AF_INET,SOCK_STREAM|SOCK_NONBLOCK,0);R(connect(t,(void*)&a,16));PP(t);printf("err %d\n",err(t));PP(t);R(connect(t,(void*)&a,16));R(connect(t,(void*)&a,16));R(connect(t,(void*)&a,16));close(t);
 // normal
 L=listener("127.0.0.1",5);nm(L,0);nm(L,1);PP(L);printf("st %d\n",st(L));R(read(L,b,1));R(write(L,b,1));R(connect(L,(void*)&a,16));a=A("127.0.0.1",port(L));
 c=socket(AF_INET,SOCK_STREAM|SOCK_NONBLOCK,0);R(connect(c,(void*)&a,16));PP(c);R(connect(c,(void*)&a,16));R(connect(c,(void*)&a,16));PP(L);R(send(c,"early",5,0));s=accept4(L,0,0,SOCK_NONBLOCK);nm(c,0);nm(c,1);nm(s,0);nm(s,1);R(fcntl(s,F_GETFL));
 R(recv(s,b,2,MSG_PEEK));R(recv(s,b,2,0));int n;R(ioctl(s,FIONREAD,&n));printf("%d\n",n);R(recv(s,b,9,0));R(recv(s,b,9,0));PP(s);R(sendto(s,"x",1,0,(void*)&a,16));struct sockaddr_in from;socklen_t fl=sizeof from;R(recvfrom(c,b,9,0,(void*)&from,&fl));printf("fl %d\n",fl);
 R(shutdown(c,SHUT_WR));PP(c);PP(s);printf("st %d %d\n",st(c),st(s));R(read(s,b,1));R(write(c,b,1));R(write(s,"yy",2));R(read(c,b,9));R(close(s));PP(c);printf("st %d\n",st(c));R(read(c,b,9));R(write(c,"z",1));nm(c,1);close(c);
 // peer closes, then write twice
 prs(L,&c,&s);R(close(s));PP(c);R(read(c,b,1));R(write(c,"a",1));usleep(1000);PP(c);printf("st %d\n",st(c));R(write(c,"b",1));R(write(c,"b",1));R(read(c,b,1));printf("err %d\n",err(c));close(c);
 // rst by unread
 prs(L,&c,&s);R(write(c,"unread",6));R(write(s,"data",4));R(close(s));PP(c);R(read(c,b,2));R(read(c,b,20));R(read(c,b,20));R(read(c,b,20));R(write(c,b,1));nm(c,1);close(c);
 prs(L,&c,&s);R(write(c,"unread",6));R(close(s));R(write(c,b,1));R(write(c,b,1));R(read(c,b,20));close(c);
 // linger 0
 prs(L,&c,&s);struct linger lg={1,0};R(setsockopt(s,SOL_SOCKET,SO_LINGER,&lg,sizeof lg));R(write(s,"q",1));close(s);PP(c);printf("st %d\n",st(c));R(read(c,b,5));R(read(c,b,5));R(read(c,b,5));close(c);
 // shutdown variants
 prs(L,&c,&s);R(shutdown(c,SHUT_RD));PP(c);R(write(s,"after",5));R(read(c,b,9));R(read(c,b,9));R(shutdown(c,SHUT_WR));PP(c);PP(s);printf("st %d %d\n",st(c),st(s));R(write(s,"more",4));R(read(c,b,9));R(shutdown(s,SHUT_RDWR));printf("st %d %d\n",st(c),st(s));PP(s);PP(c);R(shutdown(s,SHUT_RDWR));R(shutdown(c,SHUT_RDWR));nm(s,1);close(c);close(s);
 prs(L,&c,&s);R(shutdown(c,SHUT_WR));R(shutdown(c,SHUT_WR));R(shutdown(s,SHUT_WR));PP(c);PP(s);printf("st %d %d\n",st(c),st(s));R(read(s,b,1));R(read(c,b,1));R(write(s,b,1));nm(c,1);nm(s,1);close(c);close(s);
 // trunc, waitall, oob
 prs(L,&c,&s);R(write(c,"0123456789",10));R(recv(s,b,4,MSG_TRUNC));R(recv(s,b,9,MSG_PEEK|MSG_TRUNC));R(recv(s,b,6,MSG_WAITALL));R(send(c,"abc",3,MSG_OOB));PP(s);R(recv(s,b,9,MSG_OOB));printf("%c\n",b[0]);R(recv(s,b,9,MSG_OOB));R(recv(s,b,9,0));R(setsockopt(s,SOL_SOCKET,SO_OOBINLINE,&one,4));R(send(c,"xyz",3,MSG_OOB));PP(s);R(recv(s,b,9,MSG_OOB));close(c);close(s);
 // queue: unaccepted; listener closed
 a=A("127.0.0.1",port(L));c=socket(AF_INET,SOCK_STREAM,0);R(connect(c,(void*)&a,16));R(write(c,"hi",2));close(L);PP(c);R(read(c,b,1));R(read(c,b,1));R(write(c,b,1));close(c);
 L=listener("127.0.0.1",5);a=A("127.0.0.1",port(L));c=socket(AF_INET,SOCK_STREAM,0);R(connect(c,(void*)&a,16));R(shutdown(L,SHUT_WR));PP(L);R(shutdown(L,SHUT_RD));PP(L);PP(c);R(accept(L,0,0));R(listen(L,3));R(accept4(L,0,0,4));close(c);close(L);
 // client gone before accept
 L=listener("127.0.0.1",5);a=A("127.0.0.1",port(L));c=socket(AF_INET,SOCK_STREAM,0);connect(c,(void*)&a,16);write(c,"bye",3);close(c);PP(L);s=accept(L,(void*)&from,&fl);printf("s %d fl %d\n",s>=0,fl);R(read(s,b,9));R(read(s,b,9));close(s);
 c=socket(AF_INET,SOCK_STREAM,0);connect(c,(void*)&a,16);setsockopt(c,SOL_SOCKET,SO_LINGER,&lg,sizeof lg);close(c);s=accept(L,(void*)&from,&fl);printf("s %d fl %d\n",s>=0,fl);R(read(s,b,9));R(read(s,b,9));close(s);
 // disconnect
 prs(L,&c,&s);struct sockaddr un={AF_UNSPEC};R(connect(c,&un,sizeof un));PP(c);PP(s);R(read(s,b,1));nm(c,0);R(connect(c,(void*)&a,16));close(s);s=accept(L,0,0);R(write(c,"again",5));R(read(s,b,9));close(c);close(s);
 // binding rules
 int p=port(L);int u=socket(AF_INET,SOCK_STREAM,0);a=A("127.0.0.1",p);R(bind(u,(void*)&a,16));a=A("0.0.0.0",p);R(bind(u,(void*)&a,16));a=A("127.0.0.2",p);R(bind(u,(void*)&a,16));R(listen(u,1));close(u);
 u=socket(AF_INET,SOCK_STREAM,0);setsockopt(u,SOL_SOCKET,SO_REUSEADDR,&one,4);a=A("127.0.0.1",p);R(bind(u,(void*)&a,16));close(u);
 int x=socket(AF_INET,SOCK_STREAM,0),y=socket(AF_INET,SOCK_STREAM,0);setsockopt(x,SOL_SOCKET,SO_REUSEADDR,&one,4);setsockopt(y,SOL_SOCKET,SO_REUSEADDR,&one,4);a=A("127.0.0.1",0);R(bind(x,(void*)&a,16));a.sin_port=port(x);R(bind(y,(void*)&a,16));R(listen(x,1));R(listen(y,1));close(x);R(listen(y,1));close(y);
 x=socket(AF_INET,SOCK_STREAM,0),y=socket(AF_INET,SOCK_STREAM,0);setsockopt(x,SOL_SOCKET,SO_REUSEPORT,&one,4);setsockopt(y,SOL_SOCKET,SO_REUSEPORT,&one,4);a=A("127.0.0.1",0);R(bind(x,(void*)&a,16));a.sin_port=port(x);R(listen(x,1));R(bind(y,(void*)&a,16));R(listen(y,1));close(x);close(y);
 // time wait
 prs(L,&c,&s);p=port(L);close(s);R(read(c,b,1));close(c);close(L);u=socket(AF_INET,SOCK_STREAM,0);a=A("127.0.0.1",p);R(bind(u,(void*)&a,16));setsockopt(u,SOL_SOCKET,SO_REUSEADDR,&one,4);R(bind(u,(void*)&a,16));close(u);
 // v6
 L=socket(AF_INET6,SOCK_STREAM,0);a6=A6("::",0);R(bind(L,(void*)&a6,27));R(bind(L,(void*)&a6,20));a6.sin6_family=2;R(bind(L,(void*)&a6,28));a6=A6("::",0);nm(L,0);close(L);L=socket(AF_INET6,SOCK_STREAM,0);R(bind(L,(void*)&a6,28));R(listen(L,4));nm(L,0);a=A("127.0.0.1",port(L));c=socket(AF_INET,SOCK_STREAM,0);R(connect(c,(void*)&a,16));s=accept(L,0,0);nm(c,0);nm(c,1);nm(s,0);nm(s,1);close(c);close(s);
 c=socket(AF_INET6,SOCK_STREAM,0);a6=A6("::1",port(L));R(connect(c,(void*)&a6,28));s=accept(L,0,0);nm(c,0);nm(c,1);nm(s,0);nm(s,1);close(c);close(s);
 c=socket(AF_INET6,SOCK_STREAM,0);a6=A6("::ffff:127.0.0.1",port(L));R(connect(c,(void*)&a6,28));s=accept(L,0,0);nm(c,0);nm(c,1);nm(s,0);nm(s,1);close(c);close(s);
 c=socket(AF_INET6,SOCK_STREAM,0);a6=A6("::",port(L));R(connect(c,(void*)&a6,28));s=accept(L,0,0);nm(c,0);nm(c,1);close(c);close(s);
 u=socket(AF_INET,SOCK_STREAM,0);a=A("127.0.0.1",port(L));R(bind(u,(void*)&a,16));close(u);
 p=port(L);close(L);L=socket(AF_INET6,SOCK_STREAM,0);R(setsockopt(L,41,IPV6_V6ONLY,&one,4));a6=A6("::",p);R(bind(L,(void*)&a6,28));R(setsockopt(L,41,IPV6_V6ONLY,&one,4));listen(L,1);u=socket(AF_INET,SOCK_STREAM,0);a=A("0.0.0.0",p);R(bind(u,(void*)&a,16));c=socket(AF_INET,SOCK_STREAM,0);a=A("127.0.0.1",p);R(connect(c,(void*)&a,16));close(c);close(u);close(L);
 c=socket(AF_INET6,SOCK_STREAM,0);a6=A6("2001:db8::1",htons(80));R(connect(c,(void*)&a6,28));R(bind(c,(void*)&a6,28));a6=A6("fe80::1",htons(80));R(connect(c,(void*)&a6,28));R(bind(c,(void*)&a6,28));a6=A6("ff02::1",htons(80));R(connect(c,(void*)&a6,28));R(bind(c,(void*)&a6,28));a6=A6("::ffff:8.8.8.8",htons(80));R(connect(c,(void*)&a6,28));R(bind(c,(void*)&a6,28));R(connect(c,(void*)&a,16));close(c);
 // any address connect
 L=listener("0.0.0.0",3);c=socket(AF_INET,SOCK_STREAM,0);a=A("0.0.0.0",port(L));R(connect(c,(void*)&a,16));nm(c,0);nm(c,1);close(c);c=socket(AF_INET,SOCK_STREAM,0);a=A("127.5.6.7",port(L));R(connect(c,(void*)&a,16));nm(c,0);nm(c,1);close(c);close(accept(L,0,0));s=accept(L,0,0);nm(s,0);nm(s,1);close(s);
 // backlog
 close(L);L=listener("127.0.0.1",0);a=A("127.0.0.1",port(L));int q[4];for(int i=0;i<3;i++){q[i]=socket(AF_INET,SOCK_STREAM|SOCK_NONBLOCK,0);R(connect(q[i],(void*)&a,16));PP(q[i]);}R(send(q[2],"x",1,0));R(recv(q[2],b,1,0));R(connect(q[2],(void*)&a,16));nm(q[2],1);nm(q[2],0);close(q[2]);close(q[0]);close(q[1]);
 t=socket(AF_INET,SOCK_STREAM,0);R(listen(t,1));nm(t,0);close(t);
}
