/* The host's side of the differential test: runs a list of operations in a real process, raw, and reports.
 *
 * usage: oracle DIRECTORY. It writes the address of its heap's end, reads operations until the end of its input, and
 * writes the answers. Every operation is ten 64-bit words, `struct op`; every answer is `struct answer` and `size` bytes
 * of data. operations.py says what the operations are.
 *
 * The program is static and takes no memory of its own while it runs, so nothing of it stands near the arena. What the
 * kernel places outside the arena is moved into it at once (the operation says where), so that both sides keep the
 * same addresses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define ARENA 0x1000000000ul
#define ARENA_END 0x1004000000ul
#define SCRATCH (ARENA + 12000 * PAGE)
#define BRK_SIZE (64 * PAGE)
#define ELSEWHERE 1
#define SKIPPED (-100000)
#define MOST_MOVED (64 * PAGE)

enum { SYS, LOAD, STORE, CHECK, FORK, MINCORE, DISK, UNLINK, SYNCED };

struct op {
    uint64_t kind, nr, a[6], place, spare;
};
struct answer {
    int64_t result, extra;
    uint64_t size;
};
struct line {
    uint64_t start, end, offset, inode;
    char perms[5], dev[16];
};

static char out[192 << 20], maps[1 << 20], page[PAGE], stack[64 << 10];
static struct line lines[16384];
static uint32_t table[256];
static size_t used;
static uint64_t heap;
static int maps_fd, mem_fd;
static sigjmp_buf back;
static volatile int fault_signal, fault_code;
static volatile uint64_t fault_address;
static volatile int guarded;

static long raw(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    long result;
    register uint64_t r10 asm("r10") = d;
    register uint64_t r8 asm("r8") = e;
    register uint64_t r9 asm("r9") = f;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

static uint64_t page_up(uint64_t size)
{
    return (size + PAGE - 1) & -PAGE;
}

static void put(const void *data, size_t size)
{
    if (used + size > sizeof out)
        _exit(9);
    memcpy(out + used, data, size);
    used += size;
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    if (!guarded)
        _exit(10);
    fault_signal = signal;
    fault_code = info->si_code;
    fault_address = (uint64_t)info->si_addr;
    siglongjmp(back, 1);
}

static uint32_t crc(const unsigned char *data, size_t size)
{
    uint32_t value = ~0u;
    while (size--)
        value = table[(value ^ *data++) & 255] ^ (value >> 8);
    return ~value;
}

static size_t read_maps(void)
{
    size_t done = 0;
    ssize_t got;
    lseek(maps_fd, 0, SEEK_SET);
    while ((got = read(maps_fd, maps + done, sizeof maps - 1 - done)) > 0)
        done += got;
    maps[done] = 0;
    return done;
}

/* The lines of the arena; and where their text starts and ends. */
static size_t arena_lines(char **first, char **end)
{
    size_t count = 0;
    read_maps();
    *first = *end = maps;
    for (char *at = maps; *at; at = strchr(at, '\n') + 1) {
        struct line *line = &lines[count];
        if (sscanf(at, "%lx-%lx %4s %lx %15s %lu", &line->start, &line->end, line->perms, &line->offset, line->dev,
                   &line->inode) != 6)
            _exit(11);
        int in_heap = line->end > heap && line->start < heap + BRK_SIZE;
        if (!in_heap && (line->end <= ARENA || line->start >= ARENA_END))
            continue;
        if (in_heap && line->start < heap) /* what libc took of the heap before us */
            line->start = heap;
        if (!count++)
            *first = at;
        *end = strchr(at, '\n') + 1;
    }
    return count;
}

static int alike(struct line *a, struct line *b)
{
    return a->end == b->start && !strcmp(a->perms, b->perms) && !strcmp(a->dev, b->dev) && a->inode == b->inode &&
           (a->inode == 0 || a->offset + (a->end - a->start) == b->offset);
}

/* Whether two neighbours that look alike, and that Linux keeps apart, meet inside (start, end). */
static int seam(uint64_t start, uint64_t end)
{
    char *a, *b;
    size_t count = arena_lines(&a, &b);
    for (size_t i = 1; i < count; i++)
        if (lines[i].start > start && lines[i].start < end && alike(&lines[i - 1], &lines[i]))
            return 1;
    return 0;
}

