/* A misuse of a block of a size, both of which the arguments name. The process is to end with one line; where it goes on, it allocates more and looks for blocks that overlap.
 * Ends with 0 where nothing has happened, and with 10 where two blocks in use overlap. */
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

static size_t size;
static char in_static_memory[64];

/* Without stdio, whose buffer would be put where the block was. */
static void announce(void *block)
{
    dprintf(1, "misuse of %p\n", block);
}

/* Frees wrongly, and says before of which block the line will have to speak. */
static void misuse(void *block)
{
    announce(block);
    free(hide(block));
}

static void *free_it(void *block)
{
    free(malloc(10));
    free(hide(block));
    return NULL;
}

static void elsewhere(void *block)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_it, block) == 0 && pthread_join(thread, NULL) == 0);
}

static void misuse_elsewhere(void *block)
{
    announce(block);
    elsewhere(block);
}

/* Allocates more, and looks for overlaps, of blocks that the program keeps as well. */
static int go_on(char *kept)
{
    enum { MOST = 200 };
    char *blocks[MOST];
    int count = size > 65536 ? 4 : MOST;
    for (int i = 0; i < count; i++)
        CHECK((blocks[i] = malloc(size)) != NULL);
    for (int i = 0; i < count; i++) {
        if (kept && blocks[i] < kept + size && kept < blocks[i] + size)
            return 10;
        for (int j = 0; j < i; j++)
            if (blocks[i] < blocks[j] + size && blocks[j] < blocks[i] + size)
                return 10;
    }
    for (int i = 0; i < count; i++)
        free(blocks[i]);
    /* What waits leaves. */
    for (int i = 0; size <= 65536 && i < 2000; i++)
        free(malloc(size));
    return 0;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    struct rlimit none = {0, 0};
    CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
    const char *what = argv[1];
    size = (size_t)atol(argv[2]);
    char on_stack[64], *block = malloc(size), *neighbour = malloc(size), *kept = NULL;
    CHECK(block && neighbour);
    if (strcmp(what, "twice") == 0) {
        free(block);
        misuse(block);
    } else if (strcmp(what, "twice-after-another") == 0) {
        free(block);
        free(neighbour);
        misuse(block);
    } else if (strcmp(what, "twice-after-a-purge") == 0) {
        free(block);
        free(neighbour);
        malloc_trim(0);
        misuse(block);
    } else if (strcmp(what, "second-elsewhere") == 0) {
        free(block);
        misuse_elsewhere(block);
    } else if (strcmp(what, "first-elsewhere") == 0) {
        elsewhere(block);
        misuse(block);
    } else if (strcmp(what, "twice-elsewhere") == 0) {
        elsewhere(block);
        misuse_elsewhere(block);
    } else if (strcmp(what, "stale") == 0) {
        free(block);
        kept = malloc(size);
        misuse(block);
    } else if (strcmp(what, "write") == 0) {
        free(block);
        announce(block);
        memset(hide(block), 0x5A, 8);
    } else if (strcmp(what, "inside") == 0) {
        kept = block;
        misuse(block + size / 2);
    } else if (strcmp(what, "misaligned") == 0) {
        kept = block;
        misuse(block + 1);
    } else if (strcmp(what, "stack") == 0)
        misuse(on_stack);
    else if (strcmp(what, "static") == 0)
        misuse(in_static_memory);
    else if (strcmp(what, "foreign-mapping") == 0)
        misuse(mmap(NULL, 1 << 22, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    else if (strcmp(what, "near-null") == 0)
        misuse((void *)(uintptr_t)16);
    else if (strcmp(what, "realloc-larger") == 0) {
        free(block);
        announce(block);
        kept = realloc(hide(block), 2 * size);
    } else if (strcmp(what, "realloc-same") == 0) {
        free(block);
        announce(block);
        kept = realloc(hide(block), size);
    } else
        return 3;
    return go_on(kept);
}
