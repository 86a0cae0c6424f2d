// Times of single operations of whatever malloc is preloaded. Prints a line for each row: its name, a tab, nanoseconds for each operation (the best
// of several repeats). An operation is an allocation with its free; of realloc, one doubling. Compile with -fno-plt (through the table of linkage an empty
// malloc takes as long as a quick one), and with -fno-builtin, without which
// compilers may leave out an allocation that is freed unused.
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REPEATS = 9, BATCH = 10000, RING = 1024, PAGE = 4096 };
static const double ENOUGH = 8e6; // nanoseconds that one repeat takes at least

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

// Whatever the compiler knows about the block ends here.
static void *seen(void *block) {
    __asm__ volatile("" : "+r"(block) : : "memory");
    if (block == NULL) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return block;
}

// The next random number (xorshift, Marsaglia 2003).
static inline void shift(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
}

// A row: `work` does `count` operations on `size`.
struct row {
    const char *name;
    void (*work)(long count, size_t size);
    size_t size;
    long unit; // operations that belong together
};

static void pairs(long count, size_t size) {
    for (long i = 0; i < count; i++) {
        char *block = seen(malloc(size));
        *block = 1;
        free(block);
    }
}

static void cleared_pairs(long count, size_t size) {
    for (long i = 0; i < count; i++) free(seen(calloc(1, size)));
}

static void cleared_pairs_touched(long count, size_t size) {
    for (long i = 0; i < count; i++) {
        char *block = seen(calloc(1, size));
        for (size_t at = 0; at < size; at += PAGE) block[at] = 1;
        free(block);
    }
}

static void aligned_pairs(long count, size_t size) {
    for (long i = 0; i < count; i++) {
        char *block = seen(memalign(size, size));
        *block = 1;
        free(block);
    }
}

// Two and four buffers that come and go together, as those of an expression of arrays do.
static void together(long count, size_t size, int buffers) {
    char *taken[4];
    for (; count > 0; count -= buffers) {
        for (int i = 0; i < buffers; i++) {
            taken[i] = seen(malloc(size));
            *taken[i] = 1;
        }
        for (int i = 0; i < buffers; i++) free(taken[i]);
    }
}

static void two_together(long count, size_t size) { together(count, size, 2); }
static void four_together(long count, size_t size) { together(count, size, 4); }

// Of 200 blocks, one after the other takes the place of any; each has between one and four times `size`.
static void churned(long count, size_t size) {
    enum { LIVE = 200 };
    static char *live[LIVE];
    static uint64_t state = 88172645463325252u;
    for (; count > 0; count--) {
        shift(&state);
        char **place = &live[state % LIVE];
        free(*place);
        *place = seen(malloc(size + (size_t)(state >> 8) % (3 * size)));
        **place = 1;
    }
}

static void *blocks[BATCH];
static int order[BATCH];

static void fill(size_t size) {
    for (int i = 0; i < BATCH; i++) {
        blocks[i] = seen(malloc(size));
        *(char *)blocks[i] = 1;
    }
}

static void last_first(long count, size_t size) {
    for (; count > 0; count -= BATCH) {
        fill(size);
        for (int i = BATCH; i-- > 0;) free(blocks[i]);
    }
}

static void first_first(long count, size_t size) {
    for (; count > 0; count -= BATCH) {
        fill(size);
        for (int i = 0; i < BATCH; i++) free(blocks[i]);
    }
}

static void shuffled(long count, size_t size) {
    for (; count > 0; count -= BATCH) {
        fill(size);
        for (int i = 0; i < BATCH; i++) free(blocks[order[i]]);
    }
}

static void shuffle(void) {
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < BATCH; i++) order[i] = i;
    for (int i = BATCH - 1; i > 0; i--) {
        shift(&state);
        int other = (int)(state % (uint64_t)(i + 1)), kept = order[i];
        order[i] = order[other], order[other] = kept;
    }
}

// One thread allocates, another frees. Places are taken and given back 64 at a time, so that the allocator is seen and not the cache line
// between the two threads.
static void *ring[RING];
static _Alignas(64) _Atomic long made;
static _Alignas(64) _Atomic long used;

// Waits a little; where the other thread seems not to be running, gives it this one's processor.
static void wait_for_other(int *turns) {
    if (++*turns % 4096 == 0) sched_yield();
}

static void *consume(void *argument) {
    long count = *(long *)argument, position = 0;
    int turns = 0;
    while (position < count) {
        long end = atomic_load_explicit(&made, memory_order_acquire);
        if (end == position) wait_for_other(&turns);
        for (; position < end; position++) {
            free(ring[position % RING]);
            if (position % 64 == 63) atomic_store_explicit(&used, position + 1, memory_order_release);
        }
    }
    return NULL;
}