/* Whether a write to [start, end) would reach bytes of a shared file mapping past the end of the file, in its last page:
 * what becomes of them is Linux's affair. Or whether it would reach a mapping of the file `from` that it comes from. */
static int past_the_end(uint64_t start, uint64_t end, int from)
{
    char *a, *b;
    struct stat source = {0};
    if (from >= 0)
        fstat(from, &source);
    size_t count = arena_lines(&a, &b);
    for (size_t i = 0; i < count; i++) {
        struct line *line = &lines[i];
        if (line->perms[3] != 's' || line->end <= start || line->start >= end)
            continue;
        if (source.st_ino && line->inode == source.st_ino)
            return 1;
        for (int file = 0; file < 4; file++) {
            struct stat status;
            fstat(100 + 4 * file, &status);
            uint64_t low = line->start > start ? line->start : start, high = line->end < end ? line->end : end;
            if (status.st_ino == line->inode && high - line->start + line->offset > (uint64_t)status.st_size &&
                low - line->start + line->offset < page_up(status.st_size))
                return 1;
        }
    }
    return 0;
}

static int depends_on_seams(struct op *op)
{
    uint64_t *a = op->a, old = page_up(a[1]), new = page_up(a[2]);
    if (op->nr == 25) {
        if (((a[3] & 6) == 2 && old == new) || (!(a[3] & 6) && new <= old))
            return 0;
        if (a[3] & 4) /* all of the old mapping is unlocked, which ends where Linux ends it */
            return seam(a[0] - MOST_MOVED, a[0] + old + MOST_MOVED);
        return seam(a[0], a[0] + (old < new ? old : new) + (old == new ? 0 : PAGE));
    }
    if (op->nr == 10 && a[2] & 0x01000000)
        return seam(0, a[0] + page_up(a[1]));
    return 0;
}

