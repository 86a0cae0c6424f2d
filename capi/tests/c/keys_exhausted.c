/* A program that takes every key before the allocator has asked for one of its own, as far as that can be had. */
#include "check.h"
#include <limits.h>
#include <pthread.h>

static void *run(void *nothing)
{
    void *blocks[300];
    for (int nth = 0; nth < 300; nth++) {
        blocks[nth] = malloc(nth * 50 + 1);
        CHECK(blocks[nth]);
        memset(blocks[nth], nth, nth * 50 + 1);
    }
    for (int nth = 0; nth < 300; nth++)
        free(blocks[nth]);
    return nothing;
}

int main(void)
{
    pthread_key_t key;
    int keys = 0;
    while (pthread_key_create(&key, NULL) == 0)
        keys++;
    CHECK(keys > 900);
    for (int nth = 0; nth < 500; nth++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, run, NULL) == 0 && pthread_join(thread, NULL) == 0);
    }
    run(NULL);
    return 0;
}
