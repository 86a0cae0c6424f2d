/* What of its memory a program gives back: once when it goes idle, and in every trough of a daily wave. Preloaded on one allocator or another by
   ci/idle-return. Prints figures, one to a line: a name, a tab, and a number of bytes.

   idle_return idle MIB SECONDS PURGE
     Four threads fill MIB mebibytes with blocks of mixed sizes, free 95 % of the bytes at random, whoever allocated them, and wait. With PURGE, one thread
     then calls the allocator's function for giving memory back.
   idle_return wave PEAK TROUGH DAYS SECONDS
     Four threads serve sessions. Live bytes go from TROUGH to PEAK mebibytes and back in each day of so many seconds, of which the last half is the trough. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4 };
static const double MIB = 1024.0 * 1024.0;

static void fail(const char *what) {
    fprintf(stderr, "idle_return: %s\n", what);
    exit(1);
}

static void say(const char *name, double value) {
    printf("%s\t%.0f\n", name, value);
    fflush(stdout);
}

/* ---- Numbers that are the same in every run: splitmix64. */

static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double uniform(uint64_t *state) { return (double)(next(state) >> 11) / 9007199254740992.0; }

/* As many sizes between 16 and 32 as between 32 and 64, and so on. */
static size_t between(uint64_t *state, double low, double high) { return (size_t)(low * pow(high / low, uniform(state))); }

static size_t mixed(uint64_t *state) {
    uint64_t kind = next(state) % 2000;
    if (kind == 0) return between(state, 1 << 20, 4 << 20);
    if (kind <= 10) return between(state, 64 << 10, 1 << 20);
    return between(state, 16, 64 << 10);
}

/* ---- Blocks: filled throughout, so that they are resident, and checked where they end. */

typedef struct { unsigned char *start; size_t size; } Block;

static Block make(size_t size, uint64_t mark) {
    Block block = { malloc(size), size };
    if (!block.start) fail("no memory");
    memset(block.start, (int)(mark | 1) & 0xff, size);
    return block;
}

static void check(Block block) {
    if (block.start[0] == 0 || block.start[0] != block.start[block.size - 1] || block.start[0] != block.start[block.size / 2])
        fail("a block was overwritten");
}

static void drop(Block block) {
    check(block);
    free(block.start);
}

static double resident(void) {
    char text[4096];
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    if (!file) fail("smaps_rollup cannot be read");
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char *line = strstr(text, "\nRss:");
    if (!line) fail("smaps_rollup has no Rss");
    return strtod(line + 5, 0) * 1024;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void rest(double seconds) {
    struct timespec time = { (time_t)seconds, (long)((seconds - floor(seconds)) * 1e9) };
    nanosleep(&time, 0);
}

/* What each allocator has for that purpose, called once, on the thread that happens to be here. */
static void give_back(void) {
    int (*mallctl)(const char *, void *, size_t *, void *, size_t) = dlsym(RTLD_DEFAULT, "mallctl");
    void (*mi_collect)(int) = dlsym(RTLD_DEFAULT, "mi_collect");
    void (*release)(void) = dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");
    if (mallctl) mallctl("arena.4096.purge", 0, 0, 0, 0);
    else if (mi_collect) mi_collect(1);
    else if (release) release();
    else malloc_trim(0);
}

/* ---- Idle. */

static pthread_barrier_t barrier;
static Block *blocks;
static size_t counts[THREADS], capacity;
static size_t total_count, freed_count;
static double wanted_each;

static void *fill_and_free(void *argument) {
    size_t mine = (size_t)argument;
    uint64_t state = mine + 1;
    double bytes = 0;
    while (bytes < wanted_each) {
        if (counts[mine] == capacity) fail("too many blocks");
        Block block = make(mixed(&state), next(&state));
        blocks[mine * capacity + counts[mine]++] = block;
        bytes += (double)block.size;
    }
    pthread_barrier_wait(&barrier); /* All are filled. */
    pthread_barrier_wait(&barrier); /* And shuffled. */
    for (size_t nth = mine; nth < freed_count; nth += THREADS) drop(blocks[nth]);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); /* The end: until then the thread is idle. */
    return 0;
}

static void idle(double mib, double seconds, int with_purge) {
    double before = resident();
    wanted_each = mib * MIB / THREADS;
    capacity = (size_t)(wanted_each / 4096) + 4096;
    /* Not from the allocator, so that its figures are those of the blocks. */
    static Block room[1 << 20];
    if (capacity * THREADS > sizeof room / sizeof *room) fail("too much memory");
    blocks = room;
    pthread_barrier_init(&barrier, 0, THREADS + 1);
    pthread_t threads[THREADS];
    for (size_t nth = 0; nth < THREADS; nth++)
        if (pthread_create(&threads[nth], 0, fill_and_free, (void *)nth)) fail("no thread");
    pthread_barrier_wait(&barrier);
    double filled = resident(), bytes = 0;
    for (size_t nth = 0; nth < THREADS; nth++) {
        memmove(blocks + total_count, blocks + nth * capacity, counts[nth] * sizeof *blocks);
        total_count += counts[nth];
    }
    uint64_t state = 99;
    for (size_t nth = total_count; nth > 1; nth--) {
        size_t other = next(&state) % nth;
        Block block = blocks[nth - 1];
        blocks[nth - 1] = blocks[other];
        blocks[other] = block;
    }
    for (size_t nth = 0; nth < total_count; nth++) bytes += (double)blocks[nth].size;
    double freed = 0;
    while (freed < 0.95 * bytes) freed += (double)blocks[freed_count++].size;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    say("bytes allocated", bytes);
    say("bytes freed", freed);
    say("resident without blocks", before);
    say("resident with blocks", filled);
    say("resident just after the frees", resident());
    double begun = now();
    while (now() - begun < seconds) rest(0.25);
    say("resident after the wait", resident());
    if (with_purge) {
        give_back();
        say("resident after the purge", resident());
    }
    for (size_t nth = freed_count; nth < total_count; nth++) check(blocks[nth]);
    pthread_barrier_wait(&barrier);
    for (size_t nth = 0; nth < THREADS; nth++) pthread_join(threads[nth], 0);
}

