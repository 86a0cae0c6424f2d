#include "check.h"
#include "tenure.h"

int main(void)
{
    errno = 7;
    free(NULL);
    cfree(NULL);
    free_sized(NULL, 0);
    free_sized(NULL, 100);
    free_aligned_sized(NULL, 0, 0);
    free_aligned_sized(NULL, 64, 100);
    sdallocx(NULL, 0, 0);
    __libc_free(NULL);
    CHECK(errno == 7);
    return 0;
}
