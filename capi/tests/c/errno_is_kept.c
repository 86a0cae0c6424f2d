#include "check.h"
#include <malloc.h>
#include <pthread.h>

static void *free_it(void *block)
{
    errno = 7;
    free(block);
    CHECK(errno == 7);
    return NULL;
}

int main(void)
{
    for (int round = 0; round < 200; round++)
        for (size_t nth = 0; nth < BORDER_COUNT; nth++) {
            errno = 7;
            char *block = malloc(BORDERS[nth]);
            CHECK(errno == 7);
            block = realloc(block, BORDERS[nth] * 2);
            CHECK(errno == 7);
            free(block);
            CHECK(errno == 7);
            block = memalign(4096, BORDERS[nth]);
            CHECK(errno == 7);
            free(block);
            CHECK(errno == 7);
        }
    /* Also on a thread that does nothing else. */
    for (size_t nth = 0; nth < BORDER_COUNT; nth++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, free_it, malloc(BORDERS[nth])) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    return 0;
}
