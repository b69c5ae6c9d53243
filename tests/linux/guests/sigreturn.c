/* What a handler finds of x87, SSE and flags, and what comes back when it changed the frame. A line each; no address is shown. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ucontext.h>

static int what;
static unsigned in_handler_mxcsr;
static unsigned short in_handler_cw, in_handler_sw;
static uint64_t in_handler_flags;

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	struct _libc_fpstate *fp = uc->uc_mcontext.fpregs;
	__asm__ volatile("stmxcsr %0; fnstcw %1; fnstsw %2" : "=m"(in_handler_mxcsr), "=m"(in_handler_cw), "=m"(in_handler_sw));
	__asm__ volatile("pushf; pop %0" : "=r"(in_handler_flags));
	switch (what) {
	case 1: uc->uc_mcontext.fpregs = 0; break;
	case 2: fp->mxcsr = 0x7f80; break;
	case 3: fp->mxcsr = 0x11f80; break;
	case 4: fp->cwd = 0x27f; break;
	case 5: memset(&fp->_xmm[0], 0, 16); break;
	case 6: uc->uc_mcontext.gregs[REG_EFL] |= 0x200000 | 0x4000 | 0x40000 | 0x400; break;
	case 7: uc->uc_mcontext.gregs[REG_EFL] = 0; break;
	case 8: fp->ftw = 0; break;
	case 9: uc->uc_mcontext.fpregs = (void *)8; break;
	}
	__asm__ volatile("fldpi; fldpi; fldpi; fldpi; pxor %%xmm0, %%xmm0; pxor %%xmm9, %%xmm9" ::: "memory");
}

static void died(int signal)
{
	char line[] = "died of 00\n";
	line[8] += signal / 10, line[9] += signal % 10;
	write(1, line, sizeof line - 1);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	unsigned mxcsr = 0x3f80, seen;
	unsigned short cw = 0xf7f, cw_seen;
	uint64_t before, after, x0[2] = {0x1111, 0x2222}, x9 = 0x3333;
	struct { unsigned short cw, a, sw, b, tag, c; char rest[100]; } env;
	what = atoi(argv[1]);
	sigaction(SIGUSR1, &sa, 0);
	signal(SIGSEGV, died);
	long pid = getpid(), result;
	__asm__ volatile(
		"ldmxcsr %[mx]; fninit; fldcw %[cw]; fld1; fldl2e; fldpi; fstp %%st(1)\n"
		"movdqu %[x0], %%xmm0; movq %[x9], %%xmm9\n"
		"cmp %%eax, %%eax; std; stc; pushf; pop %[before]\n"
		"syscall\n"
		"pushf; pop %[after]; cld\n"
		"stmxcsr %[seen]; fnstcw %[cws]; movdqu %%xmm0, %[x0]; movq %%xmm9, %[x9]\n"
		"fnstenv %[env]; fninit\n"
		: "=a"(result), [before] "=&r"(before), [after] "=&r"(after), [seen] "=m"(seen), [cws] "=m"(cw_seen),
		  [x0] "+m"(x0), [x9] "+m"(x9), [env] "=m"(env)
		: "a"(62L), "D"(pid), "S"((long)SIGUSR1), [mx] "m"(mxcsr), [cw] "m"(cw)
		: "rcx", "r11", "memory", "xmm0", "xmm9");
	mxcsr = 0x1f80;
	__asm__ volatile("ldmxcsr %0; push %1; popf" ::"m"(mxcsr), "r"(0x202L));
	printf("result %ld flags %lx %lx\n", result, before & 0x244cd5, after & 0x244cd5);
	printf("handler mxcsr %x cw %x sw %x flags %lx\n", in_handler_mxcsr, in_handler_cw, in_handler_sw, in_handler_flags & 0x244400);
	printf("after mxcsr %x cw %x sw %x tag %x\n", seen, cw_seen, env.sw & 0x3800, env.tag);
	printf("xmm %lx %lx %lx\n", x0[0], x0[1], x9);
	return 0;
}
