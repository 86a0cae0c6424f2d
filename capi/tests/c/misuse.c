/* One misuse for each name: the process is to end with one line. */
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

static char in_static_memory[64];

static void *free_it(void *block)
{
    free(malloc(10));
    free(block);
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    struct rlimit none = {0, 0};
    CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
    const char *what = argv[1];
    char on_stack[64];
    char *block = malloc(64), *span = malloc(100000), *mapping = malloc(3 << 20);
    pthread_t thread;
    CHECK(block && span && mapping);
    /* A thread's first free is a special case. */
    free(malloc(10));
    if (strcmp(what, "stack") == 0)
        free(hide(on_stack));
    else if (strcmp(what, "static") == 0)
        free(hide(in_static_memory));
    else if (strcmp(what, "foreign-mapping") == 0)
        free(mmap(NULL, 1 << 22, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    else if (strcmp(what, "above") == 0)
        free(hide((void *)((uintptr_t)1 << 47)));
    else if (strcmp(what, "far-above") == 0)
        free(hide((void *)~(uintptr_t)15));
    else if (strcmp(what, "tagged") == 0) {
        free(hide((void *)((uintptr_t)block | (uintptr_t)1 << 60)));
        malloc_trim(0);
    } else if (strcmp(what, "small-number") == 0)
        free(hide((void *)64));
    else if (strcmp(what, "inside-a-block") == 0) {
        free(hide(block + 8));
        malloc_trim(0);
    } else if (strcmp(what, "inside-a-span") == 0) {
        free(hide(span + 16));
        hide(malloc(100000));
    } else if (strcmp(what, "inside-a-span-at-last") == 0) {
        free(hide(span + 16));
        malloc_trim(0);
    } else if (strcmp(what, "later-in-a-span") == 0)
        free(hide(span + 65536));
    else if (strcmp(what, "inside-a-mapping") == 0)
        free(hide(mapping + 4096));
    else if (strcmp(what, "later-in-a-mapping") == 0)
        free(hide(mapping + (1 << 21)));
    else if (strcmp(what, "segment-head") == 0)
        free(hide((void *)((uintptr_t)block & ~(uintptr_t)0x1fffff)));
    else if (strcmp(what, "twice") == 0) {
        free(block);
        free(hide(block));
        malloc_trim(0);
    } else if (strcmp(what, "span-twice") == 0) {
        free(span);
        free(hide(span));
    } else if (strcmp(what, "write-to-a-freed-span") == 0) {
        free(span);
        ((char *)hide(span))[5000] = 1;
        malloc_trim(0);
    } else if (strcmp(what, "realloc-of-a-freed-span") == 0) {
        free(span);
        span = realloc(hide(span), 200000);
    } else if (strcmp(what, "usable-size-of-a-freed-span") == 0) {
        free(span);
        malloc_usable_size(hide(span));
    } else if (strcmp(what, "mapping-twice") == 0) {
        free(mapping);
        free(hide(mapping));
    } else if (strcmp(what, "on-another-thread-twice") == 0) {
        CHECK(pthread_create(&thread, NULL, free_it, block) == 0 && pthread_join(thread, NULL) == 0);
        CHECK(pthread_create(&thread, NULL, free_it, block) == 0 && pthread_join(thread, NULL) == 0);
        malloc_trim(0);
    } else if (strcmp(what, "realloc-inside-a-block") == 0)
        (void)!realloc(hide(block + 8), 1000);
    else if (strcmp(what, "realloc-stack") == 0)
        (void)!realloc(hide(on_stack), 1000);
    else if (strcmp(what, "usable-size-inside-a-block") == 0)
        malloc_usable_size(hide(block + 8));
    else if (strcmp(what, "usable-size-inside-a-mapping") == 0)
        malloc_usable_size(hide(mapping + 8));
    else if (strcmp(what, "usable-size-in-a-segment-s-head") == 0)
        malloc_usable_size(hide((void *)((uintptr_t)block & ~(uintptr_t)0x1fffff)));
    else if (strcmp(what, "usable-size-far-above") == 0)
        malloc_usable_size(hide((void *)((uintptr_t)block | (uintptr_t)1 << 55)));
    else
        return 3;
    return 0;
}
