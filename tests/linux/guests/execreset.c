/* What an exec resets: built without a C library, which would set it all anew. Prints one line before and one after. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static long call(long n, long a, long b, long c, long d, long e, long f)
{
    long r;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

static void tell(int after)
{
    unsigned long head = 99, size = 99;
    unsigned char there = 9;
    unsigned long word = 99;
    char line[] = "after 0: robust list 0, size 00, a new page is there 0, heap 0000000000, word to clear 0\n";
    long page = call(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned long heap = call(SYS_brk, 0, 0, 0, 0, 0, 0);
    call(SYS_get_robust_list, 0, (long)&head, (long)&size, 0, 0, 0);
    call(SYS_mincore, page, 4096, (long)&there, 0, 0, 0);
    call(SYS_prctl, PR_GET_TID_ADDRESS, (long)&word, 0, 0, 0, 0);
    line[6] += after;
    line[21] += head != 0;
    line[29] += size / 10;
    line[30] += size % 10;
    line[53] += there & 1;
    for (int i = 0; i < 10; i++)
        line[70 - i] = "0123456789abcdef"[heap >> 4 * i & 15];
    line[87] += word != 0;
    call(SYS_write, 1, (long)line, sizeof line - 1, 0, 0, 0);
}

void start(long *stack)
{
    char *again[] = {"reset", "again", 0};
    if (stack[0] == 1) {
        call(SYS_mlockall, MCL_FUTURE, 0, 0, 0, 0, 0);
        call(SYS_set_robust_list, 0x1000, 24, 0, 0, 0, 0);
        call(SYS_set_tid_address, 0x2000, 0, 0, 0, 0, 0);
        call(SYS_brk, call(SYS_brk, 0, 0, 0, 0, 0, 0) + 0x3210, 0, 0, 0, 0, 0);
        tell(0);
        call(SYS_execve, (long)"/proc/self/exe", (long)again, 0, 0, 0, 0);
        call(SYS_exit, 1, 0, 0, 0, 0, 0);
    }
    tell(1);
    call(SYS_exit, 0, 0, 0, 0, 0, 0);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call start");
