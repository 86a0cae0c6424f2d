#include "check.h"
#include <malloc.h>

int main(void)
{
    void *block = hide(&block), *before = block;
    static const size_t bad[] = {0, 1, 2, 4, 3, 12, 24, 100, SIZE_MAX};
    errno = 7;
    for (size_t nth = 0; nth < sizeof bad / sizeof bad[0]; nth++)
        CHECK(posix_memalign(&block, hide_size(bad[nth]), 64) == EINVAL && block == before);
    CHECK(posix_memalign(&block, 64, hide_size(SIZE_MAX)) == ENOMEM && block == before);
    CHECK(posix_memalign(&block, 64, hide_size((size_t)PTRDIFF_MAX - 32)) == ENOMEM && block == before);
    CHECK(posix_memalign(&block, hide_size((size_t)1 << 62), 64) == ENOMEM && block == before);
    /* The error is the result; glibc sets errno all the same. */
    CHECK(errno == 7 || !is_on_tenure());

    for (size_t align = 8; align <= (size_t)16 << 20; align *= 2)
        for (size_t nth = 0; nth < BORDER_COUNT; nth++) {
            CHECK(posix_memalign(&block, align, BORDERS[nth]) == 0 && is_aligned(block, align));
            memset(block, 1, BORDERS[nth]);
            void *second = aligned_alloc(align, BORDERS[nth]);
            CHECK(second && is_aligned(second, align));
            memset(second, 2, BORDERS[nth]);
            void *third = memalign(align, BORDERS[nth]);
            CHECK(third && is_aligned(third, align));
            memset(third, 3, BORDERS[nth]);
            CHECK(*(char *)block == 1 && *(char *)second == 2 && *(char *)third == 3);
            free(second);
            free(block);
            free(third);
        }
    CHECK(posix_memalign(&block, 64, hide_size(0)) == 0 && block && is_aligned(block, 64));
    free(block);

    errno = 0;
    CHECK(aligned_alloc(64, hide_size(SIZE_MAX - 63)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(memalign(4096, hide_size((size_t)PTRDIFF_MAX)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(memalign(hide_size(SIZE_MAX / 2 + 2), 64) == NULL && errno == EINVAL);
    /* What is no power of two is rounded up to one. */
    block = memalign(hide_size(48), 100);
    CHECK(block && is_aligned(block, 64));
    free(block);
    return 0;
}
