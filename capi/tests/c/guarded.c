/* Misuse of a guarded block, which the argument names: under TENURE_GUARD=1 every small block is one. "work" does nothing wrong. */
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

static char *allocate(size_t size)
{
    char *block = malloc(size);
    CHECK(block != NULL && malloc_usable_size(block) == size);
    dprintf(1, "block %p\n", (void *)block);
    return hide(block);
}

/* Blocks that grow, shrink and are handed on, and whose contents stay. */
static void *work(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    char *blocks[64] = {NULL};
    size_t sizes[64] = {0};
    for (unsigned nth = 0; nth < 20000; nth++) {
        seed = seed * 1103515245 + 12345;
        unsigned at = seed >> 8 & 63;
        size_t size = 1 + (seed >> 14) % 3000;
        if (blocks[at] != NULL)
            CHECK(is_filled(blocks[at], sizes[at], at));
        switch (seed >> 28 & 3) {
        case 0:
            free(blocks[at]);
            blocks[at] = NULL;
            sizes[at] = 0;
            continue;
        case 1:
            blocks[at] = realloc(blocks[at], size);
            CHECK(blocks[at] != NULL && is_filled(blocks[at], size < sizes[at] ? size : sizes[at], at));
            break;
        case 2:
            free(blocks[at]);
            blocks[at] = calloc(1, size);
            CHECK(blocks[at] != NULL && is_zero(blocks[at], size));
            break;
        default:
            free(blocks[at]);
            blocks[at] = aligned_alloc(64, size);
            CHECK(blocks[at] != NULL && is_aligned(blocks[at], 64));
        }
        sizes[at] = size;
        fill(blocks[at], size, at);
    }
    for (unsigned at = 0; at < 64; at++)
        free(blocks[at]);
    return NULL;
}

int main(int count, char **arguments)
{
    CHECK(count == 2);
    const char *kind = arguments[1];
    if (strcmp(kind, "work") == 0) {
        pthread_t threads[3];
        for (uintptr_t nth = 0; nth < 3; nth++)
            CHECK(pthread_create(&threads[nth], NULL, work, (void *)(nth + 1)) == 0);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            work((void *)(uintptr_t)9);
            _exit(0);
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        for (int nth = 0; nth < 3; nth++)
            CHECK(pthread_join(threads[nth], NULL) == 0);
        return 0;
    }
    /* At the end of its page, as three in four blocks are. */
    char *block = allocate(48);
    for (int nth = 0; nth < 1000 && is_aligned(block, 4096); nth++)
        block = allocate(48);
    if (strcmp(kind, "overflow") == 0) {
        block[48] = 1;
    } else if (strcmp(kind, "underflow") == 0) {
        block[-1] = 1;
        free(block);
    } else if (strcmp(kind, "use-after-free") == 0) {
        free(block);
        return *(volatile char *)block;
    } else if (strcmp(kind, "double-free") == 0) {
        free(block);
        free(hide(block));
    } else if (strcmp(kind, "inside") == 0) {
        free(hide(block + 16));
    } else if (strcmp(kind, "realloc") == 0) {
        free(block);
        CHECK(realloc(hide(block), 100) != block);
    }
    return 0;
}