/* ---- Wave. */

/* A session: many small blocks, a buffer for each direction, and a body, all of which come and go together. */
enum { SMALL = 40, BLOCKS = SMALL + 3 };
typedef struct { Block blocks[BLOCKS]; double bytes; } Session;

typedef struct { Session **sessions; size_t count, capacity; double bytes; uint64_t state; } Server;

static const double SESSION_BYTES = 46e3; /* What one takes on average. */
static const double LIFETIME = 0.05;      /* In days; of an exponential distribution. */
static const double TICK = 0.005;         /* In seconds. */

static Server servers[THREADS];
static double peak_each, trough_each, day, days;
static volatile double live_bytes[THREADS];
static volatile double clock_of[THREADS]; /* A thread's own time, which stands still while the machine has no time for it. */

static void begin(Server *server) {
    if (server->count == server->capacity) fail("too many sessions");
    Session *session = malloc(sizeof *session);
    if (!session) fail("no memory");
    session->bytes = sizeof *session;
    for (int nth = 0; nth < BLOCKS; nth++) {
        size_t size = nth < SMALL        ? between(&server->state, 16, 1024)
                      : nth == SMALL     ? 4096
                      : nth == SMALL + 1 ? 16384
                                         : between(&server->state, 1024, 64 << 10);
        session->blocks[nth] = make(size, next(&server->state));
        session->bytes += (double)size;
    }
    server->bytes += session->bytes;
    server->sessions[server->count++] = session;
}

static void end(Server *server, size_t nth) {
    Session *session = server->sessions[nth];
    server->sessions[nth] = server->sessions[--server->count];
    server->bytes -= session->bytes;
    for (int block = 0; block < BLOCKS; block++) drop(session->blocks[block]);
    free(session);
}

/* How much is to be live: up and down again in the first half of a day, little in the second. */
static double load(double time) {
    double part = fmod(time / day, 1.0);
    return part >= 0.5 ? trough_each : trough_each + (peak_each - trough_each) * pow(sin(part * 2 * M_PI), 2);
}

/* Sessions come at random, as often as the load asks for, and last for a random time: arrivals know nothing of ends. */
static void *serve(void *argument) {
    Server *server = argument;
    size_t mine = (size_t)(server - servers);
    double time = 0, owed = 0;
    for (double before = now(); time < days * day;) {
        double here = now(), step = fmin(here - before, 4 * TICK), share = step / (LIFETIME * day);
        before = here, time += step;
        for (size_t nth = server->count; nth-- > 0;)
            if (uniform(&server->state) < share) end(server, nth);
        /* Gaps between arrivals are exponential. */
        for (owed += load(time) / SESSION_BYTES * share; owed > 0; owed += log(1 - uniform(&server->state))) begin(server);
        live_bytes[mine] = server->bytes, clock_of[mine] = time;
        rest(TICK);
    }
    return 0;
}

static double live(void) {
    double bytes = 0;
    for (size_t nth = 0; nth < THREADS; nth++) bytes += live_bytes[nth];
    return bytes;
}

static void wave(double peak, double trough, double number, double seconds) {
    static Session *room[THREADS][1 << 17];
    day = seconds, days = number;
    peak_each = peak * MIB / THREADS, trough_each = trough * MIB / THREADS;
    double before = resident();
    pthread_t threads[THREADS];
    for (size_t nth = 0; nth < THREADS; nth++) {
        servers[nth] = (Server){ room[nth], 0, sizeof room[nth] / sizeof *room[nth], 0, nth + 7 };
        if (pthread_create(&threads[nth], 0, serve, &servers[nth])) fail("no thread");
    }
    say("resident without blocks", before);
    double highest = 0, highest_live = 0;
    for (double nth = 0; nth < number; nth++) {
        while (clock_of[0] < (nth + 0.95) * day) {
            double here = resident();
            if (here > highest) highest = here, highest_live = live();
            rest(day / 50);
        }
        /* The mean of some looks, late in the trough. */
        double sum = 0, sum_live = 0;
        for (int look = 0; look < 5; look++) {
            sum += resident() / 5, sum_live += live() / 5;
            rest(day / 200);
        }
        say("resident in the trough", sum);
        say("live in the trough", sum_live);
    }
    say("resident at the peak", highest);
    say("live at the peak", highest_live);
    for (size_t nth = 0; nth < THREADS; nth++) pthread_join(threads[nth], 0);
}

int main(int argc, char **argv) {
    if (argc == 5 && !strcmp(argv[1], "idle")) idle(atof(argv[2]), atof(argv[3]), atoi(argv[4]));
    else if (argc == 6 && !strcmp(argv[1], "wave")) wave(atof(argv[2]), atof(argv[3]), atof(argv[4]), atof(argv[5]));
    else fail("usage: idle MIB SECONDS PURGE, or wave PEAK TROUGH DAYS SECONDS");
    return 0;
}
