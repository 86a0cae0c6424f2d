/* munmap and madvise fail in the middle of a mapping when the process has as many mappings as it may. */
#include "check.h"
#include <sys/mman.h>

int main(void)
{
    enum { BLOCKS = 200 };
    static char *blocks[BLOCKS];
    for (int nth = 0; nth < BLOCKS; nth++) {
        blocks[nth] = malloc((size_t)3 << 20);
        CHECK(blocks[nth]);
        blocks[nth][0] = 1;
    }
    /* Neighbouring pages of different kinds cannot share a mapping. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = 140000;
    char *area = mmap(NULL, pages * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(area != MAP_FAILED);
    size_t split = 0;
    while (split < pages && mprotect(area + split * page, page, PROT_NONE) == 0)
        split += 2;
    /* There may be no such limit here. */
    if (split < pages)
        CHECK(errno == ENOMEM);
    for (int nth = 0; nth < BLOCKS; nth++) {
        errno = 7;
        free(blocks[nth]);
        CHECK(errno == 7);
    }
    return 0;
}
