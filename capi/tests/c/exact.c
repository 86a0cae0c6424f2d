/* Asks for blocks of known sizes in each way that there is, and leaves some of them. */
#include "check.h"

int main(void)
{
    for (int nth = 0; nth < 100; nth++) {
        void *kept = malloc(2900);
        void *cleared = calloc(100, 29);
        void *grown = realloc(malloc(10), 2900);
        void *aligned = aligned_alloc(64, 2944);
        CHECK(kept != NULL && cleared != NULL && grown != NULL && aligned != NULL);
        memset(kept, 1, 2900);
        free(cleared);
        free(grown);
        free(aligned);
    }
    for (int nth = 0; nth < 10; nth++) {
        void *span = malloc(70000);
        CHECK(span != NULL);
        free(span);
    }
    void *mapping = malloc(5 << 20);
    CHECK(mapping != NULL);
    free(mapping);
    return 0;
}
