/* What the benchmark guests share: an entry point and the two system calls they make. No C library. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

static inline long call3(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

/* Prints `count` words in hexadecimal and a newline, then ends with status 0. */
static inline void __attribute__((noreturn)) finish(const u32 *words, int count)
{
    char line[8 * 16 + 1];
    int at = 0;
    for (int word = 0; word < count; word++)
        for (int shift = 28; shift >= 0; shift -= 4)
            line[at++] = "0123456789abcdef"[words[word] >> shift & 15];
    line[at++] = '\n';
    call3(1, 1, (long)line, at);
    for (;;)
        call3(60, 0, 0, 0);
}

void __attribute__((noreturn, used)) run(void);

/* The stack pointer is 16-byte aligned at entry and a call wants it so. */
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tcall run\n");
