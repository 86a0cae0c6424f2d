/* Threads with the smallest stack there may be, through every path: refill, flush, spans, mappings, another thread's blocks, and the end. */
#include "check.h"
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>

enum { BLOCKS = 400 };

static void *theirs[BLOCKS], *mine[BLOCKS];
static int nowhere;
static FILE *stream;

static void *run(void *nothing)
{
    for (int nth = 0; nth < BLOCKS; nth++)
        free(theirs[nth]);
    for (int round = 0; round < 3; round++) {
        for (int nth = 0; nth < BLOCKS; nth++)
            CHECK((mine[nth] = calloc(1, nth * nth % 9000 + 1)) != NULL);
        for (int nth = 0; nth < BLOCKS; nth++)
            CHECK((mine[nth] = realloc(mine[nth], nth * 31 % 70000 + 1)) != NULL);
        for (int nth = 0; nth < BLOCKS; nth++)
            free(mine[nth]);
        for (int nth = 0; nth < 20; nth++) {
            void *block = memalign((size_t)1 << nth, (size_t)3 << nth);
            CHECK(block);
            free(block);
        }
        void *large = malloc(1 << 22);
        CHECK(large && (large = realloc(large, 1 << 24)) != NULL);
        free(large);
        CHECK(malloc(hide_size((size_t)1 << 47)) == NULL);
    }
    malloc_trim(0);
    struct mallinfo2 info = mallinfo2();
    CHECK(info.arena > 0);
    CHECK(malloc_info(0, stream) == 0);
    if (is_on_tenure()) {
        size_t (*json)(char *, size_t) = (size_t (*)(char *, size_t))dlsym(RTLD_DEFAULT, "tenure_stats_json");
        int (*print)(int) = (int (*)(int))dlsym(RTLD_DEFAULT, "tenure_stats_print");
        CHECK(json(NULL, 0) > 100 && print(nowhere) == 0);
    }
    return nothing;
}

int main(void)
{
    pthread_attr_t attributes;
    CHECK((nowhere = open("/dev/null", O_WRONLY)) >= 0 && (stream = fdopen(nowhere, "w")) != NULL);
    CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) == 0);
    for (int nth = 0; nth < 50; nth++) {
        for (int each = 0; each < BLOCKS; each++)
            CHECK((theirs[each] = malloc(each * 100 + 1)) != NULL);
        pthread_t thread;
        CHECK(pthread_create(&thread, &attributes, run, NULL) == 0 && pthread_join(thread, NULL) == 0);
    }
    return 0;
}
