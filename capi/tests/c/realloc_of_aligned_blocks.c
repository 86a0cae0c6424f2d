#include "check.h"

int main(void)
{
    for (size_t align = 16; align <= (size_t)8 << 20; align *= 2)
        for (size_t nth = 0; nth < BORDER_COUNT; nth++)
            for (size_t to = 0; to < BORDER_COUNT; to += 3) {
                size_t kept = BORDERS[nth] < BORDERS[to] ? BORDERS[nth] : BORDERS[to];
                void *block;
                CHECK(posix_memalign(&block, align, BORDERS[nth]) == 0 && is_aligned(block, align));
                fill(block, kept, nth);
                block = realloc(block, BORDERS[to]);
                CHECK(block && is_filled(block, kept, nth));
                memset(block, 1, BORDERS[to]);
                /* And once more, as a block that has moved. */
                block = realloc(block, BORDERS[to] * 2);
                CHECK(block);
                ((char *)block)[BORDERS[to] * 2 - 1] = 1;
                free(block);
            }
    return 0;
}
