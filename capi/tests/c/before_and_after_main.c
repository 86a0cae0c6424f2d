#include "check.h"
#include <pthread.h>

static char *early;

__attribute__((constructor(101))) static void first(void)
{
    early = malloc(5000);
    CHECK(early);
    fill(early, 5000, 1);
}

__attribute__((destructor(101))) static void last(void)
{
    CHECK(is_filled(early, 5000, 1));
    free(early);
    for (int nth = 0; nth < 500; nth++)
        free(malloc(nth * 100));
}

static void at_end(void)
{
    early = realloc(early, 100000);
    CHECK(early && is_filled(early, 5000, 1));
}

static void *sleep_on(void *nothing)
{
    for (;;)
        free(malloc(100));
    return nothing;
}

int main(void)
{
    CHECK(atexit(at_end) == 0);
    /* A thread that goes on while the process ends. */
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, sleep_on, NULL) == 0);
    return 0;
}
