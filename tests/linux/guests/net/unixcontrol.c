/* Control messages, credentials, options and many messages at once over AF_UNIX, to be compared between two kernels. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/uio.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <stddef.h>
#include <time.h>
#define R(x) do{errno=0;long r_=(x);printf("%d %s = %ld %s\n",__LINE__,#x,r_,r_<0?strerrorname_np(errno):"");}while(0)
static char b[65536],cb[65536];
static struct msghdr*M(struct msghdr*m,struct iovec*v,void*d,size_t n,void*c,size_t cn){memset(m,0,sizeof*m);v->iov_base=d;v->iov_len=n;m->msg_iov=v;m->msg_iovlen=1;m->msg_control=c;m->msg_controllen=cn;return m;}
static struct msghdr m;static struct iovec v;
static long sendfds(int s,const char*d,size_t n,int*fds,int k,int fl){char c[2048];memset(c,0,sizeof c);struct cmsghdr*h=(void*)c;h->cmsg_len=CMSG_LEN(4*k);h->cmsg_level=SOL_SOCKET;h->cmsg_type=SCM_RIGHTS;memcpy(CMSG_DATA(h),fds,4*k);return sendmsg(s,M(&m,&v,(void*)d,n,c,CMSG_SPACE(4*k)),fl);}
static void rx(int s,size_t n,size_t cn,int fl){memset(cb,0xee,sizeof cb);errno=0;long r=recvmsg(s,M(&m,&v,b,n,cn?cb:0,cn),fl);printf("rx %ld e%d flags %x clen %zu:",r,r<0?errno:0,m.msg_flags,m.msg_controllen);
 if(r>=0&&cn)for(struct cmsghdr*h=CMSG_FIRSTHDR(&m);h;h=CMSG_NXTHDR(&m,h)){printf(" [%d %d len %zu",h->cmsg_level,h->cmsg_type,h->cmsg_len);if(h->cmsg_type==SCM_RIGHTS){int k=(h->cmsg_len-16)/4;for(int i=0;i<k;i++){int fd=((int*)CMSG_DATA(h))[i];printf(" fd%d cx%d",fd,fcntl(fd,F_GETFD));close(fd);}}else if(h->cmsg_type==2){struct ucred*u=(void*)CMSG_DATA(h);printf(" %d %d %d",u->pid==getpid()?1:u->pid,u->uid,u->gid);}printf("]");}
 unsigned sum=0;for(size_t i=m.msg_controllen;i<cn+16&&i<sizeof cb;i++)sum+=(unsigned char)cb[i]!=0xee;printf(" after %u\n",sum);}
static int cnt(void){int n=0;for(int i=0;i<1000;i++)n+=fcntl(i,F_GETFD)>=0;return n;}
int main(){for(int i=3;i<1000;i++)close(i);
 signal(SIGPIPE,SIG_IGN);setvbuf(stdout,0,_IONBF,0);int s[2],p[2],one=1;socketpair(AF_UNIX,SOCK_STREAM,0,s);pipe(p);
 R(sendfds(s[0],"a",1,p,2,0));rx(s[1],10,1000,0);
 R(sendfds(s[0],"a",1,p,2,0));rx(s[1],10,1000,MSG_CMSG_CLOEXEC);
 for(int c=0;c<40;c+=4){R(sendfds(s[0],"a",1,p,2,0));rx(s[1],10,c,0);}
 R(sendfds(s[0],"a",1,p,2,0));R(recv(s[1],b,9,0));
 R(sendfds(s[0],"ab",2,p,1,0));R(send(s[0],"cd",2,0));rx(s[1],1,100,0);rx(s[1],9,100,0);
 R(send(s[0],"xy",2,0));R(sendfds(s[0],"ab",2,p,1,0));R(send(s[0],"cd",2,0));rx(s[1],100,100,0);rx(s[1],100,100,0);
 R(sendfds(s[0],"ab",2,p,1,0));rx(s[1],100,100,MSG_PEEK);rx(s[1],100,100,0);
 R(sendfds(s[0],"",0,p,1,0));rx(s[1],1,100,MSG_DONTWAIT);
 int bad[]={0,-1},bad2[]={0,777};R(sendfds(s[0],"a",1,bad,2,0));R(sendfds(s[0],"a",1,bad2,2,0));R(sendfds(s[0],"a",1,p,0,0));rx(s[1],1,100,0);
 int many[300];for(int i=0;i<300;i++)many[i]=0;R(sendfds(s[0],"a",1,many,253,0));rx(s[1],10,2000,0);R(sendfds(s[0],"a",1,many,254,0));printf("open %d\n",cnt());
 // cmsg garbage
 struct cmsghdr*h=(void*)cb;size_t lens[]={0,1,15,16,17,19,20,24,28,32,100,(size_t)-1,(size_t)1<<40};
 for(unsigned i=0;i<sizeof lens/8;i++)for(int t=0;t<5;t++)for(int cl=0;cl<80;cl+=cl<16?15:24){memset(cb,0,100);h->cmsg_len=lens[i];h->cmsg_level=t==4?7:SOL_SOCKET;h->cmsg_type=t;errno=0;long r=sendmsg(s[0],M(&m,&v,"g",1,cb,cl),0);printf("garb %zx t%d cl%d = %ld %s\n",lens[i],t,cl,r,r<0?strerrorname_np(errno):"");if(r>0)rx(s[1],5,500,0);}
 m.msg_control=(void*)1;m.msg_controllen=32;v.iov_base="x";v.iov_len=1;R(sendmsg(s[0],&m,0));m.msg_controllen=-1;R(sendmsg(s[0],&m,0));m.msg_controllen=1<<20;m.msg_control=cb;R(sendmsg(s[0],&m,0));
 M(&m,&v,"x",1,0,0);m.msg_iovlen=1025;R(sendmsg(s[0],&m,0));m.msg_iovlen=1;m.msg_name=b;m.msg_namelen=-1;R(sendmsg(s[0],&m,0));m.msg_namelen=2;R(sendmsg(s[0],&m,0));m.msg_name=0;m.msg_namelen=-5;R(sendmsg(s[0],&m,0));R(recv(s[1],b,1,0));R(sendmsg(s[0],0,0));R(recvmsg(s[0],0,MSG_DONTWAIT));
 // credentials
 R(send(s[0],"pre",3,0));R(setsockopt(s[1],SOL_SOCKET,SO_PASSCRED,&one,4));rx(s[1],9,100,0);R(send(s[0],"post",4,0));rx(s[1],9,100,0);rx(s[1],9,0,MSG_DONTWAIT);
 R(send(s[0],"aa",2,0));R(send(s[0],"bb",2,0));rx(s[1],3,100,0);rx(s[1],9,100,0);R(send(s[0],"q",1,0));rx(s[1],9,20,0);R(sendfds(s[0],"ab",2,p,1,0));rx(s[1],100,100,0);R(sendfds(s[0],"ab",2,p,1,0));rx(s[1],100,40,0);
 struct ucred u={getpid(),getuid(),getgid()};for(int k=0;k<4;k++){if(k==1)u.uid=4242;if(k==2)u.pid=0;if(k==3)u.pid=1<<30;memset(cb,0,100);h->cmsg_len=CMSG_LEN(12);h->cmsg_level=SOL_SOCKET;h->cmsg_type=SCM_CREDENTIALS;memcpy(CMSG_DATA(h),&u,12);R(sendmsg(s[0],M(&m,&v,"c",1,cb,CMSG_SPACE(12)),0));rx(s[1],9,100,MSG_DONTWAIT);}
 close(s[0]);close(s[1]);printf("open %d\n",cnt());
 // in flight keeps open, dropped with the queue
 socketpair(AF_UNIX,SOCK_STREAM,0,s);pipe(p);sendfds(s[0],"a",1,&p[1],1,0);close(p[1]);struct pollfd pf={p[0],POLLIN,0};poll(&pf,1,0);printf("pipe %x\n",pf.revents);close(s[1]);poll(&pf,1,0);printf("pipe %x\n",pf.revents);close(s[0]);close(p[0]);
 // cycles
 socketpair(AF_UNIX,SOCK_STREAM,0,s);pipe(p);sendfds(s[0],"a",1,&p[1],1,0);sendfds(s[0],"b",1,&s[1],1,0);sendfds(s[1],"c",1,&s[0],1,0);close(p[1]);pf.fd=p[0];poll(&pf,1,0);printf("cyc %x\n",pf.revents);close(s[0]);poll(&pf,1,0);printf("cyc %x\n",pf.revents);close(s[1]);int w=0;{int g[2];socketpair(AF_UNIX,SOCK_STREAM,0,g);close(g[0]);close(g[1]);}do{poll(&pf,1,20);}while(!pf.revents&&w++<100);printf("cyc %x\n",pf.revents);close(p[0]);
 // chains
 int last=-1;pipe(p);{int prev=p[1];for(int i=0;i<3000;i++){int q[2];socketpair(AF_UNIX,SOCK_DGRAM,0,q);if(sendfds(q[0],"n",1,&prev,1,0)<0){printf("chain %d %s\n",i,strerrorname_np(errno));close(q[0]);close(q[1]);break;}close(prev);close(q[0]);prev=q[1];}last=prev;}pf.fd=p[0];poll(&pf,1,0);printf("chain %x\n",pf.revents);close(last);w=0;{int g[2];socketpair(AF_UNIX,SOCK_STREAM,0,g);close(g[0]);close(g[1]);}do{poll(&pf,1,20);}while(!pf.revents&&w++<100);printf("chain end %x\n",pf.revents);close(p[0]);printf("open %d\n",cnt());
 // EMFILE on receive
 struct rlimit rl={12,64};socketpair(AF_UNIX,SOCK_STREAM,0,s);many[0]=many[1]=many[2]=many[3]=many[4]=many[5]=many[6]=0;R(sendfds(s[0],"e",1,many,9,0));getrlimit(RLIMIT_NOFILE,&rl);struct rlimit lo={8,rl.rlim_max};setrlimit(RLIMIT_NOFILE,&lo);rx(s[1],9,100,0);setrlimit(RLIMIT_NOFILE,&rl);
 // waitall, timeouts, lowat
 struct timeval tv={0,50000};R(setsockopt(s[1],SOL_SOCKET,SO_RCVTIMEO,&tv,sizeof tv));struct timespec t0,t1;clock_gettime(CLOCK_MONOTONIC,&t0);R(recv(s[1],b,1,0));clock_gettime(CLOCK_MONOTONIC,&t1);long ms=(t1.tv_sec-t0.tv_sec)*1000+(t1.tv_nsec-t0.tv_nsec)/1000000;printf("%s\n",ms>=45&&ms<2000?"timed":"not");
 R(read(s[1],b,1));R(send(s[0],"abc",3,0));R(recv(s[1],b,10,MSG_WAITALL));R(setsockopt(s[0],SOL_SOCKET,SO_SNDTIMEO,&tv,sizeof tv));{long t=0,r;int k=0;while((r=write(s[0],b,60000))>0){t+=r;k++;}printf("snd %d %ld %s\n",k,t,strerrorname_np(errno));}tv.tv_usec=2000000;R(setsockopt(s[1],SOL_SOCKET,SO_RCVTIMEO,&tv,sizeof tv));tv.tv_usec=1;tv.tv_sec=-1;R(setsockopt(s[1],SOL_SOCKET,SO_RCVTIMEO,&tv,sizeof tv));R(setsockopt(s[1],SOL_SOCKET,SO_RCVTIMEO,&tv,8));tv.tv_sec=3;tv.tv_usec=123456;R(setsockopt(s[1],SOL_SOCKET,SO_RCVTIMEO,&tv,16));socklen_t l=16;R(getsockopt(s[1],SOL_SOCKET,SO_RCVTIMEO,&tv,&l));printf("%ld %ld %d\n",(long)tv.tv_sec,(long)tv.tv_usec,l);
 close(s[0]);close(s[1]);socketpair(AF_UNIX,SOCK_STREAM,0,s);
 // signal with timeout
 // iovecs
 struct iovec vs[3]={{"abc",3},{0,0},{"defg",4}};memset(&m,0,sizeof m);m.msg_iov=vs;m.msg_iovlen=3;R(sendmsg(s[0],&m,0));char x[2],y[3],z[9];struct iovec vr[3]={{x,2},{y,3},{z,9}};m.msg_iov=vr;R(recvmsg(s[1],&m,0));printf("%.2s %.3s %.2s\n",x,y,z);
 // mmsg
 struct mmsghdr mm[4];memset(mm,0,sizeof mm);int d[2];socketpair(AF_UNIX,SOCK_DGRAM,0,d);for(int i=0;i<4;i++){mm[i].msg_hdr.msg_iov=&vs[i%3];mm[i].msg_hdr.msg_iovlen=1;}R(sendmmsg(d[0],mm,4,0));for(int i=0;i<4;i++)printf(" %u",mm[i].msg_len);puts("");struct iovec r4[4];for(int i=0;i<4;i++){r4[i].iov_base=b+100*i;r4[i].iov_len=2;mm[i].msg_hdr.msg_iov=&r4[i];mm[i].msg_len=77;}R(recvmmsg(d[1],mm,3,0,0));for(int i=0;i<4;i++)printf(" %u/%x",mm[i].msg_len,mm[i].msg_hdr.msg_flags);puts("");R(recvmmsg(d[1],mm,3,MSG_WAITFORONE,0));R(recvmmsg(d[1],mm,3,MSG_DONTWAIT,0));struct timespec ts={0,1000000};R(send(d[0],"1",1,0));R(recvmmsg(d[1],mm,1,0,&ts));R(recvmmsg(d[1],mm,0,0,0));ts.tv_nsec=-1;R(recvmmsg(d[1],mm,1,MSG_DONTWAIT,&ts));mm[1].msg_hdr.msg_iov=(void*)1;for(int i=0;i<4;i++)mm[i].msg_hdr.msg_iov=i==1?(void*)1:&vs[0];R(sendmmsg(d[0],mm,3,0));R(sendmmsg(d[0],mm+1,1,0));R(recv(d[1],b,10,0));R(recv(d[1],b,10,MSG_DONTWAIT));
 // options
 int ty[]={SOCK_STREAM,SOCK_DGRAM};for(int k=0;k<2;k++){int q=socket(AF_UNIX,ty[k],0);for(int o=0;o<90;o++){if(o==57||o==55||o==71||o==77)continue;memset(b,0xcc,64);socklen_t ln=32;errno=0;int r=getsockopt(q,SOL_SOCKET,o,b,&ln);printf("get %d = %d %s len %d:",o,r,r<0?strerrorname_np(errno):"",ln);if(!r)for(unsigned i=0;i<ln;i++)printf(" %02x",(unsigned char)b[i]);puts("");}
 for(int o=0;o<90;o++){if(o==55||o==73||o==80||o==84||(o>=50&&o<=53))continue;for(int val=-1;val<3;val++){int vv[4]={val,0,0,0};errno=0;int r=setsockopt(q,SOL_SOCKET,o,vv,o==26||o==50||o==51||o==52||o==25?4:16);int e=errno;memset(b,0,64);socklen_t ln=4;int g=o==57||o==77||o==71?0:getsockopt(q,SOL_SOCKET,o,b,&ln);printf("set %d %d = %d %s -> %d %d\n",o,val,r,r<0?strerrorname_np(e):"",g,*(int*)b);}}
 for(int ln=-1;ln<6;ln++){socklen_t l2=ln;int vv=7;errno=0;int r=getsockopt(q,SOL_SOCKET,SO_TYPE,&vv,&l2);printf("len %d: %d %s %d %x\n",ln,r,r<0?strerrorname_np(errno):"",l2,vv);R(setsockopt(q,SOL_SOCKET,SO_KEEPALIVE,&vv,ln));}
 R(getsockopt(q,1,3,b,0));R(getsockopt(q,1,3,0,&l));R(getsockopt(q,0,3,b,&l));R(setsockopt(q,6,1,b,4));R(setsockopt(q,1,2,0,4));R(setsockopt(q,0,2,b,-1));close(q);}
}
