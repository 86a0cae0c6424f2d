/* Destructors of thread-specific data that allocate, free what others allocated, and set their key again. */
#include "check.h"
#include <limits.h>
#include <pthread.h>

enum { KEYS = 20, THREADS = 2000 };
static pthread_key_t keys[KEYS];

struct value {
    int nth;
    int round;
    char *block;
};

static void destroy(void *argument)
{
    struct value *value = argument;
    CHECK(is_filled(value->block, 100 + value->nth, value->nth));
    free(value->block);
    void *scratch = malloc(value->nth * 500 + 1);
    CHECK(scratch);
    free(scratch);
    if (++value->round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        value->block = malloc(100 + value->nth);
        CHECK(value->block);
        fill(value->block, 100 + value->nth, value->nth);
        CHECK(pthread_setspecific(keys[value->nth], value) == 0);
    } else {
        free(value);
    }
}

static void *run(void *nothing)
{
    for (int nth = 0; nth < KEYS; nth++) {
        struct value *value = malloc(sizeof *value);
        CHECK(value);
        *value = (struct value){nth, 0, malloc(100 + nth)};
        CHECK(value->block);
        fill(value->block, 100 + nth, nth);
        CHECK(pthread_setspecific(keys[nth], value) == 0);
    }
    return nothing;
}

static size_t resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%*d %ld", &pages) == 1);
    fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void run_threads(int count)
{
    for (int nth = 0; nth < count; nth++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, run, NULL) == 0 && pthread_join(thread, NULL) == 0);
    }
}

int main(void)
{
    for (int nth = 0; nth < KEYS; nth++)
        CHECK(pthread_key_create(&keys[nth], destroy) == 0);
    run_threads(100);
    size_t before = resident();
    run_threads(THREADS);
    /* No thread leaves memory behind: 1 KiB each would be 2 MiB. */
    CHECK(resident() < before + (1 << 20));
    return 0;
}
