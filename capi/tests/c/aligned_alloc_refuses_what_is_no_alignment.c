#include "check.h"

int main(void)
{
    static const size_t bad[] = {0, 3, 24, 100, SIZE_MAX};
    for (size_t nth = 0; nth < sizeof bad / sizeof bad[0]; nth++) {
        errno = 0;
        CHECK(aligned_alloc(hide_size(bad[nth]), 64) == NULL && errno == EINVAL);
    }
    return 0;
}
