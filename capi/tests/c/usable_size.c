#include "check.h"
#include <malloc.h>

/* Writes to all of two neighbours, and to what lies between: nothing may be lost. */
static void use(char *first, char *second, size_t asked)
{
    size_t size = malloc_usable_size(first), other = malloc_usable_size(second);
    CHECK(size >= asked && other >= asked);
    fill(first, size, 1);
    fill(second, other, 2);
    CHECK(is_filled(first, size, 1));
    /* Resized, a block keeps what was asked for. */
    first = realloc(first, asked * 2 + 1);
    CHECK(first && is_filled(first, asked, 1));
    free(first);
    CHECK(is_filled(second, other, 2));
    free(second);
}

int main(void)
{
    CHECK(malloc_usable_size(NULL) == 0);
    for (size_t size = 0; size < 2500; size++)
        use(malloc(size), malloc(size), size);
    for (size_t nth = 0; nth < BORDER_COUNT; nth++) {
        use(malloc(BORDERS[nth]), malloc(BORDERS[nth]), BORDERS[nth]);
        use(calloc(1, BORDERS[nth]), calloc(BORDERS[nth], 1), BORDERS[nth]);
        for (size_t align = 16; align <= (size_t)4 << 20; align *= 4)
            use(memalign(align, BORDERS[nth]), memalign(align, BORDERS[nth]), BORDERS[nth]);
    }
    return 0;
}
