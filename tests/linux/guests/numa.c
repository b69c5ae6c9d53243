#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>
#include <stdio.h>
#include <errno.h>
#define R(...) do{ errno=0; long r=syscall(__VA_ARGS__); printf("%s = %ld errno %d mode %d mask %lx\n", #__VA_ARGS__, r, errno, mode, mask[0]); }while(0)
int main(void){ int mode=-1; unsigned long mask[17]={~0UL}; static char buf[8192]; buf[0]=1;
R(239,&mode,mask,1024,0,0); R(239,&mode,mask,0,0,0); R(239,&mode,0,0,0,0); R(239,0,mask,1024,0,4); R(239,&mode,mask,1024,0,6); R(239,&mode,0,0,buf,2); R(239,&mode,0,0,buf,3); R(239,&mode,0,0,0,1); R(239,&mode,0,0,buf,0); R(239,&mode,0,0,1,2); R(239,&mode,0,0,0,8); R(239,1,0,0,0,0); R(239,0,1,64,0,0); R(239,0,0,0,0,0);
for(int m=-1;m<9;m++){ mask[0]=1; R(238,m,mask,64); mask[0]=0; R(238,m,mask,64); R(238,m,0,0);R(238,m,mask,1);R(238,m,mask,0); mask[0]=2;R(238,m,mask,64);}
mask[0]=1;R(238,2,1,64); R(238,2,mask,~0UL); R(238,0x8002,mask,64);R(238,0xc002,mask,64);R(238,0x2002,mask,64);R(238,0x4001,0,0); R(238,0,0,0); R(239,&mode,mask,1024,0,0);
return 0;}
