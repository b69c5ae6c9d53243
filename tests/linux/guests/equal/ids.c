/* Identities and processes as far as they need no privilege: odd arguments, what is not there, sessions and waits. */
#include "show.h"
#include <sys/wait.h>

int main(void) {
    gid_t g[70000]; int st; siginfo_t si; uid_t a, b, c;
    R(getuid() == geteuid()); R(getresuid(&a, &b, &c)); R(a == b && b == c); R(getresuid(BAD, &b, &c)); R(getresuid(&a, BAD, &c)); R(getresgid(&a, &b, BAD)); R(setuid(getuid())); R(setgid(getgid())); R(setreuid(-1, -1)); R(setresuid(-1, -1, -1)); R(setresuid(getuid(), -1, getuid())); R(setuid(-1)); R(setgid(-1)); R(syscall(SYS_setfsuid, -1) == geteuid()); R(syscall(SYS_setfsuid, geteuid()) == geteuid()); R(syscall(SYS_setfsgid, -1) == getegid()); R(getgroups(-1, g)); R(getgroups(0, 0) == getgroups(0, g)); R(getgroups(65536, g) == getgroups(0, 0)); 
    R(getpgid(0) == getpgrp()); R(getpgid(getpid()) == getpgrp()); R(getpgid(-1)); R(getpgid(1 << 21)); R(getsid(0) == getsid(getpid())); R(getsid(-1)); R(getsid(1 << 21)); R(setpgid(0, -1)); R(setpgid(-1, 0)); R(setpgid(1 << 21, 0)); R(setpgid(1 << 21, -1));
    R(wait4(-1, &st, 0, 0)); R(wait4(-1, &st, WNOHANG, 0)); R(wait4(-1, &st, 0x100, 0)); R(wait4(1 << 21, &st, 0, 0)); R(wait4(0, &st, 0, 0)); R(wait4(-1 - (1 << 21), &st, 0, 0)); R(wait4(INT_MIN, &st, 0, 0)); R(wait4(getpid(), &st, __WALL, 0)); R(wait4(-1, BAD, WNOHANG, BAD)); R(waitid(P_ALL, 0, &si, WEXITED)); R(waitid(P_ALL, 0, &si, 0)); R(waitid(P_PID, 0, &si, WEXITED)); R(waitid(P_PID, getpid(), &si, WEXITED)); R(waitid(P_PGID, 0, &si, WEXITED)); R(waitid(9, 0, &si, WEXITED)); R(waitid(P_PIDFD, 99, &si, WEXITED)); R(waitid(P_PIDFD, -1, &si, WEXITED)); R(waitid(P_ALL, 0, &si, WEXITED | 0x100)); R(waitid(P_PIDFD, 0, &si, WEXITED)); R(waitid(P_ALL, 0, &si, WNOHANG)); R(waitid(P_ALL, 0, &si, WSTOPPED | WNOWAIT));
    struct { uint32_t v; int pid; } h = {0x20080522, 0}; uint32_t data[6]; S(capget, &h, 0); h.v = 1; S(capget, &h, data); R(h.v == 0x20080522); h.v = 1; S(capget, &h, 0); h.v = 0x20080522; h.pid = -1; S(capget, &h, data); h.pid = 1 << 21; S(capget, &h, data); h.pid = getpid(); S(capget, &h, data); S(capget, BAD, data); S(capget, &h, BAD); S(capset, BAD, data); h.v = 7; S(capset, &h, data); h.v = 0x20080522; S(capset, &h, BAD); h.pid = 1 << 21; S(capset, &h, data);
     SZ(set_tid_address, 0); S(get_robust_list, 0, BAD, BAD); S(get_robust_list, 1 << 21, &st, &st); S(set_robust_list, 0, 23); S(set_robust_list, 0, 24); unsigned long head, len; S(get_robust_list, 0, &head, &len); printf("%lu %lu\n", head, len); S(set_robust_list, BAD, 24); S(get_robust_list, getpid(), &head, &len); printf("%lu %lu\n", head, len); S(set_robust_list, 0, 24);
    
     S(uselib, "x"); S(nfsservctl, 0, 0, 0) ; S(getpmsg, 0) ; S(afs_syscall); S(tuxcall); S(security); S(vserver); S(create_module); S(query_module); S(get_kernel_syms); S(epoll_ctl_old); S(epoll_wait_old); S(set_thread_area, 0) ; S(get_thread_area, 0); S(lookup_dcookie, 0, 0, 0); S(_sysctl, 0); S(remap_file_pages, 0, 0, 0, 0, 0);
    return 0;
}