static void handed_over(long count, size_t size) {
    pthread_t consumer;
    int turns = 0;
    atomic_store(&made, 0);
    atomic_store(&used, 0);
    if (pthread_create(&consumer, NULL, consume, &count) != 0) exit(1);
    for (long i = 0; i < count; i++) {
        while (i - atomic_load_explicit(&used, memory_order_acquire) >= RING) wait_for_other(&turns);
        char *block = seen(malloc(size));
        *block = 1;
        ring[i % RING] = block;
        if (i % 64 == 63 || i + 1 == count) atomic_store_explicit(&made, i + 1, memory_order_release);
    }
    pthread_join(consumer, NULL);
}

// Chains of doublings up to `size`, from a start that is `steps` doublings below.
static void chains(long count, size_t size, int steps, int touched) {
    for (; count > 0; count -= steps) {
        size_t length = size >> steps;
        char *block = seen(malloc(length));
        memset(block, 1, touched ? length : 1);
        while (length < size) {
            block = seen(realloc(block, 2 * length));
            for (size_t at = length; touched && at < 2 * length; at += PAGE) block[at] = 1;
            length *= 2;
        }
        free(block);
    }
}

static void short_chain(long count, size_t size) { chains(count, size, 14, 0); }
static void short_chain_touched(long count, size_t size) { chains(count, size, 14, 1); }
static void long_chain(long count, size_t size) { chains(count, size, 8, 0); }
static void long_chain_touched(long count, size_t size) { chains(count, size, 8, 1); }

// Of a few blocks, each some five times as large as the smallest at most, one after the other takes the place of any.
static void replaced(long count, size_t size) {
    enum { LIVE = 20 };
    static char *live[LIVE];
    static uint64_t state = 88172645463325252u;
    for (; count > 0; count--) {
        shift(&state);
        char **place = &live[state % LIVE];
        size_t length = size + (size_t)(state >> 8) % (4 * size);
        free(*place);
        *place = seen(malloc(length));
        for (size_t at = 0; at < length; at += PAGE) (*place)[at] = 1;
    }
}

static const struct row ROWS[] = {
    {"pair 16 B", pairs, 16, 1},
    {"pair 64 B", pairs, 64, 1},
    {"pair 512 B", pairs, 512, 1},
    {"pair 4 KiB", pairs, 4 << 10, 1},
    {"pair 64 KiB", pairs, 64 << 10, 1},
    {"pair 1 MiB", pairs, 1 << 20, 1},
    {"batch 64 B lifo", last_first, 64, BATCH},
    {"batch 64 B fifo", first_first, 64, BATCH},
    {"batch 64 B shuffled", shuffled, 64, BATCH},
    {"producer and consumer 64 B", handed_over, 64, BATCH},
    {"realloc 64 B to 1 MiB", short_chain, 1 << 20, 14},
    {"realloc 64 B to 1 MiB, touched", short_chain_touched, 1 << 20, 14},
    {"realloc 1 to 256 MiB", long_chain, 256 << 20, 8},
    {"realloc 1 to 256 MiB, touched", long_chain_touched, 256 << 20, 8},
    {"replaced 5 to 25 MiB, touched", replaced, 5 << 20, 20},
    {"calloc 64 B", cleared_pairs, 64, 1},
    {"calloc 4 KiB", cleared_pairs, 4 << 10, 1},
    {"calloc 1 MiB", cleared_pairs, 1 << 20, 1},
    {"calloc 1 MiB, touched", cleared_pairs_touched, 1 << 20, 1},
    {"memalign 64 B", aligned_pairs, 64, 1},
    {"memalign 4 KiB", aligned_pairs, 4 << 10, 1},
    {"two of 64 KiB", two_together, 64 << 10, 2},
    {"four of 64 KiB", four_together, 64 << 10, 4},
    {"churn 2 to 8 KiB", churned, 2 << 10, 1},
    {"churn 8 to 32 KiB", churned, 8 << 10, 1},
    {"churn 64 to 256 KiB", churned, 64 << 10, 1},
    {"churn 250 KiB to 1 MiB", churned, 250 << 10, 1},
};

static double time_of(const struct row *row, long count) {
    double start = now();
    row->work(count, row->size);
    return now() - start;
}

int main(void) {
    shuffle();
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        const struct row *row = &ROWS[i];
        long count = row->unit;
        double time = time_of(row, count), best = 0;
        // The growing counts warm the allocator up, too.
        while (time < ENOUGH) {
            count *= 2;
            time = time_of(row, count);
        }
        best = time;
        for (int repeat = 1; repeat < REPEATS && best * repeat < 2e9; repeat++) {
            time = time_of(row, count);
            if (time < best) best = time;
        }
        printf("%s\t%.3f\n", row->name, best / (double)count);
        fflush(stdout);
    }
    return 0;
}
