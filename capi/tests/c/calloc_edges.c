#include "check.h"

int main(void)
{
    void *zero = calloc(hide_size(0), 16), *other = calloc(16, hide_size(0));
    CHECK(zero && other && zero != other);
    free(zero);
    free(other);

    errno = 0;
    CHECK(calloc(hide_size(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(hide_size((size_t)1 << 32), (size_t)1 << 32) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(hide_size(PTRDIFF_MAX), 2) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(1, hide_size((size_t)PTRDIFF_MAX + 1)) == NULL && errno == ENOMEM);

    /* What was used before reads as zero all the same. */
    for (int round = 0; round < 3; round++)
        for (size_t nth = 0; nth < BORDER_COUNT; nth++) {
            char *blocks[20];
            for (int each = 0; each < 20; each++) {
                blocks[each] = calloc(each % 2 ? 1 : BORDERS[nth], each % 2 ? BORDERS[nth] : 1);
                CHECK(blocks[each] && is_zero(blocks[each], BORDERS[nth]));
                memset(blocks[each], 0xff, BORDERS[nth]);
            }
            for (int each = 0; each < 20; each++)
                free(blocks[each]);
        }
    return 0;
}
