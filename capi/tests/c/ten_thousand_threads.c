/* Ten thousand threads, of which up to 5,000 are alive at once: more than there are heaps. */
#include "check.h"
#include <pthread.h>

enum { THREADS = 5000, ROUNDS = 2 };
static pthread_barrier_t all_here;

static void *run(void *argument)
{
    unsigned nth = (unsigned)(uintptr_t)argument;
    char *mine = malloc(nth % 500 + 1);
    CHECK(mine);
    fill(mine, nth % 500 + 1, nth);
    pthread_barrier_wait(&all_here);
    CHECK(is_filled(mine, nth % 500 + 1, nth));
    free(mine);
    return malloc(32);
}

int main(void)
{
    static pthread_t threads[THREADS];
    pthread_attr_t attributes;
    alarm(240);
    CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 32 * 1024) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        unsigned started = 0;
        CHECK(pthread_barrier_init(&all_here, NULL, THREADS) == 0);
        for (; started < THREADS; started++)
            CHECK(pthread_create(&threads[started], &attributes, run, (void *)(uintptr_t)started) == 0);
        for (unsigned nth = 0; nth < started; nth++) {
            void *block;
            CHECK(pthread_join(threads[nth], &block) == 0 && block);
            free(block);
        }
        CHECK(pthread_barrier_destroy(&all_here) == 0);
    }
    return 0;
}
