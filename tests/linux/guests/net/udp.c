/* UDP over the loopback, options of every level, interfaces; to be compared between two kernels. Ports are named by the
   order in which they are seen. */
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
#include <netinet/udp.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#define R(x) do{errno=0;long r_=(x);printf("%d %s = %ld %s\n",__LINE__,#x,r_,r_<0?strerrorname_np(errno):"");}while(0)
static int P(int fd){struct pollfd p={fd,POLLIN|POLLOUT|POLLPRI|POLLRDHUP|POLLRDNORM|POLLWRNORM|POLLWRBAND|POLLRDBAND,0};poll(&p,1,0);return p.revents;}
#define PP(fd) printf("%d poll %s %x\n",__LINE__,#fd,P(fd))
static char b[70000];
static int ports[64],np;static int pn(int p){p=ntohs(p);if(!p)return 0;if(p<32768)return p;for(int i=0;i<np;i++)if(ports[i]==p)return -1-i;ports[np++]=p;return -np;}
static void pa(struct sockaddr_storage*a,socklen_t l){char t[99];struct sockaddr_in*i=(void*)a;struct sockaddr_in6*s=(void*)a;printf("len %d ",l);if(!l)puts("none");else if(a->ss_family==AF_INET)printf("4 %s %d\n",inet_ntop(AF_INET,&i->sin_addr,t,99),pn(i->sin_port));else if(a->ss_family==AF_INET6)printf("6 %s %d f%d s%d\n",inet_ntop(AF_INET6,&s->sin6_addr,t,99),pn(s->sin6_port),s->sin6_flowinfo,s->sin6_scope_id);else puts("?");}
static void nm(int fd,int peer){struct sockaddr_storage a;socklen_t l=sizeof a;memset(&a,0,sizeof a);errno=0;int r=peer?getpeername(fd,(void*)&a,&l):getsockname(fd,(void*)&a,&l);printf("name %d %s ",r,r<0?strerrorname_np(errno):"");if(!r)pa(&a,l);else puts("");}
static struct sockaddr_in A(const char*ip,int port){struct sockaddr_in a;memset(&a,0,sizeof a);a.sin_family=AF_INET;a.sin_port=port;inet_pton(AF_INET,ip,&a.sin_addr);return a;}
static struct sockaddr_in6 A6(const char*ip,int port){struct sockaddr_in6 a;memset(&a,0,sizeof a);a.sin6_family=AF_INET6;a.sin6_port=port;inet_pton(AF_INET6,ip,&a.sin6_addr);return a;}
static int port(int fd){struct sockaddr_storage a;socklen_t l=sizeof a;getsockname(fd,(void*)&a,&l);return ((struct sockaddr_in*)&a)->sin_port;}
static int err(int fd){int e;socklen_t l=4;getsockopt(fd,SOL_SOCKET,SO_ERROR,&e,&l);return e;}
static void rx(int fd,int fl){struct sockaddr_storage a;memset(&a,0,sizeof a);char c[300];struct iovec v={b,sizeof b};struct msghdr m={&a,sizeof a,&v,1,c,sizeof c,0};errno=0;long r=recvmsg(fd,&m,fl);printf("rx %ld %s fl %x ",r,r<0?strerrorname_np(errno):"",m.msg_flags);if(r>=0){pa(&a,m.msg_namelen);for(struct cmsghdr*h=CMSG_FIRSTHDR(&m);h;h=CMSG_NXTHDR(&m,h)){printf("  c %d %d len %zu:",h->cmsg_level,h->cmsg_type,h->cmsg_len);if(!(h->cmsg_level==1))for(unsigned i=0;i<h->cmsg_len-16;i++)printf(" %02x",CMSG_DATA(h)[i]);puts("");}}else puts("");}
int main(){
 signal(SIGPIPE,SIG_IGN);setvbuf(stdout,0,_IONBF,0);int s,c,t,one=1,zero=0;struct sockaddr_in a;struct sockaddr_in6 a6;
 s=socket(AF_INET,SOCK_DGRAM,0);PP(s);nm(s,0);nm(s,1);R(send(s,"x",1,0));R(recv(s,b,1,MSG_DONTWAIT));R(shutdown(s,0));PP(s);R(listen(s,1));R(accept(s,0,0));close(s);
 s=socket(AF_INET,SOCK_DGRAM,0);a=A("127.0.0.1",0);R(bind(s,(void*)&a,16));nm(s,0);R(bind(s,(void*)&a,16));a.sin_port=port(s);c=socket(AF_INET,SOCK_DGRAM,0);R(sendto(c,"hello",5,0,(void*)&a,16));nm(c,0);PP(s);int n;R(ioctl(s,FIONREAD,&n));printf("%d\n",n);rx(s,MSG_PEEK);rx(s,0);rx(s,MSG_DONTWAIT);
 R(sendto(c,"",0,0,(void*)&a,16));PP(s);rx(s,0);R(sendto(c,"0123456789",10,0,(void*)&a,16));R(recv(s,b,3,MSG_TRUNC));R(sendto(c,"0123456789",10,0,(void*)&a,16));R(recv(s,b,3,0));R(recv(s,b,3,MSG_DONTWAIT));
 R(sendto(c,"x",1,0,(void*)&a,15));R(sendto(c,"x",1,0,(void*)&a,0));a.sin_family=AF_INET6;R(sendto(c,"x",1,0,(void*)&a,16));a.sin_family=AF_UNSPEC;R(sendto(c,"x",1,0,(void*)&a,16));rx(s,MSG_DONTWAIT);a.sin_family=AF_INET;int sp=a.sin_port;a.sin_port=0;R(sendto(c,"x",1,0,(void*)&a,16));a=A("8.8.8.8",htons(53));R(sendto(c,"x",1,0,(void*)&a,16));R(connect(c,(void*)&a,16));a=A("255.255.255.255",htons(53));R(sendto(c,"x",1,0,(void*)&a,16));setsockopt(c,SOL_SOCKET,SO_BROADCAST,&one,4);R(sendto(c,"x",1,0,(void*)&a,16));a=A("224.0.0.1",htons(53));R(sendto(c,"x",1,0,(void*)&a,16));
 a=A("127.0.0.1",sp);R(sendto(c,b,65507,0,(void*)&a,16));R(sendto(c,b,65508,0,(void*)&a,16));R(sendto(c,b,65536,0,(void*)&a,16));rx(s,MSG_DONTWAIT);R(sendto(c,"x",1,MSG_OOB,(void*)&a,16));
 R(connect(c,(void*)&a,16));nm(c,0);nm(c,1);R(send(c,"conn",4,0));rx(s,0);t=socket(AF_INET,SOCK_DGRAM,0);struct sockaddr_in ca=A("127.0.0.1",port(c));R(sendto(t,"stranger",8,0,(void*)&ca,16));R(recv(c,b,9,MSG_DONTWAIT));R(sendto(s,"friend",6,0,(void*)&ca,16));R(recv(c,b,9,MSG_DONTWAIT));close(t);
 a=A("127.0.0.1",htons(1));R(connect(c,(void*)&a,16));R(send(c,"x",1,0));PP(c);R(send(c,"x",1,0));PP(c);R(recv(c,b,1,MSG_DONTWAIT));R(send(c,"x",1,0));R(recv(c,b,1,MSG_DONTWAIT));R(recv(c,b,1,MSG_DONTWAIT));R(send(c,"x",1,0));printf("err %d\n",err(c));PP(c);
 struct sockaddr un={AF_UNSPEC};R(connect(c,&un,16));nm(c,0);nm(c,1);R(sendto(c,"x",1,0,(void*)&a,16));PP(c);R(shutdown(c,SHUT_RDWR));PP(c);a=A("127.0.0.1",sp);R(sendto(c,"x",1,0,(void*)&a,16));R(recv(c,b,1,MSG_DONTWAIT));R(recv(c,b,1,0));close(c);
 c=socket(AF_INET,SOCK_DGRAM,0);R(connect(c,(void*)&a,16));R(shutdown(c,SHUT_WR));PP(c);R(send(c,"x",1,0));close(c);rx(s,MSG_DONTWAIT);
 // reuse
 t=socket(AF_INET,SOCK_DGRAM,0);R(bind(t,(void*)&a,16));setsockopt(t,SOL_SOCKET,SO_REUSEADDR,&one,4);R(bind(t,(void*)&a,16));setsockopt(s,SOL_SOCKET,SO_REUSEADDR,&one,4);R(bind(t,(void*)&a,16));c=socket(AF_INET,SOCK_DGRAM,0);R(sendto(c,"who",3,0,(void*)&a,16));R(recv(s,b,9,MSG_DONTWAIT));R(recv(t,b,9,MSG_DONTWAIT));close(t);
 t=socket(AF_INET,SOCK_DGRAM,0);struct sockaddr_in w=A("0.0.0.0",sp);R(bind(t,(void*)&w,16));w=A("127.0.0.9",sp);R(bind(t,(void*)&w,16));R(sendto(c,"nine",4,0,(void*)&w,16));R(recv(s,b,9,MSG_DONTWAIT));R(recv(t,b,9,MSG_DONTWAIT));close(t);close(s);close(c);
 // any receiver: pktinfo, ttl, tos
 s=socket(AF_INET,SOCK_DGRAM,0);a=A("0.0.0.0",0);bind(s,(void*)&a,16);setsockopt(s,0,IP_PKTINFO,&one,4);setsockopt(s,0,IP_RECVTTL,&one,4);setsockopt(s,0,IP_RECVTOS,&one,4);setsockopt(s,SOL_SOCKET,SO_TIMESTAMP,&one,4);c=socket(AF_INET,SOCK_DGRAM,0);a=A("127.1.2.3",port(s));R(sendto(c,"p",1,0,(void*)&a,16));rx(s,0);close(s);close(c);
 // v6
 s=socket(AF_INET6,SOCK_DGRAM,0);a6=A6("::",0);bind(s,(void*)&a6,28);nm(s,0);setsockopt(s,41,IPV6_RECVPKTINFO,&one,4);c=socket(AF_INET6,SOCK_DGRAM,0);a6=A6("::1",port(s));R(sendto(c,"six",3,0,(void*)&a6,28));rx(s,0);nm(c,0);t=socket(AF_INET,SOCK_DGRAM,0);a=A("127.0.0.1",port(s));R(sendto(t,"four",4,0,(void*)&a,16));rx(s,0);a6=A6("::ffff:127.0.0.1",port(s));R(sendto(c,"map",3,0,(void*)&a6,28));rx(s,0);R(sendto(c,"v4",2,0,(void*)&a,16));rx(s,MSG_DONTWAIT);a6=A6("::",port(s));R(sendto(c,"any",3,0,(void*)&a6,28));rx(s,0);a6=A6("2001:db8::1",port(s));R(sendto(c,"x",1,0,(void*)&a6,28));R(connect(c,(void*)&a6,28));a6=A6("fe80::1",port(s));R(sendto(c,"x",1,0,(void*)&a6,28));a6=A6("::1",port(s));R(connect(c,(void*)&a6,28));nm(c,0);nm(c,1);R(sendto(c,b,65507,0,0,0));rx(s,0);R(sendto(c,b,65527,0,0,0));R(sendto(c,b,65528,0,0,0));a6=A6("::1",htons(1));R(connect(c,(void*)&a6,28));R(send(c,"x",1,0));R(send(c,"x",1,0));close(c);close(t);close(s);
 // full queue
 s=socket(AF_INET,SOCK_DGRAM,0);a=A("127.0.0.1",0);bind(s,(void*)&a,16);a.sin_port=port(s);c=socket(AF_INET,SOCK_DGRAM,0);int sz[]={1,100,180,250,500,1000,1400,5000,20000,60000};for(int i=0;i<10;i++){for(int k=0;k<600;k++)if(sendto(c,b,sz[i],0,(void*)&a,16)<0){perror("s");break;}int got=0;while(recv(s,b,sizeof b,MSG_DONTWAIT)>=0)got++;printf("full %d: %d\n",sz[i],got);}
 // options
 int fam[]={AF_INET,AF_INET,AF_INET6,AF_INET6},ty[]={SOCK_STREAM,SOCK_DGRAM,SOCK_STREAM,SOCK_DGRAM};
 for(int k=0;k<4;k++){int lev[]={0,6,17,41,1,99};for(int l=0;l<6;l++){for(int o=0;o<110;o++){if(lev[l]==17&&o==100)continue;if(lev[l]==1&&(o==18||o==37||o==65||o==70||o==57||o==55||o==71||o==49||o==77))continue;if(lev[l]==6&&(o==9||o==13||o==20||o==21||o>=28||o==11||o==24||o==26))continue;if(lev[l]==0&&(o==3||o==5||o==22||o==25||o==26||(o>=49&&o<=52)||o==83||o>=96||o==9||o==16||o==41||o==48||o==64||o==65||o==66||o==67||o==80||o==81))continue;if(lev[l]==41&&o!=26&&(o<16||o==22||o==50||(o>=52&&o<=61)||o==24||o>=68||o==27||o==28||o==32||o==34||o==35||o==36||o==37||o==48||o==42||o==43||o==44||o==45||o==46||o==47||o==62||o==63||o==64||o==65||o==31))continue;
  int q=socket(fam[k],ty[k],0);memset(b,0xcc,64);socklen_t ln=32;errno=0;int r=getsockopt(q,lev[l],o,b,&ln);printf("get %d/%d/%d = %d %s len %d:",k,lev[l],o,r,r<0?strerrorname_np(errno):"",ln);if(!r)for(unsigned i=0;i<ln;i++)printf(" %02x",(unsigned char)b[i]);puts("");
  if(lev[l]==0&&(o==4||o==35||o==36||o==39||o==40||o==37||o==38||o==32||o==17||o==42||o==43||o==44||o==45||o==46||o==47))goto nx;if(lev[l]==6&&(o==13||o==14||o==19||o==20||o==22||o==21||o==31||o>=32||o==26||o==28))goto nx;if(lev[l]==41&&(o==20||o==21))goto nx;if(lev[l]==1&&((o>=50&&o<=53)||o==25||o==26||o==73||o==80||o==84))goto nx;
  int vals[]={-1,0,1,2,64,255,256,70000};for(int v=0;v<8;v++){int vv[4]={vals[v],0,0,0};errno=0;int r=setsockopt(q,lev[l],o,vv,16);int e=errno;memset(b,0,64);ln=4;int g=getsockopt(q,lev[l],o,b,&ln);printf("set %d/%d/%d %d = %d %s -> %d %d\n",k,lev[l],o,vals[v],r,r<0?strerrorname_np(e):"",g,*(int*)b);}
  nx:close(q);}}}
 // interfaces
 s=socket(AF_INET,SOCK_DGRAM,0);struct ifreq ir;for(int i=0x8910;i<0x8990;i++){memset(&ir,0,sizeof ir);strcpy(ir.ifr_name,"lo");if(i==0x8901||i==0x8902||i==0x8906||i==0x8907||i==0x8912||i==0x89a0||i==0x8940||i==0x8941||i==0x8982||i==0x8983||i==0x8948||i==0x8949||i==0x8947)continue;if(i==0x8910)ir.ifr_ifindex=1;if(i>=0x8914&&i!=0x8915&&i!=0x8917&&i!=0x8919&&i!=0x891b&&i!=0x8921&&i!=0x8927&&i!=0x8933&&i!=0x8942&&i!=0x8970&&i!=0x891d)continue;errno=0;int r=ioctl(s,i,&ir);printf("ioctl %x = %d %s:",i,r,r<0?strerrorname_np(errno):"");if(!r)for(int k=0;k<40;k++)printf("%02x",((unsigned char*)&ir)[k]);puts("");strcpy(ir.ifr_name,"eth9");errno=0;r=ioctl(s,i,&ir);printf("  eth9 %d %s\n",r,r<0?strerrorname_np(errno):"");}
 struct ifconf ic={0};R(ioctl(s,SIOCGIFCONF,&ic));printf("%d\n",ic.ifc_len);ic.ifc_buf=b;ic.ifc_len=sizeof b;R(ioctl(s,SIOCGIFCONF,&ic));printf("%d %s %x\n",ic.ifc_len,ic.ifc_req->ifr_name,ic.ifc_req->ifr_addr.sa_family);ic.ifc_len=39;R(ioctl(s,SIOCGIFCONF,&ic));printf("%d\n",ic.ifc_len);close(s);
}
