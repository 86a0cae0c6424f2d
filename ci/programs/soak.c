/* Mixed load for so many minutes: threads that come and go, forks, blocks of all sizes, signals at any moment, purges. Every block is checked before it is freed. Prints resident memory as it
   goes, and fails where a block was overwritten, a child failed, or resident memory grew after the warm-up. Preloaded by ci/soak.

   soak MINUTES SEED */
#define _GNU_SOURCE
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4, SHARED = 4096, OWN = 2000 };

static void fail(const char *what) {
    dprintf(2, "soak: %s\n", what);
    _exit(1);
}

static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double resident(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    long size = 0, pages = 0;
    if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2) fail("statm cannot be read");
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* ---- Blocks: their size at the start, a mark at the end. */

typedef struct { size_t size; uint64_t mark; } Head;

static size_t any_size(uint64_t *state) {
    double bits = (double)(next(state) % 1000) / 1000;
    if (next(state) % 2000 == 0) return (size_t)(2 << 20) << (next(state) % 4);
    if (next(state) % 100 == 0) return (size_t)(32768 * pow(32, bits));
    return (size_t)(24 * pow(1024, bits));
}

static uint64_t mark_of(const Head *head) { return (uint64_t)(uintptr_t)head * 0x9e3779b97f4a7c15u ^ head->size; }

static Head *made(Head *head, size_t size) {
    if (!head) fail("no memory");
    head->size = size;
    head->mark = mark_of(head);
    memcpy((char *)head + size - 8, &head->mark, 8);
    return head;
}

static void check(const Head *head) {
    if (head->mark != mark_of(head) || memcmp((const char *)head + head->size - 8, &head->mark, 8)) fail("a block was overwritten");
}

static Head *make(uint64_t *state) {
    size_t size = any_size(state);
    void *block;
    switch (next(state) % 8) {
    case 0:
        block = calloc(1, size);
        for (size_t at = 0; block && at < size; at += 509)
            if (((char *)block)[at]) fail("a zeroed block is not zero");
        break;
    case 1:
        if (posix_memalign(&block, (size_t)16 << (next(state) % 10), size)) block = 0;
        break;
    default: block = malloc(size);
    }
    return made(block, size);
}

static Head *resized(Head *head, uint64_t *state) {
    size_t size = any_size(state);
    check(head);
    uint64_t kept = head->mark;
    Head *moved = realloc(head, size);
    if (!moved || moved->mark != kept) fail("a resized block has lost its contents");
    return made(moved, size);
}

static void drop(Head *head) {
    check(head);
    free(head);
}

/* ---- Load. Blocks are handed from thread to thread, so that most frees are of others' blocks. */

static _Atomic(Head *) shared[SHARED];
static atomic_int is_over;
static atomic_ulong steps, threads_made, forks, signals_taken, signals_sent;
static _Atomic(pthread_t) workers[WORKERS];

static void on_signal(int number) {
    (void)number;
    atomic_fetch_add(&signals_taken, 1);
}

/* As much as a thread does in its life. */
static void work(uint64_t *state, long count) {
    Head *own[OWN] = { 0 };
    for (long step = 0; step < count && !atomic_load(&is_over); step++) {
        size_t nth = next(state) % OWN;
        switch (next(state) % 16) {
        case 0: case 1: case 2: {
            Head *taken = atomic_exchange(&shared[next(state) % SHARED], own[nth]);
            if (taken) check(taken);
            own[nth] = taken;
            break;
        }
        case 3:
            if (own[nth]) own[nth] = resized(own[nth], state);
            break;
        default:
            if (own[nth]) drop(own[nth]), own[nth] = 0;
            else if (next(state) % 4) own[nth] = make(state);
        }
        if (next(state) % 200000 == 0) malloc_trim(0);
        atomic_fetch_add_explicit(&steps, 1, memory_order_relaxed);
    }
    for (size_t nth = 0; nth < OWN; nth++)
        if (own[nth]) drop(own[nth]);
}

static void *brief(void *seed) {
    uint64_t state = (uint64_t)(uintptr_t)seed;
    work(&state, 2000 + (long)(next(&state) % 20000));
    return 0;
}

