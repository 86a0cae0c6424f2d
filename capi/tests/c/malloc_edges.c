#include "check.h"

int main(void)
{
    char *zero = malloc(hide_size(0)), *other = malloc(hide_size(0));
    CHECK(zero && other && zero != other);
    free(zero);
    free(other);

    for (size_t size = 1; size < 5000; size++) {
        char *block = malloc(size);
        CHECK(block && is_aligned(block, size >= 16 ? 16 : size >= 8 ? 8 : 1));
        memset(block, 0x5a, size);
        free(block);
    }
    for (size_t nth = 0; nth < BORDER_COUNT; nth++) {
        char *block = malloc(BORDERS[nth]);
        CHECK(block && (BORDERS[nth] < 16 || is_aligned(block, 16)));
        fill(block, BORDERS[nth], nth);
        CHECK(is_filled(block, BORDERS[nth], nth));
        free(block);
    }

    static const size_t too_large[] = {SIZE_MAX, SIZE_MAX - 7, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1, (size_t)PTRDIFF_MAX,
                                       (size_t)PTRDIFF_MAX - 4096, (size_t)1 << 48};
    for (size_t nth = 0; nth < sizeof too_large / sizeof too_large[0]; nth++) {
        errno = 0;
        CHECK(malloc(hide_size(too_large[nth])) == NULL && errno == ENOMEM);
    }
    return 0;
}
