/* A thread that was cancelled goes on until it comes to where the standard ends it: no allocation and no free is such a
   place, and a misuse ends the process all the same. */
#include "check.h"
#include <pthread.h>

static int has_gone_on;

/* Fills more than one segment, which has the library ask the system whether there are huge pages. */
static void *fills_memory(void *nothing)
{
    CHECK(pthread_cancel(pthread_self()) == 0);
    for (int block = 0; block < 40000; block++)
        memset(hide(malloc(1024)), 1, 1024);
    has_gone_on = 1;
    pthread_testcancel();
    return nothing;
}

/* Under a limit of which the library says so. */
static void *is_refused(void *nothing)
{
    CHECK(pthread_cancel(pthread_self()) == 0);
    CHECK(hide(malloc(hide_size(100 << 20))) == NULL);
    has_gone_on = 1;
    pthread_testcancel();
    return nothing;
}

static void *frees_twice(void *nothing)
{
    void *block = hide(malloc(100));
    CHECK(pthread_cancel(pthread_self()) == 0);
    free(block);
    free(hide(block));
    return nothing;
}

int main(int count, char **arguments)
{
    void *(*work)(void *) = fills_memory;
    if (count > 1)
        work = strcmp(arguments[1], "limit") == 0 ? is_refused : frees_twice;
    /* What waits for ever is ended. */
    alarm(20);
    pthread_t thread;
    void *result = NULL;
    CHECK(pthread_create(&thread, NULL, work, NULL) == 0 && pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED && has_gone_on);
    return 0;
}
