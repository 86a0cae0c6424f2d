#include "check.h"
#include "tenure.h"
#include <malloc.h>

int main(void)
{
    for (size_t size = 0; size < 40000; size++) {
        char *block = malloc(size);
        CHECK(block && malloc_good_size(size) == malloc_usable_size(block));
        free(block);
    }
    for (size_t size = 40000; size < 8000000; size += 12345) {
        char *block = malloc(size);
        CHECK(block && malloc_good_size(size) >= size && malloc_good_size(size) <= malloc_usable_size(block));
        free(block);
    }
    CHECK(malloc_good_size(SIZE_MAX) == SIZE_MAX);
    return 0;
}
