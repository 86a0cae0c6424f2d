/* A program that needs so many mebibytes at once: it fails, with ENOMEM, where it cannot have them. */
#include "check.h"
#include <errno.h>

int main(int argc, char **argv)
{
    long count = argc == 2 ? strtol(argv[1], NULL, 10) * 8 : 0;
    void **blocks = calloc(count + 1, sizeof *blocks);
    CHECK(count > 0 && blocks);
    for (long nth = 0; nth < count; nth++) {
        errno = 0;
        /* Of several kinds: slabs, spans and mappings. */
        size_t size = nth % 33 == 32 ? 2000000 : nth % 4 == 3 ? 200000 : 20000;
        blocks[nth] = malloc(size);
        if (!blocks[nth]) {
            CHECK(errno == ENOMEM);
            return 1;
        }
        memset(blocks[nth], 1, size);
    }
    for (long nth = 0; nth < count; nth++)
        free(blocks[nth]);
    return 0;
}
