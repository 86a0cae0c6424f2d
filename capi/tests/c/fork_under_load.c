#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

static atomic_int is_over;

/* Allocates all the time, hands blocks to others, and so is inside the allocator at every fork. */
static void *load(void *seed)
{
    static _Atomic(void *) shared[64];
    unsigned random = (unsigned)(uintptr_t)seed;
    void *mine[64] = {0};
    while (!is_over) {
        random = random * 1103515245 + 12345;
        unsigned at = random >> 16 & 63;
        free(mine[at]);
        mine[at] = malloc(random % 40 == 0 ? 100000 : random % 3000 + 1);
        if (random % 7 == 0)
            mine[at] = atomic_exchange(&shared[at], mine[at]);
    }
    for (int at = 0; at < 64; at++)
        free(mine[at]);
    return NULL;
}

static void *one_more(void *nothing)
{
    for (int nth = 0; nth < 1000; nth++)
        free(malloc(nth * 10));
    return nothing;
}

static void use_memory(void)
{
    void *blocks[500];
    for (int nth = 0; nth < 500; nth++) {
        blocks[nth] = malloc(nth * 37 % 5000 + 1);
        CHECK(blocks[nth]);
        memset(blocks[nth], nth, nth * 37 % 5000 + 1);
    }
    for (int nth = 0; nth < 500; nth++)
        free(blocks[nth]);
    void *large = malloc(3000000);
    CHECK(large);
    free(large);
}

int main(void)
{
    enum { THREADS = 4, FORKS = 300 };
    pthread_t threads[THREADS];
    alarm(240);
    for (uintptr_t nth = 0; nth < THREADS; nth++)
        CHECK(pthread_create(&threads[nth], NULL, load, (void *)(nth + 1)) == 0);
    for (int nth = 0; nth < FORKS; nth++) {
        void *inherited = malloc(nth * 11 + 1);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(60);
            free(inherited);
            use_memory();
            /* The child may have threads, and children, of its own. */
            pthread_t thread;
            CHECK(pthread_create(&thread, NULL, one_more, NULL) == 0 && pthread_join(thread, NULL) == 0);
            if (nth % 10 == 0) {
                pid_t grandchild = fork();
                if (grandchild == 0) {
                    use_memory();
                    _exit(0);
                }
                int status;
                CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0);
            }
            _exit(0);
        }
        free(inherited);
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    is_over = 1;
    for (int nth = 0; nth < THREADS; nth++)
        CHECK(pthread_join(threads[nth], NULL) == 0);
    return 0;
}
