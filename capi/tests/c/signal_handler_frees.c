/* A handler that only frees, and interrupts every path of the allocator, must not deadlock. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

enum { BLOCKS = 20000 };
static void *waiting[BLOCKS];
static atomic_int next;

static void handle(int number)
{
    (void)number;
    int nth = atomic_fetch_add(&next, 1);
    if (nth < BLOCKS)
        free(waiting[nth]);
}

int main(void)
{
    alarm(120);
    for (int nth = 0; nth < BLOCKS; nth++)
        CHECK((waiting[nth] = malloc(nth % 50 == 0 ? 70000 : 24)) != NULL);
    struct sigaction action = {.sa_handler = handle};
    CHECK(sigaction(SIGPROF, &action, NULL) == 0);
    /* Large blocks alone: every call is a slow path, in which the handler strikes. The blocks that it frees are of other sizes. */
    struct itimerval often = {{0, 100}, {0, 100}};
    CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0);
    static void *blocks[64];
    for (int round = 0; round < 3000 && next < BLOCKS; round++) {
        for (int nth = 0; nth < 64; nth++)
            CHECK((blocks[nth] = malloc((size_t)(nth % 20 + 1) * 150000)) != NULL);
        for (int nth = 0; nth < 64; nth++)
            free(blocks[nth]);
    }
    struct itimerval never = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0);
    CHECK(next > 0);
    return 0;
}
