#include "check.h"

int main(void)
{
    char *block = realloc(NULL, 100);
    CHECK(block);
    fill(block, 100, 1);

    /* A failure leaves the block as it was. */
    errno = 0;
    CHECK(realloc(block, hide_size(SIZE_MAX)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(realloc(block, hide_size((size_t)PTRDIFF_MAX + 1)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(realloc(block, hide_size((size_t)1 << 48)) == NULL && errno == ENOMEM);
    CHECK(is_filled(block, 100, 1));

    /* As in glibc: a size of 0 frees. */
    errno = 0;
    CHECK(realloc(block, hide_size(0)) == NULL && errno == 0);
    block = realloc(NULL, hide_size(0));
    CHECK(block);
    free(block);

    /* From every kind of memory to every other. */
    for (size_t from = 0; from < BORDER_COUNT; from++)
        for (size_t to = 0; to < BORDER_COUNT; to++) {
            size_t kept = BORDERS[from] < BORDERS[to] ? BORDERS[from] : BORDERS[to];
            char *old = malloc(BORDERS[from]);
            CHECK(old);
            fill(old, BORDERS[from], from);
            char *new = realloc(old, BORDERS[to]);
            CHECK(new && is_filled(new, kept, from));
            CHECK(BORDERS[to] < 16 || is_aligned(new, 16));
            fill(new, BORDERS[to], to);
            CHECK(is_filled(new, BORDERS[to], to));
            free(new);
        }

    /* Grown byte by byte, and by doubling. */
    block = NULL;
    for (size_t size = 1; size < 3000; size++) {
        block = realloc(block, size);
        CHECK(block);
        block[size - 1] = (char)size;
        CHECK(block[size / 2] == (char)(size / 2 + 1));
    }
    for (size_t size = 4096; size <= (size_t)64 << 20; size *= 2) {
        block = realloc(block, size);
        CHECK(block && block[1000] == (char)1001);
        block[size - 1] = 1;
    }
    for (size_t size = (size_t)64 << 20; size >= 2000; size /= 2) {
        block = realloc(block, size);
        CHECK(block && block[1000] == (char)1001);
    }
    free(block);
    return 0;
}
