/* The library itself is loaded late, as a plug-in's dependency would be, into a process that has an allocator. */
#include "check.h"
#include <pthread.h>

static void *(*their_malloc)(size_t);
static void (*their_free)(void *);

static pthread_barrier_t is_closed;

static void *run(void *nothing)
{
    void *blocks[200];
    for (int nth = 0; nth < 200; nth++) {
        blocks[nth] = their_malloc(nth * 100 + 1);
        CHECK(blocks[nth]);
        memset(blocks[nth], nth, nth * 100 + 1);
    }
    for (int nth = 0; nth < 200; nth++)
        their_free(blocks[nth]);
    return nothing;
}

/* Uses the library, and ends after it was closed. */
static void *run_and_wait(void *nothing)
{
    run(nothing);
    pthread_barrier_wait(&is_closed);
    pthread_barrier_wait(&is_closed);
    return nothing;
}

int main(int argc, char **argv)
{
    CHECK(argc == 2 || argc == 3);
    if (argc == 3) {
        /* Every key is taken before the library could ask for one. */
        pthread_key_t key;
        while (pthread_key_create(&key, NULL) == 0)
            ;
    }
    for (int round = 0; round < 3; round++) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (!library)
            dprintf(2, "%s\n", dlerror());
        CHECK(library);
        their_malloc = (void *(*)(size_t))dlsym(library, "malloc");
        their_free = (void (*)(void *))dlsym(library, "free");
        CHECK(their_malloc && their_free && (void *)their_malloc != (void *)malloc);
        run(NULL);
        pthread_t thread;
        CHECK(pthread_barrier_init(&is_closed, NULL, 2) == 0);
        CHECK(pthread_create(&thread, NULL, run_and_wait, NULL) == 0);
        pthread_barrier_wait(&is_closed);
        CHECK(dlclose(library) == 0);
        pthread_barrier_wait(&is_closed);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    return 0;
}
