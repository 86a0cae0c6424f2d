#include "check.h"
#include "tenure.h"

int main(void)
{
    for (size_t nth = 0; nth < BORDER_COUNT; nth++) {
        size_t size = BORDERS[nth];
        free_sized(malloc(size), size);
        free_sized(calloc(1, size), size);
        free_aligned_sized(aligned_alloc(64, size), 64, size);
        sdallocx(malloc(size), size, 0);
        cfree(malloc(size));
    }
    return 0;
}
