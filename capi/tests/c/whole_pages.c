#include "check.h"
#include <malloc.h>

int main(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    static const size_t sizes[] = {1, 100, 4095, 4096, 4097, 100000, 3000000};
    for (size_t nth = 0; nth < sizeof sizes / sizeof sizes[0]; nth++) {
        char *block = valloc(sizes[nth]);
        CHECK(block && is_aligned(block, page));
        memset(block, 1, sizes[nth]);
        free(block);
        block = pvalloc(sizes[nth]);
        CHECK(block && is_aligned(block, page));
        memset(block, 1, (sizes[nth] + page - 1) / page * page);
        free(block);
    }
    errno = 0;
    CHECK(valloc(hide_size(SIZE_MAX - 10)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(pvalloc(hide_size(SIZE_MAX - 10)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(pvalloc(hide_size(PTRDIFF_MAX)) == NULL && errno == ENOMEM);
    free(valloc(hide_size(0)));
    free(pvalloc(hide_size(0)));
    return 0;
}