static long call(struct op *op, int64_t *extra)
{
    uint64_t *a = op->a;
    if (depends_on_seams(op) || (op->nr == 17 && past_the_end(a[1], a[1] + a[2], a[0])))
        return SKIPPED;
    long result = raw(op->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if ((op->nr == 9 || op->nr == 25) && (result < 0 ? result < -4095 : 1) &&
        ((uint64_t)result < ARENA || (uint64_t)result >= ARENA_END) &&
        ((uint64_t)result < heap || (uint64_t)result >= heap + BRK_SIZE)) {
        uint64_t size = page_up(op->nr == 9 ? a[1] : a[2]);
        *extra = 0;
        if (size > MOST_MOVED)
            raw(11, result, size, 0, 0, 0, 0);
        else
            *extra = raw(25, result, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, op->place, 0);
        return ELSEWHERE;
    }
    return result;
}

static long guard_access(struct op *op, int64_t *extra)
{
    if (sigsetjmp(back, 0)) {
        guarded = 0;
        *extra = fault_address;
        return -(fault_signal * 1000l + (fault_code == 4 ? 2 : fault_code));
    }
    guarded = 1;
    long result = 0;
    if (op->kind == LOAD)
        result = *(volatile unsigned char *)op->a[0];
    else if (op->a[2] == 8)
        *(volatile uint64_t *)op->a[0] = op->a[1];
    else
        *(volatile unsigned char *)op->a[0] = op->a[1];
    guarded = 0;
    return result;
}

/* The arena's lines of maps, then for each of its pages the checksum of its bytes, or ~0 if nobody can have them. */
static void check(void)
{
    char *first, *end;
    size_t count = arena_lines(&first, &end);
    uint64_t size = end - first;
    put(&size, 8);
    put(first, size);
    for (size_t i = 0; i < count; i++)
        for (uint64_t at = lines[i].start; at < lines[i].end; at += PAGE) {
            uint64_t sum = ~0ul;
            if (pread(mem_fd, page, PAGE, at) == (ssize_t)PAGE)
                sum = crc((unsigned char *)page, PAGE);
            put(&sum, 8);
        }
}

static void open_self(void)
{
    maps_fd = open("/proc/self/maps", O_RDONLY);
    mem_fd = open("/proc/self/mem", O_RDONLY);
    if (maps_fd < 0 || mem_fd < 0)
        _exit(12);
    dup2(maps_fd, 80), close(maps_fd), maps_fd = 80;
    dup2(mem_fd, 81), close(mem_fd), mem_fd = 81;
}

/* What a forked child sees. It sends it through a file that it shares with us. */
static void check_child(int channel)
{
    size_t before = used;
    int status;
    pid_t child = fork();
    if (child == 0) {
        close(80), close(81);
        open_self();
        check();
        if (pwrite(channel, out + before, used - before, 0) != (ssize_t)(used - before) ||
            ftruncate(channel, used - before))
            _exit(13);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status)
        _exit(14);
    ssize_t got = pread(channel, out + used, sizeof out - used, 0);
    if (got < 0)
        _exit(15);
    used += got;
}

static void run(struct op *op, int channel)
{
    struct answer answer = {0, 0, 0};
    size_t head = used, size;
    put(&answer, sizeof answer);
    switch (op->kind) {
    case SYS:
        answer.result = call(op, &answer.extra);
        break;
    case LOAD:
    case STORE:
        if (op->kind == STORE && past_the_end(op->a[0], op->a[0] + op->a[2], -1)) {
            answer.result = SKIPPED;
            break;
        }
        answer.result = guard_access(op, &answer.extra);
        break;
    case CHECK:
        check();
        break;
    case FORK:
        check_child(channel);
        break;
    case MINCORE: /* into scratch memory, which is filled before and cleared after: what was written is the answer */
        size = op->a[2];
        memset((void *)SCRATCH, 0xEE, size);
        answer.result = raw(27, op->a[0], op->a[1], SCRATCH, 0, 0, 0);
        put((void *)SCRATCH, size);
        memset((void *)SCRATCH, 0, size);
        break;
    case SYNCED: /* the same, after all that mappings wrote was written back */
        raw(26, ARENA, ARENA_END - ARENA, MS_SYNC, 0, 0, 0);
        raw(26, heap, BRK_SIZE, MS_SYNC, 0, 0, 0);
        /* fall through */
    case DISK: /* the whole of a file, as read gives it */
        for (ssize_t got; (got = pread(100 + 4 * op->a[0], page, PAGE, used - head - sizeof answer)) > 0;)
            put(page, got);
        break;
    case UNLINK:
        answer.result = unlink(op->a[0] == 0 ? "f0" : op->a[0] == 1 ? "f1" : op->a[0] == 2 ? "f2" : "f3") ? -errno : 0;
        break;
    }
    answer.size = used - head - sizeof answer;
    memcpy(out + head, &answer, sizeof answer);
}

int main(int argc, char **argv)
{
    static struct op ops[1 << 16];
    size_t count = 0, got;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0xEDB88320u : value >> 1;
        table[i] = value;
    }
    heap = page_up((uint64_t)sbrk(0));
    if (argc != 2 || chdir(argv[1]) || brk((void *)heap) || write(1, &heap, 8) != 8)
        return 2;
    while ((got = read(0, (char *)ops + count, sizeof ops - count)) > 0 && got != (size_t)-1)
        count += got;
    count /= sizeof *ops;
    open_self();
    int channel = open("channel", O_RDWR | O_CREAT, 0600);
    dup2(channel, 82), close(channel), channel = 82;
    for (int i = 0; i < 4; i++) {
        char name[] = {'f', '0' + i, 0};
        static const int how[] = {O_RDWR, O_RDONLY, O_WRONLY};
        for (int k = 0; k < 3; k++) {
            int fd = open(name, how[k]);
            if (fd < 0 || dup2(fd, 100 + 4 * i + k) < 0)
                return 3;
            close(fd);
        }
    }
    int ends[2], fd;
    if (pipe(ends) || dup2(ends[0], 90) < 0 || dup2(ends[1], 91) < 0 || (fd = open(".", O_RDONLY)) < 0 ||
        dup2(fd, 92) < 0)
        return 4;
    close(ends[0]), close(ends[1]), close(fd);
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaltstack(&other, 0);
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    fflush(stdout);
    setvbuf(stdout, 0, _IONBF, 0);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    for (size_t i = 0; i < count; i++)
        run(&ops[i], channel);
    for (size_t done = 0; done < used;) {
        ssize_t n = write(1, out + done, used - done);
        if (n < 0)
            return 6;
        done += n;
    }
    _exit(0);
}