static void *worker(void *number) {
    uint64_t state = (uint64_t)(uintptr_t)number + 1000;
    atomic_store(&workers[(size_t)number], pthread_self());
    while (!atomic_load(&is_over)) work(&state, 200000);
    return 0;
}

static void *starter(void *seed) {
    uint64_t state = (uint64_t)(uintptr_t)seed;
    while (!atomic_load(&is_over)) {
        pthread_t threads[3];
        int count = 1 + (int)(next(&state) % 3);
        for (int nth = 0; nth < count; nth++)
            if (pthread_create(&threads[nth], 0, brief, (void *)(uintptr_t)next(&state))) fail("no thread");
        for (int nth = 0; nth < count; nth++) pthread_join(threads[nth], 0);
        atomic_fetch_add(&threads_made, (unsigned long)count);
    }
    return 0;
}

static void *forker(void *seed) {
    uint64_t state = (uint64_t)(uintptr_t)seed;
    while (!atomic_load(&is_over)) {
        pid_t child = fork();
        if (child == 0) {
            /* Has a thousand steps, on memory that its parent was at work on. */
            alarm(60);
            for (int nth = 0; nth < SHARED; nth += 64) {
                Head *taken = atomic_exchange(&shared[nth], 0);
                if (taken) drop(taken);
            }
            work(&state, 1000);
            _exit(0);
        }
        int status = 0;
        if (child < 0) fail("no fork");
        while (waitpid(child, &status, 0) < 0) {}
        if (status) fail("a child has failed");
        atomic_fetch_add(&forks, 1);
        usleep(200000);
    }
    return 0;
}

static void *sender(void *seed) {
    uint64_t state = (uint64_t)(uintptr_t)seed;
    while (!atomic_load(&is_over)) {
        pthread_kill(atomic_load(&workers[next(&state) % WORKERS]), SIGUSR1);
        atomic_fetch_add(&signals_sent, 1);
        usleep((useconds_t)(next(&state) % 2000));
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3) fail("usage: soak MINUTES SEED");
    double length = atof(argv[1]) * 60, begun = now();
    uintptr_t seed = (uintptr_t)atol(argv[2]);
    signal(SIGUSR1, on_signal);
    pthread_t threads[WORKERS + 3];
    for (size_t nth = 0; nth < WORKERS; nth++) {
        if (pthread_create(&threads[nth], 0, worker, (void *)nth)) fail("no thread");
        while (!atomic_load(&workers[nth])) usleep(1000);
    }
    void *(*others[])(void *) = { starter, forker, sender };
    for (size_t nth = 0; nth < 3; nth++)
        if (pthread_create(&threads[WORKERS + nth], 0, others[nth], (void *)(seed + nth))) fail("no thread");
    /* The mean of resident memory in each tenth; the first two are the warm-up. */
    double means[10] = { 0 };
    for (int tenth = 0; tenth < 10; tenth++) {
        int looks = 0;
        for (; now() - begun < length * (tenth + 1) / 10; looks++) means[tenth] += resident(), usleep(100000);
        means[tenth] /= looks;
        printf("%.1f min: %.1f MiB resident, %lu steps, %lu threads, %lu forks, %lu signals\n", (now() - begun) / 60, means[tenth] / (1 << 20), steps, threads_made, forks, signals_taken);
        fflush(stdout);
    }
    atomic_store(&is_over, 1);
    for (size_t nth = 0; nth < WORKERS + 3; nth++) pthread_join(threads[nth], 0);
    for (size_t nth = 0; nth < SHARED; nth++)
        if (shared[nth]) drop(shared[nth]);
    malloc_trim(0);
    double early = (means[2] + means[3] + means[4]) / 3, late = (means[7] + means[8] + means[9]) / 3;
    printf("resident memory late to early, after the warm-up: %.3f\n", late / early);
    printf("resident when everything is freed: %.1f MiB\n", resident() / (1 << 20));
    struct mallinfo2 info = mallinfo2();
    printf("in use: %zu bytes\n", info.uordblks + info.hblkhd);
    if (signals_taken == 0 || forks == 0 || threads_made == 0) fail("a part of the load did not run");
    if (late > 1.1 * early) fail("resident memory has grown");
    return 0;
}
