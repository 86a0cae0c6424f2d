#include "check.h"
#include <malloc.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

int main(void)
{
    /* 3 GiB do not fit an int, which must not become negative. */
    char *large = malloc((size_t)3 << 30);
    CHECK(large);
    struct mallinfo info = mallinfo();
    CHECK(info.hblkhd == INT32_MAX && info.hblks >= 1 && info.arena >= info.uordblks && info.uordblks >= 0);
    free(large);
    CHECK(mallopt(12345, 1) == 0);
    return 0;
}
