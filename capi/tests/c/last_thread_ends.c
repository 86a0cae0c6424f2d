/* A program whose first thread ends before another: the process ends with the last of the program's threads, also where threads of the allocator's own run. */
#include "check.h"
#include <pthread.h>
#include <unistd.h>

static int has_ended;

static void at_exit(void)
{
    CHECK(has_ended);
    _exit(7);
}

static void *run(void *nothing)
{
    sleep(1);
    free(malloc(100));
    has_ended = 1;
    return nothing;
}

int main(void)
{
    pthread_t thread;
    atexit(at_exit);
    free(malloc(100));
    CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
    pthread_exit(NULL);
}
