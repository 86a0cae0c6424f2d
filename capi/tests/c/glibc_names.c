#include "check.h"
#include "tenure.h"

int main(void)
{
    void *block = __libc_malloc(100);
    CHECK(block);
    block = __libc_realloc(block, 1000);
    CHECK(block);
    free(block);
    block = __libc_calloc(10, 100);
    CHECK(block && is_zero(block, 1000));
    __libc_free(block);
    block = __libc_memalign(256, 100);
    CHECK(block && is_aligned(block, 256));
    __libc_free(block);
    block = __libc_valloc(100);
    CHECK(block && is_aligned(block, 4096));
    free(block);
    block = __libc_pvalloc(100);
    CHECK(block && is_aligned(block, 4096));
    free(block);
    CHECK(__posix_memalign(&block, 3, 100) == EINVAL && __posix_memalign(&block, 512, 100) == 0);
    CHECK(is_aligned(block, 512));
    free(malloc(10));
    __libc_free(block);
    return 0;
}
